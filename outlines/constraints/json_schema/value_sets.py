"""What a schema denotes: a value set, as a union of cases, each of one type of JSON value.

Schemas inside a case (of a member, of an element) are *formulas*: conjunctions of places in the schema document, as
frozen sets of their numbers. The empty one is any JSON value. allOf and keywords beside anyOf or $ref are the meet of
cases, computed here; what needs a complement (not, oneOf with overlapping branches, if) isn't read yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, TypeAlias

from outlines.constraints.expression import (
    Expression,
    complement,
    concat,
    counts,
    intersected,
    intersection,
    is_empty,
    spine,
    star,
)
from outlines.constraints.json_schema.numbers import number_texts
from outlines.constraints.json_schema.text import CHARACTER, QUOTE, STRING_REST
from outlines.constraints.strings import TextBounds, TextState

__all__ = [
    "ANYTHING",
    "ArrayCase",
    "Case",
    "Formula",
    "NamedCase",
    "NumberCase",
    "ObjectCase",
    "StringCase",
    "WordCase",
    "is_empty_scalar",
    "json_type",
    "meet",
    "string_case",
    "text_state",
]

#: A conjunction of places in the schema, by number.
Formula: TypeAlias = "frozenset[int]"

ANYTHING: Formula = frozenset()


@dataclass(frozen=True, slots=True)
class WordCase:
    """null, true or false: `text` is how JSON writes it."""

    text: bytes


@dataclass(frozen=True, slots=True)
class NumberCase:
    """The numbers within bounds (None is no bound) that are multiples of one number, and not of others.

    `is_integer` says that they are integers, and that the schema calls them so, which decides how they're written.
    `excluded` are single numbers that aren't in the case.
    """

    is_integer: bool = False
    low: Fraction | None = None
    low_open: bool = False
    high: Fraction | None = None
    high_open: bool = False
    multiple: Fraction | None = None
    not_multiples: frozenset[Fraction] = frozenset()
    excluded: frozenset[Fraction] = frozenset()

    @property
    def step(self) -> Fraction | None:
        """The number that all in the case are multiples of; None if there's no such number."""
        return self.multiple if self.multiple is not None else Fraction(1) if self.is_integer else None

    def contains(self, number: Fraction) -> bool:
        """Tell whether a number is in the case."""
        step = self.step
        return (
            (self.low is None or number > self.low or (number == self.low and not self.low_open))
            and (self.high is None or number < self.high or (number == self.high and not self.high_open))
            and (step is None or number % step == 0)
            and not any(number % other == 0 for other in self.not_multiples)
            and number not in self.excluded
        )

    def meet(self, other: NumberCase) -> NumberCase:
        """Give the numbers in both; the bounds may exclude each other."""
        low, low_open = _tighter([(self.low, self.low_open), (other.low, other.low_open)], max)
        high, high_open = _tighter([(self.high, self.high_open), (other.high, other.high_open)], min)
        is_integer = self.is_integer or other.is_integer
        steps = [case.step for case in (self, other) if case.step is not None]
        multiple = reduce(common_multiple, steps) if steps else None
        return NumberCase(
            is_integer, low, low_open, high, high_open, None if is_integer and multiple == 1 else multiple,
            self.not_multiples | other.not_multiples, self.excluded | other.excluded,
        )  # fmt: skip

    def complement(self) -> list[NumberCase]:
        """Give the numbers that aren't in the case, as a union."""
        cases = []
        if self.low is not None:
            cases.append(NumberCase(high=self.low, high_open=not self.low_open))
        if self.high is not None:
            cases.append(NumberCase(low=self.high, low_open=not self.high_open))
        if self.step is not None:
            cases.append(NumberCase(not_multiples=frozenset((self.step,))))
        cases += [NumberCase(multiple=other) for other in sorted(self.not_multiples)]
        cases += [NumberCase(low=number, high=number) for number in sorted(self.excluded)]
        return cases

    def members(self) -> Iterator[Fraction] | None:
        """Give the numbers of the case, ascending; None if they are too many to go through in order."""
        step = self.step
        if self.low is not None and self.low == self.high:
            return iter((self.low,) if self.contains(self.low) else ())
        if self.low is None or self.high is None or step is None:
            return None
        first, last = -(-self.low // step), self.high // step
        return (step * n for n in range(first, last + 1) if self.contains(step * n))

    def is_empty(self) -> bool:
        """Tell whether no number is in the case."""
        step = self.step
        if any(step is not None and step % other == 0 for other in self.not_multiples):
            return True
        if self.low is None or self.high is None:
            return False  # multiples that aren't one of others go on for ever
        if self.low > self.high or (self.low == self.high and (self.low_open or self.high_open)):
            return True
        members = self.members()
        return members is not None and next(members, None) is None

    def expression(self) -> Expression:
        """Give their texts."""
        return number_texts(self.is_integer, self.low, self.low_open, self.high, self.high_open)


def common_multiple(left: Fraction, right: Fraction) -> Fraction:
    """Give the least number that is a multiple of both."""
    return Fraction(
        math.lcm(left.numerator * right.denominator, right.numerator * left.denominator),
        left.denominator * right.denominator,
    )


@dataclass(frozen=True, slots=True)
class StringCase:
    """The strings with `low` to `high` characters, of which `pattern` is the rest with its closing quote."""

    low: int = 0
    high: int | None = None
    pattern: Expression = STRING_REST

    def meet(self, other: StringCase) -> StringCase:
        """Give the strings in both; the lower bound may be above the upper one."""
        patterns = {self.pattern, other.pattern} - {STRING_REST}  # any pattern is within it
        return StringCase(
            max(self.low, other.low),
            _least(self.high, other.high),
            intersection(*patterns) if patterns else STRING_REST,
        )

    def complement(self) -> list[StringCase]:
        """Give the strings that aren't in the case, as a union."""
        cases = []
        if self.low:
            cases.append(StringCase(high=self.low - 1))
        if self.high is not None:
            cases.append(StringCase(low=self.high + 1))
        if self.pattern is not STRING_REST:
            cases.append(StringCase(pattern=intersection(STRING_REST, complement(self.pattern))))
        return cases

    def bounds(self) -> TextBounds:
        """Give what lengths may follow where; what was found is kept for the same strings in other schemas."""
        return _bounds(self)


@lru_cache(maxsize=256)
def _bounds(case: StringCase) -> TextBounds:
    return TextBounds(text_state(case.pattern), case.low, case.high)


@lru_cache(maxsize=512)
def text_state(pattern: Expression) -> TextState:
    """Give the state at the beginning of a string with a pattern."""
    return TextState(pattern, STRING_REST, STRING_REST, {})


def string_case(pattern: Expression) -> StringCase:
    """Give the strings with a pattern; what repeats a character so many times is a length, not a pattern."""
    *body, end = spine(pattern)
    if len(body) != 1 or end is not QUOTE:
        return StringCase(pattern=pattern)
    result = StringCase()
    for part in intersected(body[0]):
        repeated = counts(part)
        if repeated is not None and (repeated[1] > 1 or repeated[2] is not None) and is_character(repeated[0]):
            case = StringCase(repeated[1], repeated[2], concat(star(repeated[0]), QUOTE))
        else:
            case = StringCase(pattern=concat(part, QUOTE))
        result = result.meet(case)
    return result


@lru_cache(maxsize=512)
def is_character(expression: Expression) -> bool:
    """Tell whether each text of an expression is one character of a JSON string."""
    return is_empty(intersection(expression, complement(CHARACTER)))


@dataclass(frozen=True, slots=True)
class ArrayCase:
    """The arrays whose elements are in `prefix` and then `rest`, `low` to `high` of them."""

    prefix: tuple[Formula, ...] = ()
    rest: Formula = ANYTHING
    low: int = 0
    high: int | None = None

    def element(self, index: int) -> Formula:
        """Give the formula of the element at an index."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True, slots=True)
class ObjectCase:
    """The objects whose members are declared by `names`, in this order, or else are in `rest`."""

    names: tuple[tuple[str, Formula], ...] = ()
    required: frozenset[str] = frozenset()
    rest: Formula = ANYTHING

    def all_names(self) -> list[tuple[str, Formula]]:
        """Give the declared names, and after them those that are required all the same."""
        declared = {name for name, _ in self.names}
        return [*self.names, *((name, self.rest) for name in sorted(self.required - declared))]


@dataclass(frozen=True, slots=True, eq=False)
class NamedCase:
    """One value that the schema names, by enum or const."""

    value: Any


Case: TypeAlias = "WordCase | NumberCase | StringCase | ArrayCase | ObjectCase | NamedCase"


def json_type(value: Any) -> str:
    """Give the JSON Schema type of a parsed value; an integral float is "number", as it's written with a point."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    kinds: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return kinds[type(value)]


def meet(left: Case, right: Case) -> Case | None:
    """Give the values in both cases; None if their types or bounds exclude it. Named cases are the reader's."""
    if type(left) is not type(right):
        return None
    if isinstance(left, WordCase):
        return left if left == right else None
    if isinstance(left, NumberCase):
        assert isinstance(right, NumberCase)
        return left.meet(right)
    if isinstance(left, StringCase):
        assert isinstance(right, StringCase)
        return left.meet(right)
    if isinstance(left, ArrayCase):
        assert isinstance(right, ArrayCase)
        low, high = max(left.low, right.low), _least(left.high, right.high)
        length = max(len(left.prefix), len(right.prefix))
        prefix = tuple(left.element(i) | right.element(i) for i in range(length))
        return None if high is not None and low > high else ArrayCase(prefix, left.rest | right.rest, low, high)
    assert isinstance(left, ObjectCase) and isinstance(right, ObjectCase)
    ours, theirs = dict(left.names), dict(right.names)
    names = {name: formula | theirs.get(name, right.rest) for name, formula in ours.items()}
    names.update({name: formula | left.rest for name, formula in theirs.items() if name not in ours})
    return ObjectCase(tuple(names.items()), left.required | right.required, left.rest | right.rest)


def _tighter(bounds: Iterable[tuple[Fraction | None, bool]], choose: Any) -> tuple[Fraction | None, bool]:
    given = [(value, is_open) for value, is_open in bounds if value is not None]
    if not given:
        return None, False
    value = choose(value for value, _ in given)
    return value, any(is_open for bound, is_open in given if bound == value)


def _least(left: int | None, right: int | None) -> int | None:
    return right if left is None else left if right is None else min(left, right)


@lru_cache(maxsize=1024)
def is_empty_scalar(case: NumberCase | StringCase) -> bool:
    """Tell whether no number is within the bounds, or no string fits patterns and lengths."""
    if isinstance(case, NumberCase):
        return case.is_empty()
    if case.high is not None and case.low > case.high:
        return True
    if case.pattern is STRING_REST:
        return False
    if case.low == 0 and case.high is None:
        return is_empty(case.pattern)
    return not case.bounds().allows(text_state(case.pattern), case.low, case.high)
