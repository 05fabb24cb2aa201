"""The engine of the package `outlines_core` as a backend, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from typing_extensions import override

from outlines.backends.base import BaseBackend
from outlines.backends.bitmask import BitmaskLogitsProcessor

try:
    from outlines_core import Guide, Index, Vocabulary
    from outlines_core.json_schema import build_regex_from_schema
except ImportError as error:
    raise ImportError(
        "the backend 'outlines_core' needs its package: `pip install outlines[outlines_core]`"
    ) from error

__all__ = ["OutlinesCoreBackend", "OutlinesCoreLogitsProcessor"]


class _Follower:
    """A guide, and the token that ended its text."""

    def __init__(self, index: Index):
        self.guide = Guide(index)
        self.end: int | None = None


class OutlinesCoreLogitsProcessor(BitmaskLogitsProcessor):
    """Masks by an index of `outlines_core`.

    Parameters
    ----------
    index
        Of the pattern and the vocabulary.
    tensor_library_name
        "torch", "numpy" or "mlx".
    """

    def __init__(self, index: Index, tensor_library_name: str):
        self.index = index
        super().__init__(tensor_library_name)

    @override
    def _new_matcher(self) -> _Follower:
        return _Follower(self.index)

    @override
    def _consume(self, matcher: _Follower, token: int) -> None:
        if matcher.end is not None:
            return
        if matcher.guide.is_finished() and not matcher.guide.accepts_tokens([token]):
            matcher.end = token  # a guide has no state after the end
        else:
            matcher.guide.advance(token, return_tokens=False)

    @override
    def _fill(self, matcher: _Follower, words: NDArray) -> None:
        if matcher.end is None:
            matcher.guide.write_mask_into(words.ctypes.data, words.size, words.itemsize)
        else:
            words.view("uint32")[matcher.end // 32] = 1 << matcher.end % 32


class OutlinesCoreBackend(BaseBackend):
    """Patterns, and schemas by way of patterns.

    Parameters
    ----------
    model
        A Transformers, LlamaCpp or MLXLM model.
    """

    def __init__(self, model: Any):
        library = getattr(model, "tensor_library_name", None)
        if library in ("torch", "numpy"):
            tokenizer, token_to_str = model.tokenizer, model.tokenizer.convert_token_to_string
            vocabulary = tokenizer.vocabulary
        elif library == "mlx":
            tokenizer = model.mlx_tokenizer
            vocabulary = tokenizer.get_vocab()

            def token_to_str(token: str) -> str:
                return tokenizer.convert_tokens_to_string([token])

        else:
            raise ValueError(
                "The outlines_core backend only supports Transformers, LlamaCpp and MLXLM models, "
                f"not {type(model).__name__}"
            )
        self.eos_token_id = tokenizer.eos_token_id
        self.vocabulary = self.create_outlines_core_vocabulary(
            vocabulary, tokenizer.eos_token_id, tokenizer.eos_token, token_to_str
        )
        self.tensor_library_name = library

    @staticmethod
    def create_outlines_core_vocabulary(
        vocab: dict[str, int], eos_token_id: int, eos_token: str, token_to_str: Callable[[str], str]
    ) -> Vocabulary:
        """Give the vocabulary of `outlines_core`: the ids of each text, the end of the sequence left out."""
        ids_of_text: dict[str, list[int]] = {}
        for token, token_id in vocab.items():
            ids_of_text.setdefault(token_to_str(token), []).append(token_id)
        ids_of_text.pop(token_to_str(eos_token), None)
        return Vocabulary(eos_token_id, ids_of_text)

    @override
    def get_json_schema_logits_processor(
        self, json_schema: str, whitespace_pattern: str | None = None
    ) -> OutlinesCoreLogitsProcessor:
        return self.get_regex_logits_processor(build_regex_from_schema(json_schema, whitespace_pattern))

    @override
    def get_regex_logits_processor(self, regex: str) -> OutlinesCoreLogitsProcessor:
        return OutlinesCoreLogitsProcessor(Index(regex, self.vocabulary), self.tensor_library_name)

    @override
    def get_cfg_logits_processor(self, grammar: str) -> OutlinesCoreLogitsProcessor:
        raise NotImplementedError("Outlines Core does not support context-free grammar.")
