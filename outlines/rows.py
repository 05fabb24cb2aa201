"""Base rows: packed rows of tokens that other rows are made from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from outlines.trie import Trie
from outlines.vocabulary import WORD_BITS

__all__ = ["Base", "Words", "bases_and_list", "bases_of_flags", "bases_of_nodes", "pack", "unpack"]

#: More tokens than this are a base row (16 KB for 128k tokens), fewer a list.
_MANY_TOKENS = 64

#: From so many nodes on, one look at the node of every token is faster than gathering the tokens of each node.
_MANY_TRIE_NODES = 2048

Words = NDArray[np.int32]


class Base:
    """A row that rows are made from: `words` int32 [W], bit t % 32 of word t // 32 for token t.

    `origin` is the base row that this one is without some tokens, if it's made from one.
    """

    __slots__ = ("words", "origin")

    def __init__(self, words: Words, origin: Base | None = None):
        self.words = words
        self.origin = origin


def bases_and_list(tokens: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    """Give many tokens as a base row, few as a list."""
    if len(tokens) > _MANY_TOKENS:
        return (Base(pack(tokens, num_words)),), ()
    return (), tuple(tokens.tolist())


def bases_of_nodes(trie: Trie, nodes: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    """Give the tokens that end at some plain nodes of the trie, many as a base row, few as a list."""
    if len(nodes) < _MANY_TRIE_NODES:
        return bases_and_list(trie.tokens_of(nodes)[0], num_words)
    return _bases_of_token_flags(trie.token_flags(nodes), num_words)


def bases_of_flags(trie: Trie, flags: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    """Give the tokens that end at flagged nodes of the trie, the root not among them; a flag a plain node."""
    return _bases_of_token_flags(flags[trie.token_node], num_words)


def _bases_of_token_flags(flags: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    if np.count_nonzero(flags) > _MANY_TOKENS:
        return (Base(_pack_flags(flags, num_words)),), ()
    return (), tuple(np.flatnonzero(flags).tolist())


def pack(tokens: NDArray | Iterable[int], num_words: int) -> Words:
    """Give the row of some tokens: int32 [num_words], bit t % 32 of word t // 32."""
    flags = np.zeros(num_words * WORD_BITS, bool)
    flags[np.asarray(tokens, np.int64)] = True
    return _pack_flags(flags, num_words)


def _pack_flags(flags: NDArray, num_words: int) -> Words:
    """Give the row of flags, one a token; those left out at the end are 0."""
    row = np.zeros(num_words * 4, np.uint8)
    packed = np.packbits(flags, bitorder="little")
    row[: len(packed)] = packed
    return row.view("<i4").astype(np.int32, copy=False)


def unpack(words: Words) -> NDArray:
    """Give the tokens of a row, ascending."""
    return np.flatnonzero(np.unpackbits(words.astype("<i4", copy=False).view(np.uint8), bitorder="little"))
