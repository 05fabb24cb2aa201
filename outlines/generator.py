"""Generators: a model and an output type, compiled once and used for any number of prompts.

All kinds are called with a prompt and give text. `result` and `results` give a `Result`: the text, the value that it
spells, its tokens and why it ended.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from outlines.backends import get_term_logits_processor
from outlines.insight import byte_constraint, is_whole
from outlines.models import AsyncBlackBoxModel, BlackBoxModel, SteerableModel
from outlines.models.base import AsyncModel, Model
from outlines.processors import OutlinesLogitsProcessor
from outlines.results import Details, FinishReason, Result
from outlines.types.dsl import Term, python_types_to_terms

if TYPE_CHECKING:
    from outlines.engine import Constraint

__all__ = ["AsyncBlackBoxGenerator", "BlackBoxGenerator", "Generator", "SteerableGenerator"]

T = TypeVar("T")


class SteerableGenerator(Generic[T]):
    """Generates with a local model whose logits we mask.

    Compiling the output type happens here, once. A generator runs one generation at a time; only its streams,
    which have a processor of their own each, may be interleaved.

    Parameters
    ----------
    model
        The model.
    output_type
        What the text is to be, None to leave it free. A *list* is one output type for each prompt of a batch,
        in which None leaves that prompt's text free; every call must then bring as many prompts.
    backend_name
        Engine that makes the masks, see `outlines.backends`; None for our own.

    Attributes
    ----------
    model
    logits_processor
        None if the text is free.

    Raises
    ------
    TypeError
        If an output type can't be converted to a term.
    ConstraintError
        If it can't be compiled; a ValueError too.
    ValueError
        If the backend is unknown, or a logits processor is given as output type.
    """

    def __init__(self, model: Any, output_type: Any | None, backend_name: str | None = None):
        self.model = model
        self.logits_processor = None
        self._output_type = output_type
        if output_type is not None:
            term: Any
            if isinstance(output_type, list):  # a type that stands there several times is one term, compiled once
                terms = {id(each): _term(each) for each in output_type}
                term = [terms[id(each)] for each in output_type]
            else:
                term = _term(output_type)
            self.logits_processor = get_term_logits_processor(backend_name, model, term)

    @classmethod
    def from_processor(cls, model: Any, processor: OutlinesLogitsProcessor) -> SteerableGenerator[Any]:
        """Make a generator that uses a logits processor of the user's own.

        Parameters
        ----------
        model
            The model.
        processor
            Kept by reference, and reset before each generation.
        """
        generator: SteerableGenerator[Any] = cls(model, None)
        generator.logits_processor = processor
        return generator

    @overload
    def __call__(self, prompt: Any, *, num_return_sequences: int, **kwargs: Any) -> Any: ...
    @overload
    def __call__(self, prompt: Any, **kwargs: Any) -> str: ...
    def __call__(self, prompt: Any, **kwargs: Any) -> Any:
        """Generate text for one prompt; several samples of it come as a list. See `Model.__call__`."""
        self._reset()
        generated = self.model.generate(prompt, self.logits_processor, **kwargs)
        self._warn_of_incomplete(_texts(generated), kwargs)
        return generated

    @overload
    def batch(self, prompts: list, *, num_return_sequences: int, **kwargs: Any) -> list[Any]: ...
    @overload
    def batch(self, prompts: list, **kwargs: Any) -> list[str]: ...
    def batch(self, prompts: list, **kwargs: Any) -> list[Any]:
        """Generate text for several prompts at once. See `Model.batch`."""
        self._reset()
        return self.model.generate_batch(prompts, self.logits_processor, **kwargs)

    def stream(self, prompt: Any, **kwargs: Any) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, as they come."""
        self._reset()
        pieces = self.model.generate_stream(prompt, self.logits_processor, **kwargs)
        return pieces if self._whole is None else self._checked(pieces, kwargs)

    def result(self, prompt: Any, *, logprobs: bool = False, **kwargs: Any) -> Result[T]:
        """Generate text for one prompt and give all that is known of it.

        Parameters
        ----------
        prompt
            As for a call.
        logprobs
            Whether to note the probability of each token; it takes memory for the logits of each step.
        **kwargs
            For the model's own library, of one sample.

        Raises
        ------
        ValueError
            If several samples were asked for: `results` gives them.
        """
        return _only(self.results([prompt], logprobs=logprobs, **kwargs))

    def results(self, prompts: list, *, logprobs: bool = False, **kwargs: Any) -> list[Result[T]]:
        """Generate text for several prompts at once, as `result`; a prompt's samples come one after the other.

        Raises
        ------
        NotImplementedError
            If the model tells no logarithms of probabilities, and they are asked for.
        """
        details: list[list[Details]]
        if hasattr(self.model, "generate_details"):
            self._reset()
            details = self.model.generate_details(prompts, self.logits_processor, logprobs=logprobs, **kwargs)
        else:
            if logprobs:
                raise NotImplementedError(f"{type(self.model).__name__} doesn't tell `logprobs`; leave it out")
            details = []
            for prompt in prompts:
                self._reset()
                generated = self.model.generate(prompt, self.logits_processor, **kwargs)
                details.append(self._warn_of_incomplete(_texts(generated), kwargs))
        types = self._output_type if isinstance(self._output_type, list) else [self._output_type] * len(prompts)
        return [
            Result(each.text, output_type, *each[1:])
            for output_type, samples in zip(types, details, strict=True)
            for each in samples
        ]

    def _reset(self) -> None:
        if self.logits_processor is not None:
            self.logits_processor.reset()

    # Some libraries give text and don't tell why it ended. A text that our engine steered is then read once more.

    @cached_property
    def _whole(self) -> Constraint | None:
        """What says whether a text is a whole one; None if the model does, or other masks than ours are used."""
        if self._output_type is None or isinstance(self._output_type, list):
            return None
        from outlines.backends.bitmask import BitmaskLogitsProcessor  # needs NumPy

        if hasattr(self.model, "generate_details") or isinstance(self.logits_processor, BitmaskLogitsProcessor):
            return None
        return byte_constraint(self._output_type)

    def _warn_of_incomplete(self, details: list[Details], kwargs: dict[str, Any]) -> list[Details]:
        """Add to each text whether it's a whole one, and warn if not. The mask lets no other end."""
        if self._whole is None:
            return details
        reason_to_cut: FinishReason | None = None if kwargs.get("stop") else "length"
        known = []
        for each in details:
            is_complete = is_whole(self._whole, each.text)
            if not is_complete:
                warnings.warn(
                    "the text ended before the output type was complete: raise `max_tokens`, or whatever else limits "
                    f"its length, or leave out `stop`; it ends in {each.text[-40:]!r}",
                    UserWarning,
                    stacklevel=3,
                )
            known.append(each._replace(is_complete=is_complete, finish_reason=None if is_complete else reason_to_cut))
        return known

    def _checked(self, pieces: Iterator[str], kwargs: dict[str, Any]) -> Iterator[str]:
        text = []
        for piece in pieces:
            text.append(piece)
            yield piece
        self._warn_of_incomplete([Details("".join(text))], kwargs)


