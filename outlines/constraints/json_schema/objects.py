"""The objects of a value set: what each member must be, how many there are, and which objects are left out.

Members that aren't declared by name are in `rest`, and in the formula of each *universal* whose language holds their
name: additionalProperties, patternProperties, propertyNames and unevaluatedProperties are all of these. An
*obligation* asks for a number of members; an *exclusion* is a case that the object must not be in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from outlines.constraints.expression import Expression, concat, matches
from outlines.constraints.json_schema.text import QUOTE, encode, name_text

__all__ = ["ANYTHING", "EVERY_NAME", "NEVER", "Formula", "Names", "Negate", "ObjectCase", "Obligation", "least",
           "spellings"]  # fmt: skip

#: A conjunction of places in the schema, and of what is made from them, by number.
Formula: TypeAlias = "frozenset[int]"

ANYTHING: Formula = frozenset()

#: No value: the schema `false`.
NEVER: Formula = frozenset((0,))

#: Gives the formula of the values that aren't in another.
Negate: TypeAlias = "Callable[[Formula], Formula]"


@dataclass(frozen=True, slots=True)
class Names:
    """A language of names: some words and those of some expressions, or all names but these; always without `minus`.

    Expressions are of the JSON text of a name, without the opening quote and with the closing one.
    """

    parts: frozenset[Expression] = frozenset()
    words: frozenset[str] = frozenset()
    is_complement: bool = False
    minus: frozenset[str] = frozenset()

    def holds(self, name: str) -> bool:
        """Tell whether a name is in the language."""
        if name in self.minus:
            return False
        is_in = name in self.words
        if not is_in and self.parts:
            text = name_text(name)
            is_in = any(matches(part, text) for part in self.parts)
        return is_in != self.is_complement

    def holds_class(self, held: frozenset[Expression]) -> bool:
        """Tell whether names that are no words, and are in some expressions and no others, are in the language."""
        return self.parts.isdisjoint(held) == self.is_complement

    def union(self, other: Names) -> Names:
        """Give the names in either, neither being a complement of anything."""
        if self == EVERY_NAME or other == EVERY_NAME:
            return EVERY_NAME
        return Names(self.parts | other.parts, self.words | other.words)

    def complement(self) -> Names:
        """Give all other names."""
        return replace(self, is_complement=not self.is_complement)

    def without(self, names: Iterable[str]) -> Names:
        """Give the language without some names."""
        return replace(self, minus=self.minus.union(names))


EVERY_NAME = Names(is_complement=True)


@dataclass(frozen=True, slots=True)
class Obligation:
    """`low` to `high` members with a name in a language and a value in a formula; None is no bound."""

    language: Names
    formula: Formula
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class ObjectCase:
    """The objects whose members are declared by `names`, in this order, or else are in `rest` and the universals."""

    names: tuple[tuple[str, Formula], ...] = ()
    required: frozenset[str] = frozenset()
    rest: Formula = ANYTHING
    universals: tuple[tuple[Names, Formula], ...] = ()
    low: int = 0
    high: int | None = None
    obligations: tuple[Obligation, ...] = ()
    exclusions: tuple[ObjectCase, ...] = ()
    #: Names that a keyword has looked at, where unevaluatedProperties asks.
    evaluated: Names | None = None
    by_name: dict[str, Formula] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", dict(self.names))

    def at(self, name: str) -> Formula:
        """Give the formula of a member."""
        found = self.by_name.get(name)
        return self.at_free(name) if found is None else found

    def at_free(self, name: str) -> Formula:
        """Give the formula that a member would have if its name weren't declared."""
        formula = self.rest
        if self.universals:
            formula = formula.union(*(part for language, part in self.universals if language.holds(name)))
        return formula

    def all_names(self) -> list[tuple[str, Formula]]:
        """Give the declared names, and after them those that are required all the same."""
        others = sorted(self.required - self.by_name.keys()) if self.required else ()
        return [*self.names, *((name, self.at_free(name)) for name in others)]

    @property
    def is_plain(self) -> bool:
        """Whether no member depends on another, nor on how many there are."""
        return not (self.universals or self.low or self.obligations or self.exclusions) and self.high is None

    @property
    def has_order(self) -> bool:
        """Whether all required names are declared, so that they have their place in the order."""
        return self.required <= self.by_name.keys()

    def meet(self, other: ObjectCase) -> ObjectCase | None:
        """Give the objects in both; None if their counts exclude each other."""
        names = {name: formula | other.at(name) for name, formula in self.names}
        names.update({name: self.at(name) | formula for name, formula in other.names if name not in names})
        low, high = max(self.low, other.low), least(self.high, other.high)
        required = self.required | other.required
        if high is not None and max(low, len(required)) > high:
            return None
        evaluated = (
            self.evaluated
            if other.evaluated is None
            else (other.evaluated if self.evaluated is None else self.evaluated.union(other.evaluated))
        )
        return ObjectCase(
            tuple(names.items()), required, self.rest | other.rest,
            _joined(self.universals, other.universals), low, high,
            _joined(self.obligations, other.obligations), _joined(self.exclusions, other.exclusions), evaluated,
        )  # fmt: skip

    def without(self, exclusions: Iterable[ObjectCase]) -> ObjectCase:
        """Give the objects of this case that aren't in some others."""
        return replace(self, exclusions=_joined(self.exclusions, tuple(exclusions)))

    def complement(self, negate: Negate) -> list[ObjectCase]:
        """Give the objects that aren't in the case, as a union."""
        cases = []
        for name, formula in self.names:
            if formula:
                names = () if formula >= NEVER else ((name, negate(formula)),)  # it comes, whatever it is
                cases.append(ObjectCase(names, frozenset((name,))))
        cases += [ObjectCase(((name, NEVER),)) for name in sorted(self.required)]
        if self.rest:
            others = EVERY_NAME.without(self.by_name)
            cases.append(ObjectCase(obligations=(Obligation(others, negate(self.rest), 1, None),)))
        for language, formula in self.universals:
            others = language.without(self.by_name)
            cases.append(ObjectCase(obligations=(Obligation(others, negate(formula), 1, None),)))
        if self.low:
            cases.append(ObjectCase(high=self.low - 1))
        if self.high is not None:
            cases.append(ObjectCase(low=self.high + 1))
        for duty in self.obligations:
            if duty.low:
                cases.append(ObjectCase(obligations=(replace(duty, low=0, high=duty.low - 1),)))
            if duty.high is not None:
                cases.append(ObjectCase(obligations=(replace(duty, low=duty.high + 1, high=None),)))
        return [*cases, *self.exclusions]


def _joined(left: tuple, right: tuple) -> tuple:
    if not right or left is right:
        return left
    return tuple(dict.fromkeys((*left, *right))) if left else right


def least(left: int | None, right: int | None) -> int | None:
    """Give the lower of two upper bounds; None is no bound."""
    return right if left is None else left if right is None else min(left, right)


def spellings(value: str) -> Expression:
    """Give all ways to write a string in JSON, without the opening quote and with the closing one."""
    return concat(*(encode(((ord(character), ord(character)),)) for character in value), QUOTE)
