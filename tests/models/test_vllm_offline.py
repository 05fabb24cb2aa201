"""vLLM in the same process, behind stand-ins of its two functions and parameter classes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import pytest

import outlines
from outlines.inputs import Chat
from outlines.models import VLLMOffline
from outlines.models.vllm_offline import VLLMOfflineTypeAdapter
from outlines.types import CFG, JsonSchema, Regex
from tests import tiny_models
from tests.models.providers import IMAGE, SCHEMA, Animal


@dataclass
class StructuredOutputsParams:
    json: Any = None
    regex: Any = None
    grammar: Any = None
    whitespace_pattern: Any = None


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    stop: list = field(default_factory=list)
    structured_outputs: Any = None


class LLM:
    """Keeps its calls; answers with as many samples as the parameters ask for."""

    def __init__(self, chat_template: str | None = None, tokenizer: Any = None):
        self.calls: list[tuple[str, dict[str, Any]]] = []
        made = tiny_models.tokenizer(**({"chat_template": chat_template} if chat_template else {}))
        self.tokenizer = tokenizer or made

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def _answer(self, name: str, prompts: Any, arguments: dict[str, Any]) -> list:
        self.calls.append((name, arguments))
        num = len(prompts) if isinstance(prompts, list) and not isinstance(prompts[0], dict) else 1
        outputs = [SimpleNamespace(text=f"t{i}") for i in range(arguments["sampling_params"].n)]
        return [SimpleNamespace(outputs=outputs)] * num

    def chat(self, *, messages: Any, sampling_params: Any, **kwargs: Any) -> list:
        return self._answer(
            "chat", messages, {"messages": messages, "sampling_params": sampling_params, **kwargs}
        )

    def generate(self, *, prompts: Any, sampling_params: Any, **kwargs: Any) -> list:
        return self._answer(
            "generate", prompts, {"prompts": prompts, "sampling_params": sampling_params, **kwargs}
        )


@pytest.fixture(autouse=True)
def vllm(monkeypatch):
    sampling = ModuleType("vllm.sampling_params")
    sampling.SamplingParams = SamplingParams  # type: ignore[attr-defined]
    sampling.StructuredOutputsParams = StructuredOutputsParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)


USER = [{"role": "user", "content": "Hi"}]


def test_text_without_a_template_messages_with_one():
    llm = LLM()
    model = outlines.from_vllm_offline(llm)
    assert isinstance(model, outlines.BlackBoxModel)
    assert model("Hi") == "t0"
    assert llm.calls == [("generate", {"prompts": "Hi", "sampling_params": SamplingParams()})]
    llm = LLM(tiny_models.CHAT_TEMPLATE)
    model = outlines.from_vllm_offline(llm)
    assert model("Hi", use_tqdm=False) == "t0"
    assert llm.calls == [("chat", {"messages": USER, "sampling_params": SamplingParams(), "use_tqdm": False})]


def test_a_chat_goes_as_messages_with_or_without_a_template():
    llm = LLM()
    assert (
        outlines.from_vllm_offline(llm)(Chat([*USER, {"role": "assistant", "content": "a", "x": 1}])) == "t0"
    )
    assert llm.calls[0][1]["messages"] == [*USER, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("output_type", "parameters"),
    [
        (Animal, {"json": SCHEMA}),
        (JsonSchema(SCHEMA, whitespace_pattern=" "), {"json": SCHEMA, "whitespace_pattern": " "}),
        (Regex("[0-9]"), {"regex": "([0-9])"}),
        (Literal["a", "b"], {"regex": "(a|b)"}),
        (CFG("start: 'a'"), {"grammar": "start: 'a'"}),
        (dict, {"grammar": outlines.grammars.json}),
    ],
)
def test_output_types_are_vllms_parameters_on_a_copy(output_type, parameters):
    llm = LLM()
    given = SamplingParams(n=2, temperature=0.5, stop=["x"])
    assert outlines.from_vllm_offline(llm)("Hi", output_type, sampling_params=given) == ["t0", "t1"]
    sent = llm.calls[0][1]["sampling_params"]
    assert sent == SamplingParams(2, 0.5, ["x"], StructuredOutputsParams(**parameters))
    assert given.structured_outputs is None
    assert outlines.from_vllm_offline(llm)("Hi", sampling_params=given) == ["t0", "t1"]
    assert llm.calls[1][1]["sampling_params"] is given


def test_batches_are_lists_of_lists():
    llm = LLM()
    model = outlines.from_vllm_offline(llm)
    assert model.batch(["Hi", "Ho"], Animal) == [["t0"], ["t0"]]
    assert llm.calls[0][0] == "generate"
    assert llm.calls[0][1]["prompts"] == ["Hi", "Ho"]
    assert model.batch([Chat(USER), Chat(USER)], sampling_params=SamplingParams(n=2)) == [["t0", "t1"]] * 2
    assert llm.calls[1][0] == "chat"
    assert llm.calls[1][1]["messages"] == [USER, USER]
    assert model.batch([]) == []


def test_what_is_not_taken_is_refused():
    model = outlines.from_vllm_offline(LLM())
    with pytest.raises(TypeError, match="is not available"):
        model(["Look", IMAGE])
    with pytest.raises(ValueError, match="Assets are not supported"):
        model(Chat([{"role": "user", "content": ["Look", IMAGE]}]))
    with pytest.raises(NotImplementedError, match="Streaming is not available"):
        model.stream("Hi")
    assert VLLMOfflineTypeAdapter().format_output_type() == {}


class Odd:
    """A tokenizer that isn't one of transformers."""

    def __init__(self, works: bool):
        self.works = works

    def apply_chat_template(self, messages: list) -> str:
        if not self.works:
            raise RuntimeError("no template")
        return "x"


@pytest.mark.parametrize(
    ("tokenizer", "has_template"), [(Odd(True), True), (Odd(False), False), (object(), False)]
)
def test_a_template_is_found_by_trying(tokenizer, has_template):
    model = VLLMOffline(LLM(tokenizer=tokenizer))
    assert model.type_adapter.has_chat_template is has_template
    assert model._check_chat_template() is has_template
