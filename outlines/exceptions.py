"""The errors that outlines raises, each with the place in the user's own input.

    OutlinesError
    └── ConstraintError (ValueError)        a constraint that can't be built
        ├── SchemaError                     .pointer: JSON pointer into the schema
        │   └── UnsupportedKeywordError     a keyword that isn't enforced yet
        ├── PatternError                    .pattern, .position: character in the pattern, from 0
        ├── GrammarError                    .line, .column in the grammar, from 1; None where not known
        ├── EmptyLanguageError              no text satisfies the constraint, or no tokens spell one
        └── LimitError                      .limit: name of the limit that was hit
"""

from __future__ import annotations

__all__ = [
    "ConstraintError",
    "EmptyLanguageError",
    "GrammarError",
    "LimitError",
    "OutlinesError",
    "PatternError",
    "SchemaError",
    "UnsupportedKeywordError",
    "shorten",
]


def shorten(value: object, width: int = 80) -> str:
    """Give `repr(value)`, cut at `width` characters, for use in a message."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes out
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= width else text[: width - 1] + "…"


class OutlinesError(Exception):
    """Base of every error that outlines defines."""


class ConstraintError(OutlinesError, ValueError):
    """A constraint can't be built from what the user gave."""


class SchemaError(ConstraintError):
    """A JSON Schema is wrong at a place.

    Parameters
    ----------
    pointer
        JSON pointer (RFC 6901) to the place in the schema; "" is the whole schema.
    problem
        What is wrong there, and what to do.
    """

    def __init__(self, pointer: str, problem: str):
        super().__init__(f"{pointer or 'the schema'}: {problem}")
        self.pointer = pointer


class UnsupportedKeywordError(SchemaError):
    """A keyword of JSON Schema that the engine doesn't enforce yet, so it refuses it."""


class PatternError(ConstraintError):
    """A regular expression can't be read, or isn't regular, at a position.

    Parameters
    ----------
    pattern
        The pattern as the user wrote it.
    position
        Character in the pattern, from 0, as the standard library's `re` counts.
    problem
        What is wrong there, and what to do.
    """

    def __init__(self, pattern: str, position: int, problem: str):
        super().__init__(f"position {position} of {shorten(pattern)}: {problem}")
        self.pattern = pattern
        self.position = position


class GrammarError(ConstraintError):
    """A grammar is wrong at a place.

    Parameters
    ----------
    problem
        What is wrong there, and what to do.
    line, column
        Place in the grammar, both from 1; None where it isn't known.
    """

    def __init__(self, problem: str, line: int | None = None, column: int | None = None):
        place = "" if line is None else f"line {line}: " if column is None else f"line {line}, column {column}: "
        super().__init__(place + problem)
        self.line = line
        self.column = column


class EmptyLanguageError(ConstraintError):
    """No text satisfies the constraint, or none that the vocabulary can spell."""


class LimitError(ConstraintError):
    """A named limit was hit before the constraint was built.

    Parameters
    ----------
    limit
        Name of the limit, as the parameter or constant that raises it.
    problem
        What was needed, what the limit is, and how to raise it.
    """

    def __init__(self, limit: str, problem: str):
        super().__init__(f"{problem} (limit: {limit})")
        self.limit = limit
