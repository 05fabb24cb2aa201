"""Templates: how their source is cleaned, what files may include, and each filter."""

from __future__ import annotations

import functools
import inspect
import io
import json
from enum import Enum
from typing import Literal

import jinja2
import PIL.Image
import pytest
from pydantic import BaseModel, Field

import outlines
from outlines import Template, Vision
from outlines.templates import (
    build_template_from_file,
    build_template_from_string,
    create_jinja_env,
    get_fn_args,
    get_fn_description,
    get_fn_name,
    get_fn_signature,
    get_fn_source,
    get_schema,
    get_schema_dict,
    get_schema_pydantic,
    parse_pydantic_schema,
)


@pytest.mark.parametrize(
    ("source", "values", "rendered"),
    [
        ("a    b   c", {}, "a b c"),
        ("a!    b   c. d,   e", {}, "a!    b c. d,   e"),
        ("{{ x }}   y   z", {"x": 1}, "1   y z"),
        ("{{ x }}", {"x": "a    b"}, "a    b"),
        ("hello\n", {}, "hello"),
        ("hello\n\n", {}, "hello\n"),
        ("foo   \nbar", {}, "foo \nbar"),
        ("foo\t\t\nbar\n    baz", {}, "foo \nbar\n    baz"),
        ("\n    A test\n        line {{ x }}\n    ", {"x": 2}, "A test\n    line 2"),
        (
            "A \
            joined line",
            {},
            "A joined line",
        ),
        ("{% if x %}\n yes\n {% endif %}\nend", {"x": True}, " yes\nend"),
        ("{% for i in x %}\n- {{ i }}\n{% endfor %}\n", {"x": [1, 2]}, "- 1\n- 2\n"),
        ("<{{ x }}>", {"x": "&<"}, "<&<>"),
    ],
)
def test_source_is_cleaned_and_values_are_not(source, values, rendered):
    assert Template.from_string(source)(**values) == rendered
    assert build_template_from_string(source).render(**values) == rendered


def test_a_name_that_is_missing_is_an_error():
    template = Template.from_string("{{ a }} {{ b }}")
    with pytest.raises(jinja2.exceptions.UndefinedError, match="b"):
        template(a=1)
    assert template("ignored", a=1, b=2) == "1 2"


def test_templates_are_equal_by_their_template():
    template = Template.from_string("a")
    assert template == Template(template.template)
    assert template != Template.from_string("a")
    assert isinstance(template.template, jinja2.Template)


def test_files_are_verbatim_and_may_include_and_extend(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part.txt").write_text("part   of {{ x }}\n")
    (tmp_path / "base.txt").write_text("<{% block body %}{% endblock %}>")
    (tmp_path / "main.txt").write_text(
        "{% extends 'base.txt' %}{% block body %}{% include 'parts/part.txt' %}{% endblock %}"
    )
    assert Template.from_file(tmp_path / "main.txt")(x=1) == "<part   of 1\n>"
    assert build_template_from_file(str(tmp_path / "parts" / "part.txt")).render(x=2) == "part   of 2\n"
    (tmp_path / "loud.txt").write_text("{{ x | loud }}")
    assert Template.from_file(tmp_path / "loud.txt", filters={"loud": str.upper})(x="a") == "A"


def test_filters_of_a_users_own_go_before_ours():
    filters = {"name": lambda fn: "mine", "shout": lambda text: text.upper() + "!"}
    assert Template.from_string("{{ f | name }} {{ t | shout }}", filters=filters)(f=len, t="hi") == "mine HI!"
    assert Template.from_string("{{ f | name }}")(f=len) == "len"
    assert create_jinja_env(None, {}).filters["args"] is get_fn_args


# Functions


def passthrough(fn):
    return fn


@passthrough
def add(a: int, b: list[int], c: str = "x") -> int:
    """Add numbers.

    And more of it.
    """
    return a + len(c)


class Adder:
    """Adds."""

    def __call__(self, a: int):
        """Add."""
        return a


async def wait(seconds):
    """Wait."""


def test_filters_on_functions():
    assert get_fn_name(add) == "add"
    assert get_fn_args(add) == "a: int, b: list[int], c: str = 'x'".replace(": int", ": 'int'").replace(
        ": list[int]", ": 'list[int]'"
    ).replace(": str", ": 'str'")
    assert get_fn_description(add) == "Add numbers."
    assert get_fn_source(add).startswith("def add(a: int")
    assert get_fn_source(add).endswith("return a + len(c)")
    assert get_fn_signature(add) == 'a: int, b: list[int], c: str = "x"'
    assert get_fn_source(wait).startswith("async def wait(seconds)")


def test_signatures_with_parentheses_in_them_are_whole():
    def fn(a=(1, 2), b=None):
        return a

    assert get_fn_signature(fn) == "a=(1, 2), b=None"


def test_filters_on_other_callables():
    assert get_fn_name(Adder()) == "Adder"
    assert get_fn_name(lambda: None) == "<lambda>"
    assert get_fn_name(functools.partial(add, 1)) == "partial"
    assert get_fn_description(lambda: None) == ""
    with pytest.raises(TypeError, match="needs a function that is written with `def`"):
        get_fn_source(LAMBDA)


LAMBDA = lambda a: a  # noqa: E731


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (get_fn_name, "`name` filter only applies to callables"),
        (get_fn_args, "`args` filter only applies to callables"),
        (get_fn_description, "`description` filter only applies to callables"),
        (get_fn_source, "The `source` filter only applies to callables."),
        (get_fn_signature, "The `source` filter only applies to callables."),
    ],
)
def test_filters_on_what_is_no_callable(function, told):
    with pytest.raises(TypeError, match=told):
        function(1)


