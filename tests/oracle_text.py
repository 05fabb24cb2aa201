"""The oracle's items that read text: characters that patterns and lengths accept, and numbers between bounds.

Part of tests/oracle.py, which says how items are put together.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

try:
    from re import _parser as sre  # type: ignore[attr-defined]  # Python 3.11 and later
except ImportError:
    import sre_parse as sre

__all__ = ["Bounds", "Excluding", "Length", "Number", "Pattern", "Text", "text"]

LAST = 0x10FFFF
CHARACTERS = ((0, 0xD7FF), (0xE000, LAST))  # every code point that UTF-8 can spell: all but the surrogates

Ranges = tuple[tuple[int, int], ...]


# ---- Characters: what single machines over code points accept ----------------------------------------------


class Node(NamedTuple):
    """A node of a pattern: go to `after` over a character in `ranges`, or freely, or where `anchor` holds."""

    ranges: Ranges | None
    anchor: str | None
    after: tuple[int, ...]


class Pattern:
    """Character machine of a regular expression, read from the parse tree of the standard library.

    Parameters
    ----------
    pattern
        The expression.
    ecma
        Read as JSON Schema does: found anywhere in the text, the classes of ECMA-262. Else as `re.fullmatch`.
    """

    def __init__(self, pattern: str, ecma: bool = False):
        self.ecma = ecma
        self.nodes: list[Node] = []
        tree = sre.parse(pattern)
        if tree.state.flags & ~int(re.UNICODE):
            raise NotImplementedError(f"flags of {pattern!r}")
        anything = [(sre.MAX_REPEAT, (0, sre.MAXREPEAT, [(sre.IN, [(sre.RANGE, (0, LAST))])]))]
        self.final = self._node(None, ())
        self.first = self._sequence([*anything, *tree, *anything] if ecma else list(tree), self.final)
        self.start = (True, frozenset([(self.first, None)]))

    def cuts(self) -> set[int]:
        """Give code points such that those between two neighbours are all treated alike."""
        return {cut for node in self.nodes for low, high in node.ranges or () for cut in (low, high + 1)}

    def step(self, state: tuple[bool, frozenset], character: int) -> tuple[bool, frozenset] | None:
        at_start, places = state
        after = set()
        for i, left in self._reach(places, at_start, at_end=False):
            if _within(character, self.nodes[i].ranges) and (left is None or (left == 1 and character == 10)):
                after |= {(j, None if left is None else 0) for j in self.nodes[i].after}
        return (False, frozenset(after)) if after else None

    def accepts(self, state: tuple[bool, frozenset]) -> bool:
        at_start, places = state
        return any(i == self.final and left != 1 for i, left in self._reach(places, at_start, at_end=True))

    def _reach(self, places: frozenset, at_start: bool, at_end: bool) -> set[tuple[int, int | None]]:
        """Give the places that can be reached without a character.

        A place is a node and the newlines that must still come before the end, None where anything may come:
        Python's `$` also stands before a newline that ends the text.
        """
        seen: set[tuple[int, int | None]] = set()
        todo = list(places)
        while todo:
            i, left = place = todo.pop()
            node = self.nodes[i]
            if place in seen:
                continue
            seen.add(place)
            if node.ranges is not None:
                continue
            if node.anchor is None or (at_start if node.anchor == "start" else at_end):
                todo += [(j, left) for j in node.after]
            if node.anchor == "before last newline" and left != 0:
                todo += [(j, 1) for j in node.after]
        return seen

    def _node(self, ranges: Ranges | None, after: tuple[int, ...], anchor: str | None = None) -> int:
        self.nodes.append(Node(ranges, anchor, after))
        return len(self.nodes) - 1

    def _sequence(self, tree: Iterable[tuple], after: int) -> int:
        """Build the nodes of a sequence that goes on to node `after`, and give the node that begins it."""
        for op, value in reversed(list(tree)):
            after = self._part(op, value, after)
        return after

    def _part(self, op: Any, value: Any, after: int) -> int:
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._node(self._ranges(op, value), (after,))
        if op is sre.BRANCH:
            return self._node(None, tuple(self._sequence(branch, after) for branch in value[1]))
        if op is sre.SUBPATTERN and not value[1] and not value[2]:
            return self._sequence(value[3], after)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, body = value
            if most is sre.MAXREPEAT:
                loop = self._node(None, ())
                self.nodes[loop] = Node(None, None, (self._sequence(body, loop), after))
                after = loop
            else:
                end = after
                for _ in range(most - least):
                    after = self._node(None, (self._sequence(body, after), end))
            for _ in range(least):
                after = self._sequence(body, after)
            return after
        if op is sre.AT and value in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return self._node(None, (after,), "start")
        if op is sre.AT and value in (sre.AT_END, sre.AT_END_STRING):
            is_strict = self.ecma or value is sre.AT_END_STRING
            return self._node(None, (after,), "end" if is_strict else "before last newline")
        raise NotImplementedError(f"{op} {value}")

    def _ranges(self, op: Any, value: Any) -> Ranges:
        if op is sre.LITERAL:
            return ((value, value),)
        if op is sre.NOT_LITERAL:
            return _complement(((value, value),))
        if op is sre.ANY:
            return _complement(((10, 10), (13, 13), (0x2028, 0x2029)) if self.ecma else ((10, 10),))
        negated = value[0][0] is sre.NEGATE
        found: list[tuple[int, int]] = []
        for op, inner in value[negated:]:
            if op is sre.LITERAL:
                found.append((inner, inner))
            elif op is sre.RANGE:
                found.append(inner)
            elif op is sre.CATEGORY:
                found += _category(str(inner), self.ecma)
            else:
                raise NotImplementedError(f"{op} in a class")
        return _complement(tuple(found)) if negated else tuple(found)


# ECMA-262: digits and word characters are ASCII's; white space counts line ends and the byte order mark in
ECMA_CLASSES = {
    "DIGIT": "[0-9]",
    "WORD": "[0-9A-Za-z_]",
    "SPACE": "[\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]",
}


@functools.cache
def _category(name: str, ecma: bool) -> Ranges:
    kind = name.rsplit("_", 1)[1]
    if ecma:
        is_member = re.compile(ECMA_CLASSES[kind]).match
    else:
        is_member = re.compile({"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[kind]).match
    members = [c for c in range(LAST + 1) if is_member(chr(c))]
    starts = [c for i, c in enumerate(members) if not i or members[i - 1] != c - 1]
    ends = [c for i, c in enumerate(members) if i + 1 == len(members) or members[i + 1] != c + 1]
    ranges = tuple(zip(starts, ends, strict=True))
    return _complement(ranges) if "NOT" in name else ranges


def _complement(ranges: Ranges) -> Ranges:
    found, low = [], 0
    for start, end in sorted(ranges):
        if low < start:
            found.append((low, start - 1))
        low = max(low, end + 1)
    return (*found, (low, LAST)) if low <= LAST else tuple(found)


def _within(character: int, ranges: Ranges | None) -> bool:
    return ranges is not None and any(low <= character <= high for low, high in ranges)


class Length(NamedTuple):
    """Character machine that counts code points; the count stops where more makes no difference."""

    least: int
    most: int | None

    @property
    def start(self) -> int:
        return 0

    def cuts(self) -> set[int]:
        return set()

    def step(self, count: int, character: int) -> int | None:
        if self.most is None:
            return min(count + 1, self.least)
        return count + 1 if count < self.most else None

    def accepts(self, count: int) -> bool:
        return count >= self.least


class Excluding(NamedTuple):
    """Character machine that accepts every text but the `names`; None once no name can come of it."""

    names: tuple[str, ...]

    @property
    def start(self) -> str:
        return ""

    def cuts(self) -> set[int]:
        return {cut for name in self.names for c in name for cut in (ord(c), ord(c) + 1)}

    def step(self, begun: str, character: int) -> str:
        begun += chr(character)
        return begun if any(name.startswith(begun) for name in self.names) else "\ud800"

    def accepts(self, begun: str) -> bool:
        return begun not in self.names


# ---- Text: characters as bytes -----------------------------------------------------------------------------


class Language:
    """The texts that several character machines all accept, and how their characters are spelt.

    Parameters
    ----------
    machines
        Character machines; a text must satisfy each.
    in_json
        Spell characters as within a JSON string (without its quotes), else as raw UTF-8.
    """

    def __init__(self, machines: Iterable[Any], in_json: bool):
        self.machines = tuple(machines)
        self.in_json = in_json
        self.start = tuple(machine.start for machine in self.machines)
        cuts = {0, 0xD800, 0xE000, LAST + 1}.union(*(machine.cuts() for machine in self.machines))
        self.cuts = sorted(cut for cut in cuts if cut <= LAST + 1)
        self._live: dict[tuple, bool] = {}
        self.after_any = functools.cache(self._after_any)

    def step(self, state: tuple, character: int) -> tuple | None:
        after = tuple(m.step(s, character) for m, s in zip(self.machines, state, strict=True))
        return None if None in after else after

    def accepts(self, state: tuple) -> bool:
        return all(m.accepts(s) for m, s in zip(self.machines, state, strict=True))

    def _after_any(self, state: tuple, ranges: Ranges) -> set[tuple]:
        """Give the states after one character out of `ranges`: one is tried between each two cuts."""
        tried = {max(cut, low) for low, high in ranges for cut in (low, *self.cuts) if cut <= high}
        tried = {c for c in tried if not 0xD800 <= c <= 0xDFFF}
        return {after for c in tried if (after := self.step(state, c)) is not None}

    def is_live(self, state: tuple) -> bool:
        """Search ahead for an accepting state; what a search in vain has seen is dead."""
        seen, todo = {state}, [state]
        while todo:
            state = todo.pop()
            if self._live.get(state) or self.accepts(state):
                self._live[state] = True
                return True
            for after in self.after_any(state, CHARACTERS) - seen:
                if self._live.get(after) is not False:
                    seen.add(after)
                    todo.append(after)
        self._live.update(dict.fromkeys(seen, False))
        return False


class Text(NamedTuple):
    """Item: the rest of a text of a language; `pending` are the bytes of an incomplete character."""

    language: Language
    state: tuple
    pending: bytes = b""

    @property
    def is_nullable(self) -> bool:
        return not self.pending and self.language.accepts(self.state)

    @property
    def is_live(self) -> bool:
        if not self.pending:
            return self.language.is_live(self.state)
        ranges = _characters(self.pending, self.language.in_json)[0]
        return any(map(self.language.is_live, self.language.after_any(self.state, ranges)))

    def step(self, byte: int) -> Text | None:
        pending = self.pending + bytes([byte])
        ranges, is_complete = _characters(pending, self.language.in_json)
        if not ranges:
            return None
        if not is_complete:
            return self._replace(pending=pending)
        state = self.language.step(self.state, ranges[0][0])
        return None if state is None else Text(self.language, state)


def text(machines: Iterable[Any], in_json: bool) -> Text:
    language = Language(machines, in_json)
    return Text(language, language.start)


ESCAPES = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))


@functools.cache
def _characters(pending: bytes, in_json: bool) -> tuple[Ranges, bool]:
    """Give the code points that a character begun with these bytes may be, and whether it's complete."""
    if in_json and pending[0] == ord("\\"):
        return _escaped(pending)
    if in_json and (pending[0] < 0x20 or pending[0] == ord('"')):
        return (), False
    lead = pending[0]
    if lead < 0x80:
        return ((lead, lead),), True
    for size, first, least, most in (
        (2, 0xC0, 0x80, 0x7FF),
        (3, 0xE0, 0x800, 0xFFFF),
        (4, 0xF0, 0x10000, LAST),
    ):
        if first <= lead < first + (0x80 >> size) and all(0x80 <= byte < 0xC0 for byte in pending[1:]):
            value = lead - first
            for byte in pending[1:]:
                value = value << 6 | byte & 0x3F
            unknown = 6 * (size - len(pending))
            low, high = value << unknown, (value + 1 << unknown) - 1
            ranges = _both(((max(low, least), min(high, most)),), CHARACTERS)
            return ranges, unknown == 0
    return (), False


