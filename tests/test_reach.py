"""What heads reach, against a walk of the trie a byte at a time."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlines import reach as reach_module
from outlines import trie as trie_module
from outlines.constraints.expression import (
    EMPTY,
    byte_class,
    complement,
    concat,
    intersection,
    literal,
    repeat,
    star,
    union,
)
from outlines.constraints.json_schema.text import ANY_TEXT, QUOTE, STRING_REST, encode
from outlines.constraints.regex import read, search
from outlines.constraints.strings import TextBounds, TextState
from outlines.engine import Vocabulary
from outlines.reach import HeadTables
from outlines.rows import unpack
from outlines.trie import ROOT

PIECES = [" ", *'a b ab aaa 1 12 é " ", \\n \\u0061 x 🙂 \\ud83d\\ude00 yy'.split()]
EOS = 256


def vocabulary(texts):
    tokens = [bytes([i]) for i in range(256)] + [None] + [text.encode() for text in texts]
    return Vocabulary(tokens, [EOS], cache=False)


VOCABULARIES = st.lists(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join), max_size=60, unique=True
).map(vocabulary)

LETTERS = [byte_class(1 << ord(letter)) for letter in "ab1x"]
WIDE = [read(pattern) for pattern in ("[a-z]", "[a-z0-9 ]", "[^b]", ".", r"\w", r"(?s:.)")]


def larger(parts):
    few = st.lists(parts, min_size=2, max_size=3)
    counts = st.tuples(st.integers(0, 3), st.none() | st.integers(3, 6))
    return st.one_of(
        few.map(lambda parts: concat(*parts)),
        few.map(lambda parts: union(*parts)),
        few.map(lambda parts: intersection(*parts)),
        parts.map(complement),
        st.tuples(parts, counts).map(lambda both: repeat(both[0], *both[1])),
    )


SEARCHES = st.sampled_from(["a", "1b|é$", "x.x", "^a", "yy", "[0-9]{2}", ""]).map(
    lambda pattern: concat(search(pattern, dialect="ecma", encode=encode), QUOTE)
)
EXPRESSIONS = st.recursive(
    st.sampled_from([*LETTERS, *WIDE, literal(b"ab1"), literal("é🙂".encode())]),
    larger,
    max_leaves=5,
)


def below(trie, node):
    """Give the nodes below a node with the bytes that lead to each, plain nodes alone."""
    found = [(member, b"") for member in trie.members(node)]
    for at, text in found:
        found += [(child, text + bytes([byte])) for byte, child in trie.children[at].items()]
    return found[len(trie.members(node)) :]


def after(state, text):
    for byte in text:
        state = state.step(byte)
        if state is EMPTY:
            break
    return state


def tokens_of(bases, listed):
    return {*listed, *(token for base in bases for token in unpack(base.words).tolist())}


def assert_reach_is_naive(tables, node, expression):
    trie, found = tables.trie, tables.reach(node, expression)
    tokens, exits = set(), set()
    for child, text in below(trie, node):
        state = after(expression, text)
        if state is not EMPTY:
            tokens.update(trie.tokens[child])
            if state.nullable:
                exits.add(child)
    assert tokens_of(found.bases, found.tokens) == tokens
    assert set(found.exits.tolist()) == exits
    with_more = {child for child in exits if trie.has_children[child]}
    assert set(trie.members(found.exit) if found.exit is not None else ()) == with_more
    staying = tables.staying(expression)
    if node == ROOT and staying is not None:
        stays = [n for n, text in below(trie, ROOT) if after(expression, text) is expression]
        stays = {token for node in stays for token in trie.tokens[node]}
        assert {token for token, flag in enumerate(staying) if flag} <= stays


STRINGS = st.just(STRING_REST) | SEARCHES
MIXED = st.tuples(EXPRESSIONS, STRINGS).map(lambda both: union(*both))


COUNTED = st.tuples(
    st.lists(
        st.tuples(st.sampled_from([*WIDE, *LETTERS]), st.integers(0, 3), st.none() | st.integers(3, 9)).map(
            lambda three: repeat(*three)
        )
        | EXPRESSIONS,
        min_size=1,
        max_size=4,
    ).map(lambda parts: concat(*parts)),
    st.integers(1, 3),
    st.none() | st.integers(3, 4),
).map(lambda three: repeat(*three))
UNIONS = st.lists(COUNTED, min_size=1, max_size=3).map(lambda parts: union(*parts))


@pytest.mark.parametrize("few", [0, 64], ids=["runs to their end", "runs while many are left"])
@pytest.mark.parametrize("big", [4, 10**9], ids=["big nodes", "no big nodes"])
@given(VOCABULARIES, st.lists(EXPRESSIONS | STRINGS | MIXED | UNIONS, min_size=1, max_size=3), st.data())
@settings(max_examples=60)
def test_reach_of_expressions_is_that_of_a_naive_walk(big, few, vocabulary, expressions, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "BIG_NODE", big)
        patch.setattr(reach_module, "_FEW_NODES", few)
        trie = trie_module.Trie(vocabulary.trie.arrays())
        vocabulary.trie = trie
        tables = HeadTables(vocabulary)
        nodes = data.draw(st.lists(st.integers(0, trie.num_nodes - 1), min_size=1, max_size=4))
        merged = trie.merge(np.asarray(nodes))
        for expression in expressions:
            prefix = data.draw(st.sampled_from(["", "a", "é", "ab1", "xx"])).encode()
            state = after(expression, prefix)
            if state is EMPTY:
                continue
            for node in (ROOT, *([] if merged is None else [merged])):
                assert_reach_is_naive(tables, node, state)


TEXT_PATTERNS = ["(?s:.*)", "[a-z]*", "(ab)*é?", "[^a]*", "a{0,3}.*", "[a-z]{2}[0-9]*", "yy|a"]


@pytest.mark.parametrize("big", [4, 10**9], ids=["big nodes", "no big nodes"])
@given(
    VOCABULARIES, st.sampled_from(TEXT_PATTERNS), st.integers(0, 4), st.none() | st.integers(0, 4), st.data()
)
@settings(max_examples=60)
def test_reach_of_texts_counts_characters(big, vocabulary, pattern, low, more, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie_module, "BIG_NODE", big)
        trie = trie_module.Trie(vocabulary.trie.arrays())
    vocabulary.trie = trie
    tables = HeadTables(vocabulary)
    whole = STRING_REST if pattern == "(?s:.*)" else concat(read(pattern, encode=encode), QUOTE)
    start = TextState(whole, STRING_REST, STRING_REST, {})
    prefix = data.draw(st.sampled_from(["", "a", "é", "\\u00", "ab"])).encode()
    state = after(start, prefix)
    if state is EMPTY:
        return
    assert_text_reach_is_naive(
        tables, ROOT, state, TextBounds(start, low, None if more is None else low + more), low, more
    )


def assert_text_reach_is_naive(tables, node, state, bounds, low, more):
    high = None if more is None else low + more
    trie, found = tables.trie, tables.text_reach(node, state)
    inside, closers, exits, exit_count = set(), Counter(), {}, {}
    for child, text in below(trie, node):
        at, count = state, 0
        for place, byte in enumerate(text):
            is_start = at.is_start
            at = at.step(byte)
            if at is EMPTY:
                break
            if at.nullable:  # the closing quote
                if place == len(text) - 1:
                    exits[child] = count
                    closers.update((token, count) for token in trie.tokens[child])
                else:
                    exit_count.update((token, count) for token in trie.tokens[child])
                break
            count += is_start
        else:
            left = None if high is None else high - count
            if bounds.allows(at, max(low - count, 0), left):
                inside.update(trie.tokens[child])
    assert Counter(found.closers) == closers
    assert found.exit_counts_of == {token: (count,) for token, count in exit_count.items()}
    assert dict(zip(found.exits.tolist(), found.exit_counts.tolist(), strict=True)) == exits
    with_more = {child for child in exits if trie.has_children[child]}
    assert set(trie.members(found.exit) if found.exit is not None else ()) == with_more
    assert tokens_of(*found.inside(low, high, bounds)) == inside


@pytest.mark.parametrize(("low", "more"), [(0, None), (4, 1), (0, 3)])
def test_characters_before_a_big_node_are_counted(monkeypatch, low, more):
    monkeypatch.setattr(trie_module, "BIG_NODE", 2)
    tables = HeadTables(vocabulary(['ab1"', "ab12", "ab123", 'ab12",', "ab3", "abc", 'ab"']))
    start = TextState(concat(read("[a-z]{2}[0-9]*", encode=encode), QUOTE), STRING_REST, STRING_REST, {})
    bounds = TextBounds(start, low, None if more is None else low + more)
    assert_text_reach_is_naive(tables, ROOT, start, bounds, low, more)


def test_may_close_is_whether_a_quote_is_below():
    tables = HeadTables(vocabulary(['ab"c', "abd"]))
    children = tables.trie.children
    a = children[ROOT][ord("a")]
    ab = children[a][ord("b")]
    assert tables.may_close(ROOT)
    assert tables.may_close(a)
    assert tables.may_close(ab)
    assert not tables.may_close(children[ab][ord("d")])
    assert not tables.may_close(children[ab][ord('"')])
    assert tables.may_close(tables.trie.merge(np.asarray([ab, a])))


def test_tokens_that_stay_in_a_loop_are_known():
    tables = HeadTables(vocabulary(["abc", "ab1"]))
    loop = star(WIDE[0])
    assert tables.staying(loop) is None  # nobody asked what it reaches
    tables.reach(ROOT, loop)
    staying = tables.staying(loop)
    assert [staying[token] for token in (ord("a"), 257, 258, ord("1"), EOS)] == [1, 1, 0, 0, 0]


def test_reach_is_kept():
    tables = HeadTables(vocabulary(["abc"]))
    expression = star(WIDE[0])
    assert tables.reach(ROOT, expression) is tables.reach(ROOT, expression)
    state = TextState(STRING_REST, STRING_REST, STRING_REST, {})
    assert tables.text_reach(ROOT, state) is tables.text_reach(ROOT, state)


def test_searches_take_the_short_way_and_reach_the_same(monkeypatch):
    expression = concat(search("[0-9]b", dialect="ecma", encode=encode), QUOTE)
    texts = ["1b", '1b"', 'b"', "x1", '1b",']
    short = HeadTables(vocabulary(texts)).reach(ROOT, expression)
    monkeypatch.setattr(reach_module, "ANY_TEXT", None)
    plain = HeadTables(vocabulary(texts)).reach(ROOT, expression)
    assert tokens_of(short.bases, short.tokens) == tokens_of(plain.bases, plain.tokens)
    assert short.exit is not None
    assert plain.exit is not None
    assert set(short.exits.tolist()) == set(plain.exits.tolist())
    assert ANY_TEXT is not None


# ---- A real vocabulary --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["[a-z]*", "[a-zA-Z ]{3,9}", r"\w+(, \w+)*"])
def test_reach_of_a_wide_class_in_llama3(pattern, llama3_vocabulary):
    tables = HeadTables(llama3_vocabulary)
    found = tables.reach(ROOT, read(pattern))
    completion = {"[a-z]*": ("", ""), "[a-zA-Z ]{3,9}": ("", "aaa"), r"\w+(, \w+)*": ("", " a")}[pattern]
    expected = set()
    for token, data in enumerate(llama3_vocabulary.tokens):
        try:
            text = data.decode() if data else None
        except UnicodeDecodeError:
            continue  # a part of a character is not for `re` to judge
        if text and any(
            re.fullmatch(pattern, (text + end)[: max(9, len(text))]) for end in (*completion, "a")
        ):
            expected.add(token)
    ours = {
        token for token in tokens_of(found.bases, found.tokens) if is_text(llama3_vocabulary.tokens[token])
    }
    assert ours == expected


def is_text(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
