"""The writer: value sets to items and heads, JSON text in declared order.

White space is the layout's. Declared members come in their order, optional ones may be left out; members that aren't
declared come after them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlines.constraints.expression import EPSILON, Expression, concat, counts, spine
from outlines.constraints.items import Alternatives, Item, Literal, Symbol, Symbols, Union, words
from outlines.constraints.json_schema.layout import Depth, Layout
from outlines.constraints.json_schema.numbers import NumberForms, number_symbol
from outlines.constraints.json_schema.reader import Document, exact
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
from outlines.constraints.names import Keys, NameTable
from outlines.constraints.strings import text
from outlines.exceptions import EmptyLanguageError
from outlines.types.json_options import DEFAULTS, JsonOptions

__all__ = ["schema_symbols"]

#: A count of so many characters at the end of a pattern is counted, not multiplied out.
_LONG_RUN = 4

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
    PatternError
        If the white space can't be read.
    """
    document = Document(schema, is_closed, options)
    if not document.is_inhabited(document.start):
        raise EmptyLanguageError("the schema: no value satisfies it; look for bounds or types that exclude each other")
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
        self._values: dict[tuple[Formula, Depth], Value] = {}

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._values.clear()

    def value(self, formula: Formula, depth: Depth = _OUTERMOST) -> Value:
        key = (formula, self.layout.enter(depth, formula == ANYTHING))
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = Value(self, *key)
        return found

    def case_symbols(self, case: Case, depth: Depth) -> Symbols:
        if isinstance(case, WordCase):
            return (Literal(case.text),)
        if isinstance(case, NumberCase):
            return (number_symbol(case, self.forms),)
        if isinstance(case, StringCase):
            return self.string_symbols(case)
        if isinstance(case, ArrayCase):
            return ArrayWriter(self, case, depth).symbols()
        if isinstance(case, ObjectCase):
            return ObjectWriter(self, case, depth).symbols()
        return self.named(case.value, depth)

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
        return (Literal(self.spelling.dump(value)),)

    def is_word(self, value: Any) -> bool:
        """Tell whether a value that the schema names is written in one way."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
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
        for case in writer.document.value_set(self.formula):
            if not writer.document.has_value(case):
                continue
            if self.depth.budget == 0 and isinstance(case, ArrayCase | ObjectCase):
                continue
            if isinstance(case, WordCase):
                scalars[case.text] = None
            elif isinstance(case, NamedCase) and writer.is_word(case.value):
                scalars[writer.spelling.dump(case.value)] = None
            else:
                alternatives.append(writer.case_symbols(case, self.depth))
        if scalars:
            alternatives.append((words(list(scalars)),) if len(scalars) > 1 else (Literal(next(iter(scalars))),))
        return alternatives


class ArrayWriter:
    """Writes the arrays of a case. What follows element i depends on i alone, with the bounds on how many."""

    def __init__(self, writer: Writer, case: ArrayCase, depth: Depth):
        self.writer = writer
        self.depth = depth
        self.below = writer.layout.below(depth)
        self.case = case
        self.low = case.low
        self.high = case.high
        # The first element that has no value is where every array must have ended.
        for i in range(len(case.prefix) + 1):
            if (self.high is None or i < self.high) and not writer.document.is_inhabited(case.element(i)):
                self.high = i
        self._rests: dict[tuple[int, int, int | None], Elements] = {}

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._rests.clear()

    def symbols(self) -> Symbols:
        """Give an array of the case."""
        start = self.rest(0, self.low, self.high)
        return _OPEN_ARRAY, *self.writer.layout.opened(), start

    def rest(self, index: int, low: int, high: int | None) -> Elements:
        """Give what follows `index` elements with `low` to `high` still to come."""
        if index > len(self.case.prefix) + 1:
            index = len(self.case.prefix) + 1  # beyond the prefix all places are alike
        key = (index, low, high)
        found = self._rests.get(key)
        if found is None:
            found = self._rests[key] = Elements(self, *key)
        return found


class Elements(Item):
    """The rest of an array after some elements, with its closing bracket."""

    __slots__ = ("array", "index", "low", "high")

    def __init__(self, array: ArrayWriter, index: int, low: int, high: int | None):
        self.array = array
        self.index = index
        self.low = low
        self.high = high

    def release(self) -> None:
        """Let the array's writer forget this."""
        self.array.release()

    def expand(self) -> Alternatives:
        """Give the end, where enough are there, and one more element, where there's room."""
        array, index = self.array, self.index
        layout, depth = array.writer.layout, array.depth
        alternatives: list[Symbols] = []
        if self.low == 0:
            end = layout.closing_array(depth) if index else layout.empty_array(array.case.high != 0)
            alternatives.append((*end, _CLOSE_ARRAY))
        if self.high is None or self.high > 0:
            value = array.writer.value(array.case.element(index), array.below)
            rest = array.rest(index + 1, max(self.low - 1, 0), None if self.high is None else self.high - 1)
            begin = (*layout.array_comma, _COMMA, *layout.next(depth)) if index else layout.first(depth)
            alternatives.append((*begin, value, rest))
        return alternatives


