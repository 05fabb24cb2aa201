"""The front door: what a constraint takes, and what a matcher does."""

from __future__ import annotations

import doctest
import json
import random
import threading
from typing import Literal

import numpy as np
import pytest
from pydantic import BaseModel

from outlines import engine
from outlines.engine import DEAD, FINISHED, UNCONSTRAINED, Constraint, Matcher, Vocabulary
from outlines.exceptions import ConstraintError, EmptyLanguageError, OutlinesError, PatternError, SchemaError
from outlines.rows import unpack
from outlines.types import JsonSchema, Regex, dsl

PIECES = [b"yes", b"no", b'"a"', b'":', b"12", b'{"', b"ab", b"aa"]
TOKENS = [*(bytes([i]) for i in range(256)), None, *PIECES]
EOS, YES, NO = 256, 257, 258
VOCABULARY = Vocabulary(TOKENS, [EOS], cache=False)


def ids(text):
    return list(text.encode())


def accepts(constraint, text):
    matcher = constraint.matcher()
    return all(matcher.advance(token) for token in ids(text)) and matcher.is_accepting()


def test_examples_of_the_docstring_run():
    results = doctest.testmod(engine)
    assert results.attempted > 0
    assert results.failed == 0


# ---- Constraints -------------------------------------------------------------------------------------------------


class Person(BaseModel):
    name: str
    age: int


PERSON = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
PERSONS = (['{"a": 1}', '{"a":12}'], ["{}", '{"b":1}', "1"])

# Name -> (output type, texts in the language, texts that aren't)
INPUTS = {
    "dict": (PERSON, *PERSONS),
    "JSON text": (json.dumps(PERSON), *PERSONS),
    "JSON text after white space": ("\n " + json.dumps(PERSON), *PERSONS),
    "JsonSchema": (JsonSchema(PERSON), *PERSONS),
    "dict without keywords": ({}, ["null", "[1]", '{"a":{}}'], ["", "nul", "{"]),
    "True": (True, ["null", "1.5"], ["", "x"]),
    "string": ("yes", ["yes"], ["", "ye", "yesno", '"yes"']),
    "int": (int, ["1", "-12"], ["1.5", "x", ""]),
    "Literal": (Literal["yes", "no"], ["yes", "no"], ["y", "yesno"]),
    "Regex": (Regex("a+"), ["a", "aaa"], ["", "b"]),
    "pydantic model": (Person, ['{"name": "x", "age": 3}'], ['{"name": "x"}', '{"age": 3, "name": "x"}']),
}


@pytest.mark.parametrize(("output_type", "accepted", "rejected"), INPUTS.values(), ids=INPUTS)
def test_constraint_takes_what_generator_takes(output_type, accepted, rejected):
    constraint = Constraint(output_type, VOCABULARY)
    assert constraint.vocabulary is VOCABULARY
    assert [text for text in accepted + rejected if accepts(constraint, text)] == accepted


@pytest.mark.parametrize(
    ("output_type", "error", "message"),
    [
        (False, EmptyLanguageError, "no value satisfies it"),
        ({"type": "x"}, SchemaError, "/type: expected one of"),
        ('{"type": }', json.JSONDecodeError, "Expecting value"),
        (Regex("("), PatternError, "position 0"),
        ('{"type": "null"} x', json.JSONDecodeError, "Extra data"),
    ],
)
def test_what_cannot_be_built_is_an_error_at_once(output_type, error, message):
    with pytest.raises(error, match=message):
        Constraint(output_type, VOCABULARY)
    if error is not json.JSONDecodeError:
        assert issubclass(error, ConstraintError)
        assert issubclass(error, OutlinesError)
        assert issubclass(error, ValueError)


def test_states_are_plain_integers_that_may_be_kept():
    constraint = Constraint("yes", VOCABULARY)
    start = constraint.start_state
    after = constraint.next_state(start, ord("y"))
    assert type(start) is type(after) is int
    assert constraint.next_state(start, YES) == constraint.next_state(
        constraint.next_state(after, ord("e")), ord("s")
    )
    assert constraint.next_state(start, NO) == DEAD
    assert unpack(constraint.row(start)).tolist() == [ord("y"), YES]
    assert not constraint.is_accepting(start)
    assert constraint.next_state(constraint.next_state(start, YES), EOS) == FINISHED
    assert constraint.next_state(UNCONSTRAINED, NO) == UNCONSTRAINED


# ---- Matchers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def matcher():
    return Constraint(Regex("(yes|no)+!?"), VOCABULARY).matcher()


