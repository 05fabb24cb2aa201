"""JSON Schemas as Python types and classes."""

# ruff: noqa: UP006, UP007, UP035, UP045 - the old spellings of types are tested too

import dataclasses
import typing
from typing import Any, List, Literal, Optional, Union

import pydantic
import pytest
import typing_extensions

from outlines.types.json_schema_utils import (
    json_schema_dict_to_dataclass,
    json_schema_dict_to_pydantic,
    json_schema_dict_to_typeddict,
    schema_type_to_python,
)

TARGETS = ["pydantic", "typeddict", "dataclass"]

# (schema, Python type)
TYPES = [
    ({"type": "string"}, str),
    ({"type": "integer"}, int),
    ({"type": "number"}, float),
    ({"type": "boolean"}, bool),
    ({"type": "null"}, type(None)),
    ({"enum": ["a", 1, None]}, Literal["a", 1, None]),
    ({"type": "string", "enum": ["a"]}, Literal["a"]),
    ({"type": "integer", "const": "a"}, Literal["a"]),
    ({"enum": ["a"], "const": "b"}, Literal["a"]),
    ({"type": ["string", "null"]}, Optional[str]),
    ({"type": ["integer", "string", "array"], "items": {"type": "null"}}, Union[int, str, List[None]]),
    ({"type": ["string"]}, str),
    ({"type": []}, Any),
    ({"type": "array"}, List[Any]),
    ({"type": "array", "items": {"type": "string"}}, List[str]),
    ({"type": "array", "items": {"type": "array", "items": {"const": 1}}}, List[List[Literal[1]]]),
    ({"type": "array", "items": [{"type": "string"}]}, List[Any]),
    ({"type": "array", "items": True}, List[Any]),
    ({"$ref": "#/definitions/a"}, Any),
    ({"anyOf": [{"type": "string"}]}, Any),
    ({}, Any),
    (True, Any),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("schema", "expected"), TYPES, ids=[str(schema) for schema, _ in TYPES])
def test_python_type_of_schema(schema, expected, target):
    assert schema_type_to_python(schema, target) == expected


def test_object_for_an_unknown_target_is_any():
    assert schema_type_to_python({"type": "object"}, "genson") is Any


SCHEMA = {
    "type": "object",
    "title": "Person",
    "properties": {
        "nickname": {"type": "string"},
        "age": {"type": "integer"},
        "home": {"type": "object", "title": "Address", "properties": {"zip": {"type": "string"}}},
    },
    "required": ["age", "home"],
}


@pytest.mark.parametrize(
    ("convert", "anonymous"),
    [
        (json_schema_dict_to_typeddict, "AnonymousTypedDict"),
        (json_schema_dict_to_pydantic, "AnonymousPydanticModel"),
        (json_schema_dict_to_dataclass, "AnonymousDataclass"),
    ],
)
def test_class_is_named_by_argument_and_nested_one_by_title(convert, anonymous):
    assert convert(SCHEMA).__name__ == anonymous
    assert convert(SCHEMA, "Given").__name__ == "Given"
    assert convert({}).__name__ == anonymous
    assert typing.get_type_hints(convert(SCHEMA))["home"].__name__ == "Address"


def test_typeddict_keys_are_required_or_not():
    converted = json_schema_dict_to_typeddict(SCHEMA)
    assert typing_extensions.is_typeddict(converted)
    assert converted.__required_keys__ == {"age", "home"}
    assert converted.__optional_keys__ == {"nickname"}
    assert converted.__annotations__["nickname"] == typing_extensions.NotRequired[str]
    assert typing_extensions.is_typeddict(converted.__annotations__["home"])


def test_pydantic_fields_are_required_or_none():
    converted = json_schema_dict_to_pydantic(SCHEMA)
    assert list(converted.model_fields) == ["nickname", "age", "home"]
    assert converted.model_fields["nickname"].annotation == Optional[str]
    instance = converted(age=3, home={})
    assert instance.nickname is None
    assert instance.home.zip is None
    with pytest.raises(pydantic.ValidationError, match="age"):
        converted(home={})


def test_dataclass_fields_are_by_keyword_and_required_or_none():
    converted = json_schema_dict_to_dataclass(SCHEMA)
    assert [field.name for field in dataclasses.fields(converted)] == ["nickname", "age", "home"]
    assert converted.__annotations__["nickname"] is str
    assert converted.nickname is None
    assert not hasattr(converted, "age")
    assert converted(age=3, home=None).nickname is None
    with pytest.raises(TypeError, match="age"):
        converted(home=None)
    with pytest.raises(TypeError, match="positional"):
        converted("x", 3, None)
