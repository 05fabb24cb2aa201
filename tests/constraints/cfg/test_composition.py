"""Grammars within other terms, and other terms within grammars."""

from __future__ import annotations

import pytest

from outlines import grammars
from outlines.automaton import END, Automaton
from outlines.constraints.terms import term_symbols
from outlines.exceptions import ConstraintError
from outlines.types import CFG, JsonSchema
from outlines.types.dsl import (
    String,
    either,
    exactly,
    optional,
    python_types_to_terms,
    regex,
    to_regex,
    until,
    without,
    zero_or_more,
)

SUM = CFG(grammars.arithmetic)
QUERY = JsonSchema(
    {
        "type": "object",
        "properties": {"q": {"type": "string"}},
        "required": ["q"],
        "additionalProperties": False,
    }
)
CALL = until("<tool name=") + either("search", "fetch") + ">" + QUERY + "</tool>"
CONVERSATION = zero_or_more(CALL) + without("<tool name=")

CASES = {
    "between strings": (String("x=") + SUM + ";", ["x=1+2;", "x= 1 ;"], ["x=;", "x=1+;", "1;"]),
    "one of several": (either(SUM, "none", regex("n[a-z]")), ["1+2", "none", "nn"], ["non", "1none"]),
    "repeated": ((SUM + ",").one_or_more() + "!", ["1,2+3,!"], ["!", "1,2!"]),
    "counted": (exactly(2, SUM + ";"), ["1;2;"], ["1;", "1;2;3;"]),
    "optional": (optional(SUM) + "?", ["?", "1-1?"], ["1", "-?"]),
    "two grammars": (SUM + CFG('start: "a" start "b" | "c"'), ["1acb", "(2)c"], ["1", "1ac"]),
    "a grammar in itself, twice": (SUM + "=" + SUM, ["1+1=2"], ["1=", "=1"]),
    "a schema in a grammar": (
        CFG('start: "a" %json {"type":"integer"} "b" %regex /[xy]*/ "c"'),
        ["a12bxyc", "a12bc"],
        ["a1.5bc", "abc"],
    ),
    "a grammar in a grammar": (
        CFG(
            'start: "(" %lark {\n start: (N ("+" N)*)?\n N: /[0-9]+/\n %ignore " "\n} ")" NAME\nNAME: /[a-z]+/'
        ),
        ["(1 + 2)x", "()x"],
        ["( )1", "(1+)x", "(1 + 2) x"],
    ),
    "ignored text around a schema": (
        CFG('start: item*\nitem: "<" %json {"type":"array"} ">" | NAME\nNAME: /[a-z]+/\n%ignore " "'),
        ["ab <[null]> cd", "", "< [1] >", "<[]><[]>"],
        ["<[>", "ab<>"],
    ),
    "structural tags": (
        CONVERSATION,
        [
            "hello",
            'hi <tool name=search>{"q":"</tool>"}</tool> and <tool name=fetch>{"q":"x"}</tool>',
            "<tool nam",
        ],
        ["hi <tool name=x>", "<tool name=search>{}</tool>", '<tool name=fetch>{"q":"x"}'],
    ),
    "reasoning first": (
        optional(String("<think>") + until("</think>")) + QUERY,
        ['<think>hm 🙂 </thin</think>{"q":""}', '{"q":""}'],
        ['<think>{"q":""}', '<think></think></think>{"q":""}'],
    ),
}


def accepts(term, text):
    automaton = Automaton(term_symbols(term))
    return END in automaton.run(automaton.start, text.encode())


@pytest.mark.parametrize(("term", "accepted", "rejected"), CASES.values(), ids=CASES)
def test_texts(term, accepted, rejected):
    assert [text for text in accepted if not accepts(term, text)] == []
    assert [text for text in rejected if accepts(term, text)] == []


def test_dict_is_the_grammar_of_json():
    assert python_types_to_terms(dict) == CFG(grammars.json)
    assert accepts(python_types_to_terms(dict), '{"a": [1, 2.5e3, null], "b": {}}')
    assert not accepts(python_types_to_terms(dict), '{"a": +1}')
    assert accepts(python_types_to_terms(list[dict]), '[{}, {"a": 1}]')


@pytest.mark.parametrize("triggers", [["ab"], ["aa"], ["aba", "b"], ["é"]])
def test_free_text_is_its_pattern(triggers):
    import itertools

    for term in (until(*triggers), without(*triggers)):
        language = term_symbols(term)[0]
        for length in range(6):
            for letters in itertools.product("abé", repeat=length):
                text = "".join(letters)
                automaton = Automaton((language,))
                expected = term.matches(text)
                assert (END in automaton.run(automaton.start, text.encode())) == expected, (
                    text,
                    to_regex(term),
                )


def test_free_text_asks_for_triggers():
    with pytest.raises(ValueError, match="`until` needs at least one trigger"):
        until()
    with pytest.raises(ValueError, match="`without` needs at least one trigger"):
        without("a", "")


def test_free_text_is_valid_utf8():
    automaton = Automaton(term_symbols(until("x")))
    assert automaton.run(automaton.start, b"\xc3\xa9x")
    assert not automaton.run(automaton.start, b"\xff")


def test_a_pattern_that_looks_at_a_grammar_is_an_error():
    with pytest.raises(ConstraintError, match="looks past its own edge"):
        term_symbols(regex(r"a\b") + SUM)


def test_the_repr_and_the_equality_of_a_grammar():
    assert repr(CFG("x")) == "CFG(definition='x')"
    assert CFG("x") != CFG("x", lexer="basic")
