"""vLLM's server, through a client of OpenAI."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from outlines.models.blackbox import AsyncBlackBox, BlackBox
from outlines.models.dialects import schema_of
from outlines.models.openai import OpenAIRequests, OpenAITypeAdapter, load_with_openai
from outlines.types.dsl import CFG, JsonSchema, python_types_to_terms, to_regex

__all__ = ["VLLM", "AsyncVLLM", "from_vllm"]

PROVIDER = "vllm"


def structured_outputs(output_type: Any) -> dict[str, Any]:
    """Give vLLM's own parameters for an output type: a grammar, a schema or a regex; none for None."""
    if output_type is None:
        return {}
    term = python_types_to_terms(output_type)
    if isinstance(term, CFG):
        return {"grammar": term.definition}
    if isinstance(term, JsonSchema):
        white_space = {"whitespace_pattern": term.whitespace_pattern} if term.whitespace_pattern else {}
        return {"json": schema_of(term), **white_space}
    return {"regex": to_regex(term)}


class VLLMTypeAdapter(OpenAITypeAdapter):
    """Prompts as OpenAI's, output types as vLLM's own field of the body."""

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give what an output type adds to `extra_body`."""
        parameters = structured_outputs(output_type)
        return {"structured_outputs": parameters} if parameters else {}


class VLLMRequests(OpenAIRequests):
    """OpenAI's requests, with output types in `extra_body`."""

    adapter: ClassVar[type[OpenAITypeAdapter]] = VLLMTypeAdapter
    provider = PROVIDER

    @override
    def _build_client_args(self, model_input: Any, output_type: Any = None, **kwargs: Any) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        extra_body = dict(kwargs.pop("extra_body", {}))  # a copy: the caller's is used again
        extra_body.update(self.type_adapter.format_output_type(output_type))
        if extra_body:
            kwargs["extra_body"] = extra_body
        return dict(messages=messages, **self._named(kwargs))


class VLLM(VLLMRequests, BlackBox):
    """A model served by vLLM, waited for."""


class AsyncVLLM(VLLMRequests, AsyncBlackBox):
    """A model served by vLLM, awaited."""


def from_vllm(client: Any, model_name: str | None = None) -> VLLM | AsyncVLLM:
    """Make a model of a client of OpenAI whose server is vLLM's, of version 0.12 or later."""
    return load_with_openai(client, model_name, (VLLM, AsyncVLLM), "vllm")
