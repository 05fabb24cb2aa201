"""Meets, differences and unions of cases: allOf, anyOf, oneOf, not, if and the dependencies, on value sets.

What an object must not be is kept as exclusions of a case and not multiplied out; most of them are settled at once:
those that share no value with the case are dropped, and one that leaves a single way out is that way (unit
propagation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from outlines.constraints.expression import complement, intersection, union
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.membership import contains, exact, identity
from outlines.constraints.json_schema.objects import NEVER, Formula, ObjectCase, spellings
from outlines.constraints.json_schema.text import STRING_REST
from outlines.constraints.json_schema.value_sets import (
    Case,
    NamedCase,
    NumberCase,
    StringCase,
    WordCase,
    is_empty_scalar,
    json_type,
    meet,
)
from outlines.exceptions import LimitError

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["EVERYTHING", "Algebra", "CircularError"]

#: Cases of one value set; a union of products past it is an error and not a long wait.
MAX_CASES = 4096

#: Exclusions of one case.
MAX_EXCLUSIONS = 64

#: Unions of branches that an anyOf below unevaluated* may need.
MAX_SUBSETS = 256

#: How many members deep two cases are compared before they count as sharing values.
_DEPTH = 3

EVERYTHING: tuple[Case, ...] = (
    WordCase(b"null"),
    WordCase(b"true"),
    WordCase(b"false"),
    NumberCase(),
    StringCase(),
    ArrayCase(),
    ObjectCase(),
)


#: Cases that have all values of a type.
_ALL_OF_A_TYPE = frozenset(case for case in EVERYTHING if not isinstance(case, WordCase))


class CircularError(Exception):
    """The cases of a place are asked for while they are being found."""


class Algebra:
    """The algebra of the cases of a document."""

    def __init__(self, document: Document):
        self.document = document
        self._empty: dict[tuple[Formula, int], bool] = {}
        self._nesting = 0
        self._named: dict[Formula, frozenset[Any] | None] = {}

    def release(self) -> None:
        """Forget what leads back to the document."""
        del self.document

    # Meets

    def meet_all(self, sets: Iterable[Iterable[Case]], pointer: Callable[[], str]) -> list[Case]:
        """Give the meet of unions of cases; `pointer` tells the place for a message."""
        result: list[Case] | None = None
        for cases in sets:
            result = list(cases) if result is None else self._meet_both(result, list(cases))
            self.check_size(result, pointer)
        return list(EVERYTHING) if result is None else result

    def check_size(self, cases: Sequence[Case], pointer: Callable[[], str]) -> None:
        """Check that a union isn't too large."""
        if len(cases) > MAX_CASES and sum(not isinstance(case, NamedCase) for case in cases) > MAX_CASES:
            raise LimitError("MAX_CASES", f"{pointer()}: the alternatives multiply to more than {MAX_CASES} cases")

    def _meet_both(self, left: list[Case], right: list[Case]) -> list[Case]:
        """Meet two unions; values that are named on both sides are found by what they are, not pair by pair."""
        named = {identity(case.value) for case in right if isinstance(case, NamedCase) and not case.within}
        others = [case for case in right if not isinstance(case, NamedCase) or case.within]
        is_large = len(left) * len(right) > 8
        result: list[Case] = []
        for case in left:
            if isinstance(case, NamedCase):
                if identity(case.value) in named:
                    result.append(case)
                else:
                    met = (self.meet_pair(case, other) for other in others)
                    result += [found for found in met if found is not None][:1]
                continue
            for other in right:
                found = self.meet_pair(case, other)
                if found is not None and not (is_large and self.is_cheaply_empty(found)):
                    result.append(found)
        return result

    def meet_pair(self, left: Case, right: Case) -> Case | None:
        """Give the meet of two cases; None if it's seen to be empty."""
        if isinstance(left, NamedCase):
            return self._filtered(left, right)
        if isinstance(right, NamedCase):
            return self._filtered(right, left)
        met = meet(left, right)
        if isinstance(met, NumberCase | StringCase):
            return None if is_empty_scalar(met) else met
        if isinstance(met, ObjectCase) and met.exclusions:
            return self.simplify(met)
        return met

    def _filtered(self, named: NamedCase, case: Case) -> NamedCase | None:
        """Give a named value if it's in a case; where that can't be told yet, it's kept beside the value."""
        try:
            return named if contains(case, named.value, self.satisfies) else None
        except CircularError:
            return NamedCase(named.value, (*named.within, case))

    def satisfies(self, formula: Formula, value: Any) -> bool:
        """Tell whether a value that the schema names is in a formula."""
        return any(contains(case, value, self.satisfies) for case in self.document.value_set(formula))

    # Differences

    def complement(self, cases: Sequence[Case], pointer: Callable[[], str]) -> list[Case]:
        """Give the values that are in none of some cases."""
        result = [found for case in EVERYTHING for found in self.subtract(case, cases)]
        self.check_size(result, pointer)
        return result

    def subtract(self, case: Case, others: Sequence[Case]) -> list[Case]:
        """Give the values of a case that are in none of some others, as a union."""
        if isinstance(case, WordCase):
            return [] if any(self._has_word(other, case) for other in others) else [case]
        if isinstance(case, NamedCase):
            return [] if any(contains(other, case.value, self.satisfies) for other in others) else [case]
        if isinstance(case, ObjectCase):
            excluded = [part for other in others if isinstance(part := self.spelt_out(other), ObjectCase)]
            if not excluded:
                return [case]
            found = self.simplify(case.without(excluded))
            return [] if found is None else [found]
        if isinstance(case, NumberCase):
            numbers = [other for other in others if _is_number(other)]
            named = frozenset(exact(other.value) for other in numbers if isinstance(other, NamedCase))
            start: list[Case] = [replace(case, excluded=case.excluded | named)] if named else [case]
            return self._subtract_each(start, [other for other in numbers if isinstance(other, NumberCase)])
        if isinstance(case, StringCase):
            words = [o.value for o in others if isinstance(o, NamedCase) and isinstance(o.value, str)]
            start = [case]
            if words:
                language = complement(union(*map(spellings, words)))
                start = [case.meet(StringCase(pattern=intersection(STRING_REST, language)))]
            return self._subtract_each(start, [other for other in others if isinstance(other, StringCase)])
        arrays = [part for other in others if isinstance(part := self.spelt_out(other), ArrayCase)]
        return self._subtract_each([case], arrays)

    def _has_word(self, case: Case, word: WordCase) -> bool:
        return case == word or (
            isinstance(case, NamedCase)
            and (case.value is None or isinstance(case.value, bool))
            and identity(case.value) == identity({b"null": None, b"true": True, b"false": False}[word.text])
        )

    def _subtract_each(self, parts: list[Case], others: Sequence[Any]) -> list[Case]:
        """Subtract scalars or arrays one by one: from each part what remains is a union."""
        for other in others:
            ways = other.complement(self.document.negate) if isinstance(other, ArrayCase) else other.complement()
            met = [self.meet_pair(part, way) for part in parts for way in ways]
            parts = [part for part in dict.fromkeys(met) if part is not None and not self.is_cheaply_empty(part)]
            if not parts:
                break
            self.check_size(parts, lambda: "the schema")
        return [part for part in parts if not (isinstance(part, NumberCase | StringCase) and is_empty_scalar(part))]

    def spelt_out(self, case: Case) -> Case:
        """Give a named array or object as a case of its kind, any other case as it is."""
        if isinstance(case, NamedCase) and isinstance(case.value, list | dict):
            found = self.constant(case.value)
            for other in case.within:
                met = self.meet_pair(found, other)
                if met is None:
                    return NamedCase(case.value, (WordCase(b""),))
                found = met
            return found
        return case

    def constant(self, value: Any) -> Case:
        """Give the one array or object that a value is."""
        constant = self.document.constant
        if isinstance(value, list):
            parts = tuple(constant(part) for part in value)
            return ArrayCase(parts, NEVER, len(parts), len(parts))
        names = tuple((name, constant(part)) for name, part in value.items())
        return ObjectCase(names, frozenset(value), NEVER)

    def simplify(self, case: ObjectCase) -> ObjectCase | None:
        """Settle the exclusions of a case as far as it's quickly told; None if nothing is left of it."""
        base, waiting = replace(case, exclusions=()), list(case.exclusions)
        kept: list[ObjectCase] = []
        negate = self.document.negate
        while waiting:
            exclusion = waiting.pop()
            if self.are_disjoint(base, exclusion):
                continue
            ways = []
            for way in exclusion.complement(negate):
                met = base.meet(way)
                if met == base and not way.exclusions:
                    break  # all of the case is outside of the exclusion
                if met is not None and not self.is_cheaply_empty(met):
                    ways.append(met)
            else:
                if not ways:
                    return None
                if len(ways) > 1:
                    kept.append(exclusion)
                    continue
                base = replace(ways[0], exclusions=())
                waiting += [*kept, *ways[0].exclusions]
                kept = []
            if len(waiting) + len(kept) > MAX_EXCLUSIONS:
                raise LimitError(
                    "MAX_EXCLUSIONS", f"an object must not be in more than {MAX_EXCLUSIONS} others (by not, oneOf, if)"
                )
        if self.is_cheaply_empty(base):
            return None
        return replace(base, exclusions=tuple(dict.fromkeys(kept))) if kept else base

    # What is quickly told

    def are_disjoint(self, left: Case, right: Case) -> bool:
        """Tell whether two cases are quickly seen to share no value."""
        if isinstance(left, ObjectCase) and isinstance(right, ObjectCase):
            for name in left.required & right.required:
                ours, theirs = self._named_values(left.at(name)), self._named_values(right.at(name))
                if ours is not None and theirs is not None and ours.isdisjoint(theirs):
                    return True
            met: Case | None = replace(left, exclusions=()).meet(replace(right, exclusions=()))
        else:
            met = self.meet_pair(left, right)
        return met is None or self.is_cheaply_empty(met)

    def _named_values(self, formula: Formula) -> frozenset[Any] | None:
        """Give the values of a formula where it only has named ones."""
        if not formula or not self.document.may_be_named(formula):
            return None
        if formula not in self._named:
            try:
                cases = self.document.value_set(formula)
            except CircularError:
                return None
            self._named[formula] = (
                frozenset(identity(case.value) for case in cases if isinstance(case, NamedCase))
                if all(isinstance(case, NamedCase) for case in cases)
                else None
            )
        return self._named[formula]

    def is_cheaply_empty(self, case: Case, depth: int = _DEPTH) -> bool:
        """Tell whether a case is quickly seen to be empty."""
        if isinstance(case, ObjectCase):
            if case.high is not None and len(case.required) > case.high:
                return True
            return any(self._is_cheaply_empty(case.at(name), depth) for name in case.required)
        if isinstance(case, ArrayCase):
            places = range(min(case.low, len(case.prefix) + 1))
            return any(self._is_cheaply_empty(case.element(i), depth) for i in places)
        return False

    def is_never(self, formula: Formula) -> bool:
        """Tell whether a formula is quickly seen to have no value."""
        return self._is_cheaply_empty(formula, _DEPTH)

    def _is_cheaply_empty(self, formula: Formula, depth: int) -> bool:
        if not formula:
            return False
        if formula >= NEVER:
            return True
        if depth == 0:
            return False
        found = self._empty.get((formula, depth))
        if found is None:
            if self._nesting == _DEPTH:  # finding its cases asks such questions too: no end is in sight
                return False
            self._nesting += 1
            try:
                cases = self.document.value_set(formula)
            except CircularError:
                return False
            finally:
                self._nesting -= 1
            found = all(self.is_cheaply_empty(case, depth - 1) for case in cases)
            self._empty[formula, depth] = found
        return found

    # Combinators

    def exactly_one(self, branches: Sequence[Sequence[Case]], pointer: Callable[[], str]) -> list[Case]:
        """Give the values that are in one of some unions and no more."""
        by_kind: dict[str, list[list[Case]]] = {}
        for i, branch in enumerate(branches):
            for case in branch:
                kinds = by_kind.setdefault(_kind(case), [[] for _ in branches])
                kinds[i].append(case)
        result: list[Case] = []
        for cases in by_kind.values():
            result += self._exactly_one([branch for branch in cases if branch])
            self.check_size(result, pointer)
        return result

    def _exactly_one(self, branches: list[list[Case]]) -> list[Case]:
        """Give the values of one type that are in one of some unions and no more."""
        if len(branches) == 1:
            return branches[0]
        if sum(any(case in _ALL_OF_A_TYPE for case in branch) for branch in branches) > 1:
            return []
        every = [case for branch in branches for case in branch]
        if all(isinstance(case, WordCase) for case in every):
            words = [word for branch in branches for word in set(branch)]
            return [word for word in dict.fromkeys(words) if words.count(word) == 1]
        if self._are_told_apart(branches):
            return [case for branch in branches for case in branch]
        counts: dict[Any, int] = {}
        for branch in branches:
            for key in {identity(case.value) for case in branch if isinstance(case, NamedCase) and not case.within}:
                counts[key] = counts.get(key, 0) + 1
        result: list[Case] = []
        for i, branch in enumerate(branches):
            others = [case for j, other in enumerate(branches) if j != i for case in other]
            unnamed = [case for case in others if not isinstance(case, NamedCase) or case.within]
            for case in branch:
                if isinstance(case, NamedCase) and not case.within:
                    result += self.subtract(case, unnamed) if counts[identity(case.value)] == 1 else []
                else:
                    result += self.subtract(case, others)
        return result

    def some(self, branches: Sequence[Sequence[Case]], pointer: Callable[[], str]) -> list[Case]:
        """Give the union of all meets of some of the branches, since each branch that holds looks at other parts."""
        subsets: list[Case] = []
        for branch in branches:
            met = (self.meet_pair(subset, case) for subset in subsets for case in branch)
            more = [case for case in met if case is not None and not self.is_cheaply_empty(case)]
            subsets = list(dict.fromkeys((*subsets, *branch, *more)))
            if len(subsets) > MAX_SUBSETS:
                raise LimitError(
                    "MAX_SUBSETS",
                    f"{pointer()}: below unevaluated keywords, the branches combine to more than {MAX_SUBSETS} cases",
                )
        return subsets

    def _are_told_apart(self, branches: Sequence[Sequence[Case]]) -> bool:
        """Tell at a glance that branches are of objects which one required member tells apart by its named values."""
        if not all(branch and isinstance(case, ObjectCase) for branch in branches for case in branch):
            return False
        objects = [[case for case in branch if isinstance(case, ObjectCase)] for branch in branches]
        if not all(objects):
            return False
        common = frozenset.intersection(*[case.required for branch in objects for case in branch])
        return any(self._tells_apart(name, objects) for name in common)

    def _tells_apart(self, name: str, branches: list[list[ObjectCase]]) -> bool:
        seen: set[Any] = set()
        for branch in branches:
            values: set[Any] = set()
            for case in branch:
                named = self._named_values(case.at(name))
                if named is None:
                    return False
                values |= named
            if not seen.isdisjoint(values):
                return False
            seen |= values
        return True


_KINDS = {WordCase: "word", NumberCase: "number", StringCase: "string", ArrayCase: "array", ObjectCase: "object"}


def _kind(case: Case) -> str:
    """Give the type of a case's values, integers being numbers."""
    if not isinstance(case, NamedCase):
        return _KINDS[type(case)]
    kind = json_type(case.value)
    return {"integer": "number", "null": "word", "boolean": "word"}.get(kind, kind)


def _is_number(case: Case) -> bool:
    return isinstance(case, NumberCase) or (
        isinstance(case, NamedCase)
        and isinstance(case.value, int | float | Decimal)
        and not isinstance(case.value, bool)
    )
