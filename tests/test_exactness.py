"""The proof of exactness: masks are the oracle's, no valid text is refused, walks end in valid text."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import pytest

from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError
from outlines.types import JsonSchema, Regex
from tests import oracle
from tests.proof import (
    CASES,
    POLICIES,
    allowed_tokens,
    assert_allowed_stepwise,
    is_set,
    random_tokenisations,
    random_walk,
    small_vocabulary,
)

DEAD, FINISHED = 0, 1
BY_NAME = {case.name: case for case in CASES}
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def build(case, vocabulary):
    """Build the engine's constraint of a case."""
    if isinstance(case.source, str):
        return Constraint(Regex(case.source), vocabulary)
    if case.whitespace_pattern is not None:
        return Constraint(JsonSchema(case.source, whitespace_pattern=case.whitespace_pattern), vocabulary)
    return Constraint(case.source, vocabulary)


class Bytes(NamedTuple):
    """A small vocabulary, and the token of each byte."""

    vocabulary: Any
    token: list[int]


@pytest.fixture(scope="module")
def small() -> Bytes:
    """A vocabulary with pieces of all cases' texts in it."""
    import random

    tokens, eos_ids = small_vocabulary(
        random.Random(0), [t.encode() for case in CASES for t in case.texts()], 500
    )
    return Bytes(Vocabulary(tokens, eos_ids), [tokens.index(bytes([byte])) for byte in range(256)])


def accepts(constraint, small, text):
    """Tell whether the engine takes a text, a byte at a time."""
    state = constraint.start_state
    for byte in text.encode():
        state = constraint.next_state(state, small.token[byte])
        if state == DEAD:
            return False
    return constraint.is_accepting(state)


def describe(words, others, tokens):
    """Name the tokens in which two rows differ."""
    ours, theirs = (set(allowed_tokens(row, len(tokens)).tolist()) for row in (words, others))
    wrongly_allowed = [tokens[t] or f"eos {t}" for t in sorted(ours - theirs)]
    wrongly_forbidden = [tokens[t] or f"eos {t}" for t in sorted(theirs - ours)]
    return f"engine allows {wrongly_allowed[:20]}, forbids {wrongly_forbidden[:20]}"


def assert_rows_equal_along_a_walk(constraint, machine, vocabulary, rng, steps):
    """Compare row, acceptance and successors with the oracle's, in each state of one random walk."""
    tokens, eos_ids = vocabulary.tokens, list(vocabulary.eos_token_ids)
    state, expected, text = constraint.start_state, machine.start, b""
    policy = rng.choice(["uniform", "boundaries"])
    for _ in range(steps):
        row = constraint.row(state).copy()
        written = text if isinstance(machine, oracle.JsonSchema) else None
        expected_row = oracle.oracle_row(machine, expected, tokens, eos_ids, written)
        assert np.array_equal(row, expected_row), f"after {text!r}: {describe(row, expected_row, tokens)}"
        assert constraint.is_accepting(state) == machine.is_accepting(expected), text
        allowed = allowed_tokens(expected_row, len(tokens)).tolist()
        forbidden = rng.randrange(len(tokens))
        if forbidden not in allowed:
            assert constraint.next_state(state, forbidden) == DEAD, (text, tokens[forbidden])
        for eos in set(eos_ids) & set(allowed):
            assert constraint.next_state(state, eos) == FINISHED
        ways = [t for t in allowed if t not in eos_ids]
        if not ways:
            break
        if policy == "boundaries":  # few walks leave a string by chance
            ways = [t for t in ways if set(tokens[t]) & set(b'"{}[],:')] or ways
        token = rng.choice(ways)
        state, expected = constraint.next_state(state, token), machine.read(tokens[token], expected)
        text += tokens[token]


@by_name
def test_rows_equal_the_oracles(case, small, rng, budget):
    constraint, machine = build(case, small.vocabulary), case.machine()
    for _ in range(3 * budget):
        assert_rows_equal_along_a_walk(constraint, machine, small.vocabulary, rng, steps=25)


