"""Every example of docs/models.md runs, with its real library, against stand-ins of the servers."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import tiny_models
from tests.models import gguf_files
from tests.models.lmstudio_server import serving
from tests.models.providers import ANTHROPIC, GEMINI, OLLAMA, OPENAI, TGI, anthropic_events, image
from tests.models.recorder import Answer, Request, recording

PAGE = (Path(__file__).parent.parent.parent / "docs" / "models.md").read_text("utf-8")
BLOCKS = [
    (match[1].strip(), code, PAGE[: match.start(2) + place].count("\n"))
    for match in re.finditer(r"^##+ (.*)\n((?:(?!^##).*\n)*)", PAGE, re.M)
    for code, place in [(m[1], m.start(1)) for m in re.finditer(r"```python\n(.*?)```", match[2], re.S)]
]
SHARED = re.search(r"```python\n(.*?)```", PAGE, re.S)[1]
ANIMAL = '{"name": "Bo", "legs": 8}'

#: What an example needs that isn't always there.
NEEDED = {"llama.cpp": "llama_cpp", "MLX": "mlx_lm"}


def respond(request: Request) -> Answer:
    """Answer as the provider whose path it is: an animal where there is a schema, else a word."""
    asked = json.dumps(request.body)
    text = ANIMAL if '"legs"' in asked else "yes"
    streams = (request.body or {}).get("stream") or "stream" in request.path
    if request.path.endswith("/chat/completions"):
        return OPENAI.stream("ye", "s") if streams else OPENAI.answer(text)
    if request.path == "/v1/messages":
        return anthropic_events("yes") if streams else ANTHROPIC.answer(text)
    if request.path == "/api/chat":
        return OLLAMA.answer(text)
    if "generateContent" in request.path:
        return GEMINI.answer(text)
    assert request.path == "/"
    return TGI.answer(text)


@pytest.fixture(scope="module")
def servers():
    with recording() as recorder, serving() as lmstudio:
        recorder.answer(respond)
        lmstudio.pieces = [ANIMAL]
        yield recorder, lmstudio


@pytest.fixture
def world(servers, monkeypatch, tmp_path) -> dict[str, Any]:
    """The environment that the examples take for granted: keys, servers at their usual places, models by name."""
    recorder, lmstudio = servers
    recorder.requests.clear()
    url = recorder.url
    for name, value in {
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": url,
        "GEMINI_API_KEY": "k",
        "GOOGLE_GEMINI_BASE_URL": url,
        "OLLAMA_HOST": url,
        "DOTTXT_BASE_URL": f"{url}/v1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return {"url": url, "lmstudio": lmstudio.address, "folder": tmp_path}


def prepare(section: str, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put in place what one section needs beside the servers; give the names that its code uses."""
    if section == "Transformers":
        import transformers

        from tests.models.test_multimodal import make_model

        vision = make_model()
        monkeypatch.setattr(
            transformers.AutoModelForCausalLM, "from_pretrained", lambda _: tiny_models.llama()
        )
        monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda _: tiny_models.tokenizer())
        return {"vision_model": vision.model, "processor": vision.processor, "picture": image().image}
    if section == "llama.cpp":
        tokens = gguf_files.sentencepiece_tokens()
        gguf_files.write(world["folder"] / "SmolLM2-135M-Instruct.gguf", "llama", tokens, eos=2)
    if section == "MLX":
        import mlx_lm

        load = mlx_lm.load
        tiny_models.llama().save_pretrained(world["folder"])
        tiny_models.tokenizer().save_pretrained(world["folder"])
        monkeypatch.setattr(mlx_lm, "load", lambda _: load(str(world["folder"])))
    if section == "vLLM":
        from tests.models import test_vllm_offline as stand_in

        vllm, sampling = ModuleType("vllm"), ModuleType("vllm.sampling_params")
        vllm.LLM = lambda _: stand_in.LLM()  # type: ignore[attr-defined]
        made = lambda max_tokens=16, **kwargs: stand_in.SamplingParams(**kwargs)  # noqa: E731
        vllm.SamplingParams = made  # type: ignore[attr-defined]
        sampling.SamplingParams = stand_in.SamplingParams  # type: ignore[attr-defined]
        sampling.StructuredOutputsParams = stand_in.StructuredOutputsParams  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "vllm", vllm)
        monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
    if section == "TGI":
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    if section == "Mistral":
        from mistralai import client

        class Mistral(client.Mistral):
            def __init__(self, api_key: str):
                super().__init__(api_key=api_key, server_url=world["url"])

        monkeypatch.setattr(client, "Mistral", Mistral)
    return {}


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # an example leaves its client to the end of the process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*ended before the output type was complete")  # of random models
@pytest.mark.parametrize(
    ("section", "code", "line"), BLOCKS, ids=[f"{name}-{line}" for name, _, line in BLOCKS]
)
def test_an_example_runs(section, code, line, servers, world, monkeypatch, capsys):
    if section in NEEDED:
        pytest.importorskip(
            NEEDED[section], reason="`./run llamacpp` builds it" if "llama" in section else "on Linux"
        )
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(compile(SHARED, "models.md", "exec"), namespace)
    namespace.update(prepare(section, world, monkeypatch))
    code = re.sub(r"http://localhost:\d+", world["url"], code).replace("localhost:1234", world["lmstudio"])
    exec(compile("\n" * line + code, "models.md", "exec", dont_inherit=True), namespace)
    assert capsys.readouterr().out.strip()
    if "localhost" in PAGE.split("\n")[line] or "client" in namespace:
        assert servers[0].requests or servers[1].predictions


def test_every_section_with_a_loader_has_been_found():
    assert len(BLOCKS) >= 19


def test_the_whole_page_is_covered():
    assert PAGE.count("```python\n") == len(BLOCKS) + (0 if SHARED in [code for _, code, _ in BLOCKS] else 1)
