"""The oracle: the language of a constraint, told again slowly and simply, for tests to compare with.

It shares no code and no idea with the engine. A text is read one byte at a time by a nondeterministic
machine. A state is a set of stacks of items, what must still be written, and an item is one of these:

    bytes       written as they are
    Text        characters that a list of character machines accepts, as raw UTF-8 or with the escapes of JSON
    Number      digits whose value lies between two bounds
    Rule        replaced by one of its alternatives (a schema's value, the rest of an object or of an array)

A stack is kept only while every item on it can be completed, so a state is live exactly when it has a stack
left. Combinators of JSON Schema are resolved by carrying all the schemas that a value must satisfy.
What it doesn't know it refuses with NotImplementedError.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import unquote

import jsonschema
import numpy as np

from tests.oracle_text import Bounds, Excluding, Length, Number, Pattern, Text, text

__all__ = ["JsonSchema", "Machine", "Regex", "oracle_row", "repeats_a_name"]

WORD_BITS = 32


# ---- Machines: stacks of items, stepped a byte at a time ---------------------------------------------------


class Machine:
    """Nondeterministic machine over bytes: `start`, `step`, `is_live` and `is_accepting`.

    Parameters
    ----------
    items
        What must be written, in this order.
    """

    def __init__(self, items: Iterable[Any]):
        self._possible: dict[Any, bool] = {}
        self._steps: dict[tuple[frozenset, int], frozenset] = {}
        self.start = frozenset(self._settle(_push(tuple(items), ())))

    def step(self, state: frozenset, byte: int) -> frozenset:
        """Give the state after one more byte."""
        if (state, byte) not in self._steps:
            after = (stack for top in state if top for stack in self._write(top, byte))
            self._steps[state, byte] = frozenset(after)
        return self._steps[state, byte]

    def read(self, text: bytes, state: frozenset | None = None) -> frozenset:
        """Give the state after `text`, from `state` or from the start."""
        state = self.start if state is None else state
        for byte in text:
            state = self.step(state, byte)
        return state

    def is_live(self, state: frozenset) -> bool:
        """Tell whether some completion exists."""
        return bool(state)

    def is_accepting(self, state: frozenset) -> bool:
        """Tell whether the text may end here."""
        return () in state

    def accepts(self, text: bytes) -> bool:
        """Tell whether the whole of `text` is in the language."""
        return self.is_accepting(self.read(text))

    def _write(self, stack: tuple, byte: int) -> Iterator[tuple]:
        item, rest = stack
        if isinstance(item, bytes):
            if item[0] == byte:
                yield from self._settle(_push((item[1:],), rest))
        else:
            item = item.step(byte)
            if item is not None and item.is_live:
                yield from self._settle((item, rest))

    def _settle(self, stack: tuple) -> Iterator[tuple]:
        """Replace rules on top of a stack until a byte can be written; leave out what can't be completed."""
        todo = [stack]
        while todo:
            stack = todo.pop()
            if not stack or isinstance(stack[0], bytes):
                yield stack
                continue
            item, rest = stack
            if isinstance(item, Rule):
                todo += [_push(way, rest) for way in item.alternatives() if all(map(self._is_possible, way))]
            elif item.is_live:
                yield stack
                if item.is_nullable:
                    todo.append(rest)

    def _is_possible(self, item: Any) -> bool:
        """Tell whether some text completes an item: the least fixpoint over all rules that it can reach."""
        if not isinstance(item, Rule):
            return bool(isinstance(item, bytes) or item.is_live)
        if item not in self._possible:
            ways: dict[Any, list[tuple]] = {}
            todo = [item]
            while todo:
                rule = todo.pop()
                if rule not in ways:
                    ways[rule] = list(rule.alternatives())
                    todo += [part for way in ways[rule] for part in way if isinstance(part, Rule)]
            found: set[Any] = set()

            def holds(part: Any) -> bool:
                return part in found if isinstance(part, Rule) else self._is_possible(part)

            grew = True
            while grew:
                new = {
                    rule for rule in ways.keys() - found if any(all(map(holds, way)) for way in ways[rule])
                }
                found |= new
                grew = bool(new)
            self._possible.update({rule: rule in found for rule in ways})
        return self._possible[item]