def _escaped(pending: bytes) -> tuple[Ranges, bool]:
    if len(pending) == 1:
        return CHARACTERS, False
    if pending[1] in ESCAPES:
        return ((ESCAPES[pending[1]],) * 2,), True
    match = re.fullmatch(rb"\\u([0-9a-fA-F]{0,4})(?:(?<=\\u....)(\\(?:u([0-9a-fA-F]{0,4}))?))?", pending)
    if not match:
        return (), False
    low, high = _hexadecimal(match[1])
    if not match[2]:
        pairs = ((max(low, 0xD800) - 0xD800 << 10) + 0x10000, ((min(high, 0xDBFF) - 0xD800) << 10) + 0x103FF)
        ranges = _both(((low, high),), CHARACTERS) + ((pairs,) if pairs[0] <= pairs[1] else ())
        return ranges, low == high and not 0xD800 <= low <= 0xDBFF
    if not 0xD800 <= low <= 0xDBFF:
        return (), False
    second, last = _hexadecimal(match[3] or b"")
    base = (low - 0xD800 << 10) + 0x10000
    pairs = base + max(second, 0xDC00) - 0xDC00, base + min(last, 0xDFFF) - 0xDC00
    return ((pairs,) if pairs[0] <= pairs[1] else ()), second == last


