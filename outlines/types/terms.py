"""Terms: what an output type becomes, and the functions and operators that combine terms.

A term denotes a set of texts. Most terms are regular, and `to_regex` writes them as a pattern; a `CFG` isn't.

    Term
    ├── String, Regex, CFG                  a text, a pattern, a grammar
    ├── Choice                              one of a list of Python values or types
    ├── Alternatives, Sequence              one of several terms; several terms in a row
    ├── Until, Without                      free text but for some triggers
    ├── Optional, KleeneStar, KleenePlus    at most one, any number, at least one
    ├── QuantifyExact, QuantifyMinimum, QuantifyMaximum, QuantifyBetween
    └── JsonSchema                          in `schemas.py`

Terms compare by value and so, being mutable, have no hash.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from outlines.exceptions import shorten

__all__ = [
    "CFG",
    "Alternatives",
    "Choice",
    "KleenePlus",
    "KleeneStar",
    "Optional",
    "QuantifyBetween",
    "QuantifyExact",
    "QuantifyMaximum",
    "QuantifyMinimum",
    "Regex",
    "Sequence",
    "String",
    "Term",
    "Until",
    "Without",
    "at_least",
    "at_most",
    "between",
    "cfg",
    "either",
    "exactly",
    "one_or_more",
    "optional",
    "regex",
    "to_regex",
    "until",
    "without",
    "zero_or_more",
]


class Term:
    """A set of texts that a model may be held to.

    Terms combine with `+` (one after the other) and `|` (one or the other), also with a string on either
    side, and with the methods below. Any term can annotate a field of a pydantic model: the field then holds
    values whose `str` is in the set, and its JSON Schema is a string with the term's pattern.
    """

    def __add__(self, other: Term | str) -> Sequence:
        """Give this term, then the other."""
        return Sequence([self, _as_term(other)])

    def __radd__(self, other: Term | str) -> Sequence:
        """Give the other, then this term."""
        return Sequence([_as_term(other), self])

    def __or__(self, other: Term | str) -> Alternatives:
        """Give this term or the other."""
        return Alternatives([self, _as_term(other)])

    def __ror__(self, other: Term | str) -> Alternatives:
        """Give the other or this term."""
        return Alternatives([_as_term(other), self])

    def optional(self) -> Optional:
        """Give the term that also allows nothing."""
        return Optional(self)

    def zero_or_more(self) -> KleeneStar:
        """Give the term repeated any number of times, none included."""
        return KleeneStar(self)

    def one_or_more(self) -> KleenePlus:
        """Give the term repeated once or more."""
        return KleenePlus(self)

    def exactly(self, count: int) -> QuantifyExact:
        """Give the term repeated `count` times."""
        return QuantifyExact(self, count)

    def at_least(self, count: int) -> QuantifyMinimum:
        """Give the term repeated `count` times or more."""
        return QuantifyMinimum(self, count)

    def at_most(self, count: int) -> QuantifyMaximum:
        """Give the term repeated `count` times or fewer."""
        return QuantifyMaximum(self, count)

    def between(self, min_count: int, max_count: int) -> QuantifyBetween:
        """Give the term repeated `min_count` to `max_count` times, both included."""
        return QuantifyBetween(self, min_count, max_count)

    def matches(self, value: object) -> bool:
        """Say whether the whole of `str(value)` is in the set, by Python's `re`.

        Raises
        ------
        TypeError
            If the term has no regular expression (`CFG`).
        """
        return re.fullmatch(to_regex(self), str(value)) is not None

    def validate(self, value: Any) -> Any:
        """Give `value` back, unchanged and not made a string, if it matches.

        Raises
        ------
        ValueError
            If it doesn't match.
        """
        if not self.matches(value):
            raise ValueError(
                f"Input should be in the language of the regular expression {to_regex(self)}, "
                f"got {shorten(value)}"
            )
        return value

    def display_ascii_tree(self, indent: str = "", is_last: bool = True) -> str:
        """Draw the term as a tree, a line a node; `str(term)` is the same."""
        branch, child_indent = ("└── ", "    ") if is_last else ("├── ", "│   ")
        return f"{indent}{branch}{self._display_node()}\n{self._display_children(indent + child_indent)}"

    def __str__(self) -> str:
        """Draw the term as a tree."""
        return self.display_ascii_tree()

    def _display_node(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no text for its node; define `_display_node`.")

    def _display_children(self, indent: str) -> str:
        children = self._children()
        return "".join(
            child.display_ascii_tree(indent, is_last=place == len(children))
            for place, child in enumerate(children, start=1)
        )

    def _children(self) -> list[Term]:
        return []

    def _pattern(self) -> str:
        """Write the term as a regular expression that can stand in a sequence."""
        raise TypeError(f"Cannot convert {shorten(self)} to a regular expression.")

    def __get_validator__(self, core_schema: Any) -> Callable[[Any], Any]:
        """Give the function that validates a value."""
        return self.validate

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Tell pydantic how to validate a field that this term annotates."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Tell pydantic the JSON Schema of a field that this term annotates."""
        return {"type": "string", "pattern": to_regex(self)}


