"""Engines that steer a local model: our own, called "outlines", and others to compare with behind one interface.

The functions stand here, and not in a module below, because this is where users replace them and the defaults.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from outlines.backends.base import BaseBackend, LogitsProcessorType
from outlines.models import SteerableModel
from outlines.types.dsl import CFG, JsonSchema, Term, to_regex
from outlines.types.json_schema_regex import whitespace_as_pattern

__all__ = [
    "CFG_DEFAULT_BACKEND",
    "JSON_SCHEMA_DEFAULT_BACKEND",
    "REGEX_DEFAULT_BACKEND",
    "BaseBackend",
    "LLGuidanceBackend",
    "LogitsProcessorType",
    "OutlinesBackend",
    "OutlinesCoreBackend",
    "SteerableModel",
    "XGrammarBackend",
    "get_cfg_logits_processor",
    "get_json_schema_logits_processor",
    "get_regex_logits_processor",
    "get_term_logits_processor",
]

CFG_DEFAULT_BACKEND = "outlines"
JSON_SCHEMA_DEFAULT_BACKEND = "outlines"
REGEX_DEFAULT_BACKEND = "outlines"

#: Class and module of each backend; a module is imported, and with it what it needs, when its backend is asked for.
_BACKENDS = {
    "outlines": "OutlinesBackend",
    "outlines_core": "OutlinesCoreBackend",
    "llguidance": "LLGuidanceBackend",
    "xgrammar": "XGrammarBackend",
}


def __getattr__(name: str) -> Any:
    for module, backend in _BACKENDS.items():
        if name == backend:
            return getattr(importlib.import_module(f"outlines.backends.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _get_backend(backend_name: str, model: Any) -> BaseBackend:
    """Make the backend of this name for a model.

    Raises
    ------
    ValueError
        If there is none of this name, or it can't steer such a model.
    ImportError
        If it needs a package that isn't installed.
    """
    if backend_name not in _BACKENDS:
        names = ", ".join(map(repr, _BACKENDS))
        raise ValueError(f"the backend {backend_name!r} is not supported; there are {names}")
    return __getattr__(_BACKENDS[backend_name])(model)


def get_json_schema_logits_processor(
    backend_name: str | None, model: Any, json_schema: str, whitespace_pattern: str | None = None
) -> LogitsProcessorType:
    """Make a logits processor for the text of a JSON Schema.

    Parameters
    ----------
    backend_name
        Name of the engine, None for `JSON_SCHEMA_DEFAULT_BACKEND`.
    model
        The model that it is to steer.
    json_schema
        Text of the schema.
    whitespace_pattern
        Pattern of the white space within a value; None leaves it to the engine.
    """
    backend = _get_backend(backend_name or JSON_SCHEMA_DEFAULT_BACKEND, model)
    return backend.get_json_schema_logits_processor(json_schema, whitespace_pattern)


def get_regex_logits_processor(backend_name: str | None, model: Any, regex: str) -> LogitsProcessorType:
    """Make a logits processor for a pattern; the engine's name may be None, for `REGEX_DEFAULT_BACKEND`."""
    return _get_backend(backend_name or REGEX_DEFAULT_BACKEND, model).get_regex_logits_processor(regex)


def get_cfg_logits_processor(backend_name: str | None, model: Any, grammar: str) -> LogitsProcessorType:
    """Make a logits processor for a grammar; the engine's name may be None, for `CFG_DEFAULT_BACKEND`."""
    return _get_backend(backend_name or CFG_DEFAULT_BACKEND, model).get_cfg_logits_processor(grammar)


def get_term_logits_processor(
    backend_name: str | None, model: Any, term: Term | Sequence[Term | None]
) -> LogitsProcessorType:
    """Make a logits processor for any term, or a list with one (or None) for each prompt of a batch.

    An engine that knows terms gets it whole. Another gets the text of a schema, a grammar, or a pattern.

    Raises
    ------
    ValueError
        If the term is a list, or has options beyond white space, and the engine knows no terms.
    TypeError
        If the engine knows no terms, and the term has no pattern.

    Warns
    -----
    UserWarning
        If a term's pattern leaves out something of a schema within it.
    """
    if isinstance(term, CFG):
        default = CFG_DEFAULT_BACKEND
    elif isinstance(term, JsonSchema):
        default = JSON_SCHEMA_DEFAULT_BACKEND
    else:
        default = REGEX_DEFAULT_BACKEND
    backend_name = backend_name or default
    backend = _get_backend(backend_name, model)
    if hasattr(backend, "get_term_logits_processor"):
        return backend.get_term_logits_processor(term)
    if not isinstance(term, Term):
        raise ValueError(
            f"the backend {backend_name!r} takes one output type for a whole batch; a list with one for each "
            "prompt needs the backend 'outlines'"
        )
    options = _options(term)
    if options:
        raise ValueError(
            f"the backend {backend_name!r} has no {', '.join(options)}: leave it out, or use the backend 'outlines'"
        )
    if isinstance(term, CFG):
        return backend.get_cfg_logits_processor(term.definition)
    if isinstance(term, JsonSchema):
        space = whitespace_as_pattern(term.whitespace_pattern)
        return backend.get_json_schema_logits_processor(term.schema, space)
    return backend.get_regex_logits_processor(to_regex(term))


def _options(term: Term) -> list[str]:
    """Write the options of a schema or a grammar that its text doesn't tell."""
    if isinstance(term, JsonSchema):
        return term.options.beyond_white_space()
    if isinstance(term, CFG):
        named = {name: getattr(term, name) for name in ("lexer", "syntax", "start")}
        return [f"{name}={value!r}" for name, value in named.items() if value is not None]
    return []