def _hexadecimal(digits: bytes) -> tuple[int, int]:
    unknown = 4 * (4 - len(digits))
    value = int(digits or b"0", 16)
    return value << unknown, (value + 1 << unknown) - 1


def _both(one: Ranges, other: Ranges) -> Ranges:
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple((low, high) for low, high in pairs if low <= high)


# ---- Numbers between bounds --------------------------------------------------------------------------------


class Bounds(NamedTuple):
    """Lowest and highest value (None: no limit), and whether each is left out."""

    low: Fraction | None = None
    high: Fraction | None = None
    without_low: bool = False
    without_high: bool = False

    def meet(
        self, low: Fraction | None, high: Fraction | None, without_low: bool, without_high: bool
    ) -> Bounds:
        """Give the bounds that hold where these and those hold."""
        if low is None or (self.low is not None and (self.low, self.without_low) >= (low, without_low)):
            low, without_low = self.low, self.without_low
        if high is None or (
            self.high is not None and (-self.high, self.without_high) >= (-high, without_high)
        ):
            high, without_high = self.high, self.without_high
        return Bounds(low, high, without_low, without_high)

    @property
    def hold_a_decimal(self) -> bool:
        """Whether some decimal fraction lies between; the bounds are decimal fractions themselves."""
        if self.low is None or self.high is None or self.low < self.high:
            return True
        return self.low == self.high and not (self.without_low or self.without_high)

    @property
    def hold_an_integer(self) -> bool:
        if self.low is None or self.high is None:
            return True
        low = math.floor(self.low) + 1 if self.without_low else math.ceil(self.low)
        high = math.ceil(self.high) - 1 if self.without_high else math.floor(self.high)
        return low <= high


