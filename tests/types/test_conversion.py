"""Python types and values as terms and as patterns."""

# ruff: noqa: UP006, UP007, UP045 - the old spellings of types are tested too

import collections
import dataclasses
import datetime
import enum
import functools
import json
import re
import typing
from typing import Annotated, Any, Literal, NewType, TypeVar

import genson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines import grammars, types
from outlines.types.dsl import (
    CFG,
    Alternatives,
    Choice,
    JsonSchema,
    KleeneStar,
    Optional,
    Regex,
    Sequence,
    String,
    _ensure_json_quoted,
    _handle_dict,
    _handle_list,
    _handle_literal,
    _handle_tuple,
    _handle_union,
    python_types_to_terms,
    to_regex,
)

INT = r"([+-]?(0|[1-9][0-9]*))"
FLOAT = r"([+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)"
STR = '("[^"]*")'
DATE = r"((\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))"
TIME = "(([0-1][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]))"

UserId = NewType("UserId", int)


def add(a: int, b: str = "x"):
    """Add."""


class Color(enum.Enum):
    RED = "red"
    ONE = 1
    HALF = 1.5
    NO = False
    SAME = "red"  # noqa: PIE796


class Calls(enum.Enum):
    whole = int
    bound = functools.partial(add, 1)
    plain = add

    def method(self):
        return self

    anonymous = lambda self: self  # noqa: E731


# (type or value, pattern)
PATTERNS = [
    (int, INT),
    (Annotated[int, "positive"], INT),
    (UserId, INT),
    (NewType("Deep", UserId), INT),
    (float, FLOAT),
    (bool, "((True|False))"),
    (str, STR),
    (datetime.date, DATE),
    (datetime.time, TIME),
    (datetime.datetime, rf"({DATE}(\s){TIME})"),
    (True, "(True)"),
    (1, "(1)"),
    (-3, r"(\-3)"),
    (1.5, r"(1\.5)"),
    (1e100, r"(1e\+100)"),
    ("a.b c", r"a\.b\ c"),
    ("", ""),
    (Literal["a", 1], "(a|(1))"),
    (Literal["a|b (c)"], r"(a\|b\ \(c\))"),
    (Literal[True, 1], "((True)|(1))"),
    (typing.Optional[int], f"({INT}|(None))"),
    (int | None, f"({INT}|(None))"),
    (typing.Union[None, int, str], f"({INT}|{STR}|(None))"),
    (int | str, f"({INT}|{STR})"),
    (list[int], rf"\[{INT}(,\ {INT})*\]"),
    (typing.List[int], rf"\[{INT}(,\ {INT})*\]"),
    (list[Literal["a", 1]], r'\[("a"|(1))(,\ ("a"|(1)))*\]'),
    (list[Literal["", "b"] | None], r'\[((""|"b")|(None))(,\ ((""|"b")|(None)))*\]'),
    (list[Literal["None"] | None], r'\[(("None")|(None))(,\ (("None")|(None)))*\]'),
    (list[Choice(["a"])], r"\[(a)(,\ (a))*\]"),
    (list[Regex("a")], r"\[(a)(,\ (a))*\]"),
    (tuple[int, str], rf"\({INT},\ {STR}\)"),
    (typing.Tuple[int], rf"\({INT}\)"),
    (tuple[Literal["a"], Literal[2]], r'\(("a"),\ ((2))\)'),
    (tuple[int, ...], rf"\({INT}(,\ {INT})*\)"),
    (tuple[()], r"\(\)"),
    (typing.Tuple[()], r"\(\)"),
    (typing.Tuple, r"\(\)"),
    (dict[str, int], rf"\{{({STR}:{INT}(,\ {STR}:{INT})*)?\}}"),
    (typing.Dict[int, str], rf'\{{("{INT}":{STR}(,\ "{INT}":{STR})*)?\}}'),
    (dict[Literal["a", 1], bool], r'\{(("a"|"(1)"):((True|False))(,\ ("a"|"(1)"):((True|False)))*)?\}'),
    (Color, r"(red|(1)|(1\.5)|(False))"),
    (list[Color], r'\[("red"|(1)|(1\.5)|(False))(,\ ("red"|(1)|(1\.5)|(False)))*\]'),
    (enum.Enum("Empty", []), "()"),
]


@pytest.mark.parametrize(("ptype", "pattern"), PATTERNS, ids=[str(ptype) for ptype, _ in PATTERNS])
def test_pattern_of_type(ptype, pattern):
    assert to_regex(python_types_to_terms(ptype)) == pattern


