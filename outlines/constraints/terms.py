"""Terms to items: what a user may ask for, as the symbols that the automaton runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from outlines.constraints import characters
from outlines.constraints.cfg import grammar_symbols, special_names
from outlines.constraints.characters import ALL, Characters, utf8
from outlines.constraints.expression import (
    ANY_BYTE,
    EMPTY,
    EVERYTHING,
    Expression,
    complement,
    concat,
    intersection,
    is_empty,
    literal,
    star,
    union,
)
from outlines.constraints.items import Repeated, Symbols, Union
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.regex import EDGE, Neighbour, blind_alley, read_tree, tree_of
from outlines.constraints.regex.tree import Alternatives as TreeAlternatives
from outlines.constraints.regex.tree import Node, Text, repetition, sequence
from outlines.exceptions import ConstraintError, EmptyLanguageError, shorten
from outlines.types.dsl import (
    CFG,
    Alternatives,
    Choice,
    JsonSchema,
    KleenePlus,
    KleeneStar,
    Optional,
    QuantifyBetween,
    QuantifyExact,
    QuantifyMaximum,
    QuantifyMinimum,
    Regex,
    Sequence,
    String,
    Term,
    Until,
    Without,
    python_types_to_terms,
    to_regex,
)

__all__ = ["special_tokens", "term_symbols"]


#: What a JSON value begins and ends with, whatever its type: patterns beside one may look at it.
_JSON_FIRST = characters.normalise([(ord(char), ord(char)) for char in '"-0123456789[{ftn'])
_JSON_LAST = characters.normalise([(ord(char), ord(char)) for char in '"0123456789]}el'])
_UNKNOWN = Neighbour(is_edge=False, may_be_empty=True)


def term_symbols(term: Term) -> Symbols:
    """Give the symbols whose text is in a term's language.

    Raises
    ------
    ConstraintError
        If the term, or one within it, can't be built or has no text; subclasses name the place.
    """
    return _symbols(term, EDGE, EDGE)


def special_tokens(term: Term) -> set[str]:
    """Give the names of the special tokens that a term's grammars ask for."""
    found: set[str] = set()
    stack: list[Any] = [term]
    while stack:
        part = stack.pop()
        if isinstance(part, CFG):
            found |= special_names(part.definition, part.syntax)
        elif isinstance(part, list | tuple):
            stack.extend(part)
        elif isinstance(part, Term):
            stack.extend(vars(part).values())
    return found


def _symbols(term: Term, before: Neighbour, after: Neighbour) -> Symbols:
    """Give the symbols of a term between two neighbours, of which its patterns may ask."""
    tree = _tree(term)
    if tree is not None:
        expression = _read(term, tree, before, after)
        if expression.nullable and not any(target is not EMPTY for target in expression.transitions()[1]):
            return ()
        return (expression,)
    if isinstance(term, Until | Without):
        return (_free_text(term),)
    if isinstance(term, JsonSchema):
        return schema_symbols(json.loads(term.schema), term.options, term.is_closed)
    if isinstance(term, Sequence):
        return _sequence_symbols(term, before, after)
    if isinstance(term, Alternatives):
        return _alternatives(term, term.terms, before, after)
    if isinstance(term, Choice):
        return _alternatives(term, term.items, before, after)
    counts = _counts(term)
    if counts is not None:
        once = counts[1] == 1  # else a copy may stand beside another one
        try:
            body = _symbols(_as_term(term.term), *((before, after) if once else (_UNKNOWN, _UNKNOWN)))  # type: ignore
        except EmptyLanguageError:
            if counts[0]:
                raise
            return ()  # none of what has no text
        return (Repeated(body, *counts),)
    if isinstance(term, CFG):
        return grammar_symbols(term.definition, start=term.start, lexer=term.lexer, syntax=term.syntax)
    raise TypeError(f"cannot build a constraint from {term!r}")


def _read(term: Term, tree: Node, before: Neighbour, after: Neighbour) -> Expression:
    """Give the expression of a term that is regular."""
    pattern = term.pattern if isinstance(term, Regex) else to_regex(term)
    expression = read_tree(tree, pattern, before, after)
    if expression is None:
        around = next((p for p in _patterns(term) if not tree_of(p).is_plain), pattern)
        raise ConstraintError(
            f"the pattern {shorten(around)} looks past its own edge at a part that isn't regular, such as a "
            "JSON value, and the texts of that part differ in what it asks for. Take it out, or ask for what all "
            "of them begin or end with"
        )
    if is_empty(expression):
        raise EmptyLanguageError(_why_empty(term))
    return expression


def _why_empty(term: Term) -> str:
    """Name the part of a regular term that leaves it without a text."""
    parts = {Sequence: "terms", Alternatives: "terms", Choice: "items"}
    for part in map(_as_term, getattr(term, parts.get(type(term), ""), ())):
        inner = _tree(part)
        alone = None if inner is None else read_tree(inner, repr(part))
        if alone is not None and is_empty(alone):
            within = "" if isinstance(term, Sequence) else "; none of the other alternatives has one either"
            return _why_empty(part) + within
    if isinstance(term, Regex) and len(term.pattern) <= _EXPLAINED_LENGTH:
        position = blind_alley(term.pattern)
        if position is not None:
            return (
                f"position {position} of {shorten(term.pattern)}: the pattern has no text, since what comes up to here "
                "excludes itself. Correct it"
            )
    return f"{shorten(term, 200)} has no text: its parts exclude each other"