def _as_term(value: Any) -> Any:
    """Make a string a term; anything else stays as it is, and `to_regex` refuses it if it isn't a term."""
    return String(value) if isinstance(value, str) else value


def to_regex(term: Term) -> str:
    """Write a term as a regular expression in Python's syntax.

    Groups are never simplified: the text of a pattern is part of what providers and caches see.

    Raises
    ------
    TypeError
        If the term, or a term in it, isn't regular (`CFG`) or isn't a term.
    """
    if not isinstance(term, Term):
        raise TypeError(f"Cannot convert {shorten(term)} to a regular expression: it is not a term.")
    return term._pattern()


class _TextTerm(Term):
    """A leaf with one text, shown raw between single quotes."""

    _text_field: ClassVar[str]

    @property
    def _text(self) -> str:
        return getattr(self, self._text_field)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text_field}='{self._text}')"

    def _display_node(self) -> str:
        return f"{type(self).__name__}('{self._text}')"


@dataclass(repr=False)
class String(_TextTerm):
    """Exactly this text."""

    value: str
    _text_field = "value"

    def _pattern(self) -> str:
        return re.escape(self.value)


@dataclass(repr=False)
class Regex(_TextTerm):
    """The texts that a pattern matches in full. The pattern is read when a constraint is built, not here."""

    pattern: str
    _text_field = "pattern"

    def _pattern(self) -> str:
        return f"({self.pattern})"


@dataclass(repr=False)
class CFG(_TextTerm):
    """The texts of a context-free grammar, in Lark's language or in GBNF.

    Parameters
    ----------
    definition
        The grammar.
    lexer
        Which terminal wins where several match: "contextual", "basic" or "free". By default what the grammar says in a
        line `// lexer: basic`, else "contextual".
    syntax
        "lark" or "gbnf"; by default GBNF if its rules are written with `::=`.
    start
        The rule that a whole text must match; by default `start`, in GBNF `root`.
    """

    definition: str
    lexer: str | None = None
    syntax: str | None = None
    start: str | None = None
    _text_field = "definition"

    @classmethod
    def from_file(
        cls, path: str | Path, lexer: str | None = None, syntax: str | None = None, start: str | None = None
    ) -> CFG:
        """Read the grammar from a file, verbatim."""
        return cls(Path(path).read_text(encoding="utf-8"), lexer, syntax, start)

    def _pattern(self) -> str:
        raise TypeError(
            f"Cannot convert a grammar to a regular expression ({shorten(self.definition)}). "
            "Use it as the whole output type, not inside another one."
        )


@dataclass
class _FreeText(Term):
    """Text that is free but for some triggers."""

    triggers: list[str]

    def __post_init__(self) -> None:
        """Check the triggers."""
        name = type(self).__name__.lower()
        if not self.triggers or not all(isinstance(trigger, str) and trigger for trigger in self.triggers):
            raise ValueError(f"`{name}` needs at least one trigger, none of them empty, got {shorten(self.triggers)}")

    def _display_node(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.triggers))})"

    def _either(self) -> str:
        """Give a pattern of the triggers; one that contains another is never the first to be complete."""
        others = [t for t in self.triggers if not any(other != t and other in t for other in self.triggers)]
        return "|".join(map(re.escape, others))

    def _before(self) -> str:
        return f"(?:(?!{self._either()})(?s:.))*"


@dataclass
class Until(_FreeText):
    """Any text up to where one of some triggers is first complete; it ends there."""

    def _pattern(self) -> str:
        return f"({self._before()}(?:{self._either()}))"


@dataclass
class Without(_FreeText):
    """Any text, the empty one too, in which none of some triggers occurs."""

    def _pattern(self) -> str:
        return f"({self._before()})"


@dataclass
class Choice(Term):
    """One of a list that is known only at run time: Python values, types or terms.

    Items are converted when the pattern is asked for, so that is when a wrong one raises.
    """

    items: list[Any]

    def _display_node(self) -> str:
        return f"Choice({self.items!r})"

    def _pattern(self) -> str:
        # The conversion of Python types builds on terms, so it can't be imported above.
        from outlines.types.conversion import python_types_to_terms

        return f"({'|'.join(to_regex(python_types_to_terms(item)) for item in self.items)})"


@dataclass
class Alternatives(Term):
    """One of several terms."""

    terms: list[Term]

    def _display_node(self) -> str:
        return "Alternatives(|)"

    def _children(self) -> list[Term]:
        return self.terms

    def _pattern(self) -> str:
        return f"({'|'.join(map(to_regex, self.terms))})"


