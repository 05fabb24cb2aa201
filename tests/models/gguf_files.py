"""Tiny random models in GGUF files, with vocabularies of each kind that llama.cpp knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["sentencepiece_tokens", "wordpiece_tokens", "write"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


def sentencepiece_tokens() -> list[tuple[str, int]]:
    """Give tokens as SentencePiece has them, each with its kind; 0 is unknown, 1 begins, 2 ends, 3 ends a turn."""
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL), ("<|im_end|>", CONTROL)]
    pieces = ["▁", "▁the", "▁▁", "yes", "no", "é", "漢", "a▁b", *"0123456789abcdefghij,.-"]
    return [
        *special,
        *((f"<0x{byte:02X}>", BYTE) for byte in range(256)),
        *((piece, NORMAL) for piece in pieces),
        ("<tool>", USER_DEFINED),
    ]


def wordpiece_tokens() -> list[tuple[str, int]]:
    """Give tokens as WordPiece has them in a GGUF: word starts carry the mark of a space, the others nothing."""
    special = [(f"[{name}]", CONTROL) for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    return [*special, *((piece, NORMAL) for piece in ("▁hello", "▁the", "ing", "é", "▁a", "b", "▁."))]


def write(path: Path, kind: str, tokens: list[tuple[str, int]], eos: int) -> Path:
    """Write a model of one layer; `kind` is llama.cpp's name of the tokenizer."""
    import gguf

    width, feed_forward, heads = 32, 64, 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(feed_forward)
    writer.add_block_count(1)
    writer.add_head_count(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model(kind)
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types([each for _, each in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos)
    writer.add_unk_token_id(0)
    rng = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        values: Any = rng.normal(size=shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(tokens), width)
    add("output_norm.weight", width)
    add("output.weight", len(tokens), width)
    for name in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{name}.weight", width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width)
    add("blk.0.ffn_gate.weight", feed_forward, width)
    add("blk.0.ffn_up.weight", feed_forward, width)
    add("blk.0.ffn_down.weight", width, feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
