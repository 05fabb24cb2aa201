"""The arrays of a value set: what each element must be, how many there are, how many are of a kind."""

from __future__ import annotations

from dataclasses import dataclass, replace

from outlines.constraints.json_schema.objects import ANYTHING, NEVER, Formula, Negate, least

__all__ = ["ArrayCase", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """`low` to `high` elements, from an index on, in a formula; None is no bound."""

    start: int
    formula: Formula
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class ArrayCase:
    """The arrays whose elements are in `prefix` and then `rest`, `low` to `high` of them.

    `is_unique` says whether no two elements are equal (or that some are: False); None says nothing.
    """

    prefix: tuple[Formula, ...] = ()
    rest: Formula = ANYTHING
    low: int = 0
    high: int | None = None
    is_unique: bool | None = None
    kinds: tuple[Kind, ...] = ()
    #: Elements that a keyword has looked at, where unevaluatedItems asks: so many, and those in one of the formulas.
    num_evaluated: int | None = 0
    evaluated: frozenset[Formula] = frozenset()

    def element(self, index: int) -> Formula:
        """Give the formula of the element at an index."""
        return self.prefix[index] if index < len(self.prefix) else self.rest

    @property
    def is_plain(self) -> bool:
        """Whether what may follow an element depends on nothing but how many there are."""
        return self.is_unique is None and not self.kinds

    def meet(self, other: ArrayCase) -> ArrayCase | None:
        """Give the arrays in both; None if their lengths exclude each other, or one asks for what the other forbids."""
        low, high = max(self.low, other.low), least(self.high, other.high)
        if high is not None and low > high:
            return None
        uniques = {self.is_unique, other.is_unique} - {None}
        if len(uniques) > 1:
            return None
        length = max(len(self.prefix), len(other.prefix))
        counts = (self.num_evaluated, other.num_evaluated)
        return ArrayCase(
            tuple(self.element(i) | other.element(i) for i in range(length)), self.rest | other.rest, low, high,
            next(iter(uniques), None), tuple(dict.fromkeys((*self.kinds, *other.kinds))),
            None if None in counts else max(counts),  # type: ignore[type-var]
            self.evaluated | other.evaluated,
        )  # fmt: skip

    def complement(self, negate: Negate) -> list[ArrayCase]:
        """Give the arrays that aren't in the case, as a union."""
        cases = []
        for i, formula in enumerate(self.prefix):
            if formula:
                cases.append(ArrayCase((ANYTHING,) * i + (negate(formula),), low=i + 1))
        if self.rest == NEVER:  # an array this long has an element there
            cases.append(ArrayCase(low=len(self.prefix) + 1))
        elif self.rest:
            cases.append(ArrayCase(kinds=(Kind(len(self.prefix), negate(self.rest), 1, None),)))
        if self.low:
            cases.append(ArrayCase(high=self.low - 1))
        if self.high is not None:
            cases.append(ArrayCase(low=self.high + 1))
        if self.is_unique is not None:
            cases.append(ArrayCase(is_unique=not self.is_unique))
        for kind in self.kinds:
            if kind.low:
                cases.append(ArrayCase(kinds=(replace(kind, low=0, high=kind.low - 1),)))
            if kind.high is not None:
                cases.append(ArrayCase(kinds=(replace(kind, low=kind.high + 1, high=None),)))
        return cases
