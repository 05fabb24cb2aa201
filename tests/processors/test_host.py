"""The processors for NumPy and MLX: what they mask, in place, over repeated, reverted and drafted tokens."""

from __future__ import annotations

import numpy as np
import pytest

from outlines.engine import Constraint, Vocabulary
from outlines.processors.host import MLXConstraintLogitsProcessor, NumPyConstraintLogitsProcessor
from outlines.rows import unpack
from outlines.types import Regex

TOKENS = [bytes([byte]) for byte in range(256)] + [b"ab", b"abc", None]
EOS = 258
PROMPT = [7, 8, 9]


@pytest.fixture(scope="module")
def constraint() -> Constraint:
    return Constraint(Regex("(ab)*c?"), Vocabulary(TOKENS, eos_token_ids=[EOS]))


def expected(constraint: Constraint, generated: list[int], width: int) -> set[int]:
    state = constraint.start_state
    for token in generated:
        state = constraint.next_state(state, token)
    return {token for token in unpack(constraint.row(state)).tolist() if token < width}


def allowed(logits) -> set[int]:
    return set(np.flatnonzero(np.isfinite(np.array(logits))).tolist())


@pytest.mark.parametrize("width", [259, 288, 300])
def test_numpy_masks_in_place(constraint, width):
    processor = NumPyConstraintLogitsProcessor(constraint)
    for generated in ([], [ord("a")], [ord("a"), ord("b")], [ord("a"), ord("b"), ord("c")], [256, 257]):
        processor.reset()
        logits = np.zeros(width, np.float32)
        processor(np.array(PROMPT, np.int32), logits.copy())
        result = processor(np.array(PROMPT + generated, np.int32), logits)
        assert np.shares_memory(result, logits)
        assert result.shape == (width,)
        assert allowed(logits) == expected(constraint, generated, width)


def test_several_rows(constraint):
    processor = NumPyConstraintLogitsProcessor(constraint)
    processor(np.array([PROMPT, PROMPT]), np.zeros((2, 259), np.float32))
    logits = np.zeros((2, 259), np.float32)
    processor(np.array([[*PROMPT, ord("a")], [*PROMPT, ord("c")]]), logits)
    assert allowed(logits[0]) == expected(constraint, [ord("a")], 259)
    assert allowed(logits[1]) == {EOS}


def test_tokens_may_come_several_at_once_and_be_taken_back(constraint):
    """As with a draft model: the state follows from the ids alone."""
    processor = NumPyConstraintLogitsProcessor(constraint)
    ids = np.array(PROMPT, np.int32)

    def mask(*generated: int) -> set[int]:
        logits = np.zeros(259, np.float32)
        processor(np.array([*PROMPT, *generated], np.int32), logits)
        return allowed(logits)

    processor(ids, np.zeros(259, np.float32))
    assert mask(256, 256, ord("a")) == {ord("b")}
    assert mask(256, ord("a")) == {ord("b")}
    assert mask(256) == expected(constraint, [256], 259)
    assert mask(256) == expected(constraint, [256], 259)  # the same call again
    assert mask(257, EOS, 3) == mask(257, EOS)  # padding after the end
    with pytest.raises(ValueError, match="belong to another generation"):
        processor(np.array([1, 2, 3, 4], np.int32), np.zeros(259, np.float32))
    processor.reset()
    assert mask() == expected(constraint, [], 259)


def test_the_caller_may_write_into_its_ids(constraint):
    processor = NumPyConstraintLogitsProcessor(constraint)
    ids = np.array([*PROMPT, 0, 0], np.int32)
    for length, token in ((3, None), (4, ord("a")), (5, ord("b"))):
        if token is not None:
            ids[length - 1] = token
        logits = np.zeros(259, np.float32)
        processor(ids[:length], logits)
    assert allowed(logits) == expected(constraint, [ord("a"), ord("b")], 259)


@pytest.mark.parametrize("width", [259, 300])
def test_mlx_masks_as_numpy_does(constraint, width):
    mx = pytest.importorskip(
        "mlx.core", reason="pip install -c constraints.txt -e '.[dev]' brings MLX on Linux"
    )
    processor = MLXConstraintLogitsProcessor(constraint)
    processor(mx.array(PROMPT), mx.zeros((1, width)))
    for generated in ([ord("a")], [ord("a"), ord("b")], [256, 257]):
        logits = processor(mx.array(PROMPT + generated), mx.zeros((1, width)))
        assert logits.shape == (1, width)
        assert allowed(logits[0]) == expected(constraint, generated, width)
    half = processor(mx.array([*PROMPT, 256]), mx.zeros((1, width), dtype=mx.bfloat16))
    assert half.dtype == mx.bfloat16
