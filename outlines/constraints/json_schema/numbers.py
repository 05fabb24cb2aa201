"""The texts of JSON numbers, all or within bounds.

A number without bounds has any exponent. Within bounds it's written without one: with a free mantissa, which
exponents are within a bound isn't a regular question, and every finite decimal can be written without. Comparisons are
of digits with digits, so bounds are exact.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    Expression,
    byte_class,
    byte_range,
    concat,
    intersection,
    literal,
    optional,
    repeat,
    star,
    union,
)

__all__ = ["INTEGER", "NUMBER", "number_texts"]

_DIGIT = byte_range(0x30, 0x39)
_ZERO = literal(b"0")
_NOT_ZERO = byte_range(0x31, 0x39)
_POINT = literal(b".")
_MINUS = literal(b"-")

_NATURAL = union(_ZERO, concat(_NOT_ZERO, star(_DIGIT)))
_FRACTION = concat(_POINT, repeat(_DIGIT, 1))
_EXPONENT = concat(byte_class(1 << ord("e") | 1 << ord("E")), optional(byte_class(1 << 0x2B | 1 << 0x2D)),
                   repeat(_DIGIT, 1))  # fmt: skip

INTEGER = concat(optional(_MINUS), _NATURAL)
NUMBER = concat(INTEGER, optional(_FRACTION), optional(_EXPONENT))


@lru_cache(maxsize=1024)
def number_texts(
    is_integer: bool, low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool
) -> Expression:
    """Give the texts of the numbers within bounds; None is no bound, `open` excludes the bound itself."""
    if low is None and high is None:
        return INTEGER if is_integer else NUMBER
    fraction = EPSILON if is_integer else optional(_FRACTION)
    positive = _magnitudes(is_integer, fraction, low, low_open, high, high_open)
    negative = _magnitudes(
        is_integer, fraction, None if high is None else -high, high_open, None if low is None else -low, low_open
    )
    return union(positive, concat(_MINUS, negative))


def _magnitudes(
    is_integer: bool, fraction: Expression, low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool
) -> Expression:
    """Give the unsigned texts within bounds."""
    if high is not None and (high < 0 or (high == 0 and high_open)):
        return EMPTY
    parts = []
    if low is not None and (low > 0 or (low == 0 and low_open)):
        parts.append(_at_least(*_decimal(low), low_open, is_integer))
    if high is not None:
        parts.append(_at_most(*_decimal(high), high_open, is_integer))
    return intersection(*parts) if parts else concat(_NATURAL, fraction)


def _decimal(value: Fraction) -> tuple[str, str]:
    """Give the digits before and after the point; JSON has finite decimals alone."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(int(value * 10**places)).rjust(places + 1, "0")
    cut = len(digits) - places
    return digits[:cut], digits[cut:]


def _text(digits: str) -> Expression:
    return literal(digits.encode())


def _digits_between(low: int, high: int) -> Expression:
    return byte_range(0x30 + low, 0x30 + high) if low <= high else EMPTY


def _at_least(whole: str, places: str, is_open: bool, is_integer: bool) -> Expression:
    fraction = EPSILON if is_integer else optional(_FRACTION)
    ways = [concat(_NOT_ZERO, repeat(_DIGIT, len(whole)), fraction)]
    for i, digit in enumerate(whole):
        greater = _digits_between(int(digit) + 1, 9)
        ways.append(concat(_text(whole[:i]), greater, repeat(_DIGIT, *[len(whole) - i - 1] * 2), fraction))
    if is_integer:
        if not places and not is_open:
            ways.append(_text(whole))
        return union(*ways)
    after = [
        concat(_text(places[:i]), _digits_between(int(digit) + 1, 9), star(_DIGIT)) for i, digit in enumerate(places)
    ]
    after.append(concat(_text(places), star(_DIGIT), concat(_NOT_ZERO, star(_DIGIT)) if is_open else EPSILON))
    tail = concat(_POINT, intersection(union(*after), repeat(_DIGIT, 1)))
    if not places and not is_open:
        tail = optional(tail)
    ways.append(concat(_text(whole), tail))
    return union(*ways)


def _at_most(whole: str, places: str, is_open: bool, is_integer: bool) -> Expression:
    fraction = EPSILON if is_integer else optional(_FRACTION)
    ways = []
    if len(whole) > 1:
        ways.append(concat(union(_ZERO, concat(_NOT_ZERO, repeat(_DIGIT, 0, len(whole) - 2))), fraction))
    for i, digit in enumerate(whole):
        smaller = _digits_between(1 if i == 0 and len(whole) > 1 else 0, int(digit) - 1)
        ways.append(concat(_text(whole[:i]), smaller, repeat(_DIGIT, *[len(whole) - i - 1] * 2), fraction))
    if is_integer:
        if places or not is_open:
            ways.append(_text(whole))
        return union(*ways)
    after = [
        concat(_text(places[:i]), union(concat(_digits_between(0, int(digit) - 1), star(_DIGIT)), EPSILON))
        for i, digit in enumerate(places)
    ]
    if not is_open:
        after.append(concat(_text(places), star(_ZERO)))
    tail = concat(_POINT, intersection(union(*after), repeat(_DIGIT, 1)))
    if places or not is_open:
        tail = optional(tail)
    ways.append(concat(_text(whole), tail))
    return union(*ways)
