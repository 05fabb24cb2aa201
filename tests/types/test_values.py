"""From a text back to the value that it spells."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from typing import Any, Literal, Optional, Union

import pytest
from pydantic import BaseModel, ValidationError, field_validator
from typing_extensions import TypedDict

from outlines import types
from outlines.insight import examples
from outlines.types import CFG, Choice, JsonSchema, Regex
from outlines.types.dsl import String
from outlines.types.values import parse


class Point(BaseModel):
    x: int


class Even(BaseModel):
    x: int

    @field_validator("x")
    @classmethod
    def check(cls, x):
        if x % 2:
            raise ValueError("odd")
        return x


@dataclasses.dataclass
class Size:
    width: float


class Named(TypedDict):
    name: str


class Kind(enum.Enum):
    a = "x"
    b = 2
    c = int


def add(a: int):
    return a


class WithFunction(enum.Enum):
    first = "x"
    call = add


CASES: list[tuple[Any, str, Any]] = [
    (int, "-3", -3),
    (int, "+0", 0),
    (float, "1.5e3", 1500.0),
    (bool, "False", False),
    (str, '"a\nb\\"', "a\nb\\"),
    (dict, ' {"a": null} ', {"a": None}),
    (datetime.date, "2024-01-02", datetime.date(2024, 1, 2)),
    (datetime.date, "\u0662\u0660\u0662\u0664-01-02", datetime.date(2024, 1, 2)),
    (datetime.time, "03:04:05", datetime.time(3, 4, 5)),
    (datetime.datetime, "2024-01-02\t03:04:05", datetime.datetime(2024, 1, 2, 3, 4, 5)),
    (Point, '{"x": 1}', Point(x=1)),
    (Size, '{"width":1}', Size(1.0)),
    (Named, '{"name": "a"}', {"name": "a"}),
    (JsonSchema({"type": "array"}), "[1]", [1]),
    (add, '{"a": 1}', {"a": 1}),
    (Kind, "x", Kind.a),
    (Kind, "2", Kind.b),
    (Kind, "37", Kind.c),
    (WithFunction, '{"a": 1}', {"a": 1}),
    (Literal["a", "ab", 1, True, 1.5], "ab", "ab"),
    (Literal["a", "ab", 1, True, 1.5], "True", True),
    (Literal["a", "ab", 1, True, 1.5], "1", 1),
    (Optional[int], "None", None),  # noqa: UP045
    (int | None, "7", 7),
    (Union[int, float, str], "1.5", 1.5),  # noqa: UP007
    (Union[int, float, str], "1", 1),  # noqa: UP007
    (list[Point], '[{"x": 1}, {"x":2}]', [Point(x=1), Point(x=2)]),
    (list[Kind], '["x", 2, 4]', [Kind.a, Kind.b, Kind.c]),
    (list[int | float], "[1, 1.5]", [1, 1.5]),
    (list[list[str]], '[["a, b", "]"], ["c"]]', [["a, b", "]"], ["c"]]),
    (tuple[int, ...], "(1, 2)", (1, 2)),
    (tuple[int, Literal["a"]], '(1, "a")', (1, "a")),
    (tuple[()], "()", ()),
    (dict[int, str], '{"1":"a", "2":"b"}', {1: "a", 2: "b"}),
    (dict[Literal["k"], list[int]], '{"k":[1]}', {"k": [1]}),
    (dict[Literal["k", 1], int], '{"k":1, "1":2}', {"k": 1, 1: 2}),
    (dict[Kind, int], '{"x":1, "2":2}', {Kind.a: 1, Kind.b: 2}),
    (dict[Optional[int], int], '{"None":1, "7":2}', {None: 1, 7: 2}),  # noqa: UP045
    (dict[Union[int, str], bool], '{"1":True, "a":False}', {1: True, "a": False}),  # noqa: UP007
    (dict[tuple[int, Literal["a"]], int], '{(1, "a"):3}', {(1, "a"): 3}),
    (dict[types.string, int], '{"a":1}', {'"a"': 1}),
    (tuple[tuple[()], int], '("()", 1)', ((), 1)),
    (dict[str, int], "{}", {}),
    (Choice(["a", int]), "12", 12),
    (Choice(["a", int]), "a", "a"),
    (Regex("a+"), "aaa", "aaa"),
    (types.integer, "12", "12"),
    (list[Regex("[a-z]+")], "[ab, c]", ["ab", "c"]),
    (list[Regex("a|ab")], "[ab, a]", ["ab", "a"]),
    (list[String("a") | Regex("b")], '["a", b]', ["a", "b"]),
    (list[Choice(["a", "ab"])], "[ab, a]", ["ab", "a"]),
    (tuple[Regex(".*"), int], "(a) [b], c, 5)", ("a) [b], c", 5)),
    (tuple[Choice(["a", "a, b"]), Choice(["b"])], "(a, b)", ("a", "b")),
    (Regex("x") + JsonSchema({"minimum": 5, "type": "integer"}), "x5", "x5"),
    (CFG('start: "a"') + Regex("b"), "ab", "ab"),
    (String("a"), "a", "a"),
    (CFG('start: "a"'), "a", "a"),
    (1.5, "1.5", 1.5),
    (None, "anything", "anything"),
]


@pytest.mark.parametrize(("output_type", "text", "value"), CASES)
def test_values(output_type, text, value):
    parsed = parse(output_type, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("output_type", "text"),
    [
        (int, "1a"),
        (int, ""),
        (list[int], "[1"),
        (list[int], "[1,2]"),
        (list[int], "[]"),
        (Point, '{"x"'),
        (Point, '{"x": 1} '),
        (Literal["a"], "b"),
        (tuple[int, int], "(1)"),
        (tuple[int, int], "(1, 2, 3)"),
        (dict[str, int], '{"a":1'),
        (Regex("a"), "ab"),
        (datetime.date, "2024-02-31"),
    ],
)
def test_texts_that_are_not_whole_ones(output_type, text):
    with pytest.raises(ValueError):  # noqa: PT011  # each has a text of its own
        parse(output_type, text)


def test_what_is_wrong_is_told_with_its_place():
    with pytest.raises(ValueError, match=r"'\[1; 2\]' is no whole text of list\[int\]: see its character 2"):
        parse(list[int], "[1; 2]")
    with pytest.raises(ValidationError, match="odd"):
        parse(Even, '{"x": 1}')
    for output_type, text in ((dict[list[int], int], "{[1]:2}"), (dict[tuple[list[int]], int], "{([1]):2}")):
        with pytest.raises(ValueError, match="can't be a key of a dict"):
            parse(output_type, text)
    with pytest.raises(ValueError, match="ends within a container can't be told"):
        parse(list[CFG('start: "a"')], "[a]")


@pytest.mark.parametrize(
    "output_type",
    [case[0] for case in CASES if case[0] is not None and case[0] is not dict and "CFG" not in repr(case[0])],
)
def test_every_text_of_a_type_has_a_value(output_type):
    for text in examples(output_type, 10, seed=3):
        if output_type in (datetime.date, datetime.datetime) and not is_date(text[:10]):
            continue
        value = parse(output_type, text)
        if output_type in (Point, Size):
            assert json.loads(text) == pytest.approx(vars(value))


def is_date(text: str) -> bool:
    try:
        return bool(datetime.date.fromisoformat(text))
    except ValueError:  # a pattern doesn't know the lengths of months
        return False
