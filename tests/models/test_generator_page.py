"""What upstream's page on generators shows, with the real clients: its examples, against stand-ins of the servers."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from outlines import Generator, from_llamacpp, from_openai, from_tgi
from outlines.generator import AsyncBlackBoxGenerator, BlackBoxGenerator, SteerableGenerator
from tests.models import gguf_files
from tests.models.providers import OPENAI, TGI
from tests.models.recorder import recording


class Character(BaseModel):
    name: str
    age: int
    skills: list[str]


@pytest.fixture
def recorder():
    with recording() as recorder:
        yield recorder


def test_structured_output_with_llamacpp(tmp_path, monkeypatch):
    llama_cpp = pytest.importorskip("llama_cpp", reason="`./run llamacpp` builds it and runs its tests")
    path = gguf_files.write(tmp_path / "m.gguf", "llama", gguf_files.sentencepiece_tokens(), eos=2)
    made = llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, n_threads_batch=1, verbose=False)
    monkeypatch.setattr(llama_cpp.Llama, "from_pretrained", lambda repo_id, filename: made)

    model = from_llamacpp(
        llama_cpp.Llama.from_pretrained(repo_id="TheBloke/phi-2-GGUF", filename="phi-2.Q4_K_M.gguf")
    )
    generator = Generator(model, Character)
    assert isinstance(generator, SteerableGenerator)
    with pytest.warns(
        UserWarning, match="ended before the output type was complete"
    ):  # random weights never end
        response = generator("Create a character for my game", max_tokens=30)
    assert response.lstrip().startswith("{")
    made.close()


def test_streaming_with_openai(recorder, monkeypatch):
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{recorder.url}/v1")
    recorder.answer(OPENAI.stream("One", " two"))

    client = openai.OpenAI()
    generator = Generator(from_openai(client, "gpt-4o-mini"))
    assert isinstance(generator, BlackBoxGenerator)
    assert list(generator.stream("Generate a response...")) == ["One", " two"]
    assert recorder.requests[0].body["model"] == "gpt-4o-mini"
    client.close()


def test_async_with_tgi(recorder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    recorder.answer(TGI.answer("A summary."), TGI.stream("Step", " one"))

    async def generate():
        client = hub.AsyncInferenceClient(f"{recorder.url}/v1")
        generator = Generator(from_tgi(client))
        assert isinstance(generator, AsyncBlackBoxGenerator)
        response = await generator("Summarize this article.")
        chunks = [chunk async for chunk in generator.stream("Generate step by step...")]
        await client.close()
        return response, chunks

    assert asyncio.run(generate()) == ("A summary.", ["Step", " one"])
    assert [request.body["inputs"] for request in recorder.requests] == [
        "Summarize this article.",
        "Generate step by step...",
    ]
