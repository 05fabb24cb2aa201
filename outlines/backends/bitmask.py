"""What the processors of other engines share: a matcher a sequence, fed token by token, and packed rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from outlines.processors.base_logits_processor import OutlinesLogitsProcessor

__all__ = ["BitmaskLogitsProcessor"]

WORD_BITS = 32


class BitmaskLogitsProcessor(OutlinesLogitsProcessor):
    """Follows each sequence with a matcher of its own and masks what the matcher forbids.

    The first call after a reset says how many sequences there are, and each further call brings one token more of
    each, in the same order. So beam search, which reorders, isn't for these engines.

    Attributes
    ----------
    is_first_token : bool
        Whether the next call is the first since the last reset.
    """

    def __init__(self, tensor_library_name: str):
        super().__init__(tensor_library_name)
        self.tensor_library_name = tensor_library_name
        self.reset()

    @override
    def reset(self) -> None:
        self.is_first_token = True
        self._matchers: list[Any] = []

    @override
    def process_logits(self, input_ids: Any, logits: Any) -> Any:
        """Write -inf over forbidden logits."""
        if self.is_first_token:
            self.is_first_token = False
            self._matchers = [self._new_matcher() for _ in range(self.tensor_adapter.shape(logits)[0])]
        else:
            for row, matcher in enumerate(self._matchers):
                self._consume(matcher, self.tensor_adapter.to_scalar(input_ids[row][-1]))
        num_sequences, num_logits = self.tensor_adapter.shape(logits)
        words = np.zeros((num_sequences, -(-num_logits // WORD_BITS)), np.int32)
        for matcher, row_words in zip(self._matchers, words, strict=True):
            self._fill(matcher, row_words)
        return self._mask(logits, words)

    @abstractmethod
    def _new_matcher(self) -> Any:
        """Give what follows a new sequence."""

    @abstractmethod
    def _consume(self, matcher: Any, token: int) -> None:
        """Take the token that a sequence went on with."""

    @abstractmethod
    def _fill(self, matcher: Any, words: NDArray) -> None:
        """Set the bits of the tokens that may come next: int32 [W], W enough for the logits, zeros so far."""

    def _mask(self, logits: Any, words: NDArray) -> Any:
        if self.tensor_library_name == "torch":
            import torch

            from outlines.kernels import dispatch

            row = torch.arange(len(words), dtype=torch.int32, device=logits.device)
            dispatch.mask(logits, torch.from_numpy(words).to(logits.device), row)
            return logits
        num_logits = self.tensor_adapter.shape(logits)[1]
        forbidden: Any = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :num_logits] == 0
        if self.tensor_library_name == "mlx":
            import mlx.core as mx

            forbidden = mx.array(forbidden)
        return self.tensor_adapter.apply_mask(logits, forbidden, -float("inf"))


def copy_words(words: NDArray, given: NDArray) -> None:
    """Copy an engine's row into one that may be wider or, for a padded vocabulary, narrower."""
    width = min(len(words), len(given))
    words[:width] = given[:width]
