"""GBNF: which texts, and which errors with their place."""

from __future__ import annotations

import itertools
import re

import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.cfg import grammar_symbols
from outlines.exceptions import EmptyLanguageError, GrammarError, LimitError

# llama.cpp's json.gbnf, told again
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
"""

CASES = [
    (
        JSON,
        ['{"a": [1, -2.5e3, {"b": null}], "c": "\\u00e9x\\n"}', "{}", '{"a":[[[]]]}\n  '],
        ["[]", '{"a":01}', '{"a":1,}'],
    ),
    ('root ::= [a-c]+ | "x" root "y"', ["abc", "xxayy"], ["", "xay y", "xy", "xxay"]),
    ('root ::= item{2,3}\nitem ::= [0-9] ","?', ["1,2", "123,", "12"], ["1", "1234", ",1"]),
    ('root ::= root "+" root | [0-9]{1,2}', ["1+22+3"], ["1+", "123", "+1"]),
    ('root ::= ws root "x" | "y"\nws ::= " "*', ["y", "yx", "  yx", " yxx"], ["x", " y", "y x"]),
    ('root ::= [^a\\]] . [\\x41-\\u0043\\-] "\\U0001F642"', ["b?A🙂", "é漢-🙂"], ["aaA🙂", "]xB🙂", "bxD🙂"]),
    ('root ::= "a" ("b"\n | "c" # comment\n )* "d"', ["ad", "abcbd"], ["a", "abc"]),
    ('root ::= pair pair\npair ::= "(" root* ")"', ["()()", "(()())()"], ["()", "()()()"]),
    ('root ::= "a"{2,} b\nb ::= "b"\n  | "c"', ["aab", "aaac"], ["ab", "aa"]),
]


@pytest.mark.parametrize(("grammar", "accepted", "rejected"), CASES)
def test_texts_of_a_grammar(grammar, accepted, rejected):
    automaton = Automaton(grammar_symbols(grammar))

    def accepts(text):
        return END in automaton.run(automaton.start, text.encode())

    assert [text for text in accepted if not accepts(text)] == []
    assert [text for text in rejected if accepts(text)] == []


def test_regular_grammars_are_their_regex():
    automaton = Automaton(grammar_symbols('root ::= (a | "c"){1,2} b?\na ::= "a"+\nb ::= "ab" | "b"'))
    pattern = re.compile("(?:a+|c){1,2}(?:ab|b)?")
    for length in range(6):
        for letters in itertools.product("abc", repeat=length):
            text = "".join(letters)
            accepted = END in automaton.run(automaton.start, text.encode())
            assert accepted == bool(pattern.fullmatch(text)), text


@pytest.mark.parametrize(
    ("grammar", "words", "line", "column"),
    [
        ('root ::= "a" b', 'rule "b" is used but not defined', 1, 14),
        ('root ::= "a"\nroot ::= "b"', "defined twice", 2, 1),
        ('a ::= "a"', 'no rule "root"', None, None),
        ('root ::= "a\n', "never closed", 1, 10),
        ('root ::= x\nx ::= ("a"', "parenthesis is never closed", 2, 7),
        ("root ::= [z-a]", "wrong way round", 1, 10),
        ("root ::= [a", "never closed", 1, 10),
        ('root ::= "\\q"', "is no escape", 1, 11),
        ('root ::= "\\u12"', "4 hexadecimal digits", 1, 11),
        ('root ::= "a"{3,2}', "3 is more than 2", 1, 13),
        ('root ::= "a"{x}', "counts must follow", 1, 13),
        ('root ::= "a" (="b")', "lookahead", 1, 14),
        ("root ::= <think>", "tokens by name", 1, 10),
        ('root ::= "a"\n = "b"', "can't stand here|must begin here", 2, 2),
        ('root ::= "a" ) "b"', "must begin here", 1, 14),
    ],
)
def test_errors_name_the_place(grammar, words, line, column):
    with pytest.raises(GrammarError, match=words) as raised:
        grammar_symbols(grammar, syntax="gbnf")
    assert (raised.value.line, raised.value.column) == (line, column)


def test_a_grammar_without_a_text_is_an_error():
    with pytest.raises(EmptyLanguageError, match='"root" can never be finished'):
        grammar_symbols('root ::= "a" root')


def test_depth_has_a_limit():
    with pytest.raises(LimitError, match="MAX_DEPTH"):
        grammar_symbols("root ::= " + "(" * 500 + '"a"' + ")" * 500)


def test_nesting_is_linear():
    automaton = Automaton(grammar_symbols('root ::= "(" root ")" | [a-z]*'))
    threads = automaton.run(automaton.start, b"(" * 5000 + b"x" + b")" * 5000)
    assert END in threads
    assert len(threads) <= 2
