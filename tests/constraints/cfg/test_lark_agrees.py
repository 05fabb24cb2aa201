"""What a grammar accepts and refuses is what Lark does, on random grammars whose terminals collide."""

from __future__ import annotations

import random

import lark
import pytest

from outlines.automaton import END, Automaton
from outlines.constraints.cfg import grammar_symbols
from outlines.exceptions import EmptyLanguageError, GrammarError, LimitError
from tests.random_grammars import ALPHABET, lalr_parser, near_texts, random_grammar


def automaton_of(grammar, lexer):
    """Give the automaton, None if the grammar has no text; "refused" where a terminal isn't supported."""
    try:
        return Automaton(grammar_symbols(grammar, lexer=lexer))
    except EmptyLanguageError:
        return None
    except GrammarError as error:
        if "supported" not in str(error):
            raise
        return "refused"


def accepts(automaton, text):
    return automaton is not None and END in automaton.run(automaton.start, text.encode())


def parses(parser, text):
    try:
        parser.parse(text)
    except lark.exceptions.UnexpectedInput:
        return False
    return True


def walk(automaton, rng, limit):
    """Write a text character by character; it must never get stuck."""
    threads, text = automaton.start, ""
    while len(text) < limit:
        if END in threads and rng.random() < 0.3:
            break
        ways = {character: automaton.run(threads, character.encode()) for character in ALPHABET}
        ways = {character: following for character, following in ways.items() if following}
        if not ways:
            assert END in threads, f"stuck after {text!r}"
            break
        character = rng.choice(list(ways))
        threads, text = ways[character], text + character
    return text


def cases(seed, count, lexer, parser_of):
    """Give random grammars with their automaton, Lark's parser, and texts that are in them or nearly so."""
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        grammar = random_grammar(rng)
        parser = parser_of(grammar)
        automaton = automaton_of(grammar, lexer) if parser is not None else "refused"
        if automaton == "refused":
            continue
        try:
            texts = {walk(automaton, rng, rng.choice([6, 12, 20])) for _ in range(12)} if automaton else set()
        except LimitError:
            continue  # whether a text can be finished takes too long to find out: an error, and no wrong mask
        yield grammar, automaton, parser, near_texts(texts, rng)


def earley(**options):
    def parser_of(grammar):
        try:
            return lark.Lark(grammar, parser="earley", **options)
        except lark.exceptions.LarkError:
            return None

    return parser_of


@pytest.mark.parametrize(
    ("lexer", "parser_of"),
    [
        ("contextual", lalr_parser),
        ("free", earley(lexer="dynamic")),
        ("basic", earley(lexer="basic")),
    ],
    ids=["contextual", "free", "basic"],
)
def test_accepts_and_refuses_what_lark_does(lexer, parser_of, seed, budget):
    judged = 0
    for grammar, automaton, parser, texts in cases(seed, 20 * budget, lexer, parser_of):
        for text in texts:
            assert accepts(automaton, text) == parses(parser, text), f"{text!r}\n{grammar}"
            judged += 1
    assert judged > 300


def test_contextual_texts_of_other_grammars_parse_with_earley(seed, budget):
    """Where a grammar isn't LALR, the contextual lexer may refuse what Earley takes, and takes nothing else."""
    lalr = 0
    refused = accepted = 0

    def parser_of(grammar):
        nonlocal lalr
        if lalr_parser(grammar) is not None:
            lalr += 1
            return None
        return earley(lexer="dynamic")(grammar)

    for grammar, automaton, parser, texts in cases(seed, 20 * budget, "contextual", parser_of):
        for text in texts:
            if accepts(automaton, text):
                accepted += 1
                assert parses(parser, text), f"{text!r}\n{grammar}"
            else:
                refused += parses(parser, text)
    assert accepted > 20
    assert refused < accepted
