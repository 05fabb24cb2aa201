"""The constructors of before 1.0: each warns with what to write now, and works."""

from __future__ import annotations

import json
import re
from enum import Enum
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field

import outlines
from outlines import generate
from outlines.exceptions import LimitError
from outlines.generate.machines import term_of_machine
from outlines.types.dsl import to_regex
from tests import tiny_models


class Point(BaseModel):
    x: int = Field(ge=0, le=9)


def add(a: Point):
    return a


class Answer(Enum):
    yes = "yes"
    no = "no"


@pytest.fixture(scope="module")
def model():
    return outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())


# Accepts an even number of "a", then any other character.
MACHINE = SimpleNamespace(
    alphabet={"a": 0, object(): 1}, initial=0, finals={2}, map={0: {0: 1, 1: 2}, 1: {0: 0}}
)

CASES = {
    "regex": (("[0-9]{2}",), "[0-9]{2}"),
    "choice": ((["yes", "no"],), "yes|no"),
    "format": ((bool,), "True|False"),
    "json": ((Point,), r'\{ ?"x" ?: ?\d ?\}'),
}


@pytest.mark.parametrize("name", CASES)
def test_constructors(model, name):
    arguments, pattern = CASES[name]
    with pytest.warns(DeprecationWarning, match=rf"`outlines.generate.{name}` is deprecated: write") as caught:
        generator = getattr(generate, name)(model, *arguments)
    assert caught[0].filename == __file__
    assert re.fullmatch(pattern, generator("a", max_new_tokens=40))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_spellings(model):
    assert isinstance(generate.text(model)("a", max_new_tokens=2), str)
    assert generate.regex(model, outlines.regex("b"))("a", max_new_tokens=2) == "b"
    assert generate.choice(model, Answer)("a", max_new_tokens=9) in ("yes", "no")
    assert json.loads(generate.json(model, json.dumps({"const": 1}))("a", max_new_tokens=9)) == 1
    assert generate.json(model, {"const": [1, 1]}, whitespace_pattern="")("a", max_new_tokens=9) == "[1,1]"
    assert set(json.loads(generate.json(model, add)("a", max_new_tokens=60))) == {"a"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_automata(model):
    text = generate.fsm(model, MACHINE)("b", max_new_tokens=9, do_sample=True)
    assert re.fullmatch("(aa)*[^a]", text)


def test_samplers_are_refused(model):
    with pytest.raises(TypeError, match="no samplers any more"):
        generate.text(model, sampler=object())


def machine(alphabet, initial, finals, moves):
    return SimpleNamespace(alphabet=alphabet, initial=initial, finals=finals, map=moves)


@pytest.mark.parametrize(
    ("automaton", "accepted", "rejected"),
    [
        (MACHINE, ["b", "aab", "aaaa-", "\n"], ["", "ab", "aa", "bb"]),
        (machine({"a": 0, "b": 0, "-": 1}, 0, {0, 1}, {0: {0: 1}, 1: {1: 0}}), ["", "a", "b-a"], ["-", "ab"]),
        (machine({object(): 0}, 0, {0}, {0: {0: 0}}), ["", "xyz\n"], []),
        (machine({"a": 0, object(): 0}, 0, {1}, {0: {0: 1}}), ["a", "b"], ["", "ab"]),
        (machine({"]": 0, "^": 0, "\\": 0, object(): 1}, 0, {1}, {0: {0: 1}}), ["]", "^", "\\"], ["a", ""]),
    ],
)
def test_automata_as_terms(automaton, accepted, rejected):
    pattern = to_regex(term_of_machine(automaton))
    assert [text for text in accepted if not re.fullmatch(pattern, text)] == []
    assert [text for text in rejected if re.fullmatch(pattern, text)] == []


def test_long_automata_are_taken():
    chain = machine({"a": 0}, 0, {990}, {state: {0: state + 1} for state in range(990)})
    assert outlines.explain(term_of_machine(chain), "a" * 990).is_complete


def test_large_automata_are_refused():
    chain = machine({"a": 0}, 0, {2000}, {state: {0: state + 1} for state in range(2000)})
    with pytest.raises(LimitError, match="MAX_MACHINE_STATES"):
        term_of_machine(chain)
    moves = {state: {letter: (7 * state + 11 * letter + 1) % 60 for letter in range(5)} for state in range(60)}
    with pytest.raises(LimitError, match="MAX_MACHINE_PARTS"):
        term_of_machine(machine({chr(97 + letter): letter for letter in range(5)}, 0, {59}, moves))
