"""Predicates on types, enums made from choices, and schemas of signatures and enums."""

# ruff: noqa: UP006, UP007, UP045 - the old spellings of types are tested too

import dataclasses
import datetime
import enum
import functools
import inspect
import sys
import typing
from typing import Annotated, Any, Literal, NewType

import genson
import pydantic
import pytest
import typing_extensions

from outlines.types import utils
from outlines.types.dsl import Choice
from outlines.types.utils import (
    get_enum_from_choice,
    get_enum_from_literal,
    get_schema_from_enum,
    get_schema_from_signature,
)


class Model(pydantic.BaseModel):
    a: int = 1


@dataclasses.dataclass
class Data:
    a: int = 1


class Typed(typing.TypedDict):
    a: int


class TypedByExtension(typing_extensions.TypedDict):
    a: int


class Color(enum.Enum):
    RED = "red"


def function(a: int):
    pass


BUILDER = genson.SchemaBuilder()

# Every value, and the predicates that hold for it; no other may.
VALUES = [
    *((cls, {f"is_{cls.__name__}"}) for cls in (int, float, str, bool)),
    (Annotated[int, 1], {"is_int", "is_callable"}),
    (NewType("A", str), {"is_str", "is_callable"}),
    (NewType("B", Annotated[float, 1]), {"is_float", "is_callable"}),
    (Annotated[NewType("C", bool), 1], {"is_bool", "is_callable"}),
    (Annotated[list, 1], {"is_callable"}),
    (1, {"is_int_instance"}),
    (True, set()),
    (1.0, {"is_float_instance"}),
    ("", {"is_str_instance"}),
    ("int", {"is_str_instance"}),
    ({}, {"is_dict_instance"}),
    (datetime.datetime, {"is_datetime"}),
    (datetime.date, {"is_date"}),
    (datetime.time, {"is_time"}),
    (datetime.date(2024, 1, 1), set()),
    (dict, {"is_native_dict"}),
    (dict[str, int], {"is_typing_dict", "is_callable"}),
    (typing.Dict[str, int], {"is_typing_dict", "is_callable"}),
    (list, set()),
    (list[int], {"is_typing_list", "is_callable"}),
    (typing.List[int], {"is_typing_list", "is_callable"}),
    ([int], set()),
    (tuple, set()),
    (tuple[int, ...], {"is_typing_tuple", "is_callable"}),
    (typing.Tuple[()], {"is_typing_tuple", "is_callable"}),
    (typing.Union[int, str], {"is_union", "is_callable"}),
    (typing.Optional[int], {"is_union", "is_callable"}),
    (int | str, {"is_union"}),
    (Literal[1], {"is_literal", "is_callable"}),
    (Data, {"is_dataclass"}),
    (Data(), set()),
    (pydantic.dataclasses.dataclass(Data), {"is_dataclass"}),
    (Typed, {"is_typed_dict"}),
    (TypedByExtension, {"is_typed_dict"}),
    (Typed(a=1), {"is_dict_instance"}),
    (Model, {"is_pydantic_model"}),
    (Model(), set()),
    (pydantic.BaseModel, {"is_pydantic_model"}),
    (BUILDER, {"is_genson_schema_builder"}),
    (genson.SchemaBuilder, set()),
    (Color, {"is_enum"}),
    (Color.RED, set()),
    (function, {"is_callable"}),
    (len, {"is_callable"}),
    (functools.partial(function, 1), {"is_callable"}),
    (None, set()),
    (typing.TypeVar("T"), set()),
]

PREDICATES = {name: getattr(utils, name) for name in utils.__all__ if name.startswith("is_")}


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=[str(value) for value, _ in VALUES])
def test_predicates_that_hold_for_a_value(value, expected):
    holding = {name for name, predicate in PREDICATES.items() if predicate(value)}
    # Whether Python lets typing's own objects be called is no promise of ours and differs between versions.
    typing_object = typing.get_origin(value) is not None or isinstance(value, NewType)
    assert holding - {"is_callable"} == expected - {"is_callable"}
    assert typing_object or ("is_callable" in holding) == ("is_callable" in expected)


def test_every_predicate_holds_for_something():
    assert set().union(*(expected for _, expected in VALUES)) == set(PREDICATES)


def test_predicates_do_not_import_the_libraries_they_ask_about(monkeypatch):
    for name in ("pydantic", "genson"):
        monkeypatch.delitem(sys.modules, name)
    assert not utils.is_pydantic_model(int)
    assert not utils.is_genson_schema_builder(1)
    assert not {"pydantic", "genson"} & set(sys.modules)


