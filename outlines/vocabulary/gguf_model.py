"""Vocabularies of GGUF files, and of models that llama.cpp has loaded."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

from outlines.vocabulary import pieces
from outlines.vocabulary.pieces import SPACE_MARK, Tokens
from outlines.vocabulary.sentencepiece_model import BYTE, NORMAL, USER_DEFINED, piece_bytes

__all__ = ["read_gguf", "read_llama", "read_reader"]

#: Keys of tokens that end a sequence: of the text, of a turn, of a message.
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def read_gguf(path: str | os.PathLike[str]) -> Tokens:
    """Read the vocabulary of a GGUF file; the package gguf isn't needed.

    Raises
    ------
    ValueError
        If the file is cut off, of version 1, or has no vocabulary that is known.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            fields = _Header(data).vocabulary()
        except (struct.error, IndexError, OverflowError, UnicodeDecodeError) as error:
            raise ValueError("the file is cut off, or no GGUF file") from error
    return _read_fields(fields.get)


class _Header:
    """The keys and values at the beginning of a GGUF file."""

    def __init__(self, data: mmap.mmap):
        self._data = data
        self._place = 4  # after the magic
        self._order = "<"
        version = self._number("I")
        if version & 0xFFFF == 0:  # written by a machine of the other byte order
            self._order, self._place = ">", 4
            version = self._number("I")
        if version < 2:
            raise ValueError(f"GGUF version {version} is not read; convert the file anew")
        self._number("Q")  # tensors
        self._num_fields = self._number("Q")

    def vocabulary(self) -> dict[str, Any]:
        """Give the fields of the vocabulary that are looked at; the others are passed over."""
        found = {}
        for _ in range(self._num_fields):
            key = self._string().decode()
            kind = self._number("I")
            name = key.removeprefix(_PREFIX)
            if key.startswith(_PREFIX) and name in ("model", "tokens", "token_type", *_ENDS):
                found[name] = self._value(kind)
            else:
                self._skip(kind)
        return found

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from(self._order + code, self._data, self._place)
        self._place += struct.calcsize("=" + code)
        return value

    def _string(self) -> bytes:
        size = self._number("Q")
        text = self._data[self._place : self._place + size]
        if len(text) < size:
            raise IndexError(size)
        self._place += size
        return text

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string().decode()
        if kind == _ARRAY:
            inner, size = self._number("I"), self._number("Q")
            if inner == _ARRAY:
                raise ValueError("an array of arrays stands where the vocabulary's should; the file is damaged")
            return [self._value(inner) for _ in range(size)]
        return self._number(_code(kind))

    def _skip(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            size = self._number("Q")
            self._place += size
        elif kind == _ARRAY:
            inner, size = self._number("I"), self._number("Q")
            if inner in (_STRING, _ARRAY):
                if depth == _DEEP:
                    raise ValueError(f"arrays are nested deeper than {_DEEP} levels; the file is damaged")
                for _ in range(size):
                    self._skip(inner, depth + 1)
            else:
                self._place += size * struct.calcsize("=" + _code(inner))
        else:
            self._place += struct.calcsize("=" + _code(kind))


def _code(kind: int) -> str:
    if not 0 <= kind < len(_CODES) or kind in (_STRING, _ARRAY):
        raise ValueError(f"type {kind} of a value is not known; the file is damaged, or newer than this reader")
    return _CODES[kind]


_PREFIX = "tokenizer.ggml."

#: How `struct` reads the types of values, by their numbers; strings and arrays are none of them.
_STRING, _ARRAY = 8, 9
_CODES = "BbHhIif?  Qqd"

#: Levels of arrays within arrays that are passed over; files have one.
_DEEP = 8


def read_reader(reader: Any) -> Tokens:
    """Read the vocabulary of a `gguf.GGUFReader`."""

    def get(key: str) -> Any:
        field = reader.get_field(_PREFIX + key)
        return None if field is None else field.contents()

    return _read_fields(get)


def _read_fields(get: Callable[[str], Any]) -> Tokens:
    """Read a vocabulary from the fields below `tokenizer.ggml`."""
    names = get("tokens")
    if names is None:
        raise ValueError("the GGUF file has no vocabulary (tokenizer.ggml.tokens); give the tokenizer itself")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("tokenizer.ggml.tokens is no array of strings; the file is damaged")
    kinds = get("token_type") or [NORMAL] * len(names)
    if not isinstance(kinds, list) or len(kinds) != len(names):
        raise ValueError("tokenizer.ggml.token_type hasn't one type for each token; the file is damaged")
    eos = [token for key in _ENDS if (token := get(key)) is not None]
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