class ObjectWriter:
    """Writes the objects of a case. What follows a member depends on how far the declared names have come."""

    def __init__(self, writer: Writer, case: ObjectCase, depth: Depth):
        self.writer = writer
        self.depth = depth
        self.below = writer.layout.below(depth)
        self.required = case.required
        document = writer.document
        all_names = case.all_names()
        self.names = [(name, formula) for name, formula in all_names if document.is_inhabited(formula)]
        self.last = len(self.names)  # the place of members that aren't declared
        self.next_required = [self.last] * (self.last + 1)
        for i in range(self.last - 1, -1, -1):
            self.next_required[i] = i if self.names[i][0] in case.required else self.next_required[i + 1]
        self._afters: dict[int, AfterMember] = {}
        self.free: Symbols | None = None
        if document.is_inhabited(case.rest):
            value = writer.value(case.rest, self.below)
            self.free = (*writer.colon, value, *writer.layout.after_member, self.after(self.last))
        self._keys: dict[int, Symbols | None] = {}
        # Names that have no value stay in the tree of names, so that no free name means one of them.
        self._valueless = [name for name, formula in all_names if not document.is_inhabited(formula)]
        self._table: NameTable | None = None

    @property
    def table(self) -> NameTable:
        """The tree of names, made when there's a choice."""
        if self._table is None:
            declared = [*[name for name, _ in self.names], *self._valueless]
            spelling = self.writer.spelling
            names = [spelling.name_text(name) for name in declared]
            self._table = NameTable(names, self.member, spelling.string_rest, spelling.unescape)
        return self._table

    def after(self, place: int) -> AfterMember:
        """Give what follows the member before a place."""
        found = self._afters.get(place)
        if found is None:
            found = self._afters[place] = AfterMember(self, place)
        return found

    def member(self, place: int) -> Symbols:
        """Give what follows the name of a declared member."""
        writer = self.writer
        value = writer.value(self.names[place][1], self.below)
        return (*writer.colon, value, *writer.layout.after_member, self.after(place + 1))

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._afters.clear()
        self._keys.clear()
        self.free = None
        if self._table is not None:
            self._table.release()

    def symbols(self) -> Symbols:
        """Give an object of the case."""
        keys, may_end = self.keys(0), self.may_end(0)
        alternatives: list[Symbols] = []
        if keys is not None:
            alternatives.append((*self.writer.layout.first(self.depth), *keys))
        if may_end:
            alternatives.append((_CLOSE_OBJECT,))
        return _OPEN_OBJECT, *self.writer.layout.opened(), Union(*alternatives)

    def may_end(self, place: int) -> bool:
        """Tell whether no declared name from a place on is required."""
        return self.next_required[place] == self.last

    def keys(self, place: int) -> Symbols | None:
        """Give the next member, from its name on; None if no member can follow."""
        if place not in self._keys:
            self._keys[place] = self._find_keys(place)
        return self._keys[place]

    def _find_keys(self, place: int) -> Symbols | None:
        free = self.free if self.may_end(place) else None
        last = min(self.next_required[place], self.last - 1)
        if free is None:
            if place > last:
                return None
            if place == last:  # no choice
                return Literal(self.writer.spelling.dump(self.names[place][0])), *self.member(place)
        elif self.table.root is None:
            return _QUOTE, self.writer.spelling.string_rest, *free
        assert self.table.root is not None
        return _QUOTE, Keys(self.table.root, place, last, free)


class AfterMember(Item):
    """What follows a member's value: another member, or the closing brace."""

    __slots__ = ("object", "place")

    def __init__(self, owner: ObjectWriter, place: int):
        self.object = owner
        self.place = place

    def release(self) -> None:
        """Let the object's writer forget this."""
        self.object.release()

    def expand(self) -> Alternatives:
        """Give another member, where one may follow, and the end, where none has to."""
        owner = self.object
        keys = owner.keys(self.place)
        layout = owner.writer.layout
        alternatives: list[Symbols] = []
        if keys is not None:
            alternatives.append((_COMMA, *layout.next(owner.depth), *keys))
        if owner.may_end(self.place):
            alternatives.append((*layout.closing_object(owner.depth), _CLOSE_OBJECT))
        return alternatives
