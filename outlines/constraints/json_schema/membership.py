"""Whether a value that a schema names is in a case."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from outlines.constraints.expression import matches
from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.objects import Formula, ObjectCase
from outlines.constraints.json_schema.text import dump, is_text
from outlines.constraints.json_schema.value_sets import (
    Case,
    NamedCase,
    NumberCase,
    StringCase,
    WordCase,
    json_type,
)

__all__ = ["contains", "decimal", "exact", "identity"]

#: Tells whether a value is in a formula.
Satisfies = Callable[[Formula, Any], bool]


def exact(value: Any) -> Fraction:
    """Give the number that a schema's text says, and not the binary one nearest to it."""
    return Fraction(value) if isinstance(value, int | Decimal) else Fraction(repr(value))


def identity(value: Any) -> Any:
    """Give a key that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value if isinstance(value, str) else (value,)
    if isinstance(value, int | float | Decimal):
        return _number_identity(value)
    if isinstance(value, list):
        return ("array", *map(identity, value))
    return ("object", frozenset((name, identity(part)) for name, part in value.items()))


def _number_identity(value: Any) -> tuple:
    """Give a number's digits and exponent, without the zeros at its end; a huge exponent costs nothing."""
    sign, digits, exponent = Decimal(repr(value) if isinstance(value, float) else value).as_tuple()
    end = len(digits)
    while end > 1 and digits[end - 1] == 0:
        end -= 1
    if digits[:end] == (0,):
        return ("number", 0)
    return ("number", sign, digits[:end], int(exponent) + len(digits) - end)


def decimal(number: Fraction) -> int | Decimal:
    """Give a number that has a finite decimal as a parsed value."""
    places = 0
    while (number * 10**places).denominator != 1:
        places += 1
    if not places:
        return int(number)
    digits = tuple(map(int, str(abs(int(number * 10**places)))))
    return Decimal((int(number < 0), digits, -places))


def contains(case: Case, value: Any, satisfies: Satisfies) -> bool:
    """Tell whether a value is in a case."""
    kind = json_type(value)
    if isinstance(case, NamedCase):
        return identity(case.value) == identity(value) and all(
            contains(c, value, satisfies) for c in case.within
        )
    if isinstance(case, WordCase):
        return kind in ("null", "boolean") and dump(value) == case.text
    if isinstance(case, NumberCase):
        return kind in ("integer", "number") and case.contains(exact(value))
    if isinstance(case, StringCase):
        return (
            kind == "string"
            and case.low <= len(value)
            and (case.high is None or len(value) <= case.high)
            and matches(case.pattern, dump(value)[1:])
        )
    if isinstance(case, ArrayCase):
        return kind == "array" and _array_contains(case, value, satisfies)
    return kind == "object" and _object_contains(case, value, satisfies)


def _array_contains(case: ArrayCase, value: list[Any], satisfies: Satisfies) -> bool:
    if not (case.low <= len(value) and (case.high is None or len(value) <= case.high)):
        return False
    if case.is_unique is not None and case.is_unique != (len(set(map(identity, value))) == len(value)):
        return False
    return all(satisfies(case.element(i), part) for i, part in enumerate(value)) and all(
        kind.low <= sum(satisfies(kind.formula, part) for part in value[kind.start :])
        and (
            kind.high is None
            or sum(satisfies(kind.formula, part) for part in value[kind.start :]) <= kind.high
        )
        for kind in case.kinds
    )


def _object_contains(case: ObjectCase, value: dict[str, Any], satisfies: Satisfies) -> bool:
    if not (case.required <= value.keys() and case.low <= len(value) and all(map(is_text, value))):
        return False
    if case.high is not None and len(value) > case.high:
        return False
    if not all(satisfies(case.at(name), part) for name, part in value.items()):
        return False
    for duty in case.obligations:
        count = sum(
            duty.language.holds(name) and satisfies(duty.formula, part) for name, part in value.items()
        )
        if not (duty.low <= count and (duty.high is None or count <= duty.high)):
            return False
    return not any(_object_contains(other, value, satisfies) for other in case.exclusions)
