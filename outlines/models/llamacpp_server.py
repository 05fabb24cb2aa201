"""llama.cpp's own server, through a client of OpenAI."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from outlines.models.blackbox import AsyncBlackBox, BlackBox
from outlines.models.dialects import schema_of
from outlines.models.gbnf import in_gbnf
from outlines.models.openai import OpenAITypeAdapter, load_with_openai
from outlines.models.vllm import VLLMRequests
from outlines.types.dsl import JsonSchema, python_types_to_terms

__all__ = ["AsyncLlamaCppServer", "LlamaCppServer", "from_llamacpp_server"]

PROVIDER = "openai"


class LlamaCppServerTypeAdapter(OpenAITypeAdapter):
    """Prompts as OpenAI's, all output types as fields of the body that llama.cpp's server knows."""

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give what an output type adds to `extra_body`: a schema, or a grammar in GBNF."""
        if output_type is None:
            return {}
        term = python_types_to_terms(output_type)
        if isinstance(term, JsonSchema):
            return {"json_schema": schema_of(term)}
        return {"grammar": in_gbnf(term).definition}


class LlamaCppServerRequests(VLLMRequests):
    """Requests that differ from vLLM's by what the body holds."""

    adapter = LlamaCppServerTypeAdapter
    provider = PROVIDER


class LlamaCppServer(LlamaCppServerRequests, BlackBox):
    """A model served by llama.cpp, waited for."""


class AsyncLlamaCppServer(LlamaCppServerRequests, AsyncBlackBox):
    """A model served by llama.cpp, awaited."""


def from_llamacpp_server(client: Any, model_name: str | None = None) -> LlamaCppServer | AsyncLlamaCppServer:
    """Make a model of a client of OpenAI whose server is llama.cpp's."""
    return load_with_openai(client, model_name, (LlamaCppServer, AsyncLlamaCppServer), "openai")
