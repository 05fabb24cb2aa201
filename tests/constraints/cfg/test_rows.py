"""Rows of grammars are exact: a token is allowed if and only if its bytes lead on."""

from __future__ import annotations

import random

import pytest

from outlines.constraints.cfg import grammar_symbols
from outlines.constraints.terms import term_symbols
from outlines.exceptions import ConstraintError, LimitError
from outlines.tables import Tables
from outlines.types import CFG, JsonSchema
from outlines.types.dsl import either, until, without
from outlines.vocabulary import Vocabulary
from tests.proof import allowed_tokens
from tests.random_grammars import ALPHABET, random_grammar


def small_vocabulary(rng, pieces=()):
    tokens = [bytes([byte]) for byte in range(256)]
    for _ in range(250):
        tokens.append("".join(rng.choice(ALPHABET) for _ in range(rng.randint(2, 6))).encode())
    tokens += [piece.encode() for piece in pieces]
    return Vocabulary([*tokens, None], eos_token_ids=[len(tokens)], cache=False)


def assert_rows_are_exact(symbols, vocabulary, rng, steps):
    """Walk through masks; compare each with every token read byte by byte."""
    tables = Tables(symbols, vocabulary, owns_symbols=True)
    automaton, state = tables._automaton, tables.start_state
    for _ in range(steps):
        threads = tables._threads_of(state)
        expected = {t for t, text in enumerate(vocabulary.tokens) if text and automaton.run(threads, text)}
        if tables.is_accepting(state):
            expected |= set(vocabulary.eos_token_ids)
        assert set(allowed_tokens(tables.row(state), vocabulary.num_tokens).tolist()) == expected
        ways = sorted(expected - set(vocabulary.eos_token_ids))
        if not ways:
            break
        state = tables.next_state(state, rng.choice(ways))


@pytest.mark.parametrize("lexer", ["contextual", "free", "basic"])
def test_rows_of_random_grammars(lexer, seed, budget):
    vocabulary = small_vocabulary(random.Random(seed))
    walked = 0
    for number in range(25 * budget):
        rng = random.Random(f"{seed} {lexer} {number}")
        try:
            symbols = grammar_symbols(random_grammar(rng), lexer=lexer)
        except ConstraintError:
            continue
        except Exception as error:  # lark refuses some with errors of its own
            raise AssertionError(f"an error that isn't ours: {error!r}") from error
        try:
            assert_rows_are_exact(symbols, vocabulary, rng, 15)
        except LimitError:
            continue
        walked += 1
    assert walked > 10


KEYWORDS = 'start: (NAME | "if" | "in" | "int" NAME)+\nNAME: /[a-z_]+/\nWS: /[ \\n]+/\n%ignore WS'
COMMENTS = (
    'start: ("-" | "->" | NUMBER)+\nNUMBER: /[0-9]+(\\.[0-9]+)?/\nRANGE: ".."\nC: /--[^\\n]*\\n/\n%ignore C'
)
QUOTES = 'start: (LONG | SHORT)+\nLONG: /""".*?"""/s\nSHORT: /"[^"]*"/'
PIECES = [
    "if",
    "int ",
    "in t",
    "iffy",
    " if if",
    "--a\n->",
    "->-",
    "1.5",
    '"""',
    '""" ""',
    '"a""',
    '[1,"a"]',
    "</t>",
]


@pytest.mark.parametrize(
    "term",
    [
        CFG(KEYWORDS),
        CFG(KEYWORDS, lexer="basic"),
        CFG(KEYWORDS, lexer="free"),
        CFG(COMMENTS),
        CFG(QUOTES),
        CFG('root ::= "[" ws (root | [a-c]{1,3}) ("," root)* "]"\nws ::= " "*'),
        CFG(
            'start: "a" %json {"type": "array", "items": {"type": "integer"}} NAME?\nNAME: /[a-z]+/\n%ignore " "'
        ),
        (CFG(KEYWORDS) + ";").one_or_more() + "!",
        either(CFG(COMMENTS), "->x", CFG(QUOTES)),
        (until("<t>") + JsonSchema({"type": "array"}) + "</t>").zero_or_more() + without("<t>"),
        CFG('start: %lark { start: A+ \n A: /a+/ } "a"? | NAME\nNAME: /[a-z]+/'),
    ],
    ids=lambda term: str(term)[:40],
)
def test_rows_of_named_cases(term, rng):
    vocabulary = small_vocabulary(rng, PIECES)
    for _ in range(3):
        assert_rows_are_exact(term_symbols(term), vocabulary, rng, 30)
