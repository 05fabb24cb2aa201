"""Google's Gemini."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

from typing_extensions import override

from outlines.inputs import Chat, Image
from outlines.models.adapters import ChatTypeAdapter
from outlines.models.blackbox import BlackBox
from outlines.models.dialects import warn_of_type
from outlines.types.dsl import Choice, JsonSchema
from outlines.types.utils import (
    get_enum_from_choice,
    get_enum_from_literal,
    is_enum,
    is_genson_schema_builder,
    is_literal,
    is_typing_list,
)

__all__ = ["Gemini", "from_gemini"]

PROVIDER = "gemini"


class GeminiTypeAdapter(ChatTypeAdapter):
    """Prompts as contents, output types as the classes that Gemini's library reads schemas from."""

    @override
    def format_str_model_input(self, model_input: str) -> dict[str, Any]:
        """Give a string as a content without a role."""
        return {"contents": [{"text": model_input}]}

    @override
    def format_chat_model_input(self, model_input: Chat) -> dict[str, Any]:
        """Give a conversation; what the system says goes apart."""
        said = [message["content"] for message in model_input.messages if message["role"] == "system"]
        others = [message for message in model_input.messages if message["role"] != "system"]
        instruction = {"system_instruction": "\n".join(said)} if said else {}
        return {**super().format_chat_model_input(Chat(others)), **instruction}

    @override
    def _messages(self, messages: Any) -> dict[str, Any]:
        return {"contents": super()._messages(messages)}

    @override
    def _message(self, role: str, text: str, images: list[Image] | None) -> dict[str, Any]:
        data = [{"mime_type": image.image_format, "data": image.image_str} for image in images or ()]
        parts = [{"text": text}, *({"inline_data": each} for each in data)]
        return {"role": "model" if role == "assistant" else role, "parts": parts}

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give the entries of `config` that an output type adds."""
        if output_type is None:
            return {}
        if is_enum(output_type):
            return self.format_enum_output_type(output_type)
        if is_literal(output_type):
            return self.format_enum_output_type(get_enum_from_literal(output_type))
        if isinstance(output_type, Choice):
            return self.format_enum_output_type(get_enum_from_choice(output_type))
        if JsonSchema.is_json_schema(output_type):
            return self.format_json_output_type(output_type)
        if is_typing_list(output_type):
            return self.format_list_output_type(output_type)
        raise self.capability.output_refusal(output_type)

    def format_enum_output_type(self, output_type: type[Enum]) -> dict[str, Any]:
        """Give the entries for one of the values of an enum."""
        return {"response_mime_type": "text/x.enum", "response_schema": output_type}

    def format_json_output_type(self, output_type: Any) -> dict[str, Any]:
        """Give the entries for a JSON-like type."""
        return {"response_mime_type": "application/json", "response_schema": self._class(output_type)}

    def format_list_output_type(self, output_type: Any) -> dict[str, Any]:
        """Give the entries for a list of a JSON-like type."""
        items = get_args(output_type)
        if len(items) != 1 or not JsonSchema.is_json_schema(items[0]):
            raise TypeError(f"Gemini takes lists of one JSON-like type, as in list[Model]; got {output_type}")
        return {"response_mime_type": "application/json", "response_schema": list[self._class(items[0])]}  # type: ignore[misc]

    def _class(self, output_type: Any) -> Any:
        """Give a JSON-like type as a class, which is what Gemini's library reads."""
        warn_of_type(output_type, self.capability.name)
        if isinstance(output_type, JsonSchema) or is_genson_schema_builder(output_type):
            return JsonSchema.convert_to(output_type, ["dataclass"])
        return output_type


class Gemini(BlackBox):
    """A model of Gemini. All that a call brings, but `model`, goes into the request's `config`."""

    adapter = GeminiTypeAdapter
    provider = PROVIDER

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        contents = self.type_adapter.format_input(model_input)
        model = kwargs.pop("model", self.model_name)
        entries = self.type_adapter.format_output_type(output_type)
        instruction = {k: v for k, v in contents.items() if k != "contents"}
        return {
            "contents": contents["contents"],
            "model": model,
            "config": {**entries, **instruction, **kwargs},
        }

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.models.generate_content(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.models.generate_content_stream(**arguments)

    @override
    def _text(self, answer: Any) -> Any:
        return answer.text

    @override
    def _piece(self, chunk: Any) -> str | None:
        return chunk.text or None


def from_gemini(client: Any, model_name: str | None = None) -> Gemini:
    """Make a model of a `google.genai.Client`; `model_name` is sent where a call brings no `model`."""
    return Gemini(client, model_name)