#: Patterns longer than this aren't searched for the place that leaves them without a text.
_EXPLAINED_LENGTH = 500


def _sequence_symbols(term: Sequence, before: Neighbour, after: Neighbour) -> Symbols:
    """Give the symbols of a sequence in which something isn't regular; regular parts side by side are read as one."""
    groups: list[Term] = []
    for part in _flat(term):
        if groups and _tree(part) is not None and _tree(groups[-1]) is not None:
            groups[-1] = Sequence([*_flat(groups[-1]), part])
        else:
            groups.append(part)
    symbols: Symbols = ()
    for number, group in enumerate(groups):
        left = before if number == 0 else _neighbour(groups[number - 1], _JSON_LAST)
        right = after if number == len(groups) - 1 else _neighbour(groups[number + 1], _JSON_FIRST)
        symbols += _symbols(group, left, right)
    return symbols


def _flat(term: Term) -> list[Term]:
    """Give the parts of a sequence, and of sequences in it."""
    if not isinstance(term, Sequence):
        return [term]
    return [inner for part in term.terms for inner in _flat(_as_term(part))]


def _neighbour(term: Term, characters_there: Characters) -> Neighbour:
    return Neighbour(is_edge=False, characters=characters_there) if isinstance(term, JsonSchema) else _UNKNOWN


def _as_term(value: Any) -> Term:
    """Operands of the DSL are kept as they were given; a type among them is converted when it's used."""
    return python_types_to_terms(value)


def _counts(term: Term) -> tuple[int, int | None] | None:
    """Give how often a term repeats its body; None if it isn't a repetition."""
    if isinstance(term, KleeneStar):
        return 0, None
    if isinstance(term, KleenePlus):
        return 1, None
    if isinstance(term, Optional):
        return 0, 1
    if isinstance(term, QuantifyExact):
        return term.count, term.count
    if isinstance(term, QuantifyMinimum):
        return term.min_count, None
    if isinstance(term, QuantifyMaximum):
        return 0, term.max_count
    if isinstance(term, QuantifyBetween):
        return term.min_count, term.max_count
    return None


def _patterns(term: Term) -> Iterator[str]:
    """Give the patterns within a term."""
    if isinstance(term, Regex):
        yield term.pattern
    elif isinstance(term, Sequence | Alternatives):
        for part in term.terms:
            yield from _patterns(_as_term(part))
    elif isinstance(term, Choice):
        for item in term.items:
            yield from _patterns(_as_term(item))
    elif _counts(term) is not None:
        yield from _patterns(_as_term(term.term))  # type: ignore[attr-defined]


def _tree(term: Term) -> Node | None:
    """Give the tree of a term that is regular; None if something in it isn't."""
    if isinstance(term, String):
        try:
            term.value.encode()
        except UnicodeEncodeError as error:
            raise ConstraintError(
                f"{term!r}: character {error.start} is half of a surrogate pair, which has no bytes in UTF-8"
            ) from error
        return Text(term.value)
    if isinstance(term, Regex):
        return tree_of(term.pattern)
    if isinstance(term, Sequence | Alternatives | Choice):
        parts = [_tree(_as_term(part)) for part in (term.items if isinstance(term, Choice) else term.terms)]
        if any(part is None for part in parts):
            return None
        return (sequence if isinstance(term, Sequence) else TreeAlternatives)(parts)  # type: ignore[arg-type]
    counts = _counts(term)
    if counts is None:
        return None
    body = _tree(_as_term(term.term))  # type: ignore[attr-defined]
    return None if body is None else repetition(body, *counts, shorten(term), 0)


def _free_text(term: Until | Without) -> Expression:
    """Give any text in which no trigger occurs, or none before its end."""
    text = star(utf8(ALL))
    trigger = union(*[literal(trigger.encode()) for trigger in term.triggers])
    if isinstance(term, Without):
        return intersection(text, complement(concat(EVERYTHING, trigger, EVERYTHING)))
    longer = concat(EVERYTHING, trigger, ANY_BYTE, EVERYTHING)
    return intersection(text, concat(EVERYTHING, trigger), complement(longer))


def _alternatives(term: Term, parts: Iterable[Any], before: Neighbour, after: Neighbour) -> Symbols:
    """Give any of some parts; those that have no text are left out."""
    ways, empty = [], None
    for part in parts:
        try:
            ways.append(_symbols(_as_term(part), before, after))
        except EmptyLanguageError as error:
            empty = error
    if not ways:
        raise EmptyLanguageError(f"{term!r} has no text: none of its alternatives has one") from empty
    return (Union(*ways),)
