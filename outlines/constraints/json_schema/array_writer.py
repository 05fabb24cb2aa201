"""Writes the arrays of a case: one element after another, with what must be remembered of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from outlines.constraints.items import Alternatives, Item, Literal, Symbols
from outlines.constraints.json_schema.array_states import ArrayStates, Counts
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.layout import Depth
from outlines.constraints.json_schema.membership import identity
from outlines.constraints.json_schema.objects import Formula
from outlines.constraints.json_schema.value_sets import NamedCase, StringCase
from outlines.constraints.recorded import Recorded, Sink

if TYPE_CHECKING:
    from outlines.constraints.json_schema.writer import Writer

__all__ = ["ArrayWriter", "StatefulArrayWriter"]

#: Where an array goes on: the index, how many elements are still to come, the counts of each kind.
After: TypeAlias = "tuple[int, int, int | None, Counts]"

_ANY_STRING = StringCase()
_COMMA = Literal(b",")
_OPEN_ARRAY = Literal(b"[")
_CLOSE_ARRAY = Literal(b"]")


class ArrayWriter:
    """Writes a case where what follows element i depends on i alone, with the bounds on how many."""

    def __init__(self, writer: Writer, case: ArrayCase, depth: Depth):
        self.writer = writer
        self.depth = depth
        self.below = writer.layout.below(depth)
        self.case = case
        self.low = case.low
        self.high = case.high
        # The first element that has no value is where every array must have ended.
        for i in range(len(case.prefix) + 1):
            if (self.high is None or i < self.high) and not writer.document.is_inhabited(case.element(i)):
                self.high = i
        self._rests: dict[tuple[int, int, int | None], Elements] = {}

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._rests.clear()

    def symbols(self) -> Symbols:
        """Give an array of the case."""
        start = self.rest(0, self.low, self.high)
        return _OPEN_ARRAY, *self.writer.layout.opened(), start

    def rest(self, index: int, low: int, high: int | None) -> Elements:
        """Give what follows `index` elements with `low` to `high` still to come."""
        if index > len(self.case.prefix) + 1:
            index = len(self.case.prefix) + 1  # beyond the prefix all places are alike
        key = (index, low, high)
        found = self._rests.get(key)
        if found is None:
            found = self._rests[key] = Elements(self, *key)
        return found


class Elements(Item):
    """The rest of an array after some elements, with its closing bracket."""

    __slots__ = ("array", "index", "low", "high")

    def __init__(self, array: ArrayWriter, index: int, low: int, high: int | None):
        self.array = array
        self.index = index
        self.low = low
        self.high = high

    def release(self) -> None:
        """Let the array's writer forget this."""
        self.array.release()

    def expand(self) -> Alternatives:
        """Give the end, where enough are there, and one more element, where there's room."""
        array, index = self.array, self.index
        layout, depth = array.writer.layout, array.depth
        alternatives: list[Symbols] = []
        if self.low == 0:
            end = layout.closing_array(depth) if index else layout.empty_array(array.case.high != 0)
            alternatives.append((*end, _CLOSE_ARRAY))
        if self.high is None or self.high > 0:
            value = array.writer.value(array.case.element(index), array.below)
            rest = array.rest(index + 1, max(self.low - 1, 0), None if self.high is None else self.high - 1)
            begin = (*layout.array_comma, _COMMA, *layout.next(depth)) if index else layout.first(depth)
            alternatives.append((*begin, value, rest))
        return alternatives


class StatefulArrayWriter:
    """Writes a case where what may follow depends on the elements: their kinds are counted, or all must differ."""

    def __init__(self, writer: Writer, states: ArrayStates, depth: Depth):
        self.writer = writer if states.case.is_unique is None else writer.comparing
        self.depth = depth
        self.below = writer.layout.below(depth)
        self.states = states
        self.case = states.case
        #: Whether the elements that are strings may be any string.
        self.has_open_strings = bool(self.case.is_unique) and not self.case.kinds and all(
            map(self._is_open, (*self.case.prefix, self.case.rest))
        )
        self._rests: dict[tuple, MoreElements] = {}

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._rests.clear()

    def symbols(self) -> Symbols:
        """Give an array of the case."""
        case = self.case
        start = self.rest(0, case.low, case.high, self.states.start, (), case.is_unique is False)
        return _OPEN_ARRAY, *self.writer.layout.opened(), start

    def _is_open(self, formula: Formula) -> bool:
        strings = [
            case
            for case in self.writer.document.value_set(formula)
            if isinstance(case, StringCase) or (isinstance(case, NamedCase) and isinstance(case.value, str))
        ]
        return all(case == _ANY_STRING for case in strings)

    def rest(
        self, index: int, low: int, high: int | None, counts: Counts, seen: tuple, wants_pair: bool
    ) -> MoreElements:
        """Give what follows some elements; `seen` are their values where they matter, with their formulas."""
        index = min(index, self.states.last + 1)
        key = (index, low, high, counts, frozenset(key for key, _ in seen), wants_pair)
        found = self._rests.get(key)
        if found is None:
            found = self._rests[key] = MoreElements(self, index, low, high, counts, seen, wants_pair)
        return found

    def is_live(
        self, index: int, low: int, high: int | None, counts: Counts, seen: tuple, wants_pair: bool
    ) -> bool:
        """Tell whether the array may end from there."""
        document = self.writer.document
        ask = document.is_inhabited
        if not self.states.is_live(index, low, high, counts, ask):
            return False
        if wants_pair:
            return any(True for _ in self.states.pairs(index, low, high, counts, ask, self.written(seen)))
        keys = [key for key, _ in seen]
        return not self.case.is_unique or self.states.may_differ(
            index, low, high, counts, keys, ask, self.states.values
        )

    def written(self, seen: tuple) -> Formula:
        """Give the formula of the values that were written."""
        return self.writer.document.either([value for _, value in seen])


