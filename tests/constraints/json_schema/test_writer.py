"""Where white space stands, and in which order members come: whole languages, listed."""

from __future__ import annotations

import json

import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.json_schema import writer as writer_module
from outlines.constraints.json_schema.layout import Layout
from outlines.constraints.json_schema.numbers import NumberForms
from outlines.constraints.json_schema.reader import Document
from outlines.constraints.json_schema.text import spelling
from outlines.constraints.json_schema.writer import Writer
from outlines.exceptions import EmptyLanguageError, PatternError
from outlines.types.json_options import DEFAULTS, JsonOptions


def texts(schema, whitespace_pattern="_", longest=80):
    """List every text of a finite language, by trying all bytes."""
    automaton = Automaton(schema_symbols(schema, JsonOptions(whitespace_pattern)))
    found, waiting = set(), [(automaton.start, b"")]
    for threads, text in waiting:
        assert len(text) < longest, f"not finite: {text!r}"
        if END in threads:
            found.add(text.decode())
        for byte in range(256):
            following = automaton.step(threads, byte)
            if following:
                waiting.append((following, text + bytes([byte])))
    return found


def accepts(schema, text, whitespace_pattern=None):
    automaton = Automaton(schema_symbols(schema, JsonOptions(whitespace_pattern)))
    return END in automaton.run(automaton.start, text.encode())


def closed(properties, required=(), **more):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


ONE, TWO = {"enum": [1]}, {"enum": [2]}
SCALAR = {"type": "null"}

# Name -> (schema, all its texts with white space written `_`)
LANGUAGES = {
    "scalar": (SCALAR, {"null"}),
    "empty object": (closed({}), {"{_}"}),
    "empty array": ({"type": "array", "maxItems": 0}, {"[_]"}),
    "required member": (closed({"a": ONE}, "a"), {'{_"a"_:_1_}'}),
    "two members": (closed({"a": ONE, "b": TWO}, "ab"), {'{_"a"_:_1_,_"b"_:_2_}'}),
    "optional members in declared order": (
        closed({"b": ONE, "a": TWO}),
        {"{_}", '{_"b"_:_1_}', '{_"a"_:_2_}', '{_"b"_:_1_,_"a"_:_2_}'},
    ),
    "required after optional": (closed({"a": ONE, "b": TWO}, "b"), {'{_"b"_:_2_}', '{_"a"_:_1_,_"b"_:_2_}'}),
    "optional after required": (closed({"a": ONE, "b": TWO}, "a"), {'{_"a"_:_1_}', '{_"a"_:_1_,_"b"_:_2_}'}),
    "member without value left out": (closed({"a": False, "b": ONE}), {"{_}", '{_"b"_:_1_}'}),
    "names that another schema declares come after one's own": (
        {"type": "object", "properties": {"c": ONE}, "required": ["b", "c", "a"], "additionalProperties": TWO,
         "allOf": [closed({"a": True, "b": True, "c": True})]},
        {'{_"c"_:_1_,_"a"_:_2_,_"b"_:_2_}'},
    ),
    "one element": ({"type": "array", "items": ONE, "minItems": 1, "maxItems": 1}, {"[_1_]"}),
    "elements": ({"type": "array", "items": ONE, "maxItems": 3}, {"[__]", "[_1_]", "[_1,_1_]", "[_1,_1,_1_]"}),
    "prefix": (
        {"type": "array", "prefixItems": [ONE, TWO], "items": False, "minItems": 1},
        {"[_1_]", "[_1,_2_]"},
    ),
    "prefix that may end in rest": (
        {"type": "array", "prefixItems": [ONE], "items": TWO, "minItems": 2, "maxItems": 3},
        {"[_1,_2_]", "[_1,_2,_2_]"},
    ),
    "nested": (
        closed({"a": {"type": "array", "items": closed({}), "minItems": 1, "maxItems": 1}}, "a"),
        {'{_"a"_:_[_{_}_]_}'},
    ),
    "named array": ({"const": [1, [], "x"]}, {'[_1,_[_],_"x"_]'}),
    "named object": ({"const": {"b": 1, "a": {}}}, {'{_"b"_:_1_,_"a"_:_{_}_}'}),
    "named scalars": ({"enum": ["é", 1, 1.5, None, True]}, {'"é"', "1", "1.5", "null", "true"}),
    "words": ({"type": ["null", "boolean"]}, {"null", "true", "false"}),
    "equal names once": ({"anyOf": [{"const": "a"}, {"const": "a"}, SCALAR, SCALAR]}, {'"a"', "null"}),
    "name with escapes": (closed({'q"\n': ONE}, ['q"\n']), {'{_"q\\"\\n"_:_1_}'}),
    "small integers": ({"type": "integer", "minimum": 8, "maximum": 11}, {"8", "9", "10", "11"}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), LANGUAGES.values(), ids=LANGUAGES)
def test_texts_are_exactly_these(schema, expected):
    assert texts(schema) == expected
    for text in expected:
        json.loads(text.replace("_", " "))


