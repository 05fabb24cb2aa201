"""`text`, `regex`, `json`, `choice`, `format`, `cfg` and `fsm`, by way of `Generator`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

from outlines.generate.machines import term_of_machine
from outlines.generator import Generator
from outlines.types.dsl import CFG, Choice, JsonSchema, Regex
from outlines.types.utils import is_callable

__all__ = ["cfg", "choice", "format", "fsm", "json", "regex", "text"]


def text(model: Any, sampler: None = None) -> Any:
    """Make a generator of free text; write `Generator(model)`."""
    return _generator("text", "Generator(model)", model, None, sampler)


def regex(model: Any, regex_str: str | Regex, sampler: None = None) -> Any:
    """Make a generator of texts that a pattern matches; write `Generator(model, outlines.regex(pattern))`."""
    term = regex_str if isinstance(regex_str, Regex) else Regex(regex_str)
    return _generator("regex", "Generator(model, outlines.regex(...))", model, term, sampler)


def json(
    model: Any,
    schema_object: str | dict | type | Callable[..., Any],
    sampler: None = None,
    whitespace_pattern: str | None = None,
) -> Any:
    """Make a generator of JSON; write `Generator(model, Class)`, or `outlines.json_schema` for a schema.

    Parameters
    ----------
    model
        The model.
    schema_object
        A Pydantic model or another class that has a schema, the text of a schema, a dict, or a function, whose
        arguments are meant.
    sampler
        Must be None.
    whitespace_pattern
        Pattern of the white space within a value.
    """
    if is_callable(schema_object):
        from outlines.types.utils import get_schema_from_signature

        schema_object = get_schema_from_signature(schema_object)  # type: ignore[arg-type]
    term = JsonSchema(schema_object, whitespace_pattern)
    return _generator("json", "Generator(model, YourClass)", model, term, sampler)


def choice(model: Any, choices: list[str] | type[Enum], sampler: None = None) -> Any:
    """Make a generator of one of some texts; write `Generator(model, Literal["a", "b"])`."""
    output_type = Choice(choices) if isinstance(choices, list) else choices
    return _generator("choice", 'Generator(model, Literal["a", "b"])', model, output_type, sampler)


def format(model: Any, python_type: Any, sampler: None = None) -> Any:
    """Make a generator of texts of a Python type; write `Generator(model, int)`."""
    return _generator("format", "Generator(model, int)", model, python_type, sampler)


def cfg(model: Any, cfg_str: str, sampler: None = None) -> Any:
    """Make a generator of texts of a grammar; write `Generator(model, outlines.cfg(grammar))`."""
    return _generator("cfg", "Generator(model, outlines.cfg(...))", model, CFG(cfg_str), sampler)


def fsm(model: Any, fsm: Any, sampler: None = None) -> Any:
    """Make a generator of texts that an automaton accepts; write a pattern, a term or a grammar instead.

    Parameters
    ----------
    model
        The model.
    fsm
        An automaton of the package `interegular`, or anything with the same `alphabet`, `initial`, `finals` and `map`.
    sampler
        Must be None.
    """
    return _generator("fsm", "Generator(model, outlines.regex(...))", model, term_of_machine(fsm), sampler)


def _generator(name: str, instead: str, model: Any, output_type: Any, sampler: None) -> Any:
    if sampler is not None:
        raise TypeError(
            f"there are no samplers any more, so {type(sampler).__name__} can't be used: give the arguments of the "
            "model's own library at the call, as in `generator(prompt, do_sample=True, temperature=0.5)`"
        )
    warnings.warn(
        f"`outlines.generate.{name}` is deprecated: write `{instead}`", DeprecationWarning, stacklevel=3
    )
    return Generator(model, output_type)
