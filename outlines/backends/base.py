"""What an engine offers: logits processors for schemas, patterns and grammars."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["BaseBackend", "LogitsProcessorType"]

LogitsProcessorType = Any  # each engine has a class of its own


class BaseBackend(ABC):
    """An engine, bound to one model and its vocabulary.

    A backend may also have `get_term_logits_processor(term)`. Where it has, it gets every output type as a term, and
    nothing is lost on the way through a pattern or the text of a schema.
    """

    @abstractmethod
    def get_json_schema_logits_processor(
        self, json_schema: str, whitespace_pattern: str | None = None
    ) -> LogitsProcessorType:
        """Make a processor for the text of a JSON Schema, and a pattern for the white space in its values."""

    @abstractmethod
    def get_regex_logits_processor(self, regex: str) -> LogitsProcessorType:
        """Make a processor for a regular expression."""

    @abstractmethod
    def get_cfg_logits_processor(self, grammar: str) -> LogitsProcessorType:
        """Make a processor for the text of a grammar."""
