"""SGLang's server, through a client of OpenAI."""

from __future__ import annotations

import warnings
from typing import Any

from typing_extensions import override

from outlines.models.blackbox import AsyncBlackBox, BlackBox
from outlines.models.dialects import schema_of
from outlines.models.gbnf import Ebnf, in_ebnf
from outlines.models.openai import OpenAIRequests, OpenAITypeAdapter, load_with_openai
from outlines.types.dsl import CFG, JsonSchema, python_types_to_terms, to_regex

__all__ = ["AsyncSGLang", "SGLang", "from_sglang"]

PROVIDER = "sglang"


class SGLangTypeAdapter(OpenAITypeAdapter):
    """Prompts and schemas as OpenAI's, patterns and grammars as SGLang's own fields of the body."""

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the arguments of a request that an output type adds. A grammar goes as it is written."""
        if output_type is None:
            return {}
        term = python_types_to_terms(output_type)
        if isinstance(term, JsonSchema):
            return self.format_json_output_type(schema_of(term))
        if isinstance(term, CFG):
            if not isinstance(term, Ebnf):
                warnings.warn(
                    "SGLang grammar-based structured outputs expects an EBNF grammar, not Lark's; this one is sent as "
                    "it is. Called through the model, a grammar of Lark's is translated",
                    UserWarning,
                    stacklevel=2,
                )
            return {"extra_body": {"ebnf": term.definition}}
        return {"extra_body": {"regex": to_regex(term)}}


class SGLangRequests(OpenAIRequests):
    """OpenAI's requests, with what SGLang adds."""

    adapter = SGLangTypeAdapter
    provider = PROVIDER

    @override
    def _build_client_args(self, model_input: Any, output_type: Any = None, **kwargs: Any) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        added = self.type_adapter.format_output_type(None if output_type is None else in_ebnf(output_type))
        if "extra_body" in added:  # copied: the caller's is used again
            added["extra_body"] = {**(kwargs.get("extra_body") or {}), **added["extra_body"]}
        return {"messages": messages, **self._named(kwargs), **added}


class SGLang(SGLangRequests, BlackBox):
    """A model served by SGLang, waited for."""


class AsyncSGLang(SGLangRequests, AsyncBlackBox):
    """A model served by SGLang, awaited."""


def from_sglang(client: Any, model_name: str | None = None) -> SGLang | AsyncSGLang:
    """Make a model of a client of OpenAI whose server is SGLang's."""
    return load_with_openai(client, model_name, (SGLang, AsyncSGLang), "sglang")
