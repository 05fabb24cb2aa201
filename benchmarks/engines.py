"""Our engine and its peers behind one interface: each compiles a schema or a pattern, and starts matchers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks import vocabularies

WORD_BITS = 32


class Refused(Exception):
    """A peer says that it can't compile this; for engines that say so without raising."""


class Matcher(NamedTuple):
    """The calls of one sequence, bound once so that the clock sees as little of this file as possible."""

    mask: Callable[[], Any]
    advance: Callable[[int], bool]
    is_accepting: Callable[[], bool] | None
    words: np.ndarray | None  # where `mask` writes; None: it returns the words


class Ours:
    """Our own engine, through its front door; the schema is checked as a user's is."""

    package = "outlines"
    property_order = "declared"

    def __init__(self, encoding: vocabularies.Encoding):
        from jsonschema.exceptions import SchemaError

        from outlines.engine import Constraint, Vocabulary
        from outlines.exceptions import OutlinesError
        from outlines.types import JsonSchema, Regex

        self.refusals: tuple[type[Exception], ...] = (OutlinesError, SchemaError)
        self.vocabulary = Vocabulary(encoding.tokens, eos_token_ids=[encoding.eos_token])
        self.compile = lambda schema: Constraint(
            JsonSchema(json.dumps(schema), property_order=self.property_order), self.vocabulary
        )
        self.compile_regex = lambda pattern: Constraint(Regex(pattern), self.vocabulary)

    def start(self, constraint) -> Matcher:
        matcher = constraint.matcher()
        return Matcher(matcher.mask, matcher.advance, matcher.is_accepting, None)


class OursAnyOrder(Ours):
    """Our own engine with the members of objects in any order."""

    property_order = "any"


class LLGuidance:
    """llguidance by its documented NumPy functions."""

    package = "llguidance"
    refusals = (Refused, ValueError)

    def __init__(self, encoding: vocabularies.Encoding):
        from llguidance import LLMatcher
        from llguidance.numpy import allocate_token_bitmask
        from llguidance.tiktoken import lltokenizer_from_encoding

        self.matcher = LLMatcher
        self.tokenizer = lltokenizer_from_encoding(
            encoding.tokenizer, n_vocab=len(encoding.tokens), eos_token=encoding.eos_token
        )
        self.bitmask = allocate_token_bitmask(1, len(encoding.tokens))

    def compile(self, schema):
        return self._compile(self.matcher.grammar_from_json_schema(schema))

    def compile_regex(self, pattern: str):
        return self._compile(self.matcher.grammar_from_regex(pattern))

    def _compile(self, grammar: str):
        matcher = self.matcher(self.tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise Refused(matcher.get_error())
        return matcher

    def start(self, matcher) -> Matcher:
        # Used again, since a new one would compile the grammar again and lose what it has learnt.
        matcher.reset()
        return Matcher(self.filler(matcher), matcher.consume_token, matcher.is_accepting, self.bitmask[0])

    def filler(self, matcher) -> Callable[[], Any]:
        from llguidance.numpy import fill_next_token_bitmask

        return functools.partial(fill_next_token_bitmask, matcher, self.bitmask)


class LLGuidancePointer(LLGuidance):
    """llguidance by the unchecked call below its NumPy functions, some microseconds faster."""

    def filler(self, matcher) -> Callable[[], Any]:
        return functools.partial(
            matcher.unsafe_compute_mask_ptr, self.bitmask.ctypes.data, self.bitmask.nbytes
        )


class XGrammar:
    """xgrammar with any whitespace and undeclared keys allowed, as JSON Schema says."""

    package = "xgrammar"
    refusals = (RuntimeError, ValueError)
    strict = False

    def __init__(self, encoding: vocabularies.Encoding):
        import xgrammar

        self.xgrammar = xgrammar
        info = xgrammar.TokenizerInfo(
            [token or b"" for token in encoding.tokens],
            xgrammar.VocabType.RAW,
            vocab_size=len(encoding.tokens),
            stop_token_ids=[encoding.eos_token],
        )
        # One core, and no grammar is asked for twice.
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.bitmask = xgrammar.allocate_token_bitmask(1, len(encoding.tokens))

    def compile(self, schema):
        return self.compiler.compile_json_schema(
            json.dumps(schema), any_whitespace=True, strict_mode=self.strict
        )

    def compile_regex(self, pattern: str):
        return self.compiler.compile_regex(pattern)

    def start(self, grammar) -> Matcher:
        matcher = self.xgrammar.GrammarMatcher(grammar)
        mask = functools.partial(matcher.fill_next_token_bitmask, self.bitmask)
        return Matcher(mask, matcher.accept_token, None, self.bitmask.numpy()[0])


class XGrammarStrict(XGrammar):
    """xgrammar by its default, which forbids undeclared keys whatever the schema says."""

    strict = True


class OutlinesCore:
    """outlines_core: a schema becomes a regex, and that an index of every state and token."""

    package = "outlines_core"
    refusals = (ValueError,)

    def __init__(self, encoding: vocabularies.Encoding):
        import outlines_core

        self.core = outlines_core
        ids: dict[bytes, list[int]] = {}
        for token, text in enumerate(encoding.tokens):
            if text is not None:
                ids.setdefault(text, []).append(token)
        self.vocabulary = outlines_core.Vocabulary(encoding.eos_token, ids)
        self.bitmask = np.zeros(-(-len(encoding.tokens) // WORD_BITS), np.int32)

    def compile(self, schema):
        return self.compile_regex(self.core.json_schema.build_regex_from_schema(json.dumps(schema)))

    def compile_regex(self, pattern: str):
        return self.core.Index(pattern, self.vocabulary)

    def start(self, index) -> Matcher:
        guide = self.core.Guide(index)

        def advance(token: int) -> bool:
            guide.advance(token, return_tokens=False)  # raises if it's forbidden
            return True

        mask = functools.partial(guide.write_mask_into, self.bitmask.ctypes.data, self.bitmask.size, 4)
        return Matcher(mask, advance, guide.is_finished, self.bitmask)


ENGINES: dict[str, Any] = {
    "ours": Ours,
    "ours-any": OursAnyOrder,
    "llguidance": LLGuidance,
    "llguidance-pointer": LLGuidancePointer,
    "xgrammar": XGrammar,
    "xgrammar-strict": XGrammarStrict,
    "outlines_core": OutlinesCore,
}