def test_mask_is_the_row_of_the_state(matcher):
    assert matcher.mask().dtype == np.int32
    assert matcher.mask().shape == (VOCABULARY.num_words,)
    for token in (YES, ord("n"), ord("o")):
        assert np.array_equal(matcher.mask(), matcher.constraint.row(matcher.state))
        assert token in unpack(matcher.mask())
        assert matcher.advance(token)
    assert unpack(matcher.mask()).tolist() == sorted([ord("y"), ord("n"), ord("!"), EOS, YES, NO])


def test_token_that_is_not_allowed_changes_nothing(matcher):
    matcher.advance(YES)
    state, mask = matcher.state, matcher.mask().copy()
    assert not matcher.advance(ord("x"))
    assert matcher.state == state
    assert np.array_equal(matcher.mask(), mask)
    matcher.rollback(1)
    assert matcher.state == matcher.constraint.start_state


def test_token_that_is_no_id_is_an_error_and_changes_nothing(matcher):
    state = matcher.state
    with pytest.raises(ValueError, match=f"token {len(TOKENS)} is not an id"):
        matcher.advance(len(TOKENS))
    assert matcher.state == state


def test_end_of_sequence_finishes(matcher):
    assert not matcher.is_accepting()
    assert not matcher.advance(EOS)
    matcher.advance(NO)
    assert matcher.is_accepting()
    assert matcher.advance(EOS)
    assert matcher.state == FINISHED
    assert matcher.is_accepting()
    assert unpack(matcher.mask()).tolist() == [EOS]
    assert not matcher.advance(NO)
    matcher.rollback(1)
    assert matcher.advance(NO)


def test_rollback_takes_back_any_number_of_tokens(matcher):
    states = [matcher.state]
    for token in (YES, NO, ord("n"), ord("o"), ord("!"), EOS):
        assert matcher.advance(token)
        states.append(matcher.state)
    for num_tokens in (0, 1, 2, 3):
        matcher.rollback(num_tokens)
        states = states[: len(states) - num_tokens]
        assert matcher.state == states[-1]
    with pytest.raises(ValueError, match="can't take back 1 tokens: 0 were taken"):
        matcher.rollback(1)


@pytest.mark.parametrize("num_tokens", [-1, 3])
def test_rollback_too_far_is_an_error_and_changes_nothing(matcher, num_tokens):
    matcher.advance(YES)
    matcher.advance(NO)
    state = matcher.state
    with pytest.raises(ValueError, match=f"can't take back {num_tokens} tokens: 2 were taken"):
        matcher.rollback(num_tokens)
    assert matcher.state == state


def test_fork_is_independent(matcher):
    matcher.advance(YES)
    twin = matcher.fork()
    assert isinstance(twin, Matcher)
    assert twin.state == matcher.state
    assert matcher.advance(NO)
    assert twin.advance(ord("!"))
    twin.rollback(2)
    assert twin.state == matcher.constraint.start_state
    matcher.rollback(1)
    assert unpack(matcher.mask()).tolist() == sorted([ord("y"), ord("n"), ord("!"), EOS, YES, NO])


BYTES_ONLY = Vocabulary(TOKENS[:257], [EOS], cache=False)


@pytest.mark.parametrize(
    ("output_type", "taken", "forced"),
    [
        (Regex("ab(c|d)"), "", "ab"),
        (Regex("ab(c|d)"), "abc", [EOS]),
        ({"enum": ["yes", "yet"]}, "", '"ye'),
        (JsonSchema(PERSON, whitespace_pattern=""), "", '{"a":'),
        (JsonSchema(PERSON, whitespace_pattern=""), '{"a":12', []),
        (Regex("[ab]"), "", []),
        ("yes", "", [*b"yes", EOS]),
        ("yes", "yes", [EOS]),
    ],
)
def test_forced_tokens_are_the_only_way_on(output_type, taken, forced):
    matcher = Constraint(output_type, BYTES_ONLY).matcher()
    for token in ids(taken):
        assert matcher.advance(token)
    state = matcher.state
    expected = ids(forced) if isinstance(forced, str) else forced
    assert matcher.forced_tokens() == expected
    assert matcher.state == state
    assert all(matcher.advance(token) for token in expected)


def test_tokens_that_spell_the_same_are_a_choice():
    assert Constraint("yes", VOCABULARY).matcher().forced_tokens() == []


def test_forced_tokens_end_with_the_sequence():
    matcher = Constraint("yes", BYTES_ONLY).matcher()
    for token in [*b"yes", EOS]:
        matcher.advance(token)
    assert matcher.forced_tokens() == []


# ---- Threads -----------------------------------------------------------------------------------------------------


