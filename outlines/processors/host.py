"""The processor for libraries whose logits are on the host, or are masked by their own operations: NumPy and MLX."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from outlines.engine import FINISHED
from outlines.processors.base_logits_processor import OutlinesLogitsProcessor
from outlines.rows import Words

__all__ = ["HostConstraintLogitsProcessor", "MLXConstraintLogitsProcessor", "NumPyConstraintLogitsProcessor"]


class HostConstraintLogitsProcessor(OutlinesLogitsProcessor):
    """Masks the tokens that a constraint forbids, a row at a time.

    A row's state follows from its generated ids alone. So calls may repeat, take tokens back, or bring several at once,
    as with draft models.

    Parameters
    ----------
    constraint
        What each row must follow.
    """

    tensor_library: str

    def __init__(self, constraint: Any):
        super().__init__(self.tensor_library)
        self.constraint = constraint
        self.reset()

    @override
    def reset(self) -> None:
        self._ids: np.ndarray | None = None  # of the last call
        self._prompt_length = 0
        self._paths: list[list[int]] = []  # of each row: the state before and after each generated token

    @override
    def process_logits(self, input_ids: Any, logits: Any) -> Any:
        """Write -inf over forbidden logits, in place where the library can.

        Parameters
        ----------
        input_ids : integers [B, length]
            Prompt and generated tokens; the first call since the last reset has the prompt alone.
        logits : floats [B, V]
            V may be larger than the vocabulary; the rest is forbidden.

        Raises
        ------
        ValueError
            If the ids belong to another generation than those of the call before.
        """
        # A copy: the caller may go on writing into its own.
        ids = np.array(input_ids, dtype=np.int64)
        if self._ids is None:
            self._prompt_length = ids.shape[1]
            self._paths = [[self.constraint.start_state] for _ in ids]
        elif len(ids) != len(self._ids) or not np.array_equal(
            ids[:, : self._prompt_length], self._ids[:, : self._prompt_length]
        ):
            raise ValueError(
                "these ids belong to another generation than those of the last call: call `reset` between"
            )
        before, self._ids = self._ids, ids
        for row, path in enumerate(self._paths):
            known = 0 if before is None else self._common_length(before[row], ids[row])
            del path[known + 1 :]
            for token in ids[row, self._prompt_length + known :].tolist():
                state = path[-1]
                path.append(state if state == FINISHED else self.constraint.next_state(state, token))
        return self._mask(logits, [self.constraint.row(path[-1]).copy() for path in self._paths])

    def _common_length(self, before: np.ndarray, ids: np.ndarray) -> int:
        """Give how many generated tokens two rows of ids begin with in common."""
        start = self._prompt_length
        length = min(len(before), len(ids)) - start
        differing = np.flatnonzero(before[start : start + length] != ids[start : start + length])
        return int(differing[0]) if len(differing) else length

    @abstractmethod
    def _mask(self, logits: Any, rows: Sequence[Words]) -> Any:
        """Give the logits with -inf where a row, int32 [W], has a 0."""


class NumPyConstraintLogitsProcessor(HostConstraintLogitsProcessor):
    """The processor for NumPy's arrays, as llama-cpp-python has them; it masks them in place."""

    tensor_library = "numpy"

    @override
    def _mask(self, logits: np.ndarray, rows: Sequence[Words]) -> np.ndarray:
        for scores, words in zip(logits, rows, strict=True):
            # One flag a token is all that's made: a byte each.
            forbidden = np.unpackbits(~words.astype("<i4", copy=False).view(np.uint8), bitorder="little")
            known = min(len(forbidden), len(scores))
            scores[:known][forbidden[:known].view(bool)] = -np.inf
            scores[known:] = -np.inf
        return logits


class MLXConstraintLogitsProcessor(HostConstraintLogitsProcessor):
    """The processor for MLX's arrays; the packed rows are unpacked where the logits are."""

    tensor_library = "mlx"

    @override
    def _mask(self, logits: Any, rows: Sequence[Words]) -> Any:
        import mlx.core as mx

        words = mx.array(np.stack(rows))  # [B, W]
        bits = (words[:, :, None] >> mx.arange(32, dtype=mx.int32)) & 1  # [B, W, 32]
        allowed = bits.reshape(len(rows), -1)[:, : logits.shape[-1]].astype(mx.bool_)
        missing = logits.shape[-1] - allowed.shape[-1]
        if missing > 0:
            allowed = mx.pad(allowed, [(0, 0), (0, missing)])
        return mx.where(allowed, logits, mx.array(-mx.inf, dtype=logits.dtype))
