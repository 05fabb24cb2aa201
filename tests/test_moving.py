"""The table of differences from Outlines in docs/moving.md: each row is true here, and each difference has a row."""

from __future__ import annotations

import json
import re
import sys
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Literal
from unittest.mock import patch

import lark
import pytest
import torch
from pydantic import BaseModel, ConfigDict

import outlines
from outlines import Generator, backends, explain, generate, grammars, types
from outlines.exceptions import ConstraintError, PatternError, SchemaError
from outlines.processors import OutlinesLogitsProcessor
from outlines.types import JsonSchema, Regex
from outlines.types.dsl import to_regex
from tests import tiny_models

PAGE = (Path(__file__).parent.parent / "docs" / "moving.md").read_text("utf-8")
ROWS = [row.split(" | ")[0].strip("| ") for row in re.findall(r"^\| (?!What|:--).*\|$", PAGE, re.M)]


@pytest.fixture(scope="module")
def model():
    return outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())


def valid(output_type, text: str) -> bool:
    return explain(output_type, text).is_complete


class Closed(BaseModel):
    a: int


class Open(Closed):
    model_config = ConfigDict(extra="allow")


CHECKS = {}


def row(name):
    def keep(check):
        CHECKS[name] = check
        return check

    return keep


@row("the default engine")
def _(model):
    defaults = backends.JSON_SCHEMA_DEFAULT_BACKEND, backends.REGEX_DEFAULT_BACKEND, backends.CFG_DEFAULT_BACKEND
    assert set(defaults) == {"outlines"}


@row("what a term loses")
def _(model):
    term = "x" + JsonSchema({"type": "integer", "minimum": 5, "maximum": 6})
    assert [text for text in ("x5", "x6", "x7", "5") if valid(term, text)] == ["x5", "x6"]


@row("streams of transformers")
def _(model):
    pieces = list(model.stream("a", Regex("[0-9]{4}"), max_new_tokens=9))
    assert "".join(pieces).isdigit()
    assert len(pieces) > 1


@row("types of a batch")
def _(model):
    number, letter = model.batch(["a", "a"], [Regex("[0-9]"), Regex("[a-z]")], max_new_tokens=9)
    assert number.isdigit()
    assert letter.isalpha()


@row("beams")
def _(model):
    texts = model("a", Regex("[ab]{5}"), num_beams=4, num_return_sequences=4, max_new_tokens=9)
    assert all(re.fullmatch("[ab]{5}", text) for text in texts)
    draft = tiny_models.llama(seed=1)
    assert re.fullmatch("[ab]{5}", model("a", Regex("[ab]{5}"), assistant_model=draft, max_new_tokens=9))


@row("results")
def _(model):
    assert isinstance(model("a", bool, max_new_tokens=9), str)
    assert isinstance(Generator(model, bool).result("a", max_new_tokens=9).value, bool)


@row("texts that are cut off")
def _(model):
    with pytest.warns(UserWarning, match="raise `max_new_tokens`"):
        text = model("a", Regex("[ab]{5}"), max_new_tokens=2)
    assert re.fullmatch("[ab]{2}", text)


@row("the text of a constraint")
def _(model):
    assert model("a", Regex("  a ?  "), max_new_tokens=9) in ("  a   ", "  a  ")


@row("bounds of numbers")
def _(model):
    assert not valid({"type": "integer", "minimum": 3}, "2")


@row("exponents")
def _(model):
    assert valid({"type": "number"}, "1e5")
    assert not re.fullmatch(to_regex(JsonSchema({"type": "number"})), "1e5")


@row("escapes in JSON strings")
def _(model):
    assert valid({"type": "string"}, r'"\u00e9"')
    assert not re.fullmatch(to_regex(JsonSchema({"type": "string"})), r'"\u00e9"')


