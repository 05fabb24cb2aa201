"""The cases of a schema: its own keywords, its references and its combinators, which all speak of the same value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from outlines.constraints.json_schema.assertions import keyword_cases, leave_evaluated, with_unevaluated
from outlines.constraints.json_schema.atoms import Spot
from outlines.constraints.json_schema.keywords import escape_pointer
from outlines.constraints.json_schema.objects import ObjectCase
from outlines.constraints.json_schema.value_sets import Case

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["InPlace"]


class InPlace:
    """Joins what a schema says of a value: its own keywords, its references and its combinators."""

    def __init__(self, document: Document, number: int, spot: Spot, chain: tuple[int, ...]):
        schema = spot.schema
        self.is_asking = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
        self.outer = spot
        if self.is_asking and not spot.annotates:
            spot = Spot(schema, spot.pointer, spot.scope, True)
        self.document = document
        self.algebra = document.algebra
        self.number = number
        self.spot = spot
        self.chain = chain

    def pointer(self) -> str:
        """Give the place for a message."""
        return self.spot.pointer

    def within(self, schema: Any, keywords: str) -> tuple[Case, ...]:
        """Give the cases of a schema in a combinator."""
        return self.document.cases_in_place(schema, keywords, self.spot, self.chain)

    def plain(self, schema: Any, keywords: str) -> tuple[Case, ...]:
        """Give the cases of a schema whose complement is taken: then nobody asks what it has looked at."""
        spot = Spot(self.spot.schema, self.spot.pointer, self.spot.scope, False)
        return self.document.cases_in_place(schema, keywords, spot, self.chain)

    def cases(self) -> list[Case]:
        """Give the cases of the schema."""
        schema, spot = self.spot.schema, self.spot
        sets: list[Iterable[Case]] = [keyword_cases(self.document, spot)]
        sets += self.document.target_cases(self.number, spot, self.chain)
        if not _COMBINATORS.isdisjoint(schema):
            sets += self._combinators(schema)
        met = list(self.algebra.meet_all(sets, self.pointer)) if len(sets) > 1 else list(sets[0])
        if self.is_asking:
            met = with_unevaluated(self.document, spot, met)
            if not self.outer.annotates:
                met = leave_evaluated(met)
        return met

    def _combinators(self, schema: dict[str, Any]) -> list[Iterable[Case]]:
        sets: list[Iterable[Case]] = []
        for i, branch in enumerate(schema.get("allOf", ())):
            sets.append(self.within(branch, f"allOf/{i}"))
        if "anyOf" in schema:
            branches = [self.within(branch, f"anyOf/{i}") for i, branch in enumerate(schema["anyOf"])]
            if self.spot.annotates:
                sets.append(self.algebra.some(branches, self.pointer))
            else:
                sets.append([case for branch in branches for case in branch])
        if "oneOf" in schema:
            branches = [self.within(branch, f"oneOf/{i}") for i, branch in enumerate(schema["oneOf"])]
            sets.append(self.algebra.exactly_one(branches, self.pointer))
        if "not" in schema:
            sets.append(self.algebra.complement(self.plain(schema["not"], "not"), self.pointer))
        if "if" in schema:
            sets += self._conditional(schema)
        for name, names in schema.get("dependentRequired", {}).items():
            sets.append(self._dependent(name, [ObjectCase(required=frozenset(names))]))
        for keyword in ("dependentSchemas", "dependencies"):
            for name, then in schema.get(keyword, {}).items():
                if isinstance(then, list | str):
                    names = (then,) if isinstance(then, str) else then
                    sets.append(self._dependent(name, [ObjectCase(required=frozenset(names))]))
                else:
                    sets.append(self._dependent_schema(name, then, f"{keyword}/{escape_pointer(name)}"))
        return sets

    def _conditional(self, schema: dict[str, Any]) -> list[Iterable[Case]]:
        algebra = self.algebra
        condition = self.plain(schema["if"], "if")
        then, otherwise = schema.get("then", True), schema.get("else", True)
        if self.spot.annotates:
            yes = algebra.meet_all([self.within(schema["if"], "if"), self.within(then, "then")], self.pointer)
            no = algebra.meet_all([algebra.complement(condition, self.pointer), self.within(otherwise, "else")],
                                  self.pointer)  # fmt: skip
            return [[*yes, *no]]
        sets: list[Iterable[Case]] = []
        if then is not True:
            cases = self.plain(then, "then")
            broken = [part for case in condition for part in algebra.subtract(case, cases)]
            sets.append(algebra.complement(broken, self.pointer))
        if otherwise is not True:
            sets.append(algebra.complement([*condition, *self.plain(otherwise, "else")], self.pointer))
            # what is in neither is broken
            sets[-1] = algebra.complement(list(sets[-1]), self.pointer)
        return sets

    def _dependent(self, name: str, then: Sequence[Case]) -> list[Case]:
        """Give what is no object, lacks a member, or is in the cases that the member asks for."""
        has = ObjectCase(required=frozenset((name,)))
        return self.algebra.complement(self.algebra.subtract(has, then), self.pointer)

    def _dependent_schema(self, name: str, then: Any, keywords: str) -> list[Case]:
        """Give the same for a schema, which may have looked at parts where it's asked for."""
        if not self.spot.annotates:
            return self._dependent(name, self.plain(then, keywords))
        has = ObjectCase(required=frozenset((name,)))
        without = self.algebra.complement([has], self.pointer)
        return [*without, *self.algebra.meet_all([[has], self.within(then, keywords)], self.pointer)]


_COMBINATORS = frozenset("allOf anyOf oneOf not if dependentRequired dependentSchemas dependencies".split())
