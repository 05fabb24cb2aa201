"""Cases and their meet, against sets of values."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.expression import concat, matches, repeat, star
from outlines.constraints.json_schema.text import CHARACTER, QUOTE, STRING_REST, encode
from outlines.constraints.json_schema.value_sets import (
    ANYTHING,
    ArrayCase,
    NumberCase,
    ObjectCase,
    StringCase,
    WordCase,
    is_character,
    is_empty_scalar,
    json_type,
    meet,
    string_case,
    text_state,
)
from outlines.constraints.regex import read

TEXTS = [f"{n / 4:.2f}" for n in range(-12, 13)] + [str(n) for n in range(-3, 4)]
LIMITS = st.none() | st.integers(-12, 12).map(lambda n: Fraction(n, 4))
NUMBERS = st.builds(NumberCase, st.booleans(), LIMITS, st.booleans(), LIMITS, st.booleans())
STRINGS = ["".join(s) for s in ("", "a", "b", "é", "ab", "aa", "ba", "aéa", "abab", "aaaa")]
PATTERNS = ["a*", "(ab)*", "[^b]*", "(?s:.){2}", "a{1,3}", "(?s:.)*"]
STRING_CASES = st.builds(
    lambda low, more, pattern: StringCase(low, None if more is None else low + more, rest(pattern)),
    st.integers(0, 3), st.none() | st.integers(0, 3), st.sampled_from(PATTERNS),
)  # fmt: skip


def rest(pattern):
    return concat(read(pattern, encode=encode), QUOTE)


def numbers_of(case):
    return {text for text in TEXTS if case is not None and matches(case.expression(), text.encode())}


def strings_of(case):
    return {
        text
        for text in STRINGS
        if case.low <= len(text)
        and (case.high is None or len(text) <= case.high)
        and matches(case.pattern, f'{text}"'.encode())
    }


STEPS = st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(3, 2), Fraction(2)])
GRID = [Fraction(n, 4) for n in range(-20, 21)]
POINTS = st.sampled_from(GRID)
ALL_NUMBERS = st.builds(
    NumberCase, st.booleans(), LIMITS, st.booleans(), LIMITS, st.booleans(),
    st.none() | STEPS, st.frozensets(STEPS, max_size=2), st.frozensets(POINTS, max_size=3),
)  # fmt: skip


def grid_of(case):
    return {number for number in GRID if case.contains(number)}


@given(ALL_NUMBERS, ALL_NUMBERS)
def test_meet_of_numbers_with_multiples_is_what_both_have(left, right):
    assert grid_of(left.meet(right)) == grid_of(left) & grid_of(right)


@given(ALL_NUMBERS)
def test_complement_of_numbers_is_what_the_case_lacks(case):
    assert {n for part in case.complement() for n in grid_of(part)} == set(GRID) - grid_of(case)


@given(ALL_NUMBERS)
def test_numbers_are_empty_when_no_multiple_is_left(case):
    if case.is_empty():
        assert not grid_of(case)
    elif case.step is not None and case.low is not None and case.high is not None:
        assert list(case.members()) == [n for n in GRID if case.contains(n)]
        assert grid_of(case)


@given(STRING_CASES)
def test_complement_of_strings_is_what_the_case_lacks(case):
    others = {text for part in case.complement() for text in strings_of(part)}
    assert others == set(STRINGS) - strings_of(case)


@given(NUMBERS, NUMBERS)
def test_meet_of_numbers_is_what_both_have(left, right):
    assert numbers_of(meet(left, right)) == numbers_of(left) & numbers_of(right)


@given(STRING_CASES, STRING_CASES)
def test_meet_of_strings_is_what_both_have(left, right):
    both = meet(left, right)
    assert strings_of(both) == strings_of(left) & strings_of(right)
    if strings_of(both):
        assert not is_empty_scalar(both)


@pytest.mark.parametrize(
    ("low", "high", "pattern", "is_empty"),
    [
        (2, 1, ".*", True),
        (0, 0, "a+", True),
        (0, 1, "a+", False),
        (3, None, "a{0,2}", True),
        (3, 3, "(aa)*", True),
        (3, 4, "(aa)*", False),
        (3, 5, "(aaaaaa)+|a", True),
        (7, None, "(aaaaaa)+|a", False),
        (0, None, "[^\\s\\S]", True),
        (5, None, "(?s:.)*", False),
    ],
)
def test_string_without_fitting_length_is_empty(low, high, pattern, is_empty):
    fits = any(re.fullmatch(pattern, "a" * n) for n in range(low, (13 if high is None else high) + 1))
    assert is_empty == (not fits)
    assert is_empty_scalar(StringCase(low, high, rest(pattern))) == is_empty


def test_number_between_its_bounds_is_empty():
    assert is_empty_scalar(NumberCase(True, Fraction(1, 3).limit_denominator(1), True, Fraction(1), True))
    assert is_empty_scalar(NumberCase(False, Fraction(2), False, Fraction(1), False))
    assert not is_empty_scalar(NumberCase(False, Fraction(0), True, Fraction(1), True))


@pytest.mark.parametrize(
    ("pattern", "low", "high", "is_free"),
    [
        (".{2,5}", 2, 5, False),
        ("(?s:.){2,5}", 2, 5, True),
        ("[a-z]{3,}", 3, None, False),
        ("[a-z]{0,7}", 0, 7, False),
        ("[a-z]+", 0, None, False),
        ("(ab){2,5}", 0, None, False),
        ("[a-z]{2}[0-9]{2}", 0, None, False),
    ],
)
def test_count_of_a_character_is_a_length(pattern, low, high, is_free):
    case = string_case(rest(pattern))
    assert (case.low, case.high) == (low, high)
    assert (case.pattern is STRING_REST) == is_free
    for text in ("", "a", "ab", "abc", "abcdefgh", "12", "ab12", "abab"):
        expected = re.fullmatch(pattern, text) is not None
        fits = case.low <= len(text) and (case.high is None or len(text) <= case.high)
        assert (fits and matches(case.pattern, f'{text}"'.encode())) == expected, text


def test_character_is_one_of_a_string():
    assert is_character(CHARACTER)
    assert is_character(read("[aé🙂]", encode=encode))
    for expression in (star(CHARACTER), repeat(CHARACTER, 2, 2), read("ab", encode=encode), QUOTE):
        assert not is_character(expression)


def test_start_of_a_string_is_one_state_for_a_pattern():
    assert text_state(rest("a{3}b")) is text_state(rest("a{3}b"))
    assert text_state(STRING_REST).is_start


def test_meet_of_other_types():
    one, two, three = (frozenset([n]) for n in (1, 2, 3))
    assert meet(WordCase(b"true"), WordCase(b"true")) == WordCase(b"true")
    assert meet(WordCase(b"true"), WordCase(b"false")) is None
    assert meet(NumberCase(), StringCase()) is None
    assert meet(ArrayCase(), ObjectCase()) is None
    left, right = ArrayCase((one,), two, 1, 5), ArrayCase((two, three), ANYTHING, 2, None)
    assert meet(left, right) == ArrayCase((one | two, two | three), two, 2, 5)
    assert meet(ArrayCase(low=3), ArrayCase(high=2)) is None
    left = ObjectCase((("a", one), ("b", two)), frozenset("a"), three)
    right = ObjectCase((("b", one), ("c", two)), frozenset("c"), ANYTHING)
    both = meet(left, right)
    assert both.names == (("a", one), ("b", two | one), ("c", two | three))
    assert (both.required, both.rest) == (frozenset("ac"), three)
    assert meet(right, left).names[0] == ("b", one | two)


def test_elements_beyond_the_prefix_are_the_rest():
    one, two = frozenset([1]), frozenset([2])
    case = ArrayCase((one,), two)
    assert [case.element(i) for i in range(3)] == [one, two, two]


def test_required_names_that_are_not_declared_come_last_in_order():
    one, two = frozenset([1]), frozenset([2])
    case = ObjectCase((("b", one),), frozenset(["z", "b", "a"]), two)
    assert case.all_names() == [("b", one), ("a", two), ("z", two)]


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "null"), (True, "boolean"), (0, "integer"), (0.0, "number"), (1.5, "number"), ("", "string"), ([], "array"),
     ({}, "object")],
)  # fmt: skip
def test_type_of_a_value(value, name):
    assert json_type(value) == name
