"""The keywords of JSON Schema: what value each may have, where schemas stand within it, which drafts have it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from outlines.constraints.expression import Expression, concat
from outlines.constraints.json_schema.formats import check_format
from outlines.constraints.json_schema.numbers import MAX_DIGITS
from outlines.constraints.json_schema.text import QUOTE, encode
from outlines.constraints.json_schema.value_sets import StringCase, string_case
from outlines.constraints.regex import search
from outlines.exceptions import LimitError, PatternError, SchemaError, shorten
from outlines.types.json_options import DEFAULTS, JsonOptions

__all__ = ["TYPES", "Place", "check_keywords", "effective", "escape_pointer", "read_name_pattern", "read_pattern",
           "warn_of_ignored"]  # fmt: skip

_MAX_BITS = MAX_DIGITS * 3  # a digit has 3.3 bits

TYPES = ("null", "boolean", "number", "string", "array", "object")

#: A schema within a document, and the JSON pointer to it.
Place = tuple[Any, str]

#: The draft that brought a keyword; up to the one before, it means nothing.
_SINCE: dict[str, int] = {
    **dict.fromkeys(("const", "contains", "propertyNames"), 6),
    **dict.fromkeys(("if", "then", "else"), 7),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties",
                     "minContains", "maxContains", "$recursiveRef"), 2019),
    **dict.fromkeys(("prefixItems", "$dynamicRef"), 2020),
}  # fmt: skip

#: Keywords of the vocabularies other than validation.
_NOT_VALIDATION = frozenset(
    "$ref $dynamicRef $recursiveRef allOf anyOf oneOf not if then else dependentSchemas properties patternProperties "
    "additionalProperties propertyNames items prefixItems additionalItems contains unevaluatedItems "
    "unevaluatedProperties $id id $schema".split()
)

#: Keywords that mean something only beside another one, without which they are inert.
_ONLY_BESIDE = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}


def effective(schema: dict[str, Any], draft: int | None, asserts: bool) -> dict[str, Any]:
    """Give a schema without the keywords that mean nothing in its draft (None is any) or its vocabularies."""
    if draft is not None:
        if draft <= 7 and "$ref" in schema:
            return {"$ref": schema["$ref"]}
        if any(_SINCE.get(keyword, 0) > draft for keyword in schema):
            schema = {keyword: value for keyword, value in schema.items() if _SINCE.get(keyword, 0) <= draft}
    if not asserts:
        schema = {keyword: value for keyword, value in schema.items() if keyword in _NOT_VALIDATION}
    return schema


def warn_of_ignored(whole: dict[str, Any], kept: dict[str, Any], pointer: str, draft: int | None) -> None:
    """Warn of keywords that would assert something, but mean nothing in the draft or vocabularies of their document."""
    ignored = [keyword for keyword in whole if keyword not in kept and keyword in _ASSERTIONS]
    if not ignored:
        return
    if draft is None:
        reason = "the meta-schema of its `$schema` is without the validation vocabulary"
    elif "$ref" in kept and draft <= 7:
        reason = f"in draft {draft}, that of its `$schema`, nothing counts beside $ref"
    else:
        reason = f"draft {draft}, that of its `$schema`, doesn't have it"
    warnings.warn(
        f"{pointer or 'the schema'}: {', '.join(ignored)} is ignored, since {reason}; leave `$schema` out, or name a "
        "newer draft, to have it enforced",
        UserWarning,
        stacklevel=2,
    )


def check_keywords(schema: dict[str, Any], pointer: str, options: JsonOptions = DEFAULTS) -> list[Place]:
    """Check the keywords of one schema, and give the schemas that stand within them.

    Raises
    ------
    SchemaError
        If a keyword has a value that it can't have.
    """
    within: list[Place] = []
    for keyword, value in schema.items():
        schemas = _SCHEMAS.get(keyword)
        if schemas is not None:
            beside = _ONLY_BESIDE.get(keyword)
            if beside is not None and beside not in schema:
                continue
            within += schemas(value, f"{pointer}/{keyword}")
            continue
        check = _VALUES.get(keyword)
        if check is not None:
            check(value, pointer, keyword)
        elif keyword == "format":
            _check_format(value, pointer, options)
    return within


def escape_pointer(name: str) -> str:
    """Give a name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=512)
