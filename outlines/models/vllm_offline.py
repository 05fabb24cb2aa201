"""vLLM in the same process."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from outlines.inputs import Chat
from outlines.models import tokenizer as tokenizers
from outlines.models.adapters import TextTypeAdapter, text_messages
from outlines.models.base import Model
from outlines.models.blackbox import one_or_all
from outlines.models.capabilities import CAPABILITIES
from outlines.models.sdk import import_sdk
from outlines.models.vllm import structured_outputs

__all__ = ["VLLMOffline", "from_vllm_offline"]


class VLLMOfflineTypeAdapter(TextTypeAdapter):
    """Prompts as text or messages, output types as vLLM's parameters."""

    handlers: ClassVar[dict[type, tuple[str, str]]] = {
        str: ("text", "format_input_str"),
        Chat: ("chat", "format_input_chat"),
    }

    def format_input_str(self, model_input: str) -> str | list:
        """Wrap a string as a user's message where there is a chat template."""
        return self._as_user(model_input)

    def format_input_chat(self, model_input: Chat) -> list:
        """Give a conversation, message by message; their content must be text."""
        return text_messages(model_input, "Assets are not supported by VLLMOffline.")

    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the parameters of vLLM's structured outputs."""
        return structured_outputs(output_type)


class VLLMOffline(Model):
    """A `vllm.LLM` in the same process.

    Parameters
    ----------
    model
        The `vllm.LLM`.
    """

    type_adapter: VLLMOfflineTypeAdapter

    def __init__(self, model: Any):
        self.model = model
        self.tokenizer = model.get_tokenizer()
        self.type_adapter = VLLMOfflineTypeAdapter(has_chat_template=self._check_chat_template())

    def _check_chat_template(self) -> bool:
        """Say whether the tokenizer has a chat template: one of `transformers` says so, others are tried."""
        try:
            if tokenizers._check_hf_chat_template(self.tokenizer):
                return True
        except Exception:  # a tokenizer of another kind may fail in any way; it's tried next
            pass
        try:
            self.tokenizer.apply_chat_template([{"role": "user", "content": "test"}])
        except Exception:  # whatever it raises, it has no template that works
            return False
        return True

    def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> str | list[str]:
        """Generate text for one prompt; several samples of it come as a list.

        Parameters
        ----------
        model_input
            A string or a `Chat`.
        output_type
            What vLLM is to hold the text to.
        **kwargs
            For `LLM.chat` or `LLM.generate`; `sampling_params` is copied, never changed.
        """
        return one_or_all(self._run(self.type_adapter.format_input(model_input), output_type, kwargs)[0])

    def generate_batch(
        self, model_input: list, output_type: Any | None = None, **kwargs: Any
    ) -> list[list[str]]:
        """Generate text for several prompts in one call: a list of samples for each, even if it's one."""
        prompts = [self.type_adapter.format_input(prompt) for prompt in model_input]
        return self._run(prompts, output_type, kwargs) if prompts else []

    def generate_stream(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Raise NotImplementedError."""
        raise CAPABILITIES["VLLMOffline"].stream_refusal()

    def _run(self, prompts: Any, output_type: Any, kwargs: dict[str, Any]) -> list[list[str]]:
        params = self._sampling_params(kwargs.pop("sampling_params", None), output_type)
        first = prompts[0] if isinstance(prompts, list) else prompts
        is_chat = isinstance(first, (list, dict))  # a list of messages, or the first message of one
        call, name = (self.model.chat, "messages") if is_chat else (self.model.generate, "prompts")
        results = call(**{name: prompts}, sampling_params=params, **kwargs)
        return [[output.text for output in result.outputs] for result in results]

    def _sampling_params(self, given: Any, output_type: Any) -> Any:
        """Give the caller's parameters, or a copy of them with the constraint."""
        sampling = import_sdk("vllm.sampling_params", "vllm")
        parameters = self.type_adapter.format_output_type(output_type)
        params = sampling.SamplingParams() if given is None else given
        if not parameters:
            return params
        constraint = sampling.StructuredOutputsParams(**parameters)
        return sampling.SamplingParams(**{**_fields(params), "structured_outputs": constraint})


def _fields(params: Any) -> dict[str, Any]:
    """Give what a SamplingParams, of whatever kind of class, was made of."""
    names = getattr(params, "__struct_fields__", None)
    if names is None:
        names = [field.name for field in fields(params)] if is_dataclass(params) else vars(params)
    return {name: getattr(params, name) for name in names if not name.startswith("_")}


def from_vllm_offline(model: Any) -> VLLMOffline:
    """Make a model of a `vllm.LLM`."""
    return VLLMOffline(model)
