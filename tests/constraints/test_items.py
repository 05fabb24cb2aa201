"""Heads and items as plain data: literals, words, alternatives, repetitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.expression import literal, star
from outlines.constraints.items import Literal, Repeated, Union, words
from tests.heads import follow


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
        head, node = found[0], root
        for byte in data:
            node = node.children()[byte]
        below = [i for i, text in enumerate(texts) if text.startswith(data)]
        assert (head.ended is not None) == (node.ended is not None) == (data in texts)
        assert head.is_open == node.is_open
        assert node.word == (texts.index(data) if data in texts else None)
        assert node.is_open == any(texts[i] != data for i in below)
        assert set(node.children()) == {texts[i][len(data)] for i in below if texts[i] != data}
        within = sorted(i for i in below if first <= i <= last)
        assert node.between(first, last) == ((within[0], len(within) == 1) if within else None)


def test_children_of_words_are_one_object_each():
    root = words([b"ab", b"ac"])
    assert root.step(ord("a"))[0] is root.step(ord("a"))[0]
    assert root.step(ord("b")) is None


def test_50000_words_are_found():
    texts = [b"%d" % i for i in range(50_000)]
    root = words(texts)
    assert follow(root, b"49999")[0].word == 49_999
    assert follow(root, b"50000") is None


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
