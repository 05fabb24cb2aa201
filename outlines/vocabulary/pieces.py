"""How the pieces of a vocabulary spell bytes: byte-level BPE, byte fallback, SentencePiece's mark, WordPiece."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "SPACE_MARK",
    "Tokens",
    "byte_level",
    "fallback_byte",
    "is_control",
    "is_mark",
    "marked",
    "unwritten",
    "word_piece",
]

SPACE_MARK = "\u2581"  # SentencePiece writes a space so

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

#: Names of tokens that have a meaning, or none yet, and are no text, whatever a vocabulary says of their type.
_MARK = re.compile(r"<\|.*\|>|<\uff5c.*\uff5c>|[<\[](unused|reserved)[\w-]*[>\]]", re.I)

#: Names of control tokens that some vocabularies list as pieces of the user's own; llama.cpp knows them likewise.
_CONTROL = re.compile(r"<(start|end)_of_\w+>|</?(s|pad|mask|bos|eos|unk)>|\[[A-Z][A-Z_]*(_\d+)?\]")

#: Ideographs that BERT's tokenizer makes words of their own, without spaces around them.
_IDEOGRAPHS = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class Tokens(NamedTuple):
    """What a reader found: the bytes of each token (None for special ones and holes), and which end a sequence.

    `special_tokens` has the ids of special tokens by their names, where the tokenizer tells them.
    """

    tokens: list[bytes | None]
    eos_token_ids: list[int]
    special_tokens: Mapping[str, int] = MappingProxyType({})


#: Ids that a vocabulary may have; the largest known has 0.3 million.
MAX_TOKENS = 1 << 24


def unwritten(num_tokens: int) -> list[bytes | None]:
    """Give a vocabulary of so many holes, to be filled in.

    Raises
    ------
    ValueError
        If that is less than none, or more than MAX_TOKENS, as in a damaged file.
    """
    if not 0 <= num_tokens <= MAX_TOKENS:
        raise ValueError(f"a vocabulary of {num_tokens} tokens is not read; MAX_TOKENS is {MAX_TOKENS}")
    return [None] * num_tokens


def byte_level(piece: str) -> bytes:
    """Undo GPT-2's printable spelling of bytes; what isn't spelt so is text as it is."""
    try:
        return bytes([_BYTE_OF_CHARACTER[character] for character in piece])
    except KeyError:
        return piece.encode()


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


def fallback_byte(piece: str) -> bytes | None:
    """Read `<0x0A>` as one byte; None for any other piece."""
    found = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(found[1], 16)]) if found else None


def marked(piece: str, mark: str = SPACE_MARK) -> bytes:
    """Read a piece in which a mark stands for a space."""
    return piece.replace(mark, " ").encode()


def word_piece(piece: str, prefix: str = "##") -> bytes | None:
    """Read a piece of WordPiece: what begins a word has a space before it, what goes on or is punctuation hasn't.

    Names such as [CLS] are None: no text is cut so that it holds one.
    """
    if is_control(piece):
        return None
    if prefix and piece.startswith(prefix) and len(piece) > len(prefix):
        return piece[len(prefix) :].encode()
    return (" " + piece if is_word(piece) else piece).encode()


def is_word(piece: str) -> bool:
    """Tell whether a piece that begins a word is parted from the word before by a space."""
    first = piece[0]
    return first.isalnum() and not any(low <= ord(first) <= high for low, high in _IDEOGRAPHS)


def is_control(piece: str) -> bool:
    """Tell whether a piece that a model's owner defined, such as `<|im_end|>` or `[INST]`, is a mark and no text."""
    return is_mark(piece) or _CONTROL.fullmatch(piece) is not None


def is_mark(piece: str) -> bool:
    """Tell whether a piece is a name such as `<|eot|>` or `<unused7>`, which stands for no text."""
    return _MARK.fullmatch(piece) is not None
