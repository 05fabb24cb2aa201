"""The writer: value sets to items and heads. Arrays and objects have files of their own."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from outlines.constraints.expression import EPSILON, Expression, concat, counts, spine
from outlines.constraints.items import Alternatives, Item, Literal, Symbol, Symbols, words
from outlines.constraints.json_schema.array_writer import ArrayWriter, StatefulArrayWriter
from outlines.constraints.json_schema.layout import Depth, Layout
from outlines.constraints.json_schema.membership import exact
from outlines.constraints.json_schema.numbers import NumberForms, number_symbol
from outlines.constraints.json_schema.object_writer import ObjectWriter, StatefulObjectWriter
from outlines.constraints.json_schema.reachable import check_reachable
from outlines.constraints.json_schema.reader import Document
from outlines.constraints.json_schema.text import QUOTE, Spelling, spelling
from outlines.constraints.json_schema.value_sets import (
    ANYTHING,
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
from outlines.constraints.strings import text
from outlines.exceptions import EmptyLanguageError
from outlines.types.json_options import DEFAULTS, JsonOptions

__all__ = ["schema_symbols"]

#: A count of so many characters at the end of a pattern is counted, not multiplied out.
_LONG_RUN = 4

#: How far from 0 an exponent may be in an array whose elements must differ.
MAX_COMPARED_EXPONENT = 400

_OUTERMOST = Depth()

_QUOTE = Literal(b'"')
_COLON = Literal(b":")
_COMMA = Literal(b",")
_OPEN_OBJECT = Literal(b"{")
_CLOSE_OBJECT = Literal(b"}")
_OPEN_ARRAY = Literal(b"[")
_CLOSE_ARRAY = Literal(b"]")


def schema_symbols(schema: Any, options: JsonOptions = DEFAULTS, is_closed: bool = False) -> Symbols:
    """Give the symbols whose text is a JSON value that a schema allows.

    Parameters
    ----------
    schema
        The parsed schema, a dict or bool. It's kept, and must not be changed.
    options
        How the text is written.
    is_closed
        Whether objects have only the members that `properties` declares, where the schema says nothing of others.

    Raises
    ------
    SchemaError, UnsupportedKeywordError
        If the schema is wrong at a place, or needs what isn't enforced yet.
    EmptyLanguageError
        If no value satisfies it.
    LimitError
        If it would take too long.
    PatternError
        If the white space can't be read.
    """
    document = Document(schema, is_closed, options)
    if not document.is_inhabited(document.start):
        raise EmptyLanguageError("the schema: no value satisfies it; look for bounds or types that exclude each other")
    if document.may_multiply:
        check_reachable(document)
    layout = Layout(options)
    writer = Writer(document, layout, spelling(options.ascii_only), NumberForms.of(options))
    return (*layout.around, writer.value(document.start), *layout.around)


class Writer:
    """Makes the items of a document's formulas; the same formula is the same item."""

    def __init__(self, document: Document, layout: Layout, spelling: Spelling, forms: NumberForms):
        self.document = document
        self.layout = layout
        self.spelling = spelling
        self.forms = forms
        self.is_any_order = document.options.property_order == "any"
        self._is_released = False
        self._values: dict[tuple[Formula, Depth], Value] = {}
        self._comparing: Writer | None = None

    @property
    def comparing(self) -> Writer:
        """What writes values that are compared with others: numbers of so large an exponent would take too long."""
        most = self.forms.max_exponent
        if most is not None and most <= MAX_COMPARED_EXPONENT:
            return self
        if self._comparing is None:
            forms = self.forms._replace(max_exponent=MAX_COMPARED_EXPONENT)
            self._comparing = Writer(self.document, self.layout, self.spelling, forms)
            self._comparing._is_released = True  # the document is this one's to release
        return self._comparing

    def release(self) -> None:
        """Forget the items, as `Item.release`, and what is known of the document."""
        self._values.clear()
        if self._comparing is not None:
            self._comparing.release()
        if not self._is_released:
            self._is_released = True
            self.document.release()

    def value(self, formula: Formula, depth: Depth = _OUTERMOST) -> Value:
        key = (formula, self.layout.enter(depth, lambda: self._says_nothing(formula)))
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = Value(self, *key)
        return found

    def _says_nothing(self, formula: Formula) -> bool:
        """Tell whether a formula is any JSON value, be it by a title alone."""
        return formula == ANYTHING or self.document.value_set(formula) == self.document.value_set(ANYTHING)

    def case_symbols(self, case: Case, depth: Depth) -> Symbols:
        if isinstance(case, WordCase):
            return (Literal(case.text),)
        if isinstance(case, NumberCase):
            return (number_symbol(case, self.forms),)
        if isinstance(case, StringCase):
            return self.string_symbols(case)
        if isinstance(case, ArrayCase):
            if case.is_plain:
                return ArrayWriter(self, case, depth).symbols()
            return StatefulArrayWriter(self, self.document.array_states(case), depth).symbols()
        if isinstance(case, ObjectCase):
            if case.is_plain and case.has_order and not self.is_any_order:
                return ObjectWriter(self, case, depth).symbols()
            return StatefulObjectWriter(self, self.document.object_states(case), depth, self.is_any_order).symbols()
        return self.named(case.value, depth)

    def as_written(self, case: Case) -> Case:
        """Give a named object as a case of its kind where its members may come in any order, arrays of them too."""
        if self.is_any_order and isinstance(case, NamedCase) and isinstance(case.value, list | dict):
            return self.document.algebra.spelt_out(case)
        return case

    def string_symbols(self, case: StringCase) -> Symbols:
        if case.low == 0 and case.high is None:
            return _QUOTE, *self._split_count(case.pattern)
        case = replace(case, pattern=self.spelling.written(case.pattern))
        return _QUOTE, text(text_state(case.pattern), case.low, case.high, case.bounds())

    def _split_count(self, pattern: Expression) -> Symbols:
        """Part a counted run of one character before the closing quote from what comes first, to count it as a length.

        Left within the pattern, each count would be a state whose row takes a walk of the vocabulary.
        """
        *first, run, _ = [EPSILON, *spine(pattern)]
        repeated = counts(run)
        if repeated is None or (repeated[2] or repeated[1]) < _LONG_RUN or not is_character(repeated[0]):
            return (self.spelling.written(pattern),)
        counted = self.string_symbols(string_case(concat(run, QUOTE)))
        return (self.spelling.written(concat(*first)), *counted[1:])

    def named(self, value: Any, depth: Depth) -> Symbols:
        """Write a value that the schema names; scalars in one way."""
        layout, below = self.layout, self.layout.below(depth)
        if isinstance(value, list):
            parts: list[Symbol] = [_OPEN_ARRAY, *layout.opened()]
            for i, part in enumerate(value):
                parts += [*layout.array_comma, _COMMA, *layout.next(depth)] if i else layout.first(depth)
                parts += self.named(part, below)
            return (*parts, *(layout.closing_array(depth) if value else ()), _CLOSE_ARRAY)
        if isinstance(value, dict):
            parts = [_OPEN_OBJECT, *layout.opened()]
            for i, (name, part) in enumerate(value.items()):
                parts += [_COMMA, *layout.next(depth)] if i else layout.first(depth)
                parts += [Literal(self.spelling.dump(name)), *self.colon, *self.named(part, below)]
                parts += layout.after_member
            return (*parts, *(layout.closing_object(depth) if value else ()), _CLOSE_OBJECT)
        if not self.is_word(value):
            number = exact(value)
            return (number_symbol(NumberCase(low=number, high=number), self.forms),)
        return _one_of(self.texts(value))

    def texts(self, value: Any) -> list[bytes]:
        """Give the texts of a named scalar: one, but for a float such as 2.0, which may be written 2 as well."""
        text = self.spelling.dump(value)
        if isinstance(value, float) and value.is_integer() and text.endswith(b".0"):
            return [text, text[:-2]]
        return [text]

    def is_word(self, value: Any) -> bool:
        """Tell whether a value that the schema names is written in a few ways, as a word is."""
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        return not isinstance(value, list | dict) and not (is_number and self.forms.all_forms)

    @property
    def colon(self) -> Symbols:
        """The colon of a member with its white space."""
        return (*self.layout.before_colon, _COLON, *self.layout.after_colon)


