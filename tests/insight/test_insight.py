"""Explanations, examples and drawings, against Python's `re` and `jsonschema`."""

from __future__ import annotations

import datetime
import importlib
import itertools
import json
import re
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel

import outlines
from outlines.exceptions import LimitError
from outlines.insight import draw, examples, explain
from outlines.types.dsl import Regex, python_types_to_terms, to_regex

PATTERNS = ["(ab)+", "a*b", "a?b{2,3}a?", "(a|bb)*", "[ab]{2}|c", "abc|ac", "", "(a|b)*abb"]
TEXTS = ["".join(letters) for length in range(6) for letters in itertools.product("abc", repeat=length)]


class Person(BaseModel):
    name: str
    age: int
    kind: Literal["a", "b"]


# Explanations


@pytest.mark.parametrize("pattern", PATTERNS)
def test_valid_length_is_that_of_the_longest_beginning(pattern):
    whole = {text for text in TEXTS if re.fullmatch(pattern, text)}
    beginnings = {text[:length] for text in whole for length in range(len(text) + 1)}
    for text in TEXTS:
        if len(text) > 2:  # what follows longer ones isn't among TEXTS
            continue
        expected = max(length for length in range(len(text) + 1) if text[:length] in beginnings)
        explained = explain(Regex(pattern), text)
        assert explained.valid_length == expected
        assert explained.is_complete == (text in whole)
        assert explained.may_end == (text[:expected] in whole)
        assert explained.is_valid_so_far == (text in beginnings)


@pytest.mark.parametrize(
    ("output_type", "text", "told"),
    [
        (list[int], "[1, 2; 3]", "Character 5: ';' can't stand after '[1, 2'; expected a digit, ']' or ', '."),
        (list[int], "[1", "Valid so far, but not complete: the text must go on with a digit, ']' or ', '."),
        (int, "12", "This is a whole text of the output type."),
        (int, "12a", "Character 2: 'a' can't stand after '12'; expected a digit or the end of the text."),
        (bool, "x", "Character 0: 'x' can't stand at the start; expected 'False' or 'True'."),
        (Person, '{"nam', "Valid so far, but not complete: the text must go on with 'e\"'."),
        (datetime.date, "2024-13", "Character 6: '3' can't stand after '2024-1'; expected '0' to '2'."),
        (Literal["é", "x"], "", "Valid so far, but not complete: the text must go on with 'x' or 'é'."),
        (Regex(r"a\n[^b]"), "a\nb", "Line 2, column 1: 'b' can't stand after 'a\\n'; expected any character but"),
        (Regex("[a-fx]"), "1", "Character 0: '1' can't stand at the start; expected 'a' to 'f' or 'x'."),
        (Regex("[a-zA-Z]"), "1", "Character 0: '1' can't stand at the start; expected a letter."),
        ({"type": "null"}, " ", "Character 0: a space can't stand at the start; expected 'null'."),
    ],
)
def test_what_is_told(output_type, text, told):
    assert str(explain(output_type, text)).startswith(told)


@pytest.mark.parametrize("text", ['{"a": 1}', "{", "true"])
def test_a_text_is_that_text_as_for_a_generator(text):
    assert explain(text, text).is_complete
    assert examples(text) == [text]
    assert examples(True) == ["True"]


def test_a_character_of_several_bytes_is_valid_as_a_whole_or_not_at_all():
    explained = explain(Literal["aé", "ab"], "aèx")  # é and è differ in their last byte
    assert explained.valid_length == 1
    assert explained.expected == ["'b'", "'é'"]
    assert explain(Literal["aé", "aê"], "a").expected == ["a character beyond ASCII"]
    assert explain(Literal["a"], "\ud800").valid_length == 0


# Examples


@pytest.mark.parametrize(
    "output_type",
    [
        int,
        str,
        list[bool],
        tuple[int, ...],
        dict[str, int],
        datetime.datetime,
        outlines.types.email,
        outlines.types.ipv6,
        outlines.types.sentence,
        Regex("[\u0391-\u03a9]{3}"),
        *map(Regex, PATTERNS),
    ],
)
def test_examples_are_texts_of_the_type(output_type):
    texts = examples(output_type, 20, seed=1)
    assert len(texts) == len(set(texts))
    assert texts
    pattern = to_regex(python_types_to_terms(output_type))
    assert all(re.fullmatch(pattern, text) for text in texts)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 100}}, "required": ["a"]},
        {"type": "array", "items": {"type": "string", "minLength": 3}, "minItems": 30},
        {},
        {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}},
    ],
)
def test_examples_of_a_schema_are_valid(schema):
    for text in examples(schema, 10):
        jsonschema.validate(json.loads(text), schema)