def members(enum_class):
    return {name: member.value for name, member in enum_class.__members__.items()}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("a", "b c"), {"a": "a", "b c": "b c"}),
        ((1, "x"), {"1": 1, "x": "x"}),
        ((1, "1", "2"), {"int_1": 1, "str_1": "1", "2": "2"}),
        (("True", True), {"str_True": "True", "bool_True": True}),
        ((Color.RED,), {"Color.RED": Color.RED}),
    ],
)
def test_enums_from_literals_and_choices_keep_every_value(values, expected):
    from_literal = get_enum_from_literal(Literal[values])
    from_choice = get_enum_from_choice(Choice(list(values)))
    assert members(from_literal) == members(from_choice) == expected
    assert (from_literal.__name__, from_choice.__name__) == ("Literal", "Choice")


def test_signature_keeps_order_defaults_and_any_name():
    def f(
        b: str,
        model_config: int,
        schema: float = 1.5,
        _private: tuple[int] = (1,),
        *args: int,
        **kwargs: bool,
    ):
        pass

    schema = get_schema_from_signature(f)
    names = ["b", "model_config", "schema", "_private", "args", "kwargs"]
    assert schema["title"] == "f"
    assert schema["type"] == "object"
    assert list(schema["properties"]) == names
    assert schema["required"] == ["b", "model_config", "args", "kwargs"]
    assert schema["properties"]["schema"] == {"default": 1.5, "title": "Schema", "type": "number"}
    assert schema["properties"]["_private"]["default"] == [1]


def test_signature_reads_annotations_given_as_text_and_pydantic_fields():
    def f(a: "datetime.date", b: int = pydantic.Field(ge=3), c: int = pydantic.Field(5, le=9)):
        pass

    schema = get_schema_from_signature(f)
    assert schema["properties"]["a"]["format"] == "date"
    assert schema["properties"]["b"]["minimum"] == 3
    assert schema["properties"]["c"]["default"] == 5
    assert schema["required"] == ["a", "b"]


def test_signature_takes_typed_dicts_of_typing():
    def f(a: Typed):
        pass

    assert get_schema_from_signature(f)["properties"]["a"] == {"$ref": "#/$defs/Typed"}


def two(m: int, n: int):
    pass


class Callable:
    def __call__(self, n: int):
        pass

    def method(self, n: int):
        pass


def test_bound_method_has_no_self():
    schema = get_schema_from_signature(Callable().method)
    assert list(schema["properties"]) == ["n"]
    assert schema["title"] == "method"


@pytest.mark.parametrize("fn", [Callable(), functools.partial(two, 1)])
def test_callable_without_a_name_is_titled_arguments(fn):
    with pytest.warns(UserWarning, match="has no name; its schema is titled 'Arguments'"):
        schema = get_schema_from_signature(fn)
    assert schema["title"] == "Arguments"
    assert list(schema["properties"]) == ["n"]


def unannotated(a: int, b=1):
    pass


def unknown(a: "Missing"):  # noqa: F821
    pass


def indescribable(a: inspect.Signature):
    pass


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (unannotated, "parameter 'b' of <function unannotated .* has no annotation"),
        (unknown, "signature of <function unknown .* can't be read: name 'Missing'"),
        (indescribable, "arguments of <function indescribable .* have no JSON Schema: .*Signature"),
        (set[int], r"signature of set\[int\] can't be read"),
    ],
)
def test_signature_that_has_no_schema_says_why(fn, message):
    with pytest.raises(ValueError, match=message):
        get_schema_from_signature(fn)


def test_schema_of_an_enum_has_a_branch_for_each_member():
    class Mixed(enum.Enum):
        ONE = 1
        CALL = functools.partial(two, 1)

    assert get_schema_from_enum(Mixed) == {
        "title": "Mixed",
        "oneOf": [{"const": 1}, get_schema_from_signature(two)],
    }


def test_empty_enum_has_no_schema():
    with pytest.raises(ValueError, match="the enum Empty has no members"):
        get_schema_from_enum(enum.Enum("Empty", []))


@pytest.mark.parametrize("value", [Any, object(), inspect.Parameter.empty, ..., NotImplemented, sys])
def test_predicates_never_raise(value):
    assert {predicate(value) for predicate in PREDICATES.values()} <= {True, False}