@dataclass
class Sequence(Term):
    """Several terms, one after the other."""

    terms: list[Term]

    def _display_node(self) -> str:
        return "Sequence"

    def _children(self) -> list[Term]:
        return self.terms

    def _pattern(self) -> str:
        return "".join(map(to_regex, self.terms))


class _Repetition(Term):
    """A term repeated as a quantifier of regular expressions says."""

    term: Term

    @property
    def _quantifier(self) -> str:
        """What is written after the group: `*`, `{2,3}`."""
        raise NotImplementedError

    def _display_node(self) -> str:
        return f"{type(self).__name__}({self._quantifier})"

    def _children(self) -> list[Term]:
        return [self.term]

    def _pattern(self) -> str:
        return f"({to_regex(self.term)}){self._quantifier}"


@dataclass
class KleeneStar(_Repetition):
    """A term any number of times, none included."""

    term: Term
    _quantifier = "*"


@dataclass
class KleenePlus(_Repetition):
    """A term once or more."""

    term: Term
    _quantifier = "+"


@dataclass
class Optional(_Repetition):
    """A term or nothing."""

    term: Term
    _quantifier = "?"


class _CountedRepetition(_Repetition):
    def _display_node(self) -> str:
        return f"Quantify({self._quantifier})"


def _check_count(name: str, count: int) -> None:
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"`{name}` must be a non-negative integer, got {shorten(count)}")


@dataclass
class QuantifyExact(_CountedRepetition):
    """A term exactly `count` times."""

    term: Term
    count: int

    def __post_init__(self) -> None:
        """Check the counts."""
        _check_count("count", self.count)

    @property
    def _quantifier(self) -> str:
        return f"{{{self.count}}}"


@dataclass
class QuantifyMinimum(_CountedRepetition):
    """A term `min_count` times or more."""

    term: Term
    min_count: int

    def __post_init__(self) -> None:
        """Check the counts."""
        _check_count("min_count", self.min_count)

    @property
    def _quantifier(self) -> str:
        return f"{{{self.min_count},}}"


@dataclass
class QuantifyMaximum(_CountedRepetition):
    """A term `max_count` times or fewer."""

    term: Term
    max_count: int

    def __post_init__(self) -> None:
        """Check the counts."""
        _check_count("max_count", self.max_count)

    @property
    def _quantifier(self) -> str:
        return f"{{0,{self.max_count}}}"

    def _display_node(self) -> str:
        return f"Quantify({{,{self.max_count}}})"


@dataclass
class QuantifyBetween(_CountedRepetition):
    """A term `min_count` to `max_count` times, both included."""

    term: Term
    min_count: int
    max_count: int

    def __post_init__(self) -> None:
        """Check the counts."""
        _check_count("min_count", self.min_count)
        if self.max_count < self.min_count:
            raise ValueError(
                "`max_count` must be greater than `min_count`, or equal, "
                f"got {self.max_count} and {self.min_count}"
            )

    @property
    def _quantifier(self) -> str:
        return f"{{{self.min_count},{self.max_count}}}"


def regex(pattern: str) -> Regex:
    """Give the texts that `pattern` matches in full."""
    return Regex(pattern)


def cfg(
    definition: str, lexer: str | None = None, syntax: str | None = None, start: str | None = None
) -> CFG:
    """Give the texts of the grammar `definition`, in Lark's language or in GBNF; see `CFG`."""
    return CFG(definition, lexer, syntax, start)


def until(*triggers: str) -> Until:
    """Give any text up to the first of some triggers, which it ends with."""
    return Until(list(triggers))


def without(*triggers: str) -> Without:
    """Give any text, the empty one too, in which none of some triggers occurs."""
    return Without(list(triggers))


def either(*terms: Term | str) -> Alternatives:
    """Give one of `terms`."""
    return Alternatives([_as_term(term) for term in terms])


def optional(term: Term | str) -> Optional:
    """Give `term` or nothing."""
    return Optional(_as_term(term))


def zero_or_more(term: Term | str) -> KleeneStar:
    """Give `term` any number of times, none included."""
    return KleeneStar(_as_term(term))


def one_or_more(term: Term | str) -> KleenePlus:
    """Give `term` once or more."""
    return KleenePlus(_as_term(term))


def exactly(count: int, term: Term | str) -> QuantifyExact:
    """Give `term` exactly `count` times."""
    return QuantifyExact(_as_term(term), count)


def at_least(count: int, term: Term | str) -> QuantifyMinimum:
    """Give `term` `count` times or more."""
    return QuantifyMinimum(_as_term(term), count)


def at_most(count: int, term: Term | str) -> QuantifyMaximum:
    """Give `term` `count` times or fewer."""
    return QuantifyMaximum(_as_term(term), count)


def between(min_count: int, max_count: int, term: Term | str) -> QuantifyBetween:
    """Give `term` `min_count` to `max_count` times, both included."""
    return QuantifyBetween(_as_term(term), min_count, max_count)