@by_name
def test_valid_texts_are_allowed_step_by_step(case, small, rng, budget):
    constraint = build(case, small.vocabulary)
    for text in case.texts():
        for ids in random_tokenisations(text.encode(), small.vocabulary.tokens, 5 * budget, rng):
            assert constraint.is_accepting(assert_allowed_stepwise(constraint, ids)), text


@by_name
def test_invalid_texts_are_not_accepted(case, small):
    constraint = build(case, small.vocabulary)
    for text in case.rejected:
        assert not accepts(constraint, small, text), text


def test_end_of_sequence_is_absorbing(small):
    constraint = Constraint({"type": "null"}, small.vocabulary)
    state = constraint.start_state
    for byte in b"null":
        state = constraint.next_state(state, small.token[byte])
    eos_ids = sorted(small.vocabulary.eos_token_ids)
    for eos in eos_ids:
        assert constraint.next_state(state, eos) == FINISHED
        assert constraint.next_state(FINISHED, eos) == FINISHED
    assert allowed_tokens(constraint.row(FINISHED), small.vocabulary.num_tokens).tolist() == eos_ids


def test_declared_member_within_a_token_that_fits_no_free_one():
    schema = {
        "properties": {"b": {"type": "object"}},
        "additionalProperties": {"type": "number"},
    }
    tokens = [*(bytes([byte]) for byte in range(256)), b'"b":{}}', None]
    vocabulary, machine = Vocabulary(tokens, [257]), oracle.JsonSchema(schema)
    constraint = Constraint(schema, vocabulary)
    state = constraint.next_state(constraint.start_state, ord("{"))
    assert is_set(constraint.row(state), 256)
    assert np.array_equal(
        constraint.row(state), oracle.oracle_row(machine, machine.read(b"{"), tokens, [257])
    )


# ---- A real vocabulary ------------------------------------------------------------------------------------


def is_valid(case, text):
    """Judge a text by the standard library and `jsonschema`."""
    if isinstance(case.source, str):
        return re.fullmatch(case.source, text) is not None
    return jsonschema.Draft202012Validator(case.source).is_valid(json.loads(text))


def test_walks_with_llama3_end_in_valid_text(llama3_vocabulary, rng, budget, capsys):
    walks = {policy: [0, 0] for policy in (*POLICIES, "mixed")}
    for case in CASES:
        constraint, machine = build(case, llama3_vocabulary), case.machine()
        for policy in walks:
            limit = 150 if policy in ("uniform", "exit-biased") else 500  # these two may never come to an end
            for _ in range(budget):
                text, finished = random_walk(constraint, llama3_vocabulary, rng, policy, limit)
                if finished:
                    assert is_valid(case, text.decode()), (case.name, text)
                assert machine.is_live(machine.read(text)), (case.name, text)
                walks[policy][0] += finished
                walks[policy][1] += 1
    with capsys.disabled():
        shares = (f"{policy} {finished}/{walked}" for policy, (finished, walked) in walks.items())
        print(f"\nfinished walks: {', '.join(shares)}")
    for policy in ("shortest-to-end", "mixed"):
        finished, walked = walks[policy]
        assert finished >= 0.95 * walked


def test_sampled_tokens_of_llama3_are_the_oracles(llama3_vocabulary, rng, budget):
    tokens = llama3_vocabulary.tokens
    for case in CASES:
        constraint, machine = build(case, llama3_vocabulary), case.machine()
        ids = next(random_tokenisations(rng.choice(list(case.texts())).encode(), tokens, 1, rng))
        state, expected = constraint.start_state, machine.start
        for token in ids:
            row = constraint.row(state).copy()
            allowed = allowed_tokens(row, len(tokens))
            sample = rng.sample(range(len(tokens)), 150 * budget)
            sample += [int(allowed[rng.randrange(allowed.size)]) for _ in range(50 * budget)]
            for t in {*sample} - {*llama3_vocabulary.eos_token_ids}:
                is_live = tokens[t] is not None and machine.is_live(machine.read(tokens[t], expected))
                assert is_set(row, t) == is_live, (case.name, tokens[t])
            state, expected = constraint.next_state(state, token), machine.read(tokens[token], expected)