# Schemas


class Colour(Enum):
    """A colour."""

    red = "red"
    blue = 2


class Plain(Enum):
    a = "a"
    b = "b"


class Inner(BaseModel):
    """An inner one, of which nothing is told."""

    width: float
    label: Literal["wide", "narrow"]


class Outer(BaseModel):
    told: str = Field(description="what it is")
    inner: Inner
    maybe_inner: Inner | None = None
    described: Inner = Field(description="an inner one")
    plain: Plain
    colour: Colour
    maybe: int | None = None
    either: int | str
    one: Literal["only"]
    items: list[int]


class Node(BaseModel):
    value: int
    child: Node | None = None


class WithNode(BaseModel):
    node: Node


INNER = {"width": "<width>", "label": "<wide | narrow>"}


def test_schema_of_a_model_is_simplified():
    simplified = {
        "told": "what it is",
        "inner": INNER,
        "maybe_inner": INNER,
        "described": "an inner one",
        "plain": "<a | b>",
        "colour": inspect.getdoc(Colour),
        "maybe": "<maybe>",
        "either": "<either>",
        "one": "<one>",
        "items": "<items>",
    }
    assert json.loads(get_schema(Outer)) == simplified
    assert get_schema(Outer) == get_schema_pydantic(Outer) == json.dumps(simplified, indent=2)
    schema = Outer.model_json_schema()
    assert parse_pydantic_schema(schema, schema["$defs"]) == simplified
    assert Template.from_string("{{ m | schema }}")(m=Outer) == get_schema(Outer)


def test_a_model_that_contains_itself_is_told_once():
    node = {"value": "<value>", "child": {"value": "<value>", "child": "<child>"}}
    assert json.loads(get_schema(Node)) == node
    assert json.loads(get_schema(WithNode)) == {"node": {"value": "<value>", "child": "<child>"}}


def test_schema_of_a_dict_is_its_json():
    assert get_schema({"a": [1]}) == get_schema_dict({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'


@pytest.mark.parametrize("other", [1, "a", int, [1], Outer.model_construct()])
def test_schema_of_anything_else_is_an_error(other):
    with pytest.raises(NotImplementedError, match="dict or a Pydantic model class"):
        get_schema(other)


# Vision


def test_vision_is_deprecated_and_works():
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (1, 1)).save(buffer, format="PNG")
    image = PIL.Image.open(buffer)
    with pytest.warns(DeprecationWarning, match="Vision is deprecated") as caught:
        prompt, asset = Vision("look", image)
    assert caught[0].filename == __file__
    assert (prompt, asset) == ("look", outlines.Image(image))
    with pytest.warns(DeprecationWarning, match="Vision"), pytest.raises(TypeError, match="Could not read the format"):
        Vision("look", PIL.Image.new("RGB", (1, 1)))
