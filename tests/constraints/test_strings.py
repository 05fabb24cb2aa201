"""Strings with a pattern and bounds on their length."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from outlines.constraints import strings
from outlines.constraints.expression import concat
from outlines.constraints.json_schema.text import QUOTE, STRING_REST, encode
from outlines.constraints.regex import read
from outlines.constraints.strings import Text, TextBounds, TextState, text
from outlines.exceptions import LimitError
from tests.heads import follow

ALPHABET = "aé\n"
LONGEST = 6
TEXTS = ["".join(chars) for n in range(LONGEST + 1) for chars in itertools.product(ALPHABET, repeat=n)]

# Patterns from whose every prefix a text of at most three further characters leads to the end.
PATTERNS = [
    "(?s:.*)",
    "a*",
    "(aé)*",
    "(a|éé|\n\n\n)+",
    "a(?s:.){2}",
    "a?|é{3}",
    "(?:aaa)*",
    "a*é\n*",
    "é{2}|a{0,2}",
]
BOUNDS = [(0, None), (0, 0), (0, 2), (1, 3), (2, None), (3, 3), (4, 5), (2, 2)]


def spell(value):
    return json.dumps(value, ensure_ascii=False)[1:-1].encode()


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_length_beside_a_pattern_counts_characters(pattern, low, high):
    state = TextState(concat(read(pattern, encode=encode), QUOTE), STRING_REST, STRING_REST, {})
    bounds = TextBounds(state, low, high)
    accepted = {
        t for t in TEXTS if re.fullmatch(pattern, t) and low <= len(t) and (high is None or len(t) <= high)
    }
    alive = {t[:n] for t in accepted for n in range(len(t) + 1)}
    assert bounds.allows(state, low, high) == bool(accepted)
    if not accepted:
        return
    head = text(state, low, high, bounds)
    for t in TEXTS:
        assert (follow(head, spell(t) + b'"') == (None, ())) == (t in accepted), t
        if len(t) <= LONGEST - 3:  # longer ones may go on beyond the texts that are listed
            assert (follow(head, spell(t)) is not None) == (t in alive), t


def test_length_counts_characters_however_they_are_spelt():
    state = TextState(STRING_REST, STRING_REST, STRING_REST, {})
    head = text(state, 1, 1, TextBounds(state, 1, 1))
    for spelt in [b"a", "é".encode(), "\U0001f600".encode(), rb"\n", rb"\u0041", rb"\ud83d\ude00"]:
        assert follow(head, spelt + b'"') == (None, ()), spelt
        assert follow(head, spelt + b"a") is None, spelt
    assert follow(head, b'"') is None


def test_same_counts_are_the_same_head():
    state = TextState(STRING_REST, STRING_REST, STRING_REST, {})
    bounds = TextBounds(state, 0, 9)
    head = text(state, 0, 9, bounds)
    assert isinstance(head, Text)
    assert follow(head, b"ab")[0] is follow(head, rb"\u0061\n")[0]
    assert text(state, 0, None, bounds) is STRING_REST


def test_free_text_is_never_explored_for_its_length():
    state = TextState(STRING_REST, STRING_REST, STRING_REST, {})
    bounds = TextBounds(state, 10**9, 10**12)
    assert bounds.allows(state, 10**9, 10**12)
    assert not bounds.allows(state, 2, 1)


@pytest.mark.parametrize(
    ("limit", "value", "pattern", "low", "problem"),
    [
        ("MAX_TEXT_STATES", 10, "a{40}", 0, "more than 10 of its states; make the pattern simpler"),
        ("MAX_TEXT_LENGTH", 50, "(aa)*", 51, "lengths up to 51, above 50"),
    ],
)
def test_lengths_hit_a_named_limit(monkeypatch, limit, value, pattern, low, problem):
    monkeypatch.setattr(strings, limit, value)
    state = TextState(concat(read(pattern, encode=encode), QUOTE), STRING_REST, STRING_REST, {})
    with pytest.raises(LimitError, match=problem) as caught:
        TextBounds(state, low, None).allows(state, low, None)
    assert caught.value.limit == limit
