"""JSON Schemas as regular expressions, for providers and engines that take nothing else.

The texts are some of those that the schema allows, in the form that Outlines gives them: declared members in their
order, at most one space between parts. What a pattern can't say (`minimum`, `uniqueItems`, ...) is left out with a
warning; our own engine doesn't come this way, and enforces it.
"""

from __future__ import annotations

import json
import re
import warnings
from typing import Any, NoReturn

from outlines.exceptions import LimitError

__all__ = ["WHITESPACE", "schema_regex", "whitespace_as_pattern"]

WHITESPACE = r"[ ]?"

#: What `JsonSchema` knows by name.
_NAMED_WHITESPACE = {"compact": "", "any": r"[ \t\n\r]{0,20}", "upstream": WHITESPACE}

_CHARACTER = r'([^"\\\x00-\x1F\x7F-\x9F]|\\["\\/bfnrt])'
_STRING = f'"{_CHARACTER}*"'
_INTEGER = r"(-)?(0|[1-9][0-9]*)"
_NUMBER = rf"({_INTEGER})(\.[0-9]+)?([eE][+-][0-9]+)?"
_BOOLEAN = "(true|false)"

_DATE = r"(?:\d{4})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[1-2][0-9]|3[0-1])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "uuid": r"[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}",
    "uri": r"[a-zA-Z][a-zA-Z0-9+.-]*:(?:[a-zA-Z0-9._~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*",
    "email": r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
}

#: How often a reference is followed within itself, and how deep a value without a type is.
MAX_RECURSION = 3
MAX_ANY_DEPTH = 2

#: What narrows the values of each type, and those of all.
_NARROWS = {
    "string": "minLength maxLength pattern format",
    "number": "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf",
    "array": "items prefixItems additionalItems minItems maxItems uniqueItems contains minContains maxContains "
    "unevaluatedItems",
    "object": "properties required additionalProperties patternProperties propertyNames minProperties maxProperties "
    "dependentRequired dependentSchemas dependencies unevaluatedProperties",
}
_NARROWS_ALL = "type allOf anyOf oneOf enum const $ref $dynamicRef"
#: What a pattern is made of, the first that is there, and what it takes into account of the rest.
_CHOSEN = {
    "properties": "required additionalProperties",
    "allOf": "",
    "anyOf": "",
    "oneOf": "",
    "prefixItems": "items additionalItems minItems maxItems",
    "enum": "",
    "const": "",
    "$ref": "",
    "type": f"{_NARROWS['string']} items additionalItems minItems maxItems additionalProperties minProperties "
    "maxProperties",
}
_REFUSED = ("not", "if", "then", "else")


def schema_regex(schema: Any, whitespace_pattern: str | None = None) -> str:
    """Write a JSON Schema as a regular expression.

    Parameters
    ----------
    schema
        The schema, parsed.
    whitespace_pattern
        Pattern of the white space between the parts of a value; None for at most one space.

    Raises
    ------
    ValueError
        If the schema can't be written so: it says nothing that a pattern could, has a reference to elsewhere, a format
        that isn't known, or `allOf` with several members.
    LimitError
        If it's nested too deep.

    Warns
    -----
    UserWarning
        Of keywords that are left out, with their places.
    """
    space = whitespace_as_pattern(whitespace_pattern)
    writer = _Writer(schema, WHITESPACE if space is None else space)
    try:
        pattern = writer.value(schema, "", ())
    except RecursionError:
        raise LimitError(
            "sys.getrecursionlimit()", "the schema is nested too deep to be written as a pattern"
        ) from None
    if pattern is None:
        raise ValueError("the schema contains itself without an end, so it has no pattern")
    if writer.not_enforced:
        places = ", ".join(writer.not_enforced)
        warnings.warn(f"the regular expression of the schema doesn't enforce {places}", UserWarning, stacklevel=2)
    return pattern


def whitespace_as_pattern(whitespace_pattern: str | None) -> str | None:
    """Give the pattern of a named kind of white space; a pattern, or None, stays as it is."""
    if whitespace_pattern is None:
        return None
    return _NAMED_WHITESPACE.get(whitespace_pattern, whitespace_pattern)


