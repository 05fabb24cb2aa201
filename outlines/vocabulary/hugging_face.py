"""Tokenizers of `tokenizers` and `transformers`, fast and slow: the bytes of their tokens.

A piece is read as the tokenizer's own decoder reads it, but one at a time, and nothing is stripped or cleaned up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from outlines.vocabulary import pieces, sentencepiece_model
from outlines.vocabulary.pieces import Tokens

__all__ = ["read_tokenizers", "read_transformers"]

_Reader = Callable[[str], "bytes | None"]


def read_transformers(tokenizer: Any) -> Tokens:
    """Read a tokenizer of `transformers`."""
    named = tokenizer.eos_token_id
    eos = [named] if isinstance(named, int) else list(named or [])
    more = getattr(tokenizer, "eos_token_ids", None)
    if isinstance(more, set | list | tuple):  # mlx-lm's wrapper names those of the model; elsewhere it's the one id
        eos += sorted(set(more) - set(eos))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        tokens = read_tokenizers(backend).tokens
    elif hasattr(tokenizer, "sp_model"):
        tokens = _slow_sentencepiece(tokenizer)
    else:
        tokens = _read_pieces(tokenizer.get_vocab(), _slow_reader(tokenizer))
    added = tokenizer.added_tokens_decoder
    tokens += pieces.unwritten(max(added, default=-1) + 1)[len(tokens) :]
    if backend is None:
        for token, entry in added.items():
            tokens[token] = str(entry.content).encode()
    for token, entry in added.items():
        if entry.special or pieces.is_mark(entry.content):
            tokens[token] = None
    for token in tokenizer.all_special_ids:
        if 0 <= token < len(tokens):
            tokens[token] = None
    return Tokens(tokens, eos, _special_names(added, tokens))


def read_tokenizers(tokenizer: Any) -> Tokens:
    """Read a `tokenizers.Tokenizer`; it doesn't tell what ends a sequence."""
    decoder = _state(tokenizer.decoder)
    read = _reader(decoder, tokenizer)
    tokens = _read_pieces(tokenizer.get_vocab(with_added_tokens=True), read)
    unknown = getattr(tokenizer.model, "unk_token", None)
    if isinstance(unknown, str) and (token := tokenizer.token_to_id(unknown)) is not None:
        tokens[token] = None
    is_byte_level = "ByteLevel" in _kinds(decoder)
    for token, entry in tokenizer.get_added_tokens_decoder().items():
        if entry.special or pieces.is_mark(entry.content):
            tokens[token] = None
        elif is_byte_level or decoder is None:  # text by its own characters
            tokens[token] = entry.content.encode()
    return Tokens(tokens, [], _special_names(tokenizer.get_added_tokens_decoder(), tokens))


def _special_names(added: Mapping[int, Any], tokens: list[bytes | None]) -> dict[str, int]:
    """Give the ids of added tokens that match no text, by name."""
    return {str(entry.content): token for token, entry in added.items() if tokens[token] is None}


def _read_pieces(vocabulary: dict[str, int], read: _Reader) -> list[bytes | None]:
    tokens = pieces.unwritten(max(vocabulary.values(), default=-1) + 1)
    for piece, token in vocabulary.items():
        if piece and not pieces.is_mark(piece):
            tokens[token] = read(piece)
    return tokens


def _state(component: Any) -> dict[str, Any] | None:
    return None if component is None else json.loads(component.__getstate__())


def _kinds(state: dict[str, Any] | None) -> list[str]:
    """Give the types of a component and of its parts, in order."""
    return [] if state is None else [stage["type"] for stage in _stages(state)]


def _stages(state: dict[str, Any]) -> list[dict[str, Any]]:
    parts = state.get("decoders") or state.get("pretokenizers")
    if parts is None:
        return [state]
    return [stage for part in parts for stage in _stages(part)]


