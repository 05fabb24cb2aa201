"""Vocabularies that can't spell every text: each row equals brute force over sequences of tokens."""

from __future__ import annotations

import json
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.expression import EMPTY
from outlines.constraints.lacking import Remaining
from outlines.constraints.regex import read
from outlines.engine import DEAD, FINISHED, Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError
from outlines.rows import unpack
from outlines.spelling import generators
from outlines.types.dsl import JsonSchema as JsonSchemaTerm
from outlines.types.dsl import Regex as RegexTerm
from tests.oracle import JsonSchema, Regex
from tests.vocabularies import text_of, walk

MANY_STATES = 3_000


def spelled_rows(machine, tokens, limit=MANY_STATES):
    """Find the tokens that each state allows, of all states between tokens: those after which some tokens complete.

    All states that tokens lead to, and from those that accept backwards. None where there are too many.
    """
    order, targets, before = [machine.start], {}, {machine.start: set()}
    for state in order:
        targets[state] = {}
        for number, token in enumerate(tokens):
            after = machine.read(token, state) if token else frozenset()
            if machine.is_live(after):
                targets[state][number] = after
                if after not in before:
                    before[after] = set()
                    order.append(after)
                before[after].add(state)
        if len(order) > limit:
            return None
    done = {state for state in order if machine.is_accepting(state)}
    stack = list(done)
    while stack:
        for source in before[stack.pop()] - done:
            done.add(source)
            stack.append(source)
    return {
        state: (
            {number: after for number, after in targets[state].items() if after in done},
            machine.is_accepting(state),
        )
        for state in order
        if state in done
    }


def assert_rows_are_exact(output_type, machine, tokens):
    """Compare every state between tokens with the rows found backwards."""
    vocabulary = Vocabulary([*tokens, None], [len(tokens)], cache=False)
    rows = spelled_rows(machine, tokens)
    if rows is None:
        return False
    if machine.start not in rows:
        with pytest.raises(EmptyLanguageError):
            Constraint(output_type, vocabulary)
        return True
    constraint = Constraint(output_type, vocabulary)
    todo, seen = [(constraint.start_state, machine.start)], set()
    while todo:
        state, told = pair = todo.pop()
        if pair in seen:
            continue
        seen.add(pair)
        allowed, is_accepting = rows[told]
        expected = sorted(allowed) + [len(tokens)] * is_accepting
        assert unpack(constraint.row(state)).tolist() == expected, (tokens, told)
        assert constraint.is_accepting(state) == is_accepting
        for token in range(len(tokens)):
            after = constraint.next_state(state, token)
            assert (after == DEAD) == (token not in allowed)
            if token in allowed:
                todo.append((after, allowed[token]))
    return True


# name -> tokens, and what they are an example of
VOCABULARIES = {
    "prefixes": [b"ab", b"a", b"bc", b"abc"],  # "ab" + "c" is a text, but no token goes on with "c"
    "long": [b"abab", b"aba", b"b"],
    "bytes": [b"a", b"b", b"c", b"\xc3", b"\xa9", b"bc"],
    "halves": [b"a", b"\xc3", b"b\xc3", b"\xa9a"],
    "characters": [b"a", "é".encode(), "bé".encode(), b"b"],
    "word pieces": [b" a", b" b", b"a", b"c", b",", b" ab", b" ab"],
    "no single": [b"aa", b"aaa", b"bb"],
}
PATTERNS = [
    "abc",
    "(ab)*c?",
    "a+b",
    "(ab|abc)+",
    "a{3,7}",
    "(a|b|c){2,5}",
    "(aa)*",
    "a{5}|b{4}",
    "[a-c]*é",
    "(é|b)(é|c|a){1,3}",
    "a?é?b|ab+",
    "[^a]*",
    "( ?[ab]+,)* c?",
    "(?!ab)[ab]{1,4}",
    "ab|ac€|b",
    "(a{2}|b){2,4}",
]


