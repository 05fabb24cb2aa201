"""Keywords of objects and arrays and what combines schemas: verdicts, masks, and walks that never get stuck."""

from __future__ import annotations

import json
import random

import jsonschema
import pytest

from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.json_schema.reader import Document
from outlines.engine import Vocabulary
from outlines.exceptions import EmptyLanguageError, LimitError
from outlines.rows import unpack
from outlines.tables import DEAD, Tables
from outlines.types.json_options import JsonOptions
from tests.proof import random_walk

PIECES = [
    b'{"',
    b'":',
    b'","',
    b'":1,"',
    b"],[",
    b'"a"',
    b"1,",
    b",1",
    b'"],"',
    b'a":1,"b":1',
    b'":"","',
    b"true",
]
VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), *PIECES, None], [256 + len(PIECES)], cache=False)
EOS = 256 + len(PIECES)

A, INTEGER = {"required": ["a"]}, {"type": "integer"}
CLOSED = {"type": "object", "additionalProperties": False}

# name: schema, values that it accepts, values that it refuses
CASES = {
    "patternProperties": (
        {"type": "object", "patternProperties": {"^a": INTEGER}},
        [{}, {"a": 1, "ab": 2, "b": "x"}],
        [{"a": "x"}, {"b": 1, "ax": None}],
    ),
    "patternProperties of declared names": (
        {"type": "object", "properties": {"ab": {"minimum": 3}}, "patternProperties": {"^a": INTEGER}},
        [{"ab": 4}, {"ab": 3, "a": 1}],
        [{"ab": 2}, {"ab": 3.5}],
    ),
    "patterns that overlap": (
        {**CLOSED, "patternProperties": {"^a": {"minimum": 3}, "b$": INTEGER}},
        [{"ab": 4, "a": 3.5, "b": 1}],
        [{"ab": 3.5}, {"ab": 1}, {"c": 1}],
    ),
    "few": ({**CLOSED, "patternProperties": {"^[ab]$": True}, "minProperties": 2}, [{"b": 1, "a": 2}], [{"a": 1}]),
    "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 1}}, [{}, {"a": 1, "é": 2}], [{"ab": 1}]),
    "propertyNames by enum": (
        {"type": "object", "propertyNames": {"enum": ["a", "bc"]}},
        [{}, {"bc": 1, "a": 2}],
        [{"b": 1}, {"a": 1, "c": 1}],
    ),
    "minProperties": ({"minProperties": 2, "type": "object", "properties": {"a": {}}}, [{"a": 1, "b": 1}], [{"x": 1}]),
    "maxProperties": ({"type": "object", "maxProperties": 1}, [{}, {"x": 1}], [{"x": 1, "y": 1}]),
    "counts that the names just meet": (
        {**CLOSED, "properties": {"a": True, "b": True, "c": True}, "minProperties": 2, "maxProperties": 2},
        [{"a": 1, "c": 1}, {"b": 1, "c": 1}],
        [{"a": 1}, {"a": 1, "b": 1, "c": 1}],
    ),
    "not required": ({"type": "object", "not": A}, [{}, {"b": 1}], [{"a": 1}, {"b": 1, "a": 1}]),
    "not of a type": ({"not": {"type": ["string", "object"]}}, [1, None, [1]], ["a", {}]),
    "not of a named value": ({"type": "string", "not": {"enum": ["a", "ab"]}}, ["", "abc", "b"], ["a", "ab"]),
    "not an object": ({"type": "object", "not": {"const": {"a": 1}}}, [{}, {"a": 2}, {"a": 1, "b": 1}], [{"a": 1}]),
    "not of additional members": (
        {"type": "object", "not": {"additionalProperties": INTEGER}},
        [{"a": "x"}, {"a": 1, "b": None}],
        [{}, {"a": 1}],
    ),
    "if a member, then another": (
        {
            "type": "object",
            "properties": {"a": True, "kind": {"enum": ["x", "y"]}},
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "x"}}},
            "then": A,
            "else": {"not": A},
        },
        [{"a": 1, "kind": "x"}, {"kind": "y"}],
        [{"kind": "x"}, {"a": 1, "kind": "y"}],
    ),
    "dependentRequired, the trigger after what it asks for": (
        {**CLOSED, "properties": {"b": True, "a": True}, "dependentRequired": {"a": ["b"]}},
        [{}, {"b": 1}, {"b": 1, "a": 1}],
        [{"a": 1}],
    ),
    "dependentSchemas": (
        {"type": "object", "properties": {"a": True, "n": INTEGER}, "dependentSchemas": {"a": {"maxProperties": 2}}},
        [{"n": 1, "x": 1, "y": 1}, {"a": 1, "n": 1}],
        [{"a": 1, "n": 1, "x": 1}],
    ),
    "unevaluatedProperties": (
        {
            "type": "object",
            "properties": {"a": True},
            "anyOf": [{"properties": {"b": INTEGER}, "required": ["b"]}, {"properties": {"c": True}}],
            "unevaluatedProperties": False,
        },
        [{"a": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}, {"a": 1}],
        [{"x": 1}, {"a": 1, "b": "x"}],
    ),
    "contains": ({"type": "array", "contains": {"const": 1}}, [[1], ["a", 1], [1, 1]], [[], ["a"]]),
    "minContains and maxContains": (
        {"type": "array", "contains": INTEGER, "minContains": 2, "maxContains": 3, "maxItems": 4},
        [[1, 2], [1, "a", 2, "b"], [1, 2, 3]],
        [[1], [1, "a"], [1, 2, 3, 4]],
    ),
    "contains within a prefix": (
        {"type": "array", "prefixItems": [INTEGER, True], "items": False, "contains": {"type": "string"}},
        [[1, "a"]],
        [[], [1], [1, 2]],
    ),
    "uniqueItems": ({"type": "array", "items": INTEGER, "uniqueItems": True}, [[], [1, 2, 12]], [[1, 1], [1, 2, 1]]),
    "uniqueItems of strings": (
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        [["a", "b", ""], ["a", "aa"]],
        [["a", "a"], ["", ""]],
    ),
    "uniqueItems of objects": (
        {"type": "array", "uniqueItems": True, "items": {"type": "object"}},
        [[{"a": 1}, {"a": 2}], [{}, {"b": 1, "a": 1}]],
        [[{}, {}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]],
    ),
    "uniqueItems of few values": (
        {"type": "array", "items": {"enum": ["aa", "ab"]}, "uniqueItems": True, "minItems": 2},
        [["aa", "ab"], ["ab", "aa"]],
        [["aa"], ["aa", "aa"]],
    ),
    "uniqueItems that leave a value for the next": (
        {"type": "array", "prefixItems": [{"enum": ["aa", "ab"]}, {"const": "aa"}], "minItems": 2, "uniqueItems": True},
        [["ab", "aa"]],
        [["aa", "aa"], ["aa"]],
    ),
    "not unique": ({"type": "array", "not": {"uniqueItems": True}, "maxItems": 3}, [[1, 1]], [[1], [1, 2, 3]]),
    "unevaluatedItems": (
        {"type": "array", "prefixItems": [True], "contains": INTEGER, "unevaluatedItems": {"type": "string"}},
        [["x", 1, "a"], [1, "a"]],
        [["x"], [1, None]],
    ),
    "nullable": ({"type": "string", "nullable": True}, ["a", None], [1]),
    "named objects in an enum": ({"enum": [{"a": 1}, {"b": [1]}]}, [{"a": 1}, {"b": [1]}], [{}, {"a": 1, "b": [1]}]),
}  # fmt: skip


