"""Elements that must differ, or be equal, where there are few values, some of a kind; members in no declared order."""

from __future__ import annotations

import json

import pytest

from outlines.constraints.json_schema import object_states
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError, LimitError
from outlines.types import JsonSchema

VOCABULARY = Vocabulary([*(bytes([i]) for i in range(256)), None], [256], cache=False)


def accepts(schema, text, **options):
    matcher = Constraint(JsonSchema(schema, whitespace_pattern="compact", **options), VOCABULARY).matcher()
    for byte in text.encode():
        is_allowed = bool(matcher.mask()[byte // 32] >> (byte % 32) & 1)
        assert matcher.advance(byte) == is_allowed
        if not is_allowed:
            return False
    return matcher.is_accepting()


BOOLEAN = {"type": "boolean"}
FLAG = {"type": "object", "properties": {"a": BOOLEAN}, "additionalProperties": False}
UNIQUE = {"type": "array", "uniqueItems": True}

TOO_FEW = [
    {**UNIQUE, "items": BOOLEAN, "minItems": 3},
    {**UNIQUE, "items": FLAG, "minItems": 4},
    {**UNIQUE, "items": {"type": "array", "items": BOOLEAN, "maxItems": 1}, "minItems": 4},
    {**UNIQUE, "items": {"type": "array", "maxItems": 0}, "minItems": 2},
    {**UNIQUE, "prefixItems": [BOOLEAN, {"type": "null"}], "items": BOOLEAN, "minItems": 4},
    {
        **UNIQUE,
        "items": {"enum": [1, 2, 3]},
        "contains": {"maximum": 1},
        "maxContains": 0,
        "minContains": 0,
        "minItems": 3,
    },
    {**UNIQUE, "items": {"enum": [1, 2, 3]}, "contains": {"const": 1}, "minContains": 2},
    {**UNIQUE, "items": {"$ref": "#"}, "minItems": 1},
    {
        "type": "array",
        "items": {"const": 1},
        "contains": {"const": 1},
        "maxContains": 1,
        "not": {"uniqueItems": True},
    },
]


@pytest.mark.parametrize("schema", TOO_FEW, ids=json.dumps)
def test_too_few_values_are_found_before_the_first_mask(schema):
    with pytest.raises(EmptyLanguageError):
        Constraint(schema, VOCABULARY)


def test_no_value_is_written_that_a_later_element_needs():
    schema = {**UNIQUE, "prefixItems": [{"enum": [1, 2]}], "items": {"enum": [2, 3]}, "minItems": 3}
    assert accepts(schema, "[1,2,3]")
    assert not accepts(schema, "[2")
    kind = {**UNIQUE, "items": {"enum": [1, 2, 3]}, "maxItems": 2, "contains": {"enum": [1]}}
    assert accepts(kind, "[1]")
    assert accepts(kind, "[2,1]")
    assert not accepts(kind, "[2,3")


def test_a_pair_of_equal_elements_agrees_with_the_kinds():
    schema = {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 3, "not": {"uniqueItems": True},
              "contains": {"const": 1}, "maxContains": 1}  # fmt: skip
    assert accepts(schema, "[1,2,2]")
    assert not accepts(schema, "[1,1")
    assert not accepts(schema, "[2,2]")


@pytest.mark.parametrize(
    "texts", [("1e40", "10e39"), ("1e-39", "0.1e-38"), ("1" + "0" * 40, "1" + "0" * 40)]
)
def test_equal_numbers_are_duplicates_however_written(texts):
    assert accepts(UNIQUE, f"[{texts[0]},7]", number_forms="all")
    assert not accepts(UNIQUE, f"[{texts[0]},{texts[1]}]", number_forms="all")


def test_exponents_end_where_the_page_says():
    assert accepts(UNIQUE, "[1e400]", number_forms="all")
    assert not accepts(UNIQUE, "[1e401]", number_forms="all")


def test_more_elements_than_are_told_apart_is_a_named_limit():
    schema = {**UNIQUE, "items": {"type": "integer", "minimum": 0, "maximum": 10**6}, "minItems": 3000}
    with pytest.raises(LimitError, match="MAX_DISTINCT"):
        Constraint(schema, VOCABULARY)
    Constraint({**schema, "items": {"type": "string"}}, VOCABULARY)


@pytest.mark.parametrize(
    ("schema", "texts", "others"),
    [
        ({"dependentRequired": {"a": ["b"]}}, ['{"a":1,"b":1}', '{"b":1,"x":2,"a":1}', "{}"], ['{"a":1}']),
        ({"type": "object", "required": ["b", "a"]}, ['{"b":1,"a":1}', '{"a":1,"x":2,"b":1}'], ['{"b":1}']),
        (
            {"type": "object", "properties": {"z": True, "y": True}, "required": ["b", "a"]},
            ['{"z":0,"y":0,"b":1,"a":1}', '{"z":0,"a":1,"x":2,"b":1}'],
            ['{"y":0,"z":0,"a":1,"b":1}', '{"b":1,"a":1,"z":0}'],
        ),
    ],
)
def test_names_that_no_schema_declares_come_in_any_order(schema, texts, others):
    schema = {"type": "object", **schema}
    assert all(accepts(schema, text) for text in texts)
    assert not any(accepts(schema, text) for text in others)


def test_what_is_looked_at_beside_an_enum_of_objects_is_kept():
    schema = {"enum": [{"a": 1}], "additionalProperties": {"maximum": 2}, "unevaluatedProperties": False}
    assert accepts(schema, '{"a":1}')


def test_a_limit_within_a_member_is_hit_before_the_first_mask(monkeypatch):
    monkeypatch.setattr(object_states, "MAX_CLASSES", 16)
    deep = {"properties": {"m": {"patternProperties": {c: {"type": "integer"} for c in "abcde"}}}}
    with pytest.raises(LimitError, match="MAX_CLASSES"):
        Constraint(deep, VOCABULARY)
