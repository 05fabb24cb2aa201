"""OpenAI, Azure's OpenAI, and what other servers that speak its protocol share with it."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from outlines.exceptions import GenerationError
from outlines.inputs import Image
from outlines.models.adapters import ChatTypeAdapter, data_url
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider, one_or_all
from outlines.models.dialects import schema_of, warn_of_schema
from outlines.models.sdk import choose_class, import_sdk
from outlines.models.utils import set_additional_properties_false_json_schema
from outlines.types.dsl import JsonSchema
from outlines.types.utils import is_native_dict

__all__ = ["AsyncOpenAI", "OpenAI", "from_openai"]

PROVIDER = "openai"


class OpenAITypeAdapter(ChatTypeAdapter):
    """Prompts as messages, JSON types as a `response_format`."""

    @override
    def _message(self, role: str, text: str, images: list[Image] | None) -> dict[str, Any]:
        if images is None:
            return {"role": role, "content": text}
        urls = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
        return {"role": role, "content": [{"type": "text", "text": text}, *urls]}

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the arguments of a request that an output type adds."""
        if output_type is None:
            return {}
        if is_native_dict(output_type):
            return self.format_json_mode_type()
        if JsonSchema.is_json_schema(output_type):
            return self.format_json_output_type(schema_of(output_type))
        raise self.capability.output_refusal(output_type)

    def format_json_output_type(self, schema: dict) -> dict[str, Any]:
        """Give the strict `response_format` of a schema, which is closed in place."""
        schema = set_additional_properties_false_json_schema(schema)
        warn_of_schema(schema, self.capability.name)
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "default", "strict": True, "schema": schema},
            }
        }

    def format_json_mode_type(self) -> dict[str, Any]:
        """Give the `response_format` for any JSON object."""
        return {"response_format": {"type": "json_object"}}


class OpenAIRequests(Provider):
    """Requests to, and answers of, a server that speaks OpenAI's protocol."""

    adapter: ClassVar[type[OpenAITypeAdapter]] = OpenAITypeAdapter
    provider = PROVIDER

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        return self._build_client_args(model_input, output_type, **kwargs)

    def _build_client_args(self, model_input: Any, output_type: Any = None, **kwargs: Any) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        return dict(
            messages=messages, **self.type_adapter.format_output_type(output_type), **self._named(kwargs)
        )

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.completions.create(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.chat.completions.create(**arguments, stream=True)

    @override
    def _text(self, answer: Any) -> str | list[str]:
        for choice in answer.choices:
            if choice.message.refusal is not None:
                raise GenerationError(
                    f"{self.capability.name} refused to answer the request: {choice.message.refusal}",
                    provider=self.provider,
                )
        return one_or_all([choice.message.content for choice in answer.choices])

    @override
    def _piece(self, chunk: Any) -> str | None:
        return chunk.choices[0].delta.content if chunk.choices else None


class OpenAI(OpenAIRequests, BlackBox):
    """A model of OpenAI, waited for."""


class AsyncOpenAI(OpenAIRequests, AsyncBlackBox):
    """A model of OpenAI, awaited."""


def load_with_openai(
    client: Any,
    model_name: str | None,
    kinds: tuple[type, type],
    extra: str,
    problem: str = "Unsupported client type",
) -> Any:
    """Make a model, of the first kind or of the awaited second, of a client of OpenAI.

    Raises
    ------
    ValueError
        If the client is neither `openai.OpenAI` nor `openai.AsyncOpenAI`; Azure's clients are such.
    """
    openai = import_sdk("openai", extra)
    classes: dict[type, type] = dict(zip((openai.OpenAI, openai.AsyncOpenAI), kinds, strict=True))
    return choose_class(client, classes, problem)(client, model_name)


def from_openai(client: Any, model_name: str | None = None) -> OpenAI | AsyncOpenAI:
    """Make a model of a client of OpenAI or Azure.

    Parameters
    ----------
    client
        An `openai.OpenAI` or `openai.AsyncOpenAI`; Azure's clients are such.
    model_name
        Sent as `model` where a call brings none.

    Raises
    ------
    ValueError
        If the client is another.
    """
    return load_with_openai(client, model_name, (OpenAI, AsyncOpenAI), "openai", "Invalid client type")
