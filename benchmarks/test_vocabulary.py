"""Time the preparation of Llama 3's vocabulary: from its tokens, and from the disk.

    python -m pytest benchmarks/test_vocabulary.py
"""

from __future__ import annotations

import pytest

from benchmarks import vocabularies
from outlines.engine import Vocabulary


@pytest.fixture(scope="module")
def tokens() -> list[bytes | None]:
    try:
        return vocabularies.read_llama3()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


def test_prepare(benchmark, tokens):
    prepared = benchmark.pedantic(
        lambda: Vocabulary(tokens, vocabularies.LLAMA3_EOS_TOKEN_IDS, cache=False), rounds=5
    )
    assert prepared.num_tokens == len(tokens)


def test_load_from_disk(benchmark, tokens, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path))
    Vocabulary(tokens, vocabularies.LLAMA3_EOS_TOKEN_IDS)
    assert list(tmp_path.rglob("*.npz"))
    loaded = benchmark.pedantic(lambda: Vocabulary(tokens, vocabularies.LLAMA3_EOS_TOKEN_IDS), rounds=5)
    assert loaded.num_tokens == len(tokens)