def _term(output_type: Any) -> Any:
    if output_type is None:
        return None
    if isinstance(output_type, OutlinesLogitsProcessor):
        raise ValueError(
            f"{type(output_type).__name__} is a logits processor, not an output type: give it as `processor=`"
        )
    return python_types_to_terms(output_type)


def _texts(generated: str | list[str]) -> list[Details]:
    return [Details(text) for text in ([generated] if isinstance(generated, str) else generated)]


def _only(results: list[Result[T]]) -> Result[T]:
    if len(results) != 1:
        raise ValueError(f"`result` gives one text and {len(results)} were asked for: use `results([prompt], ...)`")
    return results[0]


class BlackBoxGenerator(Generic[T]):
    """Generates with a model whose provider enforces the output type.

    Parameters
    ----------
    model
        The model.
    output_type
        Kept as it is; the model's adapter checks it at each call.
    """

    def __init__(self, model: Model, output_type: Any | None):
        self.model = model
        self.output_type = output_type

    @overload
    def __call__(self, prompt: Any, *, n: int, **kwargs: Any) -> Any: ...
    @overload
    def __call__(self, prompt: Any, **kwargs: Any) -> str: ...
    def __call__(self, prompt: Any, **kwargs: Any) -> Any:
        """Generate text for one prompt; several samples of it come as a list."""
        return self.model.generate(prompt, self.output_type, **kwargs)

    def batch(self, prompts: list, **kwargs: Any) -> list:
        """Generate text for several prompts at once, where the model can."""
        return self.model.generate_batch(prompts, self.output_type, **kwargs)

    def stream(self, prompt: Any, **kwargs: Any) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, as they come."""
        return self.model.generate_stream(prompt, self.output_type, **kwargs)

    def result(self, prompt: Any, **kwargs: Any) -> Result[T]:
        """Generate text for one prompt and give it with its value; ValueError if several samples come."""
        return _only(self.results([prompt], **kwargs))

    def results(self, prompts: Iterable, **kwargs: Any) -> list[Result[T]]:
        """Generate text for several prompts, one after the other, and give each with its value."""
        generated = [self.model.generate(prompt, self.output_type, **kwargs) for prompt in prompts]
        return [Result(each.text, self.output_type) for texts in generated for each in _texts(texts)]


class AsyncBlackBoxGenerator(Generic[T]):
    """As `BlackBoxGenerator`, for a model that is awaited."""

    def __init__(self, model: AsyncModel, output_type: Any | None):
        self.model = model
        self.output_type = output_type

    @overload
    async def __call__(self, prompt: Any, *, n: int, **kwargs: Any) -> Any: ...
    @overload
    async def __call__(self, prompt: Any, **kwargs: Any) -> str: ...
    async def __call__(self, prompt: Any, **kwargs: Any) -> Any:
        """Generate text for one prompt; several samples of it come as a list."""
        return await self.model.generate(prompt, self.output_type, **kwargs)

    async def batch(self, prompts: list, **kwargs: Any) -> list:
        """Generate text for several prompts at once, where the model can."""
        return await self.model.generate_batch(prompts, self.output_type, **kwargs)

    async def stream(self, prompt: Any, **kwargs: Any) -> AsyncIterator[str]:
        """Generate text for one prompt in pieces: an async generator, nothing to await before iterating."""
        async for chunk in self.model.generate_stream(prompt, self.output_type, **kwargs):
            yield chunk

    async def result(self, prompt: Any, **kwargs: Any) -> Result[T]:
        """Generate text for one prompt and give it with its value; ValueError if several samples come."""
        return _only(await self.results([prompt], **kwargs))

    async def results(self, prompts: Iterable, **kwargs: Any) -> list[Result[T]]:
        """Generate text for several prompts at the same time and give each with its value."""
        calls = [self.model.generate(prompt, self.output_type, **kwargs) for prompt in prompts]
        generated = await asyncio.gather(*calls)
        return [Result(each.text, self.output_type) for texts in generated for each in _texts(texts)]


@overload
def Generator(  # type: ignore[overload-overlap]  # a steerable model is a Model too, and the first that fits counts
    model: SteerableModel, output_type: type[T], backend: str | None = None
) -> SteerableGenerator[T]: ...
@overload
def Generator(  # type: ignore[overload-overlap]
    model: SteerableModel,
    output_type: Term | None = None,
    backend: str | None = None,
    *,
    processor: OutlinesLogitsProcessor | None = None,
) -> SteerableGenerator[str]: ...
@overload
def Generator(
    model: SteerableModel, output_type: Any, backend: str | None = None
) -> SteerableGenerator[Any]: ...
@overload
def Generator(
    model: AsyncModel, output_type: type[T], backend: str | None = None
) -> AsyncBlackBoxGenerator[T]: ...
@overload
def Generator(
    model: AsyncModel, output_type: Any | None = None, backend: str | None = None
) -> AsyncBlackBoxGenerator[Any]: ...
@overload
def Generator(model: Model, output_type: type[T], backend: str | None = None) -> BlackBoxGenerator[T]: ...
@overload
def Generator(
    model: Model, output_type: Any | None = None, backend: str | None = None
) -> BlackBoxGenerator[Any]: ...
def Generator(
    model: Any,
    output_type: Any | None = None,
    backend: str | None = None,
    *,
    processor: OutlinesLogitsProcessor | None = None,
) -> Any:
    """Make a generator for a model, of the kind that suits it.

    Parameters
    ----------
    model
        A model of `outlines.models`.
    output_type
        What the text is to be: a Python type, a term, a JSON Schema, a grammar. None leaves it free. For a
        steerable model also a list, one output type for each prompt of a batch (None leaves that one free).
    backend
        Engine that steers the model: None or "outlines" for our own, or another of `outlines.backends`. Ignored
        for models that aren't steered, and where there is nothing to steer them by.
    processor
        A logits processor of the user's own, in place of an output type; steerable models only.

    Returns
    -------
    SteerableGenerator, BlackBoxGenerator or AsyncBlackBoxGenerator
        All three have `__call__(prompt, **kwargs)`, `batch(prompts, **kwargs)` and `stream(prompt,
        **kwargs)`, which give text, and `result(prompt, **kwargs)`, which gives a `Result`.

    Raises
    ------
    ValueError
        If both an output type and a processor are given, or the model isn't one of ours.
    NotImplementedError
        If a processor is given for a model that can't be steered.
    """
    if output_type is not None and processor is not None:
        raise ValueError(
            "give an output type or a processor, not both: the processor would already steer the model"
        )
    if isinstance(model, SteerableModel):
        if processor is not None:
            return SteerableGenerator.from_processor(model, processor)
        return SteerableGenerator(model, output_type, backend)
    if processor is not None:
        raise NotImplementedError(f"logits processors only steer local models, not a {type(model).__name__}")
    if isinstance(model, AsyncBlackBoxModel):
        return AsyncBlackBoxGenerator(model, output_type)
    if isinstance(model, BlackBoxModel):
        return BlackBoxGenerator(model, output_type)
    raise ValueError(
        f"{type(model).__name__} is not a model of outlines: make one, as with `from_transformers`"
    )
