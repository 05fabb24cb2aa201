"""Anthropic."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from outlines.inputs import Image
from outlines.models.adapters import ChatTypeAdapter
from outlines.models.blackbox import BlackBox

__all__ = ["Anthropic", "from_anthropic"]

PROVIDER = "anthropic"


class AnthropicTypeAdapter(ChatTypeAdapter):
    """Prompts as messages, images before their text; no output types."""

    @override
    def _messages(self, messages: Any) -> dict[str, Any]:
        return {"messages": super()._messages(messages)}

    @override
    def _message(self, role: str, text: str, images: list[Image] | None) -> dict[str, Any]:
        if images is None:
            return {"role": role, "content": text}
        sources = [
            {"type": "base64", "media_type": image.image_format, "data": image.image_str} for image in images
        ]
        parts = [{"type": "image", "source": source} for source in sources]
        return {"role": role, "content": [*parts, {"type": "text", "text": text}]}

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any]:
        """Give nothing for None, and refuse everything else."""
        if output_type is not None:
            raise self.capability.output_refusal(output_type)
        return {}


class Anthropic(BlackBox):
    """A model of Anthropic. Every call needs its `max_tokens`; a system prompt goes as `system`."""

    adapter = AnthropicTypeAdapter
    provider = PROVIDER

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        messages = self.type_adapter.format_input(model_input)
        return dict(**messages, **self.type_adapter.format_output_type(output_type), **self._named(kwargs))

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.messages.create(**arguments)

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        return self.client.messages.create(**arguments, stream=True)

    @override
    def _text(self, answer: Any) -> str:
        return answer.content[0].text

    @override
    def _piece(self, chunk: Any) -> str | None:
        is_text = chunk.type == "content_block_delta" and chunk.delta.type == "text_delta"
        return chunk.delta.text if is_text else None


def from_anthropic(client: Any, model_name: str | None = None) -> Anthropic:
    """Make a model of an `anthropic.Anthropic`; `model_name` is sent where a call brings no `model`."""
    return Anthropic(client, model_name)
