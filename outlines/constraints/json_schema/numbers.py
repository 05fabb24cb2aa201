"""The texts of JSON numbers, all or within bounds.

A number without bounds has any exponent. Within bounds it's written without one, or with one digit before the point
that isn't 0, as `json.dumps` does: with a free mantissa, which exponents are within a bound isn't a regular question.
Comparisons are of digits with digits, so bounds are exact.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

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
from outlines.constraints.items import Literal, Symbol, Symbols, Union
from outlines.constraints.json_schema.decimals import Magnitudes
from outlines.exceptions import LimitError
from outlines.types.json_options import JsonOptions

if TYPE_CHECKING:
    from outlines.constraints.json_schema.value_sets import NumberCase

__all__ = ["INTEGER", "NUMBER", "NumberForms", "number_symbol", "number_texts"]

_DIGIT = byte_range(0x30, 0x39)
_ZERO = literal(b"0")
_NOT_ZERO = byte_range(0x31, 0x39)
_POINT = literal(b".")
_MINUS = literal(b"-")

_NATURAL = union(_ZERO, concat(_NOT_ZERO, star(_DIGIT)))
_FRACTION = concat(_POINT, repeat(_DIGIT, 1))
_E = byte_class(1 << ord("e") | 1 << ord("E"))
_EXPONENT = concat(_E, optional(byte_class(1 << ord("+") | 1 << ord("-"))), repeat(_DIGIT, 1))

INTEGER = concat(optional(_MINUS), _NATURAL)
NUMBER = concat(INTEGER, optional(_FRACTION), optional(_EXPONENT))


@lru_cache(maxsize=1024)
def number_texts(
    is_integer: bool, low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool
) -> Expression:
    """Give the texts of the numbers within bounds; None is no bound, `open` excludes the bound itself."""
    if low is None and high is None:
        return INTEGER if is_integer else NUMBER
    bounds = low, low_open, high, high_open
    opposite = None if high is None else -high, high_open, None if low is None else -low, low_open
    ways = [_magnitudes(is_integer, *bounds), concat(_MINUS, _magnitudes(is_integer, *opposite))]
    if not is_integer:
        ways += [_scientific(*bounds), concat(_MINUS, _scientific(*opposite))]
    return union(*ways)


def _scientific(low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool) -> Expression:
    """Give the unsigned texts within bounds with an exponent after one digit, not 0, and its places."""
    if high is not None and (high <= 0 or (low is not None and low > high)):
        return EMPTY
    least = None if low is None or low <= 0 else _power_of_ten(low)
    most = None if high is None else _power_of_ten(high)
    first, last = None if least is None else least + 1, None if most is None else most - 1
    ways = [concat(_NOT_ZERO, optional(_FRACTION), _powers(first, last))]
    for power in {power for power in (least, most) if power is not None}:
        scale = Fraction(10) ** power
        bottom, is_above = (low / scale, low_open) if low is not None and power == least else (Fraction(1), False)
        top, is_below = (high / scale, high_open) if high is not None and power == most else (Fraction(10), True)
        if bottom <= top:
            ways.append(concat(_magnitudes(False, bottom, is_above, top, is_below), _powers(power, power)))
    return union(*ways)


def _power_of_ten(number: Fraction) -> int:
    """Give the exponent of a positive number with one digit before its point."""
    power = len(str(number.numerator)) - len(str(number.denominator))
    return power if Fraction(10) ** power <= number else power - 1


def _powers(low: int | None, high: int | None) -> Expression:
    """Give the texts of the exponents from one to another, with their e."""
    ways = []
    for sign, (first, last) in (
        (optional(byte_class(1 << ord("+"))), (low, high)),
        (_MINUS, (None if high is None else -high, None if low is None else -low)),
    ):
        if last is None or last >= 0:
            bounds = Fraction(max(first or 0, 0)), False, None if last is None else Fraction(last), False
            ways.append(concat(sign, star(_ZERO), _magnitudes(True, *bounds)))
    return concat(_E, union(*ways))


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


class NumberForms(NamedTuple):
    """Which texts of a number are written: the options of `JsonOptions`."""

    all_forms: bool = False
    max_digits: int | None = None
    max_exponent: int | None = None

    @classmethod
    def of(cls, options: JsonOptions) -> NumberForms:
        """Give what the options say."""
        return cls(options.number_forms == "all", options.max_digits, options.max_exponent)


_PLAIN = NumberForms()
_MINUS_SIGN = Literal(b"-")


@lru_cache(maxsize=1024)
def number_symbol(case: NumberCase, forms: NumberForms = _PLAIN) -> Symbol:
    """Give what writes the numbers of a case: bounds alone as an expression, all else as arithmetic."""
    bounds = case.low, case.low_open, case.high, case.high_open
    if forms == _PLAIN and case.multiple is None and not case.not_multiples and not case.excluded:
        return number_texts(case.is_integer, *bounds)
    while True:
        positive, negative = _magnitudes_of(case, forms, 1).start(), _magnitudes_of(case, forms, -1).start()
        ways: list[Symbols] = [] if positive is None else [(positive,)]
        if negative is not None:
            ways.append((_MINUS_SIGN, negative))
        if ways or case.is_empty():
            return Union(*ways)
        if forms.max_digits is not None and forms.max_digits < 2 * MAX_DIGITS:  # as many as its shortest number needs
            forms = forms._replace(max_digits=forms.max_digits + 1)
        else:
            forms = NumberForms(forms.all_forms)


def _magnitudes_of(case: NumberCase, forms: NumberForms, sign: int) -> Magnitudes:
    """Give what is written after a sign."""
    low, low_open, high, high_open = case.low, case.low_open, case.high, case.high_open
    if sign < 0:
        low, high = None if high is None else -high, None if low is None else -low
        low_open, high_open = high_open, low_open
    if low is None or low < 0:
        low, low_open = Fraction(0), False
    is_free = case.low is None and case.high is None and case.step is None and not case.not_multiples
    return Magnitudes(
        low, low_open, high, high_open, case.step, tuple(sorted(case.not_multiples)),
        frozenset(sign * number for number in case.excluded if sign * number >= 0),
        has_fraction=forms.all_forms or not case.is_integer,
        has_exponent=forms.all_forms or (is_free and not case.excluded),
        max_digits=forms.max_digits,
        max_exponent=forms.max_exponent,
    )  # fmt: skip


def _digits(low: int, high: int) -> Expression:
    return byte_range(0x30 + low, 0x30 + high) if low <= high else EMPTY


class _Bounds:
    """Compares digits with those of both bounds at once.

    While all digits so far were equal to a bound's, the bound is *near*; once a digit was strictly within it (or where
    there is no bound) it no longer matters. What may follow a digit depends on which bounds are near, so the digits
    are gone through from the last to the first, with the four answers of the place behind.
    """

    def __init__(self, is_integer: bool, low_open: bool, high_open: bool):
        self.is_integer = is_integer
        self.low_open = low_open
        self.high_open = high_open

    def whole(
        self, low: str | None, high: str | None, num_digits: int, lower: str, upper: str, is_first: bool
    ) -> Expression:
        """Give so many digits before the point and then the rest; `lower` and `upper` are the bounds' after it."""
        following = self._fraction(lower, upper)
        for i in range(num_digits - 1, -1, -1):
            least = 1 if is_first and i == 0 and num_digits > 1 else 0
            digits = None if low is None else int(low[i]), None if high is None else int(high[i])
            following = {near: _step(near, *digits, least, following) for near in _NEAR}
        return following[low is not None, high is not None]

    def _fraction(self, lower: str, upper: str) -> _Following:
        """Give the point and the digits after it, or nothing where the number may end."""
        if self.is_integer:
            return {near: self._end(near, lower, upper) for near in _NEAR}
        length = max(len(lower), len(upper))
        lower, upper = lower.ljust(length, "0"), upper.ljust(length, "0")
        following = {near: self._zeros(near) for near in _NEAR}
        for i in range(length - 1, -1, -1):
            stepped = {near: _step(near, int(lower[i]), int(upper[i]), 0, following) for near in _NEAR}
            ends = {near: self._end(near, lower[i:].rstrip("0"), upper[i:].rstrip("0")) for near in _NEAR}
            if i:
                following = {near: union(stepped[near], ends[near]) for near in _NEAR}
            else:
                return {near: union(concat(_POINT, stepped[near]), ends[near]) for near in _NEAR}
        ends = {near: self._end(near, "", "") for near in _NEAR}
        return {near: union(concat(_POINT, _step(near, 0, 0, 0, following)), ends[near]) for near in _NEAR}

    def _zeros(self, near: tuple[bool, bool]) -> Expression:
        """Give the digits after all of the bounds': a near one goes on with zeros."""
        is_low, is_high = near
        if not is_low and not is_high:
            return star(_DIGIT)
        if is_high:
            return star(_ZERO) if self._end(near, "", "") is EPSILON else EMPTY
        return concat(star(_ZERO), concat(_NOT_ZERO, star(_DIGIT)) if self.low_open else star(_DIGIT))

    def _end(self, near: tuple[bool, bool], lower: str, upper: str) -> Expression:
        """Give the empty text if the number is within the bounds as it stands; the bounds' digits end in no zeros."""
        is_above = not near[0] or (lower == "" and not self.low_open)
        is_below = not near[1] or upper != "" or not self.high_open
        return EPSILON if is_above and is_below else EMPTY


#: Which bounds may be near: the low one, the high one.
_NEAR = ((False, False), (True, False), (False, True), (True, True))

_Following: TypeAlias = "dict[tuple[bool, bool], Expression]"


def _step(
    near: tuple[bool, bool], low: int | None, high: int | None, least: int, following: _Following
) -> Expression:
    """Read a digit of at least `least`: equal to a near bound's, or between them."""
    below = low if near[0] and low is not None else -1
    above = high if near[1] and high is not None else 10
    if below > above:
        return EMPTY
    if below == above:
        return concat(_digits(below, below), following[near]) if below >= least else EMPTY
    ways = [concat(_digits(max(below + 1, least), above - 1), following[False, False])]
    if below >= least:
        ways.append(concat(_digits(below, below), following[True, False]))
    if least <= above < 10:
        ways.append(concat(_digits(above, above), following[False, True]))
    return union(*ways)
