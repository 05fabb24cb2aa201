"""What providers are known to make of a JSON Schema: what they refuse, and what they take and don't enforce.

Where it comes from, as read in November 2026: OpenAI's guide to structured outputs names compositions, conditions and
the strict rules; counts and names of properties it refuses by name only for fine-tuned models, and elsewhere leaves
them out of what is supported. llama.cpp's `grammars/README.md` names what its grammars lack, but for `propertyNames`,
counts of properties and `multipleOf`, which it doesn't list either way; that Ollama and LM Studio do as llama.cpp
does is inferred. Gemini's reference of `Schema` lists what is taken, and says that the rest is ignored. TGI's row
isn't from documentation, and is unverified. A provider that isn't in the table takes its schemas as they are.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from outlines.types.dsl import JsonSchema
from outlines.types.utils import is_genson_schema_builder

__all__ = [
    "DIALECTS",
    "Dialect",
    "schema_of",
    "schema_problems",
    "schema_text",
    "warn_of_schema",
    "warn_of_type",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Dialect(NamedTuple):
    """What one provider makes of schemas.

    Attributes
    ----------
    refused, ignored : frozenset of str
        Keywords for which a request fails, and those that change nothing.
    has_integer_bounds : bool
        Whether `minimum` and the like are enforced for integers alone.
    is_strict : bool
        Whether every object must be closed, and must require all of its properties, and the whole must be an object.
    """

    refused: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    has_integer_bounds: bool = False
    is_strict: bool = False


_CONDITIONS = _words("if then else dependentRequired dependentSchemas dependencies")
_COUNTS = _words("minProperties maxProperties contains minContains maxContains uniqueItems")
_BOUNDS = _words("minimum maximum exclusiveMinimum exclusiveMaximum")
_OPEN_NAMES = _words("patternProperties propertyNames unevaluatedProperties unevaluatedItems")

#: llama.cpp writes a grammar of the schema, without these; Ollama and LM Studio run it.
_LLAMACPP = Dialect(
    ignored=_CONDITIONS | _COUNTS | _OPEN_NAMES | _words("not multipleOf"), has_integer_bounds=True
)

#: By the name of the model's class.
DIALECTS: dict[str, Dialect] = {
    "OpenAI": Dialect(
        refused=_CONDITIONS | _COUNTS | _OPEN_NAMES | _words("not allOf oneOf"), is_strict=True
    ),
    "Gemini": Dialect(
        ignored=_CONDITIONS
        | _words("contains minContains maxContains uniqueItems")
        | _OPEN_NAMES
        | _words("not allOf oneOf const multipleOf exclusiveMinimum exclusiveMaximum additionalProperties")
    ),
    "LMStudio": _LLAMACPP,
    "LlamaCppServer": _LLAMACPP,
    "Ollama": _LLAMACPP,
    "TGI": Dialect(
        refused=_words("not if then else"),
        ignored=_COUNTS
        | _OPEN_NAMES
        | _BOUNDS
        | _words("multipleOf")
        | _words("dependentRequired dependentSchemas dependencies"),
    ),
}

#: What is left of a schema that is made a dataclass for Gemini's library.
_KEPT_IN_A_CLASS = _words(
    "type properties required items enum const title description default $schema $id $comment"
)

_MAPS = _words("properties patternProperties $defs definitions dependentSchemas")
_LISTS = _words("allOf anyOf oneOf prefixItems")
_SINGLE = _words(
    "items additionalProperties additionalItems not if then else contains propertyNames unevaluatedProperties "
    "unevaluatedItems"
)


def schema_text(output_type: Any) -> str:
    """Give the text of the JSON Schema that a JSON-like type stands for."""
    return (output_type if isinstance(output_type, JsonSchema) else JsonSchema(output_type)).schema


def schema_of(output_type: Any) -> dict[str, Any]:
    """Give the JSON Schema that a JSON-like type stands for, a new one each time."""
    return json.loads(schema_text(output_type))


def schema_problems(schema: Any, provider: str) -> list[str]:
    """Give what a provider refuses or ignores in a schema, a line each, with its JSON pointer."""
    dialect = DIALECTS.get(provider)
    if dialect is None:
        return []
    problems = []
    if dialect.is_strict and (schema.get("type") != "object" or "anyOf" in schema):
        problems.append(
            "the schema: refused unless it is an object, and not an `anyOf`; put it in a property of one"
        )
    for pointer, part in _subschemas(schema):
        place = pointer or "the schema"
        problems += [f"{place}: `{word}` is refused" for word in part if word in dialect.refused]
        problems += [f"{place}: `{word}` is not enforced" for word in part if word in dialect.ignored]
        if dialect.has_integer_bounds and part.get("type") != "integer":
            problems += [f"{place}: `{word}` is only enforced for integers" for word in part if word in _BOUNDS]
        if dialect.is_strict:
            problems += _open_parts(pointer, part)
    return problems


def warn_of_schema(schema: Any, provider: str) -> None:
    """Name what a provider refuses or ignores in a schema, in one UserWarning before the call."""
    _warn(schema_problems(schema, provider), provider)


def warn_of_type(output_type: Any, provider: str) -> None:
    """As `warn_of_schema`, for a type that is sent as a class: a schema that is made one loses more."""
    schema = schema_of(output_type)
    problems = schema_problems(schema, provider)
    if isinstance(output_type, JsonSchema) or is_genson_schema_builder(output_type):
        for pointer, part in _subschemas(schema):
            lost = [word for word in part if word not in _KEPT_IN_A_CLASS | DIALECTS[provider].ignored]
            problems += [f"{pointer or 'the schema'}: `{word}` is not enforced" for word in lost]
    _warn(problems, provider)


def _warn(problems: list[str], provider: str) -> None:
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        warnings.warn(
            f"{provider} doesn't take all of this schema: {shown}. `outlines.models.checked(model)` checks the answers",
            UserWarning,
            stacklevel=2,
        )


def _open_parts(pointer: str, part: dict[str, Any]) -> Iterator[str]:
    if part.get("additionalProperties", False) is not False:
        yield f"{pointer or 'the schema'}: `additionalProperties` is refused unless it is false"
    required = part.get("required", ())
    for name in part.get("properties", ()):
        if name not in required:
            yield f"{pointer}/properties/{name}: refused unless it is in `required`; make it nullable instead"


def _subschemas(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every schema within a schema, itself first, with its JSON pointer. A `$ref` isn't followed."""
    parts = [("", schema)]
    while parts:
        pointer, part = parts.pop()
        if not isinstance(part, dict):
            continue
        yield pointer, part
        for word, value in part.items():
            if word in _MAPS and isinstance(value, dict):
                named = value.items()
            elif (word in _LISTS and isinstance(value, list)) or (
                word == "items" and isinstance(value, list)
            ):
                named = enumerate(value)  # type: ignore[assignment]
            elif word in _SINGLE:
                parts.append((f"{pointer}/{word}", value))
                continue
            else:
                continue
            for name, each in named:
                escaped = str(name).replace("~", "~0").replace("/", "~1")
                parts.append((f"{pointer}/{word}/{escaped}", each))
