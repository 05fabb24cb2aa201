"""Hostile input: huge, deep, contradictory or broken; each is built within limits or refused with a clear error.

What may cost memory or never end runs in a process of its own, with 1 GiB of address space; its time limit is there to
end a hang, not to measure.
"""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlines.constraints.json_schema.formats import FORMATS
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import ConstraintError, EmptyLanguageError, LimitError, PatternError, SchemaError
from outlines.rows import unpack
from outlines.types import JsonSchema, Regex, dsl

resource = pytest.importorskip("resource", reason="limits of memory need a POSIX system")

ADDRESS_SPACE_BYTES = 2**30
HANG_S = 60
STEPS = 50

PIECES = [b'":', b'": "', b'","', b'"},{"', b'"a', b"ab", b"aaaa", b"[[", b"0", b"00", b"w1"]


@functools.cache
def vocabulary() -> Vocabulary:
    """Give all bytes and some pieces of JSON."""
    return Vocabulary(
        [*(bytes([byte]) for byte in range(256)), *PIECES, None], [256 + len(PIECES)], cache=False
    )


# ---- Broken and contradictory: refused, with the place ------------------------------------------------------

BROKEN: list[tuple[dict, str]] = [
    ({"type": 5}, "/type"),
    ({"type": "text"}, "/type"),
    ({"type": ["string", "text"]}, "/type"),
    ({"enum": "ab"}, "/enum"),
    ({"properties": ["a"]}, "/properties"),
    ({"properties": {"a/b": {"minimum": "1"}}}, "/properties/a~1b/minimum"),
    ({"properties": {"a": None}}, "/properties/a"),
    ({"required": "a"}, "/required"),
    ({"required": ["a", 1]}, "/required"),
    ({"additionalProperties": 5}, "/additionalProperties"),
    ({"items": None}, "/items"),
    ({"items": [{}, 5]}, "/items/1"),
    ({"prefixItems": {}}, "/prefixItems"),
    ({"minItems": -1}, "/minItems"),
    ({"maxItems": 1.5}, "/maxItems"),
    ({"minLength": True}, "/minLength"),
    ({"maxLength": "3"}, "/maxLength"),
    ({"pattern": 5}, "/pattern"),
    ({"pattern": "(a"}, "/pattern"),
    ({"pattern": "[z-a]"}, "/pattern"),
    ({"pattern": r"(?<n>a)\k<n>"}, "/pattern"),
    ({"minimum": None}, "/minimum"),
    ({"maximum": True}, "/maximum"),
    ({"exclusiveMinimum": []}, "/exclusiveMinimum"),
    ({"anyOf": []}, "/anyOf"),
    ({"allOf": {}}, "/allOf"),
    ({"oneOf": [5]}, "/oneOf/0"),
    ({"$ref": 5}, "/$ref"),
    ({"$ref": "#/$defs/nowhere"}, "/$ref"),
    ({"$ref": "#/const", "const": 5}, "/const"),
    ({"$ref": "#"}, ""),
    ({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#"}]}}}, ""),
]


@pytest.mark.parametrize(("schema", "pointer"), BROKEN, ids=[json.dumps(schema) for schema, _ in BROKEN])
def test_a_broken_schema_names_its_place(schema, pointer):
    with pytest.raises(SchemaError) as caught:
        Constraint(schema, vocabulary())
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("text", ["{", '{"a":}', '{"type":"null"} x', "{'a':1}"])
def test_text_that_is_not_json_is_a_decode_error(text):
    with pytest.raises(json.JSONDecodeError):
        Constraint(text, vocabulary())


EMPTY: list[dict | bool] = [
    False,
    {"enum": []},
    {"type": []},
    {"type": "integer", "minimum": 5, "maximum": 4},
    {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 5},
    {"type": "array", "minItems": 3, "maxItems": 2},
    {"type": "array", "items": False, "minItems": 1},
    {"type": "object", "properties": {"a": False}, "required": ["a"]},
    {"type": "object", "additionalProperties": False, "required": ["a"]},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    {"type": "integer", "enum": ["a"]},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"type": "string", "pattern": "^a{5}$", "maxLength": 4},
    {"type": "string", "pattern": "^(aa)*$", "minLength": 3, "maxLength": 3},
    {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
]


@pytest.mark.parametrize("schema", EMPTY, ids=json.dumps)
def test_a_schema_without_values_is_refused(schema):
    with pytest.raises(EmptyLanguageError):
        Constraint(schema, vocabulary())


# ---- Huge and deep: built within limits, or refused -------------------------------------------------------


def words(number: int) -> list[str]:
    """Make words that differ early and share little."""
    return [f"w{i * 2654435761 % 2**32:x}" for i in range(number)]


def record(number: int, **more: Any) -> dict:
    return {"type": "object", "properties": {name: {"type": "integer"} for name in words(number)}, **more}


def nested(depth: int, wrap: Callable[[Any], Any], leaf: Any = None) -> Any:
    result = {"type": "integer"} if leaf is None else leaf
    for _ in range(depth):
        result = wrap(result)
    return result


def chain(length: int, link: Callable[[dict], dict]) -> dict:
    """Make definitions each of which refers to the next."""
    places = {f"d{i}": link({"$ref": f"#/$defs/d{i + 1}"}) for i in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**places, f"d{length}": {"type": "null"}}}


def member(schema: dict) -> dict:
    return {"type": "object", "properties": {"a": schema}, "required": ["a"]}


#: What to build, and the error that is right for it; None where it must work.
HUGE: dict[str, tuple[Callable[[], Any], type[ConstraintError] | None]] = {
    "1 MB of properties": (lambda: record(25_000, additionalProperties=False), None),
    "10,000 properties, none required": (lambda: record(10_000), None),
    "10,000 properties, closed, all required": (
        lambda: record(10_000, required=words(10_000), additionalProperties=False),
        None,
    ),
    "10,000 names required, none declared": (lambda: {"type": "object", "required": words(10_000)}, None),
    "a name of 100,000 characters": (lambda: member({}) | {"required": ["n" * 100_000]}, None),
    "a description of 1 MB": (lambda: {"type": "object", "description": "d" * 10**6}, None),
    "enum of 50,000 strings": (lambda: {"type": "string", "enum": words(50_000)}, None),
    "enum of 2,000 objects": (lambda: {"enum": [{"a": word} for word in words(2_000)]}, None),
    "const of 100,000 characters": (lambda: {"const": "x" * 100_000}, None),
    "const of 100,000 escapes": (lambda: {"const": '"' * 100_000}, None),
    "const of 10,000 elements": (lambda: {"const": list(range(10_000))}, None),
    "anyOf of 1,000 objects": (lambda: {"anyOf": [member({"const": word}) for word in words(1_000)]}, None),
    "anyOf of 500 patterns": (
        lambda: {"anyOf": [{"type": "string", "pattern": f"^{word}"} for word in words(500)]},
        None,
    ),
    "allOf of 12 choices": (
        lambda: {"allOf": [{"anyOf": [{"required": [f"{k}{i}"]} for i in range(3)]} for k in words(12)]},
        LimitError,
    ),
    "properties 900 deep": (lambda: nested(900, member), None),
    "items 900 deep": (lambda: nested(900, lambda s: {"type": "array", "items": s, "minItems": 1}), None),
    "prefixItems 900 deep": (lambda: nested(900, lambda s: {"type": "array", "prefixItems": [s]}), None),
    "additionalProperties 900 deep": (
        lambda: nested(900, lambda s: {"type": "object", "additionalProperties": s}),
        None,
    ),
    "anyOf 150 deep": (lambda: nested(150, lambda s: {"anyOf": [s, {"type": "null"}]}), None),
    "anyOf 900 deep": (lambda: nested(900, lambda s: {"anyOf": [s]}), LimitError),
    "allOf 900 deep": (lambda: nested(900, lambda s: {"allOf": [s]}), LimitError),
    "oneOf 900 deep": (lambda: nested(900, lambda s: {"oneOf": [s]}), LimitError),
    "$ref 2,000 long": (lambda: chain(2_000, lambda s: s), LimitError),
    "$ref 150 long": (lambda: chain(150, lambda s: s), None),
    "$ref 700 long through properties": (lambda: chain(700, member), None),
    "recursion through properties": (lambda: {"type": "object", "properties": {"a": {"$ref": "#"}}}, None),
    "recursion through allOf": (
        lambda: {"properties": {"a": {"allOf": [{"$ref": "#"}, {"type": "object"}]}}, "type": "object"},
        None,
    ),
    "maxLength 1,000,000,000": (lambda: {"type": "string", "maxLength": 10**9}, None),
    "minLength 100,000": (lambda: {"type": "string", "minLength": 100_000}, None),
    "minLength of 5,001 digits": (lambda: {"type": "string", "minLength": 10**5000}, None),
    "maxLength 1,000,000,000 beside a pattern": (
        lambda: {"type": "string", "pattern": "^[a-z]+$", "maxLength": 10**9},
        None,
    ),
    "minLength 10,000 beside a pattern": (
        lambda: {"type": "string", "pattern": "^(ab|cde)*$", "minLength": 10_000},
        None,
    ),
    "length beside a pattern of 2^40 states": (
        lambda: {"type": "string", "pattern": "a.{40}$", "maxLength": 1_000},
        LimitError,
    ),
    "maxItems 100,000": (lambda: {"type": "array", "maxItems": 100_000}, None),
    "minItems 100,000": (lambda: {"type": "array", "minItems": 100_000}, None),
    "minItems 1,000,000,000": (lambda: {"items": {"const": 1}, "type": "array", "minItems": 10**9}, None),
    "prefixItems of 10,000": (lambda: {"type": "array", "prefixItems": [{"const": 1}] * 10_000}, None),
    "bounds near the ends of a double": (
        lambda: {"type": "number", "minimum": 1e-300, "maximum": 1e308},
        None,
    ),
    "multipleOf with nine digits": (lambda: {"multipleOf": 987654321, "minimum": -(10**15)}, None),
    "multipleOf with 300 places": (lambda: {"multipleOf": 1e-300, "maximum": 1e300}, None),
    "bounds near the ends of a double, in all forms": (
        lambda: JsonSchema({"type": "integer", "minimum": -1e300, "maximum": 1e308}, number_forms="all"),
        None,
    ),
    "bounds near the ends of a double, of 3 digits": (
        lambda: JsonSchema({"minimum": 1e-300, "maximum": 2e-300}, max_digits=3),
        None,
    ),
    "no number of 20,000": (
        lambda: {"type": "integer", "not": {"enum": list(range(20_000))}, "minimum": 0},
        None,
    ),
    "properties 300 deep, indented": (lambda: JsonSchema(nested(300, member), indent=8), None),
    "maxLength 1,000,000 of ASCII": (
        lambda: JsonSchema({"type": "string", "maxLength": 10**6}, ascii_only=True),
        None,
    ),
    "every format": (
        lambda: {"anyOf": [{"type": "string", "format": name} for name in ("idn-hostname", "regex", *FORMATS)]},
        None,
    ),
    "pattern of 5,000 words": (lambda: {"type": "string", "pattern": f"^({'|'.join(words(5_000))})$"}, None),
    "pattern of 5,000 words anywhere": (lambda: {"type": "string", "pattern": "|".join(words(5_000))}, None),
    "pattern of 30,000 bytes": (lambda: {"type": "string", "pattern": f"^{'xyz' * 10_000}$"}, None),
    "pattern .*a.{40}": (lambda: {"type": "string", "pattern": "^.*a.{40}$"}, None),
    "pattern [a-z]{0,1000000000}": (lambda: {"type": "string", "pattern": "^[a-z]{0,1000000000}$"}, None),
    "pattern [a-z]{100000} anywhere": (lambda: {"type": "string", "pattern": "[a-z]{100000}"}, None),
    "regex of 5,000 words": (lambda: Regex("|".join(words(5_000))), None),
    "regex of 5,000 words, repeated": (lambda: Regex(f"({'|'.join(words(5_000))})*"), None),
    "regex of 100,000 bytes": (lambda: Regex("x" * 100_000), None),
    "regex a{1000000000}": (lambda: Regex("a{1000000000}"), None),
    "regex a{99999999999999999999}": (lambda: Regex("a{99999999999999999999}"), PatternError),
    "regex a?{500}a{500}": (lambda: Regex("a?" * 500 + "a" * 500), None),
    "regex ([ab]*a[ab]{30}){2}": (lambda: Regex("([ab]*a[ab]{30}){2}"), None),
    "regex (a|aa|aaa)*(a+)+b": (lambda: Regex("(a|aa|aaa)*(a+)+b"), None),
    "regex (|a)* 300 times": (lambda: Regex("(|a)*" * 300), None),
    "regex of 5,000 parentheses": (lambda: Regex("(" * 5_000 + "a" + ")" * 5_000), PatternError),
    "regex of 10,000 ranges": (
        lambda: Regex(f"[{''.join(chr(0x4E00 + 2 * i) for i in range(10_000))}]+"),
        None,
    ),
    "choice of 50,000 words": (lambda: dsl.Choice(words(50_000)), None),
    "optional 300 deep": (lambda: nested(300, dsl.Optional, JsonSchema("{}")), None),
}


def take(name: str) -> None:
    """Build an entry of HUGE under a limit of memory, take its first mask and some steps; print what came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    source, shared = HUGE[name][0](), vocabulary()
    try:
        constraint = Constraint(source, shared)
        state, rng = constraint.start_state, random.Random(name)
        for _ in range(STEPS):
            allowed = unpack(constraint.row(state)).tolist()
            assert allowed, "a state that exists can go on"
            state = constraint.next_state(state, rng.choice(allowed))
            assert state != 0, "what is allowed leads on"
    except ConstraintError as error:
        print(type(error).__name__)
    else:
        print("built")


@pytest.mark.parametrize("name", HUGE)
def test_huge_input_is_built_within_limits_or_refused(name):
    code = f"from tests.test_hostile import take; take({name!r})"
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    error = HUGE[name][1]
    assert done.stdout.strip() == ("built" if error is None else error.__name__)
