"""Vocabularies of real models, read from packages that carry them, for tests and benchmarks.

    pip install --no-deps llama-models==0.3.0

The files' licences are their owners': they are read where they are installed and never copied.
"""

from __future__ import annotations

import base64
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken
    from transformers import PreTrainedTokenizerFast

LLAMA3_REMEDY = "Llama 3's vocabulary is missing. Run: pip install --no-deps llama-models==0.3.0"
LLAMA3_NUM_SPECIAL_TOKENS = 256
# How Llama 3 cuts text into pieces before it merges bytes; the file doesn't carry it.
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Place among the special tokens -> name; the others are <|reserved_special_token_N|>, N counting from 0.
LLAMA3_SPECIAL_NAMES = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    5: "<|step_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
    11: "<|image|>",
}
# <|end_of_text|>, <|eot_id|>
LLAMA3_EOS_TOKEN_IDS = (128_001, 128_009)


def read_tiktoken(path: Path) -> list[bytes]:
    """Give the bytes of every token in a tiktoken file, whose lines are "<base64 of the bytes> <id>".

    Raises
    ------
    ValueError
        If a line isn't of that form, or the ids aren't 0, 1, 2, ... in this order.
    """
    tokens: list[bytes] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        text, _, rank = line.partition(b" ")
        if rank != b"%d" % len(tokens):
            expected = f"a token in base64 and id {len(tokens)}"
            raise ValueError(f"{path}, line {number}: expected {expected}, got {line[:80]!r}")
        tokens.append(base64.b64decode(text, validate=True))
    return tokens


def read_llama3() -> list[bytes | None]:
    """Give the bytes of the 128,256 tokens of Llama 3; None for the 256 special ones, which come last.

    Raises
    ------
    FileNotFoundError
        If the package isn't installed; the message says how to install it.
    """
    return [*read_tiktoken(llama3_path()), *[None] * LLAMA3_NUM_SPECIAL_TOKENS]


def llama3_path() -> Path:
    """Find Llama 3's tiktoken file.

    Raises
    ------
    FileNotFoundError
        If the package isn't installed; the message says how to install it.
    """
    folder = package_folder("llama_models")
    if folder is None:
        raise FileNotFoundError(LLAMA3_REMEDY)
    return folder / "llama3" / "tokenizer.model"


def package_folder(name: str) -> Path | None:
    """Find the folder of a package that carries a vocabulary; None if it isn't there.

    It's looked for among what is installed, and never imported: its code needs packages that its data doesn't. Packages
    that aren't Python's are looked for, unpacked, in the folder that OUTLINES_VOCABULARIES names.
    """
    unpacked = Path(os.environ.get("OUTLINES_VOCABULARIES") or os.devnull) / name
    if unpacked.is_dir():
        return unpacked
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def llama3_special_names() -> list[str]:
    """Give the names of Llama 3's special tokens, in the order of their ids."""
    reserved = iter(range(LLAMA3_NUM_SPECIAL_TOKENS))
    return [
        LLAMA3_SPECIAL_NAMES.get(place) or f"<|reserved_special_token_{next(reserved)}|>"
        for place in range(LLAMA3_NUM_SPECIAL_TOKENS)
    ]


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Build Llama 3's tokenizer as transformers has it; takes some 2 s."""
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    converter = TikTokenConverter(
        vocab_file=str(llama3_path()), pattern=LLAMA3_PATTERN, extra_special_tokens=llama3_special_names()
    )
    return PreTrainedTokenizerFast(tokenizer_object=converter.converted(), eos_token="<|eot_id|>")


@dataclass(frozen=True)
class Encoding:
    """A vocabulary together with the tokenizer that cuts text into it.

    Parameters
    ----------
    tokens
        Bytes of each token, by id; None for a special one.
    eos_token
        Id of the token that ends a sequence.
    tokenizer
        The tokenizer; `encode_ordinary` never gives a special token.
    """

    tokens: list[bytes | None]
    eos_token: int
    tokenizer: tiktoken.Encoding


def llama3_encoding() -> Encoding:
    """Give Llama 3's 128,256 tokens with its tokenizer; the end is <|eot_id|>, as in its chat models."""
    return _encoding("llama3", LLAMA3_PATTERN, read_llama3(), llama3_special_names(), "<|eot_id|>")


def bytes_encoding() -> Encoding:
    """Give 256 tokens of one byte and an end token: a vocabulary that needs no download, for tests."""
    tokens: list[bytes | None] = [*(bytes([byte]) for byte in range(256)), None]
    return _encoding("bytes", r"[\s\S]", tokens, ["<|end|>"], "<|end|>")


ENCODINGS = {"llama3": llama3_encoding, "bytes": bytes_encoding}


def _encoding(
    name: str, pattern: str, tokens: list[bytes | None], special_names: list[str], eos: str
) -> Encoding:
    import tiktoken

    ranks = {token: rank for rank, token in enumerate(tokens) if token is not None}
    special = {text: len(ranks) + place for place, text in enumerate(special_names)}
    tokenizer = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    return Encoding(tokens, special[eos], tokenizer)