class MoreElements(Item):
    """The rest of an array after some elements, with its closing bracket."""

    __slots__ = ("array", "index", "low", "high", "counts", "seen", "wants_pair")

    def __init__(
        self, array: StatefulArrayWriter, index: int, low: int, high: int | None, counts: Counts, seen: tuple,
        wants_pair: bool,
    ):  # fmt: skip
        self.array = array
        self.index = index
        self.low = low
        self.high = high
        self.counts = counts
        self.seen = seen
        self.wants_pair = wants_pair

    def release(self) -> None:
        """Let the array's writer forget this."""
        self.array.release()

    def expand(self) -> Alternatives:
        """Give the end, where enough are there, and each way to write one more element, where there's room."""
        array, index = self.array, self.index
        layout, depth = array.writer.layout, array.depth
        states = array.states
        ways: list[Symbols] = []
        if self.low == 0 and not self.wants_pair and states.is_live(index, 0, 0, self.counts, _never, {}):
            end = layout.closing_array(depth) if index else layout.empty_array(array.case.high != 0)
            ways.append((*end, _CLOSE_ARRAY))
        if self.high == 0:
            return ways
        lead = (*layout.array_comma, _COMMA, *layout.next(depth)) if index else layout.first(depth)
        for formula, of in states.options(index):
            counts = states.after(self.counts, of)
            if counts is not None:
                ways += [(*lead, *way) for way in self._elements(formula, counts)]
        return ways

    def _elements(self, formula: Formula, counts: Counts) -> list[Symbols]:
        array = self.array
        document = array.writer.document
        low, high = max(self.low - 1, 0), None if self.high is None else self.high - 1
        after: After = (self.index + 1, low, high, counts)
        if array.case.is_unique is None or (array.case.is_unique is False and not self.wants_pair):
            if not document.is_inhabited(formula) or not array.is_live(*after, (), False):
                return []
            return [(array.writer.value(formula, array.below), array.rest(*after, (), False))]
        written = array.written(self.seen)
        others = formula | document.negate(written) if self.seen else formula
        ways: list[Symbols] = []
        sink = WrittenElement(array, after, self.seen, self.wants_pair)
        if self.wants_pair:
            if not array.is_live(*after, self.seen, True):  # then one to come must be equal to this one
                others |= document.either(array.states.pairs(*after, document.is_inhabited, first=formula))
            is_possible = array.is_live(*after, (), False)
        else:
            others = self._without_dead_ends(others, after)
            is_possible = array.is_live(*after, self.seen, False)
        if is_possible and document.is_inhabited(others):
            ways.append((Recorded((array.writer.value(others, array.below),), b"", sink),))
        again = formula | written
        if self.wants_pair and self.seen and document.is_inhabited(again) and array.is_live(*after, (), False):
            ways.append((array.writer.value(again, array.below), array.rest(*after, (), False)))
        return ways

    def _without_dead_ends(self, formula: Formula, after: After) -> Formula:
        """Leave out the values that elements still to come can't do without."""
        array = self.array
        document = array.writer.document
        index, _, _, counts = after
        states = array.states
        if after[1] == 0 and states.accepts(counts):
            return formula
        dead = []
        later = dict.fromkeys(part for i in range(index, max(index, states.last) + 1) for part, _ in states.options(i))
        for part in later:
            for key, value in (states.values.of(part) or {}).items():
                constant = document.constant(value)
                if not array.is_live(*after, (*self.seen, (key, constant)), False):
                    dead.append(constant)
        return formula | document.negate(document.either(dead)) if dead else formula


class WrittenElement(Sink):
    """An element whose value is remembered."""

    def __init__(self, array: StatefulArrayWriter, after: After, seen: tuple, wants_pair: bool):
        super().__init__()
        self._array = array
        self._after = after
        self._seen = seen
        self._wants_pair = wants_pair
        self.has_open_strings = not wants_pair and array.has_open_strings

    def after(self, text: bytes) -> Symbols:
        """Give the rest of the array once the element is this text; none where it can't be one of the array."""
        value: Any = json.loads(text, parse_float=Decimal, parse_int=_integer)
        key = identity(value)
        seen = (*self._seen, (key, self._array.writer.document.constant(value)))
        if not self._array.is_live(*self._after, seen, self._wants_pair):
            return (DEAD_END,)
        return (self._array.rest(*self._after, seen, self._wants_pair),)

    def otherwise(self) -> Symbols:
        """Give the rest of the array as if the element might come again."""
        return (self._array.rest(*self._after, self._seen, self._wants_pair),)

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        super().release()
        self._array.release()


def _integer(text: str) -> int | Decimal:
    """Read an integer; Python refuses to read one with thousands of digits."""
    return int(text) if len(text) < 1000 else Decimal(text)


class _DeadEnd(Item):
    """What no text satisfies."""

    def expand(self) -> Alternatives:
        return ()


DEAD_END = _DeadEnd()


def _never(formula: Formula) -> bool:
    return False
