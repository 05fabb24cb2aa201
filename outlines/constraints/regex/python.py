"""Patterns of Python's `re`, through its own parser, into a tree."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from outlines.constraints import characters
from outlines.constraints.characters import ALL, Characters
from outlines.constraints.regex.lookarounds import boundary, lookahead, lookbehind
from outlines.constraints.regex.tree import (
    AT_BEGIN,
    AT_END,
    NEVER,
    NEWLINE,
    NOT_REGULAR,
    Ahead,
    Alternatives,
    Behind,
    Node,
    OneOf,
    ends_at_one_place,
    first_characters,
    one_of,
    repetition,
    sequence,
)
from outlines.exceptions import PatternError

try:
    from re import _constants as sre
    from re import _parser as sre_parser
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

#: What has to be found in the text of a pattern, since the parser of `re` keeps no positions.
_CONSTRUCT = re.compile(
    r"\\. | \[\^?\]?(?:\\.|[^\]\\])*\] | \(\?\#[^)]*\) | \(\?<?[=!] | \(\?P= | \(\?\( | \(\?> | \(\?[a-zA-Z-]+:? | [()]"
    r" | [*+?}]\+ | [\^$#]",
    re.VERBOSE | re.DOTALL,
)
_ASSERTIONS = {"^", "$", r"\b", r"\B", r"\A", r"\Z", "(?=", "(?!", "(?<=", "(?<!"}
_TYPE_FLAGS = re.ASCII | re.LOCALE | re.UNICODE
#: Before Python 3.14, `\B` doesn't match in an empty text.
_NOT_BOUNDARY_IN_EMPTY_TEXT = re.fullmatch(r"\B", "") is not None


def _places(pattern: str, is_verbose: bool) -> dict[str, list[int]]:
    """Find the positions of assertions, atomic groups, possessive quantifiers and references to groups."""
    places: dict[str, list[int]] = {kind: [] for kind in ("assertion", "atomic", "possessive", "reference")}
    outer: list[bool] = []
    index = 0
    while found := _CONSTRUCT.search(pattern, index):
        token, index = found.group(), found.end()
        if token in _ASSERTIONS:
            places["assertion"].append(found.start())
        elif token == "(?>":
            places["atomic"].append(found.start())
        elif len(token) == 2 and token[1] == "+" and token[0] in "*+?}":
            places["possessive"].append(found.start())
        elif token in ("(?P=", "(?(") or re.match(r"\\[1-9](?![0-7]{2})", pattern[found.start() : index + 2]):
            places["reference"].append(found.start())
        if token == "#" and is_verbose:
            index = (pattern.find("\n", index) + 1) or len(pattern)
        elif token == ")" and outer:
            is_verbose = outer.pop()
        elif token[0] == "(" and token != "(?P=" and token[:3] != "(?#":
            on, _, off = token[2:].partition("-")
            if token[-1] not in ":(=!>" and len(token) > 1 and token[2] != "P":  # (?x), for all that follows
                is_verbose = is_verbose or "x" in on
            outer.append(is_verbose)
            if token[-1] == ":":
                is_verbose = (is_verbose or "x" in on) and "x" not in off
            if token == "(?(":
                index = pattern.find(")", index) + 1
    return places


class PythonReader:
    """Reads the syntax of `re` through its own parser."""

    def __init__(self, pattern: str, flags: int):
        self.pattern = pattern
        try:
            parsed = sre_parser.parse(pattern, int(flags) & ~re.DEBUG)
        except re.error as error:
            raise PatternError(pattern, error.pos or 0, f"{error.msg}. Correct the pattern.") from None
        except OverflowError:
            raise PatternError(pattern, 0, "a repetition count is too large. Lower it.") from None
        self._places = _places(pattern, bool(flags & re.VERBOSE))
        self._taken = dict.fromkeys(self._places, 0)
        self.tree = self._sequence(parsed, parsed.state.flags)

    def _place(self, kind: str, take: bool = True) -> int:
        """Give the position of the next construct of a kind; of a near one where the parser has merged some."""
        number = self._taken[kind]
        self._taken[kind] += take
        places = self._places[kind]
        return places[min(number, len(places) - 1)] if places else 0

    def _error(self, position: int, problem: str) -> PatternError:
        return PatternError(self.pattern, position, problem)

    def _sequence(self, items: Iterable[tuple[Any, Any]], flags: int) -> Node:
        return sequence([self._item(operation, argument, flags) for operation, argument in items])

    def _item(self, operation: Any, argument: Any, flags: int) -> Node:
        if operation is sre.LITERAL:
            return one_of(self._character(argument, flags))
        if operation is sre.NOT_LITERAL:
            return OneOf(characters.complement(self._character(argument, flags)))
        if operation is sre.IN:
            return one_of(self._class(argument, flags))
        if operation is sre.ANY:
            return OneOf(ALL if flags & re.DOTALL else characters.complement(NEWLINE))
        if operation is sre.BRANCH:
            return Alternatives([self._sequence(branch, flags) for branch in argument[1]])
        if operation is sre.SUBPATTERN:
            _, added, removed, items = argument
            if added & _TYPE_FLAGS:
                flags &= ~_TYPE_FLAGS
            return self._sequence(items, (flags | added) & ~removed)
        if operation is sre.MAX_REPEAT or operation is sre.MIN_REPEAT:
            return self._repeat(argument, flags)
        if operation is sre.AT:
            return self._anchor(argument, flags)
        if operation is sre.ASSERT or operation is sre.ASSERT_NOT:
            return self._lookaround(argument, flags, negated=operation is sre.ASSERT_NOT)
        if operation is sre.GROUPREF:
            raise self._error(self._place("reference"), NOT_REGULAR.format("back-references"))
        if operation is sre.GROUPREF_EXISTS:
            raise self._error(self._place("reference"), NOT_REGULAR.format("conditions on a group"))
        if operation is sre.FAILURE:  # (?!)
            self._place("assertion")
            return NEVER
        if str(operation) == "POSSESSIVE_REPEAT":  # these two are unknown to Python 3.10
            low, high, items = argument
            body = self._sequence(items, flags)
            return self._possessive(body, low, _bound(high), self._place("possessive"))
        if str(operation) == "ATOMIC_GROUP":
            return self._atomic(argument, flags)
        raise self._error(0, f"{str(operation).lower()} isn't supported. Write the pattern without it.")

    def _character(self, code_point: int, flags: int) -> Characters:
        members = characters.character(code_point)
        return characters.fold(members, bool(flags & re.ASCII)) if flags & re.IGNORECASE else members

    def _class(self, items: list[tuple[Any, Any]], flags: int) -> Characters:
        ranges = []
        categories = []
        for operation, argument in items:
            if operation is sre.LITERAL:
                ranges.append((argument, argument))
            elif operation is sre.RANGE:
                ranges.append(argument)
            elif operation is sre.CATEGORY:
                categories.append(_category(argument, bool(flags & re.ASCII)))
        members = characters.normalise(ranges)
        if flags & re.IGNORECASE:
            members = characters.fold(members, bool(flags & re.ASCII))
        members = characters.union(members, *categories)
        return characters.complement(members) if items[0][0] is sre.NEGATE else members

    def _repeat(self, argument: Any, flags: int) -> Node:
        low, high, items = argument
        position = self._place("assertion", take=False)
        return repetition(self._sequence(items, flags), low, _bound(high), self.pattern, position)

    def _anchor(self, code: Any, flags: int) -> Node:
        self._place("assertion")
        if code is sre.AT_BEGINNING and flags & re.MULTILINE:
            return Behind([(characters.union(AT_BEGIN, NEWLINE),)])
        if code is sre.AT_BEGINNING or code is sre.AT_BEGINNING_STRING:
            return Behind([(AT_BEGIN,)])
        if code is sre.AT_END and flags & re.MULTILINE:
            return Ahead(None, [(characters.union(NEWLINE, AT_END),)])
        if code is sre.AT_END:
            return Ahead(None, [(AT_END,), (NEWLINE, AT_END)])
        if code is sre.AT_END_STRING:
            return Ahead(None, [(AT_END,)])
        word = characters.word(bool(flags & re.ASCII))
        return boundary(word, code is sre.AT_NON_BOUNDARY, _NOT_BOUNDARY_IN_EMPTY_TEXT)

    def _lookaround(self, argument: Any, flags: int, negated: bool) -> Node:
        direction, items = argument
        position = self._place("assertion")
        body = self._sequence(items, flags)
        if direction > 0:
            return lookahead(body, negated, position)
        if body.width is None:
            raise self._error(
                position,
                "a lookbehind must have a fixed width in Python. Write one for each width, joined by |.",
            )
        return lookbehind(body, negated, self.pattern, position)

    def _atomic(self, items: Any, flags: int) -> Node:
        position = self._place("atomic")
        if len(items) == 1 and items[0][0] is sre.MAX_REPEAT:
            low, high, repeated = items[0][1]
            return self._possessive(self._sequence(repeated, flags), low, _bound(high), position)
        body = self._sequence(items, flags)
        if not ends_at_one_place(body):
            raise self._error(
                position,
                "an atomic group that may end at several places forgets some ways to match, which isn't supported. "
                "Write (?:...) if no text needs them.",
            )
        return body  # no way to match is forgotten

    def _possessive(self, body: Node, low: int, high: int | None, position: int) -> Node:
        """Make a repetition that stops only where its body can't match again."""
        if body.width is not None and (low == high or body.width == 0):
            return repetition(body, low, high, self.pattern, position)
        if not ends_at_one_place(body) or (body.width is None and first_characters(body) is None):
            raise self._error(
                position,
                "a possessive repetition of what may end at several places forgets some ways to match, which isn't "
                "supported. Drop the + behind the quantifier if no text needs them.",
            )
        stop = lookahead(body, True, position)
        if high is None:
            repeated = sequence([repetition(body, low, None, self.pattern, position), stop])
        else:
            fewer = repetition(body, low, high - 1, self.pattern, position)
            most = repetition(body, high, high, self.pattern, position)
            repeated = Alternatives([sequence([fewer, stop]), most])
        repeated.is_possessive = True
        repeated.first = first_characters(body) if low else None
        return repeated


def _bound(high: Any) -> int | None:
    return None if high is sre.MAXREPEAT else int(high)


def _category(code: Any, ascii_only: bool) -> Characters:
    name = str(code).removeprefix("CATEGORY_")
    make = {"DIGIT": characters.digit, "SPACE": characters.space, "WORD": characters.word}
    members = make[name.removeprefix("NOT_")](ascii_only)
    return characters.complement(members) if name.startswith("NOT_") else members
