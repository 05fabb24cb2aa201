"""Vocabularies of GGUF files, and of models that llama.cpp has loaded."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

from outlines.vocabulary import pieces
from outlines.vocabulary.pieces import SPACE_MARK, Tokens
from outlines.vocabulary.sentencepiece_model import BYTE, NORMAL, USER_DEFINED, piece_bytes

__all__ = ["read_gguf", "read_llama", "read_reader"]

#: Keys of tokens that end a sequence: of the text, of a turn, of a message.
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def read_gguf(path: str | os.PathLike[str]) -> Tokens:
    """Read the vocabulary of a GGUF file.

    Raises
    ------
    ImportError
        Without the package gguf; the message names the extra.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ImportError("reading a GGUF file needs the package gguf: pip install 'outlines[gguf]'") from error
    return read_reader(GGUFReader(os.fspath(path)))


def read_reader(reader: Any) -> Tokens:
    """Read the vocabulary of a `gguf.GGUFReader`."""

    def get(key: str, default: Any = None) -> Any:
        field = reader.get_field(f"tokenizer.ggml.{key}")
        return default if field is None else field.contents()

    names = get("tokens")
    if names is None:
        raise ValueError("the GGUF file has no vocabulary (tokenizer.ggml.tokens); give the tokenizer itself")
    kinds = get("token_type") or [NORMAL] * len(names)
    eos = [get(key) for key in _ENDS if get(key) is not None]
    return Tokens(_read_names(get("model"), names, kinds), list(dict.fromkeys(eos)))


def _read_names(model: str, names: Sequence[str], kinds: Sequence[int]) -> list[bytes | None]:
    """Give the bytes of each token, by the kind of vocabulary (`tokenizer.ggml.model`) and of token."""
    if model in ("llama", "t5"):  # SentencePiece: BPE and unigram
        return [piece_bytes(name, kind) for name, kind in zip(names, kinds, strict=True)]
    read: Callable[[str], bytes | None]
    if model == "gpt2":
        read = pieces.byte_level
    elif model == "bert":
        read = _marked_word
    elif model == "rwkv":
        read = _rwkv
    else:
        raise ValueError(
            f"tokenizer.ggml.model is {model!r}, which is not known here (gpt2, llama, t5, bert and rwkv are); give "
            "Vocabulary(tokens, eos_token_ids) the bytes of each token, or the loaded llama_cpp.Llama"
        )
    tokens: list[bytes | None] = []
    for name, kind in zip(names, kinds, strict=True):
        if kind not in (NORMAL, USER_DEFINED, BYTE) or not name or pieces.is_mark(name):
            tokens.append(None)
        elif kind == USER_DEFINED:
            tokens.append(None if pieces.is_control(name) else name.encode())
        else:
            tokens.append(read(name))
    return tokens


def _marked_word(name: str) -> bytes | None:
    """Read a piece of WordPiece as GGUF writes it: a mark where a word begins, and nothing where it goes on."""
    if name.startswith(SPACE_MARK) and len(name) > 1:
        return pieces.word_piece(name[1:], "")
    return name.encode()


_ESCAPES = {"n": 10, "t": 9, "r": 13}


def _rwkv(name: str) -> bytes:
    r"""Undo the escapes of RWKV's pieces: \n, \t, \r, \xHH, and a backslash before any other character."""
    data, place = bytearray(), 0
    while place < len(name):
        character = name[place]
        place += 1
        if character != "\\" or place == len(name):
            data += character.encode()
            continue
        character = name[place]
        place += 1
        if character == "x":
            data.append(int(name[place : place + 2], 16))
            place += 2
        elif character in _ESCAPES:
            data.append(_ESCAPES[character])
        else:
            data += character.encode()
    return bytes(data)


def read_llama(llama: Any) -> Tokens:
    """Read a loaded `llama_cpp.Llama`: llama.cpp itself tells what each token stands for and which ones end a text."""
    import llama_cpp

    vocabulary = llama_cpp.llama_model_get_vocab(llama.model)
    is_word_piece = llama_cpp.llama_vocab_type(vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_WPM
    silent = (
        llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED
    )
    tokens: list[bytes | None] = []
    eos = []
    user_defined = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
    for token in range(llama.n_vocab()):
        if llama_cpp.llama_vocab_is_eog(vocabulary, token):
            eos.append(token)
        name = llama_cpp.llama_vocab_get_text(vocabulary, token).decode(errors="replace")
        attributes = llama_cpp.llama_vocab_get_attr(vocabulary, token)
        is_control = pieces.is_control(name) if attributes & user_defined else pieces.is_mark(name)
        if attributes & silent or is_control:
            tokens.append(None)
        elif is_word_piece:
            tokens.append(_marked_word(name))
        else:
            tokens.append(_llama_bytes(vocabulary, token))
    return Tokens(tokens, eos)


def _llama_bytes(vocabulary: Any, token: int) -> bytes:
    """Give the bytes of a token as llama.cpp writes them; `Llama.detokenize` gives none for more than 32."""
    import llama_cpp

    size = 64
    while True:
        buffer = ctypes.create_string_buffer(size)
        length = llama_cpp.llama_token_to_piece(vocabulary, token, buffer, size, 0, True)
        if length >= 0:
            return buffer.raw[:length]
        size = -length
