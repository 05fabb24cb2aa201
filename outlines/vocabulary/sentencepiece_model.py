"""SentencePiece models: the file `tokenizer.model`, a protocol buffer, read without the library.

Only what tells the pieces is looked at: `ModelProto.pieces` (field 1; of each piece its text, field 1, and its type,
field 3), and which one `ModelProto.trainer_spec` (field 2) says ends a text.
"""

from __future__ import annotations

from collections.abc import Iterator

from outlines.vocabulary import pieces
from outlines.vocabulary.pieces import Tokens

__all__ = ["NORMAL", "USER_DEFINED", "piece_bytes", "read_model"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

_EOS_ID = 42  # field of TrainerSpec


def read_model(data: bytes) -> Tokens:
    """Read the bytes of a model file.

    Raises
    ------
    ValueError
        If it's no SentencePiece model, or cut off.
    """
    tokens: list[bytes | None] = []
    eos = 2  # of TrainerSpec, unless it's given
    names = []
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            name, kind = "", NORMAL
            for inner, part in _fields(value):
                if inner == 1 and isinstance(part, bytes):
                    name = part.decode()
                elif inner == 3 and isinstance(part, int):
                    kind = part
            names.append(name)
            tokens.append(piece_bytes(name, kind))
        elif field == 2 and isinstance(value, bytes):
            for inner, part in _fields(value):
                if inner == _EOS_ID and isinstance(part, int):
                    eos = part - (1 << 64) if part >> 63 else part
    if not tokens:
        raise ValueError("no pieces: this is not a SentencePiece model")
    is_named = 0 <= eos < len(tokens) and tokens[eos] is None
    return Tokens(tokens, [eos] if is_named else [])


def piece_bytes(name: str, kind: int) -> bytes | None:
    """Give the bytes of a piece by its type; None for control, unknown and unused ones."""
    if kind == BYTE:
        return pieces.fallback_byte(name)
    is_text = kind == NORMAL or (kind == USER_DEFINED and not pieces.is_control(name))
    return pieces.marked(name) if is_text and not pieces.is_mark(name) else None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give the fields of a message in the wire format of protocol buffers: number and value."""
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {place}: no protocol buffer, so no SentencePiece model")
        if place + size > end:
            raise ValueError(f"byte {place}: the model is cut off; {size} more bytes were announced")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError(f"byte {place}: the model is cut off or no protocol buffer")
