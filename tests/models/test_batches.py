"""Batches of requests side by side: order, limit, retries, failures."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest

import outlines
from outlines import exceptions
from outlines.models import BatchError, batches, concurrent
from tests import tiny_models
from tests.models.providers import OPENAI, VLLM
from tests.models.recorder import Answer, recording

pytest.importorskip("openai", reason="pip install -c constraints.txt -e '.[dev]' brings it")


@pytest.fixture(scope="module")
def recorder():
    with recording() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def client(recorder):
    client = VLLM.client(recorder.url, 20.0)
    yield client
    client.close()


@pytest.fixture
def model(recorder, client):
    recorder.requests.clear()
    recorder.most_at_once = 0
    return outlines.from_vllm(client, "m")


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited for, without waiting."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(batches, "sleep", waited.append)
    monkeypatch.setattr(batches, "sleep_awaited", wait)
    return waited


def busy(*headers: tuple[str, str], status: int = 429) -> Answer:
    return Answer({"error": {"message": "busy"}}, status, headers=headers)


def test_what_may_pass_is_tried_again_after_growing_waits(recorder, model, waits):
    recorder.answer(busy(), busy(status=503), busy(status=500), OPENAI.answer("yes"))
    assert concurrent(model)("Hi") == "yes"
    assert len(recorder.requests) == 4
    assert [0.5 * 2**n <= 2 * wait and wait <= 0.5 * 2**n for n, wait in enumerate(waits)] == [True] * 3


def test_a_wait_that_the_server_asks_for_is_kept(recorder, model, waits):
    recorder.answer(
        busy(("retry-after", "7")),
        busy(("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")),
        OPENAI.answer("yes"),
    )
    assert concurrent(model)("Hi") == "yes"
    assert waits[0] == 7.0
    assert waits[1] <= 1.0


def test_retries_end(recorder, model, waits):
    recorder.answer(busy())
    with pytest.raises(exceptions.RateLimitError):
        concurrent(model, retries=2)("Hi")
    assert len(recorder.requests) == 3
    assert len(waits) == 2


def test_what_will_not_pass_is_not_tried_again(recorder, model, waits):
    recorder.answer(Answer({"error": {"message": "no"}}, 400))
    with pytest.raises(exceptions.BadRequestError):
        concurrent(model)("Hi")
    with pytest.raises(TypeError):
        concurrent(model)(3)
    assert len(recorder.requests) == 1
    assert waits == []


def test_one_failure_does_not_cost_the_others(recorder, model, waits):
    def answer(request):
        text = request.body["messages"][0]["content"]
        return Answer({"error": {"message": "no"}}, 400) if text == "b" else OPENAI.answer(text.upper())

    recorder.answer(answer)
    with pytest.raises(
        BatchError, match="1 of 3 prompts failed, the first at index 1: BadRequestError"
    ) as raised:
        concurrent(model).batch(["a", "b", "c"])
    assert raised.value.results == ["A", None, "C"]
    assert list(raised.value.errors) == [1]
    assert isinstance(raised.value.errors[1], exceptions.BadRequestError)


def test_each_prompt_may_have_its_type(recorder, model):
    recorder.answer(lambda request: OPENAI.answer(json.dumps(request.body.get("structured_outputs"))))
    types = [Literal["a"], None]
    first, second = concurrent(model).batch(["x", "y"], types)
    assert json.loads(first) == {"regex": "(a)"}
    assert second == "null"
    with pytest.raises(ValueError, match="1 prompts for a list of 2 output types"):
        concurrent(model).batch(["x"], types)


def test_odd_batches(recorder, model):
    assert concurrent(model).batch([]) == []
    with pytest.raises(TypeError, match="takes a list of prompts, not a str"):
        concurrent(model).batch("Hi")
    with pytest.raises(ValueError, match="limit is 0"):
        concurrent(model, limit=0)
    with pytest.raises(ValueError, match="Transformers runs on this machine"):
        concurrent(outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer()))


def test_a_stream_is_tried_again_until_it_has_begun(recorder, model, waits):
    recorder.answer(busy(), VLLM.stream("a", "b"))
    assert list(concurrent(model).stream("Hi")) == ["a", "b"]
    assert len(waits) == 1
    broken = VLLM.stream("a")
    cut = broken._replace(
        body=broken.body.split(b"\n\n")[0] + b'\n\ndata: {"error": {"message": "lost", "code": 500}}\n\n'
    )
    recorder.answer(cut)
    stream = concurrent(model).stream("Hi")
    assert next(stream) == "a"
    recorder.requests.clear()
    with pytest.raises(Exception, match="lost"):
        next(stream)
    assert recorder.requests == []


def test_awaited(recorder, waits):
    async def run() -> None:
        client = VLLM.async_client(recorder.url, 20.0)
        model = concurrent(outlines.from_vllm(client, "m"), limit=2)
        recorder.requests.clear()
        recorder.answer(busy(), OPENAI.answer("yes"))
        assert await model("Hi") == "yes"
        recorder.answer(busy(), VLLM.stream("a", "b"))
        assert [piece async for piece in model.stream("Hi")] == ["a", "b"]
        assert len(waits) == 2

        def answer(request):
            text = request.body["messages"][0]["content"]
            return Answer({"error": {"message": "no"}}, 401) if text == "b" else OPENAI.answer(text.upper())

        recorder.answer(answer)
        with pytest.raises(BatchError) as raised:
            await model.batch(["a", "b", "c", "d"])
        assert raised.value.results == ["A", None, "C", "D"]
        await client.close()

    asyncio.run(run())