class _Writer:
    """The pattern of each part of a schema; None where it would have to go too deep."""

    def __init__(self, root: Any, space: str):
        self.root = root
        self.space = space
        self.not_enforced: list[str] = []

    def value(self, schema: Any, place: str, within: tuple[str, ...]) -> str | None:
        """Write any schema; `within` names the references that are being followed."""
        if schema == {}:
            return self.anything(MAX_ANY_DEPTH)
        if not isinstance(schema, dict):
            _refuse(place, f"the schema {json.dumps(schema)} has no pattern")
        for keyword in _REFUSED:
            if keyword in schema:
                _refuse(place, f"{keyword!r} has no pattern")
        self.not_enforced += [f"{place}/{keyword}" for keyword in _left_out(schema)]
        if "properties" in schema:
            return self.object_of(schema, place, within)
        if "allOf" in schema:
            if len(schema["allOf"]) != 1:
                _refuse(place, "'allOf' with several members has no pattern")
            return self.value(schema["allOf"][0], f"{place}/allOf/0", within)
        for keyword, opening in (("anyOf", ""), ("oneOf", "?:")):
            if keyword in schema:
                members = [
                    self.value(member, f"{place}/{keyword}/{index}", within)
                    for index, member in enumerate(schema[keyword])
                ]
                return _any_of(members, opening)
        if "prefixItems" in schema:
            return self.tuple_of(schema, place, within)
        if "enum" in schema:
            return f"({'|'.join(map(self.text, schema['enum']))})"
        if "const" in schema:
            return self.text(schema["const"])
        if "$ref" in schema:
            return self.reference(schema["$ref"], place, within)
        if "type" in schema:
            return self.of_type(schema, place, within)
        _refuse(place, f"none of the keywords {', '.join(schema)} has a pattern")

    def of_type(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> str | None:
        kind = schema["type"]
        if isinstance(kind, list):
            return _any_of([self.of_type({**schema, "type": each}, place, within) for each in kind], "?:")
        if kind == "string":
            return self.string(schema, place)
        if kind == "integer":
            return _integer(schema, "minDigits", "maxDigits")
        if kind == "number":
            return _number(schema)
        if kind == "boolean":
            return _BOOLEAN
        if kind == "null":
            return "null"
        if kind == "array":
            return self.array_of(schema, place, within)
        if kind == "object":
            return self.free_object(schema, place, within)
        _refuse(place, f"the type {kind!r} isn't one of JSON's")

    def reference(self, target: str, place: str, within: tuple[str, ...]) -> str | None:
        if within.count(target) > MAX_RECURSION:
            return None
        if not target.startswith("#"):
            _refuse(place, f"the reference {target!r} leads elsewhere, and only those within the schema are followed")
        schema = self.root
        for part in target[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                schema = schema[int(key)] if isinstance(schema, list) else schema[key]
            except (KeyError, IndexError, ValueError, TypeError):
                _refuse(place, f"the reference {target!r} leads nowhere")
        return self.value(schema, target[1:], (*within, target))

    def anything(self, depth: int) -> str:
        kinds = [_STRING, _NUMBER, _BOOLEAN, "null"]
        if depth:
            inner = self.anything(depth - 1)
            kinds += [self.list_of(inner, 0, None), self.pairs_of(inner, 0, None)]
        return f"({'|'.join(f'({kind})' for kind in kinds)})"

    def string(self, schema: dict[str, Any], place: str) -> str:
        """Write strings by their lengths, else by their pattern, else by their format."""
        low, high = _counts(schema, "minLength", "maxLength", place)
        has_length = "minLength" in schema or high is not None
        named = [keyword for keyword in ("pattern", "format") if keyword in schema]
        self.not_enforced += [f"{place}/{keyword}" for keyword in (named if has_length else named[1:])]
        if has_length:
            return f'"{_CHARACTER}{_bounds(low, high)}"'
        if "pattern" in schema:
            pattern = schema["pattern"]
            pattern = pattern[1:] if pattern.startswith("^") else pattern
            pattern = pattern[:-1] if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern
            return f'("{pattern}")'
        if "format" in schema:
            if schema["format"] not in _FORMATS:
                _refuse(place, f"the format {schema['format']!r} has no pattern")
            return f'"{_FORMATS[schema["format"]]}"'
        return _STRING

    # Arrays

    def array_of(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> str | None:
        item = (
            self.value(schema["items"], f"{place}/items", within)
            if "items" in schema
            else self.anything(MAX_ANY_DEPTH - 1)
        )
        low, high = _counts(schema, "minItems", "maxItems", place)
        if item is None:  # too deep
            return None if low else rf"\[{self.space}\]"
        return self.list_of(item, low, high)

    def list_of(self, item: str, low: int, high: int | None) -> str:
        space = self.space
        if high == 0:
            return rf"\[{space}\]"
        bounds = _bounds(low - 1, None if high is None else high - 1)
        return rf"\[{space}(({item})(,{space}({item})){bounds}){'' if low else '?'}{space}\]"

    def tuple_of(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> str | None:
        items = [
            self.value(item, f"{place}/prefixItems/{index}", within)
            for index, item in enumerate(schema["prefixItems"])
        ]
        if any(item is None for item in items):
            return None
        if not schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", len(items)):
            _refuse(place, f"'prefixItems' gives {len(items)} items, and 'minItems' or 'maxItems' another number")
        space = self.space
        return rf"\[{space}{f'{space},{space}'.join(map(str, items))}{space}\]"

    # Objects

    def object_of(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> str | None:
        space, required = self.space, schema.get("required", [])
        members: list[tuple[str, bool]] = []
        if not set(required) <= schema["properties"].keys():
            self.not_enforced.append(f"{place}/required")
        for name, value in schema["properties"].items():
            pattern = self.value(value, f"{place}/properties/{name}", within)
            if pattern is not None:
                members.append((f"{space}{_text(name)}{space}:{space}{pattern}", name in required))
            elif name in required:
                return None
        last = max((place for place, (_, is_required) in enumerate(members) if is_required), default=None)
        if last is None:
            ways = [
                "".join(f"({before}{space},)?" for before, _ in members[:place]) + member
                for place, (member, _) in enumerate(members)
            ]
            body = f"({'|'.join(ways)})?" if ways else ""
        else:
            body = ""
            for member, is_required in members[:last]:
                body += f"{member}{space}," if is_required else f"({member}{space},)?"
            body += members[last][0] + "".join(f"({space},{member})?" for member, _ in members[last + 1 :])
        return rf"\{{{body}{space}\}}"

    def free_object(self, schema: dict[str, Any], place: str, within: tuple[str, ...]) -> str | None:
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict) and additional:
            value = self.value(additional, f"{place}/additionalProperties", within)
        elif additional is False:
            return rf"\{{{self.space}\}}"
        else:
            value = self.anything(MAX_ANY_DEPTH - 1)
        low, high = _counts(schema, "minProperties", "maxProperties", place)
        if value is None:
            return None if low else rf"\{{{self.space}\}}"
        return self.pairs_of(value, low, high)

    def pairs_of(self, value: str, low: int, high: int | None) -> str:
        space = self.space
        if high == 0:
            return rf"\{{{space}\}}"
        pair = f"{_STRING}{space}:{space}{value}"
        bounds = _bounds(low - 1, None if high is None else high - 1)
        return rf"\{{{space}({pair}({space},{space}{pair}){bounds}){'' if low else '?'}{space}\}}"

    # Values

    def text(self, value: Any) -> str:
        """Write one value, with white space between its parts."""
        space = self.space
        if isinstance(value, list):
            return rf"\[{space}{f'{space},{space}'.join(map(self.text, value))}{space}\]"
        if isinstance(value, dict):
            members = [f"{_text(name)}{space}:{space}{self.text(member)}" for name, member in value.items()]
            return rf"\{{{space}{f'{space},{space}'.join(members)}{space}\}}"
        return _text(value)


def _refuse(place: str, problem: str) -> NoReturn:
    raise ValueError(f"{place or 'the schema'}: {problem}, so it can't be written as a regular expression")


def _left_out(schema: dict[str, Any]) -> list[str]:
    """List the keywords that narrow what is written, and that the pattern takes no account of."""
    chosen = next((keyword for keyword in _CHOSEN if keyword in schema), None)
    if chosen is None:
        return []
    taken = {chosen, *_CHOSEN[chosen].split()}
    types = _types(schema)
    written = [set(_NARROWS)]  # the types of each value
    if chosen in ("properties", "prefixItems"):
        written = [{"object" if chosen == "properties" else "array"}]
    elif chosen in ("enum", "const"):
        written = [_types_of(value) for value in (schema["enum"] if chosen == "enum" else [schema["const"]])]
    elif chosen == "type":
        written = [{"number"} if name == "integer" else {name} for name in types]
    if chosen not in ("allOf", "anyOf", "oneOf", "$ref") and all(types & each for each in written):
        taken.add("type")
    narrowing = {*_NARROWS_ALL.split()}.union(*(_NARROWS.get(name, "").split() for name in set().union(*written)))
    return [keyword for keyword in schema if keyword in narrowing - taken]


def _types(schema: dict[str, Any]) -> set[str]:
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


def _types_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return {"number", "integer"}
    if isinstance(value, float):
        return {"number"}
    if isinstance(value, str):
        return {"string"}
    return {"null" if value is None else "array" if isinstance(value, list) else "object"}


def _text(value: Any) -> str:
    return re.escape(json.dumps(value, ensure_ascii=False))


def _any_of(members: list[str | None], opening: str) -> str | None:
    kept = [member for member in members if member is not None]
    if not kept:
        return None
    return f"({'|'.join(f'({opening}{member})' if opening else member for member in kept)})"


def _counts(schema: dict[str, Any], least: str, most: str, place: str) -> tuple[int, int | None]:
    """Read a least and a most count."""
    low, high = schema.get(least, 0), schema.get(most)
    if high is not None and low > high:
        _refuse(place, f"{least!r} {low} is above {most!r} {high}")
    return low, high


def _bounds(low: int, high: int | None) -> str:
    return f"{{{max(low, 0)},{'' if high is None else max(high, 0)}}}"


def _digits(schema: dict[str, Any], low: str, high: str, start: int) -> str:
    """Write how many more digits come after the first `start`."""
    most = schema.get(high)
    return _bounds(schema.get(low, start) - start, None if most is None else most - start)


def _integer(schema: dict[str, Any], low: str, high: str) -> str:
    if low not in schema and high not in schema:
        return _INTEGER
    return f"(-)?(0|[1-9][0-9]{_digits(schema, low, high, 1)})"


def _number(schema: dict[str, Any]) -> str:
    parts = {name: (f"minDigits{name}", f"maxDigits{name}") for name in ("Integer", "Fraction", "Exponent")}
    fraction, exponent = (
        f"[0-9]{_digits(schema, *parts[name], 0)}" if set(parts[name]) & schema.keys() else "[0-9]+"
        for name in ("Fraction", "Exponent")
    )
    return rf"({_integer(schema, *parts['Integer'])})(\.{fraction})?([eE][+-]{exponent})?"