def test_threads_that_share_a_vocabulary_see_the_same_as_one(seed):
    schemas = [
        {"type": "object", "properties": {"a": {"type": "integer", "maximum": i}, "b": {}}, "required": ["a"]}
        for i in range(4)
    ]

    def walk(constraint, seed):
        """Give the rows of a random walk, which depend on the seed alone."""
        rng, matcher, rows = random.Random(seed), constraint.matcher(), []
        for _ in range(60):
            rows.append(matcher.mask().tobytes())
            ways = [token for token in unpack(matcher.mask()).tolist() if token != EOS]
            if not ways:
                break
            assert matcher.advance(rng.choice(ways))
        return rows

    shared = Vocabulary(TOKENS, [EOS], cache=False)
    constraints = [Constraint(schema, shared) for schema in schemas]
    jobs = [(i, f"{seed} {j}") for j in range(6) for i in range(len(schemas))]
    found, barrier = {}, threading.Barrier(8)

    def work(worker):
        barrier.wait()
        for i, job_seed in jobs[worker // 2 :: 4]:  # each job is done by two threads
            found[worker % 2, i, job_seed] = walk(constraints[i], job_seed)
            Constraint(schemas[i], shared)

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 2 * len(jobs)
    alone = Vocabulary(TOKENS, [EOS], cache=False)
    for i, schema in enumerate(schemas):
        constraint = Constraint(schema, alone)
        for job in (job for job in jobs if job[0] == i):
            assert found[(0, *job)] == found[(1, *job)] == walk(constraint, job[1])


# What a review found


def bytes_and(*tokens):
    """Make a vocabulary of all bytes and some further tokens, from 256 on, and the end of sequence after them."""
    return Vocabulary([*(bytes([i]) for i in range(256)), *tokens, None], [256 + len(tokens)], cache=False)


def after(constraint, text):
    state = constraint.start_state
    for byte in text:
        state = constraint.next_state(state, byte)
    return state


def test_token_that_ends_a_string_after_one_of_several_counts_is_allowed():
    vocabulary = bytes_and(b'abcdefghi12",')
    schema = {"type": "array", "items": {"type": "string", "pattern": "^[a-z]*[a-z0-9]{4,8}$"}}
    constraint = Constraint(schema, vocabulary)
    state = after(constraint, b'["')
    assert constraint.next_state(state, 256) != DEAD
    assert constraint.row(state)[256 // 32] >> 256 % 32 & 1


def test_looking_at_a_row_does_not_change_where_tokens_lead():
    term = dsl.Optional(dsl.Sequence([dsl.Regex("[a-z]*1"), dsl.JsonSchema('{"type": "null"}')]))
    constraint = Constraint(term, bytes_and())
    assert constraint.is_accepting(constraint.start_state)
    constraint.row(constraint.start_state)
    assert not constraint.is_accepting(constraint.next_state(constraint.start_state, ord("b")))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 1, "allOf": [{"pattern": "^a$"}, {"pattern": "^b$"}]},
        {"type": "object", "required": ["\ud800"]},
        {"const": {"\udc00": 1}},
    ],
)
def test_schema_that_nothing_can_satisfy_is_found_when_it_is_built(schema):
    with pytest.raises(EmptyLanguageError, match="no value satisfies it"):
        Constraint(schema, bytes_and())


def test_integers_of_numpy_do_not_overflow():
    constraint = Constraint({"type": "boolean"}, bytes_and())
    state = constraint.next_state(np.int32(constraint.start_state), np.int32(ord("t")))
    assert state == constraint.next_state(constraint.start_state, ord("t")) != DEAD


def test_alternative_that_has_no_text_is_left_out():
    constraint = Constraint(dsl.Alternatives([dsl.JsonSchema("false"), "a"]), bytes_and())
    assert constraint.is_accepting(after(constraint, b"a"))
    with pytest.raises(EmptyLanguageError, match="none of its alternatives"):
        Constraint(dsl.Alternatives([dsl.JsonSchema("false")]), bytes_and())


def test_optional_body_that_repeats_a_hundred_thousand_times_costs_no_more_than_one():
    body = dsl.Optional(dsl.JsonSchema('{"type": "null"}'))
    constraint = Constraint(dsl.QuantifyBetween(body, 0, 100_000), bytes_and())
    assert constraint.is_accepting(constraint.start_state)
    assert constraint.is_accepting(after(constraint, b"nullnull"))


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (dsl.QuantifyMaximum(dsl.KleenePlus(dsl.QuantifyExact(dsl.JsonSchema('{"type": "null"}'), 2)), 3), "null" * 8),
        (dsl.KleenePlus(dsl.QuantifyBetween(dsl.JsonSchema('{"type": "string"}'), 0, 2)), '"a""b""c""d""e"'),
        (dsl.QuantifyMinimum(dsl.Optional(dsl.JsonSchema('{"type": "null"}')), 1), "nullnullnull"),
    ],
)
def test_repetition_of_a_repetition_begins_again(term, text):
    constraint = Constraint(term, bytes_and())
    assert constraint.is_accepting(after(constraint, text.encode()))
