"""Generators: a model and an output type, compiled once and used for any number of prompts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from outlines.models import AsyncBlackBoxModel, BlackBoxModel, Model, SteerableModel
from outlines.models.base import AsyncModel
from outlines.processors import OutlinesLogitsProcessor
from outlines.types.dsl import python_types_to_terms

__all__ = ["AsyncBlackBoxGenerator", "BlackBoxGenerator", "Generator", "SteerableGenerator"]

_BACKEND = "outlines"


class SteerableGenerator:
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
        Engine that makes the masks: None or "outlines".

    Attributes
    ----------
    model
    logits_processor : OutlinesLogitsProcessor or None

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
        if output_type is not None:
            self.logits_processor = _constraint_processor(model, output_type, backend_name)

    @classmethod
    def from_processor(cls, model: Any, processor: OutlinesLogitsProcessor) -> SteerableGenerator:
        """Make a generator that uses a logits processor of the user's own.

        Parameters
        ----------
        model
            The model.
        processor
            Kept by reference, and reset before each generation.
        """
        generator = cls(model, None)
        generator.logits_processor = processor
        return generator

    def __call__(self, prompt: Any, **kwargs: Any) -> str | list[str]:
        """Generate text for one prompt; several samples of it come as a list. See `Model.__call__`."""
        self._reset()
        return self.model.generate(prompt, self.logits_processor, **kwargs)

    def batch(self, prompts: list, **kwargs: Any) -> list[str] | list[list[str]]:
        """Generate text for several prompts at once. See `Model.batch`."""
        self._reset()
        return self.model.generate_batch(prompts, self.logits_processor, **kwargs)

    def stream(self, prompt: Any, **kwargs: Any) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, as they come."""
        self._reset()
        return self.model.generate_stream(prompt, self.logits_processor, **kwargs)

    def _reset(self) -> None:
        if self.logits_processor is not None:
            self.logits_processor.reset()


def _constraint_processor(model: Any, output_type: Any, backend_name: str | None) -> OutlinesLogitsProcessor:
    """Compile an output type, or a list of them, into the model's kind of logits processor."""
    if backend_name not in (None, _BACKEND):
        raise ValueError(f"the backend {backend_name!r} is not supported; write {_BACKEND!r} or leave it out")
    if not isinstance(output_type, list):
        return model.constraint_processor(_constraint(model, output_type))
    # One compilation for all prompts that name the same type.
    constraints = {id(each): _constraint(model, each) for each in output_type if each is not None}
    return model.constraint_processor([constraints.get(id(each)) for each in output_type])


def _constraint(model: Any, output_type: Any) -> Any:
    if isinstance(output_type, OutlinesLogitsProcessor):
        raise ValueError(
            f"{type(output_type).__name__} is a logits processor, not an output type: give it as `processor=`"
        )
    # The engine is imported when there is something to compile: `import outlines` stays light.
    from outlines.engine import Constraint

    return Constraint(python_types_to_terms(output_type), model.vocabulary)


class BlackBoxGenerator:
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

    def __call__(self, prompt: Any, **kwargs: Any) -> Any:
        """Generate text for one prompt; several samples of it come as a list."""
        return self.model.generate(prompt, self.output_type, **kwargs)

    def batch(self, prompts: list, **kwargs: Any) -> list:
        """Generate text for several prompts at once, where the model can."""
        return self.model.generate_batch(prompts, self.output_type, **kwargs)

    def stream(self, prompt: Any, **kwargs: Any) -> Iterator[str]:
        """Generate text for one prompt and give it in pieces, as they come."""
        return self.model.generate_stream(prompt, self.output_type, **kwargs)


class AsyncBlackBoxGenerator:
    """As `BlackBoxGenerator`, for a model that is awaited."""

    def __init__(self, model: AsyncModel, output_type: Any | None):
        self.model = model
        self.output_type = output_type

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


def Generator(
    model: Any,
    output_type: Any | None = None,
    backend: str | None = None,
    *,
    processor: OutlinesLogitsProcessor | None = None,
) -> SteerableGenerator | BlackBoxGenerator | AsyncBlackBoxGenerator:
    """Make a generator for a model, of the kind that suits it.

    Parameters
    ----------
    model
        A model of `outlines.models`.
    output_type
        What the text is to be: a Python type, a term, a JSON Schema, a grammar. None leaves it free. For a
        steerable model also a list, one output type for each prompt of a batch (None leaves that one free).
    backend
        Engine that steers the model, None or "outlines". Ignored for models that aren't steered, and where
        there is nothing to steer them by.
    processor
        A logits processor of the user's own, in place of an output type; steerable models only.

    Returns
    -------
    SteerableGenerator, BlackBoxGenerator or AsyncBlackBoxGenerator
        All three have `__call__(prompt, **kwargs)`, `batch(prompts, **kwargs)` and `stream(prompt,
        **kwargs)`.

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
