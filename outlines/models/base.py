"""What every model shares: the adapter of its inputs, and the calls that make a generator for one use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

__all__ = ["AsyncModel", "Model", "ModelTypeAdapter"]


class ModelTypeAdapter(ABC):
    """Turns what the user gives into what the model's own library takes."""

    @abstractmethod
    def format_input(self, model_input: Any) -> Any:
        """Check a prompt and give it in the library's form; TypeError where its type isn't taken."""

    @abstractmethod
    def format_output_type(self, output_type: Any | None = None) -> Any:
        """Give the library's arguments for an output type (black box) or a logits processor (steerable)."""


class Model(ABC):
    """A model that is called and waited for.

    A subclass sets `type_adapter`, and where its logits can be steered `tensor_library_name`, `vocabulary`
    and `constraint_processor`. Keyword arguments go to the model's own library as they are.
    """

    type_adapter: ModelTypeAdapter
    tensor_library_name: str

    def __call__(
        self, model_input: Any, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ):
        """Generate text for one prompt.

        The output type is compiled anew each time: to use one several times, make a `Generator`.

        Parameters
        ----------
        model_input
            The prompt; which types are taken depends on the model.
        output_type
            What the text is to be: a Python type, a term, a JSON Schema, a grammar. None leaves it free.
        backend
            Engine that steers the model, None for our own. Models that can't be steered ignore it.
        **kwargs
            For the model's own library.

        Returns
        -------
        str or list of str
            The text, a list where several samples are asked for. It's never parsed or cast.
        """
        return _generator(self, output_type, backend)(model_input, **kwargs)

    def batch(
        self, model_input: list, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ) -> list:
        """Generate text for several prompts at once.

        As `__call__`, but a list of prompts gives a list of results. A steerable model also takes a *list* of
        output types, one for each prompt; None in it leaves that prompt's text free.

        Raises
        ------
        ValueError
            If the list of output types has another length than that of prompts; the model is not called.
        """
        return _generator(self, output_type, backend).batch(model_input, **kwargs)

    def stream(
        self, model_input: Any, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, as they come. See `__call__`."""
        return _generator(self, output_type, backend).stream(model_input, **kwargs)

    @abstractmethod
    def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Generate text for one prompt; for a steerable model the second argument is a logits processor."""

    @abstractmethod
    def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Generate text for several prompts, or raise NotImplementedError."""

    @abstractmethod
    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Generate text for one prompt in pieces, or raise NotImplementedError."""


class AsyncModel(ABC):
    """A model that is awaited; otherwise as `Model`."""

    type_adapter: ModelTypeAdapter

    async def __call__(
        self, model_input: Any, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ):
        """Generate text for one prompt, as `Model.__call__`."""
        return await _generator(self, output_type, backend)(model_input, **kwargs)

    async def batch(
        self, model_input: list, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ) -> list:
        """Generate text for several prompts at once, as `Model.batch`."""
        return await _generator(self, output_type, backend).batch(model_input, **kwargs)

    async def stream(
        self, model_input: Any, output_type: Any | None = None, backend: str | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Generate text for one prompt in pieces: an async generator, nothing to await before iterating."""
        async for chunk in _generator(self, output_type, backend).stream(model_input, **kwargs):
            yield chunk

    @abstractmethod
    async def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Generate text for one prompt."""

    @abstractmethod
    async def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Generate text for several prompts, or raise NotImplementedError."""

    @abstractmethod
    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Generate text for one prompt in pieces, or raise NotImplementedError; an async generator."""


def _generator(model: Any, output_type: Any | None, backend: str | None) -> Any:
    # Generators know the models, so here the import waits for the call.
    from outlines.generator import Generator

    return Generator(model, output_type, backend)
