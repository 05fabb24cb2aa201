"""The format `idn-hostname`: RFC 5890, with the tables of RFC 5892 and the rule for two directions of RFC 5893.

The tables are derived from Python's Unicode data as RFC 5892, section 2 says. What isn't looked into: how long a label
is that isn't ASCII, as that depends on its A-label; whether it's in normal form C; a ZERO WIDTH NON-JOINER between
joining letters (after a virama it is taken); and what an A-label says, so that none is ever written.
"""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict

from outlines.constraints.characters import Characters, complement, contains, intersection, normalise, union
from outlines.constraints.expression import Expression, concat, optional, repeat, star
from outlines.constraints.expression import union as either
from outlines.constraints.json_schema.text import encode

__all__ = ["idn_hostname"]

#: Letters, digits, marks (RFC 5892, section 2.1).
_LETTER_DIGITS = frozenset("Ll Lu Lo Nd Lm Mn Mc".split())

#: RFC 5892, section 2.6: what is valid, what needs its context, what is disallowed, whatever else would be said of it.
_VALID = (0x00DF, 0x03C2, 0x06FD, 0x06FE, 0x0F0B, 0x3007)
_IN_CONTEXT = (0x00B7, 0x0375, 0x05F3, 0x05F4, 0x30FB, *range(0x0660, 0x066A), *range(0x06F0, 0x06FA))
_DISALLOWED = (0x0640, 0x07FA, 0x302E, 0x302F, 0x3031, 0x3032, 0x3033, 0x3034, 0x3035, 0x303B)
_OLD_HANGUL = ((0x1100, 0x11FF), (0xA960, 0xA97C), (0xD7B0, 0xD7C6), (0xD7CB, 0xD7FB))
_IGNORABLE = ((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164),
              (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))  # fmt: skip

_MIDDLE_DOT, _KERAIA, _GERESH, _GERSHAYIM, _KATAKANA_DOT = 0x00B7, 0x0375, 0x05F3, 0x05F4, 0x30FB
_JOINERS = (0x200C, 0x200D)
_SEPARATORS = (0x2E, 0x3002, 0xFF0E, 0xFF61)


def _set(*code_points: int) -> Characters:
    return normalise((c, c) for c in code_points)


