"""The arithmetic head of numbers: exact on grids of texts, and never where no number can follow."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.json_schema.decimals import Magnitudes
from outlines.constraints.json_schema.numbers import NumberForms, number_symbol
from outlines.constraints.json_schema.value_sets import NumberCase
from outlines.exceptions import LimitError

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # RFC 8259, section 6

WHOLE = "0 1 2 3 5 7 9 10 11 12 14 15 21 25 30 49 50 55 60 99 100 105 120 1000 1001 00 01".split()
PLACES = ["", ".", *".0 .00 .01 .02 .05 .050 .051 .1 .25 .4 .49 .5 .50 .501 .75 .9 .99".split()]
POWERS = ["", *"e e+ e0 e1 e+1 e2 e-1 E-2 e-3 e01 e3 e20 e-20 e+00".split()]
PLAIN = [sign + whole + places for sign in ("", "-") for whole in WHOLE for places in PLACES]
TEXTS = [text + power for text in PLAIN for power in POWERS]

BOUNDS = [Fraction(text) for text in "-100 -12 -0.5 0 0.05 0.5 1 9.5 10 12 50 99.05 100 1000".split()]
STEPS = [Fraction(text) for text in "1 2 3 5 7 12 60 0.01 0.25 0.5 1.5 7.5 2.5".split()]
LIMITED = [NumberForms(False, 3), NumberForms(False, 1), NumberForms(True, 3, 2), NumberForms(True, None, 2)]

EXCLUDED = [Fraction(text) for text in "0 1 10 12 25 50 0.5 -0.5 -12 100 0.25 99".split()]


def random_case(rng):
    low, high = (rng.choice(BOUNDS) if rng.random() < 0.5 else None for _ in range(2))
    return NumberCase(
        rng.random() < 0.4,
        low,
        rng.random() < 0.5,
        high,
        rng.random() < 0.5,
        rng.choice(STEPS) if rng.random() < 0.5 else None,
        frozenset(rng.sample(STEPS, rng.choice((0, 0, 1, 2)))),
        frozenset(rng.sample(EXCLUDED, rng.choice((0, 0, 1, 3)))),
    )


def is_in(value, case):
    """Judge a value without the code under test."""
    if case.low is not None and (value < case.low or (case.low_open and value == case.low)):
        return False
    if case.high is not None and (value > case.high or (case.high_open and value == case.high)):
        return False
    if (case.is_integer and value.denominator != 1) or value in case.excluded:
        return False
    if case.multiple is not None and (value / case.multiple).denominator != 1:
        return False
    return all((value / other).denominator != 1 for other in case.not_multiples)


def is_expected(text, case, forms):
    """Judge a text."""
    if JSON_NUMBER.fullmatch(text) is None:
        return False
    mantissa, has_power, power = text.lower().partition("e")
    if not forms.all_forms:
        is_free = case == NumberCase(low_open=case.low_open, high_open=case.high_open)
        is_bounded = forms == NumberForms() and case == NumberCase(
            case.is_integer, case.low, case.low_open, case.high, case.high_open
        )
        may_have_power = is_free or (is_bounded and re.match(r"-?[1-9](\.|$)", mantissa))
        if (case.is_integer and (mantissa.count(".") or has_power)) or (has_power and not may_have_power):
            return False
    if forms.max_digits is not None and sum(c.isdigit() for c in mantissa) > forms.max_digits:
        return False
    if forms.max_exponent is not None and has_power and abs(int(power)) > forms.max_exponent:
        return False
    return is_in(Fraction(text), case)


def is_whole(case):
    """Tell whether multiples alone are given, in lowest terms as the value sets give them."""
    return not case.is_integer or case.multiple is None or case.multiple.denominator == 1


@pytest.mark.parametrize("forms", [NumberForms(), NumberForms(True)], ids=["plain", "all"])
def test_texts_are_exact_on_a_grid(rng, budget, forms):
    for _ in range(20 * budget):
        case = random_case(rng)
        if not is_whole(case) or case.is_empty():
            continue
        automaton = Automaton((number_symbol(case, forms),))
        for text in rng.sample(TEXTS, 300) + rng.sample(PLAIN, 300):
            accepted = END in automaton.run(automaton.start, text.encode())
            assert accepted == is_expected(text, case, forms), (text, case)


def test_a_place_is_live_and_shared_only_with_its_like(rng, budget):
    """From every place that is reached a number follows; one that the grid has isn't refused half-way."""
    for _ in range(15 * budget):
        case = random_case(rng)
        forms = rng.choice((NumberForms(), NumberForms(), NumberForms(True), NumberForms(False, 4), LIMITED[2]))
        if not is_whole(case) or case.is_empty():
            continue
        automaton = Automaton((number_symbol(case, forms),))
        text = b""
        for _ in range(12):
            threads = automaton.run(automaton.start, text)
            assert threads, (text, case, forms)
            assert reaches_end(automaton, threads), (text, case, forms)
            ways = [byte for byte in b"0123456789-+.eE" if automaton.step(threads, byte)]
            if not ways:
                break
            text += bytes([rng.choice(ways)])


def reaches_end(automaton, threads, most=3000):
    """Search for an end, breadth first."""
    seen, waiting = {threads}, [threads]
    for place, at in enumerate(waiting):
        if END in at:
            return True
        for byte in b"e-.0123456789":
            following = automaton.step(at, byte)
            if following and following not in seen:
                seen.add(following)
                waiting.append(following)
        if place > most:
            break
    return False


@pytest.mark.parametrize("forms", LIMITED)
def test_limits_on_digits_and_exponents_are_exact(rng, budget, forms):
    for _ in range(6 * budget):
        case = random_case(rng)
        if not is_whole(case) or case.is_empty():
            continue
        expected = {text for text in TEXTS if is_expected(text, case, forms)}
        if not expected:
            continue
        automaton = Automaton((number_symbol(case, forms),))
        for text in [*rng.sample(TEXTS, 400), *itertools.islice(expected, 100)]:
            accepted = END in automaton.run(automaton.start, text.encode())
            assert accepted == (text in expected), (text, case)


def test_a_number_gets_the_digits_that_it_needs():
    automaton = Automaton((number_symbol(NumberCase(True, Fraction(12345)), NumberForms(False, 3)),))
    assert END in automaton.run(automaton.start, b"12345")
    assert not automaton.run(automaton.start, b"123456")


def test_places_are_few():
    """Multiples that only their last digits tell have few places; so have bounds."""
    for step, most in ((Fraction(3600), 30), (Fraction(1, 100), 16), (Fraction(60), 14), (Fraction(7), 12)):
        magnitudes = Magnitudes(Fraction(0), False, None, False, step, (), frozenset(), step.denominator > 1, False)
        waiting = [magnitudes.start()]
        for head in waiting:
            for byte in b"0123456789.":
                outcome = head.step(byte)
                if outcome is not None and outcome[0] not in waiting:
                    waiting.append(outcome[0])
        assert len(waiting) <= most, step


def test_exclusions_in_a_row_have_a_named_limit(monkeypatch):
    monkeypatch.setattr("outlines.constraints.json_schema.decimals.MAX_NUMBERS", 50)
    case = NumberCase(
        True, Fraction(100), False, None, False, None, frozenset(), frozenset(map(Fraction, range(100, 200)))
    )
    with pytest.raises(LimitError, match="more than 50 multiples of 1 in a row") as caught:
        number_symbol(case, NumberForms())
    assert caught.value.limit == "MAX_NUMBERS"