def _reader(decoder: dict[str, Any] | None, tokenizer: Any) -> _Reader:
    """Give what reads a piece as the decoder does; without one the model and what cuts words tell."""
    kinds = _kinds(decoder)
    model = tokenizer.model
    kind = type(model).__name__
    if not kinds:
        kinds = [each for each in _kinds(_state(tokenizer.pre_tokenizer)) if each in ("ByteLevel", "Metaspace")]
    suffix = getattr(model, "end_of_word_suffix", None) or ""
    if "ByteLevel" in kinds:
        return _with_suffix(pieces.byte_level, suffix)
    if "CTC" in kinds:
        raise ValueError(
            "a CTC tokenizer joins tokens that repeat, so a token has no text of its own: it can't be constrained"
        )
    if "WordPiece" in kinds or (not kinds and kind in ("WordPiece", "WordLevel")):
        stage = next((s for s in _stages(decoder or {}) if s.get("type") == "WordPiece"), {})
        prefix = stage.get("prefix") or getattr(model, "continuing_subword_prefix", None) or ""
        return lambda piece: pieces.word_piece(piece, prefix)
    if not kinds and not suffix:
        raise ValueError(
            f"a tokenizer of model {kind} without a decoder doesn't tell what its tokens stand for: set its `decoder`, "
            "or give Vocabulary(tokens, eos_token_ids) the bytes of each token"
        )
    replacements = []
    for stage in _stages(decoder) if decoder is not None else []:
        if stage["type"] == "Replace":
            pattern = stage["pattern"].get("String")
            if pattern is None:
                raise ValueError(
                    f"the tokenizer's decoder replaces by a regular expression ({stage['pattern']}), which may look "
                    "past a token; give Vocabulary(tokens, eos_token_ids) the bytes of each token"
                )
            replacements.append((pattern, stage["content"]))
        elif stage["type"] == "Metaspace":
            replacements.append((stage["replacement"], " "))
        elif stage["type"] == "BPEDecoder":
            suffix = stage["suffix"]
    if decoder is None and "Metaspace" in kinds:
        replacements.append((pieces.SPACE_MARK, " "))
    falls_back = "ByteFallback" in kinds or getattr(model, "byte_fallback", False)

    def read(piece: str) -> bytes:
        byte = pieces.fallback_byte(piece) if falls_back else None
        if byte is not None:
            return byte
        for pattern, content in replacements:
            piece = piece.replace(pattern, content)
        return piece.encode()

    return _with_suffix(read, suffix)


def _with_suffix(read: Callable[[str], bytes], suffix: str) -> _Reader:
    """Read a mark at the end of a word as a space after it."""
    if not suffix:
        return read
    return lambda piece: read(piece.removesuffix(suffix)) + b" " if piece.endswith(suffix) else read(piece)


# Slow tokenizers


def _slow_sentencepiece(tokenizer: Any) -> list[bytes | None]:
    """Read the model that a slow tokenizer holds; some shift its ids, so pieces are looked up by their names."""
    read = sentencepiece_model.read_model(tokenizer.sp_model.serialized_model_proto())
    names = [tokenizer.sp_model.id_to_piece(i) for i in range(len(read.tokens))]
    vocabulary = tokenizer.get_vocab()
    tokens = pieces.unwritten(max(vocabulary.values(), default=-1) + 1)
    for name, text in zip(names, read.tokens, strict=True):
        if name in vocabulary:
            tokens[vocabulary[name]] = text
    return tokens


def _slow_reader(tokenizer: Any) -> _Reader:
    """Give what reads the pieces of a slow tokenizer, known by what it holds."""
    if hasattr(tokenizer, "byte_decoder"):
        table = tokenizer.byte_decoder
        return lambda piece: bytes([table[c] for c in piece]) if all(c in table for c in piece) else piece.encode()
    if hasattr(tokenizer, "wordpiece_tokenizer"):
        return pieces.word_piece
    if hasattr(tokenizer, "_utf_vocab_size"):  # ByT5, Perceiver: a character for each byte
        return lambda piece: piece.encode("latin-1") if len(piece) == 1 and ord(piece) < 256 else piece.encode()
    raise ValueError(
        f"{type(tokenizer).__name__} doesn't tell what bytes its tokens stand for; use its fast counterpart, or give "
        "Vocabulary(tokens, eos_token_ids) the bytes of each token"
    )
