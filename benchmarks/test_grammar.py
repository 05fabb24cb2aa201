"""Context-free grammars, beside llguidance and xgrammar: pytest benchmarks/test_grammar.py.

The same grammar in Lark's language and the same texts for every engine, under Llama 3's vocabulary. Each is timed from
its text to the first mask, over the first pass of the texts, and once it's warm. What the vocabulary's own tables cost
is paid before (another grammar is compiled first), as a server would.
"""

from __future__ import annotations

import functools
import importlib.util
import re

import pytest

from benchmarks import engines, maskbench, vocabularies
from outlines import grammars

ROUNDS = 3

#: Grammars whose masks take xgrammar minutes in all.
_SLOW_FOR_XGRAMMAR = ("sql", "python")


def without_reserved(grammar: str) -> str:
    """Take out the words that are no names: the peers have no lexer that would need them."""
    grammar = re.sub(r"^_reserved:.*(\n    \|.*)*", "", grammar, flags=re.MULTILINE)
    return re.sub(r"^FOLDED.*", "", grammar.replace(" | _reserved", ""), flags=re.MULTILINE)


# name -> (grammar, texts)
CASES: dict[str, tuple[str, list[str]]] = {
    "arithmetic": (grammars.arithmetic, ["(1+2)*3 - 4/(5 + -6.5e3)", "1 + " * 30 + "(2*3)"]),
    "json": (
        grammars.json,
        [
            '{"name": "Ada Lovelace", "age": 36, "tags": ["mathematics", "poetry"], "x": [1, 2.5, {"b": null}]}'
        ],
    ),
    "sql": (
        without_reserved(grammars.sql),
        [
            "SELECT a, b AS c FROM t WHERE a >= 1 AND NOT b LIKE 'x%' ORDER BY a DESC LIMIT 5",
            "SELECT CASE WHEN customer_id IS NULL THEN 0 ELSE SUM(amount) END AS total FROM (SELECT customer_id, amount"
            " FROM orders) AS s WHERE name NOT IN (SELECT name FROM banned) AND total BETWEEN 1 AND 2.5",
        ],
    ),
    "python": (
        without_reserved(grammars.python),
        [
            "[x ** 2 for x in range(10) if x % 2 == 0]",
            "f(alpha, beta=1)[1:2].gamma if not x in y else lambda z: {z}",
        ],
    ),
}


class Ours(engines.Ours):
    def compile_lark(self, grammar: str):
        from outlines.engine import Constraint
        from outlines.types import CFG

        return Constraint(CFG(grammar), self.vocabulary)


class LLGuidance(engines.LLGuidance):
    def compile_lark(self, grammar: str):
        return self._compile(self.matcher.grammar_from_lark(grammar))


class XGrammar(engines.XGrammar):
    def compile_lark(self, grammar: str):
        return self.compiler.compile_grammar(self.xgrammar.Grammar.from_lark(grammar))


ENGINES = {"ours": Ours, "llguidance": LLGuidance, "xgrammar": XGrammar}


@functools.cache
def encoding() -> vocabularies.Encoding:
    try:
        return vocabularies.llama3_encoding()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@functools.cache
def start_engine(name: str):
    if importlib.util.find_spec(ENGINES[name].package) is None:
        pytest.skip(f"{name} isn't installed. Run: pip install -c constraints.txt -e '.[bench]'")
    engine = ENGINES[name](encoding())
    engine.start(
        engine.compile_lark('start: NAME | STRING | /[0-9]+/\nNAME: /[a-z]+/\nSTRING: /"[^"]*"/')
    ).mask()
    return engine


class Case:
    """One grammar for one engine."""

    def __init__(self, engine_name: str, case_name: str):
        if engine_name == "xgrammar" and case_name in _SLOW_FOR_XGRAMMAR:
            pytest.skip("some half a second a mask")
        self.engine = start_engine(engine_name)
        self.grammar, texts = CASES[case_name]
        self.texts = [encoding().tokenizer.encode_ordinary(text) for text in texts]

    def build(self):
        try:
            return self.engine.compile_lark(self.grammar)
        except self.engine.refusals as error:
            pytest.skip(f"refused: {str(error)[:80]}")

    def first_mask(self):
        built = self.build()
        self.engine.start(built).mask()
        return built

    def walk(self, built) -> None:
        for tokens in self.texts:
            verdict, _ = maskbench.walk(self.engine.start(built), tokens, encoding().eos_token)
            assert verdict == "accepted"


@pytest.fixture(params=ENGINES)
def engine_name(request) -> str:
    return request.param


@pytest.fixture(params=CASES)
def case(request, engine_name, benchmark) -> Case:
    stage = request.function.__name__.removeprefix("test_").replace("_", " ")
    benchmark.group = f"{request.param}: {stage}"
    case = Case(engine_name, request.param)
    benchmark.extra_info["tokens"] = sum(map(len, case.texts))
    return case


def test_first_mask(benchmark, case):
    assert benchmark.pedantic(case.first_mask, rounds=ROUNDS) is not None


def test_cold(benchmark, case):
    benchmark.pedantic(case.walk, setup=lambda: ((case.first_mask(),), {}), rounds=ROUNDS)


def test_warm(benchmark, case):
    built = case.first_mask()
    benchmark.pedantic(case.walk, args=(built,), rounds=ROUNDS, warmup_rounds=1)
