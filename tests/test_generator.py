"""Which generator a model gets, and what each passes on to it."""

from __future__ import annotations

import ast
import asyncio
import inspect
from typing import Any, Literal

import pytest
import torch

import outlines
from outlines import generator as generators
from outlines.generator import AsyncBlackBoxGenerator, BlackBoxGenerator, Generator, SteerableGenerator
from outlines.models.base import AsyncModel, Model, ModelTypeAdapter
from outlines.models.transformers import from_transformers
from outlines.processors import OutlinesLogitsProcessor
from outlines.types.dsl import Regex
from tests import tiny_models


class Echo(Model):
    """Says how it was called."""

    type_adapter = None

    def generate(self, model_input, output_type=None, **kwargs):
        return "one", model_input, output_type, kwargs

    def generate_batch(self, model_input, output_type=None, **kwargs):
        return "batch", model_input, output_type, kwargs

    def generate_stream(self, model_input, output_type=None, **kwargs):
        yield "stream"
        yield model_input, output_type, kwargs


class AsyncEcho(AsyncModel):
    """As Echo, awaited."""

    async def generate(self, model_input, output_type=None, **kwargs):
        return "one", model_input, output_type, kwargs

    async def generate_batch(self, model_input, output_type=None, **kwargs):
        return "batch", model_input, output_type, kwargs

    async def generate_stream(self, model_input, output_type=None, **kwargs):
        yield "stream"
        yield model_input, output_type, kwargs


@pytest.fixture
def black_boxes(monkeypatch):
    """Count the two classes above as providers' models."""
    monkeypatch.setattr(generators, "BlackBoxModel", Echo)
    monkeypatch.setattr(generators, "AsyncBlackBoxModel", AsyncEcho)


@pytest.fixture(scope="module")
def model():
    return from_transformers(tiny_models.llama(), tiny_models.tokenizer())


class Counting(OutlinesLogitsProcessor):
    """Counts its resets, leaves the logits alone."""

    def __init__(self):
        super().__init__("torch")
        self.num_resets = 0

    def reset(self):
        self.num_resets += 1

    def process_logits(self, input_ids, logits):
        return logits


# Dispatch


def test_steerable_model(model):
    generator = Generator(model, Literal["yes", "no"])
    assert isinstance(generator, SteerableGenerator)
    assert generator.model is model
    assert isinstance(generator.logits_processor, OutlinesLogitsProcessor)
    assert not hasattr(generator, "output_type")
    assert Generator(model).logits_processor is None


def test_black_box_models(black_boxes):
    sync_model, async_model, output_type = Echo(), AsyncEcho(), object()
    for model, kind in ((sync_model, BlackBoxGenerator), (async_model, AsyncBlackBoxGenerator)):
        generator = Generator(model, output_type, "any backend")
        assert type(generator) is kind
        assert (generator.model, generator.output_type) == (model, output_type)


def test_type_and_processor_are_exclusive(model):
    with pytest.raises(ValueError, match="not both"):
        Generator(model, int, processor=Counting())


@pytest.mark.parametrize("other", [None, object(), Echo()])
def test_other_models_are_errors(other):
    with pytest.raises(ValueError, match="is not a model of outlines"):
        Generator(other, int)
    with pytest.raises(NotImplementedError, match="only steer local models"):
        Generator(other, processor=Counting())


def test_processor_for_a_black_box_is_an_error(black_boxes):
    with pytest.raises(NotImplementedError, match="not a Echo"):
        Generator(Echo(), processor=Counting())


# Steerable


@pytest.mark.parametrize("backend", [None, "outlines"])
def test_backends(model, backend):
    assert Generator(model, Literal["yes"], backend)("a", max_new_tokens=9) == "yes"
    assert model("a", Literal["yes"], backend, max_new_tokens=9) == "yes"


def test_unknown_backend(model):
    with pytest.raises(ValueError, match=r"'xyz' is not supported.*'outlines'"):
        Generator(model, int, "xyz")
    with pytest.raises(ValueError, match="not supported"):
        model.batch(["a"], int, "xyz")
    assert Generator(model, None, "xyz").logits_processor is None
    assert Generator(model, backend="xyz", processor=Counting()).logits_processor.num_resets == 0


def test_processor_as_output_type_is_an_error(model):
    with pytest.raises(ValueError, match="`processor=`"):
        Generator(model, Counting())
    with pytest.raises(ValueError, match="`processor=`"):
        Generator(model, [int, Counting()])