@pytest.mark.parametrize("tokens", VOCABULARIES.values(), ids=VOCABULARIES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_rows_of_patterns_are_exact_by_tokens(pattern, tokens):
    if "(?!" in pattern:
        pytest.importorskip("tests.oracle")
        machine = Regex(
            "(a[a]?|b|aa[ab]{1,2}|b[ab]{1,3})"
        )  # the same language, for the oracle has no lookaheads
        assert all(
            machine.accepts(text.encode()) == (re.fullmatch(pattern, text) is not None)
            for text in ["a", "b", "aa", "ab", "ba", "aab", "aba", "abab", "bbbb", "aabb", "", "bbbbb"]
        )
    else:
        machine = Regex(pattern)
    assert assert_rows_are_exact(RegexTerm(pattern), machine, tokens)


TEXTS = st.lists(
    st.sampled_from([b"a", b"b", b"c", b"\xc3", b"\xa9"]).map(bytes), min_size=1, max_size=4
).map(b"".join)


@st.composite
def patterns(draw, depth=3):
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["a", "b", "c", "é", "[ab]", "[^b]", "[a-cé]", "ab", "bé"]))
    left, right = draw(patterns(depth=depth - 1)), draw(patterns(depth=depth - 1))
    form = draw(
        st.sampled_from(
            ["{0}{1}", "(?:{0}|{1})", "(?:{0})*", "(?:{0}){{1,3}}{1}", "(?:{0})?{1}", "(?:{0}){{3}}"]
        )
    )
    return form.format(left, right)


@given(patterns(), st.lists(TEXTS, min_size=1, max_size=6))
def test_rows_of_any_pattern_are_exact_by_tokens(pattern, tokens):
    assert assert_rows_are_exact(RegexTerm(pattern), Regex(pattern), tokens)


PRINTABLE = [bytes([byte]) for byte in range(0x20, 0x7F)]
SCHEMAS = [
    {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "bc": {"enum": ["x", "é", None]}},
        "required": ["a"],
    },
    {"anyOf": [{"type": "integer", "minimum": 5, "maximum": 12}, {"const": "t\u007f"}, {"type": "null"}]},
    {"type": "array", "items": {"enum": ["a", "a\U000f0000b", 1]}, "minItems": 1, "maxItems": 3},
    {"type": "string", "pattern": "^(a|bé|c\\\\)+$", "maxLength": 4},
    {"enum": ["ab", "abé", "é"]},
    {"type": "object", "properties": {"é": {"const": 1}, "a": {"const": 2}}, "additionalProperties": False},
]
CLOSED = {0}


