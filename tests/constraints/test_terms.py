"""Terms of the DSL, judged by `re.fullmatch` of the pattern that they are written as, and by `jsonschema`."""

from __future__ import annotations

import datetime
import enum
import json
import re
from typing import Literal, TypedDict

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.terms import term_symbols
from outlines.engine import DEAD, Constraint, Vocabulary
from outlines.exceptions import ConstraintError, EmptyLanguageError, PatternError, SchemaError
from outlines.types import JsonSchema, Regex, dsl
from outlines.types.dsl import Choice, Sequence, String, either, python_types_to_terms, to_regex
from outlines.types.terms import Alternatives

EOS = 256
PIECES = [b"ab", b"ba", b"yes", b"no", b"\xc3\xa9", b"aa", b"1, ", b'"a', b'": ', b"12", b"ab1", b"\xc3"]
TOKENS = [bytes([i]) for i in range(256)] + [None] + PIECES
VOCABULARY = Vocabulary(TOKENS, [EOS], cache=False)


def accepts(constraint, text):
    """Tell whether a text is in the language: byte by byte, and once more by the longest tokens that fit."""
    data, verdicts = text.encode(), []
    for is_longest in (False, True):
        state, place = constraint.start_state, 0
        while place < len(data) and state != DEAD:
            fitting = [t for t, piece in enumerate(TOKENS) if piece and data.startswith(piece, place)]
            token = max(fitting, key=lambda t: len(TOKENS[t])) if is_longest else data[place]
            is_allowed = bool(constraint.row(state)[token // 32] >> token % 32 & 1)
            state = constraint.next_state(state, token)
            assert is_allowed == (state != DEAD), (text, TOKENS[token])
            place += len(TOKENS[token])
        verdicts.append(constraint.is_accepting(state))
    assert verdicts[0] == verdicts[1], text
    return verdicts[0]


class Colour(enum.Enum):
    red = "red"
    pair = 12


a, b, word = String("a"), String("b"), Regex("[a-z]+")

# Name -> (a term, texts in its language or near it). `re` says which are in.
TERMS = {
    "String": (String("a.b"), ["a.b", "aab", "a.", "a.bb"]),
    "String of no text": (String(""), ["", "a"]),
    "Regex": (Regex("a+b?"), ["a", "aab", "b", "abb", ""]),
    "Regex beyond ASCII": (Regex("[à-ü]x"), ["éx", "ex", "é"]),
    "Regex that looks back": (Regex(r"\w+(?<!ab)"), ["ab", "ba", "aab"]),
    "Sequence": (a + Regex("[0-9]{2}") + "b", ["a12b", "a1b", "12", "a123b"]),
    "Alternatives": (either("yes", "no", word + "!"), ["yes", "no", "ab!", "maybe", "ye"]),
    "Alternatives in a row": (either("a", "ab") + either("c", "bc"), ["ac", "abc", "abbc", "ab", "abcc"]),
    "Optional": (dsl.optional("ab") + "a", ["aba", "a", "ab", "ababa"]),
    "KleeneStar": (dsl.zero_or_more("ab"), ["", "ab", "abab", "aba"]),
    "KleenePlus": (dsl.one_or_more(either("a", "bb")), ["", "a", "bb", "abba", "b"]),
    "QuantifyExact": (word.exactly(2), ["ab", "a", "abc", ""]),
    "QuantifyExact none": (a.exactly(0) + "b", ["b", "ab"]),
    "QuantifyMinimum": (a.at_least(2), ["a", "aa", "aaaa", ""]),
    "QuantifyMaximum": (a.at_most(2), ["", "a", "aa", "aaa"]),
    "QuantifyBetween": (either("a", "ab").between(2, 3), ["a", "aa", "aab", "ababab", "aaaa", "b"]),
    "repetition of a repetition": (a.one_or_more().at_least(2), ["a", "aa", "aaa", ""]),
    "repetition of what may be empty": (a.optional().between(2, 3) + "b", ["b", "ab", "aaab", "aaaab"]),
    "Choice of values": (Choice(["yes", "no"]), ["yes", "no", "y", "yesno"]),
    "Choice of types and terms": (Choice([int, "yes", a + b]), ["12", "-3", "yes", "ab", "01", "y"]),
    "int": (int, ["0", "-12", "007", "1.0", "", "٣"]),
    "float": (float, ["0.5", "12", "1e5", "-1.5", ".5", "."]),
    "bool": (bool, ["True", "False", "true", "1"]),
    "Literal": (Literal["yes", "no"], ["yes", "no", "yesno"]),
    "int or bool": (int | bool, ["1", "True", "x"]),
    "Enum": (Colour, ["red", "12", "Colour.red", "blue"]),
    "list of int": (list[int], ["[]", "[1]", "[1, 2]", "[1,2]", "[1, ]", "1"]),
    "list of terms": (list[Literal["a", "b"]], ["['a', 'b']", '["a", "b"]', "[a, b]", "[]", '["a"]']),
    "tuple of two": (tuple[int, bool], ["(1, True)", "(1,)", "(1,True)", "1, True"]),
    "tuple of any number": (tuple[int, ...], ["()", "(1)", "(1, 2)", "(1,)"]),
    "dict of int": (dict[int, int], ["{1:2}", "{1: 2}", "{}", "{1:2, 3:4}", "1:2"]),
    "date": (datetime.date, ["2024-02-03", "2024-2-3", "2024-13-01"]),
}


@pytest.mark.parametrize(("output_type", "texts"), TERMS.values(), ids=TERMS)
def test_term_accepts_what_its_pattern_matches(output_type, texts):
    pattern = to_regex(python_types_to_terms(output_type))
    constraint = Constraint(output_type, VOCABULARY)
    expected = {text: re.fullmatch(pattern, text) is not None for text in texts}
    assert {True, False} == set(expected.values()), f"choose texts that {pattern} tells apart"
    assert {text: accepts(constraint, text) for text in texts} == expected


def larger(terms):
    return st.one_of(
        st.lists(terms, min_size=1, max_size=3).map(Sequence),
        st.lists(terms, min_size=1, max_size=3).map(Alternatives),
        st.lists(terms, min_size=1, max_size=3).map(Choice),
        terms.map(dsl.optional),
        terms.map(dsl.zero_or_more),
        terms.map(dsl.one_or_more),
        *(
            st.tuples(st.integers(0, 3), terms).map(lambda both, make=make: make(*both))
            for make in (dsl.exactly, dsl.at_least, dsl.at_most)
        ),
        st.tuples(st.integers(0, 2), st.integers(0, 2), terms).map(
            lambda three: dsl.between(three[0], three[0] + three[1], three[2])
        ),
    )


RANDOM_TERMS = st.recursive(
    st.sampled_from(["", "a", "b", "ab"]).map(String) | st.sampled_from(["a|b", "a*b", "b?"]).map(Regex),
    larger,
    max_leaves=6,
)


@given(RANDOM_TERMS, st.lists(st.text("ab", max_size=5), min_size=3, max_size=8))
def test_random_terms_accept_what_their_patterns_match(term, texts):
    constraint = Constraint(term, VOCABULARY)
    for text in texts:
        assert accepts(constraint, text) == (re.fullmatch(to_regex(term), text) is not None), text


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (Regex(r"a\b") + "b", "ab"),
        (Regex("(?=ab)a") + "b", "ab"),
        ("a" + Regex("(?<=a)b"), "ab"),
        (Regex("a(?!b)") + Regex("[bc]"), "ab"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
def test_pattern_that_looks_past_its_edge_sees_its_neighbour(term, text):
    expected = re.fullmatch(to_regex(term), text) is not None
    try:
        assert accepts(Constraint(term, VOCABULARY), text) == expected
    except EmptyLanguageError:
        assert not expected


# ---- JSON within terms -------------------------------------------------------------------------------------------

PAIR = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def is_json(text, schema=PAIR):
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
    except json.JSONDecodeError:
        return False


JSON_TEXTS = ['{"a": 1}', '{"a":12}', '{"a": "1"}', "{}", '{"b": 1}', '{"a": 1', ""]


@pytest.mark.parametrize("text", JSON_TEXTS)
def test_json_schema_between_other_terms(text):
    constraint = Constraint("yes" + JsonSchema(PAIR) + Regex("!+"), VOCABULARY)
    assert accepts(constraint, f"yes{text}!!") == is_json(text)
    assert not accepts(constraint, f"yes{text}")
    assert not accepts(constraint, f"{text}!")


@pytest.mark.parametrize("num_texts", range(5))
def test_json_schema_repeated(num_texts):
    constraint = Constraint((JsonSchema(PAIR) + "\n").between(1, 3), VOCABULARY)
    assert accepts(constraint, '{"a":1}\n' * num_texts) == (1 <= num_texts <= 3)
    assert not accepts(constraint, '{"a":1}\n' * num_texts + "{}\n")


@pytest.mark.parametrize(
    ("term", "counts"),
    [
        (dsl.optional(JsonSchema(PAIR)), {0, 1}),
        (dsl.zero_or_more(JsonSchema(PAIR)), {0, 1, 2, 3}),
        (dsl.one_or_more(JsonSchema(PAIR)), {1, 2, 3}),
        (dsl.exactly(2, JsonSchema(PAIR)), {2}),
        (dsl.at_least(2, JsonSchema(PAIR)), {2, 3}),
        (dsl.at_most(2, JsonSchema(PAIR)), {0, 1, 2}),
    ],
    ids=["optional", "zero_or_more", "one_or_more", "exactly", "at_least", "at_most"],
)
def test_every_repetition_counts_json_texts(term, counts):
    constraint = Constraint(term, VOCABULARY)
    assert {n for n in range(4) if accepts(constraint, '{"a":1}' * n)} == counts


def test_json_schema_or_another_term():
    for term in (either("no", JsonSchema(PAIR)), Choice(["no", JsonSchema(PAIR)])):
        constraint = Constraint(term, VOCABULARY)
        for text in [*JSON_TEXTS, "no", "yes"]:
            assert accepts(constraint, text) == (text == "no" or is_json(text)), text


def test_json_schema_keeps_its_white_space_within_a_sequence():
    constraint = Constraint(JsonSchema(PAIR, whitespace_pattern="") + "!", VOCABULARY)
    assert accepts(constraint, '{"a":1}!')
    assert not accepts(constraint, '{"a": 1}!')


def test_list_of_objects_is_written_as_python_writes_lists():
    class Pair(TypedDict):
        a: int

    constraint = Constraint(list[Pair], VOCABULARY)
    for text in ['[{"a": 1}]', '[{"a": 1}, {"a": 2}]']:
        assert accepts(constraint, text), text
    for text in ["[]", '{"a": 1}', '[{"a": 1},]', '[{"a": "x"}]']:
        assert not accepts(constraint, text), text


# ---- Errors ------------------------------------------------------------------------------------------------------


def test_regex_that_cannot_be_read_names_the_position():
    with pytest.raises(PatternError, match=r"position 3 of") as caught:
        Constraint("x" + Regex(r"(a)\1"), VOCABULARY)
    assert (caught.value.pattern, caught.value.position) == (r"(a)\1", 3)


@pytest.mark.parametrize("term", [Regex("a(?=b)"), Regex("[^\\s\\S]"), Regex("(?!)") + "a", Alternatives([])])
def test_term_without_text_is_an_error(term):
    with pytest.raises(EmptyLanguageError, match="no text"):
        Constraint(term, VOCABULARY)


def test_schema_within_a_sequence_names_its_place():
    with pytest.raises(SchemaError) as caught:
        Constraint("x" + JsonSchema({"properties": {"a": {"pattern": "("}}}), VOCABULARY)
    assert caught.value.pointer == "/properties/a/pattern"


def test_what_is_no_term_is_a_type_error():
    class Other(dsl.Term):
        pass

    with pytest.raises(TypeError, match="cannot build a constraint from"):
        term_symbols(Other())


# ---- Patterns that look past their edge at what isn't regular -----------------------------------------------------

VALUES = [1, "a", [], None, {"b": -2}]
VALUE = JsonSchema({"enum": VALUES})
VALUE_PATTERN = "(?:" + "|".join(re.escape(json.dumps(value, separators=(",", ":"))) for value in VALUES) + ")"

# Parts of a sequence; VALUE stands for a JSON value, and for a pattern of its texts where `re` judges
BESIDE_VALUES = {
    "^ in front": ["^a", VALUE],
    "$ at the end": [VALUE, r"a$", "\n?"],
    r"\b at the edge of the text": [r"\ba", VALUE, r"a\b"],
    "lookbehind at the text's begin": ["(?<!b)a(?<=a)", VALUE],
    "lookahead at its end": [VALUE, "a(?!b)b?"],
    "lookahead that all values meet": ["a(?!b|c)", VALUE],
    "lookahead that no value meets": ["a(?=b)|c", VALUE],
    "$ before a value": ["a$|b", VALUE],
    "^ behind a value": [VALUE, "^a|b"],
    "lookbehind that no value meets": [VALUE, "(?<=-)a|b"],
    "lookbehind that all values meet": [VALUE, "(?<!z)a|b"],
    "word boundaries inside": [r"a\b-\ba", VALUE, r"a\b[ab]?"],
    "lookahead inside": [r"(?=ab)ab?c?", VALUE],
    "unbounded lookahead behind": [VALUE, "(?=.*b)[ab]+"],
    "several patterns between": [VALUE, "a", r"\b", "-", VALUE],
    "a part looks at a part": [VALUE, "a(?=b)", "b", "(?<=b)c", VALUE],
}  # fmt: skip


@pytest.mark.parametrize("parts", BESIDE_VALUES.values(), ids=BESIDE_VALUES)
def test_patterns_beside_a_json_value_see_it(parts):
    constraint = Constraint(Sequence([p if p is VALUE else Regex(p) for p in parts]), VOCABULARY)
    pattern = "".join(VALUE_PATTERN if p is VALUE else f"(?:{p})" for p in parts)
    written = [json.dumps(value, separators=(",", ":")) for value in VALUES]
    around = ["", "a", "b", "c", "ab", "ba", "ac", "a-a", "-", "a-", "ab\n", "a\n", "abc"]
    if parts.count(VALUE) == 1:
        texts = [left + value + right for value in written for left in around for right in around]
    else:
        texts = [left + value + m + last for left in ("", "a") for value in written for m in around for last in written]
    verdicts = {text: re.fullmatch(pattern, text) is not None for text in texts}
    assert any(verdicts.values())
    for text, expected in verdicts.items():
        assert accepts(constraint, text) == expected, text


@pytest.mark.parametrize(
    ("term", "pattern"),
    [
        (Sequence([Regex(r"a\b"), VALUE]), r"a\b"),
        (Sequence([VALUE, Regex(r"(?<=1)a")]), "(?<=1)a"),
        (Sequence([Regex(r"(?=.*b)a"), VALUE]), "(?=.*b)a"),
        (Sequence([Regex("a"), Regex("(?!1)"), VALUE]), "(?!1)"),
        (dsl.KleeneStar(either(Regex("^a"), VALUE)), "^a"),
        (dsl.QuantifyExact(Regex(r"\ba") + VALUE, 2), r"\ba"),
    ],
    ids=str,
)
def test_pattern_that_asks_more_than_is_known_of_a_json_value_is_refused(term, pattern):
    with pytest.raises(ConstraintError, match="looks past its own edge") as caught:
        Constraint(term, VOCABULARY)
    assert repr(pattern) in str(caught.value)
    assert "Take it out" in str(caught.value)


@pytest.mark.parametrize(
    ("term", "pattern"),
    [
        (Regex("(?i)a") + "b", "(?i:a)b"),
        (Regex("(?i)a") + Regex(r"b\b"), r"(?i:a)b\b"),
        ("b" + Regex("(?x) a # b") + Regex("b$"), "bab$"),
        (Regex("(?s).") + Regex(".(?!b)"), "(?s:.).(?!b)"),
        (Regex("(?a)\\w") + Regex("\\w(?<=é)"), "(?a:\\w)\\w(?<=é)"),
        (Regex("(?m)a$") + Regex("\n?a$"), "(?m:a$)\n?a$"),
    ],
    ids=str,
)
def test_flags_hold_for_their_own_part(term, pattern):
    constraint = Constraint(term, VOCABULARY)
    for text in ("ab", "Ab", "AB", "aB", "bab", "bAb", "ba", "\nb", "\n\n", "aé", "éé", "aa", "a\na", "a", "b"):
        assert accepts(constraint, text) == (re.fullmatch(pattern, text) is not None), text


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (Regex(r"a\bb"), r"position 3 of 'a\\bb'"),
        (Regex("x(?=a)b|y(?<=z)"), "position 14"),
        (Regex("ab$c"), "position 3"),
        ("a" + Regex("b(?!)") + "c", "position 4 of 'b(?!)'"),
        (either(Regex("[^\\s\\S]"), Regex("a^")), "none of the other alternatives"),
        (Regex("a") + Regex(r"\bb"), r"Regex(pattern='\bb')"),
    ],
    ids=str,
)
def test_what_leaves_a_term_without_text_is_named(term, words):
    with pytest.raises(EmptyLanguageError) as caught:
        Constraint(term, VOCABULARY)
    assert words in str(caught.value)


def test_edges_of_an_alternative_of_the_whole_text_are_those_of_the_text():
    constraint = Constraint(either(Regex("^a$"), JsonSchema('{"type": "null"}')), VOCABULARY)
    assert accepts(constraint, "a")
    assert accepts(constraint, "null")
    assert not accepts(constraint, "anull")


def test_pattern_nested_too_deep_names_itself_alone_and_within_a_term():
    deep = Regex("(" * 5_000 + "a" + ")" * 5_000)
    for term in (deep, Sequence([deep, "b"])):
        with pytest.raises(PatternError, match="nested too deeply"):
            Constraint(term, VOCABULARY)
