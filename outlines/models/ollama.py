"""Ollama."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from outlines.inputs import Image
from outlines.models.adapters import ChatTypeAdapter
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider
from outlines.models.sdk import choose_class, import_sdk

__all__ = ["AsyncOllama", "Ollama", "from_ollama"]

PROVIDER = "ollama"


class OllamaTypeAdapter(ChatTypeAdapter):
    """Prompts as messages, JSON types as their schema."""

    @override
    def _message(self, role: str, text: str, images: list[Image] | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": role, "content": text}
        return message if images is None else {**message, "images": [image.image_str for image in images]}

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any] | None:
        """Give the value of `format`."""
        return None if output_type is None else self._schema(output_type)


class OllamaRequests(Provider):
    """Requests to, and answers of, Ollama."""

    adapter = OllamaTypeAdapter
    provider = PROVIDER

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        return dict(
            messages=messages, format=self.type_adapter.format_output_type(output_type), **self._named(kwargs)
        )

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat(**arguments, stream=True)

    @override
    def _text(self, answer: Any) -> str:
        return answer.message.content

    @override
    def _piece(self, chunk: Any) -> str:
        return self._text(chunk)


class Ollama(OllamaRequests, BlackBox):
    """A model served by Ollama, waited for."""


class AsyncOllama(OllamaRequests, AsyncBlackBox):
    """A model served by Ollama, awaited."""


def from_ollama(client: Any, model_name: str | None = None) -> Ollama | AsyncOllama:
    """Make a model of a client of Ollama.

    Raises
    ------
    ValueError
        If the client is neither an `ollama.Client` nor an `ollama.AsyncClient`.
    """
    ollama = import_sdk("ollama", "ollama")
    classes: dict[type, type] = {ollama.Client: Ollama, ollama.AsyncClient: AsyncOllama}
    return choose_class(client, classes, "Invalid client type")(client, model_name)
