"""Time the engines on patterns, for work on one of them; `benchmarks.regexbench` writes the reports.

    python -m pytest benchmarks/test_regex.py -k "e-mail and cold"

As in test_engine.py, and like there the engines share a process.
"""

from __future__ import annotations

import pytest

from benchmarks import maskbench
from benchmarks.patterns import PATTERNS
from benchmarks.test_engine import encoding, start_engine

ENGINES = ["ours", "llguidance", "xgrammar"]
ROUNDS = 5


class Case:
    """One pattern for one engine."""

    def __init__(self, engine_name: str, pattern_name: str):
        self.engine = start_engine(engine_name)
        self.pattern, text = PATTERNS[pattern_name]
        self.tokens = encoding().tokenizer.encode_ordinary(text)

    def build(self):
        return self.engine.compile_regex(self.pattern)

    def first_mask(self):
        try:
            built = self.build()
        except self.engine.refusals as error:
            pytest.skip(f"the engine refuses this pattern: {error}")
        self.engine.start(built).mask()
        return built

    def walk(self, built) -> str:
        return maskbench.walk(self.engine.start(built), self.tokens, encoding().eos_token)[0]


@pytest.fixture(params=ENGINES)
def engine_name(request) -> str:
    return request.param


@pytest.fixture(params=PATTERNS)
def case(request, engine_name, benchmark) -> Case:
    benchmark.group = f"{request.param}: {request.function.__name__.removeprefix('test_').replace('_', ' ')}"
    case = Case(engine_name, request.param)
    case.first_mask()
    benchmark.extra_info["tokens"] = len(case.tokens)
    return case


def test_build(benchmark, case):
    assert benchmark.pedantic(case.build, rounds=ROUNDS, warmup_rounds=1) is not None


def test_first_mask(benchmark, case):
    assert benchmark.pedantic(case.first_mask, rounds=ROUNDS, warmup_rounds=1) is not None


def test_cold(benchmark, case):
    verdict = benchmark.pedantic(case.walk, setup=lambda: ((case.first_mask(),), {}), rounds=ROUNDS)
    assert verdict == "accepted"


def test_warm(benchmark, case):
    assert (
        benchmark.pedantic(case.walk, args=(case.first_mask(),), rounds=ROUNDS, warmup_rounds=1) == "accepted"
    )
