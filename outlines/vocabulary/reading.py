"""Which reader a tokenizer, or a file of one, is for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from outlines.vocabulary import gguf_model, hugging_face, ranks, sentencepiece_model
from outlines.vocabulary.pieces import Tokens

__all__ = ["read"]

_KINDS = (
    "tokenizers of transformers and tokenizers, tiktoken.Encoding, sentencepiece.SentencePieceProcessor, those of "
    "mistral-common, llama_cpp.Llama, gguf.GGUFReader, and paths of files: tokenizer.json, tokenizer.model, "
    "*.tiktoken, tekken.json, *.gguf"
)


def read(tokenizer: Any) -> Tokens:
    """Read a tokenizer of any kind, told apart by what it offers, or a file, told apart by its contents.

    Raises
    ------
    TypeError
        If it's of no kind that is known; the message names those that are.
    """
    if isinstance(tokenizer, str | os.PathLike):
        return _read_path(Path(tokenizer))
    tokenizer = _unwrap(tokenizer)
    for names, reader in (
        (("decode_single_token_bytes", "special_tokens_set"), ranks.read_encoding),
        (("id_to_byte_piece", "num_special_tokens"), ranks.read_tekkenizer),
        (("n_vocab", "detokenize"), gguf_model.read_llama),
        (("get_field", "tensors"), gguf_model.read_reader),
        (("get_added_tokens_decoder", "pre_tokenizer"), hugging_face.read_tokenizers),
        (("get_vocab", "added_tokens_decoder"), hugging_face.read_transformers),
    ):
        if all(hasattr(tokenizer, name) for name in names):
            return reader(tokenizer)
    if hasattr(tokenizer, "serialized_model_proto"):
        return sentencepiece_model.read_model(tokenizer.serialized_model_proto())
    raise TypeError(
        f"a {type(tokenizer).__name__} is no tokenizer that is known. Known are {_KINDS}. For any other, give "
        "Vocabulary(tokens, eos_token_ids) the bytes of each token"
    )


def _unwrap(tokenizer: Any) -> Any:
    """Take out what others wrap: mistral-common's and ours, and the tokenizer of a processor."""
    for _ in range(3):
        inner = getattr(tokenizer, "instruct_tokenizer", None)
        if inner is None and not hasattr(tokenizer, "get_added_tokens_decoder"):
            inner = tokenizer
        held = getattr(inner, "tokenizer", None)
        if held is None or callable(held):
            break
        tokenizer = held
    return tokenizer


def _read_path(path: Path) -> Tokens:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder. Load a tokenizer of a hub by its own library, such as "
            "transformers.AutoTokenizer.from_pretrained, and give that"
        )
    with open(path, "rb") as file:
        first = file.read(4)
    try:
        if first == b"GGUF":
            return gguf_model.read_gguf(path)
        data = path.read_bytes()
        if data[:64].lstrip().startswith(b"{"):
            return _read_json(data)
        if data.partition(b"\n")[0].rstrip().rpartition(b" ")[2].isdigit():
            return ranks.read_ranks(data)
        return sentencepiece_model.read_model(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except RecursionError:
        raise ValueError(f"{path}: the JSON is nested too deep to be a tokenizer's") from None


def _read_json(data: bytes) -> Tokens:
    content = json.loads(data)
    if "config" in content and "vocab" in content:
        return ranks.read_tekken(data)
    from tokenizers import Tokenizer

    return hugging_face.read_tokenizers(Tokenizer.from_buffer(data))


def _read_folder(folder: Path) -> Tokens:
    """Read a model's folder as transformers does, or a tekken.json in it; generation_config.json names more ends."""
    if (folder / "tokenizer_config.json").exists() or not (folder / "tekken.json").exists():
        from transformers import AutoTokenizer

        found = hugging_face.read_transformers(AutoTokenizer.from_pretrained(folder))
    else:
        found = _read_path(folder / "tekken.json")
    settings = folder / "generation_config.json"
    named = json.loads(settings.read_bytes()).get("eos_token_id") if settings.exists() else None
    more = [named] if isinstance(named, int) else named or []
    return Tokens(found.tokens, list(dict.fromkeys([*found.eos_token_ids, *more])), found.special_tokens)
