"""The term of a JSON Schema: what it is made from, checked against, and converted to."""

import dataclasses
import json
import re
import subprocess
import sys
import typing

import genson
import jsonschema
import pydantic
import pytest
import typing_extensions

from outlines.exceptions import LimitError
from outlines.types.dsl import CFG, Choice, JsonSchema, Regex, to_regex
from outlines.types.schemas import check_schema


class Model(pydantic.BaseModel):
    a: int


@dataclasses.dataclass
class Data:
    a: int


class Typed(typing.TypedDict):
    a: int


class TypedByExtension(typing_extensions.TypedDict):
    a: int


def builder():
    result = genson.SchemaBuilder()
    result.add_object({"a": 1})
    return result


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
PYDANTIC_TEXT = (
    '{"properties": {"a": {"title": "A", "type": "integer"}}, '
    '"required": ["a"], "title": "NAME", "type": "object"}'
)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (SCHEMA, json.dumps(SCHEMA)),
        ('{ "type":"null" }', '{ "type":"null" }'),
        ("true", "true"),
        (Model, PYDANTIC_TEXT.replace("NAME", "Model")),
        (Data, PYDANTIC_TEXT.replace("NAME", "Data")),
        (Typed, PYDANTIC_TEXT.replace("NAME", "Typed")),
        (TypedByExtension, PYDANTIC_TEXT.replace("NAME", "TypedByExtension")),
        (builder(), builder().to_json()),
    ],
    ids=["dict", "text", "boolean", "model", "dataclass", "typing", "typing_extensions", "genson"],
)
def test_text_of_each_kind_of_schema(schema, text):
    term = JsonSchema(schema)
    assert term.schema == text
    assert term.whitespace_pattern is None
    assert repr(term) == f"JsonSchema(schema='{text}')"
    assert str(term) == f"└── JsonSchema('{text}')\n"


@pytest.mark.parametrize("schema", [None, [], 1, True, object(), JsonSchema("{}"), Model(a=1), CFG("a"), int])
def test_anything_else_is_refused_by_value(schema):
    with pytest.raises(ValueError, match="Cannot parse schema") as caught:
        JsonSchema(schema)
    assert repr(schema)[:40] in str(caught.value)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(json.JSONDecodeError):
        JsonSchema("{'type': 'string'}")


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "strin"}, "strin"),
        ({"minLength": -1}, "minLength"),
        ({"properties": {"a": {"required": "a"}}}, "a"),
    ],
)
def test_schema_that_breaks_its_draft_is_refused_each_time(schema, named):
    for _ in range(2):
        with pytest.raises(jsonschema.exceptions.SchemaError, match=named):
            JsonSchema(schema)
        with pytest.raises(jsonschema.exceptions.SchemaError, match=named):
            check_schema(schema)


def test_pattern_of_ecmascript_is_not_judged_by_re():
    check_schema({"type": "string", "pattern": r"^\p{L}+$"})


def test_ensure_ascii_spares_texts():
    schema = {"const": "é"}
    assert JsonSchema(schema).schema == r'{"const": "\u00e9"}'
    assert JsonSchema(schema, ensure_ascii=False).schema == '{"const": "é"}'
    assert JsonSchema('{"const": "é"}').schema == '{"const": "é"}'
    accented = genson.SchemaBuilder()
    accented.add_object({"é": 1})
    assert r"\u00e9" in JsonSchema(accented).schema
    assert "é" in JsonSchema(accented, ensure_ascii=False).schema


def test_equality_is_by_content_and_not_by_white_space():
    text = '{"required":["a"],"type":"object","properties":{"a":{"type":"integer"}}}'
    assert JsonSchema(SCHEMA) == JsonSchema(text)
    assert JsonSchema(SCHEMA, whitespace_pattern=" ") == JsonSchema(SCHEMA)
    assert JsonSchema(SCHEMA) != JsonSchema("{}")
    assert JsonSchema(SCHEMA) != SCHEMA
    assert JsonSchema("{}") != Regex("{}")


def test_from_file_parses(tmp_path):
    path = tmp_path / "schema.json"
    path.write_text('{"type":    "string"}')
    assert JsonSchema.from_file(path).schema == '{"type": "string"}'


def test_regex_of_a_schema_has_its_white_space():
    assert to_regex(JsonSchema({"const": [1]})) == r"(\[[ ]?1[ ]?\])"
    assert to_regex(JsonSchema({"const": [1]}, whitespace_pattern=r"\s*")) == r"(\[\s*1\s*\])"


@pytest.mark.parametrize("obj", [JsonSchema("{}"), Model, Typed, TypedByExtension, Data, builder()])
def test_is_json_schema(obj):
    assert JsonSchema.is_json_schema(obj)


