"""What a tokenizer has to offer, and what can be asked of one from `transformers`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from typing import Any, Protocol

__all__ = ["Tokenizer"]


class Tokenizer(Hashable, Protocol):
    """The tokenizer of a steerable model."""

    eos_token: str
    eos_token_id: int
    pad_token_id: int
    vocabulary: dict[str, int]
    special_tokens: set[str]

    @abstractmethod
    def encode(self, prompt: str | list[str]) -> tuple[Any, Any]:
        """Give token ids and attention mask, both [B, length], padded."""

    @abstractmethod
    def decode(self, token_ids: Any) -> list[str]:
        """Give the text of each row of token ids, special tokens left out."""

    @abstractmethod
    def convert_token_to_string(self, token: str) -> str:
        """Give the text that a token of the vocabulary stands for."""


def _check_hf_chat_template(tokenizer: Any) -> bool:
    """Say whether a tokenizer of `transformers` has a chat template."""
    try:
        tokenizer.get_chat_template()
    except ValueError:  # its way to say that there is none
        return False
    return True