def _is_unstable(character: str) -> bool:
    """Tell whether compatibility or case would make another character of it (RFC 5892, section 2.2)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    return unicodedata.normalize("NFKC", folded) != character


class _Tables:
    """The sets of characters that the rules name."""

    def __init__(self) -> None:
        valid, viramas, marks = [], [], []
        directions: dict[str, list[int]] = defaultdict(list)
        scripts: dict[str, list[int]] = defaultdict(list)
        exceptions = {*_VALID, *_IN_CONTEXT, *_DISALLOWED}
        for code_point in range(0x80, sys.maxunicode + 1):
            character = chr(code_point)
            category = unicodedata.category(character)
            if category not in _LETTER_DIGITS and code_point not in exceptions and code_point not in _JOINERS:
                continue
            directions[unicodedata.bidirectional(character)].append(code_point)
            if unicodedata.combining(character) == 9:
                viramas.append(code_point)
            if category[0] == "M":
                marks.append(code_point)
            name = unicodedata.name(character, "")
            for script in ("GREEK", "HEBREW", "HIRAGANA", "KATAKANA", "CJK UNIFIED", "CJK COMPATIBILITY"):
                if name.startswith(script):
                    scripts[script].append(code_point)
            if code_point not in exceptions and category in _LETTER_DIGITS and not _is_unstable(character):
                valid.append(code_point)
        lower_ascii = normalise([(0x30, 0x39), (0x61, 0x7A)])
        kept = complement(union(normalise(_OLD_HANGUL), normalise(_IGNORABLE)))
        #: What may stand anywhere but the hyphen.
        self.letters = union(
            intersection(_set(*valid), kept), _set(*_VALID), lower_ascii,
            normalise([(0x0660, 0x0669), (0x06F0, 0x06F9)]),
        )  # fmt: skip
        self.viramas, self.marks = intersection(_set(*viramas), self.letters), _set(*marks)
        self.greek = intersection(_set(*scripts["GREEK"]), self.letters)
        self.hebrew = intersection(_set(*scripts["HEBREW"]), self.letters)
        han = _set(*scripts["CJK UNIFIED"], *scripts["CJK COMPATIBILITY"], 0x3005, 0x3007)
        self.kana_or_han = intersection(
            union(_set(*scripts["HIRAGANA"]), _set(*scripts["KATAKANA"]), han), self.letters
        )
        ascii_directions = {
            "L": [*range(0x41, 0x5B), *range(0x61, 0x7B)],
            "EN": range(0x30, 0x3A),
            "ES": [0x2D],
        }
        for direction, code_points in ascii_directions.items():
            directions[direction].extend(code_points)
        self.directions = {direction: _set(*found) for direction, found in directions.items()}

    def direction(self, *names: str) -> Characters:
        """Give the characters of some directions (the Unicode property Bidi_Class)."""
        return union(*(self.directions.get(name, ()) for name in names))


def idn_hostname(ascii_label: Expression) -> Expression:
    """Give the names, as the characters within a JSON string; `ascii_label` are the labels of ASCII."""
    tables = _Tables()
    right_to_left = tables.direction("R", "AL", "AN")
    one_way = _Label(tables, complement(right_to_left))
    left, marks = ("L", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"), tables.direction("NSM")
    forward = _Label(
        tables, tables.direction(*left), tables.direction("L"), tables.direction("L", "EN"), marks
    )
    # European and Arabic digits don't stand in one label, which keeps both kinds of Arabic digits apart too.
    backward = [
        _Label(
            tables,
            tables.direction("R", "AL", "ES", "CS", "ET", "ON", "BN", "NSM", numbers),
            tables.direction("R", "AL"),
            tables.direction("R", "AL", numbers),
            marks,
        )
        for numbers in ("EN", "AN")
    ]
    separator = encode(_set(*_SEPARATORS))
    names = []
    for ascii_labels, labels in (([ascii_label], [one_way]), ([], [forward, *backward])):
        label = either(*ascii_labels, *(label.expression() for label in labels))
        names.append(concat(label, star(concat(separator, label))))
    return either(*names)


class _Label:
    """The labels of some characters, by the rules for those in their context (RFC 5892, appendix A).

    Parameters
    ----------
    inside
        Characters that may stand in the label.
    first, last
        Those that it may begin and end with; None is all of them.
    marks
        Those that may follow the last one.
    """

    def __init__(
        self,
        tables: _Tables,
        inside: Characters,
        first: Characters | None = None,
        last: Characters | None = None,
        marks: Characters = (),
    ):
        self.tables = tables
        self.inside = inside
        self.first = intersection(inside if first is None else first, complement(tables.marks))
        self.last = inside if last is None else last
        self.trailing = star(encode(intersection(marks, tables.letters)))

    def expression(self) -> Expression:
        """Give the labels: no hyphen at an edge, none at both the third and the fourth place (RFC 5891, 4.2.3.1)."""
        hyphen, dot = encode(_set(0x2D)), encode(intersection(self.inside, _set(_KATAKANA_DOT)))
        plain = self._units(self.inside)
        inner, first = either(plain, hyphen), self._units(self.first)
        last = concat(self._units(self.last), self.trailing)
        end = either(last, concat(plain, star(inner), last))
        ways = [
            concat(first, self.trailing),
            concat(first, last),
            concat(first, inner, optional(hyphen), end),
        ]
        kana = encode(intersection(self.tables.kana_or_han, self.inside))
        inner, last = either(inner, dot), either(last, dot)
        ways.append(
            concat(
                optional(concat(either(first, dot), star(inner))), kana, optional(concat(star(inner), last))
            )
        )
        return either(*ways)

    def _units(self, members: Characters) -> Expression:
        """Give the characters of a set, and those that have their context beside one of them."""
        tables, inside = self.tables, self.inside
        ways = [encode(intersection(members, tables.letters))]
        hebrew = intersection(members, tables.hebrew)
        ways.append(concat(encode(hebrew), star(encode(intersection(_set(_GERESH, _GERSHAYIM), inside)))))
        if contains(members, 0x6C):
            small_l = encode(_set(0x6C))
            dots = concat(encode(intersection(_set(_MIDDLE_DOT), inside)), small_l)
            ways.append(concat(small_l, repeat(dots, 1)))
        keraia, greek = intersection(_set(_KERAIA), inside), intersection(tables.greek, members)
        ways.append(concat(repeat(encode(keraia), 1), encode(greek)))
        viramas = intersection(members, tables.viramas)
        ways.append(concat(encode(viramas), encode(_set(*_JOINERS))))
        return either(*ways)
