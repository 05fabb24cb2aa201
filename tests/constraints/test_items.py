"""Heads and items: words against sets, names against `json`, lengths against `re`."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints import items
from outlines.constraints.expression import EMPTY, EPSILON, Expression, concat, literal, star
from outlines.constraints.items import (
    Keys,
    Literal,
    NameTable,
    Repeated,
    Text,
    TextBounds,
    TextState,
    Union,
    text,
    words,
)
from outlines.constraints.json_schema.text import QUOTE, STRING_REST, encode, name_text, unescape
from outlines.constraints.regex import read
from outlines.exceptions import LimitError


def follow(head, data):
    """Read bytes along a head: the head that is left (None if it ended) and what was put under it; or None."""
    under = ()
    for byte in data:
        if head is None:
            return None
        if isinstance(head, Expression):
            head = head.step(byte)
            if head is EMPTY:
                return None
            head = None if head is EPSILON else head
        else:
            outcome = head.step(byte)
            if outcome is None:
                return None
            head, more = outcome
            under = (*more, *under)
    return head, under


# ---- Literals and words -----------------------------------------------------------------------------------------


def test_literal_reads_its_bytes_and_shares_its_rests():
    head = Literal(b"null")
    assert head.is_open
    assert head.ended is None
    rest, under = follow(head, b"nu")
    assert rest is head.at(2) is head.at(1).at(2)
    assert under == ()
    assert follow(head, b"nil") is None
    end = head.at(4)
    assert not end.is_open
    assert end.ended == ()
    assert end.step(ord("l")) is None


def test_literal_without_bytes_has_ended():
    assert Literal(b"").ended == ()
    assert not Literal(b"").is_open


WORDS = st.lists(
    st.binary(max_size=4).map(lambda b: bytes(97 + i % 3 for i in b)), min_size=1, max_size=12, unique=True
)


@given(WORDS, st.integers(0, 12), st.integers(0, 12))
def test_words_are_those_of_the_list(texts, first, last):
    root = words(texts)
    prefixes = {text[:n] for text in texts for n in range(len(text) + 1)}
    for data in {prefix + letter for prefix in prefixes for letter in (b"", b"a", b"d")}:
        found = follow(root, data)
        assert (found is not None) == (data in prefixes)
        if found is None:
            continue
        node = found[0]
        below = [i for i, text in enumerate(texts) if text.startswith(data)]
        assert (node.ended is not None) == (data in texts)
        assert node.word == (texts.index(data) if data in texts else None)
        assert node.is_open == any(texts[i] != data for i in below)
        assert set(node.children()) == {texts[i][len(data)] for i in below if texts[i] != data}
        assert node.has_between(first, last) == any(first <= i <= last for i in below)


def test_children_of_words_are_one_object_each():
    root = words([b"ab", b"ac"])
    assert root.step(ord("a"))[0] is root.step(ord("a"))[0]
    assert root.step(ord("b")) is None


def test_50000_words_are_found():
    texts = [b"%d" % i for i in range(50_000)]
    root = words(texts)
    assert follow(root, b"49999")[0].word == 49_999
    assert follow(root, b"50000") is None


# ---- Names ------------------------------------------------------------------------------------------------------

NAMES = ["a", "ab", "b", "", 'q"', "s/", "é", "\U0001f600", "\n", "\\"]
FREE = ("free",)


def keys(first=0, last=9, free=FREE, names=NAMES):
    table = NameTable([name_text(n) for n in names], [(n,) for n in names], STRING_REST, unescape)
    return Keys(table.root, first, last, free)


def spellings(character):
    """Give ways in which JSON writes a character, the one that is generated first."""
    units = character.encode("utf-16-be")
    escaped = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    shown = json.dumps(character, ensure_ascii=False)[1:-1]
    return list(
        dict.fromkeys([shown, escaped, escaped.upper().replace("\\U", "\\u"), *("\\/",) * (character == "/")])
    )


SPELT_NAMES = st.lists(
    st.sampled_from(sorted({*"".join(NAMES), "x"})).flatmap(lambda c: st.sampled_from(spellings(c))),
    max_size=3,
).map("".join)


@given(SPELT_NAMES | st.sampled_from([name_text(n)[:-1].decode() for n in NAMES]),
       st.integers(0, 9), st.integers(0, 9), st.booleans())  # fmt: skip
def test_a_name_is_declared_as_it_is_spelt_or_free(spelt, first, last, has_free):
    name = json.loads(f'"{spelt}"')
    found = follow(keys(first, last, FREE if has_free else None), f'{spelt}"'.encode())
    if name in NAMES:
        is_allowed = first <= NAMES.index(name) <= last and spelt.encode() == name_text(name)[:-1]
        assert found == ((None, (name,)) if is_allowed else None)
    else:
        assert found == ((None, FREE) if has_free else None)


@pytest.mark.parametrize(
    "spelt", [rb"\u0061", rb"\u0061b", rb"a\u0062", rb"s\/", rb"\ud83d\ude00", rb"\u005c", rb"\u00e9"]
)
def test_an_escaped_spelling_of_a_declared_name_is_refused(spelt):
    assert json.loads(b'"' + spelt + b'"') in NAMES
    assert follow(keys(), spelt) is not None
    assert follow(keys(), spelt + b'"') is None


@pytest.mark.parametrize("spelt", [rb'\ud83d"', rb"\ud83dx", rb'\ude00"', rb"\x", b"\n", b"\xff", rb"\u00g"])
def test_a_name_that_is_no_json_string_is_refused(spelt):
    assert follow(keys(), spelt) is None


def test_places_of_a_name_are_interned():
    head = keys()
    assert follow(head, b"a")[0] is follow(head, b"a")[0]
    assert follow(head, rb"\u00")[0] is follow(head, rb"\u00")[0]
    assert follow(head, rb"\u0061")[0] is not follow(head, b"a")[0]


def test_without_free_names_only_names_in_range_lead_on():
    head = keys(0, 1, None, ["a", "bc", "bd"])
    assert follow(head, b"b") is not None
    assert follow(head, b"bc") is not None
    assert follow(head, b"bd") is None
    assert follow(head, b"x") is None
    assert follow(keys(1, 2, None, ["a", "bc", "bd"]), b"a") is None


# ---- Lengths beside patterns ------------------------------------------------------------------------------------

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
    monkeypatch.setattr(items, limit, value)
    state = TextState(concat(read(pattern, encode=encode), QUOTE), STRING_REST, STRING_REST, {})
    with pytest.raises(LimitError, match=problem) as caught:
        TextBounds(state, low, None).allows(state, low, None)
    assert caught.value.limit == limit


# ---- Items ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0, None), (1, None), (0, 2), (2, 3), (0, 0), (3, None)])
def test_repeated_gives_every_count_between_its_bounds(low, high):
    body = literal(b"x")
    counts, waiting = set(), [(0, Repeated((body,), low, high))]
    while waiting:
        count, item = waiting.pop()
        for alternative in item.expand():
            if alternative == ():
                counts.add(count)
            elif count < 6:
                assert alternative[:-1] == (body,)
                waiting.append((count + 1, alternative[-1]))
    assert counts == set(range(low, 7 if high is None else high + 1))


def test_repeated_with_equal_bounds_is_one_item():
    item = Repeated((literal(b"x"),), 0, None)
    assert item.expand()[0][-1] is item
    counted = Repeated((literal(b"x"),), 5, 10**9)
    assert counted.expand()[0][-1] is counted.expand()[0][-1]


def test_union_is_its_alternatives():
    x, y = literal(b"x"), star(literal(b"y"))
    assert list(Union((x,), (y, x), ()).expand()) == [(x,), (y, x), ()]
