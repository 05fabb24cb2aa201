"""Models of a few thousand random parameters, made in a second, with a real byte-level tokenizer.

Random weights make the sternest judge of a constraint: nothing but the mask keeps their text to it.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["bart", "llama", "mamba", "t5", "tokenizer"]

CHAT_TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


@functools.cache
def _trained() -> Tokenizer:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(["the quick brown fox yes no 0123456789"] * 50, trainer)
    return trained


def tokenizer(**kwargs: Any) -> transformers.PreTrainedTokenizerFast:
    """Make a tokenizer of some 300 tokens, no template unless `chat_template` is given."""
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=_trained(), **{**special, **kwargs})


def llama(seed: int = 0, num_logits: int | None = None) -> transformers.LlamaForCausalLM:
    """Make a decoder-only model; its head may be wider than the vocabulary."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=num_logits or len(tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        **SPECIAL,
    )
    return transformers.LlamaForCausalLM(config).eval()


def t5(seed: int = 0) -> transformers.T5ForConditionalGeneration:
    """Make an encoder-decoder model whose decoder starts with the padding token."""
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=len(tokenizer()),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=2,
        eos_token_id=1,
        pad_token_id=2,
    )
    return transformers.T5ForConditionalGeneration(config).eval()


def bart(seed: int = 0) -> transformers.BartForConditionalGeneration:
    """Make an encoder-decoder model whose decoder starts with the token that also ends a sequence."""
    torch.manual_seed(seed)
    config = transformers.BartConfig(
        vocab_size=len(tokenizer()),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
        **SPECIAL,
    )
    return transformers.BartForConditionalGeneration(config).eval()


def mamba(seed: int = 0) -> transformers.MambaForCausalLM:
    """Make a state-space model."""
    torch.manual_seed(seed)
    config = transformers.MambaConfig(
        vocab_size=len(tokenizer()), hidden_size=32, state_size=8, num_hidden_layers=1, **SPECIAL
    )
    return transformers.MambaForCausalLM(config).eval()