# (type, accepted, rejected), judged by `re`
TEXTS = [
    (int, ["0", "-1", "+12"], ["019", "", "1.0", "--1"]),
    (float, ["1", "-1.50", "2e5", "2E-5"], [".5", "1.", "e5"]),
    (Literal[1.5], ["1.5"], ["1x5", "15"]),
    (list[int], ["[1]", "[1, -2]"], ["[]", "[1,2]", "[1, ]"]),
    (tuple[int, Literal["a"]], ['(1, "a")'], ["(1, a)", "(1)"]),
    (dict[str, int], ["{}", '{"a":1}', '{"a":1, "b":2}'], ['{"a": 1}', '{"a":1,"b":2}', "{1:1}"]),
    (dict[int, int], ['{"1":1}'], ["{1:1}"]),
    (int | None, ["3", "None"], ["null", ""]),
    (str, ['"a"', '"\n"', '""'], ["a", '"a"b"', '"']),
]


@pytest.mark.parametrize(("ptype", "accepted", "rejected"), TEXTS, ids=[str(row[0]) for row in TEXTS])
def test_texts_of_type(ptype, accepted, rejected):
    term = python_types_to_terms(ptype)
    assert [text for text in accepted if not term.matches(text)] == []
    assert [text for text in rejected if term.matches(text)] == []


@given(st.lists(st.integers(), min_size=1))
def test_lists_match_their_repr(values):
    assert python_types_to_terms(list[int]).matches(repr(values))
    assert python_types_to_terms(tuple[int, ...]).matches(repr(tuple(values)).replace(",)", ")"))


@given(st.one_of(st.booleans(), st.integers(), st.floats(), st.text()))
def test_a_value_matches_its_text_alone(value):
    term = python_types_to_terms(value)
    assert term.matches(value)
    assert not term.matches(f"{value}x")


def test_ready_made_terms_are_the_same_objects():
    assert python_types_to_terms(int) is types.integer
    assert python_types_to_terms(datetime.datetime) is types.datetime
    term = Sequence([String("a")])
    assert python_types_to_terms(term) is term


def test_dict_is_the_grammar_of_json():
    assert python_types_to_terms(dict) == CFG(grammars.json)
    with pytest.raises(TypeError, match="Cannot convert"):
        to_regex(python_types_to_terms(list[dict]))


def test_structures_of_containers():
    comma, item = String(", "), types.integer
    assert python_types_to_terms(list[int]) == Sequence(
        [String("["), item, KleeneStar(Sequence([comma, item])), String("]")]
    )
    assert python_types_to_terms(tuple[int, int]) == Sequence([String("("), item, comma, item, String(")")])
    assert python_types_to_terms(tuple[()]) == String("()")
    key, colon, quote = Sequence([String('"'), item, String('"')]), String(":"), types.boolean
    assert python_types_to_terms(dict[int, bool]) == Sequence(
        [
            String("{"),
            Optional(Sequence([key, colon, quote, KleeneStar(Sequence([comma, key, colon, quote]))])),
            String("}"),
        ]
    )


def test_private_handlers_build_what_types_do():
    assert _handle_literal(("a", 1)) == python_types_to_terms(Literal["a", 1])
    assert _handle_union((int, type(None)), 0) == python_types_to_terms(int | None)
    assert _handle_list((int,), 0) == python_types_to_terms(list[int])
    assert _handle_tuple((int, Ellipsis), 0) == python_types_to_terms(tuple[int, ...])
    assert _handle_dict((str, int), 0) == python_types_to_terms(dict[str, int])


@pytest.mark.parametrize(
    "term",
    [
        types.string,
        Regex("a"),
        Sequence([String("a")]),
        Choice(["a"]),
        JsonSchema("{}"),
        Optional(String("a")),
    ],
)
def test_quoting_leaves_other_terms_the_same_objects(term):
    assert _ensure_json_quoted(term) is term


def test_quoting_reaches_into_alternatives():
    term = Alternatives([String('a"'), Alternatives([String(""), Regex("b")])])
    assert _ensure_json_quoted(term) == Alternatives(
        [String('"a""'), Alternatives([String('""'), Regex("b")])]
    )
    assert to_regex(_ensure_json_quoted(term, quote_regex=True)) == '("a""|(""|"(b)"))'
    assert term.terms[0] == String('a"')
    assert _ensure_json_quoted(types.string, quote_regex=True) is types.string


class Model(pydantic.BaseModel):
    a: int


Generic = TypeVar("Generic")


class GenericModel(pydantic.BaseModel, typing.Generic[Generic]):
    a: Generic


@dataclasses.dataclass
class Data:
    a: int