@pytest.mark.parametrize("name", ["person", "reference", "anything", "regex: words", "number bounds"])
def test_valid_texts_are_allowed_with_llama3(name, llama3_vocabulary, rng, budget):
    case = BY_NAME[name]
    constraint = build(case, llama3_vocabulary)
    for text in case.texts():
        for ids in random_tokenisations(text.encode(), llama3_vocabulary.tokens, 5 * budget, rng):
            assert constraint.is_accepting(assert_allowed_stepwise(constraint, ids)), text


# ---- Random constraints -----------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
"""An object declares all of these or none, so that the declared order is that of the alphabet whatever is combined."""


def random_schema(rng, depth=3):
    """Make a schema of the everyday core."""
    choices = ["null", "boolean", "integer", "number", "string", "enum", "types", "true"]
    choices += ["array", "object", "object", "anyOf", "allOf", "ref"] if depth else []
    kind = rng.choice(choices)
    below = depth - 1
    if kind == "true":
        return rng.choice([True, {}, False])
    if kind in ("null", "boolean"):
        return {"type": kind}
    if kind == "enum":
        return {"enum": [random_value(rng, 1) for _ in range(rng.randint(1, 4))]}
    if kind == "types":
        names = ["null", "boolean", "integer", "number", "string", "array", "object"]
        return {**random_bounds(rng), **random_lengths(rng), "type": rng.sample(names, rng.randint(1, 4))}
    if kind in ("integer", "number"):
        return {"type": kind, **random_bounds(rng)}
    if kind == "string":
        return {"type": kind, **random_lengths(rng)}
    if kind == "array":
        schema = {"type": "array", **some(rng, items=random_schema(rng, below))}
        schema |= some(rng, prefixItems=[random_schema(rng, below) for _ in range(rng.randint(1, 2))])
        return schema | some(rng, minItems=rng.randint(0, 2)) | some(rng, maxItems=rng.randint(1, 3))
    if kind == "object":
        schema = {} if rng.random() < 0.2 else {"type": "object"}
        schema |= some(rng, additionalProperties=rng.choice([False, True, random_schema(rng, below)]))
        if rng.random() < 0.8:
            schema["properties"] = {name: random_schema(rng, below) for name in NAMES}
            schema |= some(rng, required=rng.sample([*NAMES, "x"], rng.randint(1, 2)))
        return schema
    if kind == "ref":
        return {"$ref": f"#/$defs/{rng.choice('pq')}"}
    siblings = random_schema(rng, 0) if rng.random() < 0.3 else {}
    branches = [random_schema(rng, below) for _ in range(rng.randint(1, 3))]
    return {**(siblings if isinstance(siblings, dict) else {}), kind: branches}


def some(rng, **keyword):
    return keyword if rng.random() < 0.5 else {}


def random_bounds(rng):
    low, high = (rng.choice([-12, -1, 0, 3, 10, 0.5, -0.25, 99]) for _ in range(2))
    lowest = some(rng, **{rng.choice(["minimum", "exclusiveMinimum"]): low})
    return lowest | some(rng, **{rng.choice(["maximum", "exclusiveMaximum"]): high})


def random_lengths(rng):
    lengths = some(rng, minLength=rng.randint(0, 3)) | some(rng, maxLength=rng.randint(1, 4))
    return lengths | some(rng, pattern=rng.choice(["^a", "b$", "^[ab]+$", "é|x", "^(ab|c){1,2}$", ""]))


