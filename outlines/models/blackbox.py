"""Models behind a provider's client: how a call runs, once for those that are waited for and once for those awaited.

A provider's file says in one class, derived from `Provider`, what its requests and answers look like, and makes the
two kinds of model from it:

    class OpenAI(OpenAIRequests, BlackBox): ...
    class AsyncOpenAI(OpenAIRequests, AsyncBlackBox): ...
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from outlines.exceptions import normalize_provider_errors
from outlines.models.base import AsyncModel, Model, ModelTypeAdapter
from outlines.models.capabilities import CAPABILITIES, Capability

__all__ = ["AsyncBlackBox", "BlackBox", "Provider", "one_or_all"]


class Provider:
    """What requests to one provider and its answers look like.

    Parameters
    ----------
    client
        The provider's own client, kept by reference.
    model_name
        Name of the model, sent where a call doesn't bring its own `model`.
    """

    #: Name of the provider for the translation of errors; None leaves them as they are.
    provider: ClassVar[str | None] = None
    adapter: ClassVar[type[ModelTypeAdapter]]
    capability: ClassVar[Capability]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        row = CAPABILITIES.get(cls.__name__.removeprefix("Async"))
        if row is not None:
            cls.capability = row

    def __init__(self, client: Any, model_name: str | None = None):
        self.client = client
        self.model_name = model_name
        self.type_adapter = self.adapter()

    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Give the arguments of a request; errors of prompt and output type are raised here, before any call."""
        raise NotImplementedError

    def _complete(self, arguments: dict[str, Any]) -> Any:
        """Send a request; the answer, or an awaitable of it."""
        raise NotImplementedError

    def _open_stream(self, arguments: dict[str, Any]) -> Any:
        """Send a request for a stream; the stream, or an awaitable of it."""
        raise NotImplementedError

    def _text(self, answer: Any) -> Any:
        """Read the text of an answer, or the list of its texts."""
        raise NotImplementedError

    def _piece(self, chunk: Any) -> str | None:
        """Read the text of a piece of a stream, None where it has none."""
        raise NotImplementedError

    def _named(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Add the model's name where a call brings none."""
        if "model" in kwargs or self.model_name is None:
            return kwargs
        return {**kwargs, "model": self.model_name}

    def _errors(self) -> AbstractContextManager[None]:
        return nullcontext() if self.provider is None else normalize_provider_errors(self.provider)


class BlackBox(Provider, Model):
    """A model whose provider is waited for."""

    def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Send a prompt and give the text; a list of texts where several are asked for.

        Parameters
        ----------
        model_input
            The prompt.
        output_type
            What the provider is to hold the text to.
        **kwargs
            For the provider's own client, as they are.

        Raises
        ------
        TypeError, ValueError, NotImplementedError
            If prompt or output type aren't taken; nothing was sent then.
        APIError
            What the provider answered, translated.
        """
        arguments = self._arguments(model_input, output_type, kwargs)
        with self._errors():
            return self._text(self._complete(arguments))

    def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Raise NotImplementedError: see `outlines.models.concurrent`."""
        raise self.capability.batch_refusal()

    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Give the text in pieces, as they come; the request is sent at the first `next`. See `generate`."""
        arguments = self._arguments(model_input, output_type, kwargs)
        with self._errors():
            stream = self._open_stream(arguments)
            try:
                for chunk in stream:
                    piece = self._piece(chunk)
                    if piece is not None:
                        yield piece
            finally:
                _close(stream, "close")


class AsyncBlackBox(Provider, AsyncModel):
    """A model whose provider is awaited."""

    async def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Send a prompt and give the text, as `BlackBox.generate`."""
        arguments = self._arguments(model_input, output_type, kwargs)
        with self._errors():
            return self._text(await self._complete(arguments))

    async def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Raise NotImplementedError: see `outlines.models.concurrent`."""
        raise self.capability.batch_refusal()

    async def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Give the text in pieces, as they come, as `BlackBox.generate_stream`."""
        arguments = self._arguments(model_input, output_type, kwargs)
        with self._errors():
            stream = await self._open_stream(arguments)
            try:
                async for chunk in stream:
                    piece = self._piece(chunk)
                    if piece is not None:
                        yield piece
            finally:
                closing = _close(stream, "aclose", "close")
                if inspect.isawaitable(closing):
                    await closing


def one_or_all(texts: list) -> Any:
    """Give the text where one was asked for, else the list of them."""
    return texts[0] if len(texts) == 1 else texts


def _close(stream: Any, *names: str) -> Any:
    """Close a stream that is left early, else its connection stays open: by the first method that it has."""
    methods = (getattr(stream, name, None) for name in names)
    close = next(filter(callable, methods), None)
    return None if close is None else close()
