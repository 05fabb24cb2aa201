"""The texts of JSON numbers, all or within bounds.

A number without bounds has any exponent. Within bounds it's written without one: with a free mantissa, which
exponents are within a bound isn't a regular question, and every finite decimal can be written without. Comparisons are
of digits with digits, so bounds are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    Expression,
    byte_class,
    byte_range,
    concat,
    literal,
    optional,
    repeat,
    star,
    union,
)
from outlines.exceptions import LimitError

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
    positive = _magnitudes(is_integer, low, low_open, high, high_open)
    opposite = None if high is None else -high, high_open, None if low is None else -low, low_open
    return union(positive, concat(_MINUS, _magnitudes(is_integer, *opposite)))


def _magnitudes(
    is_integer: bool, low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool
) -> Expression:
    """Give the unsigned texts within bounds: those of each number of digits before the point."""
    fraction = EPSILON if is_integer else optional(_FRACTION)
    if high is not None and (high < 0 or (high == 0 and high_open)):
        return EMPTY
    if low is None or low < 0 or (low == 0 and not low_open):
        low = None
    if low is None and high is None:
        return concat(_NATURAL, fraction)
    least, lower = _decimal(low) if low is not None else ("0", "")
    bounds = _Bounds(is_integer, low_open and low is not None, high_open)
    ways = []
    if high is None:
        ways.append(bounds.whole(least, None, len(least), lower, "", True))
        ways.append(concat(_NOT_ZERO, repeat(_DIGIT, len(least)), fraction))
    else:
        most, upper = _decimal(high)
        if len(least) < len(most):
            ways.append(bounds.whole(least, None, len(least), lower, "", True))
            ways.append(bounds.whole(None, most, len(most), "", upper, True))
            if len(most) - len(least) > 1:
                between = repeat(_DIGIT, len(least), len(most) - 2)
                ways.append(concat(_NOT_ZERO, between, fraction))
        elif len(least) == len(most):
            ways.append(bounds.whole(least, most, len(most), lower, upper, True))
    return union(*ways)


def _decimal(value: Fraction) -> tuple[str, str]:
    """Give the digits before and after the point; JSON has finite decimals alone."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(int(value * 10**places)).rjust(places + 1, "0")
    if len(digits) > MAX_DIGITS:
        raise LimitError("MAX_DIGITS", f"a bound of a number has {len(digits)} digits, more than {MAX_DIGITS}")
    cut = len(digits) - places
    return digits[:cut], digits[cut:]


#: Digits of a bound; a double has at most 309 before its point.
MAX_DIGITS = 400


def _digits(low: int, high: int) -> Expression:
    return byte_range(0x30 + low, 0x30 + high) if low <= high else EMPTY


class _Bounds:
    """Compares digits with those of both bounds at once.

    A bound's digits still to be compared are a string while all digits so far were equal to it, and None once a digit
    was strictly within it (or where there is no bound). After its last digit a bound goes on with zeros.
    """

    def __init__(self, is_integer: bool, low_open: bool, high_open: bool):
        self.is_integer = is_integer
        self.low_open = low_open
        self.high_open = high_open

    def whole(
        self, low: str | None, high: str | None, num_digits: int, lower: str, upper: str, is_first: bool
    ) -> Expression:
        """Give so many digits before the point and then the rest; `lower` and `upper` are the bounds' after it."""
        if num_digits == 0:
            return self._rest(lower if low is not None else None, upper if high is not None else None)
        if low is None and high is None and not is_first:
            return concat(repeat(_DIGIT, num_digits, num_digits), self._rest(None, None))
        least = 1 if is_first and num_digits > 1 else 0
        return self._step(
            low, high, least, lambda low, high: self.whole(low, high, num_digits - 1, lower, upper, False)
        )

    def _rest(self, lower: str | None, upper: str | None) -> Expression:
        """Give the point and the digits after it, or nothing where the number may end."""
        nothing = EPSILON if self._may_end(lower, upper) else EMPTY
        if self.is_integer:
            return nothing
        return union(concat(_POINT, self._step(lower, upper, 0, self._places)), nothing)

    def _places(self, lower: str | None, upper: str | None) -> Expression:
        """Give the digits after the point, from some place on."""
        if lower is None and upper is None:
            return star(_DIGIT)
        if lower == "" and upper is None:
            return concat(star(_ZERO), concat(_NOT_ZERO, star(_DIGIT)) if self.low_open else star(_DIGIT))
        if upper == "" and not lower:
            return star(_ZERO) if self._may_end(lower, upper) else EMPTY
        nothing = EPSILON if self._may_end(lower, upper) else EMPTY
        return union(self._step(lower, upper, 0, self._places), nothing)

    def _may_end(self, lower: str | None, upper: str | None) -> bool:
        """Tell whether the number is within the bounds if it ends here; bounds have no zeros at their end."""
        return (lower is None or (lower == "" and not self.low_open)) and (upper != "" or not self.high_open)

    def _step(
        self, low: str | None, high: str | None, least: int, follow: Callable[[str | None, str | None], Expression]
    ) -> Expression:
        """Read a digit of at least `least`: equal to the low bound's, between them, or equal to the high one's."""
        below = int(low[:1] or "0") if low is not None else -1
        above = int(high[:1] or "0") if high is not None else 10
        rest_low = low[1:] if low is not None else None
        rest_high = high[1:] if high is not None else None
        if below > above:
            return EMPTY
        if below == above:
            return concat(_digits(below, below), follow(rest_low, rest_high)) if below >= least else EMPTY
        ways = []
        between = _digits(max(below + 1, least), above - 1)
        if between is not EMPTY:
            ways.append(concat(between, follow(None, None)))
        if low is not None and below >= least:
            ways.append(concat(_digits(below, below), follow(rest_low, None)))
        if high is not None and above >= least:
            ways.append(concat(_digits(above, above), follow(None, rest_high)))
        return union(*ways)
