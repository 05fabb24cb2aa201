"""The engine of the package `xgrammar` as a backend, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from outlines.backends.base import BaseBackend
from outlines.backends.bitmask import BitmaskLogitsProcessor, copy_words

__all__ = ["XGrammarBackend", "XGrammarLogitsProcessor"]


class XGrammarLogitsProcessor(BitmaskLogitsProcessor):
    """Masks by matchers of `xgrammar`.

    Parameters
    ----------
    compiled_grammar
        An `xgrammar.CompiledGrammar`.
    tensor_library_name
        "torch" or "mlx".

    Raises
    ------
    NotImplementedError
        If the tensors are of another library.
    """

    def __init__(self, compiled_grammar: Any, tensor_library_name: str):
        if tensor_library_name not in ("torch", "mlx"):
            raise NotImplementedError(
                f"the xgrammar backend works with torch and mlx, not {tensor_library_name!r}"
            )
        self.compiled_grammar = compiled_grammar
        super().__init__(tensor_library_name)

    @override
    def _new_matcher(self) -> Any:
        from xgrammar import GrammarMatcher

        return GrammarMatcher(self.compiled_grammar)

    @override
    def _consume(self, matcher: Any, token: int) -> None:
        if not matcher.is_terminated() and not matcher.accept_token(token):
            raise RuntimeError(f"xgrammar rejected token {token}, which its own mask had allowed")

    @override
    def _fill(self, matcher: Any, words: NDArray) -> None:
        if matcher.is_terminated():
            for token in matcher.stop_token_ids:
                words.view("uint32")[token // 32] |= 1 << token % 32
            return
        row = np.zeros((1, -(-self.compiled_grammar.tokenizer_info.vocab_size // 32)), np.int32)
        matcher.fill_next_token_bitmask(row, 0)
        copy_words(words, row[0])


class XGrammarBackend(BaseBackend):
    """Patterns, schemas, and grammars in EBNF.

    Parameters
    ----------
    model
        A Transformers or MLXLM model.
    """

    def __init__(self, model: Any):
        self.tensor_library_name: str = getattr(model, "tensor_library_name", "none")
        if self.tensor_library_name not in ("torch", "mlx"):
            raise ValueError(
                "The xgrammar backend only supports Transformers and MLXLM models, "
                f"not {type(model).__name__}"
            )
        try:
            import xgrammar
        except ImportError as error:
            raise ImportError(
                "the backend 'xgrammar' needs its package: `pip install outlines[xgrammar]`"
            ) from error
        is_torch = self.tensor_library_name == "torch"
        tokenizer = model.hf_tokenizer if is_torch else model.mlx_tokenizer._tokenizer
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
        self.grammar_compiler = xgrammar.GrammarCompiler(info)

    @override
    def get_json_schema_logits_processor(
        self, json_schema: str, whitespace_pattern: str | None = None
    ) -> XGrammarLogitsProcessor:
        if whitespace_pattern is not None:
            raise NotImplementedError("the xgrammar backend has no `whitespace_pattern`; leave it out")
        return self._processor(self.grammar_compiler.compile_json_schema(json_schema))

    @override
    def get_regex_logits_processor(self, regex: str) -> XGrammarLogitsProcessor:
        return self._processor(self.grammar_compiler.compile_regex(regex))

    @override
    def get_cfg_logits_processor(self, grammar: str) -> XGrammarLogitsProcessor:
        return self._processor(self.grammar_compiler.compile_grammar(grammar))

    def _processor(self, compiled: Any) -> XGrammarLogitsProcessor:
        return XGrammarLogitsProcessor(compiled, self.tensor_library_name)
