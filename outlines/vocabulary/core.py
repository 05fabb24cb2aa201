"""Vocabularies: what bytes each token of a model stands for, and which tokens are special.

A special token has a meaning and no bytes, so it matches no text. The end-of-sequence tokens are special tokens that a
state allows exactly where it accepts. What is prepared from the tokens (the trie) is kept on disk by content (disk.py).
Tokenizers are read by reading.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from outlines.exceptions import shorten
from outlines.trie import Trie
from outlines.vocabulary import disk, pieces, reading

__all__ = ["WORD_BITS", "Vocabulary"]

WORD_BITS = 32

#: Bytes that no text in UTF-8 contains: it's no matter whether tokens spell them.
_NEVER_IN_TEXT = {0xC0, 0xC1, *range(0xF5, 0x100)}


class Vocabulary:
    """The tokens of a model, prepared once for any number of constraints.

    Parameters
    ----------
    tokens
        Bytes of each token by its id; None (or b"") for a special token and for a hole.
    eos_token_ids
        The tokens that end a sequence, at least one.
    special_tokens
        The ids of special tokens by their names, such as `"<|python_tag|>"`: grammars may ask for them.
    cache
        Whether to keep the prepared arrays on disk, under OUTLINES_CACHE_DIR or the user's cache folder.

    Attributes
    ----------
    tokens : list of bytes or None
    eos_token_ids : tuple of int
    special_tokens : dict of str to int
    num_tokens : int
        Number of ids, special ones and holes included.
    num_words : int
        Words of a row, ceil(num_tokens / 32).
    lacking : frozenset of int
        Bytes of UTF-8 text that are no token by themselves. Where there are any, tokens may not spell every text, and
        what they can't complete is never begun.

    Raises
    ------
    ValueError
        If there is no end-of-sequence token, or one isn't an id.
    TypeError
        If a token is neither bytes nor None.
    """

    def __init__(
        self,
        tokens: Sequence[bytes | None],
        eos_token_ids: Iterable[int],
        *,
        special_tokens: Mapping[str, int] | None = None,
        cache: bool = True,
    ):
        self.tokens = [text or None for text in tokens]
        if not set(map(type, self.tokens)) <= {bytes, type(None)}:
            token = next(i for i, text in enumerate(self.tokens) if type(text) not in (bytes, type(None)))
            raise TypeError(f"token {token}: expected bytes or None, got {shorten(self.tokens[token])}")
        self.num_tokens = len(self.tokens)
        self.num_words = -(-self.num_tokens // WORD_BITS)
        self.eos_token_ids = tuple(dict.fromkeys(map(operator.index, eos_token_ids)))
        if not self.eos_token_ids:
            raise ValueError("eos_token_ids is empty: a generation could never end; name at least one token")
        for token in self.eos_token_ids:
            if not 0 <= token < self.num_tokens:
                raise ValueError(f"eos_token_ids: {token} is not an id; the vocabulary has {self.num_tokens} tokens")
            self.tokens[token] = None
        self.special_tokens = dict(special_tokens or {})
        self._names: dict[int, list[str]] = {}
        for name, token in self.special_tokens.items():
            if not 0 <= token < self.num_tokens:
                raise ValueError(f"special_tokens: {token} of {name!r} is not an id")
            self.tokens[token] = None
            self._names.setdefault(token, []).append(name)
        self.trie = disk.load_or_build(self.tokens) if cache else Trie.build(self.tokens)
        self.lacking = frozenset(range(256)) - self.trie.single_bytes() - _NEVER_IN_TEXT
        self.head_tables: Any = None  # what tables.py knows of heads, for every constraint on this vocabulary
        self.spelling: Any = None  # what tables.py knows of texts that tokens can't spell

    def names_of(self, token: int) -> Sequence[str]:
        """Give the names of a special token; none where it has no name, or is none."""
        return self._names.get(token, ())

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        eos_token_ids: Iterable[int] | int | None = None,
        *,
        special_tokens: Mapping[str, int] | Iterable[int] = (),
        cache: bool = True,
    ) -> Vocabulary:
        """Read the tokens of a tokenizer of any common kind, or of its file.

        Parameters
        ----------
        tokenizer
            A tokenizer of `transformers` (fast or slow) or its processor, a `tokenizers.Tokenizer`, a
            `tiktoken.Encoding`, a `sentencepiece.SentencePieceProcessor`, a tokenizer of mistral-common, a
            `llama_cpp.Llama`, a `gguf.GGUFReader`; or the path of a file (tokenizer.json, tokenizer.model, *.tiktoken,
            tekken.json, *.gguf), whose contents tell its kind, or of a model's folder.
        eos_token_ids
            The tokens that end a sequence; by default those that the tokenizer, the GGUF file, or the folder's
            generation_config.json name.
        special_tokens
            Further tokens that match no text, by name and id or by id alone: a .tiktoken file doesn't have them. Ids
            past the last token are added.
        cache
            As for `Vocabulary`.

        Raises
        ------
        ValueError
            If no end-of-sequence token is named, or a file can't be read; the message names the place.
        TypeError
            If the tokenizer is of no known kind.
        """
        tokens, named, names = reading.read(tokenizer)
        if eos_token_ids is not None:
            named = [eos_token_ids] if isinstance(eos_token_ids, int) else list(eos_token_ids)
        special = special_tokens.values() if isinstance(special_tokens, Mapping) else special_tokens
        for token in map(operator.index, special):
            if token < 0:
                raise ValueError(f"special_tokens: {token} is not an id")
            if token >= len(tokens):
                tokens += pieces.unwritten(token + 1)[len(tokens) :]
            tokens[token] = None
        if isinstance(special_tokens, Mapping):
            names = {**names, **special_tokens}
        return cls(tokens, named, special_tokens=names, cache=cache)

    def __repr__(self) -> str:
        return f"Vocabulary(num_tokens={self.num_tokens}, eos_token_ids={self.eos_token_ids})"
