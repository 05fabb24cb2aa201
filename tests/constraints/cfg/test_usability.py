"""What a grammar can never use is told, and what it uses is never told."""

from __future__ import annotations

import random

import pytest

from outlines import grammars
from outlines.constraints.cfg import grammar_symbols
from outlines.exceptions import ConstraintError
from outlines.insight import unusable
from tests.constraints.cfg.test_lark_agrees import walk
from tests.random_grammars import random_grammar


@pytest.mark.parametrize(
    ("grammar", "lexer", "rules", "terminals"),
    [
        ('start: "a" | loop\nloop: "b" loop', "contextual", ("loop",), ("B",)),
        ('start: A | B x\nx: "x"\nA.2: /[a-z]+/\nB: "b"', "basic", ("x",), ("B", "X")),
        ('start: A | B\nA.2: /[a-z]+/\nB: "b"', "contextual", (), ()),  # only where both race
        ('start: A | B\nA.2: /[a-z]+/\nB: "b"', "free", (), ()),
        ("start: A | %json {}\nA: /a/", "contextual", (), ()),
    ],
)
def test_named(grammar, lexer, rules, terminals):
    found = unusable(grammar, lexer=lexer)
    assert (found.rules, found.terminals) == (rules, terminals)
    assert bool(found) == bool(rules or terminals)


def test_reserved_words_of_python_are_no_terminals_of_texts():
    found = unusable(grammars.python)
    assert found.rules == ("_reserved",)
    assert "AWAIT" in found.terminals
    assert not {"NAME", "NUMBER", "IF"} & set(found.terminals)


@pytest.mark.parametrize("lexer", ["contextual", "basic", "free"])
def test_lark_finds_none_of_them_in_texts(lexer, seed, budget):
    import lark

    from outlines.automaton import Automaton

    num_listed = 0
    for number in range(30 * budget):
        rng = random.Random(f"{seed} {lexer} {number}")
        text = random_grammar(rng)
        try:
            symbols, found = grammar_symbols(text, lexer=lexer), unusable(text, lexer=lexer)
        except ConstraintError:
            continue
        num_listed += bool(found)
        automaton = Automaton(symbols)
        parser = lark.Lark(
            text, parser="earley", lexer="dynamic" if lexer == "free" else "basic", keep_all_tokens=True
        )
        for _ in range(6):
            written = walk(automaton, rng, 8)
            try:
                tree = parser.parse(written)
            except lark.exceptions.LarkError:  # cut off, or read otherwise
                continue
            assert not {token.type for token in tree.scan_values(lambda v: True)} & set(found.terminals), (
                text,
                written,
            )
            assert not {str(below.data) for below in tree.iter_subtrees()} & set(found.rules), (text, written)
    assert num_listed > 0