@pytest.mark.parametrize("lacking", ["", '"', "{", "a", "\\", "1", "]", "é"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_rows_of_schemas_are_exact_by_tokens(schema, lacking):
    if schema.get("type") == "object":
        schema = {**schema, "additionalProperties": False}
    tokens = [text for text in [*PRINTABLE, "é".encode()] if text != lacking.encode()]
    tokens += [b'{"', b'a"', b'":', b'b"]', 'é"'.encode(), b"true", b"true", b"\xc3"]
    assert assert_rows_are_exact(JsonSchemaTerm(schema), JsonSchema(schema), tokens)


@given(st.sets(TEXTS, max_size=8), st.lists(TEXTS, min_size=1, max_size=6))
def test_generators_spell_what_all_spell(more, parts):
    texts = {*more, *parts, b"".join(parts)}
    kept = generators(texts)

    def spells(text, pieces):
        return not text or any(text.startswith(p) and spells(text[len(p) :], pieces) for p in pieces)

    assert kept <= texts
    assert all(spells(text, kept) for text in texts)
    assert not any(spells(text, kept - {text}) for text in kept)


# ---- Which constraints need a closer look --------------------------------------------------------------------------

ASCII = sum(1 << byte for byte in range(0x20, 0x7F))


@pytest.mark.parametrize(
    ("pattern", "whole", "expected"),
    [
        ("[a-z]+", True, True),
        ("[a-zé]*", True, True),
        ("bé", True, False),
        ("éb", True, False),  # caution: it can't begin by single bytes
        ("(éb)?", True, True),
        ("(éb)?", False, False),  # a token may end within é
        ("a\x00?", True, True),
        ("(a\x00)?b", True, False),
        ("[\x00-\x1f]?x", True, True),
        ("(?:[ab]{2}){1000}", True, True),
        ("(?:é{2})*", True, False),
        ("(?=[a-z]).{1,3}", True, True),
        ("(?!a)[aé]b?", True, False),
    ],
)
def test_what_single_bytes_complete(pattern, whole, expected):
    assert Remaining(ASCII, whole).is_stuck_free(read(pattern)) == expected


@given(patterns(), st.lists(st.sampled_from([b"a", b"b", b"c", b"\xc3", b"\xa9"])))
def test_renewable_means_that_single_bytes_have_all_lengths(pattern, tokens):
    expression = read(pattern)
    if Remaining(sum(1 << token[0] for token in set(tokens))).is_renewable(expression):
        texts = lengths = {expression}
        for _ in range(8):
            texts = {after for e in texts for after in e.transitions()[1] if after is not EMPTY}
            lengths = {after for e in lengths for t in tokens if (after := e.step(t[0])) is not EMPTY}
            assert any(e.nullable for e in texts) == any(e.nullable for e in lengths)


@given(patterns(), st.lists(TEXTS, max_size=4))
def test_without_a_need_to_look_states_alive_by_bytes_are_by_tokens(pattern, more):
    tokens = [b"a", b"b", *more]
    texts = [token.decode("latin-1") for token in tokens]
    single = sum(1 << ord(text) for text in set(texts) if len(text) == 1)
    try:
        [token.decode() for token in tokens]
        whole = True
    except UnicodeDecodeError:
        whole = False
    if Remaining(single, whole).is_stuck_free(read(pattern)):
        machine = Regex(pattern)
        rows = spelled_rows(machine, tokens)
        todo, seen = [machine.start], set()
        while todo:
            state = todo.pop()
            if state not in seen:
                seen.add(state)
                assert state in rows  # alive by tokens
                todo += [after for t in tokens if machine.is_live(after := machine.read(t, state))]


def constraint_looks(output_type, tokens):
    constraint = Constraint(output_type, Vocabulary([*tokens, None], [len(tokens)], cache=False))
    return constraint.tables._completions is not None


def test_usual_constraints_take_the_usual_way():
    everything = {"type": "object"}
    assert not constraint_looks(everything, PRINTABLE)
    assert not constraint_looks({"type": "string", "maxLength": 3}, PRINTABLE)
    assert not constraint_looks(
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}, PRINTABLE
    )
    assert not constraint_looks(RegexTerm("[0-9]+( [a-z]*)?"), PRINTABLE)
    assert not constraint_looks(RegexTerm("a|\n"), PRINTABLE)  # a newline is never begun
    assert constraint_looks(RegexTerm("a\n|b"), PRINTABLE)
    assert constraint_looks({"enum": ["a", "é"]}, PRINTABLE)
    nearly_all = [bytes([byte]) for byte in range(256) if byte not in (4, 0x7F, 0xF1, 0xF2)]
    assert not constraint_looks({"type": "string", "pattern": "^(ab|[^c]{3})+$", "maxLength": 9}, nearly_all)
    assert constraint_looks({"type": "string", "pattern": "\\x7f$", "maxLength": 9}, nearly_all)


# ---- Errors, and hostile cases -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output_type",
    [
        {"type": "object"},
        RegexTerm("a{"),
        {"const": "{"},
        {"type": "array", "items": {"type": "object"}, "minItems": 1},
    ],
)
def test_what_no_tokens_spell_is_an_error_at_once(output_type):
    tokens = [text for text in PRINTABLE if text != b"{"]
    with pytest.raises(EmptyLanguageError, match=r"tokens spell no text .* any of the bytes b'\{' .* this one lacks"):
        Constraint(output_type, Vocabulary([*tokens, None], [len(tokens)], cache=False))


def test_alternative_that_no_tokens_spell_is_never_begun():
    tokens = [text for text in PRINTABLE if text != b"{"] + [b'[{"a":']
    constraint = Constraint(True, Vocabulary([*tokens, None], [len(tokens)], cache=False))
    matcher = constraint.matcher()
    first = {tokens[t] for t in unpack(matcher.mask()).tolist()}
    assert first == {b"[", b'[{"a":', b'"', b"-", b"t", b"f", b"n", *(b"%d" % i for i in range(10))}
    assert matcher.advance(tokens.index(b'[{"a":'))
    for byte in b"1}]":
        assert matcher.advance(tokens.index(bytes([byte])))
    assert matcher.is_accepting()
    assert matcher.advance(len(tokens))
    assert matcher.state == FINISHED