def random_value(rng, depth=2):
    """Make a value with members in the order of the alphabet; a number is never an integral float."""
    kind = rng.randrange(7 if depth else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([-12, -3, -1, 0, 1, 2, 5, 9, 10, 11, 99, 100])
    if kind == 2:
        return rng.choice([-0.25, 0.5, 0.75, 2.5, -1.125, 98.5])
    if kind in (3, 4):
        return "".join(rng.choices('abcé"x', k=rng.randint(0, 4)))
    if kind == 5:
        return [random_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    names = [name for name in (*NAMES, "x", "y") if rng.random() < 0.5]
    return {name: random_value(rng, depth - 1) for name in names}


def random_instance(rng, schema, root, depth=4):
    """Make a value that a schema may well take: follow it in most places, and nothing in others."""
    if depth == 0 or not isinstance(schema, dict) or rng.random() < 0.1:
        return random_value(rng)
    if "$ref" in schema:
        return random_instance(rng, root["$defs"][schema["$ref"][-1]], root, depth - 1)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for kind in ("anyOf", "allOf"):
        if kind in schema:
            return random_instance(rng, rng.choice(schema[kind]), root, depth - 1)
    if "properties" in schema or "additionalProperties" in schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        names = [name for name in (*NAMES, "x") if name in required or rng.random() < 0.4]
        other = schema.get("additionalProperties")
        return {name: random_instance(rng, properties.get(name, other), root, depth - 1) for name in names}
    if "items" in schema or "prefixItems" in schema:
        prefix = schema.get("prefixItems", [])
        rest = [schema.get("items")] * rng.randint(0, 2)
        return [random_instance(rng, item, root, depth - 1) for item in [*prefix, *rest]]
    return random_value(rng)


def random_root(rng):
    schema = random_schema(rng)
    schema = {"allOf": [schema]} if isinstance(schema, bool) else schema
    return schema | {"$defs": {"p": random_schema(rng, 2), "q": random_schema(rng, 1)}}


def is_endless(schema, root, seen=()):
    """Tell whether references lead back to a schema without a value in between, which means nothing."""
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if reference in seen:
        return True
    parts = [*schema.get("anyOf", []), *schema.get("allOf", [])]
    if any(is_endless(part, root, seen) for part in parts):
        return True
    return reference is not None and is_endless(root["$defs"][reference[-1]], root, (*seen, reference))


def test_random_schemas_agree_with_jsonschema_and_the_oracle(small, rng, budget):
    accepted = rejected = empty = 0
    for _ in range(120 * budget):
        schema = random_root(rng)
        if any(is_endless(part, schema) for part in (schema, *schema["$defs"].values())):
            continue
        machine = oracle.JsonSchema(schema)
        try:
            constraint = Constraint(schema, small.vocabulary)
        except EmptyLanguageError:
            constraint = None
        assert (constraint is None) == (not machine.is_live(machine.start)), schema
        validator = jsonschema.Draft202012Validator(schema)
        for _ in range(20):
            value = random_instance(rng, schema, schema)
            text = json.dumps(value, ensure_ascii=False, separators=rng.choice([(",", ":"), (", ", ": ")]))
            expected = validator.is_valid(value)
            assert machine.accepts(text.encode()) == expected, (schema, text)
            verdict = constraint is not None and accepts(constraint, small, text)
            assert verdict == expected, f"{json.dumps(schema)} on {text}: jsonschema says {expected}"
            accepted, rejected = accepted + expected, rejected + (not expected)
        if constraint is None:
            empty += 1
        else:
            assert_rows_equal_along_a_walk(constraint, machine, small.vocabulary, rng, steps=6)
    assert accepted > 200
    assert rejected > 200
    assert empty > 5


def random_pattern(rng, depth=3):
    """Make a regular expression over a few characters."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(["a", "b", "é", "🙂", "[ab]", "[^a]", ".", r"\d", r"\s", ""])
    kind = rng.randrange(4)
    if kind == 0:
        return "(" + "|".join(random_pattern(rng, depth - 1) for _ in range(rng.randint(1, 3))) + ")"
    if kind == 1:
        return (
            f"(?:{random_pattern(rng, depth - 1)}){rng.choice(['*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'])}"
        )
    return "".join(random_pattern(rng, depth - 1) for _ in range(rng.randint(1, 3)))


def test_random_patterns_agree_with_fullmatch_and_the_oracle(small, rng, budget):
    accepted = 0
    for _ in range(60 * budget):
        pattern = random_pattern(rng)
        constraint, machine = Constraint(Regex(pattern), small.vocabulary), oracle.Regex(pattern)
        for _ in range(30):
            text = "".join(rng.choices("ab0 é🙂", k=rng.randint(0, 5)))
            expected = re.fullmatch(pattern, text) is not None
            assert machine.accepts(text.encode()) == expected, (pattern, text)
            assert accepts(constraint, small, text) == expected, (pattern, text)
            accepted += expected
        assert_rows_equal_along_a_walk(constraint, machine, small.vocabulary, rng, steps=6)
    assert accepted > 50
