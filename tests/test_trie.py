"""The vocabulary trie against a trie of nested dictionaries."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines import trie as trie_module
from outlines.trie import ROOT, Trie

TOKENS = st.lists(st.none() | st.lists(st.sampled_from(b"ab\x00\xff"), max_size=5).map(bytes), max_size=40)


class Node:
    """A node of the naive trie."""

    def __init__(self):
        self.children, self.tokens = {}, []


def naive(tokens):
    root = Node()
    for token, text in enumerate(tokens):
        node = root
        for byte in text or b"":
            node = node.children.setdefault(byte, Node())
        if text:
            node.tokens.append(token)
    return root


def pairs(trie, root):
    """Give each node of the trie with its naive one, by walking both."""
    found = [(ROOT, root)]
    for node, expected in found:
        assert set(trie.children[node]) == set(expected.children)
        found += [(trie.children[node][byte], below) for byte, below in expected.children.items()]
    return found


def below(node):
    return sum(1 + below(child) for child in node.children.values())


@given(TOKENS)
def test_trie_holds_the_tokens(tokens):
    trie = Trie.build(tokens)
    found = pairs(trie, naive(tokens))
    assert sorted(node for node, _ in found) == list(range(trie.num_nodes))
    for node, expected in found:
        assert sorted(trie.tokens[node]) == expected.tokens
        assert trie.has_children[node] == (len(expected.children) > 0) == (trie.num_children[node] > 0)
        for byte, child in trie.children[node].items():
            assert trie.byte[child] == byte


@given(TOKENS)
def test_children_are_one_run_in_order_of_their_bytes_and_levels_follow(tokens):
    trie = Trie.build(tokens)
    assert sum(trie.num_children) == trie.num_nodes - 1
    following = 1
    for node in range(trie.num_nodes):
        children = list(trie.children[node].items())
        assert [byte for byte, _ in children] == sorted(byte for byte, _ in children)
        assert [child for _, child in children] == list(range(following, following + len(children)))
        following += len(children)


@given(TOKENS, st.data())
def test_arrays_are_all_that_a_trie_is_made_of(tokens, data):
    trie = Trie.build(tokens)
    again = Trie(trie.arrays())
    assert set(trie.arrays()) == set(Trie.ARRAYS)
    assert pairs(again, naive(tokens))
    assert again.big_nodes == trie.big_nodes


def naive_merge(nodes):
    """Give what may follow any of the naive nodes, as one naive node."""
    merged = Node()
    for byte in {byte for node in nodes for byte in node.children}:
        at_byte = [node.children[byte] for node in nodes if byte in node.children]
        merged.children[byte] = naive_merge(at_byte)
        merged.children[byte].tokens = [token for node in at_byte for token in node.tokens]
    return merged


@pytest.mark.parametrize("few", [0, 32], ids=["with NumPy", "in a loop"])
@given(TOKENS, st.data())
def test_merged_node_is_what_may_follow_any_of_its_nodes(few, tokens, data):
    trie = Trie.build(tokens)
    found = pairs(trie, naive(tokens))
    chosen = data.draw(st.lists(st.sampled_from(found), min_size=1, max_size=8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "_FEW_NODES", few)
        node = trie.merge(np.asarray([node for node, _ in chosen]))
        with_children = {node for node, expected in chosen if expected.children}
        assert (node is None) == (not with_children)
        if node is None:
            return
        assert set(trie.members(node)) == with_children
        by_number = dict(found)
        waiting = [(node, naive_merge([by_number[n] for n in with_children]))]
        for at, expected in waiting:
            assert set(trie.children[at]) == set(expected.children)
            for byte, child in trie.children[at].items():
                assert sorted(trie.tokens[child]) == sorted(expected.children[byte].tokens)
                waiting.append((child, expected.children[byte]))


@given(TOKENS, st.data())
def test_merged_nodes_are_interned(tokens, data):
    trie = Trie.build(tokens)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), min_size=1, max_size=5))
    twice = np.asarray(nodes + nodes[::-1])
    assert trie.merge(np.asarray(nodes)) == trie.merge(twice)
    if len(set(nodes)) == 1 and trie.num_children[nodes[0]]:
        assert trie.merge(twice) == nodes[0]


@given(TOKENS, st.data())
def test_expand_gives_children_with_the_places_of_their_parents(tokens, data):
    trie = Trie.build(tokens)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), max_size=6))
    parent, child = trie.expand(np.asarray(nodes, np.int64))
    expected = [(place, c) for place, node in enumerate(nodes) for c in trie.children[node].values()]
    assert list(zip(parent.tolist(), child.tolist(), strict=True)) == expected


@given(TOKENS, st.data())
def test_tokens_of_gives_tokens_with_the_places_of_their_nodes(tokens, data):
    trie = Trie.build(tokens)
    nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), max_size=6))
    token, place = trie.tokens_of(np.asarray(nodes, np.int64))
    expected = [(t, place) for place, node in enumerate(nodes) for t in trie.tokens[node]]
    assert list(zip(token.tolist(), place.tolist(), strict=True)) == expected


@given(TOKENS, st.sampled_from(b"ab\x00\xff"))
def test_nodes_above_a_byte_have_it_below(tokens, byte):
    def reads(node):
        return any(b == byte or reads(child) for b, child in node.children.items())

    trie = Trie.build(tokens)
    flags = trie.nodes_above(byte)
    assert len(flags) == trie.num_nodes
    for node, expected in pairs(trie, naive(tokens)):
        assert flags[node] == reads(expected)


@pytest.mark.parametrize("least", [1, 2, 5])
@given(TOKENS)
def test_big_nodes_have_that_many_nodes_below(least, tokens):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "BIG_NODE", least)
        trie = Trie.build(tokens)
    sizes = {node: below(expected) for node, expected in pairs(trie, naive(tokens))}
    assert trie.big_nodes == {node: size for node, size in sizes.items() if size >= least}


def test_empty_vocabulary_is_a_root():
    trie = Trie.build([None, b""])
    assert trie.num_nodes == 1
    assert trie.children[ROOT] == {}
    assert trie.tokens[ROOT] == ()
    assert trie.merge(np.asarray([ROOT])) is None
    assert trie.expand(np.asarray([ROOT]))[1].size == 0


def test_equal_tokens_share_a_node():
    trie = Trie.build([b"ab", b"a", b"ab", b"ab"])
    assert trie.num_nodes == 3
    assert sorted(trie.tokens[trie.children[trie.children[ROOT][ord("a")]][ord("b")]]) == [0, 2, 3]


def test_token_of_10000_bytes_is_a_path():
    trie = Trie.build([b"xy" * 5_000])
    assert trie.num_nodes == 10_001
    assert trie.tokens[10_000] == (0,)


def test_trie_of_llama3_holds_every_token(llama3_tokens, rng):
    trie = Trie.build(llama3_tokens)
    for token in rng.sample(range(len(llama3_tokens) - 256), 300):
        node = ROOT
        for byte in llama3_tokens[token]:
            node = trie.children[node][byte]
        assert trie.tokens[node] == (token,)
    assert len(trie.token) == len(llama3_tokens) - 256


@given(st.lists(st.binary(min_size=1, max_size=6).map(lambda text: bytes(97 + b % 4 for b in text)), min_size=1))
def test_most_starts_are_those_of_the_worst_token(tokens):
    inside, first, second = (flags_of(text) for text in (b"abc", b"ab", b"c"))
    worst = 0
    for token in tokens:
        for stretch in re.findall(rb"[abc]+", token):
            for end in range(1, len(stretch) + 1):
                pairs = sum(stretch[i] in b"ab" and stretch[i + 1] in b"c" for i in range(end - 1))
                worst = max(worst, pairs + (stretch[end - 1] in b"ab"))
    assert Trie.build(tokens).most_starts(inside, first, second) == worst


def flags_of(text):
    return np.asarray([byte in text for byte in range(256)])