#: Walks hardly ever come to their end by chance.
RAMBLING = ("patterns that overlap", "if a member, then another")


def tables(schema, order="any"):
    return Tables(
        schema_symbols(schema, JsonOptions(whitespace_pattern="", property_order=order)), VOCABULARY
    )


def accepts(machine, value):
    state = machine.start_state
    for byte in json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode():
        state = machine.next_state(state, byte)
    return state != DEAD and machine.is_accepting(state)


@pytest.mark.parametrize(("schema", "good", "bad"), CASES.values(), ids=CASES)
def test_values_are_accepted_and_refused(schema, good, bad):
    machine = tables(schema)
    assert [value for value in good if not accepts(machine, value)] == []
    assert [value for value in bad if accepts(machine, value)] == []
    if "nullable" not in schema:  # an extension
        validator = jsonschema.Draft202012Validator(schema)
        assert all(map(validator.is_valid, good))
        assert not any(map(validator.is_valid, bad))


@pytest.mark.parametrize("order", ["declared", "any"])
@pytest.mark.parametrize("name", CASES)
def test_walks_through_masks_end_in_valid_values(name, order, rng):
    schema = CASES[name][0]
    machine = tables(schema, order)
    validator = jsonschema.Draft202012Validator(schema)
    finished = 0
    for policy in ("shortest-to-end",) * 6 + ("mixed",):
        text, is_finished = random_walk(machine, VOCABULARY, rng, policy, limit=200)
        if is_finished:
            finished += 1
            assert "nullable" in schema or validator.is_valid(json.loads(text)), text
    assert finished or name in RAMBLING


