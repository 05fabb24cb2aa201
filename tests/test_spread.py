"""Walks through the trie along a head, against walks of one token at a time."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines import spread as spread_module
from outlines import trie as trie_module
from outlines.constraints.expression import EMPTY, EPSILON, byte_class, concat, literal, star
from outlines.constraints.json_schema.text import QUOTE, STRING_REST, encode
from outlines.constraints.regex import read
from outlines.constraints.strings import TextState
from outlines.rows import unpack
from outlines.spread import CharacterRun, Run, Start, StateNumbers, join, spread
from outlines.trie import ROOT, Trie

PIECES = [" ", *'a b aa ab 1 12 é " \\n \\u0061 x \\ud83d\\ude00 🙂 ,'.split()]
TOKENS = st.lists(
    st.lists(st.sampled_from(PIECES), max_size=4).map(lambda pieces: "".join(pieces).encode())
    | st.binary(min_size=1, max_size=2),
    min_size=1,
    max_size=40,
)
CHARACTER_TOKENS = st.lists(
    st.lists(st.sampled_from("ab1 é漢É\u2003🙂"), max_size=5).map(lambda pieces: "".join(pieces).encode())
    | st.sampled_from([b"\xc3", b"\xa9", b"\xe2\x80", b"a\xe6", b"\xe6\xbc\xa2\xc3", b"\xff"]),
    min_size=1,
    max_size=40,
)
PATTERNS = ["a*", "[a-z]+b", "(ab|a)*1", "a{2,5}", ".*", "[^a]*", "é|🙂b?", "(a|1)*(12)?", ""]
EXPRESSIONS = st.sampled_from(PATTERNS).map(read)
TEXT_STATES = st.sampled_from(["(?s:.*)", "a*", "(ab)*é?", "[^a]{0,9}"]).map(
    lambda pattern: TextState(concat(read(pattern, encode=encode), QUOTE), STRING_REST, STRING_REST, {})
)


def below(trie, node):
    """Give the nodes below a node with the bytes that lead to them."""
    found = [(node, b"")]
    for at, text in found:
        found += [(child, text + bytes([byte])) for byte, child in trie.children[at].items()]
    return found[1:]


def naive(trie, start):
    """Give (node, characters, state, whether it may end), for what is reached one byte at a time."""
    reached = []
    for nodes, state, counts in start:
        for node, count in zip(nodes.tolist(), counts.tolist(), strict=True):
            for child, text in below(trie, node):
                at, total = state, count
                for byte in text:
                    is_start = isinstance(at, TextState) and at.is_start
                    at = at.step(byte)
                    if at is EMPTY:
                        break
                    total += is_start and not at.nullable
                if at is not EMPTY:
                    reached.append((child, total, at, at.nullable))
    return Counter(reached)


def as_counter(walk, numbers):
    columns = (walk.nodes.tolist(), walk.counts.tolist(), walk.states.tolist(), walk.is_exit.tolist())
    return Counter((n, c, numbers.states[s], e) for n, c, s, e in zip(*columns, strict=True))


@pytest.mark.parametrize("many", [1, 4, 10**9], ids=["level by level", "both", "node by node"])
@given(TOKENS, st.lists(EXPRESSIONS | TEXT_STATES, min_size=1, max_size=3), st.data())
def test_walk_reaches_what_bytes_one_at_a_time_reach(many, tokens, states, data):
    trie = Trie.build(tokens)
    start = []
    for state in states:
        nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), max_size=4))
        start.append(Start(np.asarray(nodes, np.int64), state, np.arange(len(nodes))))
    numbers = StateNumbers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread_module, "_MANY_NODES", many)
        walk = spread(trie, start, numbers)
    assert as_counter(walk, numbers) == naive(trie, start)
    assert walk.is_exit.dtype == bool


@pytest.mark.parametrize("text", ["aé", "🙂\n", "", '\\"x', "\ud7ff\ue000"])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_counts_are_the_characters_that_json_reads(text, is_ascii):
    data = json.dumps(text, ensure_ascii=is_ascii).encode()[1:]
    trie, numbers = Trie.build([data]), StateNumbers()
    start = TextState(STRING_REST, STRING_REST, STRING_REST, {})
    walk = spread(trie, [Start(np.asarray([ROOT]), start, np.asarray([5]))], numbers)
    end = trie.num_nodes - 1
    assert as_counter(walk, numbers)[end, 5 + len(text), numbers.states[walk.states[-1]], True] == 1


def test_walk_from_nowhere_reaches_nothing():
    trie = Trie.build([b"a"])
    for start in ([], [Start(np.zeros(0, np.int64), star(literal(b"a")), np.zeros(0, np.int64))]):
        walk = spread(trie, start, StateNumbers())
        assert [len(column) for column in walk] == [0, 0, 0, 0]
    assert [len(column) for column in join([])] == [0, 0, 0, 0]


def test_walks_are_joined_in_order():
    trie, numbers = Trie.build([b"a", b"b"]), StateNumbers()
    walks = [
        spread(trie, [Start(np.asarray([ROOT]), literal(text), np.asarray([count]))], numbers)
        for text, count in ((b"ax", 1), (b"bx", 2))
    ]
    both = join(walks)
    assert both.nodes.tolist() == [1, 2]
    assert both.counts.tolist() == [1, 2]


def test_states_have_one_number_each():
    numbers = StateNumbers()
    x, y = literal(b"x"), literal(b"y")
    assert [numbers.of(state) for state in (x, y, x)] == [0, 1, 0]
    assert numbers.states == [x, y]


# ---- Runs -------------------------------------------------------------------------------------------------------


def build(tokens, is_big):
    """Build a trie; all nodes of a big one have much below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "BIG_NODE", 0 if is_big else trie_module.BIG_NODE)
        return Trie.build(tokens)


