"""Results: text, value, tokens, probabilities and why a text ended, against the model's own account."""

from __future__ import annotations

import asyncio
import math
from typing import Literal

import pytest
import torch
from pydantic import BaseModel, Field

import outlines
from outlines import generator as generators
from outlines.engine import Vocabulary
from outlines.generator import Generator
from outlines.processors import OutlinesLogitsProcessor
from outlines.results import Result
from tests import tiny_models
from tests.test_generator import AsyncEcho, Echo


class Point(BaseModel):
    x: Literal[1, 22]
    y: Literal["a", "b"] = Field(default="a")


@pytest.fixture(scope="module")
def model():
    return outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())


def test_a_result_is_the_text_and_more(model):
    generator = Generator(model, Point)
    result = generator.result("a", max_new_tokens=60)
    assert result.text == generator("a", max_new_tokens=60)
    assert result.value == Point.model_validate_json(result.text)
    assert isinstance(result.value, Point)
    assert (result.finish_reason, result.is_complete, result.logprobs) == ("stop", True, None)
    tokens = model.vocabulary.tokens
    assert b"".join(tokens[token] for token in result.token_ids[:-1]).decode() == result.text
    assert result.token_ids[-1] in model.vocabulary.eos_token_ids


def test_a_text_that_is_cut_off_says_so(model):
    generator = Generator(model, Point)
    with pytest.warns(UserWarning, match="raise `max_new_tokens`"):
        result = generator.result("a", max_new_tokens=3)
    assert (result.finish_reason, result.is_complete) == ("length", False)
    assert len(result.token_ids) == 3
    with pytest.raises(ValueError, match="raise the limit of its length, as `max_new_tokens`"):
        result.value  # noqa: B018


def test_a_text_that_is_whole_but_not_ended_has_a_value(model):
    result = Generator(model, outlines.regex("[0-9]+")).result("a", max_new_tokens=4)
    if result.finish_reason == "length":
        assert result.is_complete
    assert result.value == result.text


@pytest.mark.parametrize("arguments", [{}, {"do_sample": True, "temperature": 0.5}, {"num_beams": 3}])
@pytest.mark.parametrize("output_type", [outlines.regex("[ab]{4}"), None])
def test_probabilities_are_those_of_the_allowed_tokens(model, output_type, arguments):
    torch.manual_seed(0)
    generator = Generator(model, output_type)
    (result,) = generator.results(["a"], logprobs=True, max_new_tokens=6, **arguments)
    assert len(result.logprobs) == len(result.token_ids)
    assert all(logprob <= 0 for logprob in result.logprobs)
    if arguments:
        return
    ids, _ = model.tokenizer.encode("a")
    for token, logprob in zip(result.token_ids, result.logprobs, strict=True):
        with torch.no_grad():
            logits = model.model(ids).logits[0, -1]
        if output_type is not None:
            place = len(ids[0]) - len(model.tokenizer.encode("a")[0][0])
            allowed = "ab" if place < 4 else ""
            keep = model.tokenizer.tokenizer.convert_tokens_to_ids(list(allowed)) or [1]
            mask = torch.full_like(logits, -math.inf)
            mask[keep] = 0
            logits = logits + mask
        assert logits.log_softmax(-1)[token].item() == pytest.approx(logprob, abs=1e-4)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)


def test_samples_and_prompts_come_in_their_order(model):
    torch.manual_seed(0)
    generator = Generator(model, [outlines.regex("[0-9]{3}"), bool])
    results = generator.results(["a", "bb"], num_return_sequences=2, do_sample=True, max_new_tokens=12)
    assert [result.output_type for result in results] == [outlines.regex("[0-9]{3}")] * 2 + [bool] * 2
    assert all(result.text.isdigit() for result in results[:2])
    assert all(isinstance(result.value, bool) for result in results[2:])
    assert all(result.finish_reason == "stop" for result in results)
    assert Generator(model, bool).results([], max_new_tokens=3) == []
    with pytest.raises(ValueError, match=r"2 were asked for: use `results"):
        Generator(model).result("a", num_return_sequences=2, do_sample=True, max_new_tokens=2)


@pytest.mark.parametrize("make", [tiny_models.t5, tiny_models.bart, tiny_models.mamba])
def test_other_kinds_of_models(make):
    model = outlines.from_transformers(make(), tiny_models.tokenizer())
    result = Generator(model, bool).result("a", logprobs=True, max_new_tokens=20)
    assert isinstance(result.value, bool)
    assert result.finish_reason == "stop"
    assert len(result.logprobs) == len(result.token_ids)
    tokens = model.vocabulary.tokens
    assert b"".join(tokens[token] for token in result.token_ids[:-1]).decode() == result.text


