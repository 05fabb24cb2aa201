r"""JSON Schemas as patterns: their spelling, and that what they match is valid.

The judges are `jsonschema`, and for the spelling the builder of outlines_core.
"""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from pydantic import BaseModel

from outlines.exceptions import LimitError
from outlines.insight import examples
from outlines.types import JsonSchema, Regex
from outlines.types.dsl import python_types_to_terms, to_regex
from outlines.types.json_schema_regex import schema_regex

INTEGER, NULL = {"type": "integer"}, {"type": "null"}
CHARACTER = r'([^"\\\x00-\x1F\x7F-\x9F]|\\["\\/bfnrt])'

# Spelt as outlines_core spells them.
SAME = [
    INTEGER,
    {"type": "number"},
    {"type": "string"},
    {"type": "string", "minLength": 2, "maxLength": 5},
    {"type": "string", "minLength": 2},
    {"type": "string", "maxLength": 2},
    {"type": "string", "pattern": "^a+$"},
    {"type": "boolean"},
    NULL,
    {"enum": ["a", 1, None, 1.5, True, {"a": [1, 2], "b": {}}, []]},
    {"const": "a.b(c"},
    {"type": "array", "items": INTEGER},
    {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 3},
    {"type": "array", "items": INTEGER, "maxItems": 0},
    {"type": "array", "items": INTEGER, "maxItems": 3},
    {"type": "array", "items": INTEGER, "minItems": 1},
    {"prefixItems": [INTEGER, NULL]},
    {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
    {"type": "object", "properties": {"a": INTEGER, "b": NULL, "c": NULL}, "required": ["b"]},
    {"type": "object", "properties": {"a": INTEGER, "b": NULL, "c": NULL}, "required": ["c", "a"]},
    {"type": "object", "properties": {"a": INTEGER, "b": NULL, "c": NULL}},
    {"type": "object", "additionalProperties": INTEGER},
    {"type": "object", "additionalProperties": INTEGER, "minProperties": 1},
    {"anyOf": [INTEGER, NULL]},
    {"oneOf": [INTEGER, NULL]},
    {"type": ["integer", "null"]},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"], "$defs": {"x": NULL}},
    {"type": "string", "format": "date"},
    {"type": "integer", "minDigits": 2, "maxDigits": 4},
    {"type": "integer", "maxDigits": 4},
    {"type": "number", "minDigitsInteger": 2, "maxDigitsFraction": 4, "minDigitsExponent": 2},
]
OTHERS = [
    {},
    {"type": "object"},
    {"type": "array"},
    {"type": "object", "additionalProperties": False},
    {"type": "object", "minProperties": 2, "maxProperties": 3},
    {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"type": "array", "items": {"$ref": "#"}}}},
    {"allOf": [INTEGER]},
    *({"type": "string", "format": name} for name in ("date-time", "time", "uuid", "uri", "email")),
]


@pytest.mark.parametrize("space", [None, "", "[ \n]{0,2}"])
@pytest.mark.parametrize("schema", SAME, ids=json.dumps)
def test_patterns_are_those_of_outlines_core(schema, space):
    core = pytest.importorskip("outlines_core.json_schema", reason="pip install outlines[outlines_core]")
    assert schema_regex(schema, space) == core.build_regex_from_schema(json.dumps(schema), space)


def test_spelling():
    assert to_regex(JsonSchema(INTEGER)) == "((-)?(0|[1-9][0-9]*))"
    assert to_regex(JsonSchema({"type": "string"})) == f'("{CHARACTER}*")'
    assert to_regex(JsonSchema({"type": "array", "items": NULL}, whitespace_pattern="")) == (
        r"(\[((null)(,(null)){0,})?\])"
    )


@pytest.mark.parametrize("schema", [*SAME, *OTHERS], ids=json.dumps)
def test_what_a_pattern_matches_is_valid(schema):
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for text in examples(Regex(schema_regex(schema)), 20, seed=1):
        if schema.get("format") in ("date", "date-time"):
            text = re.sub(r'^"(\d{4}-\d\d)-\d\d', r'"\1-01', text)  # it doesn't know the lengths of months
            text = re.sub(r'^"0000', '"0001', text)
        jsonschema.validate(json.loads(text), schema, format_checker=checker)


@pytest.mark.parametrize(
    ("name", "pattern"), [("compact", ""), ("any", r"[ \t\n\r]{0,20}"), ("upstream", "[ ]?"), (r"\s", r"\s")]
)
def test_white_space_by_name(name, pattern):
    schema = {"type": "array", "items": NULL}
    assert schema_regex(schema, name) == schema_regex(schema, pattern)


