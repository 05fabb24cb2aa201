"""What the type adapters of providers share: which prompts go in, the parts of a message, schemas."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from outlines.inputs import Chat, Image
from outlines.models.base import ModelTypeAdapter
from outlines.models.capabilities import CAPABILITIES, Capability
from outlines.models.dialects import schema_of, warn_of_schema
from outlines.models.utils import set_additional_properties_false_json_schema
from outlines.types.dsl import JsonSchema

__all__ = [
    "ChatTypeAdapter",
    "ProviderTypeAdapter",
    "TextTypeAdapter",
    "data_url",
    "message_parts",
    "text_messages",
]


class ProviderTypeAdapter(ModelTypeAdapter):
    """An adapter that takes the prompts which the table of capabilities lists."""

    capability: ClassVar[Capability]
    #: The method for each type of prompt; what the table doesn't list isn't called.
    handlers: ClassVar[dict[type, tuple[str, str]]] = {
        str: ("text", "format_str_model_input"),
        list: ("list", "format_list_model_input"),
        Chat: ("chat", "format_chat_model_input"),
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        row = CAPABILITIES.get(cls.__name__.removesuffix("TypeAdapter"))
        if row is not None:
            cls.capability = row

    def format_input(self, model_input: Any) -> Any:
        """Give the prompt in the provider's form.

        Raises
        ------
        TypeError or NotImplementedError
            If the provider doesn't take prompts of this type.
        ValueError
            If a message can't be read.
        """
        for kind, (name, method) in self.handlers.items():
            if isinstance(model_input, kind) and name in self.capability.prompts:
                return getattr(self, method)(model_input)
        raise self.capability.prompt_refusal(model_input)

    def _schema(self, output_type: Any, close: bool = False) -> dict[str, Any]:
        """Give the schema of a JSON-like type, closed if asked; all other types are refused, what it loses is named."""
        if not JsonSchema.is_json_schema(output_type):
            raise self.capability.output_refusal(output_type)
        schema = schema_of(output_type)
        if close:
            set_additional_properties_false_json_schema(schema)
        warn_of_schema(schema, self.capability.name)
        return schema


class ChatTypeAdapter(ProviderTypeAdapter):
    """An adapter that makes every prompt a list of messages."""

    def format_str_model_input(self, model_input: str) -> Any:
        """Give a string as the message of a user."""
        return self._messages([("user", model_input)])

    def format_list_model_input(self, model_input: list) -> Any:
        """Give a prompt and its images as the message of a user."""
        return self._messages([("user", model_input)])

    def format_chat_model_input(self, model_input: Chat) -> Any:
        """Give a conversation, message by message."""
        return self._messages([(message["role"], message["content"]) for message in model_input.messages])

    def _messages(self, messages: Iterable[tuple[str, Any]]) -> Any:
        return [self._message(role, *message_parts(content)) for role, content in messages]

    @abstractmethod
    def _message(self, role: str, text: str, images: list[Image] | None) -> dict[str, Any]:
        """Give one message; `images` is None where the content is a string."""


class TextTypeAdapter(ProviderTypeAdapter):
    """An adapter of a model in this process, which takes text, and messages of text.

    Parameters
    ----------
    has_chat_template
        Whether a plain string is sent as the message of a user.
    """

    handlers: ClassVar[dict[type, tuple[str, str]]] = {
        str: ("text", "format_str_input"),
        Chat: ("chat", "format_chat_input"),
    }

    def __init__(self, has_chat_template: bool = False):
        self.has_chat_template = has_chat_template

    def _as_user(self, text: str) -> str | list:
        return [{"role": "user", "content": text}] if self.has_chat_template else text


def text_messages(chat: Chat, problem: str) -> list[dict[str, Any]]:
    """Give a conversation, message by message; ValueError if a content isn't text."""
    if not all(isinstance(message["content"], str) for message in chat.messages):
        raise ValueError(f"{problem} The content must be a str.")
    return [{"role": message["role"], "content": message["content"]} for message in chat.messages]


def message_parts(content: Any) -> tuple[Any, list[Image] | None]:
    """Give the text of a message's content, and its images if it is a list."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        raise ValueError(
            f"Invalid content type: {type(content)}. The content must be a string or a list of a string and images"
        )
    text, images = content[0], content[1:]
    for image in images:
        if not isinstance(image, Image):
            raise ValueError(
                f"All assets provided must be of type Image, got {type(image).__name__}. "
                "Wrap a PIL image as outlines.inputs.Image(image)"
            )
    return text, images


def data_url(image: Image) -> str:
    """Give an image as a URL that holds it."""
    return f"data:{image.image_format};base64,{image.image_str}"