@pytest.mark.parametrize("is_big", [True, False])
@given(TOKENS, st.sets(st.sampled_from(b'ab1x"\xc3\xa9'), min_size=1), st.integers(0, 6), st.data())
def test_run_stays_in_its_class_and_leaves_by_other_bytes(is_big, tokens, members, length, data):
    trie = build(tokens, is_big)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), min_size=1, max_size=3))
    node = trie.merge(np.asarray(nodes))
    if node is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread_module, "_NARROW_CLASS", 0 if is_big else 256)
        run = Run(trie, node, bytes(byte in members for byte in range(256)), -(-len(tokens) // 32))
    inside, leaving = set(), {}
    for member in trie.members(node):
        for child, text in below(trie, member):
            if set(text) <= members:
                inside.add((child, len(text)))
            elif set(text[:-1]) <= members:
                leaving.setdefault(text[-1], set()).add((child, len(text) - 1))
    assert set(zip(*(a.tolist() for a in run.nodes_and_lengths), strict=True)) == inside
    assert len(run.nodes_and_lengths[0]) == len(inside)
    assert (np.diff(run.nodes_and_lengths[1]) >= 0).all()
    assert run.longest == max((n for _, n in inside), default=0)
    with_tokens = {(token, n) for child, n in inside for token in trie.tokens[child]}
    assert set(zip(run.tokens_and_lengths[0].tolist(), run.tokens_and_lengths[1].tolist(), strict=True)) == with_tokens
    assert (np.diff(run.tokens_and_lengths[1]) >= 0).all()
    for places, before, starts in run.leaving.values():
        assert (np.diff(before) >= 0).all()
        assert len(places) == len(before)
        assert starts == [sum(n < length for n in before.tolist()) for length in range(len(starts))]
        assert starts[-1] == len(before)
    found = {b: set(zip(p.tolist(), n.tolist(), strict=True)) for b, (p, n, _) in run.leaving.items()}
    assert found == leaving
    bases, listed = run.upto(length)
    upto = {*listed, *(token for base in bases for token in unpack(base.words).tolist())}
    assert upto == {token for token, n in with_tokens if n <= length}
    assert set(run.nodes_at(2, 3).tolist()) == {child for child, n in inside if 2 <= n <= 3}


CHARACTERS = [read(pattern) for pattern in ("[é漢a]", r"\w", ".", "[^a]")]
CHARACTERS.append(read("[^1]", encode=encode))  # not UTF-8: escapes of several bytes


@pytest.mark.parametrize("is_big", [True, False])
@given(CHARACTER_TOKENS, st.sampled_from(CHARACTERS), st.data())
def test_run_along_characters_counts_those_begun(is_big, tokens, body, data):
    trie = build(tokens, is_big)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), min_size=1, max_size=3))
    node = trie.merge(np.asarray(nodes))
    if node is None:
        return
    run = CharacterRun(trie, node, body, -(-len(tokens) // 32))
    inside, whole, leaving, leads = [], [], [], []
    for member in trie.members(node):
        for child, text in below(trie, member):
            states = list(walk(body, text))
            begun = sum(state is body for state in states[:-1])
            if states[-1] is not None:
                inside.append((child, begun))
            if states[-1] is body:
                whole.append((child, begun))
            elif states[-2] is body:
                (leaving if states[-1] is None else leads).append((text[-1], child, begun - 1))
    assert sorted(zip(*(a.tolist() for a in run.nodes_and_lengths), strict=True)) == sorted(inside)
    between = [(n, length) for length in range(9) for n in run.nodes_at(length, length).tolist()]
    assert sorted(between) == sorted(whole)
    for found, expected in ((run.leaving, leaving), (run.leads, leads)):
        flat = [
            (byte, n, length)
            for byte, part in found.items()
            for n, length in zip(part.nodes.tolist(), part.lengths.tolist(), strict=True)
        ]
        assert sorted(flat) == sorted(expected)
    assert run.num_from(2) == sum(begun >= 2 for _, begun in inside)


def walk(body, text):
    """Read characters of a set one after another; give each state, the set itself between two, None once they end."""
    state = body
    yield state
    for byte in text:
        state = EMPTY if state is None else state.step(byte)
        state = None if state is EMPTY else body if state is EPSILON else state
        yield state


def test_run_along_a_class_that_no_token_begins_with_is_empty():
    run = Run(Trie.build([b"ab"]), ROOT, bytes(byte == ord("x") for byte in range(256)), 1)
    assert (run.longest, len(run.nodes_and_lengths[0]), len(run.tokens_and_lengths[0])) == (0, 0, 0)
    assert run.upto(9) == ((), ())
    assert [places.tolist() for places, _, _ in run.leaving.values()] == [[1]]


def test_bytes_of_a_class_are_told_by_flags():
    letters = byte_class(1 << ord("a") | 1 << ord("b"))
    flags = bytes(letters.step(byte) is not EMPTY for byte in range(256))
    assert Run(Trie.build([b"abba", b"abc"]), ROOT, flags, 1).longest == 4