class Typed(typing.TypedDict):
    a: int


def test_json_like_types_become_schemas():
    for ptype in (Model, Data, Typed):
        properties = json.loads(python_types_to_terms(ptype).schema)["properties"]
        assert properties == {"a": {"title": "A", "type": "integer"}}
    assert python_types_to_terms(GenericModel[int]) == JsonSchema(GenericModel[int])
    builder = genson.SchemaBuilder()
    builder.add_object([1])
    assert python_types_to_terms(builder) == JsonSchema(builder.to_json())
    assert python_types_to_terms(list[Model]).terms[1] == JsonSchema(Model)
    assert python_types_to_terms(Model | int) == Alternatives([JsonSchema(Model), types.integer])


def test_functions_become_schemas_of_their_arguments():
    schema = json.loads(python_types_to_terms(add).schema)
    assert schema == {
        "title": "add",
        "type": "object",
        "properties": {
            "a": {"title": "A", "type": "integer"},
            "b": {"title": "B", "type": "string", "default": "x"},
        },
        "required": ["a"],
    }


def test_enum_values_may_be_types_and_calls_but_methods_are_no_choices():
    with pytest.warns(UserWarning, match="Arguments"):
        whole, bound, plain = python_types_to_terms(Calls).terms
    assert whole is types.integer
    assert json.loads(bound.schema)["title"] == "Arguments"
    assert list(json.loads(bound.schema)["properties"]) == ["b"]
    assert plain == python_types_to_terms(add)


class Mixed(str, enum.Enum):
    A = "a"


def test_members_of_mixed_enums_are_written_by_str():
    assert python_types_to_terms(Mixed.A) == String(str(Mixed.A))
    assert type(python_types_to_terms(Mixed.A).value) is str
    assert python_types_to_terms(Mixed) == Alternatives([String("a")])


class Plain:
    pass


UNSUPPORTED = [
    *(list, tuple, bytes, complex, set, None, type(None), Generic, Plain, object()),
    *([1], {"a": 1}, (1,), b"a", Model(a=1), Data(a=1), Color.RED, datetime.date(2024, 1, 1)),
    *(Literal[None], enum.Enum("Nothing", [("a", None)]), list[bytes], int | bytes),
]


@pytest.mark.parametrize("ptype", UNSUPPORTED, ids=str)
def test_unsupported_type_is_named(ptype):
    with pytest.raises(TypeError, match=r"is currently not supported.*pydantic model"):
        python_types_to_terms(ptype)


@pytest.mark.parametrize(
    "ptype",
    [set[int], Annotated[list, 1], NewType("L", list), typing.Callable[[int], int], collections.deque[int]],
)
def test_unsupported_generic_is_named(ptype):
    with pytest.raises(ValueError, match=f"Type {re.escape(repr(ptype))} is currently not supported"):
        python_types_to_terms(ptype)


def test_class_of_terms_asks_for_a_term():
    with pytest.raises(TypeError, match=r"Regex is a class of terms. Give a term, as in `Regex\(\.\.\.\)`"):
        python_types_to_terms(Regex)


@pytest.mark.parametrize(
    ("ptype", "arguments"),
    [
        (typing.List, "()"),
        (typing.Dict, "()"),
        (list[int, str], "(<class 'int'>, <class 'str'>)"),
        (dict[int, str, int], "(<class 'int'>, <class 'str'>, <class 'int'>)"),
        (dict[(int,)], "(<class 'int'>,)"),
    ],
)
def test_wrong_number_of_arguments_is_shown(ptype, arguments):
    with pytest.raises(TypeError, match=re.escape(f"got {arguments}")):
        python_types_to_terms(ptype)


def test_untyped_function_is_refused():
    with pytest.raises(ValueError, match=r"parameter 'b' of .*untyped.* has no annotation"):
        python_types_to_terms(untyped)


def untyped(a: int, b):
    pass


def nested(depth: int) -> Any:
    return list[nested(depth - 1)] if depth else int


def test_nesting_is_limited_to_ten():
    assert isinstance(python_types_to_terms(nested(10)), Sequence)
    with pytest.raises(RecursionError, match="more than 10 deep"):
        python_types_to_terms(nested(11))
    with pytest.raises(RecursionError, match="more than 10 deep"):
        python_types_to_terms(types.integer, recursion_depth=11)


def test_values_of_literals_start_again_from_depth_zero():
    assert isinstance(python_types_to_terms(Literal["a"], recursion_depth=10), Alternatives)
    with pytest.raises(RecursionError):
        python_types_to_terms(int | str, recursion_depth=10)