def _push(items: tuple, stack: tuple) -> tuple:
    for item in reversed(items):
        if item != b"":
            stack = (item, stack)
    return stack


class Rule:
    """An item that is replaced by one of its alternatives; equal rules have equal alternatives."""

    def alternatives(self) -> Iterator[tuple]:
        raise NotImplementedError


# ---- JSON Schema -------------------------------------------------------------------------------------------

TYPES = ("null", "boolean", "number", "string", "array", "object")
COMBINATORS = {"$ref", "allOf", "anyOf"}
ASSERTIONS = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems"),
    *("minItems", "maxItems", "minLength", "maxLength", "pattern"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
ANNOTATIONS = {
    *("$schema", "$defs", "definitions", "$comment"),
    *("title", "description", "default", "examples", "deprecated"),
}
INTEGER = r"-?(0|[1-9][0-9]*)"
NUMBER = INTEGER + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"

Schemas = tuple[str, ...]  # JSON text of schemas, all of which a value must satisfy


def spell(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class JsonSchema(Machine):
    """Machine of the JSON texts that satisfy a schema, with its members in declared order.

    Parameters
    ----------
    schema
        A schema of draft 2020-12 that keeps to the everyday core; `$ref` only as "#/...".
    whitespace_pattern
        What may stand where white space may stand: after `{`, after `[`, around `:`, around `,` in an object
        and after it in an array, before `}` and before `]`; once in an empty object or array.
    """

    def __init__(self, schema: dict | bool, whitespace_pattern: str = "[ ]?"):
        self.schema = schema
        self.judge = jsonschema.Draft202012Validator(schema)
        self.space = text([Pattern(whitespace_pattern)], in_json=False)
        self.integer = text([Pattern(INTEGER)], in_json=False)
        self.number = text([Pattern(NUMBER)], in_json=False)
        self.single = functools.cache(self._single)
        super().__init__([Value(self, (json.dumps(schema),))])

    def _single(self, schemas: Schemas) -> list[list[dict]]:
        """Replace combinators: give the ways to satisfy `schemas`, each a list of schemas without any."""
        ways: list[list[dict]] = []
        todo: list[tuple[Schemas, tuple[dict, ...], Schemas]] = [(schemas, (), ())]
        while todo:
            (left, done, seen) = todo.pop()
            if not left:
                ways.append(list(done))
                continue
            first, rest = left[0], left[1:]
            schema = json.loads(first)
            if schema is False:
                continue
            if schema is True or first in seen:
                todo.append((rest, done, seen))
                continue
            if unknown := schema.keys() - COMBINATORS - ASSERTIONS - ANNOTATIONS:
                raise NotImplementedError(f"keywords {sorted(unknown)}")
            own = {key: value for key, value in schema.items() if key in ASSERTIONS}
            both = [self.target(schema["$ref"])] if "$ref" in schema else []
            both += schema.get("allOf", [])
            for branch in schema.get("anyOf", [True]):
                parts = tuple(json.dumps(part) for part in [*both, branch])
                todo.append((parts + rest, (*done, own), (*seen, first)))
        return ways

    def target(self, reference: str) -> dict | bool:
        """Give the schema at "#/...", a JSON pointer."""
        if reference != "#" and not reference.startswith("#/"):
            raise NotImplementedError(f"$ref {reference!r}")
        schema: Any = self.schema
        for part in reference.split("/")[1:]:
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            schema = schema[int(part)] if isinstance(schema, list) else schema[part]
        return schema

    def is_valid(self, value: Any, schemas: Iterable[dict]) -> bool:
        """Tell whether a value satisfies each of some schemas, by the word of `jsonschema`."""
        return not any(error for schema in schemas for error in self.judge.descend(value, schema))

    def key(self, name: str) -> tuple:
        """Give the items of a member's name and of the colon after it."""
        return (spell(name), self.space, b":", self.space)

    def constant(self, value: Any) -> tuple:
        """Give the items of a value that is spelt in one way, but for white space."""
        if isinstance(value, dict):
            members = [self.key(name) + self.constant(member) for name, member in value.items()]
            return self._enclose(b"{", members, (self.space, b",", self.space), b"}")
        if isinstance(value, list):
            return self._enclose(
                b"[", [self.constant(element) for element in value], (b",", self.space), b"]"
            )
        return (spell(value),)

    def _enclose(self, begin: bytes, parts: list[tuple], between: tuple, end: bytes) -> tuple:
        inside = sum((between + part for part in parts), ())[len(between) :]
        return (begin, self.space, *inside, *((self.space,) if parts else ()), end)


class SchemaRule(Rule):
    """A rule that is known by its class and its values; `machine` holds what all rules share."""

    def __init__(self, machine: JsonSchema, *values: Any):
        self.machine, self.values = machine, values
        self._hash = hash((type(self), values))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == other.values


class Value(SchemaRule):
    """A value that satisfies each of `schemas`."""

    def alternatives(self) -> Iterator[tuple]:
        (schemas,) = self.values
        for way in self.machine.single(schemas):
            choices = [
                schema.get("enum", [schema.get("const")])
                for schema in way
                if schema.keys() & {"enum", "const"}
            ]
            if choices:
                yield from (
                    self.machine.constant(value) for value in choices[0] if self.machine.is_valid(value, way)
                )
            else:
                for name in TYPES:
                    if all(_has_type(name, schema) for schema in way):
                        yield from getattr(self, "_" + name)(way)

    def _null(self, way: list[dict]) -> Iterator[tuple]:
        yield (b"null",)

    def _boolean(self, way: list[dict]) -> Iterator[tuple]:
        yield (b"true",)
        yield (b"false",)

    def _number(self, way: list[dict]) -> Iterator[tuple]:
        is_integer = not all(_has_type("fraction", schema) for schema in way)
        bounds = Bounds()
        for schema in way:
            at_least, at_most, above, below = (
                Fraction(repr(schema[key])) if key in schema else None
                for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            )
            bounds = bounds.meet(at_least, at_most, False, False).meet(above, below, True, True)
        if bounds == Bounds():
            yield (self.machine.integer if is_integer else self.machine.number,)
        else:
            yield (Number(bounds, is_integer),)

    def _string(self, way: list[dict]) -> Iterator[tuple]:
        least, most = _counts(way, "minLength", "maxLength")
        patterns = tuple(dict.fromkeys(schema["pattern"] for schema in way if "pattern" in schema))
        yield (b'"', _string_text(least, most, patterns), b'"')

    def _array(self, way: list[dict]) -> Iterator[tuple]:
        least, most = _counts(way, "minItems", "maxItems")
        prefix = max(len(schema.get("prefixItems", [])) for schema in way) if way else 0
        items = []
        for i in range(prefix + 1):
            lists = [(schema.get("prefixItems", []), schema.get("items", True)) for schema in way]
            items.append(tuple(json.dumps(first[i] if i < len(first) else rest) for first, rest in lists))
        yield (b"[", self.machine.space, Elements(self.machine, tuple(items), least, most, 0))

    def _object(self, way: list[dict]) -> Iterator[tuple]:
        required = [name for schema in way for name in schema.get("required", [])]
        names = tuple(dict.fromkeys(name for schema in way for name in schema.get("properties", {})))
        members = tuple((name, name in required, _member(way, name)) for name in names)
        others = tuple(sorted({*required} - {*names}))
        excluded = (*names, *others)
        start = Members(self.machine, members, others, excluded, _member(way, None), 0, True)
        yield (b"{", self.machine.space, start)


class Elements(SchemaRule):
    """The rest of an array from element `i` on; `items`: a place for each prefix item, one for the rest."""

    def alternatives(self) -> Iterator[tuple]:
        items, least, most, i = self.values
        space = self.machine.space
        if i >= least:
            yield (space, b"]") if i or most != 0 else (b"]",)
        if most is None or i < most:
            # Places that differ in nothing are one place, so that there are finitely many
            after = i + 1 if most is not None else min(i + 1, max(least, len(items) - 1, 1))
            value = Value(self.machine, items[min(i, len(items) - 1)])
            yield (*((b",", space) if i else ()), value, Elements(self.machine, items, least, most, after))


class Members(SchemaRule):
    """The rest of an object from declared member `i` on: these come in order, then additional ones.

    `others` are those that are required and not declared, and didn't come yet; `excluded` all names that aren't free.
    """

    def alternatives(self) -> Iterator[tuple]:
        members, others, _, additional, i, is_first = self.values
        space = self.machine.space
        comma = () if is_first else (space, b",", space)
        for j in range(i, len(members)):
            name, is_required, schemas = members[j]
            yield (*comma, *self.machine.key(name), Value(self.machine, schemas), self._from(j + 1, others))
            if is_required:
                return
        value = Value(self.machine, additional)
        for name in others:
            left = tuple(other for other in others if other != name)
            yield (*comma, *self.machine.key(name), value, self._from(len(members), left))
        key = _key_text(self.values[2])
        yield (*comma, b'"', key, b'"', space, b":", space, value, self._from(len(members), others))
        if not others:
            yield (b"}",) if is_first else (space, b"}")

    def _from(self, i: int, others: tuple) -> Members:
        members, _, excluded, additional, _, _ = self.values
        return Members(self.machine, members, others, excluded, additional, i, False)


def _has_type(name: str, schema: dict) -> bool:
    """Tell whether a schema lets a type pass; "fraction" stands for a number that is no integer."""
    types = schema.get("type", ["number", *TYPES])
    types = [types] if isinstance(types, str) else types
    if name == "fraction":
        return "number" in types
    return name in types or (name == "number" and "integer" in types)


def _counts(way: list[dict], least: str, most: str) -> tuple[int, int | None]:
    return (
        max((schema.get(least, 0) for schema in way), default=0),
        min((schema[most] for schema in way if most in schema), default=None),
    )


def _member(way: list[dict], name: str | None) -> Schemas:
    """Give the schemas of a member; None is a name that none declares."""
    return tuple(
        json.dumps(schema.get("properties", {}).get(name, schema.get("additionalProperties", True)))
        for schema in way
    )


@functools.cache
def _string_text(least: int, most: int | None, patterns: tuple[str, ...]) -> Text:
    return text([Length(least, most), *(Pattern(pattern, ecma=True) for pattern in patterns)], in_json=True)


@functools.cache
def _key_text(names: tuple[str, ...]) -> Text:
    return text([Excluding(names)], in_json=True)


# ---- Regular expressions, and rows -------------------------------------------------------------------------


class Regex(Machine):
    """Machine of the texts that `re.fullmatch` takes, in UTF-8.

    Parameters
    ----------
    pattern
        Without back-references, lookarounds, word boundaries and flags.
    """

    def __init__(self, pattern: str):
        super().__init__([text([Pattern(pattern)], in_json=False)])


def repeats_a_name(text: bytes) -> bool:
    """Tell whether an object in a JSON text, or in the beginning of one, has two members of one name."""
    names: list[set[str] | None] = []  # of each bracket that is open, None for an array
    place, last = 0, b""
    while place < len(text):
        byte = text[place : place + 1]
        if byte == b'"':
            end = place + 1
            while end < len(text) and text[end : end + 1] != b'"':
                end += 2 if text[end : end + 1] == b"\\" else 1
            if end >= len(text):
                return False
            if names and names[-1] is not None and last in (b"{", b","):
                name = json.loads(text[place : end + 1])
                if name in names[-1]:
                    return True
                names[-1].add(name)
            place = end
        elif byte in (b"{", b"["):
            names.append(set() if byte == b"{" else None)
        elif byte in (b"}", b"]"):
            names.pop()
        if not byte.isspace():
            last = byte
        place += 1
    return False


def oracle_row(
    machine: Machine, state: frozenset, tokens: list[bytes | None], eos_ids: Iterable[int], text: bytes | None = None
) -> np.ndarray:
    """Compute the packed token mask of a state: an int32 array of ceil(len(tokens) / 32) words.

    Token t is bit t % 32 of word t // 32. It is allowed where the state after its bytes is live; an end of
    sequence where the state is accepting; a token without bytes never. With the `text` so far, of a JSON value, a
    token is not allowed that ends a name which its object has already: the machines know nothing of that.
    """
    words = np.zeros(-(-len(tokens) // WORD_BITS), dtype=np.uint32)
    eos_ids = set(eos_ids)
    for t, token in enumerate(tokens):
        if t in eos_ids:
            is_allowed = machine.is_accepting(state)
        else:
            is_allowed = bool(token and machine.is_live(machine.read(token, state)))
            if is_allowed and text is not None and token and repeats_a_name(text + token):
                is_allowed = False
        words[t // WORD_BITS] |= np.uint32(is_allowed << t % WORD_BITS)
    return words.view(np.int32)
