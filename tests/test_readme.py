"""The examples of the README run, in their order and in one namespace, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import UnsupportedKeywordError
from tests.blocks import run_blocks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_readme_examples_run(smollm2):
    assert run_blocks(README, "README.md", {"__name__": "readme"}) >= 4


# For each keyword a schema in which it says something.
SCHEMAS: dict[str, dict] = {
    "type": {"type": "string"},
    "enum": {"enum": [1]},
    "const": {"const": 1},
    "allOf": {"allOf": [{"type": "string"}]},
    "anyOf": {"anyOf": [{"type": "string"}]},
    "oneOf": {"oneOf": [{"type": "string"}]},
    "$ref": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
    "minimum": {"minimum": 1},
    "maximum": {"maximum": 1},
    "exclusiveMinimum": {"exclusiveMinimum": 1},
    "exclusiveMaximum": {"exclusiveMaximum": 1},
    "minLength": {"minLength": 1},
    "maxLength": {"maxLength": 1},
    "pattern": {"pattern": "a"},
    "items": {"items": {"type": "string"}},
    "prefixItems": {"prefixItems": [{"type": "string"}]},
    "minItems": {"minItems": 1},
    "maxItems": {"maxItems": 1},
    "properties": {"properties": {"a": {"type": "string"}}},
    "required": {"required": ["a"]},
    "additionalProperties": {"additionalProperties": False},
    "not": {"not": {"type": "string"}},
    "if": {"if": {"type": "string"}, "then": {"minLength": 1}},
    "multipleOf": {"multipleOf": 2},
    "format": {"format": "date"},
    "uniqueItems": {"uniqueItems": True},
    "contains": {"contains": {"type": "string"}},
    "patternProperties": {"patternProperties": {"a": {"type": "string"}}},
    "propertyNames": {"propertyNames": {"pattern": "a"}},
    "minProperties": {"minProperties": 1},
    "maxProperties": {"maxProperties": 1},
    "dependentRequired": {"dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {"dependentSchemas": {"a": {"required": ["b"]}}},
    "unevaluatedItems": {"unevaluatedItems": False},
    "unevaluatedProperties": {"unevaluatedProperties": False},
    "$dynamicRef": {"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}},
}


def test_readme_tells_which_keywords_are_enforced():
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), None], eos_token_ids=[256])
    found: dict[str, set[str]] = {"enforced": set(), "refused as yet": set()}
    for keyword, schema in SCHEMAS.items():
        try:
            Constraint(schema, vocabulary)
        except UnsupportedKeywordError:
            found["refused as yet"].add(keyword)
        else:
            found["enforced"].add(keyword)
    told = {
        row: set(re.search(rf"^\| {row} \| (.*) \|$", README, re.M)[1].strip("`").split("` `"))
        for row in found
    }
    assert told == found


def test_schemas_cover_the_keywords_of_the_specification():
    assert set(jsonschema.Draft202012Validator.VALIDATORS) <= SCHEMAS.keys()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_readme_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_commands_named_in_the_readme_exist():
    commands = set(re.findall(r"^    \./run (\w+)", README, re.M))
    assert {"demo", "test"} <= commands
    script = (ROOT / "run").read_text("utf-8")
    assert [command for command in commands if f"\n{command})\n" not in script] == []
