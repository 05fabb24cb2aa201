"""How the JSON text of a schema's values is written: the options of `JsonSchema`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from outlines.exceptions import shorten

__all__ = ["DEFAULTS", "JsonOptions"]

_CHOICES = {
    "property_order": ("declared", "any"),
    "number_forms": ("plain", "all"),
    "formats": ("assert", "annotate"),
    "unknown_formats": ("warn", "error"),
}

#: Options that are counts, and the least that each may be.
_COUNTS = {"indent": 0, "max_depth": 0, "max_digits": 1, "max_exponent": 0}


@dataclass(frozen=True, slots=True)
class JsonOptions:
    """Options of the JSON text; `JsonSchema` takes them by these names.

    Parameters
    ----------
    whitespace_pattern
        Python pattern of the white space between the parts of the text, or "compact" (none), "any" (what JSON
        allows, in runs of at most 20), "upstream" (the same as None: at most one space, where Outlines puts it).
    indent
        Write exactly the white space of `json.dumps(value, indent=indent)`; not together with `whitespace_pattern`.
    property_order
        "declared": members in the order of the schema, others after them; "any": in any order.
    number_forms
        "plain": an integer has no fraction and no exponent; "all": whatever JSON Schema takes for one (1.0, 1e3),
        and numbers with any exponent, whatever their bounds.
    ascii_only
        Write characters that aren't ASCII as escapes.
    max_depth
        How many arrays and objects may be nested within the text; None is no limit.
    max_digits
        How many digits a number may have, its exponent's apart; None is no limit.
    max_exponent
        How far from 0 an exponent may be; None is no limit.
    formats
        "assert": a string that isn't of its `format` is never written; "annotate": `format` is ignored, as a
        validator does that isn't told otherwise.
    unknown_formats
        What a `format` that isn't known gives: "warn" is a UserWarning, "error" a SchemaError.
    registry
        A `referencing.Registry` for references to other documents; nothing is ever fetched.

    Raises
    ------
    ValueError, TypeError
        If an option has a value that it can't have; the message names it.
    """

    whitespace_pattern: str | None = None
    indent: int | None = None
    property_order: str = "declared"
    number_forms: str = "plain"
    ascii_only: bool = False
    max_depth: int | None = None
    max_digits: int | None = None
    max_exponent: int | None = None
    formats: str = "assert"
    unknown_formats: str = "warn"
    registry: Any = None

    def __post_init__(self) -> None:
        """Check each option, and those that exclude each other."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}: expected {' or '.join(map(repr, choices))}, got {shorten(value)}")
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}: expected an int or None, got {shorten(value)}")
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {shorten(value)}")
        if self.whitespace_pattern is not None:
            if not isinstance(self.whitespace_pattern, str):
                raise TypeError(f"whitespace_pattern: expected a str or None, got {shorten(self.whitespace_pattern)}")
            if self.indent is not None:
                raise ValueError("indent, whitespace_pattern: both say what the white space is; give one of them")
        if not isinstance(self.ascii_only, bool):
            raise TypeError(f"ascii_only: expected a bool, got {shorten(self.ascii_only)}")
        if self.registry is not None:
            from referencing import Registry

            if not isinstance(self.registry, Registry):
                raise TypeError(f"registry: expected a referencing.Registry, got {shorten(self.registry)}")

    def beyond_white_space(self) -> list[str]:
        """Write the options that aren't as usual, that of the white space apart: `max_depth=3`."""
        return [
            f"{option.name}={shorten(getattr(self, option.name))}"
            for option in fields(self)
            if option.name != "whitespace_pattern" and getattr(self, option.name) != option.default
        ]


DEFAULTS = JsonOptions()
