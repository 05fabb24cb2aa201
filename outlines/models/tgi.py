"""Hugging Face's Text Generation Inference."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from outlines.models.adapters import ProviderTypeAdapter
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider
from outlines.models.sdk import choose_class, import_sdk
from outlines.types.dsl import CFG, JsonSchema, python_types_to_terms, to_regex

__all__ = ["TGI", "AsyncTGI", "from_tgi"]

PROVIDER = "tgi"


class TGITypeAdapter(ProviderTypeAdapter):
    """Strings as they are, output types as TGI's `grammar`."""

    handlers: ClassVar[dict[type, tuple[str, str]]] = {str: ("text", "format_str_input")}

    def format_str_input(self, model_input: str) -> str:
        """Give a string as it is."""
        return model_input

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the arguments of a request that an output type adds."""
        if output_type is None:
            return {}
        term = python_types_to_terms(output_type)
        if isinstance(term, CFG):
            raise self.capability.output_refusal(term)
        if isinstance(term, JsonSchema):
            return {"grammar": {"type": "json", "value": self._schema(term)}}
        return {"grammar": {"type": "regex", "value": to_regex(term)}}


class TGIRequests(Provider):
    """Requests to, and answers of, TGI."""

    adapter = TGITypeAdapter
    provider = PROVIDER

    def __init__(self, client: Any):
        super().__init__(client)

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        prompt = self.type_adapter.format_input(model_input)
        return {"prompt": prompt, **kwargs, **self.type_adapter.format_output_type(output_type)}

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.text_generation(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.text_generation(**arguments, stream=True)

    @override
    def _text(self, answer: Any) -> Any:
        return answer

    @override
    def _piece(self, chunk: Any) -> Any:
        return chunk


class TGI(TGIRequests, BlackBox):
    """A model served by TGI, waited for."""


class AsyncTGI(TGIRequests, AsyncBlackBox):
    """A model served by TGI, awaited."""


def from_tgi(client: Any) -> TGI | AsyncTGI:
    """Make a model of a client of a TGI server.

    Raises
    ------
    ValueError
        If the client is neither a `huggingface_hub.InferenceClient` nor an `AsyncInferenceClient`.
    """
    hub = import_sdk("huggingface_hub", "tgi")
    classes: dict[type, type] = {hub.InferenceClient: TGI, hub.AsyncInferenceClient: AsyncTGI}
    return choose_class(client, classes, "Unsupported client type")(client)
