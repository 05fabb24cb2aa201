"""The text of a number as arithmetic: the head `Decimal`, for multiples, exclusions, limits on digits, and all forms.

A place in a number is the digits read so far, and stands for all places from which the same texts follow: what counts
is how the digits compare with each bound while they are its first ones, what they leave modulo each multiple, whether a
number that is excluded begins with them. Whether a place can still become a number is a division, not a search: the
numbers that begin with some digits are an interval, and the multiples within one are counted. All is exact.

With an exponent the digits don't tell where a number will be, so there the places are the digits themselves.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from outlines.constraints.items import Head, Symbol, Symbols
from outlines.exceptions import LimitError

__all__ = ["MAX_NUMBERS", "Decimal", "Magnitudes"]

#: Multiples that are looked at, one after the other, for one that isn't excluded.
MAX_NUMBERS = 100_000

_DIGITS = range(0x30, 0x3A)
_POINT, _EXPONENTS, _PLUS, _MINUS = 0x2E, (0x65, 0x45), 0x2B, 0x2D

# Where a number is: before its first digit, in its whole part, after the point, in its fraction; after the e, after the
# sign of the exponent, in its digits.
_BEGIN, _WHOLE, _AFTER_POINT, _FRACTION, _AFTER_E, _AFTER_SIGN, _POWER = range(7)


#: Exponents from here on are as good as each other.
_HUGE_POWER = 10**12


class _Place(NamedTuple):
    """What was read: `digits` with `places` of them after the point, and the exponent so far."""

    phase: int
    digits: int = 0
    length: int = 0
    places: int = 0
    sign: int = 1
    power: int = 0


@dataclass(eq=False)
class Magnitudes:
    """The numbers from 0 on that may be written without a sign, and the heads that write them.

    Parameters
    ----------
    low, low_open, high, high_open
        Bounds; None is no bound.
    step
        Number that all are multiples of; None where there's none.
    others
        Numbers that none is a multiple of.
    excluded
        Numbers that aren't among them.
    has_fraction, has_exponent
        Whether the text may have a point, an exponent.
    max_digits, max_exponent
        Limits; None is no limit.
    """

    low: Fraction
    low_open: bool
    high: Fraction | None
    high_open: bool
    step: Fraction | None
    others: tuple[Fraction, ...]
    excluded: frozenset[Fraction]
    has_fraction: bool
    has_exponent: bool
    max_digits: int | None = None
    max_exponent: int | None = None
    heads: dict[object, Decimal | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find what the keys of places need: how long the bounds are, and the moduli."""
        bounds = [n for n in (self.low, self.high) if n]  # that a number isn't below 0 says nothing
        divisors = [*([] if self.step is None else [self.step]), *self.others]
        self._num_whole = max((len(_digits_of(int(number))) for number in [*bounds, *self.excluded]), default=0)
        self._num_places = max(map(num_places, [*bounds, *divisors, *self.excluded]), default=0)
        self._divisors = [(int(n * 10 ** num_places(n)), num_places(n)) for n in divisors]
        self._is_free = (
            not divisors and not self.excluded and self.high is None and self.low == 0 and not self.low_open
        )
        self._excluded_whole = {
            _digits_of(int(n))[:i] for n in self.excluded for i in range(1, len(_digits_of(int(n))) + 1)
        }
        self._excluded_parts = {(i, int(n * 10**i)) for n in self.excluded for i in range(num_places(n) + 1)}
        self._powers: dict[tuple[Fraction, int], list[bool]] = {}
        # Beyond it every exponent is as good as the next one.
        sizes = (
            n.numerator.bit_length() + n.denominator.bit_length()
            for n in [*bounds, *divisors, *self.excluded]
        )
        self._power_span = 10 + max(sizes, default=0)

    def start(self) -> Decimal | None:
        """Give the head of a whole number, None if none can be written."""
        if self.high is not None and self.high < self.low:
            return None
        return self.head(_Place(_BEGIN))

    def head(self, place: _Place) -> Decimal | None:
        """Give the head of a place, one for all from which the same follows; None if no number does."""
        key = self._key(place)
        if key not in self.heads:
            head = Decimal(self, place)
            self.heads[key] = head if head.ended is not None or self._goes_on(place) else None
        return self.heads[key]

    # Which places are the same

    def _key(self, place: _Place) -> object:
        phase, digits, length, places, sign, power = place
        if phase >= _AFTER_E:
            value = Fraction(digits, 10**places)
            return phase, 0 if self._is_free else value, sign, power
        left = None if self.max_digits is None else length
        if self._is_free:
            return phase, left, digits == 0, self.max_exponent is not None and places
        if self.has_exponent:
            return phase, left, digits, places
        if phase in (_BEGIN, _WHOLE):
            return phase, left, self._whole_key(digits, length)
        return phase, left, self._fraction_key(digits, places)

    def _whole_key(self, digits: int, length: int) -> object:
        compared = [_compare_begin(digits, length, self.low)] if self.low else []
        if self.high is not None:
            compared.append(_compare_begin(digits, length, self.high))
        text = _digits_of(digits)
        return (
            digits == 0, min(length, self._num_whole + 1), *compared,
            *(_whole_rest(digits, modulus, places) for modulus, places in self._divisors),
            text if text in self._excluded_whole else None,
        )  # fmt: skip

    def _fraction_key(self, digits: int, places: int) -> object:
        scale = 10**places
        compared = [_compare(digits, self.low * scale // 1)] if self.low else []
        if self.high is not None:
            compared.append(_compare(digits, self.high * scale // 1))
        return (
            digits == 0, min(places, self._num_places + 1), *compared,
            *(_fraction_rest(digits, places, modulus, k) for modulus, k in self._divisors),
            self._excluded_key(digits, places),
        )  # fmt: skip

    def _excluded_key(self, digits: int, places: int) -> object:
        if not self.excluded:
            return None
        while places and digits % 10 == 0:
            digits, places = digits // 10, places - 1
        if (places, digits) in self._excluded_parts:
            return places, digits
        return None

    # What may follow

    def contains(self, number: Fraction) -> bool:
        """Tell whether a number is among them."""
        return (
            (number > self.low or (number == self.low and not self.low_open))
            and (self.high is None or number < self.high or (number == self.high and not self.high_open))
            and (self.step is None or number % self.step == 0)
            and not any(number % other == 0 for other in self.others)
            and number not in self.excluded
        )

    def has_any(self, begin: Fraction, end: Fraction | None, unit: Fraction | None = None) -> bool:
        """Tell whether one of them is at least `begin` and less than `end`, and a multiple of a unit."""
        step = self.step if unit is None else unit if self.step is None else common_multiple(self.step, unit)
        if step is not None and any(step % other == 0 for other in self.others):
            return False
        is_open = self.low_open and self.low >= begin
        begin = max(begin, self.low)
        if step is None:
            last = end if self.high is None else self.high if end is None else min(end, self.high)
            if last is None or begin < last:
                return True  # between two numbers are always more than single ones
            return begin == last and last != end and self.contains(begin)
        number = -(-begin // step) * step
        if is_open and number == begin:
            number += step
        for _ in range(MAX_NUMBERS):
            if (end is not None and number >= end) or (self.high is not None and number > self.high):
                return False
            if self.contains(number):
                return True
            number += step
        raise LimitError(
            "MAX_NUMBERS",
            f"more than {MAX_NUMBERS} multiples of {step} in a row are excluded; use bounds instead",
        )

    def may_end(self, place: _Place) -> bool:
        """Tell whether the number is complete."""
        if place.phase == _POWER:
            return self._is_power(place, place.power)
        if place.phase in (_WHOLE, _FRACTION):
            return self.contains(Fraction(place.digits, 10**place.places))
        return False

    def _goes_on(self, place: _Place) -> bool:
        """Tell whether more can be read, and then be a number."""
        if place.phase == _BEGIN:
            return any(self.step_place(place, byte) is not None for byte in _DIGITS)
        if place.phase >= _AFTER_E:
            return self._has_power(place)
        left = None if self.max_digits is None else self.max_digits - place.length
        if self.has_exponent and self._goes_on_with_exponent(place, left):
            return True
        if left == 0:
            return False
        scale, digits = Fraction(1, 10**place.places), place.digits
        if place.phase != _WHOLE:
            unit = None if left is None else scale / 10**left
            return self.has_any(digits * scale, (digits + 1) * scale, unit)
        if self.has_fraction:
            unit = None if left is None else Fraction(1, 10**left)
            if self.has_any(Fraction(digits), Fraction(digits + 1), unit):
                return True
        if digits == 0:
            return False
        power = 1
        while left is None or power <= left:
            begin = digits * 10**power
            if self.high is not None and begin > self.high:
                return False
            unit = (
                Fraction(1)
                if not self.has_fraction
                else None
                if left is None
                else Fraction(1, 10 ** (left - power))
            )
            if self.has_any(Fraction(begin), Fraction(begin + 10**power), unit):
                return True
            power += 1
        return False

    def _goes_on_with_exponent(self, place: _Place, left: int | None) -> bool:
        """Tell whether more digits, if any, and an exponent make a number."""
        digits, places, most = place.digits, place.places, self.max_exponent
        if digits == 0 and self.contains(Fraction(0)):
            return place.phase != _AFTER_POINT or left != 0
        if left == 0 and (digits == 0 or place.phase == _AFTER_POINT):
            return False
        if digits == 0 and left is None and most is None:
            return self.has_any(Fraction(0), None)
        span = self._power_span + digits.bit_length() + places
        low, high = (-span, span) if most is None else (-most, most)
        if place.phase == _WHOLE and digits:  # digits before the point do what an exponent can't
            high = span if left is None else high + left
        unit = None if left is None else Fraction(1, 10**left)
        powers = (Fraction(10) ** (power - places) for power in range(high, low - 1, -1))
        return any(
            self.has_any(digits * power, (digits + 1) * power, None if unit is None else unit * power)
            for power in powers
        )

    def _is_power(self, place: _Place, power: int) -> bool:
        if self.max_exponent is not None and power > self.max_exponent:
            return False
        number = Fraction(place.digits, 10**place.places)
        if number == 0 or self._is_free:
            return self._is_free or self.contains(number)
        good = self._good_powers(number, place.sign)
        return good[min(power, len(good) - 1)]

    def _good_powers(self, number: Fraction, sign: int) -> list[bool]:
        """Tell for each exponent whether it makes a number; the last one stands for all above it."""
        found = self._powers.get((number, sign))
        if found is None:
            span = self._power_span + number.numerator.bit_length() + number.denominator.bit_length()
            found = [self.contains(number * Fraction(10) ** (sign * power)) for power in range(span + 1)]
            self._powers[number, sign] = found
        return found

    def _has_power(self, place: _Place) -> bool:
        """Tell whether an exponent that begins as this one makes a number."""
        if place.phase == _AFTER_E and self._has_power(place._replace(phase=_AFTER_SIGN, sign=-1)):
            return True
        number = Fraction(place.digits, 10**place.places)
        if number == 0 or self._is_free:
            is_small = self.max_exponent is None or place.power <= self.max_exponent
            return is_small and (self._is_free or self.contains(number))
        good = self._good_powers(number, place.sign)
        last = len(good) - 1
        if self.max_exponent is None and good[last]:
            return True
        begin, end = place.power, place.power + 1
        if place.phase != _POWER or begin == 0:
            begin, end = 0, last + 1
        most = last if self.max_exponent is None else self.max_exponent
        while begin <= most:
            if any(
                good[min(power, last)] for power in range(begin, min(end, most + 1, max(begin, last) + 1))
            ):
                return True
            if begin == 0:
                return False
            begin, end = begin * 10, end * 10
        return False

    # Reading

    def step_place(self, place: _Place, byte: int) -> Decimal | None:
        """Give the head after a byte; None where it's forbidden."""
        following = self._after(place, byte)
        return None if following is None else self.head(following)

    def _after(self, place: _Place, byte: int) -> _Place | None:
        phase = place.phase
        if byte in _DIGITS:
            digit = byte - 0x30
            if phase >= _AFTER_E:
                return place._replace(phase=_POWER, power=min(place.power * 10 + digit, _HUGE_POWER))
            if (phase == _WHOLE and place.digits == 0) or place.length == self.max_digits:
                return None
            is_whole = phase in (_BEGIN, _WHOLE)
            return place._replace(
                phase=_WHOLE if is_whole else _FRACTION,
                digits=place.digits * 10 + digit,
                length=place.length + 1,
                places=place.places + (not is_whole),
            )
        if byte == _POINT and phase == _WHOLE and self.has_fraction:
            return place._replace(phase=_AFTER_POINT)
        if byte in _EXPONENTS and phase in (_WHOLE, _FRACTION) and self.has_exponent:
            return place._replace(phase=_AFTER_E)
        if byte in (_PLUS, _MINUS) and phase == _AFTER_E:
            return place._replace(phase=_AFTER_SIGN, sign=1 if byte == _PLUS else -1)
        return None


class Decimal(Head):
    """The rest of a number without its sign, after some of its digits."""

    __slots__ = ("magnitudes", "place", "ended", "is_open", "_steps")

    def __init__(self, magnitudes: Magnitudes, place: _Place):
        self.magnitudes = magnitudes
        self.place = place
        self.ended: Symbols | None = () if magnitudes.may_end(place) else None
        self.is_open = True
        self._steps: dict[int, Decimal | None] = {}

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a digit, the point, or a part of the exponent."""
        if byte not in self._steps:
            self._steps[byte] = self.magnitudes.step_place(self.place, byte)
        found = self._steps[byte]
        return None if found is None else (found, ())

    def __repr__(self) -> str:
        return f"Decimal{tuple(self.place)}"


def common_multiple(left: Fraction, right: Fraction) -> Fraction:
    """Give the least number that is a multiple of both."""
    return Fraction(
        math.lcm(left.numerator * right.denominator, right.numerator * left.denominator),
        left.denominator * right.denominator,
    )


def num_places(number: Fraction) -> int:
    """Give how many digits after the point a finite decimal has."""
    twos = (number.denominator & -number.denominator).bit_length() - 1
    rest, fives = number.denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives)


def _compare_begin(digits: int, length: int, bound: Fraction) -> int:
    """Compare digits with the first ones of a bound's whole part: -1, 0, 1; 2 where they are more."""
    whole = int(bound)
    size = len(_digits_of(whole))
    if length > size:
        return 2
    return _compare(digits, whole // 10 ** (size - length))


def _compare(left: int, right: int) -> int:
    return (left > right) - (left < right)


def _whole_rest(digits: int, modulus: int, places: int) -> object:
    """Give what tells which digits after these make a multiple of `modulus` / 10**places.

    For each number of digits still to come that's the least that they may be; once they can be anything, all further
    ones follow from it.
    """
    if math.gcd(modulus, 10) == 1 and places == 0:
        return digits % modulus
    return tuple(_rests(digits, modulus, places))


def _rests(digits: int, modulus: int, places: int) -> Iterator[int]:
    scale = 10**places
    while True:
        rest = -digits * scale % modulus
        if scale >= modulus:
            yield rest
            return
        yield rest if rest < scale else -1
        scale *= 10


def _fraction_rest(digits: int, places: int, modulus: int, k: int) -> int:
    """Give what the digits still to come must at least be to make a multiple; -1 where none can."""
    if places > k:
        whole, rest = divmod(digits, 10 ** (places - k))
        return 0 if rest == 0 and whole % modulus == 0 else -1
    scale = 10 ** (k - places)
    rest = -digits * scale % modulus
    return rest if rest < scale else -1


def _digits_of(number: int) -> str:
    """Give the digits of a number; Python's own way refuses to write more than some thousands."""
    return str(number) if number.bit_length() < 14_000 else format(decimal.Decimal(number), "f")