@pytest.mark.parametrize(
    "obj", [{}, "{}", dict, len, list[int], Model(a=1), Data(a=1), int, None, Choice([1])]
)
def test_is_no_json_schema(obj):
    assert not JsonSchema.is_json_schema(obj)


CLASSES = ["dataclass", "typeddict", "pydantic"]


@pytest.mark.parametrize(
    ("schema", "targets"),
    [
        (Model, CLASSES),
        (Data, ["pydantic", "dataclass"]),
        (Typed, ["str", "typeddict"]),
        (SCHEMA, ["str", "dict"]),
        (json.dumps(SCHEMA), ["dict", "str"]),
        (builder(), ["str", "genson"]),
    ],
)
def test_convert_to_keeps_what_already_fits(schema, targets):
    assert JsonSchema.convert_to(schema, targets) is schema


def test_convert_to_prefers_the_text_of_a_term():
    term = JsonSchema('{"type":"null"}')
    assert JsonSchema.convert_to(term, ["dict", "str"]) is term.schema
    assert JsonSchema.convert_to(term, ["pydantic", "dict"]) == {"type": "null"}


@pytest.mark.parametrize("schema", [JsonSchema(SCHEMA), SCHEMA, json.dumps(SCHEMA)])
def test_convert_to_follows_the_order_of_the_targets(schema):
    assert dataclasses.is_dataclass(JsonSchema.convert_to(schema, CLASSES))
    assert typing_extensions.is_typeddict(JsonSchema.convert_to(schema, ["genson", "typeddict", "pydantic"]))
    assert issubclass(JsonSchema.convert_to(schema, ["pydantic"]), pydantic.BaseModel)


def test_convert_to_gives_text_and_dict():
    assert JsonSchema.convert_to(SCHEMA, ["str"]) == json.dumps(SCHEMA)
    assert JsonSchema.convert_to(Model, ["dict"]) == Model.model_json_schema()


def test_convert_to_warns_of_a_target_that_fails_and_goes_on():
    schema = {"type": "object", "properties": {"not a name": {"type": "null"}}}
    with pytest.warns(UserWarning, match="can't be converted to dataclass.*not a name"):
        converted = JsonSchema.convert_to(schema, ["dataclass", "typeddict"])
    assert list(converted.__annotations__) == ["not a name"]


@pytest.mark.parametrize("targets", [[], ["genson"], ["nonsense"]])
def test_convert_to_names_what_it_cannot_do(targets):
    with pytest.raises(ValueError, match=re.escape(f"Cannot convert schema type dict to any of {targets}")):
        JsonSchema.convert_to(SCHEMA, targets)


class Inner(typing.TypedDict):
    """A docstring that pydantic shows."""

    n: int


class Outer(typing.TypedDict, total=False):
    needed: typing_extensions.Required[Inner]
    many: "list[Inner] | None"
    old: typing.Optional[typing.Dict[str, Inner]]  # noqa: UP006, UP045
    again: "dict[str, Outer]"
    bounded: typing.Annotated[int, pydantic.Field(ge=3)]


def test_typed_dicts_of_typing_are_converted_at_any_depth():
    schema = json.loads(JsonSchema(Outer).schema)
    assert schema["$ref"] == "#/$defs/Outer"
    inner, outer = schema["$defs"]["Inner"], schema["$defs"]["Outer"]
    assert inner["description"] == "A docstring that pydantic shows."
    assert outer["required"] == ["needed"]
    assert outer["properties"]["many"]["anyOf"][0]["items"] == {"$ref": "#/$defs/Inner"}
    assert outer["properties"]["old"]["anyOf"][0]["additionalProperties"] == {"$ref": "#/$defs/Inner"}
    assert outer["properties"]["again"]["additionalProperties"] == {"$ref": "#/$defs/Outer"}
    assert outer["properties"]["bounded"]["minimum"] == 3
    assert Outer.__annotations__["needed"] is not None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from Python 3.12 on there is one kind of TypedDict")
def test_both_kinds_of_typed_dict_give_one_schema():
    fields = {"n": int, "m": typing_extensions.NotRequired[str]}
    ours = typing.TypedDict("Same", fields)  # type: ignore[misc]
    theirs = typing_extensions.TypedDict("Same", fields)  # type: ignore[operator]
    assert json.loads(JsonSchema(ours).schema) == pydantic.TypeAdapter(theirs).json_schema()


def test_import_is_light():
    heavy = ["torch", "genson", "jsonschema"]
    code = f"import sys, outlines.types; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_schema_nested_too_deep_is_a_named_limit():
    schema: dict = {}
    for _ in range(3000):
        schema = {"items": schema}
    with pytest.raises(LimitError, match="the schema is nested too deep to be written"):
        JsonSchema(schema)
