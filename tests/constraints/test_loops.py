"""Loops over characters: what is said of them, against texts read one by one."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    byte_class,
    concat,
    intersection,
    literal,
    matches,
    repeat,
    star,
    union,
)
from outlines.constraints.loops import (
    bytes_of,
    character_step,
    code_of,
    cut_counts,
    ends_within,
    loop_of,
    shortest,
    without_bytes,
)
from outlines.constraints.regex import read

LETTERS = "ab é漢"
TEXTS = ["".join(text).encode() for length in range(5) for text in product(LETTERS, repeat=length)]
SETS = [read(pattern) for pattern in ("[aé]", "[ab]", r"\w", ".", "[^a]", "[é漢]", "[^é]", "é")]


def larger(parts):
    few = st.lists(parts, min_size=2, max_size=3)
    counts = st.tuples(st.integers(0, 3), st.none() | st.integers(3, 6))
    return st.one_of(
        few.map(lambda parts: concat(*parts)),
        few.map(lambda parts: union(*parts)),
        st.tuples(parts, counts).map(lambda both: repeat(both[0], *both[1])),
    )


EXPRESSIONS = st.recursive(
    st.sampled_from([*SETS, *map(literal, (b"ab", "é a".encode(), b"a"))]), larger, max_leaves=6
)


def after(state, text):
    for byte in text:
        state = state.step(byte)
        if state is EMPTY:
            break
    return state


@given(EXPRESSIONS, st.sampled_from(SETS))
def test_what_ends_within_a_loop_never_leaves_it(expression, body):
    loop = star(body)
    ends = ends_within(expression, loop)
    texts = [text for text in TEXTS if after(expression, text) is not EMPTY]
    if ends is None:
        return
    for text in texts:
        assert after(loop, text) is not EMPTY
        if matches(expression, text):
            assert after(loop, text) in ends


@pytest.mark.parametrize(
    ("pattern", "body", "is_within"),
    [
        ("a{40}", ".", True),
        ("(é|ab)*c.{3,9}", ".", True),
        ("a\n?", ".", False),
        ("x" * 900, ".", True),
        ("x" * 2000, ".", True),
        ("é" * 2000, ".", False),
        ("[^a]", ".", False),
        ("(a|b{3})+", "[ab]", True),
        ("(a|b{3})+c", "[ab]", False),
    ],
)
def test_loops_that_contain_a_pattern_are_known(pattern, body, is_within):
    assert (ends_within(read(pattern), star(read(body))) is not None) == is_within


def test_an_intersection_is_not_looked_into():
    assert ends_within(intersection(read("a*b"), read("(ab)*")), star(read("."))) is None


def test_loop_of_is_the_unbounded_repetition_in_front():
    assert loop_of(read(".*a")) is star(read("."))
    assert loop_of(read("a{3,}")) is star(read("a"))
    assert loop_of(read("a{3,4}b*")) is None
    assert loop_of(read("ab*")) is None


@given(EXPRESSIONS, st.sampled_from(SETS))
def test_a_step_by_characters_is_the_derivative_by_each(expression, body):
    expression = concat(repeat(body, 0, 3), expression)
    assume(code_of(expression) is body)
    step = character_step(expression, body)
    if step is None:
        return
    for char in [chr(code_point) for code_point in (*range(128), 0xE9, 0xEA, 0x2003, 0x6F22, 0x1F642)]:
        text = char.encode()
        state = after(expression, text)
        if matches(body, text) and not (len(text) == 1 and step.exceptions >> text[0] & 1):
            assert [matches(state, t) for t in TEXTS[:200]] == [matches(step.target, t) for t in TEXTS[:200]]
        elif (
            len(text) > 1
            and after(body, text) is EMPTY
            and state is not EMPTY
            and body.step(text[0]) is not EMPTY
        ):
            assert step.parting >> text[0] & 1


def test_characters_of_several_bytes_that_differ_have_no_step():
    assert character_step(read(r".{0,5}é"), read(".")) is None
    assert character_step(read(r".{0,5}[a-z]"), read(".")).exceptions == bytes_of(read("[a-z]"))
    assert character_step(read(r"(.{0,5}|[é漢]x)"), read(".")) is None


def test_bytes_are_taken_out_of_a_set():
    assert without_bytes(read("."), 1 << ord("a")) is read("[^\na]")


def test_bytes_of_an_expression_are_all_that_occur():
    assert bytes_of(read("(ab|é)*[0-9]")) == sum(1 << byte for byte in "abé0123456789".encode())


@given(EXPRESSIONS)
def test_shortest_is_not_above_any_text(expression):
    least = shortest(expression)
    assert all(len(text) >= least for text in TEXTS if matches(expression, text))
    assert (least == 0) == expression.nullable


def test_shortest_adds_up():
    assert shortest(read("(ab|c){3}é?x+")) == 4


@given(EXPRESSIONS, st.integers(1, 3))
def test_cut_counts_agree_on_short_texts(expression, most):
    cut = cut_counts(expression, lambda body, enough: most)
    for text in TEXTS:
        if len(text) <= most:
            assert matches(cut, text) == matches(expression, text)
            assert (after(cut, text) is EMPTY) == (after(expression, text) is EMPTY)


def test_counts_beyond_a_token_are_one():
    def at_most_ten(body, enough):
        return 10

    assert cut_counts(read("a{5000}b"), at_most_ten) is cut_counts(read("a{77}b"), at_most_ten)
    assert cut_counts(read("a{0,5000}b"), at_most_ten) is read("a*b")
    assert cut_counts(read("a{3,9}b"), at_most_ten) is read("a{3,9}b")
    assert cut_counts(EPSILON, at_most_ten) is EPSILON
    assert cut_counts(byte_class(2), at_most_ten) is byte_class(2)
