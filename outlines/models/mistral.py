"""Mistral."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from typing_extensions import override

from outlines.inputs import Chat, Image
from outlines.models.adapters import ProviderTypeAdapter, data_url
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider, one_or_all
from outlines.models.sdk import choose_class, import_sdk
from outlines.types.dsl import JsonSchema
from outlines.types.utils import is_genson_schema_builder, is_native_dict

__all__ = ["AsyncMistral", "Mistral", "from_mistral"]

PROVIDER = "mistral"


def _sdk(name: str) -> ModuleType:
    """Import the module that has a name: the package up to version 1, one of its modules later."""
    package = import_sdk("mistralai", "mistral")
    if hasattr(package, name):
        return package
    client = import_sdk("mistralai.client", "mistral")
    return client if hasattr(client, name) else import_sdk("mistralai.client.models", "mistral")


class MistralTypeAdapter(ProviderTypeAdapter):
    """Prompts as messages of Mistral's library, JSON types as a `response_format`."""

    def format_str_model_input(self, model_input: str) -> list:
        """Give a string as the message of a user."""
        return [_sdk("UserMessage").UserMessage(content=model_input)]

    def format_list_model_input(self, model_input: list) -> list:
        """Give a prompt and its images as the message of a user."""
        return [_sdk("UserMessage").UserMessage(content=self._content(model_input))]

    def format_chat_model_input(self, model_input: Chat) -> list:
        """Give a conversation, message by message."""
        return [self._message(message["role"], message["content"]) for message in model_input.messages]

    def _message(self, role: str, content: Any) -> Any:
        if role == "user":
            return _sdk("UserMessage").UserMessage(content=self._content(content))
        if role == "assistant":
            return _sdk("AssistantMessage").AssistantMessage(content=content)
        if role == "system":
            return _sdk("SystemMessage").SystemMessage(content=content)
        raise ValueError(f"Unsupported role: {role!r}. Mistral takes user, assistant and system")

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise TypeError(
                f"Invalid content type: {type(content)}. It must be a string or a list of a string and images"
            )
        if not content:
            raise ValueError("Content list cannot be empty.")
        text, images = content[0], content[1:]
        if not isinstance(text, str):
            raise ValueError("The first item in the list should be a string.")
        for image in images:
            if not isinstance(image, Image):
                raise ValueError(f"Expected Image objects after the first string, got {type(image).__name__}")
        if not images:
            return text
        urls = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
        return [{"type": "text", "text": text}, *urls]

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the value of `response_format`."""
        if output_type is None:
            return {}
        if is_native_dict(output_type):
            return {"type": "json_object"}
        schema = self._schema(output_type, close=True)
        is_nameless = isinstance(output_type, JsonSchema) or is_genson_schema_builder(output_type)
        name = "default" if is_nameless else output_type.__name__.lower()
        return {"type": "json_schema", "json_schema": {"schema": schema, "name": name, "strict": True}}


class MistralRequests(Provider):
    """Requests to, and answers of, Mistral."""

    adapter = MistralTypeAdapter
    provider = PROVIDER

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        return dict(
            messages=messages,
            response_format=self.type_adapter.format_output_type(output_type),
            **self._named(kwargs),
        )

    @override
    def _text(self, answer: Any) -> Any:
        return one_or_all([choice.message.content for choice in answer.choices])

    @override
    def _piece(self, chunk: Any) -> str | None:
        content = chunk.data.choices[0].delta.content if chunk.data.choices else None
        return (
            content if content or content == "" else None
        )  # its library has a value of its own for what isn't sent


class Mistral(MistralRequests, BlackBox):
    """A model of Mistral, waited for."""

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.complete(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.stream(**arguments)


class AsyncMistral(MistralRequests, AsyncBlackBox):
    """A model of Mistral, awaited; its client is the same."""

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.complete_async(**arguments, stream=False)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.stream_async(**arguments)


def from_mistral(
    client: Any, model_name: str | None = None, async_client: bool = False
) -> Mistral | AsyncMistral:
    """Make a model of a client of Mistral.

    Parameters
    ----------
    client
        A `Mistral` of the package `mistralai`, of any of its versions from 1 on.
    model_name
        Sent as `model` where a call brings none.
    async_client
        Whether calls are awaited.

    Raises
    ------
    ValueError
        If the client is another.
    """
    classes: dict[type, type] = {_sdk("Mistral").Mistral: AsyncMistral if async_client else Mistral}
    return choose_class(client, classes, "Invalid client type")(client, model_name)
