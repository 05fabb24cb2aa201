"""What a user may give a model beside a plain string: images, videos, audio and chats."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["Audio", "Chat", "Image", "Video"]


@dataclass
class Image:
    """An image that goes to a model together with a prompt.

    Parameters
    ----------
    image
        A PIL image that knows its file format, as one that was opened from a file does. It is kept, not
        copied.

    Attributes
    ----------
    image_str : str
        The image in its own format, base64 encoded.
    image_format : str
        The media type, such as `image/png`.

    Raises
    ------
    TypeError
        If the image has no format, as one that was made in memory.
    """

    image: PIL.Image.Image

    def __post_init__(self) -> None:
        image_format = self.image.format
        if not image_format:
            raise TypeError(
                "Could not read the format of the image: its `format` is empty. Open it from a file, or "
                "save it to a buffer with a format and open that."
            )
        buffer = BytesIO()
        self.image.save(buffer, format=image_format)
        self.image_str = base64.b64encode(buffer.getvalue()).decode("ascii")
        self.image_format = f"image/{image_format.lower()}"


@dataclass
class Video:
    """A video in whatever form the model's own library takes; nothing is checked here."""

    video: Any


@dataclass
class Audio:
    """Audio in whatever form the model's own library takes; nothing is checked here."""

    audio: Any


@dataclass
class Chat:
    """A conversation, given to a chat model as its whole input.

    Parameters
    ----------
    messages
        Dictionaries with a `role` and a `content`. The list is kept by reference, not copied; None is a new
        empty list. What a content may hold depends on the model, so the model's adapter checks it, not this
        class.

    Examples
    --------
    >>> chat = Chat([{"role": "system", "content": "Be brief."}])
    >>> chat.add_user_message("Name a colour.")
    >>> print(chat)
    {'role': 'system', 'content': 'Be brief.'}
    {'role': 'user', 'content': 'Name a colour.'}
    """

    messages: list[dict[str, Any]] = None  # type: ignore[assignment]  # until __post_init__

    def __post_init__(self) -> None:
        if self.messages is None:
            self.messages = []

    def __str__(self) -> str:
        return "\n".join(str(message) for message in self.messages)

    def append(self, message: dict[str, Any]) -> None:
        """Add a message at the end."""
        self.messages.append(message)

    def extend(self, messages: list[dict[str, Any]]) -> None:
        """Add several messages at the end."""
        self.messages.extend(messages)

    def pop(self) -> dict[str, Any]:
        """Remove the last message and give it; an empty chat raises IndexError."""
        return self.messages.pop()

    def add_system_message(self, content: str | list[Any]) -> None:
        """Add a message of the system at the end."""
        self._add("system", content)

    def add_user_message(self, content: str | list[Any]) -> None:
        """Add a message of the user at the end."""
        self._add("user", content)

    def add_assistant_message(self, content: str | list[Any]) -> None:
        """Add a message of the assistant at the end."""
        self._add("assistant", content)

    def _add(self, role: str, content: str | list[Any]) -> None:
        self.append({"role": role, "content": content})
