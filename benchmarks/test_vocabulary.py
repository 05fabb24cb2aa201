"""Time the preparation of vocabularies, from their tokens and from the disk, and rows where bytes are lacking.

python -m pytest benchmarks/test_vocabulary.py
"""

from __future__ import annotations

import pytest

from benchmarks import vocabularies
from outlines.engine import Constraint, Vocabulary


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


def test_load_262k_from_disk(benchmark, tokens, tmp_path, monkeypatch):
    """As many as Gemma has: Llama 3's, and once more with a space before each."""
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path))
    many = [*tokens[:-256], *(b" " + text for text in tokens[:-256]), *tokens[-256:], *[None] * 5888]
    assert len(many) == 262_144
    Vocabulary(many, [len(many) - 1])
    loaded = benchmark.pedantic(lambda: Vocabulary(many, [len(many) - 1]), rounds=5)
    assert loaded.num_tokens == len(many)


@pytest.mark.parametrize("lacks", [False, True], ids=["every byte", "no byte of é"])
def test_first_row_of_a_schema(benchmark, tokens, lacks):
    """What it costs that tokens can't spell every text, where the constraint needs a closer look at that."""
    kept = [None if lacks and text == b"\xc3" else text for text in tokens]
    vocabulary = Vocabulary(kept, vocabularies.LLAMA3_EOS_TOKEN_IDS, cache=False)
    schema = {
        "type": "object",
        "properties": {"é": {"type": "string"}, "e": {"type": "string"}},
        "required": ["e"],
    }

    def first_rows():
        matcher = Constraint(schema, vocabulary).matcher()
        for token in (b'{"', b"e", b'":', b'"', b"x"):
            matcher.advance(kept.index(token))
            matcher.mask()
        return matcher

    matcher = benchmark.pedantic(first_rows, rounds=5, warmup_rounds=1)
    assert (matcher.constraint.tables._completions is not None) == lacks