@pytest.mark.parametrize("name", CASES)
def test_masks_are_what_advancing_allows(name, rng):
    machine = tables(CASES[name][0])
    for _ in range(3):
        state = machine.start_state
        for _ in range(20):
            allowed = set(unpack(machine.row(state)).tolist()) - {EOS}
            steps = {t for t in range(EOS) if machine.next_state(state, t) != DEAD}
            assert allowed == steps
            if not allowed:
                break
            state = machine.next_state(state, rng.choice(sorted(allowed)))


# ---- Names once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["declared", "any"])
@pytest.mark.parametrize(
    "schema", [{}, {"type": "object", "properties": {"a": {}}}, {"patternProperties": {"^.": {}}}]
)
def test_no_name_comes_twice_however_it_is_spelt(schema, order):
    machine = tables(schema, order)
    for text, is_allowed in [
        ('{"x":1,"y":1}', True),
        ('{"x":1,"x":1}', False),
        ('{"x":1,"\\u0078":1}', False),
        ('{"\\u0078":1,"x":1}', False),
        ('{"x":1,"xx":1,"x\\u0078":2}', False),
        ('{"a":1,"a":1}', False),
        ('{"x":{"x":1},"y":{"x":1}}', True),
        ('{"x":{"x":1,"x":1}}', False),
    ]:
        state = machine.start_state
        for byte in text.encode():
            state = machine.next_state(state, byte)
        assert (state != DEAD and machine.is_accepting(state)) == is_allowed, text


def test_a_token_that_holds_two_names_is_judged_by_itself():
    machine = tables({"type": "object"})
    token = VOCABULARY.tokens.index(b'a":1,"b":1')
    for begin, is_allowed in [
        ('{"', True),
        ('{"b', True),
        ('{"x":1,"', True),
        ('{"b":1,"', False),
        ('{"a":1,"', False),
    ]:
        state = machine.start_state
        for byte in begin.encode():
            state = machine.next_state(state, byte)
        assert (token in unpack(machine.row(state))) == is_allowed, begin
        assert (machine.next_state(state, token) != DEAD) == is_allowed, begin


def test_declared_order_is_kept_and_any_order_is_not_asked_for():
    schema = {
        "type": "object",
        "properties": {"a": {}, "b": {}},
        "required": ["b"],
        "additionalProperties": False,
    }
    assert not accepts(tables(schema, "declared"), {"b": 1, "a": 1})
    assert accepts(tables(schema, "any"), {"b": 1, "a": 1})
    assert not accepts(tables(schema, "any"), {"a": 1})


# ---- No value, limits ----------------------------------------------------------------------------------------------

EMPTY = {
    "not everything": {"not": {}},
    "required and forbidden": {"type": "object", "required": ["a"], "not": A},
    "more names than there are": {**CLOSED, "properties": {"a": {}}, "minProperties": 2},
    "more names than a pattern has": {**CLOSED, "patternProperties": {"^[ab]$": {}}, "minProperties": 3},
    "fewer than required": {"type": "object", "required": ["a", "b"], "maxProperties": 1},
    "required under another pattern": {"type": "object", "required": ["a"], "propertyNames": {"pattern": "b"}},
    "contains what no element is": {"type": "array", "items": INTEGER, "contains": {"type": "string"}},
    "more than may be": {"type": "array", "contains": INTEGER, "minContains": 3, "maxItems": 2},
    "too many different": {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 3},
    "the same one twice": {"type": "array", "contains": {"const": 1}, "minContains": 2, "uniqueItems": True},
    "exactly one of the same": {"oneOf": [INTEGER, INTEGER]},
    "if and neither": {"if": INTEGER, "then": False, "else": False},
    "endless through a complement": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
}  # fmt: skip


@pytest.mark.parametrize("schema", EMPTY.values(), ids=EMPTY)
def test_schema_without_value_is_found_when_it_is_built(schema):
    with pytest.raises(EmptyLanguageError):
        schema_symbols(schema)


def test_exclusions_hit_a_named_limit():
    branches = [{"properties": {f"k{i}": INTEGER, f"l{i}": INTEGER}} for i in range(80)]
    with pytest.raises(LimitError) as caught:
        Document(
            {"type": "object", "not": {"anyOf": [{"not": branch} for branch in branches]}, "oneOf": branches}
        )
    assert caught.value.limit in ("MAX_EXCLUSIONS", "MAX_CASES")


def test_oneof_of_many_named_branches_is_quick():
    branches = [{"properties": {"k": {"const": i}, "v": INTEGER}, "required": ["k"]} for i in range(1000)]
    machine = tables({"type": "object", "oneOf": branches}, "declared")
    assert accepts(machine, {"k": 999, "v": 1})
    assert not accepts(machine, {"k": 999, "v": "x"})


@pytest.fixture
def rng(request):
    """A generator of its own for each test, always the same."""
    return random.Random(request.node.name)
