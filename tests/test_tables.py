"""Rows and transitions: they agree with each other, with `re`, and however little is kept."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlines import tables as tables_module
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.regex import read
from outlines.exceptions import EmptyLanguageError, LimitError
from outlines.rows import pack, unpack
from outlines.tables import DEAD, FINISHED, UNCONSTRAINED, Tables
from outlines.vocabulary import Vocabulary

BYTES = [bytes([i]) for i in range(256)]
PIECES = [
    b"ab", b"abc", b'{"', b'":', b'"}', b"12", b"1, ", b'"a"', b"\xc3\xa9", b'a":', b"null", b'", "', b"]}", b"aa",
    b"ab",
]  # fmt: skip
TOKENS = [*BYTES, None, *PIECES, None]
EOS, SECOND_EOS = 256, len(TOKENS) - 1
VOCABULARY = Vocabulary(TOKENS, [EOS, SECOND_EOS], cache=False)

SCHEMAS = {
    "anything": True,
    "object": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "ab": {"type": "null"}},
        "required": ["ab"],
    },
    "names alone": {"type": "object", "properties": {"a": True, "abc": True}, "additionalProperties": False},
    "array": {
        "type": "array",
        "items": {"type": "integer", "minimum": 3, "maximum": 120},
        "minItems": 1,
        "maxItems": 2,
    },
    "words": {"enum": ["a", "ab", "abc", None, 12, ["x"], {"a": 1}]},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^(ab|é)*$"},
    "either": {
        "anyOf": [{"type": "string", "maxLength": 2}, {"type": "string", "pattern": "b$"}, {"const": "aaaa"}]
    },
}
SYMBOLS = {name: lambda schema=schema: schema_symbols(schema) for name, schema in SCHEMAS.items()}
PATTERNS = ["(ab|aa)*c?", "[a-z]{2,4}", r"\d+, .*", "é?"]
SYMBOLS |= {f"pattern {pattern}": lambda pattern=pattern: (read(pattern),) for pattern in PATTERNS}

by_name = pytest.mark.parametrize("name", SYMBOLS)


def walk(tables, rng, num_tokens):
    """Give the states of a random walk, and take it."""
    state = tables.start_state
    for _ in range(num_tokens):
        yield state
        ways = [token for token in unpack(tables.row(state)).tolist() if TOKENS[token] is not None]
        if not ways:
            return
        state = tables.next_state(state, rng.choice(ways))


@by_name
def test_row_is_the_tokens_that_do_not_lead_to_dead(name, rng):
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    for _ in range(6):
        for state in walk(tables, rng, 15):
            following = [tables.next_state(state, token) for token in range(len(TOKENS))]
            allowed = [token for token, after in enumerate(following) if after != DEAD]
            assert unpack(tables.row(state)).tolist() == allowed
            assert {following[EOS], following[SECOND_EOS]} == {
                FINISHED if tables.is_accepting(state) else DEAD
            }
            assert FINISHED not in following[:EOS]


@by_name
def test_a_token_leads_where_its_bytes_lead(name, rng):
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    for _ in range(6):
        for state in walk(tables, rng, 15):
            for token, text in enumerate(TOKENS):
                if text is not None:
                    after = state
                    for byte in text:
                        after = tables.next_state(after, byte)
                    assert after == tables.next_state(state, token)


@by_name
def test_every_state_can_be_finished(name, rng):
    """A row is never empty: what is begun has an end."""
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    for _ in range(10):
        for state in walk(tables, rng, 20):
            assert tables.row(state).any()


@given(st.sampled_from(["a*b", "(ab)+|a", "[ab]{2,3}", "é|ab?", ""]), st.text("abé", max_size=4))
def test_language_is_that_of_the_pattern(pattern, text):
    tables = Tables((read(pattern),), VOCABULARY)
    state = tables.start_state
    for byte in text.encode():
        state = tables.next_state(state, byte)
    assert tables.is_accepting(state) == (re.fullmatch(pattern, text) is not None)


# ---- States ------------------------------------------------------------------------------------------------------


def test_reserved_states_allow_what_they_say():
    tables = Tables((read("a"),), VOCABULARY)
    ends = [EOS, SECOND_EOS]
    assert (DEAD, FINISHED, UNCONSTRAINED) == (0, 1, 2)
    assert unpack(tables.row(DEAD)).tolist() == ends  # so that no row is ever all forbidden
    assert unpack(tables.row(FINISHED)).tolist() == ends
    assert unpack(tables.row(UNCONSTRAINED)).tolist() == list(range(len(TOKENS)))
    assert [tables.is_accepting(state) for state in range(3)] == [False, True, True]
    for token in range(len(TOKENS)):
        is_end = token in ends
        assert tables.next_state(DEAD, token) == DEAD
        assert tables.next_state(FINISHED, token) == (FINISHED if is_end else DEAD)
        assert tables.next_state(UNCONSTRAINED, token) == (FINISHED if is_end else UNCONSTRAINED)


def test_numbers_of_states_are_not_shared_by_constraints():
    first, second = Tables((read("ab"),), VOCABULARY), Tables((read("ab"),), VOCABULARY)
    assert first.start_state != second.start_state
    assert min(first.start_state, second.start_state) > UNCONSTRAINED
    with pytest.raises(ValueError, match=f"state {second.start_state} is not one of this constraint"):
        first.next_state(second.start_state, ord("a"))


def test_equal_places_are_one_state():
    tables = Tables((read("(a|bb)*"),), VOCABULARY)
    start = tables.start_state
    assert tables.next_state(start, ord("a")) == start
    middle = tables.next_state(start, ord("b"))
    assert middle != start
    assert tables.next_state(middle, ord("b")) == start
    assert tables.num_states == 2


@pytest.mark.parametrize("call", ["next_state", "row", "is_accepting"])
@pytest.mark.parametrize("state", [2**31 - 1, 10**12])
def test_state_that_was_never_given_is_an_error(call, state):
    tables = Tables((read("a"),), VOCABULARY)
    arguments = (state, ord("a")) if call == "next_state" else (state,)
    with pytest.raises(ValueError, match=f"state {state} is not one of this constraint"):
        getattr(tables, call)(*arguments)


@pytest.mark.parametrize("call", ["next_state", "row"])
def test_negative_state_is_an_error(call):
    tables = Tables((read("a"),), VOCABULARY)
    with pytest.raises(ValueError, match="state -1 is not one of this constraint"):
        getattr(tables, call)(*((-1, ord("a")) if call == "next_state" else (-1,)))


@pytest.mark.parametrize("token", [-1, len(TOKENS), 10**9])
@pytest.mark.parametrize("name", ["anything", "pattern [a-z]{2,4}"])
def test_token_that_is_no_id_is_an_error(name, token):
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    after = tables.next_state(tables.start_state, ord('"') if name == "anything" else ord("a"))
    for state in (tables.start_state, after, DEAD, FINISHED, UNCONSTRAINED):
        tables.row(state)
        with pytest.raises(
            ValueError, match=f"token {token} is not an id; the vocabulary has {len(TOKENS)} tokens"
        ):
            tables.next_state(state, token)


def test_special_tokens_and_holes_are_never_allowed():
    vocabulary = Vocabulary([*BYTES, None, None, b"", b"ab"], [EOS], cache=False)
    tables = Tables(schema_symbols(True), vocabulary)
    state = tables.next_state(tables.start_state, ord('"'))
    for special in (257, 258):
        assert tables.next_state(state, special) == DEAD
        assert special not in unpack(tables.row(state))


def test_states_run_out_by_a_named_limit(monkeypatch):
    monkeypatch.setattr(tables_module, "_LAST_STATE", 0)
    with pytest.raises(LimitError, match="states were made in this process; start a new one") as caught:
        Tables((read("a"),), VOCABULARY)
    assert caught.value.limit == "states"


# ---- Rows --------------------------------------------------------------------------------------------------------


@by_name
def test_rows_are_read_only_and_have_no_bits_beyond_the_tokens(name, rng):
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    for state in walk(tables, rng, 15):
        row = tables.row(state)
        assert (row.dtype, row.shape) == (np.int32, (VOCABULARY.num_words,))
        assert unpack(row).max() < len(TOKENS)
        with pytest.raises(ValueError, match="read-only"):
            row[0] = -1


def test_rows_of_reserved_states_are_read_only():
    tables = Tables((read("a"),), VOCABULARY)
    for state in (DEAD, FINISHED, UNCONSTRAINED):
        with pytest.raises(ValueError, match="read-only"):
            tables.row(state)[0] = -1


def test_equal_rows_are_one_array():
    tables = Tables(
        schema_symbols({"type": "array", "minItems": 3, "maxItems": 9, "items": {"type": "null"}}), VOCABULARY
    )
    states = [tables.start_state]
    for token in [*b"[null,nul"]:
        states.append(tables.next_state(states[-1], token))
    assert tables.row(states[4]) is tables.row(states[9])
    assert states[4] != states[9]


@settings(max_examples=20)
@given(st.sampled_from(sorted(SYMBOLS)), st.randoms(use_true_random=False))
def test_rows_are_the_same_however_few_are_kept(name, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables_module, "ROW_BUDGET_BYTES", 0)
        small = Tables(SYMBOLS[name](), VOCABULARY)
    assert small._row_limit == 64  # the fewest that are kept, whatever the budget
    small._row_limit = 1
    tables = Tables(SYMBOLS[name](), VOCABULARY)
    state, other = tables.start_state, small.start_state
    for _ in range(30):
        assert np.array_equal(tables.row(state), small.row(other))
        assert len(small._distinct_rows) <= 1
        ways = [token for token in unpack(tables.row(state)).tolist() if TOKENS[token] is not None]
        if not ways:
            return
        token = random.choice(ways)
        state, other = tables.next_state(state, token), small.next_state(other, token)


def test_row_that_is_held_outlives_its_eviction():
    tables = Tables((read("[a-z]{300}"),), VOCABULARY)
    tables._row_limit = 1
    row, state = tables.row(tables.start_state), tables.start_state
    before = row.copy()
    for _ in range(299):
        state = tables.next_state(state, ord("a"))
        tables.row(state)
    assert np.array_equal(row, before)
    assert np.array_equal(tables.row(tables.start_state), before)


@pytest.mark.parametrize("num_ends", [3, 70])  # a list of tokens, and a base row
@pytest.mark.parametrize("bounds", [{"minLength": 2}, {"maxLength": 1}, {"minLength": 2, "maxLength": 2}])
def test_length_counts_where_tokens_reach_past_the_quote(bounds, num_ends):
    ends = map(chr, range(0x3B1, 0x3B1 + num_ends))
    crossing = [f'{begin}","{end}'.encode() for end in ends for begin in ("a", "ab", "abc")]
    vocabulary = Vocabulary([*BYTES, None, *crossing], [EOS], cache=False)
    schema = {"type": "array", "prefixItems": [{"type": "string", **bounds}]}
    tables = Tables(schema_symbols(schema), vocabulary)
    state = tables.next_state(tables.next_state(tables.start_state, ord("[")), ord('"'))
    lengths = range(bounds.get("minLength", 0), bounds.get("maxLength", 9) + 1)
    allowed = {crossing[token - 257] for token in unpack(tables.row(state)).tolist() if token > EOS}
    assert allowed == {text for text in crossing if text.index(b'"') in lengths}


def test_text_that_needs_a_byte_without_a_token_is_an_error_at_once():
    tokens = [None if text == b"\x01" else text for text in BYTES]
    vocabulary = Vocabulary([*tokens, None, b"x\x01"], [EOS], cache=False)
    with pytest.raises(EmptyLanguageError, match=r"no token begins with, or has, any of the bytes b'\\x01'"):
        Tables((read("y\x01"),), vocabulary)
    tables = Tables((read("xx\x01"),), vocabulary)  # another token has it
    state = tables.next_state(tables.start_state, ord("x"))
    assert unpack(tables.row(tables.start_state)).tolist() == [ord("x")]
    assert unpack(tables.row(state)).tolist() == [257]


def test_vocabulary_without_a_word_to_spare():
    tokens = [*BYTES, *[None] * 32]
    vocabulary = Vocabulary(tokens, [287], cache=False)
    tables = Tables((read("a?"),), vocabulary)
    assert np.array_equal(tables.row(tables.start_state), pack([ord("a"), 287], 9))