#: No bound of the tests is as large, or as small, as 10 to this.
FAR = 12


class Number(NamedTuple):
    """Item: a number whose value lies within bounds; `begun` is what is written of it.

    It has no exponent, or, where it isn't an integer, one after a single digit before the point that isn't 0.
    """

    bounds: Bounds
    is_integer: bool
    begun: str = ""

    @property
    def is_nullable(self) -> bool:
        form = r"-?(0|[1-9][0-9]*)"
        if not self.is_integer:
            form += r"(\.[0-9]+)?|-?[1-9](\.[0-9]+)?[eE][+-]?[0-9]+"
        if not re.fullmatch(form, self.begun):
            return False
        mantissa, _, power = self.begun.lower().partition("e")
        value = Fraction(mantissa) * Fraction(10) ** max(min(int(power or 0), FAR), -FAR)
        return self.bounds.meet(value, value, False, False).hold_a_decimal

    @property
    def is_live(self) -> bool:
        return self._is_live_without_exponent or (not self.is_integer and self._is_live_with_exponent)

    @property
    def _is_live_with_exponent(self) -> bool:
        """Tell whether an exponent from -FAR to FAR leads into the bounds; those beyond do so as FAR does."""
        match = re.fullmatch(r"-?(?:([1-9])(?:\.([0-9]*))?)?(?:(?<=[0-9])[eE]([+-]?)([0-9]*))?", self.begun)
        if match is None:
            return False
        first, decimals, sign, digits = match.groups()
        low = Fraction(f"{first or 1}.{decimals or 0}")
        high = Fraction(10) if first is None else low + Fraction(1, 10 ** len(decimals or ""))
        powers = range(-FAR, FAR + 1)
        if sign is not None:  # the mantissa is complete
            powers = [p for p in powers if (p <= 0 if sign == "-" else p >= 0) or (not sign and not digits)]
            begin = digits.lstrip("0")
            powers = [p for p in powers if str(abs(p)).startswith(begin)] if begin else powers
            if begin:
                powers.append(min(int(begin), FAR) * (-1 if sign == "-" else 1))
            values = [low * Fraction(10) ** power for power in powers]
            values = [-value for value in values] if self.begun.startswith("-") else values
            return any(self.bounds.meet(value, value, False, False).hold_a_decimal for value in values)
        scales = (Fraction(10) ** power for power in powers)
        return any(self._holds(self._between(low * scale, high * scale)) for scale in scales)

    @property
    def _is_live_without_exponent(self) -> bool:
        form = r"-?(0|[1-9][0-9]*)?" if self.is_integer else r"-?((0|[1-9][0-9]*)(\.[0-9]*)?)?"
        if not re.fullmatch(form, self.begun):
            return False
        if not self.begun:
            return self._holds(self.bounds)
        return any(self._holds(self._between(low, high)) for low, high in self._sizes(self.begun.lstrip("-")))

    def step(self, byte: int) -> Number | None:
        return self._replace(begun=self.begun + chr(byte)) if chr(byte) in "-+.0123456789eE" else None

    def _holds(self, bounds: Bounds) -> bool:
        return bounds.hold_an_integer if self.is_integer else bounds.hold_a_decimal

    def _between(self, low: Fraction, high: Fraction | None) -> Bounds:
        """Give the bounds of the values v with low <= v < high, or of -v after a minus sign."""
        if self.begun.startswith("-"):
            return self.bounds.meet(None if high is None else -high, -low, True, False)
        return self.bounds.meet(low, high, False, True)

    def _sizes(self, digits: str) -> Iterator[tuple[Fraction, Fraction | None]]:
        """Give intervals [low, high) whose union is the sizes of the numbers that begin with `digits`."""
        whole, _, decimals = digits.partition(".")
        if not digits:
            yield Fraction(0), None
        elif "." in digits or whole == "0":
            # "0" can't grow to the left; for an integer it is 0 alone, the only one in [0, 1)
            yield (
                Fraction(whole + "." + (decimals or "0")),
                Fraction(int(whole + decimals) + 1, 10 ** len(decimals)),
            )
        else:
            reach = max((abs(bound) for bound in self.bounds[:2] if bound is not None), default=Fraction(0))
            low, high = Fraction(whole), Fraction(int(whole) + 1)
            while True:  # longer numbers are larger; beyond both bounds one more can't be better than this
                yield low, high
                if low > reach:
                    return
                low, high = 10 * low, 10 * high
