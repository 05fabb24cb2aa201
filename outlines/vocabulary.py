"""Vocabularies: what bytes each token of a model stands for, and which tokens are special.

A special token has a meaning and no bytes, so it matches no text. The end-of-sequence tokens are special tokens that a
state allows exactly where it accepts. What is prepared from the tokens (the trie) is kept on disk by content.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from outlines.trie import Trie

__all__ = ["Vocabulary"]

WORD_BITS = 32

#: Bytes that a vocabulary may lack as tokens: those that no UTF-8 text contains, and those of text that hardly occurs,
#: control characters and characters beyond U+3FFFF. A constraint that needs one of these is an error when that shows.
_MAY_LACK = {0xC0, 0xC1, *range(0xF1, 0x100), *range(0x20), 0x7F} - set(b"\t\n\r")

_FORMAT = 1  # of the files on disk: a change of the trie's arrays is a new number


class Vocabulary:
    """The tokens of a model, prepared once for any number of constraints.

    Parameters
    ----------
    tokens
        Bytes of each token by its id; None (or b"") for a special token and for a hole.
    eos_token_ids
        The tokens that end a sequence, at least one.
    cache
        Whether to keep the prepared arrays on disk, under OUTLINES_CACHE_DIR or the user's cache folder.

    Attributes
    ----------
    tokens : list of bytes or None
    eos_token_ids : tuple of int
    num_tokens : int
        Number of ids, special ones and holes included.
    num_words : int
        Words of a row, ceil(num_tokens / 32).
    lacking : frozenset of int
        Bytes that are no token by themselves.

    Raises
    ------
    ValueError
        If there is no end-of-sequence token, one isn't an id, or some byte of usual text is no token by itself: then a
        mask by bytes would not be one by tokens. The message names the bytes.
    """

    def __init__(self, tokens: Sequence[bytes | None], eos_token_ids: Iterable[int], *, cache: bool = True):
        self.tokens = [text or None for text in tokens]
        self.num_tokens = len(self.tokens)
        self.num_words = -(-self.num_tokens // WORD_BITS)
        self.eos_token_ids = tuple(dict.fromkeys(int(i) for i in eos_token_ids))
        if not self.eos_token_ids:
            raise ValueError("eos_token_ids is empty: a generation could never end; name at least one token")
        for token in self.eos_token_ids:
            if not 0 <= token < self.num_tokens:
                raise ValueError(f"eos_token_ids: {token} is not an id; the vocabulary has {self.num_tokens} tokens")
            self.tokens[token] = None
        single = {text[0] for text in self.tokens if text is not None and len(text) == 1}
        self.lacking = frozenset(range(256)) - single
        missing = self.lacking - _MAY_LACK
        if missing:
            shown = ", ".join(f"0x{byte:02X}" for byte in sorted(missing)[:8])
            raise ValueError(
                f"{len(missing)} bytes are no token by themselves ({shown}{', …' if len(missing) > 8 else ''}); "
                "vocabularies that can't spell every text are not supported yet: add a token for each byte"
            )
        self.trie = _load_or_build(self.tokens) if cache else Trie.build(self.tokens)
        self.lock = threading.RLock()
        self.head_tables: Any = None  # what tables.py knows of heads, for every constraint on this vocabulary

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, eos_token_ids: Iterable[int] | int | None = None) -> Vocabulary:
        """Read the tokens of a `transformers` tokenizer.

        Parameters
        ----------
        tokenizer
            A fast tokenizer whose model is byte-level BPE (GPT-2, Llama-3, Qwen, SmolLM2), or BPE with byte
            fallback (Llama-2, Gemma).
        eos_token_ids
            The tokens that end a sequence; by default the tokenizer's own.

        Raises
        ------
        ValueError
            If the tokenizer is of another kind, or names no end-of-sequence token.
        """
        if eos_token_ids is None:
            eos_token_ids = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
        elif isinstance(eos_token_ids, int):
            eos_token_ids = [eos_token_ids]
        return cls(_token_bytes(tokenizer), eos_token_ids)

    def __repr__(self) -> str:
        return f"Vocabulary(num_tokens={self.num_tokens}, eos_token_ids={self.eos_token_ids})"


# Tokenizers


def _token_bytes(tokenizer: Any) -> list[bytes | None]:
    """Give the bytes of every token. `added_tokens_decoder` is the one list that names all special tokens."""
    pieces: dict[str, int] = tokenizer.get_vocab()
    decoder = str(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None))
    if "ByteLevel" in decoder:
        to_bytes = _byte_level
    elif "ByteFallback" in decoder:
        to_bytes = _byte_fallback
    else:
        raise ValueError(
            f"{type(tokenizer).__name__} is neither byte-level BPE nor BPE with byte fallback; other kinds are not "
            "supported yet. Build Vocabulary(tokens, eos_token_ids) from the bytes of each token"
        )
    tokens: list[bytes | None] = [None] * (max(pieces.values(), default=-1) + 1)
    added = tokenizer.added_tokens_decoder
    for piece, token in pieces.items():
        if token in added:
            tokens[token] = None if added[token].special else added[token].content.encode()
        else:
            tokens[token] = to_bytes(piece)
    return tokens


def _byte_level(piece: str) -> bytes:
    """Undo GPT-2's printable spelling of bytes."""
    try:
        return bytes(_BYTE_OF_CHARACTER[character] for character in piece)
    except KeyError:
        return piece.encode()  # an added token that is text, by its own characters


def _printable_bytes() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 characters stand for themselves, the other bytes for U+0100 and on."""
    table, others = {}, 0
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte <= 0xFF:
            table[chr(byte)] = byte
        else:
            table[chr(0x100 + others)] = byte
            others += 1
    return table


_BYTE_OF_CHARACTER = _printable_bytes()


def _byte_fallback(piece: str) -> bytes:
    """Read `<0x0A>` as one byte, and SentencePiece's mark U+2581 as a space."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


# On disk


def _cache_folder() -> Path:
    named = os.environ.get("OUTLINES_CACHE_DIR")
    if named:
        return Path(named) / "vocabularies"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "outlines" / "vocabularies"


def _load_or_build(tokens: Sequence[bytes | None]) -> Trie:
    """Take the trie from the disk if it's there and whole; else build it and try to keep it."""
    lengths = np.fromiter((-1 if t is None else len(t) for t in tokens), np.int32, len(tokens))
    content = hashlib.sha256(lengths.tobytes())
    content.update(b"".join(t for t in tokens if t is not None))
    path = _cache_folder() / f"trie-{_FORMAT}-{content.hexdigest()[:32]}.npz"
    try:
        with open(path, "rb") as stored, np.load(stored, allow_pickle=False) as file:
            return Trie({name: file[name] for name in Trie.ARRAYS})
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there, or cut off by somebody who was killed: build it again
    trie = Trie.build(tokens)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
        with os.fdopen(handle, "wb") as out:
            np.savez(out, allow_pickle=False, **trie.arrays())
        os.replace(unfinished, path)  # whole or not at all, whoever else writes it
    except OSError:
        pass  # a read-only home costs the preparation each time, and nothing else
    return trie
