"""Terms to items: what a user may ask for, as the symbols that the automaton runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from outlines.constraints.cfg import grammar_symbols
from outlines.constraints.characters import ALL, utf8
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
    repeat,
    star,
    union,
)
from outlines.constraints.items import Repeated, Symbols, Union
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.regex import looks_around, read
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

__all__ = ["term_symbols"]


def term_symbols(term: Term) -> Symbols:
    """Give the symbols whose text is in a term's language.

    Raises
    ------
    ConstraintError
        If the term, or one within it, can't be built or has no text; subclasses name the place.
    """
    expression = _joined(term)
    if expression is not None:
        if is_empty(expression):
            raise EmptyLanguageError(f"{term!r} has no text: its parts exclude each other")
        if expression.nullable and not any(target is not EMPTY for target in expression.transitions()[1]):
            return ()
        return (expression,)
    if isinstance(term, JsonSchema):
        return schema_symbols(json.loads(term.schema), term.whitespace_pattern, term.is_closed)
    if isinstance(term, Sequence):
        return tuple(symbol for part in term.terms for symbol in term_symbols(_as_term(part)))
    if isinstance(term, Alternatives):
        return _alternatives(term, term.terms)
    if isinstance(term, Choice):
        return _alternatives(term, term.items)
    counts = _counts(term)
    if counts is not None:
        try:
            body = term_symbols(_as_term(term.term))  # type: ignore[attr-defined]
        except EmptyLanguageError:
            if counts[0]:
                raise
            return ()  # none of what has no text
        return (Repeated(body, *counts),)
    if isinstance(term, CFG):
        return grammar_symbols(term.definition, start=term.start, lexer=term.lexer, syntax=term.syntax)
    raise TypeError(f"cannot build a constraint from {term!r}")


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


def _joined(term: Term) -> Expression | None:
    """Give the expression of a term, read as one pattern where a part looks past its own edge.

    None if something in it has no expression; then such a part is an error, unless its edges are the text's own.
    """
    if isinstance(term, Regex):
        return _expression(term)
    around = next((pattern for pattern in _patterns(term) if looks_around(pattern)), None)
    if around is None:
        return _expression(term)
    if _expression(term) is not None:
        return read(to_regex(term))
    if isinstance(term, Alternatives | Choice):
        return None
    raise ConstraintError(
        f"the pattern {shorten(around)} looks past its own edge, at a part of {type(term).__name__} that isn't "
        "regular, and that is not supported yet; take its anchors, word boundaries and lookarounds out"
    )


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


def _expression(term: Term) -> Expression | None:
    """Give the expression of a term that is regular; None if something in it isn't."""
    if isinstance(term, String):
        try:
            return literal(term.value.encode())
        except UnicodeEncodeError as error:
            raise ConstraintError(
                f"{term!r}: character {error.start} is half of a surrogate pair, which has no bytes in UTF-8"
            ) from error
    if isinstance(term, Regex):
        return read(term.pattern)
    if isinstance(term, Until | Without):
        return _free_text(term)
    if isinstance(term, Sequence | Alternatives):
        parts = [_expression(_as_term(part)) for part in term.terms]
        if any(part is None for part in parts):
            return None
        return (concat if isinstance(term, Sequence) else union)(*parts)  # type: ignore[arg-type]
    if isinstance(term, Choice):
        parts = [_expression(_as_term(item)) for item in term.items]
        return None if any(part is None for part in parts) else union(*parts)  # type: ignore[arg-type]
    counts = _counts(term)
    if counts is None:
        return None
    body = _expression(_as_term(term.term))  # type: ignore[attr-defined]
    return None if body is None else repeat(body, *counts)


def _free_text(term: Until | Without) -> Expression:
    """Give any text in which no trigger occurs, or none before its end."""
    text = star(utf8(ALL))
    trigger = union(*[literal(trigger.encode()) for trigger in term.triggers])
    if isinstance(term, Without):
        return intersection(text, complement(concat(EVERYTHING, trigger, EVERYTHING)))
    longer = concat(EVERYTHING, trigger, ANY_BYTE, EVERYTHING)
    return intersection(text, concat(EVERYTHING, trigger), complement(longer))


def _alternatives(term: Term, parts: Iterable[Any]) -> Symbols:
    """Give any of some parts; those that have no text are left out."""
    ways, empty = [], None
    for part in parts:
        try:
            ways.append(term_symbols(_as_term(part)))
        except EmptyLanguageError as error:
            empty = error
    if not ways:
        raise EmptyLanguageError(f"{term!r} has no text: none of its alternatives has one") from empty
    return (Union(*ways),)