def _pattern_case(pattern: str) -> StringCase:
    return string_case(concat(search(pattern, dialect="ecma", encode=encode), QUOTE))


@lru_cache(maxsize=512)
def _name_pattern(pattern: str) -> Expression:
    return concat(search(pattern, dialect="ecma", encode=encode), QUOTE)


def read_name_pattern(pattern: str, pointer: str) -> Expression:
    """Give the names in which a pattern is found, as one expression."""
    try:
        return _name_pattern(pattern)
    except PatternError as error:
        raise SchemaError(pointer, str(error)) from error


def read_pattern(pattern: str, pointer: str) -> StringCase:
    """Give the strings in which a pattern is found; an error names the place of the pattern."""
    try:
        return _pattern_case(pattern)
    except PatternError as error:
        raise SchemaError(pointer, str(error)) from error


# Keywords that hold no schema: each check raises for a wrong value


def _expected(pointer: str, what: str, value: Any) -> SchemaError:
    return SchemaError(pointer, f"expected {what}, got {shorten(value)}")


def _check_type(value: Any, pointer: str, keyword: str) -> None:
    for name in value if isinstance(value, list) else [value]:
        if name not in TYPES and name != "integer":
            raise _expected(f"{pointer}/{keyword}", "one of " + ", ".join((*TYPES, "integer")), name)