def test_default_white_space_is_at_most_one_space():
    found = texts(closed({"a": ONE}, "a"), None)
    assert found == {
        f'{{{p}"a"{q}:{r}1{s}}}' for p in ("", " ") for q in ("", " ") for r in ("", " ") for s in ("", " ")
    }
    assert texts({"type": "array", "maxItems": 0}, None) == {"[]", "[ ]"}


@pytest.mark.parametrize(
    ("pattern", "spaces"), [("", [""]), ("\n|", ["", "\n"]), ("[ \t]{2}", ["  ", " \t", "\t ", "\t\t"])]
)
def test_white_space_is_what_the_pattern_matches(pattern, spaces):
    assert texts({"type": "array", "maxItems": 0}, pattern) == {f"[{space}]" for space in spaces}


def test_white_space_that_cannot_be_read_is_an_error():
    with pytest.raises(PatternError, match=r"position 0 of '\('"):
        schema_symbols(True, JsonOptions("("))


def test_schema_without_value_is_an_error():
    with pytest.raises(EmptyLanguageError, match="no value satisfies it"):
        schema_symbols(False)


OPEN = {
    "type": "object",
    "properties": {"a": ONE, "b": TWO},
    "required": ["b"],
    "additionalProperties": SCALAR,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"b":2}', True),
        ('{"b":2,"x":null}', True),
        ('{"a":1,"b":2,"x":null,"":null}', True),
        ('{"x":null,"b":2}', False),  # members that aren't declared come last
        ('{"b":2,"a":1}', False),
        ('{"b":2,"x":null,"a":1}', False),
        ('{"b":2,"x":1}', False),
        ('{"b":2,"b":2}', False),
        ('{"b":2,"a":null}', False),  # a declared name is never a free one
        ('{"b":2,"\\u0061":null}', False),
        ('{"b":2,"ab":null}', True),
        ('{"b":2,"\\u0061b":null}', True),
        ('{"x":null}', False),
        ("{}", False),
        ('{"b":2,}', False),
        ('{,"b":2}', False),
        ('{"b":2 "x":null}', False),
        (' {"b":2}', False),
        ('{"b":2} ', False),
    ],
)
def test_members_that_are_not_declared_come_last(text, expected):
    assert accepts(OPEN, text) == expected


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({}, '{"a":[{"b":null}, 1.5e3, "\\n"], "c":{}}', True),
        ({}, '{"a":1', False),
        (True, "[1, [2, []]]", True),
        (True, "[1 ,2]", False),
        ({"type": "object"}, '{"x" : 1 , "y":2}', True),
        ({"type": "object", "properties": {"a": False}}, '{"b":1}', True),
        ({"type": "object", "properties": {"a": False}}, '{"a":1}', False),
        ({"type": "object", "additionalProperties": False}, "{ }", True),
        ({"type": "object", "required": ["x"]}, '{"x":1}', True),
        ({"type": "object", "required": ["x"]}, '{"y":1}', False),
        ({"type": "object", "required": ["x"]}, '{"x":1,"y":1}', True),
    ],
)
def test_open_schemas(schema, text, expected):
    assert accepts(schema, text) == expected


@pytest.mark.parametrize("length", [1, writer_module._LONG_RUN - 1, writer_module._LONG_RUN, 50])
@pytest.mark.parametrize("prefix", ["", "id-", "[0-9]+x"])
def test_long_run_before_the_quote_is_counted(prefix, length):
    schema = {"type": "string", "pattern": f"^{prefix}[ab]{{1,{length}}}$"}
    begin = prefix.replace("[0-9]+", "12")
    assert accepts(schema, f'"{begin}{"ab" * 50}"'[: 1 + len(begin) + length] + '"')
    assert not accepts(schema, f'"{begin}{"ab" * 50}"'[: 2 + len(begin) + length] + '"')
    assert not accepts(schema, f'"{begin}"')


def test_equal_formulas_are_one_item():
    document = Document({"properties": {"a": {"$ref": "#"}, "b": True}})
    writer = Writer(document, Layout(DEFAULTS), spelling(False), NumberForms())
    assert writer.value(document.start) is writer.value(document.start)
    assert writer.value(document.start) is not writer.value(frozenset())


def test_array_of_a_million_is_never_unrolled():
    automaton = Automaton(
        schema_symbols({"type": "array", "items": ONE, "minItems": 10**6, "maxItems": 10**6 + 1}, JsonOptions(""))
    )
    threads = automaton.run(automaton.start, b"[1,1,1,")
    assert threads
    assert not automaton.run(threads, b"1]")


def test_10000_members_are_written_in_a_loop():
    names = [f"n{i}" for i in range(10_000)]
    schema = closed(dict.fromkeys(names, ONE), names)
    text = "{" + ",".join(f'"{name}":1' for name in names) + "}"
    assert accepts(schema, text, "")
    assert not accepts(schema, text.replace('"n9999":1', '"n9999":2'), "")
