"""What a schema denotes: a value set, as a union of cases, each of one type of JSON value.

Schemas inside a case (of a member, of an element) are *formulas*: conjunctions of places in the schema document and of
complements, as frozen sets of their numbers. The empty one is any JSON value. Each kind of case knows its meet with
another and its complement; those of arrays and objects are in files of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
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
    repeat,
    spine,
    star,
)
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.numbers import number_texts
from outlines.constraints.json_schema.objects import ANYTHING, NEVER, Formula, ObjectCase, least
from outlines.constraints.json_schema.text import CHARACTER, QUOTE, STRING_REST
from outlines.constraints.strings import TextBounds, TextState

__all__ = [
    "ANYTHING",
    "NEVER",
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
    "language_of",
    "meet",
    "string_case",
    "text_state",
]


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
            least(self.high, other.high),
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


def language_of(case: StringCase) -> Expression:
    """Give the strings of a case as one expression, lengths and all."""
    if case.low == 0 and case.high is None:
        return case.pattern
    counted = concat(repeat(CHARACTER, case.low, case.high), QUOTE)
    return counted if case.pattern is STRING_REST else intersection(case.pattern, counted)


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


@dataclass(frozen=True, slots=True, eq=False)
class NamedCase:
    """One value that the schema names, by enum or const, if it's in each of `within`."""

    value: Any
    within: tuple[Case, ...] = ()


Case: TypeAlias = "WordCase | NumberCase | StringCase | ArrayCase | ObjectCase | NamedCase"


def json_type(value: Any) -> str:
    """Give the JSON Schema type of a parsed value; an integral float is "number", as it's written with a point."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float | Decimal):
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
    assert isinstance(left, ArrayCase | ObjectCase)
    return left.meet(right)  # type: ignore[arg-type]


def _tighter(bounds: Iterable[tuple[Fraction | None, bool]], choose: Any) -> tuple[Fraction | None, bool]:
    given = [(value, is_open) for value, is_open in bounds if value is not None]
    if not given:
        return None, False
    value = choose(value for value, _ in given)
    return value, any(is_open for bound, is_open in given if bound == value)


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