@pytest.mark.parametrize("arguments", [{}, {"num_beams": 3}])
def test_a_stop_string_ends_a_text(model, arguments):
    """The first prompt's text ends before the other's, so its row is padded."""
    generator = Generator(model, [outlines.regex("[0-9]{2}x[0-9]{9}"), outlines.regex("[0-9]{8}x[0-9]{9}")])
    arguments.update(stop_strings=["x"], tokenizer=model.hf_tokenizer, max_new_tokens=30)
    with pytest.warns(UserWarning, match="leave out `stop_strings`"):
        results = generator.results(["a", "a"], logprobs=True, **arguments)
    tokens = model.vocabulary.tokens
    for result, length in zip(results, (3, 9), strict=True):
        assert (result.finish_reason, result.is_complete) == ("stop", False)
        assert b"".join(tokens[token] for token in result.token_ids).decode() == result.text
        assert len(result.text) == length
        assert len(result.logprobs) == len(result.token_ids)
        assert all(map(math.isfinite, result.logprobs))


def test_a_type_that_stands_several_times_in_a_list_is_compiled_once(model):
    constraints = Generator(model, [Point, int, Point]).logits_processor.constraints
    assert constraints[0] is constraints[2] is not constraints[1]


def test_free_text(model):
    result = Generator(model).result("a", max_new_tokens=3)
    assert (result.value, result.is_complete) == (result.text, None)
    assert result.text == model("a", max_new_tokens=3)


def test_black_boxes_give_text_and_value(monkeypatch):
    monkeypatch.setattr(generators, "BlackBoxModel", Echo)
    monkeypatch.setattr(generators, "AsyncBlackBoxModel", AsyncEcho)
    monkeypatch.setattr(Echo, "generate", lambda self, prompt, output_type, **kwargs: kwargs.get("n", "12"))
    result = Generator(Echo(), int).result("a")
    assert (result.text, result.value, result.token_ids, result.finish_reason) == ("12", 12, None, None)
    assert Generator(Echo(), int).results(["a", "b"], n=["1", "2"]) == [
        Result(text, int) for text in ("1", "2", "1", "2")
    ]

    async def generate(self, prompt, output_type, **kwargs):
        return "12"

    monkeypatch.setattr(AsyncEcho, "generate", generate)
    assert asyncio.run(Generator(AsyncEcho(), int).result("a")).value == 12
    assert asyncio.run(Generator(AsyncEcho(), int).results(["a", "b"])) == [Result("12", int)] * 2


def test_a_result_shows_what_counts():
    assert repr(Result("1", int)).startswith("Result(text='1', token_ids=None")


class ResetProcessor(OutlinesLogitsProcessor):
    """Refuses a generation that no reset precedes."""

    def __init__(self):
        super().__init__("numpy")
        self.is_new = False

    def reset(self):
        self.is_new = True

    def begin(self):
        assert self.is_new
        self.is_new = False


class Host:
    """A steered model that gives text and doesn't tell why it ended, as llama.cpp's."""

    tensor_library_name = "numpy"
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), None], eos_token_ids=[256])

    def constraint_processor(self, constraints):
        return ResetProcessor()

    def generate(self, prompt, processor, **kwargs):
        if isinstance(processor, ResetProcessor):
            processor.begin()
        return prompt

    def generate_stream(self, prompt, processor, **kwargs):
        yield from prompt


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(generators, "SteerableModel", Host)
    return Host()


def test_texts_of_models_that_do_not_tell_are_read_once_more(host):
    generator = Generator(host, Point)
    whole, cut = '{"x": 22}', '{"x": 22'
    assert generator(whole) == "".join(generator.stream(whole)) == whole
    result = generator.result(whole)
    assert (result.value, result.is_complete, result.finish_reason) == (Point(x=22), True, None)
    with pytest.warns(UserWarning, match=r"raise `max_tokens`.*it ends in '\{\"x\": 22'") as caught:
        assert generator(cut) == cut
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="raise `max_tokens`"):
        assert "".join(generator.stream(cut)) == cut
    with pytest.warns(UserWarning, match="raise `max_tokens`"):
        result = generator.result(cut)
    assert (result.is_complete, result.finish_reason) == (False, "length")
    with pytest.warns(UserWarning, match="or leave out `stop`"):
        assert generator.result(cut, stop=["}"]).finish_reason is None  # the library doesn't tell which it was
    assert [result.text for result in generator.results([whole, whole])] == [whole, whole]
    with pytest.raises(NotImplementedError, match="Host doesn't tell `logprobs`"):
        generator.result(whole, logprobs=True)


def test_texts_that_others_steered_are_left_alone(host):
    assert Generator(host)("{") == "{"
    assert Generator(host, processor=OutlinesLogitsProcessor("numpy"))("{") == "{"
