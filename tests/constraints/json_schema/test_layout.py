"""How the JSON text is written: white space, indentation, ASCII alone, depth, forms of numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.automaton import END, Automaton
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.json_schema.layout import MAX_WHITESPACE
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import PatternError
from outlines.types import JsonSchema
from outlines.types.json_options import JsonOptions

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: not any("\ud800" <= c <= "\udfff" for c in json.dumps(value, ensure_ascii=False)))

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["x", [1, {"a": []}]]}}},
    "required": ["name"],
    "additionalProperties": False,
}
ADA = {"name": "Ada", "tags": ["x", [1, {"a": []}]]}


def machine(schema, **options):
    """Give what tells whether a text is written."""
    automaton = Automaton(schema_symbols(schema, JsonOptions(**options)))
    return lambda text: END in automaton.run(automaton.start, text.encode() if isinstance(text, str) else text)


ANY_VALUE = {indent: machine({}, indent=indent) for indent in (0, 1, 2, 4)}


@given(VALUES, st.sampled_from(sorted(ANY_VALUE)))
def test_indented_text_is_what_json_writes(value, indent):
    accepts = ANY_VALUE[indent]
    assert accepts(json.dumps(value, indent=indent, ensure_ascii=False))
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    is_scalar = compact == json.dumps(value, indent=indent, ensure_ascii=False)
    assert accepts(compact) == is_scalar


@pytest.mark.parametrize("indent", [0, 2, 7])
def test_indentation_of_a_schema_is_exact(indent):
    accepts = machine(PERSON, indent=indent)
    for value in (ADA, {"name": "x"}, {"name": "", "tags": []}):
        text = json.dumps(value, indent=indent)
        assert accepts(text)
        for i in range(len(text) + 1):
            assert not accepts(text[:i] + " " + text[i:]) or text[:i].count('"') % 2, text[:i]
            assert not accepts(text[:i] + "\n" + text[i:])


@pytest.mark.parametrize(
    ("options", "accepted", "rejected"),
    [
        ({}, ['{ "name" : "x" , "tags" : [ "x", "x" ] }', '{"name":"x"}', '{"name":"", "tags": [  ]}'],
         ['{"name":"x"} ', ' {"name":"x"}', '{"name":"x", "tags": ["x" ,"x"]}', '{"name":  "x"}', '{"name":\n"x"}']),
        ({"whitespace_pattern": "upstream"}, ['{ "name" : "x" }'], ['{"name":  "x"}']),
        ({"whitespace_pattern": "compact"}, ['{"name":"x","tags":["x","x"]}'], ['{"name": "x"}', '{ "name":"x"}']),
        ({"whitespace_pattern": ""}, ['{"name":"x","tags":["x","x"]}'], ['{"name": "x"}']),
        ({"whitespace_pattern": "\n?"}, ['{\n"name"\n:"x"}'], ['{ "name":"x"}']),
        ({"whitespace_pattern": "any"},
         [' \n{ "name"\t:\r\n"x" , "tags" : [ "x" , "x" ] } ', f'{{{" " * MAX_WHITESPACE}"name":"x"}}'],
         [f'{{{" " * (MAX_WHITESPACE + 1)}"name":"x"}}', '{"name"\v:"x"}']),
    ],
)  # fmt: skip
def test_white_space_stands_where_it_is_said(options, accepted, rejected):
    accepts = machine(PERSON, **options)
    assert [text for text in accepted if not accepts(text)] == []
    assert [text for text in rejected if accepts(text)] == []


def test_a_pattern_of_white_space_that_is_wrong_is_an_error():
    with pytest.raises(PatternError):
        machine(PERSON, whitespace_pattern="(")


ASCII = machine({"properties": {"é": {"pattern": "^[à-ü🙂]{1,2}$"}, "e": {"enum": ["ß", 1]}}}, ascii_only=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'{"\u00e9":"\u00e0\ud83d\ude42"}', True),
        (r'{"\u00e9":"\u00e0\ud83d\ude42\u00e0"}', False),
        (r'{"\u00e9":"\ud83d"}', False),
        (r'{"\u00E9":"\u00e0"}', False),  # a declared name is spelt in one way
        ('{"é":"\\u00e0"}', False),
        (r'{"e":"\u00df"}', True),
        ('{"e":"ß"}', False),
        (r'{"\u00e9":"\u00e0","x\u00e9":"\ud83d\ude42 a"}', True),
        (r'{"\u00e9":"\u00e0","\u00e9":1}', False),
        ('{"x":"é"}', False),
        ('{"x":{"é":1}}', False),
        (r'{"x":{"\u00e9":1}}', True),
        ('"é"', False),
        (r'"\u00e9\/\n"', True),
    ],
)
def test_ascii_alone(text, expected):
    assert ASCII(text) == expected


ASCII_VALUE = machine({}, ascii_only=True)


@given(VALUES)
def test_any_value_has_a_text_of_ascii(value):
    text = json.dumps(value, separators=(",", ":"))
    assert ASCII_VALUE(text)
    raw = json.dumps(value, ensure_ascii=False)
    assert ASCII_VALUE(raw) == raw.isascii()


@pytest.mark.parametrize(("low", "high"), [(0, 3), (2, 3), (1, 1_000_000)])
def test_lengths_count_characters_of_ascii_text(low, high):
    accepts = machine({"type": "string", "minLength": low, "maxLength": high}, ascii_only=True)
    for count in (low, min(high, 50)):
        assert accepts('"' + r"\ud83d\ude42" * count + '"')
        assert not accepts('"' + "é" * max(count, 1) + '"')
    if high < 50:
        assert not accepts('"' + r"\u00e9" * (high + 1) + '"')
    assert low == 0 or not accepts('"' + r"\u00e9" * (low - 1) + '"')


@pytest.mark.parametrize(
    ("schema", "max_depth", "accepted", "rejected"),
    [
        ({}, 0, ["1", '"a"', "null"], ["[]", "{}"]),
        ({}, 1, ["[]", "[1]", '{"a":1}'], ["[[]]", '{"a":[]}']),
        ({"title": "nothing"}, 0, ["1"], ["[]", "{}"]),
        ({"type": "array"}, 0, ["[]", "[1]"], ["[[]]"]),
        ({"type": "array"}, 1, ["[[1]]"], ["[[[]]]"]),
        ({"items": {"items": {"type": "array"}}, "type": "array"}, 0, ["[[[1]],[[2]]]"], ["[[[[]]]]"]),
        (
            {"properties": {"a": {"properties": {"b": {}}}}},
            0,
            ['{"a":{"b":1}}', '{"x":1}'],
            ['{"a":{"b":[]}}', '{"x":[]}'],
        ),
    ],
)
def test_depth_is_bounded_where_the_schema_says_nothing(schema, max_depth, accepted, rejected):
    accepts = machine(schema, max_depth=max_depth)
    assert [text for text in accepted if not accepts(text)] == []
    assert [text for text in rejected if accepts(text)] == []


@pytest.mark.parametrize(
    ("schema", "plain", "more", "never"),
    [
        ({"type": "integer"}, ["0", "-0", "12"], ["1.0", "1e3", "1.50e1", "10e-1", "0.0", "0e-9"], ["1.5", "1e-1"]),
        ({"minimum": 5, "type": "number"}, ["5", "5.0", "7.25", "5e0"], ["50e-1", "0.5e1"], ["4.9", "49e-1"]),
        ({"const": 2}, ["2"], ["2.0", "20e-1", "0.2e1"], ["2.1", "3"]),
        ({"enum": [2.0, [3.0]]}, ["2", "2.0", "[3]", "[3.0]"], ["2e0", "2.00", "[30e-1]"], ["2.1", "20"]),
        ({"enum": [[1], {"a": 1.5}]}, ["[1]", '{"a":1.5}'], ["[1.0]", '{"a":15e-1}'], ["[1.5]"]),
    ],
)
def test_forms_of_numbers(schema, plain, more, never):
    in_plain, in_all = machine(schema), machine(schema, number_forms="all")
    for text in plain:
        assert in_plain(text) and in_all(text), text
    for text in more:
        assert not in_plain(text) and in_all(text), text
    for text in never:
        assert not in_plain(text) and not in_all(text), text


def test_digits_and_exponents_are_limited():
    accepts = machine({}, max_digits=3, max_exponent=2)
    for text in ("123", "1.23", "-12.3e2", "1e-2", "0.01"):
        assert accepts(text), text
    for text in ("1234", "1.234", "1e3", "1e-003", "0.001"):
        assert not accepts(text), text


def test_options_reach_the_engine():
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), None], [256])

    def accepts(text, **options):
        matcher = Constraint(JsonSchema(PERSON, **options), vocabulary).matcher()
        return all(matcher.advance(byte) for byte in text.encode()) and matcher.is_accepting()

    assert accepts(json.dumps(ADA, indent=3), indent=3)
    assert not accepts(json.dumps(ADA, indent=3))
    assert accepts('{"name":"é"}')
    assert not accepts('{"name":"é"}', ascii_only=True)
