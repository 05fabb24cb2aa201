"""The writer: value sets to items and heads, JSON text in declared order.

White space, `WS` below, is what the whitespace pattern matches, by default at most one space:

    { WS "name" WS : WS value (WS , WS "name" WS : WS value)* WS }        [ WS value (, WS value)* WS ]

Declared members come in their order, optional ones may be left out; members that aren't declared come after them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from outlines.constraints.expression import EPSILON, Expression, concat, counts, spine
from outlines.constraints.items import Alternatives, Item, Literal, Symbol, Symbols, words
from outlines.constraints.json_schema.array_writer import ArrayWriter, StatefulArrayWriter
from outlines.constraints.json_schema.object_writer import ObjectWriter, StatefulObjectWriter
from outlines.constraints.json_schema.reader import Document
from outlines.constraints.json_schema.text import QUOTE, dump
from outlines.constraints.json_schema.value_sets import (
    ArrayCase,
    Case,
    Formula,
    NamedCase,
    NumberCase,
    ObjectCase,
    StringCase,
    WordCase,
    is_character,
    string_case,
    text_state,
)
from outlines.constraints.regex import read
from outlines.constraints.strings import text
from outlines.exceptions import ConstraintError, EmptyLanguageError, shorten

__all__ = ["schema_symbols"]

DEFAULT_WHITESPACE = "[ ]?"

#: A count of so many characters at the end of a pattern is counted, not multiplied out.
_LONG_RUN = 4

_QUOTE = Literal(b'"')
_COLON = Literal(b":")
_COMMA = Literal(b",")
_OPEN_OBJECT = Literal(b"{")
_CLOSE_OBJECT = Literal(b"}")
_OPEN_ARRAY = Literal(b"[")
_CLOSE_ARRAY = Literal(b"]")


def schema_symbols(
    schema: Any,
    whitespace_pattern: str | None = None,
    is_closed: bool = False,
    *,
    property_order: str = "declared",
    registry: Any = None,
) -> Symbols:
    """Give the symbols whose text is a JSON value that a schema allows.

    Parameters
    ----------
    schema
        The parsed schema, a dict or bool. It's kept, and must not be changed.
    whitespace_pattern
        Python pattern of the white space between the parts of the text; None is at most one space.
    is_closed
        Whether objects have only the members that `properties` declares, where the schema says nothing of others.
    property_order
        "declared": members come in the order of `properties`, others after them. "any": in any order.
    registry
        A `referencing.Registry` of the documents that references may lead to; nothing is fetched.

    Raises
    ------
    SchemaError, UnsupportedKeywordError
        If the schema is wrong at a place, or needs what isn't enforced yet.
    EmptyLanguageError
        If no value satisfies it.
    PatternError
        If the white space can't be read.
    """
    if property_order not in ("declared", "any"):
        raise ConstraintError(f'property_order: expected "declared" or "any", got {shorten(property_order)}')
    document = Document(schema, is_closed, registry)
    if not document.is_inhabited(document.start):
        raise EmptyLanguageError("the schema: no value satisfies it; look for bounds or types that exclude each other")
    space = _whitespace(DEFAULT_WHITESPACE if whitespace_pattern is None else whitespace_pattern)
    return (Writer(document, space, property_order == "any").value(document.start),)


@lru_cache(maxsize=64)
def _whitespace(pattern: str) -> Expression:
    return read(pattern)


class Writer:
    """Makes the items of a document's formulas; the same formula is the same item."""

    def __init__(self, document: Document, space: Expression, is_any_order: bool = False):
        self.document = document
        self.is_any_order = is_any_order
        self.space = space
        self._values: dict[Formula, Value] = {}

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._values.clear()

    def value(self, formula: Formula) -> Value:
        found = self._values.get(formula)
        if found is None:
            found = self._values[formula] = Value(self, formula)
        return found

    def case_symbols(self, case: Case) -> Symbols:
        if isinstance(case, WordCase):
            return (Literal(case.text),)
        if isinstance(case, NumberCase):
            return (case.expression(),)
        if isinstance(case, StringCase):
            return self.string_symbols(case)
        if isinstance(case, ArrayCase):
            if case.is_plain:
                return ArrayWriter(self, case).symbols()
            return StatefulArrayWriter(self, self.document.array_states(case)).symbols()
        if isinstance(case, ObjectCase):
            if case.is_plain and not self.is_any_order:
                return ObjectWriter(self, case).symbols()
            return StatefulObjectWriter(self, self.document.object_states(case), self.is_any_order).symbols()
        return self.named(case.value)

    def string_symbols(self, case: StringCase) -> Symbols:
        if case.low == 0 and case.high is None:
            return _QUOTE, *self._split_count(case.pattern)
        return _QUOTE, text(text_state(case.pattern), case.low, case.high, case.bounds())

    def _split_count(self, pattern: Expression) -> Symbols:
        """Part a counted run of one character before the closing quote from what comes first, to count it as a length.

        Left within the pattern, each count would be a state whose row takes a walk of the vocabulary.
        """
        *first, run, _ = [EPSILON, *spine(pattern)]
        repeated = counts(run)
        if repeated is None or (repeated[2] or repeated[1]) < _LONG_RUN or not is_character(repeated[0]):
            return (pattern,)
        counted = self.string_symbols(string_case(concat(run, QUOTE)))
        return (concat(*first), *counted[1:])

    def named(self, value: Any) -> Symbols:
        """Write a value that the schema names; scalars in one way."""
        space = self.space
        if isinstance(value, list):
            parts: list[Symbol] = [_OPEN_ARRAY, space]
            for i, part in enumerate(value):
                parts += [_COMMA, space] if i else []
                parts += self.named(part)
            return (*parts, *([space] if value else []), _CLOSE_ARRAY)
        if isinstance(value, dict):
            parts = [_OPEN_OBJECT, space]
            for i, (name, part) in enumerate(value.items()):
                parts += [space, _COMMA, space] if i else []
                parts += [Literal(dump(name)), space, _COLON, space, *self.named(part)]
            return (*parts, *([space] if value else []), _CLOSE_OBJECT)
        return (Literal(dump(value)),)


class Value(Item):
    """Any value of a formula."""

    __slots__ = ("writer", "formula")

    def __init__(self, writer: Writer, formula: Formula):
        self.writer = writer
        self.formula = formula

    def release(self) -> None:
        """Let the writer forget this."""
        self.writer.release()

    def expand(self) -> Alternatives:
        """Give a way for each case, all words and named scalars as one."""
        writer = self.writer
        scalars: dict[bytes, None] = {}  # all words and named scalars are one head
        alternatives: list[Symbols] = []
        for case in writer.document.value_set(self.formula):
            if not writer.document.has_value(case):
                continue
            if isinstance(case, WordCase):
                scalars[case.text] = None
            elif isinstance(case, NamedCase) and not isinstance(case.value, list | dict):
                scalars[dump(case.value)] = None
            else:
                alternatives.append(writer.case_symbols(case))
        if scalars:
            alternatives.append((words(list(scalars)),) if len(scalars) > 1 else (Literal(next(iter(scalars))),))
        return alternatives