def test_examples_are_all_there_are_of_a_small_type_and_depend_on_the_seed():
    assert sorted(examples(Literal["a", "b", "c"], 10)) == ["a", "b", "c"]
    assert examples(Person, 3, seed=1) == examples(Person, 3, seed=1) != examples(Person, 3, seed=2)
    for text in examples(Person, 10):
        Person.model_validate_json(text)


def test_a_type_whose_texts_are_all_long_is_brought_to_an_end():
    (text,) = examples(Regex("(ab){1000}c*b"), 1)
    assert re.fullmatch("(ab){1000}c*b", text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5000},
        {"type": "array", "items": {"type": "integer"}, "minItems": 30, "uniqueItems": True},
        {
            "type": "object",
            "properties": {f"p{i}": {"type": "string", "format": "email"} for i in range(100)},
            "required": [f"p{i}" for i in range(100)],
        },
        {"type": "object", "minProperties": 50},
    ],
)
def test_schemas_whose_texts_are_all_long_have_examples(schema):
    (text,) = examples(schema, 1)
    jsonschema.validate(json.loads(text), schema)


def test_the_way_to_a_far_end_turns_back_where_it_leads_nowhere_new(monkeypatch):
    module = importlib.import_module("outlines.insight.examples")  # the package has the function by this name
    monkeypatch.setattr(module, "USUAL_LENGTH", 0)
    monkeypatch.setattr(module, "MAX_STATES_NEAR_BY", 0)
    for pattern in ["(aa|ab)*ac", '("a)*]b{3}', "a(b(c(dd)*e)*f)*g", *PATTERNS]:
        (text,) = examples(Regex(pattern), 1)
        assert re.fullmatch(pattern, text)
    assert json.loads(examples({"type": "array", "minItems": 2, "items": {"type": "array"}}, 1)[0]) == [[], []]
    monkeypatch.setattr(module, "MAX_SEARCHED_STATES", 10)
    with pytest.raises(LimitError, match="within 10 states: its shortest texts are very long"):
        examples(Regex("a{20}"), 1)


# Drawings


def accepts(dot: str, text: str) -> bool:
    """Run a drawing on a text, its labels read as sets of characters or words."""
    arrows = [
        (int(start), int(end), label.replace('\\"', '"').replace("\\\\", "\\"))
        for start, end, label in re.findall(r'(\d+) -> (\d+) \[label="(.*)"\]', dot)
    ]
    ends = {int(state) for state in re.findall(r"(\d+) \[shape=doublecircle\]", dot)}
    places = {(0, 0)}
    stack = [(0, 0)]
    while stack:
        state, place = stack.pop()
        if place == len(text) and state in ends:
            return True
        for start, end, label in arrows:
            for part in label.split(" "):
                is_range = len(part) == 3 and part[1] == "-"
                fits = is_range and part[0] <= text[place : place + 1] <= part[2]
                length = 1 if is_range else len(part)
                following = (end, place + length)
                if start == state and (fits or text.startswith(part, place)) and following not in places:
                    places.add(following)
                    stack.append(following)
    return False


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_drawing_accepts_what_the_pattern_does(pattern):
    dot = draw(Regex(pattern)).dot
    for text in TEXTS:
        assert accepts(dot, text) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize(
    ("output_type", "num_states"),
    [(Regex("(a|b)*abb"), 4), (Literal["yes", "no"], 2), (Regex("(aa|ab|ba|bb)*"), 2), (int, 4)],
)
def test_a_drawing_is_of_the_smallest_automaton(output_type, num_states):
    assert draw(output_type).num_states == num_states


def test_characters_beyond_ascii_are_drawn_as_one_or_by_themselves():
    assert '0 -> 1 [label="é"]' in draw(Literal["é"]).dot
    dot = draw(outlines.types.string).dot
    assert 'label="any but \\" beyond ASCII' in dot
    assert dot.count("->") == 4


def test_a_large_automaton_is_refused():
    with pytest.raises(LimitError, match="MAX_DRAWN_STATES"):
        draw(Regex("(a|b)*a(a|b){12}"))


def test_svg_is_made_by_graphviz_where_it_is_there(tmp_path, monkeypatch):
    drawing = draw(Literal["a"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert drawing._repr_svg_() is None
    with pytest.raises(FileNotFoundError, match="install graphviz"):
        drawing.svg()
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\nread first\necho "<svg>$1 $first</svg>"\n')
    program.chmod(0o755)
    assert drawing._repr_svg_() == drawing.svg() == "<svg>-Tsvg digraph {</svg>\n"
    drawing.save(tmp_path / "a.svg")
    drawing.save(tmp_path / "a.dot")
    assert (tmp_path / "a.svg").read_text() == drawing.svg()
    assert (tmp_path / "a.dot").read_text() == drawing.dot