@row("members that a schema doesn't name")
def _(model):
    text = '{"a": 1, "b": 2}'
    assert valid({"type": "object", "properties": {"a": {"type": "integer"}}}, text)
    assert not valid({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, text)
    assert not valid(Closed, text)
    assert valid(Open, text)


@row("`allOf`")
def _(model):
    schema = {"allOf": [{"type": "integer", "minimum": 1}, {"maximum": 1}]}
    assert [number for number in range(4) if valid(schema, str(number))] == [1]


@row("keywords that can't be enforced")
def _(model):
    with pytest.raises(SchemaError, match="/properties/a/pattern") as caught:
        Generator(model, JsonSchema({"properties": {"a": {"pattern": r"(a)\1"}}}))
    assert caught.value.pointer == "/properties/a/pattern"


@row("schemas that contain themselves")
def _(model):
    schema = {"type": "array", "items": {"$ref": "#"}}
    assert valid(schema, "[" * 50 + "]" * 50)
    assert not re.fullmatch(to_regex(JsonSchema(schema)), "[" * 50 + "]" * 50)


@row("`dict`")
def _(model):
    parser = lark.Lark(grammars.json)
    parser.parse('{"a": [1e5, "b"]}')
    for text in ("+1", "1.", "01"):
        with pytest.raises(lark.exceptions.LarkError):
            parser.parse(text)


@row("patterns that look ahead")
def _(model):
    assert valid(types.isbn, "978-0-306-40615-7")
    assert not valid(types.isbn, "978-0")


@row("`to_regex` of a schema")
def _(model):
    with pytest.warns(UserWarning, match="doesn't enforce /minimum"):
        to_regex(JsonSchema({"type": "integer", "minimum": 1}))
    with pytest.raises(ValueError, match="'allOf' with several members"):
        to_regex(JsonSchema({"allOf": [{"type": "integer"}, {"minimum": 1}]}))


@row("`typing.TypedDict`")
def _(model):
    named = typing.TypedDict("Named", {"a": int})  # noqa: UP013
    assert valid(named, '{"a": 1}')


@row("errors of constraints")
def _(model):
    with pytest.raises(PatternError) as caught:
        Generator(model, Regex("a("))
    assert isinstance(caught.value, ConstraintError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.position == 1


@row("the v0 constructors")
def _(model):
    with pytest.warns(DeprecationWarning, match="write `Generator"):
        generator = generate.choice(model, ["a"])
    assert generator("b", max_new_tokens=5) == "a"


def area(size=(1, 2), unit="m"):
    return size, unit


@row("the filter `signature`")
def _(model):
    assert outlines.Template.from_string("{{ area | signature }}")(area=area) == 'size=(1, 2), unit="m"'


@row("switches of torch")
def _(model):
    switches = SimpleNamespace(suppress_errors=False)
    stand_in = SimpleNamespace(config=switches)
    with patch.dict(sys.modules, {"torch._dynamo": stand_in}), patch.object(torch, "_dynamo", stand_in, create=True):
        OutlinesLogitsProcessor("torch")
    assert switches.suppress_errors is False


def test_every_row_has_its_check():
    assert len(ROWS) > 20
    assert set(ROWS) == CHECKS.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_row(name, model):
    torch.manual_seed(0)
    CHECKS[name](model)


def test_what_stays_the_same_where_one_might_wonder(model):
    """Oddities of Outlines that are kept: they are in texts and payloads that people rely on."""
    assert to_regex(outlines.types.dsl.python_types_to_terms(bool)) == "((True|False))"
    assert valid(list[Literal["a"]], '["a"]')
    assert valid(list[types.Choice(["a"])], "[a]")
    assert valid(dict[str, int], '{"a":1, "b":2}')
    assert not valid(dict[str, int], '{"a": 1}')
    assert valid(str, '"a\nb"')
    assert not valid(str, r'"\""')
    assert valid(float, "+1.5")
    assert not valid({"type": "number"}, "+1.5")
    assert JsonSchema({"a": 1}, "x") == JsonSchema(json.dumps({"a": 1}))