def test_types_that_hold_classes_have_patterns():
    class Point(BaseModel):
        x: int

    pattern = to_regex(python_types_to_terms(list[Point]))
    assert re.fullmatch(pattern, '[{"x": 1}, {"x":-2}]')
    assert not re.fullmatch(pattern, "[{}]")
    assert (JsonSchema(Point) + Regex("!")).matches('{"x":1}!')


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"not": {}}, "the schema: 'not' has no pattern"),
        ({"properties": {"a": {"if": {}, "then": {}}}}, "/properties/a: 'if' has no pattern"),
        ({"title": "x"}, "none of the keywords title has a pattern"),
        ({"properties": {"a": True}}, "/properties/a: the schema true has no pattern"),
        ({"type": "string", "format": "ipv4"}, "the format 'ipv4' has no pattern"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "'minLength' 3 is above 'maxLength' 2"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "'minItems' 3 is above 'maxItems' 2"),
        ({"type": "object", "minProperties": 3, "maxProperties": 2}, "'minProperties' 3 is above 'maxProperties' 2"),
        ({"$ref": "https://a.b/c"}, "leads elsewhere"),
        ({"$ref": "#/$defs/a"}, "leads nowhere"),
        ({"prefixItems": [NULL], "minItems": 2}, "'prefixItems' gives 1 items"),
        ({"allOf": [INTEGER, {"minimum": 2}]}, "'allOf' with several members"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "contains itself without an end"),
        ({"type": "float"}, "isn't one of JSON's"),
    ],
)
def test_what_has_no_pattern_is_an_error_with_its_place(schema, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        schema_regex(schema)


def test_what_is_left_out_is_told():
    with pytest.warns(UserWarning, match=r"doesn't enforce /minimum, /maximum$"):
        assert schema_regex({"type": "integer", "minimum": 1, "maximum": 2}) == "(-)?(0|[1-9][0-9]*)"
    with pytest.warns(UserWarning, match="/pattern"):  # lengths win
        assert schema_regex({"type": "string", "minLength": 2, "pattern": "a"}) == f'"{CHARACTER}{{2,}}"'
    with pytest.warns(UserWarning, match="enforce /required, /anyOf$|enforce /anyOf, /required$"):
        schema_regex({"properties": {"a": NULL}, "required": ["b"], "anyOf": [{"required": ["a"]}]})
    with pytest.warns(UserWarning, match=r"enforce /\$ref$"):
        schema_regex({"enum": [1, "a"], "$ref": "#/$defs/a", "$defs": {"a": INTEGER}})
    with pytest.warns(UserWarning, match="/properties/a/uniqueItems"):
        schema_regex({"properties": {"a": {"type": "array", "uniqueItems": True, "items": INTEGER}}})


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"enum": ["a", 1], "type": "string"}, "/type"),
        ({"const": 1.5, "type": ["integer", "null"]}, "/type"),
        ({"enum": ["abc"], "minLength": 5, "format": "date"}, "/minLength, /format"),
        ({"anyOf": [{"type": "string"}], "pattern": "a", "required": ["a"]}, "/pattern, /required"),
        ({"$ref": "#/$defs/a", "type": "string", "maxItems": 2, "$defs": {"a": INTEGER}}, "/type, /maxItems"),
        ({"allOf": [INTEGER], "type": "string"}, "/type"),
        ({"type": "object", "required": ["a"]}, "/required"),
        ({"type": "array", "properties": {"a": INTEGER}}, "/type"),
        ({"type": "integer", "$dynamicRef": "#a"}, "/$dynamicRef"),
        ({"anyOf": [{"type": "object"}], "additionalProperties": False}, "/additionalProperties"),
    ],
    ids=json.dumps,
)
def test_keywords_beside_the_one_that_is_written_are_told(schema, named):
    with pytest.warns(UserWarning, match=f"enforce {re.escape(named)}$"):
        schema_regex(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": ["a", None], "type": ["string", "null"], "minimum": 3},
        {"const": 2.0, "type": "integer", "required": ["a"]},
        {"type": "object", "properties": {"a": INTEGER}, "additionalProperties": NULL, "minLength": 3},
        {"type": "array", "prefixItems": [INTEGER], "items": NULL, "maxItems": 1},
        {"type": "integer", "pattern": "a", "items": NULL},
        {"type": "array", "items": INTEGER, "additionalItems": False},
    ],
    ids=json.dumps,
)
def test_keywords_that_narrow_nothing_more_are_not_told(schema):
    for text in examples(Regex(schema_regex(schema)), 5):  # a warning would be an error
        jsonschema.validate(json.loads(text), schema)


def test_schemas_that_are_nested_too_deep_name_the_limit():
    schema: dict = {}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(LimitError, match="nested too deep"):
        schema_regex(schema)