def _check_count(value: Any, pointer: str, keyword: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf or value % 1:
        raise _expected(f"{pointer}/{keyword}", "a number of at least 0 without fraction", value)


def _check_number(value: Any, pointer: str, keyword: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _expected(f"{pointer}/{keyword}", "a number", value)
    if not -math.inf < value < math.inf:
        raise _expected(f"{pointer}/{keyword}", "a finite number", value)
    check_digits(value, f"{pointer}/{keyword}")


def _check_multiple(value: Any, pointer: str, keyword: str) -> None:
    _check_number(value, pointer, keyword)
    if value <= 0:
        raise _expected(f"{pointer}/{keyword}", "a number above 0", value)


def _check_exclusive(value: Any, pointer: str, keyword: str) -> None:
    if not isinstance(value, bool):
        _check_number(value, pointer, keyword)


def _check_pattern(value: Any, pointer: str, keyword: str) -> None:
    if not isinstance(value, str):
        raise _expected(f"{pointer}/{keyword}", "a pattern as a string", value)
    read_pattern(value, f"{pointer}/{keyword}")


def _check_format(value: Any, pointer: str, options: JsonOptions) -> None:
    if not isinstance(value, str):
        raise _expected(f"{pointer}/format", "the name of a format", value)
    if options.formats == "assert":
        check_format(value, f"{pointer}/format", options.unknown_formats == "error")


def _check_enum(value: Any, pointer: str, keyword: str) -> None:
    if not isinstance(value, list):
        raise _expected(f"{pointer}/{keyword}", "a list of values", value)
    for i, part in enumerate(value):
        if type(part) is not str:
            _check_json(part, f"{pointer}/{keyword}/{i}")


def _check_const(value: Any, pointer: str, keyword: str) -> None:
    _check_json(value, f"{pointer}/{keyword}")


def _check_json(value: Any, pointer: str) -> None:
    """Check that a value is one of JSON, in a loop, since it may be nested deep."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if not all(isinstance(name, str) for name in part):
                raise _expected(pointer, "names that are strings", part)
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, float):
            if not -math.inf < part < math.inf:
                raise _expected(pointer, "a finite number", part)
        elif isinstance(part, int):
            check_digits(part, pointer)
        elif part is not None and not isinstance(part, str):
            raise _expected(pointer, "a value of JSON", part)


def check_digits(value: float, pointer: str) -> None:
    """Check that a number isn't too long to be compared digit by digit."""
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise LimitError("MAX_DIGITS", f"{pointer}: the number has more than {MAX_DIGITS} digits")


def _check_required(value: Any, pointer: str, keyword: str) -> None:
    if isinstance(value, bool):  # draft 3
        return
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _expected(f"{pointer}/{keyword}", "a list of names", value)


def _check_flag(value: Any, pointer: str, keyword: str) -> None:
    if not isinstance(value, bool):
        raise _expected(f"{pointer}/{keyword}", "true or false", value)


def _check_dependent(value: Any, pointer: str, keyword: str) -> None:
    if not isinstance(value, dict):
        raise _expected(f"{pointer}/{keyword}", "an object of lists of names", value)
    for name, names in value.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _expected(f"{pointer}/{keyword}/{escape_pointer(name)}", "a list of names", names)


_VALUES: dict[str, Callable[[Any, str, str], None]] = {
    "type": _check_type,
    "enum": _check_enum,
    "const": _check_const,
    "required": _check_required,
    "minItems": _check_count,
    "maxItems": _check_count,
    "minLength": _check_count,
    "maxLength": _check_count,
    "pattern": _check_pattern,
    "minProperties": _check_count,
    "maxProperties": _check_count,
    "minContains": _check_count,
    "maxContains": _check_count,
    "uniqueItems": _check_flag,
    "dependentRequired": _check_dependent,
    "multipleOf": _check_multiple,
    "minimum": _check_number,
    "maximum": _check_number,
    "exclusiveMinimum": _check_exclusive,
    "exclusiveMaximum": _check_exclusive,
}


# Keywords that hold schemas: each gives them with their places


def _named_schemas(value: Any, pointer: str) -> list[Place]:
    if not isinstance(value, dict):
        raise _expected(pointer, "an object of schemas", value)
    if not all(isinstance(name, str) for name in value):
        raise _expected(pointer, "names that are strings", value)
    return [(part, f"{pointer}/{escape_pointer(name)}") for name, part in value.items()]


def _pattern_schemas(value: Any, pointer: str) -> list[Place]:
    places = _named_schemas(value, pointer)
    for pattern, (_, place) in zip(value, places, strict=True):
        read_name_pattern(pattern, place)
    return places


def _dependencies(value: Any, pointer: str) -> list[Place]:
    places = _named_schemas(value, pointer)
    for names, place in places:
        if isinstance(names, list) and not all(isinstance(name, str) for name in names):
            raise _expected(place, "a list of names", names)
    return [(part, place) for part, place in places if not isinstance(part, list | str)]  # a name alone: draft 3


def _one_schema(value: Any, pointer: str) -> list[Place]:
    return [(value, pointer)]


def _item_schemas(value: Any, pointer: str) -> list[Place]:
    return _listed_schemas(value, pointer) if isinstance(value, list) else [(value, pointer)]


def _listed_schemas(value: Any, pointer: str) -> list[Place]:
    if not isinstance(value, list):
        raise _expected(pointer, "a list of schemas", value)
    return [(part, f"{pointer}/{i}") for i, part in enumerate(value)]


def _branches(value: Any, pointer: str) -> list[Place]:
    if not value:
        raise _expected(pointer, "a list of one schema or more", value)
    return _listed_schemas(value, pointer)


_SCHEMAS: dict[str, Callable[[Any, str], list[Place]]] = {
    "properties": _named_schemas,
    "additionalProperties": _one_schema,
    "items": _item_schemas,
    "prefixItems": _listed_schemas,
    "additionalItems": _one_schema,
    "anyOf": _branches,
    "allOf": _branches,
    "oneOf": _branches,
    **dict.fromkeys(("not", "if", "then", "else", "propertyNames", "contains", "unevaluatedItems",
                     "unevaluatedProperties"), _one_schema),
    "patternProperties": _pattern_schemas,
    "dependentSchemas": _named_schemas,
    "dependencies": _dependencies,
}

#: Keywords that assert something.
_ASSERTIONS = frozenset((*_VALUES, *_SCHEMAS, "format", "$ref", "$dynamicRef", "$recursiveRef"))
