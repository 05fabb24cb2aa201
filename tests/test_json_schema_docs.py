"""What docs/json-schema.md says of keywords, options and formats is what the engine does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.json_schema.formats import ANNOTATIONS, FORMATS
from outlines.types.json_options import JsonOptions

PAGE = (Path(__file__).parent.parent / "docs" / "json-schema.md").read_text("utf-8")

A, B = {"a": 1}, {"b": 1}
OF_A = {"properties": {"a": {"type": "integer"}}}
#: For each keyword that is enforced or followed: a schema, a value that it allows, one that it doesn't.
ENFORCED = {
    "type": ({"type": "string"}, "a", 1),
    "enum": ({"enum": [1, "a"]}, "a", "b"),
    "const": ({"const": [1]}, [1], [2]),
    "allOf": ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4),
    "anyOf": ({"anyOf": [{"type": "null"}, {"minimum": 5, "type": "number"}]}, 6, 4),
    "oneOf": ({"oneOf": [{"minimum": 3}, {"maximum": 5}]}, 6, 4),
    "not": ({"not": {"type": "integer"}}, "a", 1),
    "if": ({"if": {"type": "string"}, "then": {"minLength": 2}}, 1, "a"),
    "then": ({"if": {"type": "string"}, "then": {"minLength": 2}}, "ab", "a"),
    "else": ({"if": {"type": "string"}, "else": {"minimum": 2}}, "", 1),
    "properties": (OF_A, A, {"a": "x"}),
    "required": ({"required": ["a"]}, A, B),
    "additionalProperties": (OF_A | {"additionalProperties": False}, A, B),
    "patternProperties": ({"patternProperties": {"^a": {"type": "integer"}}}, {"ab": 1}, {"ab": "x"}),
    "propertyNames": ({"propertyNames": {"maxLength": 1}}, A, {"ab": 1}),
    "minProperties": ({"minProperties": 1}, A, {}),
    "maxProperties": ({"maxProperties": 1}, A, A | B),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, A | B, A),
    "dependentSchemas": ({"dependentSchemas": {"a": {"required": ["b"]}}}, A | B, A),
    "dependencies": ({"dependencies": {"a": ["b"]}}, A | B, A),
    "unevaluatedProperties": ({"allOf": [OF_A], "unevaluatedProperties": False}, A, A | B),
    "items": ({"items": {"type": "integer"}}, [1, 2], [1, "a"]),
    "prefixItems": ({"prefixItems": [{"type": "integer"}]}, [1, "a"], ["a"]),
    "additionalItems": ({"items": [{}], "additionalItems": {"type": "integer"}}, ["a", 1], ["a", "a"]),
    "contains": ({"contains": {"const": 1}}, [2, 1], [2]),
    "minContains": ({"contains": {"const": 1}, "minContains": 2}, [1, 1], [1]),
    "maxContains": ({"contains": {"const": 1}, "maxContains": 1}, [1], [1, 1]),
    "minItems": ({"minItems": 2}, [1, 1], [1]),
    "maxItems": ({"maxItems": 1}, [1], [1, 1]),
    "uniqueItems": ({"uniqueItems": True}, [1, 2], [1, 1]),
    "unevaluatedItems": ({"prefixItems": [{}], "unevaluatedItems": False}, [1], [1, 1]),
    "minLength": ({"minLength": 2}, "ab", "a"),
    "maxLength": ({"maxLength": 1}, "🙂", "ab"),
    "pattern": ({"pattern": "^a"}, "ab", "ba"),
    "format": ({"format": "date"}, "2024-02-29", "2023-02-29"),
    "minimum": ({"minimum": 1}, 1, 0),
    "maximum": ({"maximum": 1}, 1, 2),
    "exclusiveMinimum": ({"exclusiveMinimum": 1}, 2, 1),
    "exclusiveMaximum": ({"exclusiveMaximum": 1, "type": "integer"}, 0, 1),
    "multipleOf": ({"multipleOf": 0.1, "minimum": 0}, 0.3, 0.35),
    "$ref": ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "a", 1),
    "$defs": ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "a", 1),
    "definitions": ({"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}}, "a", 1),
    "$anchor": ({"$ref": "#b", "$defs": {"a": {"$anchor": "b", "type": "string"}}}, "a", 1),
    "$id": ({"$ref": "http://x/b", "$defs": {"a": {"$id": "http://x/b", "type": "string"}}}, "a", 1),
    "$dynamicRef": ({"$dynamicRef": "#b", "$defs": {"a": {"$dynamicAnchor": "b", "type": "string"}}}, "a", 1),
    "$dynamicAnchor": ({"$dynamicRef": "#b", "$defs": {"a": {"$dynamicAnchor": "b", "type": "string"}}}, "a", 1),
    "$recursiveRef": (
        {"$schema": "https://json-schema.org/draft/2019-09/schema", "type": ["array", "null"],
         "items": {"$recursiveRef": "#"}}, [[None]], [[1]],
    ),
    "$recursiveAnchor": (
        {"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": True,
         "type": ["array", "null"], "items": {"$recursiveRef": "#"}}, [[None]], [[1]],
    ),
}  # fmt: skip


def told(begin):
    """Give what stands in backquotes in the last cell of rows that begin so."""
    rows = [line for line in PAGE.splitlines() if line.startswith(f"| {begin}")]
    assert rows, begin
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[2])}


@pytest.mark.parametrize("keyword", sorted(told("enforced") | told("followed")))
def test_a_keyword_that_is_said_to_be_enforced_is(keyword):
    schema, allowed, forbidden = ENFORCED[keyword]
    automaton = Automaton(schema_symbols(schema, JsonOptions(property_order="any")))
    for value, expected in ((allowed, True), (forbidden, False)):
        text = json.dumps(value, ensure_ascii=False).encode()
        assert (END in automaton.run(automaton.start, text)) == expected, value


@pytest.mark.parametrize("keyword", sorted(told("annotations")))
def test_an_annotation_asserts_nothing(keyword):
    value = True if keyword in ("deprecated", "readOnly", "writeOnly") else "x"
    automaton = Automaton(schema_symbols({keyword: [1] if keyword == "examples" else value}))
    assert all(END in automaton.run(automaton.start, text) for text in (b"1", b'"a"', b"[]", b'{"a":1}', b"null"))


def test_every_keyword_of_every_draft_is_in_the_table():
    known = told("enforced") | told("followed") | told("annotations")
    for draft in ("4", "6", "7", "201909", "202012"):
        assert set(getattr(jsonschema, f"Draft{draft}Validator").VALIDATORS) <= known, draft
    assert set(ENFORCED) == told("enforced") | told("followed")


def test_the_options_are_those_of_the_table():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.M)
    defaults = {name: repr(value).replace("'", '"') for name, value in vars_of(JsonOptions()).items()}
    assert dict(rows) == defaults


def vars_of(options):
    return {name: getattr(options, name) for name in type(options).__dataclass_fields__}


def test_the_formats_are_those_of_the_page():
    enforced, annotations = re.search(
        r"Enforced are (.*?)\. What a string is for.*?, say\s(.*?)\. Of any other", PAGE, re.S
    ).groups()
    assert set(re.findall(r"`([^`]+)`", enforced)) == {*FORMATS, "idn-hostname", "regex"}
    assert set(re.findall(r"`([^`]+)`", annotations)) == ANNOTATIONS