class Value(Item):
    """Any value of a formula."""

    __slots__ = ("writer", "formula", "depth")

    def __init__(self, writer: Writer, formula: Formula, depth: Depth):
        self.writer = writer
        self.formula = formula
        self.depth = depth

    def release(self) -> None:
        """Let the writer forget this."""
        self.writer.release()

    def expand(self) -> Alternatives:
        """Give a way for each case, all words and named scalars as one."""
        writer = self.writer
        scalars: dict[bytes, None] = {}  # all words and named scalars are one head
        alternatives: list[Symbols] = []
        for case in map(writer.as_written, writer.document.value_set(self.formula)):
            if not writer.document.has_value(case):
                continue
            if self.depth.budget == 0 and isinstance(case, ArrayCase | ObjectCase):
                continue
            if isinstance(case, WordCase):
                scalars[case.text] = None
            elif isinstance(case, NamedCase) and writer.is_word(case.value):
                scalars.update(dict.fromkeys(writer.texts(case.value)))
            else:
                alternatives.append(writer.case_symbols(case, self.depth))
        if scalars:
            alternatives.append(_one_of(list(scalars)))
        return alternatives


def _one_of(texts: list[bytes]) -> Symbols:
    return (words(texts),) if len(texts) > 1 else (Literal(texts[0]),)