def test_unsupported_type_is_an_error_at_construction(model):
    with pytest.raises(TypeError, match="not supported"):
        Generator(model, object())
    with pytest.raises(TypeError, match="not supported"):
        Generator(model, [int, object()])


def test_pattern_that_cannot_be_read_is_an_error_at_construction(model):
    with pytest.raises(ValueError, match="position"):
        Generator(model, Regex("(a"))


def test_a_processor_is_kept_and_reset_before_each_generation(model):
    processor = Counting()
    for generator in (
        Generator(model, processor=processor),
        SteerableGenerator.from_processor(model, processor),
    ):
        processor.num_resets = 0
        assert generator.logits_processor is processor
        generator("a", max_new_tokens=2)
        assert processor.num_resets == 1
        generator.batch(["a", "b"], max_new_tokens=2)
        assert processor.num_resets == 2
        stream = generator.stream("a", max_new_tokens=2)  # the reset is at the call
        assert processor.num_resets == 3
        stream.close()


def test_equal_types_of_a_list_are_compiled_once(model):
    term = Regex("[0-9]{3}")
    constraints = Generator(model, [term, None, term, Literal["a"]]).logits_processor.constraints
    assert constraints[0] is constraints[2]
    assert constraints[1] is None
    assert constraints[3] is not constraints[0]


def test_each_call_and_the_next(model):
    generator = Generator(model, Regex("[0-9]{3}"))
    text = generator("a", max_new_tokens=9)
    assert len(text) == 3
    assert text.isdigit()
    assert generator.batch(["a", "a"], max_new_tokens=9) == [text, text]
    assert "".join(generator.stream("a", max_new_tokens=9)) == text
    assert generator("a", max_new_tokens=9) == text


def test_json_types(model):
    """A type with nested structure comes out as JSON of that type."""
    from pydantic import BaseModel, ConfigDict, Field

    class Point(BaseModel):
        model_config = ConfigDict(extra="forbid")
        x: int = Field(ge=-50, le=50)
        label: Literal["a", "b"]
        tags: list[Literal["c", "d"]] = Field(max_length=2)

    text = model("a", Point, max_new_tokens=150)
    assert isinstance(text, str)
    Point.model_validate_json(text)
    torch.manual_seed(0)
    point, flags = model.batch(["a", "bb"], [Point, list[bool]], max_new_tokens=150, do_sample=True, top_k=5)
    Point.model_validate_json(point)
    assert all(isinstance(flag, bool) for flag in ast.literal_eval(flags))


# Black boxes


def test_black_box_calls(black_boxes):
    model = Echo()
    generator = Generator(model, int)
    assert generator("p", a=1) == model("p", int, "ignored", a=1) == ("one", "p", int, {"a": 1})
    assert generator.batch(["p"], a=1) == model.batch(["p"], int, a=1) == ("batch", ["p"], int, {"a": 1})
    for stream in (generator.stream("p", a=1), model.stream("p", int, a=1)):
        assert inspect.isgenerator(stream)
        assert list(stream) == ["stream", ("p", int, {"a": 1})]


def test_async_black_box_calls(black_boxes):
    model = AsyncEcho()
    generator = Generator(model, int)

    async def collect(stream: Any) -> list:
        assert inspect.isasyncgen(stream)
        return [piece async for piece in stream]

    async def calls() -> None:
        one = ("one", "p", int, {"a": 1})
        assert await generator("p", a=1) == await model("p", int, "ignored", a=1) == one
        batch = ("batch", ["p"], int, {"a": 1})
        assert await generator.batch(["p"], a=1) == await model.batch(["p"], int, a=1) == batch
        for stream in (generator.stream("p", a=1), model.stream("p", int, a=1)):
            assert await collect(stream) == ["stream", ("p", int, {"a": 1})]

    asyncio.run(calls())


# Base classes and names


@pytest.mark.parametrize("base", [Model, AsyncModel, ModelTypeAdapter])
def test_base_classes_are_abstract(base):
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_top_level_names():
    assert outlines.Generator is Generator
    assert set(outlines.models.__all__) <= set(outlines.__all__)
    for name in ("Chat", "Regex", "JsonSchema", "CFG", "Choice", "AsyncModel"):
        assert not hasattr(outlines, name)
