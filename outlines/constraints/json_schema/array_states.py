"""What must be remembered of the elements written so far, where counts of a kind depend on it, and distinct elements.

A state is the index of the next element, as far as it matters, and the counts of each kind. From a state, the numbers
of elements with which the array may end are a set of bits; they decide with the bounds whether the state is live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.distinct import MANY_VALUES, FiniteValues, can_differ
from outlines.constraints.json_schema.object_states import Ask
from outlines.constraints.json_schema.objects import NEVER, Formula
from outlines.exceptions import LimitError

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["ArrayStates", "Counts"]

#: How many elements of each kind there are, as far as it matters.
Counts = tuple

#: Kinds that one element is told apart by.
MAX_KINDS = 8

#: States of one array that are looked at.
MAX_ARRAY_STATES = 50_000

#: Elements that must differ, where it isn't plain that there are enough values, and ways to choose them.
MAX_DISTINCT = 2000


class ArrayStates:
    """The states of the arrays of a case."""

    def __init__(self, document: Document, case: ArrayCase):
        self._document = document
        self.case = case
        self.start: Counts = (0,) * len(case.kinds)
        self.last = max([len(case.prefix), *(kind.start for kind in case.kinds)])  # from there on all are alike
        self._cap = self.last + sum(kind.low + 1 if kind.high is None else kind.high + 1 for kind in case.kinds) + 2
        if self._cap > MAX_ARRAY_STATES:
            raise LimitError("MAX_ARRAY_STATES", f"an array's elements are counted up to {self._cap}, above "
                             f"{MAX_ARRAY_STATES}; lower minContains or maxContains")  # fmt: skip
        self._num_values = max(MANY_VALUES, min(case.low, MAX_DISTINCT), *(kind.low for kind in case.kinds))
        self._values: FiniteValues | None = None
        self._options: dict[int, list[tuple[Formula, Counts]]] = {}
        self._known: dict[tuple[int, Counts], int] = {}

    def options(self, index: int) -> list[tuple[Formula, tuple[int, ...]]]:
        """Give the ways to write an element: a formula, and the kinds that it is of."""
        index = min(index, self.last)
        found = self._options.get(index)
        if found is None:
            formula = self.case.element(index)
            found = [(formula, ())]
            kinds = [(j, kind) for j, kind in enumerate(self.case.kinds) if kind.start <= index]
            if len(kinds) > MAX_KINDS:
                raise LimitError("MAX_KINDS", f"an element is told apart by more than {MAX_KINDS} kinds (by contains)")
            negate = self._document.negate
            for j, kind in kinds:
                if kind.formula <= formula:
                    found = [(part, (*of, j)) for part, of in found]
                elif not (kind.formula >= NEVER or negate(kind.formula) <= formula):
                    found = [
                        way
                        for part, of in found
                        for way in ((part | kind.formula, (*of, j)), (part | negate(kind.formula), of))
                    ]
            found = [(part, of) for part, of in found if not part >= NEVER]
            self._options[index] = found
        return found

    def after(self, counts: Counts, of: Iterable[int]) -> Counts | None:
        """Give the counts after an element of some kinds; None if there are too many of one."""
        result = list(counts)
        for j in of:
            kind = self.case.kinds[j]
            if kind.high is not None and result[j] >= kind.high:
                return None
            if kind.high is not None or result[j] < kind.low:
                result[j] += 1
        return tuple(result)

    def accepts(self, counts: Counts) -> bool:
        """Tell whether there are enough of each kind."""
        return all(count >= kind.low for count, kind in zip(counts, self.case.kinds, strict=True))

    def is_live(
        self, index: int, low: int, high: int | None, counts: Counts, ask: Ask, known: dict | None = None
    ) -> bool:
        """Tell whether `low` to `high` more elements can lead to where the array may end."""
        if high is not None and high < low:
            return False
        lengths = self._lengths(min(index, self.last), counts, ask, self._known if known is None else known)
        first = min(low, self._cap)
        last = self._cap if high is None else min(high, self._cap)
        return lengths >> first & ((2 << (last - first)) - 1) != 0

    def _lengths(self, index: int, counts: Counts, ask: Ask, known: dict) -> int:
        """Give the numbers of elements still to come with which the array may end; the cap stands for all above."""
        start = (index, counts)
        stack = [start]
        full = (2 << self._cap) - 1
        while stack:
            at = stack[-1]
            if at in known:
                stack.pop()
                continue
            index, counts = at
            following = [
                (min(index + 1, self.last), after)
                for formula, of in self.options(index)
                if (after := self.after(counts, of)) is not None and ask(formula)
            ]
            pending = [child for child in following if child != at and child not in known]
            if pending:
                stack += pending
                if len(known) + len(stack) > MAX_ARRAY_STATES:
                    raise LimitError("MAX_ARRAY_STATES", f"an array's elements are counted in more than "
                                     f"{MAX_ARRAY_STATES} states; make its conditions simpler")  # fmt: skip
                continue
            lengths = int(self.accepts(counts))
            for child in following:
                if child != at:
                    longer = known[child] << 1
                    lengths |= (longer & full) | (1 << self._cap if longer > full else 0)
            if at in following and lengths:
                lengths |= full & -(lengths & -lengths)  # one more of these may always come
            known[at] = lengths
            stack.pop()
        return known[start]

    def has_value(self, ask: Ask) -> bool:
        """Tell whether the case has an array, by what is known of the formulas so far."""
        case = self.case
        if not self.is_live(0, case.low, case.high, self.start, ask, {}):
            return False
        if case.is_unique is None:
            return True
        if case.is_unique:
            values = FiniteValues(self._document, ask, self._num_values)
            return self.may_differ(0, case.low, case.high, self.start, (), ask, values)
        return any(True for _ in self.pairs(0, case.low, case.high, self.start, ask))

    # Distinct elements

    @property
    def values(self) -> FiniteValues:
        """The values of formulas that have few, once it's certain which have any."""
        if self._values is None:
            self._values = FiniteValues(self._document, self._document.is_inhabited, self._num_values)
        return self._values

    def may_differ(
        self, index: int, low: int, high: int | None, counts: Counts, seen: Collection[Any], ask: Ask,
        values: FiniteValues,
    ) -> bool:  # fmt: skip
        """Tell whether `low` to `high` more elements, all different and none of those seen, can lead to an end."""
        num_wanted = self._num_wanted(counts)
        if low == 0 and num_wanted == 0:
            return True
        if low + len(seen) > MAX_DISTINCT and not values.is_endless(self.case.rest):
            raise LimitError("MAX_DISTINCT", f"an array of more than {MAX_DISTINCT} elements that must differ, of "
                             "which there may be too few; lower minItems, or leave uniqueItems out")  # fmt: skip
        if not self.case.kinds:
            length = min(low, max(len(self.case.prefix) - index, 0) + self._num_values + 1)
            return can_differ([values.of(self.case.element(index + i)) for i in range(length)], seen)
        longest = low + max(self.last - index, 0) + num_wanted
        found: set[tuple[int, Counts, tuple[Formula, ...]]] = {(0, counts, ())}
        stack: list[tuple[int, Counts, tuple[Formula, ...]]] = list(found)
        while stack:
            number, counts, chosen = stack.pop()
            if number >= low and self.accepts(counts):
                return True
            if number in (longest, high):
                continue
            for formula, of in reversed(self.options(index + number)):
                after = self.after(counts, of)
                if after is None or not ask(formula):
                    continue
                is_few = values.of(formula) is not None
                state = (number + 1, after, tuple(sorted((*chosen, formula), key=sorted)) if is_few else chosen)
                if state in found:
                    continue
                found.add(state)
                if len(found) > MAX_DISTINCT:
                    raise LimitError("MAX_DISTINCT", "elements that must differ, some of a kind, are chosen in more "
                                     f"than {MAX_DISTINCT} ways; make contains or uniqueItems simpler")  # fmt: skip
                if not is_few or can_differ([values.of(part) for part in state[2]], seen):
                    stack.append(state)
        return False

    def _num_wanted(self, counts: Counts) -> int:
        return sum(max(kind.low - count, 0) for count, kind in zip(counts, self.case.kinds, strict=True))

    def pairs(
        self, index: int, low: int, high: int | None, counts: Counts, ask: Ask, written: Formula = NEVER,
        first: Formula | None = None,
    ) -> Iterator[Formula]:  # fmt: skip
        """Give the formulas of elements to come that may be equal to an earlier one, so that the array may end.

        The earlier one is one of those written, or `first`, or where that's None one to come.
        """
        longest = max(self.last - index, 0) + 2  # beyond, all places are alike
        start = (0, counts, first)
        found, stack = {start}, [start]
        while stack:
            number, counts, pending = stack.pop()
            if number in (longest, high):
                continue
            for formula, of in self.options(index + number):
                after = self.after(counts, of)
                if after is None or not ask(formula):
                    continue
                further = [(number + 1, after, pending)]
                if pending is None:
                    further.append((number + 1, after, formula))
                found_equal = pending is not None and ask(pending | formula)
                if found_equal or (written != NEVER and ask(written | formula)):
                    left = None if high is None else high - number - 1
                    if self.is_live(index + number + 1, max(low - number - 1, 0), left, after, ask, {}):
                        yield formula
                stack += [state for state in further if state not in found]
                found.update(further)
