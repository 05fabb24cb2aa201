"""Models of the `transformers` library that take images, audio or video beside their text."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from outlines.inputs import Audio, Chat, Image, Video
from outlines.models.adapters import ProviderTypeAdapter
from outlines.models.transformers import Transformers, TransformersTypeAdapter

__all__ = ["TransformersMultiModal", "TransformersMultiModalTypeAdapter"]

#: For each kind of asset: its attribute, the type of its part of a message, the processor's argument.
_ASSETS: tuple[tuple[type, str, str], ...] = (
    (Image, "image", "images"),
    (Video, "video", "videos"),
    (Audio, "audio", "audio"),
)


class TransformersMultiModalTypeAdapter(ProviderTypeAdapter):
    """Prompts as the arguments of a processor; a plain string isn't taken.

    Parameters
    ----------
    **kwargs
        Only `tokenizer` is read, whose chat template is used.
    """

    handlers: ClassVar[dict[type, tuple[str, str]]] = {
        list: ("list", "format_list_input"),
        Chat: ("chat", "format_chat_input"),
    }

    def __init__(self, **kwargs: Any):
        self.tokenizer = kwargs.get("tokenizer")

    def format_list_input(self, model_input: list) -> dict[str, Any]:
        """Give the arguments for a text, which has the placeholders of its assets, and these."""
        return self._arguments(model_input[0], model_input[1:])

    def format_chat_input(self, model_input: Chat) -> dict[str, Any]:
        """Render a conversation, ready for the assistant's turn, and collect its assets in their order."""
        messages = [
            {**message, "content": self._content(message["content"])} for message in model_input.messages
        ]
        assets = []
        for message in messages:
            if isinstance(message["content"], list):
                for part in message["content"]:
                    if part["type"] != "text":
                        assets.append(part[part["type"]])
        assert self.tokenizer is not None  # only tests make an adapter without one
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._arguments(text, assets)

    def _content(self, content: Any) -> str | list[dict[str, Any]]:
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise ValueError(f"Invalid content type: {type(content)}. The content must be a string or a list")
        if all(isinstance(part, dict) for part in content):
            return [self._checked(part) for part in content]
        return [{"type": "text", "text": content[0]}, *map(self._format_asset_for_template, content[1:])]

    def _format_asset_for_template(self, asset: Any) -> dict[str, Any]:
        for kind, name, _ in _ASSETS:
            if isinstance(asset, kind):
                return {"type": name, name: asset}
        raise ValueError(f"Assets must be of type Image, Video or Audio, got {type(asset).__name__}")

    def _checked(self, part: dict[str, Any]) -> dict[str, Any]:
        if len(part) > 2:
            raise ValueError(f"Found item with multiple keys: {list(part)}. Write a part for each asset")
        if "type" not in part:
            raise ValueError(
                "Each item in the content list must be a dictionary with a 'type' key and one of that name"
            )
        name = part["type"]
        if name == "text":
            return part
        if name not in [each for _, each, _ in _ASSETS]:
            raise ValueError(f"Content must be 'text', 'image', 'video' or 'audio', got {name!r}")
        if name not in part:
            raise ValueError(f"Item with type '{name}' must contain a '{name}' key")
        if not isinstance(part[name], tuple(kind for kind, _, _ in _ASSETS)):
            raise ValueError(f"Assets must be of type Image, Video or Audio, got {type(part[name]).__name__}")
        return part

    def _arguments(self, text: str, assets: list) -> dict[str, Any]:
        if not assets:
            return {"text": text}
        if len({type(asset) for asset in assets}) > 1:
            raise ValueError("All assets must be of the same type: only images, only videos or only audio")
        for kind, name, argument in _ASSETS:
            if isinstance(assets[0], kind):
                return {"text": text, argument: [getattr(asset, name) for asset in assets]}
        raise ValueError(
            f"Unsupported asset type: {type(assets[0]).__name__}. Wrap it as an Image, Video or Audio"
        )

    def format_output_type(self, output_type: Any | None = None) -> Any | None:
        """Put a logits processor into the list that `generate` takes; None stays None."""
        return TransformersTypeAdapter(self.tokenizer).format_output_type(output_type)


class TransformersMultiModal(Transformers):
    """A model of `transformers` with a processor for more than text.

    Parameters
    ----------
    model
        The model.
    processor
        Its processor, which is set to pad on the left.
    device_dtype
        Type to cast the processor's output to, None to leave it. May be changed later.

    Attributes
    ----------
    processor
        As it was given. All others are as those of `Transformers`.
    """

    def __init__(self, model: Any, processor: Any, *, device_dtype: Any = None):
        self.processor = processor
        self.processor.padding_side = "left"
        self.processor.pad_token = "[PAD]"
        super().__init__(model, processor.tokenizer, device_dtype=device_dtype)
        self.type_adapter = TransformersMultiModalTypeAdapter(tokenizer=processor.tokenizer)  # type: ignore[assignment]

    @override
    def _encode(self, prompts: list) -> dict[str, Any]:
        merged: dict[str, Any] = {"text": []}
        for prompt in prompts:
            for name, value in self.type_adapter.format_input(prompt).items():  # type: ignore[attr-defined]
                if name == "text":
                    merged["text"].append(value)
                else:
                    merged.setdefault(name, []).extend(value)
        inputs = self.processor(**merged, padding=True, return_tensors="pt")
        if self.device_dtype is None:
            return dict(inputs.to(self.model.device))
        return dict(inputs.to(self.model.device, dtype=self.device_dtype))
