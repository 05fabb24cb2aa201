"""What providers refuse or ignore in a schema is named before the call."""

from __future__ import annotations

import warnings

import pytest

from outlines.models.capabilities import CAPABILITIES
from outlines.models.dialects import DIALECTS, schema_problems
from outlines.models.gemini import GeminiTypeAdapter
from outlines.models.ollama import OllamaTypeAdapter
from outlines.models.openai import OpenAITypeAdapter
from outlines.models.tgi import TGITypeAdapter
from outlines.types import JsonSchema
from tests.models.providers import Animal


def closed(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def test_dialects_are_of_models_that_there_are():
    assert set(DIALECTS) <= set(CAPABILITIES)
    assert all("schema" in CAPABILITIES[name].outputs for name in DIALECTS)


@pytest.mark.parametrize(
    ("schema", "problems"),
    [
        (closed(a={"type": "string"}), []),
        (closed(a={"enum": [{"not": 1}], "default": {"if": 2}}), []),  # values, not schemas
        (closed(**{"not": {"type": "string"}}), []),  # a name, not a keyword
        (closed(a={"allOf": [{"type": "string"}]}), ["/properties/a: `allOf` is refused"]),
        (
            closed(a={"anyOf": [{"type": "null"}, {"type": "array", "items": {"not": {}}}]}),
            ["/properties/a/anyOf/1/items: `not` is refused"],
        ),
        (
            {**closed(a={"$ref": "#/$defs/b~c"}), "$defs": {"b~c": {"oneOf": []}}},
            ["/$defs/b~0c: `oneOf` is refused"],
        ),
        (
            {"type": "object", "properties": {"a/b": {}}, "additionalProperties": False},
            ["/properties/a/b: refused unless it is in `required`; make it nullable instead"],
        ),
        (
            {"type": "object", "additionalProperties": {}},
            ["the schema: `additionalProperties` is refused unless it is false"],
        ),
        (
            {"type": "array"},
            ["the schema: refused unless it is an object, and not an `anyOf`; put it in a property of one"],
        ),
    ],
)
def test_places_and_keywords(schema, problems):
    assert schema_problems(schema, "OpenAI") == problems


def test_a_provider_without_a_dialect_has_no_problems():
    assert schema_problems({"not": {}}, "VLLM") == []


@pytest.mark.parametrize(
    ("adapter", "schema", "text"),
    [
        (OpenAITypeAdapter, closed(a={"uniqueItems": True}), "OpenAI .*`uniqueItems` is refused"),
        (OllamaTypeAdapter, {"not": {}}, "Ollama .*the schema: `not` is not enforced"),
        (TGITypeAdapter, {"minimum": 3}, "TGI .*the schema: `minimum` is not enforced"),
        (
            GeminiTypeAdapter,
            closed(a={"type": "string", "maxLength": 3}),
            "Gemini .*/properties/a: `maxLength` is not enforced",
        ),
    ],
)
def test_adapters_warn(adapter, schema, text):
    with pytest.warns(UserWarning, match=text):
        adapter().format_output_type(JsonSchema(schema))


@pytest.mark.parametrize("adapter", [OpenAITypeAdapter, OllamaTypeAdapter, TGITypeAdapter, GeminiTypeAdapter])
def test_nothing_is_said_of_what_is_taken_whole(adapter):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter().format_output_type(Animal)


def test_many_problems_are_cut():
    schema = closed(**{f"p{i}": {"not": {}} for i in range(20)})
    with pytest.warns(UserWarning, match="and 12 more"):
        OpenAITypeAdapter().format_output_type(JsonSchema(schema))


def test_bounds_that_only_hold_integers_are_named_for_numbers():
    schema = {"properties": {"a": {"type": "number", "minimum": 1}, "b": {"type": "integer", "minimum": 1}}}
    assert schema_problems(schema, "Ollama") == ["/properties/a: `minimum` is only enforced for integers"]
