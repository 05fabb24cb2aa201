"""LM Studio."""

from __future__ import annotations

import base64
from typing import Any

from typing_extensions import override

from outlines.inputs import Chat, Image
from outlines.models.adapters import ProviderTypeAdapter, message_parts
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider
from outlines.models.sdk import choose_class, import_sdk

__all__ = ["AsyncLMStudio", "LMStudio", "from_lmstudio"]


class LMStudioTypeAdapter(ProviderTypeAdapter):
    """Prompts as chats of LM Studio's library, JSON types as their schema."""

    def format_str_model_input(self, model_input: str) -> str:
        """Give a string as it is."""
        return model_input

    def format_list_model_input(self, model_input: list) -> Any:
        """Give a prompt and its images as a chat of one message."""
        chat = import_sdk("lmstudio", "lmstudio").Chat()
        self._add_user_message(chat, model_input)
        return chat

    def format_chat_model_input(self, model_input: Chat) -> Any:
        """Give a conversation; the system has the first word or none."""
        lmstudio = import_sdk("lmstudio", "lmstudio")
        messages = list(model_input.messages)
        is_led = bool(messages) and messages[0]["role"] == "system"
        system = messages.pop(0)["content"] if is_led else None
        chat = lmstudio.Chat(system) if system else lmstudio.Chat()
        for message in messages:
            role, content = message["role"], message["content"]
            if role == "user":
                self._add_user_message(chat, content)
            elif role == "assistant":
                chat.add_assistant_response(content)
            else:
                raise ValueError(
                    f"Unsupported role: {role!r}. LM Studio takes user and assistant, and system as the first message"
                )
        return chat

    def _add_user_message(self, chat: Any, content: Any) -> None:
        text, images = message_parts(content)
        if images is None:
            chat.add_user_message(text)
        else:
            chat.add_user_message(text, images=[self._handle(image) for image in images])

    def _handle(self, image: Image) -> Any:
        """Send an image to the server, which gives a handle for it."""
        return import_sdk("lmstudio", "lmstudio").prepare_image(base64.b64decode(image.image_str))

    @override
    def format_output_type(self, output_type: Any | None = None) -> dict[str, Any] | None:
        """Give the value of `response_format`."""
        return None if output_type is None else self._schema(output_type)


class LMStudioRequests(Provider):
    """Requests to, and answers of, LM Studio. Its errors stay as they are: it runs on one's own machine."""

    adapter = LMStudioTypeAdapter

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        formatted = self.type_adapter.format_input(model_input)
        schema = self.type_adapter.format_output_type(output_type)
        model = kwargs.pop("model", self.model_name)
        if schema is not None:
            kwargs = dict(**kwargs, response_format=schema)
        return {"key": () if model is None else (model,), "args": (formatted,), "kwargs": kwargs}

    @override
    def _text(self, answer: Any) -> str:
        return answer.content

    @override
    def _piece(self, chunk: Any) -> str:
        return self._text(chunk)


class LMStudio(LMStudioRequests, BlackBox):
    """A model served by LM Studio, waited for."""

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        handle = self.client.llm.model(*arguments["key"])
        return handle.respond(*arguments["args"], **arguments["kwargs"])

    @override
    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        handle = self.client.llm.model(*arguments["key"])
        return handle.respond_stream(*arguments["args"], **arguments["kwargs"])


class AsyncLMStudio(LMStudioRequests, AsyncBlackBox):
    """A model served by LM Studio, awaited. Its client is entered at the first call; `close` leaves it."""

    def __init__(self, client: Any, model_name: str | None = None):
        super().__init__(client, model_name)
        self._context_entered = False

    async def _handle(self, arguments: dict[str, Any]) -> Any:
        if not self._context_entered:
            await self.client.__aenter__()
            self._context_entered = True
        return await self.client.llm.model(*arguments["key"])

    @override
    async def _complete(self, arguments: dict[str, Any]) -> Any:
        handle = await self._handle(arguments)
        return await handle.respond(*arguments["args"], **arguments["kwargs"])

    @override
    async def _open_stream(self, arguments: dict[str, Any]) -> Any:
        handle = await self._handle(arguments)
        return await handle.respond_stream(*arguments["args"], **arguments["kwargs"])

    async def close(self) -> None:
        """Leave the client's context, if it was entered."""
        if self._context_entered:
            await self.client.__aexit__(None, None, None)
            self._context_entered = False


def from_lmstudio(client: Any, model_name: str | None = None) -> LMStudio | AsyncLMStudio:
    """Make a model of a client of LM Studio; without `model_name` the model that is loaded answers.

    Raises
    ------
    ValueError
        If the client is neither an `lmstudio.Client` nor an `lmstudio.AsyncClient`.
    """
    lmstudio = import_sdk("lmstudio", "lmstudio")
    classes: dict[type, type] = {lmstudio.Client: LMStudio, lmstudio.AsyncClient: AsyncLMStudio}
    return choose_class(client, classes, "Invalid client type")(client, model_name)
