"""Vocabularies by rank: `tiktoken.Encoding`, .tiktoken files, and Mistral's tekken.json."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from outlines.vocabulary.pieces import Tokens, unwritten

__all__ = ["read_encoding", "read_ranks", "read_tekken", "read_tekkenizer"]


def read_encoding(encoding: Any) -> Tokens:
    """Read a `tiktoken.Encoding`; what ends a sequence is <|endoftext|>, where it has that."""
    names = {name: encoding.encode_single_token(name) for name in encoding.special_tokens_set}
    special = set(names.values())
    tokens: list[bytes | None] = []
    for token in range(encoding.n_vocab):
        try:
            text = None if token in special else encoding.decode_single_token_bytes(token)
        except KeyError:  # a hole
            text = None
        tokens.append(text)
    eos = [encoding.eot_token] if "<|endoftext|>" in encoding.special_tokens_set else []
    return Tokens(tokens, eos, names)


def read_ranks(data: bytes) -> Tokens:
    """Read a .tiktoken file, whose lines are "<base64 of the bytes> <id>"; special tokens aren't in it.

    Raises
    ------
    ValueError
        If a line isn't of that form, or an id is given twice; the message names the line.
    """
    ranks: dict[int, bytes] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line:
            continue
        text, _, rank = line.partition(b" ")
        try:
            token = int(rank)
            content = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise ValueError(f"line {number}: expected a token in base64 and its id, got {line[:80]!r}") from None
        if token < 0 or token in ranks:
            raise ValueError(f"line {number}: id {token} is negative or was given before")
        ranks[token] = content
    return Tokens(_by_id(ranks.items(), max(ranks, default=-1) + 1), [])


def read_tekken(data: bytes) -> Tokens:
    """Read a tekken.json: ids begin with the special tokens, and a rank comes after all of them."""
    content = json.loads(data)
    try:
        config = content["config"]
        num_special, num_tokens = config["default_num_special_tokens"], config["default_vocab_size"]
        ranks = [(num_special + entry["rank"], base64.b64decode(entry["token_bytes"])) for entry in content["vocab"]]
        listed = content.get("special_tokens")
        # files before version 7 don't list them: <unk>, <s>, </s> come first
        eos = [2] if listed is None else [entry["rank"] for entry in listed if entry["token_str"] == "</s>"]
        kept = [pair for pair in ranks if pair[0] < num_tokens]
        tokens = unwritten(num_tokens)
    except KeyError as error:
        raise ValueError(f"no tekken.json: {error} is missing") from error
    except TypeError as error:
        raise ValueError(f"no tekken.json: {error}") from error
    for token, text in kept:
        if token < max(num_special, 0):
            raise ValueError(f"no tekken.json: the rank {token - num_special} is negative")
        tokens[token] = text
    return Tokens(tokens, eos)


def read_tekkenizer(tokenizer: Any) -> Tokens:
    """Read a `Tekkenizer` of mistral-common, which gives no bytes for special tokens."""
    return Tokens([tokenizer.id_to_byte_piece(token) for token in range(tokenizer.n_words)], [tokenizer.eos_id])


def _by_id(entries: Iterable[tuple[int, bytes]], num_tokens: int) -> list[bytes | None]:
    tokens = unwritten(num_tokens)
    for token, text in entries:
        tokens[token] = text
    return tokens
