"""Threads, tails and closures, against the texts that symbols stand for."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.automaton import END, Automaton
from outlines.constraints.expression import EPSILON, literal, star, union
from outlines.constraints.items import Item, Literal, Repeated, Union, words
from outlines.constraints.regex import read

TEXTS = ["".join(t) for n in range(6) for t in itertools.product("ab", repeat=n)]


def larger(both):
    """Symbols as a pair (how to make them, the pattern that says the same)."""
    few = st.lists(both, min_size=1, max_size=3)
    bounds = st.tuples(st.integers(0, 2), st.none() | st.integers(2, 3))
    return st.one_of(
        few.map(lambda parts: (
            tuple(symbol for symbols, _ in parts for symbol in symbols), "".join(p for _, p in parts))),
        few.map(lambda parts: (
            (Union(*[symbols for symbols, _ in parts]),), "(?:" + "|".join(p for _, p in parts) + ")")),
        st.tuples(both, bounds).map(lambda drawn: (
            (Repeated(drawn[0][0], *drawn[1]),),
            f"(?:{drawn[0][1]}){{{drawn[1][0]},{'' if drawn[1][1] is None else drawn[1][1]}}}")),
    )  # fmt: skip


LEAVES = st.one_of(
    st.text("ab", min_size=1, max_size=3).map(lambda text: ((Literal(text.encode()),), text)),
    st.sampled_from(["a*", "b+", "(?:ab)*", "a?b", "[ab]{2}", ""]).map(lambda p: ((read(p),), f"(?:{p})")),
    st.lists(st.text("ab", max_size=3), min_size=1, max_size=4, unique=True).map(
        lambda texts: ((words([text.encode() for text in texts]),), f"(?:{'|'.join(texts)})")
    ),
    st.just(((), "")),
)
SYMBOLS = st.recursive(LEAVES, larger, max_leaves=6)


@given(SYMBOLS, st.data())
def test_symbols_accept_what_their_pattern_matches(both, data):
    symbols, pattern = both
    automaton = Automaton(symbols)
    accepted = {text for text in TEXTS if re.fullmatch(pattern, text)}
    for text in TEXTS:
        threads = automaton.start
        for byte in text.encode():
            threads = automaton.step(threads, byte)
        assert (END in threads) == (text in accepted), text
        cut = data.draw(st.integers(0, len(text))) if len(text) > 3 else 0
        run = automaton.run(automaton.run(automaton.start, text[:cut].encode()), text[cut:].encode())
        assert set(run) == set(threads), text
        assert len(set(run)) == len(run)
    for prefix in {text[:n] for text in accepted for n in range(len(text) + 1)}:
        assert automaton.run(automaton.start, prefix.encode())


def test_tails_are_interned():
    x, y = literal(b"xx"), Literal(b"yy")
    automaton = Automaton((x,))
    tail = automaton.push((x, y), END)
    assert automaton.push((x, y), END) == tail
    assert automaton.push((x,), automaton.push((y,), END)) == tail
    assert automaton.push((y, x), END) != tail
    assert automaton.push((), tail) == tail


def test_states_met_again_have_the_same_threads():
    automaton = Automaton((Repeated((Literal(b"ab"),), 0, None),))
    once, again = (automaton.run(automaton.start, text) for text in (b"ab", b"ababab"))
    assert set(once) == set(again) == set(automaton.start)


def test_end_of_the_text_accepts_and_goes_no_further():
    automaton = Automaton((Literal(b"ab"),))
    assert automaton.run(automaton.start, b"ab") == (END,)
    assert automaton.run(automaton.start, b"abc") == ()
    assert automaton.run(automaton.start, b"b") == ()
    assert automaton.closure(END) == (END,)
    assert automaton.step((END,), ord("a")) == ()
    assert Automaton(()).start == (END,)
    assert Automaton((EPSILON,)).start == (END,)


class Nest(Item):
    """Brackets in brackets, recursive."""

    num_expansions = 0

    def expand(self):
        self.num_expansions += 1
        return ((Literal(b"["), self, Literal(b"]")), (Literal(b"x"),))


@pytest.mark.parametrize("depth", [0, 1, 7, 10_000])
def test_brackets_of_any_depth_close(depth):
    nest = Nest()
    automaton = Automaton((nest,))
    opened = automaton.run(automaton.start, b"[" * depth)
    closed = automaton.run(opened, b"x" + b"]" * depth)
    assert closed == (END,)
    assert automaton.run(closed, b"]") == ()
    if depth:
        assert END not in automaton.run(opened, b"x" + b"]" * (depth - 1))
    assert nest.num_expansions == 1


def test_repetition_of_what_may_be_empty_ends():
    automaton = Automaton((Repeated((Union((), (Literal(b"a"),)),), 0, None), Literal(b"b")))
    assert automaton.run(automaton.start, b"aab") == (END,)
    assert automaton.run(automaton.start, b"b") == (END,)
    assert END not in automaton.run(automaton.start, b"aa")


def test_ambiguity_is_a_set_of_threads():
    automaton = Automaton((Union((Literal(b"ab"), Literal(b"c")), (Literal(b"a"), Literal(b"bd"))),))
    after = automaton.run(automaton.start, b"ab")
    assert len(after) == 2
    assert automaton.run(after, b"c") == automaton.run(after, b"d") == (END,)


def test_threads_that_meet_are_one():
    shared = Literal(b"!")
    automaton = Automaton((Union((read("a+"),), (read("[ab]a*"),)), shared))
    assert automaton.run(automaton.start, b"a!") == (END,)
    joined = Automaton((star(union(literal(b"a"), literal(b"aa"))),))
    assert set(joined.run(joined.start, b"aaa")) == set(joined.run(joined.start, b"aaaa"))