@pytest.mark.parametrize(
    "output_type",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 3000, "maxItems": 10**9},
        {"type": "string", "minLength": 3000, "maxLength": 20_000, "pattern": "[a-y]*"},
        RegexTerm("((a|b){1,1000}\x00?){1,1000}"),
        RegexTerm("a{100000}"),
        RegexTerm("a{3}" + "ab" * 25_000 + "z?"),
        RegexTerm("|".join("a" * i + "bz?" for i in range(1, 300))),
        RegexTerm("(a|bz)" + "(a|bz|az{2})(b|z)?" * 500),
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/a"}, {"const": "z"}]}}},
        },
    ],
    ids=["items", "characters", "counts", "count", "literal", "nested", "long", "recursive"],
)
def test_large_counts_are_not_unrolled(output_type):
    tokens = [text for text in PRINTABLE if text != b"z"]
    constraint = Constraint(output_type, Vocabulary([*tokens, None], [len(tokens)], cache=False))
    matcher = constraint.matcher()
    for _ in range(20):
        token = int(unpack(matcher.mask())[0])
        if not matcher.advance(token):
            raise AssertionError(token)
        if matcher.state == FINISHED:
            break


@pytest.mark.parametrize(
    "output_type",
    [
        {"type": "object", "patternProperties": {"^a": {"const": "z"}}, "minProperties": 1},
        {"type": "object", "propertyNames": {"pattern": "^a|^z"}, "minProperties": 2},
        {"type": "array", "items": {"enum": ["z", "a", "b"]}, "uniqueItems": True, "minItems": 2},
        {"type": "object", "properties": {"z": True, "a": {"type": "integer"}}, "minProperties": 2},
    ],
    ids=["patterns of names", "names", "unique", "declared"],
)
def test_what_is_remembered_of_a_text_is_no_endless_search(output_type, rng):
    tokens = [text for text in PRINTABLE if text != b"z"]
    vocabulary = Vocabulary([*tokens, None], [len(tokens)], cache=False)
    constraint = Constraint(output_type, vocabulary)
    for _ in range(2):
        taken = walk(constraint, rng, 30)
        if taken is not None:
            jsonschema.validate(json.loads(text_of(vocabulary, taken)), output_type)
    if "patternProperties" in output_type:
        with pytest.raises(EmptyLanguageError):
            Constraint({**output_type, "additionalProperties": False}, vocabulary)


def test_names_that_tokens_spell_may_be_too_few():
    """Where two free names are all that tokens spell, three can't be asked for."""
    tokens = [b'{"a":1', b',"b":1', b',"b":1}']
    vocabulary = Vocabulary([*tokens, None], [len(tokens)], cache=False)
    schema = {"type": "object", "additionalProperties": {"const": 1}, "minProperties": 2}
    matcher = Constraint(schema, vocabulary).matcher()
    assert [matcher.advance(token) for token in (1, 0, 1, 2, 3)] == [False, True, False, True, True]
    with pytest.raises(EmptyLanguageError):
        Constraint({**schema, "minProperties": 3}, vocabulary)


def test_objects_of_many_names_are_looked_at_once():
    schema = {"type": "object", "properties": {f"k{i}": {"type": "integer"} for i in range(2000)}}
    assert not constraint_looks(schema, PRINTABLE)


def test_walks_are_bounded_in_memory():
    import outlines.spelling

    tokens = [text for text in PRINTABLE if text != b"z"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlines.spelling, "_MANY_STATES", 5)
        vocabulary = Vocabulary([*tokens, None], [len(tokens)], cache=False)
        matcher = Constraint(RegexTerm("a{20}z?"), vocabulary).matcher()
        for _ in range(20):
            assert np.array_equal(unpack(matcher.mask()), [tokens.index(b"a")])
            assert matcher.advance(tokens.index(b"a"))
        assert unpack(matcher.mask()).tolist() == [len(tokens)]
