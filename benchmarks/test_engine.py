"""Time the engines on a few constraints of our own writing; every number stands beside a peer's.

    python -m pytest benchmarks/test_engine.py
    python -m pytest benchmarks/test_engine.py -k "maxlength and warm" --benchmark-compare

For each constraint: `build` (constraint compiled), `first mask` (compiled, and the mask of the start state), `cold`
(its text walked with a new constraint) and `warm` (walked again). A walk is, for each token, an advance and the next
mask; the number of its tokens is in `extra_info`. What an engine keeps for a vocabulary is warm in all rounds but the
first. For claims take `benchmarks.maskbench`, whose schemas are real and whose engines don't share a process.
"""

from __future__ import annotations

import functools
import importlib.util
import json

import pytest

from benchmarks import maskbench, vocabularies

ENGINES = ["ours", "llguidance", "xgrammar"]
ROUNDS = 5


def schema_of(**properties) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


STRING, NUMBER = {"type": "string"}, {"type": "number"}
TREE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
    },
    "required": ["value", "children"],
    "additionalProperties": False,
}
COLOURS = ["red", "orange", "yellow", "green", "blue", "indigo", "violet"]


def leaf(value: int) -> dict:
    return {"value": value, "children": []}


# name -> (schema or pattern, a text that it accepts)
CASES: dict[str, tuple[dict | str, str]] = {
    "record": (
        schema_of(name=STRING, age={"type": "integer"}, tags={"type": "array", "items": STRING}),
        json.dumps(
            {"name": "Ada Lovelace", "age": 36, "tags": ["mathematics", "poetical science", "engines"]}
        ),
    ),
    "any json": (
        {},
        json.dumps({"a": [1, 2.5, {"b": None}], "text": "any value at all", "c": [[], {}, True]}),
    ),
    "enum": (
        schema_of(colour={"enum": COLOURS}, shades={"type": "array", "items": {"enum": COLOURS}}),
        json.dumps({"colour": "indigo", "shades": COLOURS * 3}),
    ),
    "maxlength": (
        schema_of(text={"type": "string", "minLength": 1, "maxLength": 500}),
        json.dumps({"text": "The quick brown fox jumps over the lazy dog. " * 10}),
    ),
    "recursive": (
        {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
        json.dumps({"value": 1, "children": [{"value": 2, "children": [leaf(3), leaf(4)]}, leaf(5)] * 3}),
    ),
    "union": (
        {
            "type": "array",
            "items": {
                "anyOf": [
                    schema_of(kind={"const": "circle"}, radius=NUMBER),
                    schema_of(kind={"const": "square"}, side=NUMBER),
                    schema_of(kind={"const": "label"}, text=STRING),
                ]
            },
        },
        json.dumps(
            [
                {"kind": "square", "side": 2.5},
                {"kind": "label", "text": "here"},
                {"kind": "circle", "radius": 1},
            ]
            * 4
        ),
    ),
    "date pattern": (r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", "2026-11-24"),
    "list pattern": (
        r"- [A-Z][a-z ]{3,60}(\n- [A-Z][a-z ]{3,60}){2,9}",
        "\n".join(["- Wash the dishes and dry them"] * 9),
    ),
}


@functools.cache
def encoding() -> vocabularies.Encoding:
    try:
        return vocabularies.llama3_encoding()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@functools.cache
def start_engine(name: str):
    factory = maskbench.ENGINES[name]
    if importlib.util.find_spec(factory.package) is None:
        pytest.skip(f"{factory.package} isn't installed. Run: pip install {factory.package}")
    return factory(encoding())


class Case:
    """One constraint for one engine."""

    def __init__(self, engine_name: str, case_name: str):
        self.engine = start_engine(engine_name)
        self.constraint, text = CASES[case_name]
        self.tokens = encoding().tokenizer.encode_ordinary(text)

    def build(self):
        if isinstance(self.constraint, str):
            return self.engine.compile_regex(self.constraint)
        return self.engine.compile(self.constraint)

    def first_mask(self):
        built = self.build()
        self.engine.start(built).mask()
        return built

    def walk(self, built) -> str:
        # The engines are judged by the same code as in maskbench; its clock costs both some 0.1 µs a token.
        verdict, _ = maskbench.walk(self.engine.start(built), self.tokens, encoding().eos_token)
        return verdict


@pytest.fixture(params=ENGINES)
def engine_name(request) -> str:
    return request.param


@pytest.fixture(params=CASES)
def case(request, engine_name, benchmark) -> Case:
    stage = request.function.__name__.removeprefix("test_").replace("_", " ")
    benchmark.group = f"{request.param}: {stage}"
    case = Case(engine_name, request.param)
    benchmark.extra_info["tokens"] = len(case.tokens)
    return case


def test_build(benchmark, case):
    assert benchmark.pedantic(case.build, rounds=ROUNDS, warmup_rounds=1) is not None


def test_first_mask(benchmark, case):
    built = benchmark.pedantic(case.first_mask, rounds=ROUNDS, warmup_rounds=1)
    assert case.walk(built) == "accepted"


def test_cold(benchmark, case):
    verdict = benchmark.pedantic(case.walk, setup=lambda: ((case.first_mask(),), {}), rounds=ROUNDS)
    assert verdict == "accepted"


def test_warm(benchmark, case):
    built = case.first_mask()
    verdict = benchmark.pedantic(case.walk, args=(built,), rounds=ROUNDS, warmup_rounds=1)
    assert verdict == "accepted"
