"""What all tests share: real vocabularies, a real model, seeds, and how hard properties are searched."""

from __future__ import annotations

import os
import random
from typing import Any, NamedTuple

# Before torch is imported: on a shared machine one thread is several times faster than two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nothing is to be fetched from a hub; without this a name that isn't a folder retries for most of a minute.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest

from benchmarks import vocabularies


def pytest_addoption(parser):
    group = parser.getgroup("outlines")
    group.addoption("--budget", type=int, default=1, metavar="N", help="search properties N times as long")
    group.addoption("--seed", type=int, default=0, metavar="N", help="seed of everything random in the tests")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # Hypothesis takes its seed from its own option, as text: there a seed of 0 would count as none.
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(config.getoption("--seed"))
    hypothesis.settings.register_profile(
        "outlines",
        max_examples=100 * config.getoption("--budget"),
        deadline=None,  # no test is about time
        print_blob=True,
        suppress_health_check=[
            hypothesis.HealthCheck.too_slow,
            hypothesis.HealthCheck.function_scoped_fixture,
        ],
    )
    hypothesis.settings.load_profile("outlines")


def pytest_report_header(config):
    return f"outlines: --seed {config.getoption('--seed')} --budget {config.getoption('--budget')}"


def pytest_collection_modifyitems(items):
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_tests:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; run it on a machine that has one"))


@pytest.fixture(scope="session")
def budget(request) -> int:
    """How many times as long as usual a random search is to take."""
    return request.config.getoption("--budget")


@pytest.fixture
def seed(request) -> int:
    """The seed of this run, as the report's header gives it."""
    return request.config.getoption("--seed")


@pytest.fixture
def rng(request, seed) -> random.Random:
    """A generator of its own for each test, so that tests can run alone or in any order."""
    return random.Random(f"{seed} {request.node.nodeid}")


@pytest.fixture(scope="session")
def llama3_tokens() -> list[bytes | None]:
    """The 128,256 tokens of Llama 3; None where a token is special."""
    try:
        return vocabularies.read_llama3()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def llama3_vocabulary(llama3_tokens):
    """The Vocabulary of Llama 3."""
    from outlines.engine import Vocabulary

    return Vocabulary(llama3_tokens, eos_token_ids=vocabularies.LLAMA3_EOS_TOKEN_IDS)


class SmolLM2(NamedTuple):
    """A real chat model and its tokenizer."""

    model: Any
    tokenizer: Any


@pytest.fixture(scope="session")
def smollm2() -> SmolLM2:
    """SmolLM2-135M-Instruct on the CPU; the first time ever it's converted, which takes half a minute."""
    from examples import smollm2

    try:
        return SmolLM2(*smollm2.load())
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
