"""Batches for providers that have none: requests side by side, a limit to them, and another try where it helps."""

from __future__ import annotations

import asyncio
import random
from asyncio import sleep as sleep_awaited
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

from outlines.exceptions import APIError, OutlinesError
from outlines.models.base import AsyncModel, Model

__all__ = ["AsyncConcurrentModel", "BatchError", "ConcurrentModel", "concurrent"]

_FIRST_DELAY_SECONDS = 0.5  # doubled with each try
_LONGEST_DELAY_SECONDS = 30.0


class BatchError(OutlinesError):
    """Some prompts of a batch failed; the others have their results.

    Attributes
    ----------
    results : list
        In the order of the prompts; None where one failed.
    errors : dict of int to Exception
        What each place in the batch failed by.
    """

    def __init__(self, results: list, errors: dict[int, Exception]):
        place, first = next(iter(errors.items()))
        super().__init__(
            f"{len(errors)} of {len(results)} prompts failed, the first at index {place}: "
            f"{type(first).__name__}: {first}. The others are in `.results`, the errors in `.errors`"
        )
        self.results = results
        self.errors = errors


class _Policy:
    """What both kinds of concurrent models know."""

    def __init__(self, model: Any, limit: int, retries: int):
        if limit < 1 or retries < 0:
            raise ValueError(f"limit is {limit} and retries {retries}; at least 1 and 0 are needed")
        self.model = model
        self.limit = limit
        self.retries = retries
        self.type_adapter = model.type_adapter
        self.capability = model.capability
        self.provider = getattr(model, "provider", None)

    def _delay(self, error: Exception, num_tries: int) -> float | None:
        """Give how long to wait before the next try, None if there is none."""
        if num_tries > self.retries or not isinstance(error, APIError) or not error.retryable:
            return None
        return max(_asked_delay(error), random.uniform(0.5, 1) * _backoff(num_tries))

    def _types(self, prompts: list, output_type: Any) -> list:
        """Give the output type of each prompt."""
        if not isinstance(prompts, (list, tuple)):
            raise TypeError(f"batch takes a list of prompts, not a {type(prompts).__name__}")
        if not isinstance(output_type, list):
            return [output_type] * len(prompts)
        if len(output_type) != len(prompts):
            raise ValueError(
                f"{len(prompts)} prompts for a list of {len(output_type)} output types: give one for each prompt"
            )
        return output_type


def _backoff(num_tries: int) -> float:
    return min(_FIRST_DELAY_SECONDS * 2 ** (num_tries - 1), _LONGEST_DELAY_SECONDS)


def _asked_delay(error: APIError) -> float:
    """Give the seconds that the provider asked to wait (Retry-After), 0 if it didn't."""
    headers = getattr(getattr(error.original_exception, "response", None), "headers", None) or {}
    try:
        return min(float(headers.get("retry-after", 0)), _LONGEST_DELAY_SECONDS)
    except ValueError:  # a date; the back-off does
        return 0.0


def _all_or_error(results: list) -> list:
    errors = {place: result for place, result in enumerate(results) if isinstance(result, Exception)}
    if errors:
        raise BatchError([None if place in errors else each for place, each in enumerate(results)], errors)
    return results


class ConcurrentModel(_Policy, Model):
    """A model with batches and retries; see `concurrent`."""

    def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Send a prompt, again where the error may pass."""
        num_tries = 0
        while True:
            num_tries += 1
            try:
                return self.model.generate(model_input, output_type, **kwargs)
            except Exception as error:
                delay = self._delay(error, num_tries)
                if delay is None:
                    raise
            sleep(delay)

    def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Send prompts side by side, at most `limit` at a time; results in their order, or BatchError with them."""
        types = self._types(model_input, output_type)

        def run(prompt: Any, each: Any) -> Any:
            try:
                return self.generate(prompt, each, **kwargs)
            except Exception as error:  # whatever it is, it's this prompt's alone
                return error

        if not model_input:
            return []
        with ThreadPoolExecutor(min(self.limit, len(model_input))) as pool:
            return _all_or_error(list(pool.map(run, model_input, types)))

    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Give the text in pieces; what fails before the first one is tried again."""
        num_tries, has_begun = 0, False
        while True:
            num_tries += 1
            try:
                for piece in self.model.generate_stream(model_input, output_type, **kwargs):
                    has_begun = True
                    yield piece
                return
            except Exception as error:
                delay = None if has_begun else self._delay(error, num_tries)
                if delay is None:
                    raise
            sleep(delay)


class AsyncConcurrentModel(_Policy, AsyncModel):
    """As `ConcurrentModel`, for a model that is awaited."""

    async def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Send a prompt, again where the error may pass."""
        num_tries = 0
        while True:
            num_tries += 1
            try:
                return await self.model.generate(model_input, output_type, **kwargs)
            except Exception as error:
                delay = self._delay(error, num_tries)
                if delay is None:
                    raise
            await sleep_awaited(delay)

    async def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Send prompts side by side, at most `limit` at a time; results in their order, or BatchError with them."""
        types = self._types(model_input, output_type)
        slots = asyncio.Semaphore(self.limit)

        async def run(prompt: Any, each: Any) -> Any:
            async with slots:
                return await self.generate(prompt, each, **kwargs)

        tasks = [run(prompt, each) for prompt, each in zip(model_input, types, strict=True)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result  # cancelled, interrupted
        return _all_or_error(results)

    async def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Give the text in pieces; what fails before the first one is tried again."""
        num_tries, has_begun = 0, False
        while True:
            num_tries += 1
            try:
                async for piece in self.model.generate_stream(model_input, output_type, **kwargs):
                    has_begun = True
                    yield piece
                return
            except Exception as error:
                delay = None if has_begun else self._delay(error, num_tries)
                if delay is None:
                    raise
            await sleep_awaited(delay)


def concurrent(model: Any, limit: int = 8, retries: int = 4) -> ConcurrentModel | AsyncConcurrentModel:
    """Make a model that takes batches, for a provider that has none.

    Parameters
    ----------
    model
        A black-box model, waited for (its requests then run in threads) or awaited; it may be a `checked` one.
    limit
        How many requests to have under way at a time.
    retries
        How often to try again what may pass: rate limits, time-outs, failures of server and connection. The waits
        double from half a second to half a minute, and are longer where the provider asks for it.

    Raises
    ------
    ValueError
        If `limit` is below 1 or `retries` below 0, or the model is steered by our own engine.
    """
    row = getattr(model, "capability", None)
    if row is None:
        raise ValueError(
            f"{type(model).__name__} runs on this machine: use its own `batch`, where it has one"
        )
    return (AsyncConcurrentModel if isinstance(model, AsyncModel) else ConcurrentModel)(model, limit, retries)
