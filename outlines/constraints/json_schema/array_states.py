"""What must be remembered of the elements written so far, where counts of a kind depend on it, and distinct elements.

A state is the index of the next element, as far as it matters, and the counts of each kind. From a state, the numbers
of elements with which the array may end are a set of bits; they decide with the bounds whether the state is live.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.membership import decimal, identity
from outlines.constraints.json_schema.object_states import Ask, list_names
from outlines.constraints.json_schema.objects import NEVER, Formula
from outlines.constraints.json_schema.text import STRING_REST
from outlines.constraints.json_schema.value_sets import (
    Case,
    NamedCase,
    NumberCase,
    StringCase,
    WordCase,
    language_of,
)
from outlines.exceptions import LimitError

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["ArrayStates", "Counts", "distinct_values", "finite_values"]

#: How many elements of each kind there are, as far as it matters.
Counts = tuple

#: Kinds that one element is told apart by.
MAX_KINDS = 8

#: States of one array that are looked at.
MAX_ARRAY_STATES = 50_000

#: A formula with more values than this is taken for one with any number.
_MANY_VALUES = 300


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

    def _accepts(self, counts: Counts) -> bool:
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
            lengths = int(self._accepts(counts))
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
        if case.is_unique is False:
            return self.has_pair(ask)
        return case.is_unique is None or self.may_differ(0, case.low, self.start, ())

    def has_pair(self, ask: Ask) -> bool:
        """Tell whether two elements may be equal."""
        most = len(self.case.prefix) + 2
        places = range(most if self.case.high is None else min(most, self.case.high))
        return any(ask(self.case.element(i) | self.case.element(j)) for j in places for i in range(j))

    def may_differ(self, index: int, low: int, counts: Counts, seen: Sequence[Any]) -> bool:
        """Tell whether the next `low` elements, and those of the kinds that are wanted, can differ from those seen."""
        if low + len(seen) > 1 and not distinct_values(self._document, self.needed(index, low), seen):
            return False
        for count, kind in zip(counts, self.case.kinds, strict=True):
            wanted = min(kind.low - count, _MANY_VALUES + 1)
            if wanted > 0 and wanted + len(seen) > 1:
                formula = kind.formula if self.case.prefix else kind.formula | self.case.rest
                if not distinct_values(self._document, [formula] * wanted, seen):
                    return False
        return True

    def needed(self, index: int, low: int) -> list[Formula]:
        """Give the formulas of the next `low` elements; of those that are alike, as many as matter."""
        length = min(low, max(len(self.case.prefix) - index, 0) + _MANY_VALUES + 1)
        return [self.case.element(index + i) for i in range(length)]


def distinct_values(document: Document, formulas: Sequence[Formula], seen: Iterable[Any]) -> bool:
    """Tell whether each formula can have a value of its own, none of those seen (by their identity).

    Formulas with many values always can. The others are matched with their values one by one (augmenting paths).
    """
    taken = set(seen)
    by_formula: dict[Formula, list[Any] | None] = {}
    for formula in formulas:
        if formula not in by_formula:
            found = finite_values(document, formula)
            by_formula[formula] = None if found is None else [key for key in found if key not in taken]
    owner: dict[Any, int] = {}
    finite = [v for formula in formulas if (v := by_formula[formula]) is not None]
    for number in range(len(finite)):
        tried: set[Any] = set()
        path: list[tuple[int, Iterator[Any]]] = [(number, iter(finite[number]))]
        chosen: list[Any] = []
        while path:
            value = next((v for v in path[-1][1] if v not in tried), None)
            if value is None:
                path.pop()
                if chosen:
                    chosen.pop()
                continue
            tried.add(value)
            chosen.append(value)
            if value in owner:
                path.append((owner[value], iter(finite[owner[value]])))
                continue
            for (who, _), what in zip(path, chosen, strict=True):
                owner[what] = who
            break
        if not path:
            return False
    return True


def finite_values(document: Document, formula: Formula) -> dict[Any, Any] | None:
    """Give the values of a formula by their identity; None where there's no telling, or very many."""
    if document.is_lenient(formula) and not document.may_be_named(formula):
        return None
    found: dict[Any, Any] = {}
    for case in document.value_set(formula):
        members = _members(document, case)
        if members is None:
            return None
        for value in members:
            found[identity(value)] = value
            if len(found) > _MANY_VALUES:
                return None
    return found


def _members(document: Document, case: Case) -> Iterable[Any] | None:
    if isinstance(case, WordCase):
        return (None if case.text == b"null" else case.text == b"true",)
    if isinstance(case, NamedCase):
        return (case.value,)
    if isinstance(case, NumberCase):
        members = () if case.is_empty() else case.members()
        return None if members is None else map(decimal, members)
    if isinstance(case, StringCase):
        if case.high is None and case.pattern is STRING_REST:
            return None
        names = list_names(language_of(case)) if case.high is None or case.high <= _MANY_VALUES else None
        return None if names is None else map(json.loads, names)
    if isinstance(case, ArrayCase) and case.high == 0:
        return ([],)
    return None if document.has_value(case) else ()
