"""Number texts within bounds, against exact fractions."""

from __future__ import annotations

import itertools
import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.expression import EMPTY, is_empty, matches
from outlines.constraints.json_schema import numbers
from outlines.constraints.json_schema.numbers import INTEGER, NUMBER, number_texts
from outlines.exceptions import LimitError

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # RFC 8259, section 6
SCIENTIFIC_NUMBER = re.compile(r"-?[1-9](\.[0-9]+)?[eE][+-]?[0-9]+")
PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")

WHOLE = "0 1 2 5 8 9 10 11 12 13 20 98 99 100 101 110 1000 00 01".split()
PLACES = ["", *". .0 .00 .01 .04 .05 .050 .051 .1 .25 .4999 .5 .50 .501 .9".split()]
TEXTS = [sign + whole + places for sign in ("", "-") for whole in WHOLE for places in PLACES]
MANTISSAS = "1 1.0 9 9.5 9.50 9.99 5.0 5 2 1.2 1.01 0 0.5 10 12.5".split()
TEXTS += [
    sign + mantissa + power
    for sign in ("", "-")
    for mantissa in MANTISSAS
    for power in "e0 e-0 E1 e+1 e01 e-1 e-01 e2 e-2 e+2 e3 e-05 e-20 e+20 e+400 e".split()
]
OTHERS = ["", " 1", "1 ", *"- +1 .5 -.5 1e3 1E-2 0.5e+1 --1 1.5.5 0x1 Infinity NaN".split()]

BOUNDS = [Fraction(text) for text in "-100 -12 -9.05 -1 -0.5 0 0.05 0.5 1 9.5 10 12 99.05 100".split()]


def is_within(text, low, low_open, high, high_open):
    value = Fraction(text)
    return (low is None or value > low or (value == low and not low_open)) and (
        high is None or value < high or (value == high and not high_open)
    )


def is_expected(text, is_integer, *bounds):
    """Judge a text: plain decimals within the bounds, or after one digit an exponent; integers without a point."""
    if PLAIN_NUMBER.fullmatch(text) is None and (is_integer or SCIENTIFIC_NUMBER.fullmatch(text) is None):
        return False
    if is_integer and "." in text:
        return False
    return is_within(text, *bounds)


@pytest.mark.parametrize("is_integer", [True, False], ids=["integer", "number"])
@pytest.mark.parametrize(
    "opens", list(itertools.product([False, True], repeat=2)), ids=["[]", "[)", "(]", "()"]
)
def test_bounds_are_exact_on_a_grid(is_integer, opens):
    pairs = [(low, high) for low in [None, *BOUNDS[::2]] for high in [None, *BOUNDS]][1:]
    for low, high in pairs:
        bounds = (low, opens[0], high, opens[1])
        expression = number_texts(is_integer, *bounds)
        for text in [*TEXTS, *OTHERS]:
            assert matches(expression, text.encode()) == is_expected(text, is_integer, *bounds), (
                text,
                bounds,
            )


@st.composite
def decimals(draw):
    scale = 10 ** draw(st.integers(0, 4))
    return Fraction(draw(st.integers(-3000, 3000)), scale)


@given(st.booleans(), decimals() | st.none(), st.booleans(), decimals() | st.none(), st.booleans(), st.data())
def test_bounds_are_exact_beside_themselves(is_integer, low, low_open, high, high_open, data):
    if low is None and high is None:
        return
    expression = number_texts(is_integer, low, low_open, high, high_open)
    for _ in range(5):
        near = data.draw(st.sampled_from([b for b in (low, high) if b is not None]))
        value = near + data.draw(st.sampled_from([-1, 0, 1])) * Fraction(
            1, 10 ** data.draw(st.integers(0, 5))
        )
        text = f"{float(value):.{data.draw(st.integers(0, 6))}f}"
        expected = is_expected(text, is_integer, low, low_open, high, high_open)
        assert matches(expression, text.encode()) == expected, text


@given(st.booleans(), decimals(), st.booleans(), decimals(), st.booleans())
def test_bounds_without_a_number_are_empty(is_integer, low, low_open, high, high_open):
    if is_integer:
        least = -(-low.numerator // low.denominator)
        least += low_open and least == low
        most = high.numerator // high.denominator
        most -= high_open and most == high
        has_number = least <= most
    else:
        has_number = low < high or (low == high and not low_open and not high_open)
    assert is_empty(number_texts(is_integer, low, low_open, high, high_open)) == (not has_number)


def test_numbers_without_bounds_are_those_of_json():
    for text in [*TEXTS, *OTHERS, "1e400", "-0", "-0.0e-0", "1e", "1e+", "2.E1"]:
        assert matches(NUMBER, text.encode()) == (JSON_NUMBER.fullmatch(text) is not None), text
        is_integer = PLAIN_NUMBER.fullmatch(text) is not None and "." not in text
        assert matches(INTEGER, text.encode()) == is_integer, text
    assert number_texts(False, None, False, None, False) is NUMBER
    assert number_texts(True, None, True, None, True) is INTEGER


def test_zero_has_a_sign_and_any_number_of_places():
    at_least_zero = number_texts(False, Fraction(0), False, None, False)
    above_zero = number_texts(False, Fraction(0), True, None, False)
    for text in (b"0", b"-0", b"0.0", b"-0.000"):
        assert json.loads(text) == 0
        assert matches(at_least_zero, text)
        assert not matches(above_zero, text)
    assert not matches(at_least_zero, b"-0.001")
    assert matches(above_zero, b"0.001")


def test_bounds_beyond_doubles_are_exact():
    huge = 10**30 + 1
    expression = number_texts(True, Fraction(huge), False, None, False)
    assert matches(expression, str(huge).encode())
    assert not matches(expression, str(huge - 1).encode())
    tiny = number_texts(False, Fraction(1, 10**30), True, Fraction(2, 10**30), True)
    assert matches(tiny, b"0." + b"0" * 29 + b"15")
    assert not matches(tiny, b"0." + b"0" * 29 + b"1")
    assert not matches(tiny, b"0." + b"0" * 29 + b"20")


@pytest.mark.parametrize("bound", [Fraction(10**400), Fraction(1, 10**400)])
def test_digits_of_a_bound_have_a_named_limit(bound):
    assert number_texts(False, min(bound, 1 / bound) * 10**5, False, None, False) is not EMPTY
    with pytest.raises(LimitError, match=f"has 401 digits, more than {numbers.MAX_DIGITS}") as caught:
        number_texts(False, bound, False, None, False)
    assert caught.value.limit == "MAX_DIGITS"
