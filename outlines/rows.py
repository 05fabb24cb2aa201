"""Base rows: packed rows of tokens that other rows are made from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from outlines.vocabulary import WORD_BITS

__all__ = ["Base", "Words", "bases_and_list", "pack", "unpack"]

#: More tokens than this are a base row (16 KB for 128k tokens), fewer a list.
_MANY_TOKENS = 64

Words = NDArray[np.int32]


class Base:
    """A row that rows are made from: `words` int32 [W], bit t % 32 of word t // 32 for token t."""

    __slots__ = ("words",)

    def __init__(self, words: Words):
        self.words = words


def bases_and_list(tokens: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    """Give many tokens as a base row, few as a list."""
    if len(tokens) > _MANY_TOKENS:
        return (Base(pack(tokens, num_words)),), ()
    return (), tuple(tokens.tolist())


def pack(tokens: NDArray | Iterable[int], num_words: int) -> Words:
    """Give the row of some tokens: int32 [num_words], bit t % 32 of word t // 32."""
    flags = np.zeros(num_words * WORD_BITS, np.uint8)
    flags[np.asarray(tokens, np.int64)] = 1
    return np.packbits(flags, bitorder="little").view("<i4").astype(np.int32, copy=False)


def unpack(words: Words) -> NDArray:
    """Give the tokens of a row, ascending."""
    return np.flatnonzero(np.unpackbits(words.astype("<i4", copy=False).view(np.uint8), bitorder="little"))
