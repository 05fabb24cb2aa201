"""What a formula is a conjunction of: places in a schema document, and what is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from outlines.constraints.json_schema.objects import Formula
from outlines.constraints.json_schema.references import Scope

__all__ = ["Atom", "Constant", "Either", "Negation", "Spot"]


@dataclass(slots=True, eq=False)
class Spot:
    """A place in a document: its schema, a pointer to it, and what its references are relative to.

    `annotates` tells whether its cases say what they have looked at, as unevaluated* asks above it.
    """

    schema: Any
    pointer: str
    scope: Scope
    annotates: bool


@dataclass(slots=True, frozen=True)
class Constant:
    """One value that the schema names."""

    value: Any


@dataclass(slots=True, frozen=True)
class Negation:
    """The values that aren't in a formula."""

    formula: Formula


@dataclass(slots=True, frozen=True)
class Either:
    """The values of some formulas."""

    formulas: tuple[Formula, ...]


#: What a formula is a conjunction of, by number: places, and what is made from them.
Atom: TypeAlias = "Spot | Constant | Negation | Either"
