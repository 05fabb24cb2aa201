"""The engine of the package `llguidance` as a backend, to compare with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from outlines.backends.base import BaseBackend
from outlines.backends.bitmask import BitmaskLogitsProcessor, copy_words

__all__ = ["LLGuidanceBackend", "LLGuidanceLogitsProcessor"]


class LLGuidanceLogitsProcessor(BitmaskLogitsProcessor):
    """Masks by matchers of `llguidance`, whose errors become warnings.

    Parameters
    ----------
    grammar
        In the form that `llguidance.grammar_from` gives.
    llg_tokenizer
        An `llguidance.LLTokenizer`.
    tensor_library_name
        "torch", "numpy" or "mlx".
    """

    def __init__(self, grammar: str, llg_tokenizer: Any, tensor_library_name: str):
        self.grammar = grammar
        self.llg_tokenizer = llg_tokenizer
        super().__init__(tensor_library_name)

    @override
    def _new_matcher(self) -> Any:
        from llguidance import LLMatcher

        matcher = LLMatcher(self.llg_tokenizer, self.grammar)
        _warn_of_error(matcher)
        return matcher

    @override
    def _consume(self, matcher: Any, token: int) -> None:
        if not matcher.is_stopped():  # once a text is whole and can't go on, its end isn't consumed
            matcher.consume_token(token)
            _warn_of_error(matcher)

    @override
    def _fill(self, matcher: Any, words: NDArray) -> None:
        copy_words(words, np.frombuffer(matcher.compute_bitmask(), np.int32))
        _warn_of_error(matcher)


def _warn_of_error(matcher: Any) -> None:
    error = matcher.get_error()
    if error:
        warnings.warn(f"Error in LLMatcher: {error}", stacklevel=2)


class LLGuidanceBackend(BaseBackend):
    """Patterns, schemas and grammars.

    Parameters
    ----------
    model
        A Transformers, LlamaCpp or MLXLM model.
    """

    def __init__(self, model: Any):
        self.tensor_library_name: str = getattr(model, "tensor_library_name", "none")
        self.llg_tokenizer = self._create_llg_tokenizer(model)

    def _create_llg_tokenizer(self, model: Any) -> Any:
        if self.tensor_library_name not in ("torch", "mlx", "numpy"):
            raise ValueError(
                "The llguidance backend only supports Transformers, LlamaCpp and MLXLM models, "
                f"not {type(model).__name__}"
            )
        try:
            import llguidance.hf
        except ImportError as error:
            raise ImportError(
                "the backend 'llguidance' needs its package: `pip install outlines[llguidance]`"
            ) from error
        if self.tensor_library_name == "torch":
            return llguidance.hf.from_tokenizer(model.hf_tokenizer)
        if self.tensor_library_name == "mlx":
            return llguidance.hf.from_tokenizer(model.mlx_tokenizer._tokenizer)
        import llama_cpp
        import llguidance.llamacpp

        with warnings.catch_warnings():  # llguidance uses names of llama.cpp that have new ones
            warnings.simplefilter("ignore", DeprecationWarning)
            vocabulary = llama_cpp.llama_model_get_vocab(model.model.model)
            return llguidance.llamacpp.lltokenizer_from_vocab(vocabulary)

    @override
    def get_json_schema_logits_processor(
        self, json_schema: str, whitespace_pattern: str | None = None
    ) -> LLGuidanceLogitsProcessor:
        if whitespace_pattern is not None:
            raise NotImplementedError("the llguidance backend has no `whitespace_pattern`; leave it out")
        return self._processor("json_schema", json_schema)

    @override
    def get_regex_logits_processor(self, regex: str) -> LLGuidanceLogitsProcessor:
        return self._processor("regex", regex)

    @override
    def get_cfg_logits_processor(self, grammar: str) -> LLGuidanceLogitsProcessor:
        try:
            return self._processor("grammar", grammar)
        except ValueError:  # its own conversion doesn't know the form, so it's Lark's
            return self._processor("lark", grammar)

    def _processor(self, kind: Any, text: str) -> LLGuidanceLogitsProcessor:
        import llguidance

        return LLGuidanceLogitsProcessor(
            llguidance.grammar_from(kind, text), self.llg_tokenizer, self.tensor_library_name
        )
