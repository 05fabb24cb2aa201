"""Our own engine as a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from outlines.backends.base import BaseBackend
from outlines.types.dsl import CFG, JsonSchema, Regex, Term

if TYPE_CHECKING:
    from outlines.processors import OutlinesLogitsProcessor

__all__ = ["OutlinesBackend"]


class OutlinesBackend(BaseBackend):
    """The engine that is the default: any term, exactly, and a term for each prompt of a batch.

    Parameters
    ----------
    model
        A steerable model. The bytes of its tokens are read once, by the model.
    """

    def __init__(self, model: Any):
        self._model = model
        self.tensor_library_name = model.tensor_library_name

    def get_term_logits_processor(self, term: Term | Sequence[Term | None]) -> OutlinesLogitsProcessor:
        """Make a processor for a term, or for a list with one (or None) for each prompt of a batch."""
        if isinstance(term, Term):
            return self._model.constraint_processor(self._constraint(term))
        # One compilation for all prompts that name the same term.
        constraints = {id(each): self._constraint(each) for each in term if each is not None}
        return self._model.constraint_processor([constraints.get(id(each)) for each in term])

    def _constraint(self, term: Term) -> Any:
        # The engine is imported when there is something to compile: `import outlines` stays light.
        from outlines.engine import Constraint

        return Constraint(term, self._model.vocabulary)

    @override
    def get_json_schema_logits_processor(
        self, json_schema: str, whitespace_pattern: str | None = None
    ) -> OutlinesLogitsProcessor:
        return self.get_term_logits_processor(JsonSchema(json_schema, whitespace_pattern))

    @override
    def get_regex_logits_processor(self, regex: str) -> OutlinesLogitsProcessor:
        return self.get_term_logits_processor(Regex(regex))

    @override
    def get_cfg_logits_processor(self, grammar: str) -> OutlinesLogitsProcessor:
        return self.get_term_logits_processor(CFG(grammar))
