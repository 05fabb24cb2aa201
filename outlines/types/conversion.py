"""Python types and values as terms: from what a user writes to what constraints know."""

from __future__ import annotations

import re
from enum import Enum
from types import FunctionType, NoneType
from typing import Any, NewType, get_args, get_origin

from outlines import grammars
from outlines.exceptions import shorten
from outlines.types import ready_made
from outlines.types.schemas import JsonSchema
from outlines.types.terms import (
    CFG,
    Alternatives,
    KleeneStar,
    Optional,
    Regex,
    Sequence,
    String,
    Term,
)
from outlines.types.utils import (
    get_schema_from_signature,
    is_bool,
    is_callable,
    is_date,
    is_datetime,
    is_enum,
    is_float,
    is_float_instance,
    is_int,
    is_int_instance,
    is_literal,
    is_native_dict,
    is_str,
    is_str_instance,
    is_time,
    is_typing_dict,
    is_typing_list,
    is_typing_tuple,
    is_union,
)

__all__ = ["functions_as_values", "python_types_to_terms"]

MAX_RECURSION_DEPTH = 10

_COMMA = String(", ")

# The first claim that holds decides, so their order counts: True is an int to Python, and an enum's member
# may be a str.
_SCALARS: list[tuple[Any, Any]] = [
    (is_int, lambda _: ready_made.integer),
    (is_float, lambda _: ready_made.number),
    (is_bool, lambda _: ready_made.boolean),
    (is_str, lambda _: ready_made.string),
    (is_native_dict, lambda _: CFG(grammars.json)),
    (is_time, lambda _: ready_made.time),
    (is_date, lambda _: ready_made.date),
    (is_datetime, lambda _: ready_made.datetime),
    (lambda value: isinstance(value, bool), lambda value: Regex(str(value))),
    (is_str_instance, lambda value: String(str(value))),
    (
        lambda value: is_int_instance(value) or is_float_instance(value),
        lambda value: Regex(re.escape(str(value))),
    ),
    (JsonSchema.is_json_schema, JsonSchema),
]


def python_types_to_terms(ptype: Any, recursion_depth: int = 0) -> Term:
    """Convert what a user gives as an output type to a term.

    Parameters
    ----------
    ptype
        A term; `int`, `float`, `bool`, `str`, `dict` (any JSON object, array or scalar), `date`, `time`,
        `datetime`; a value of the first four types; a dataclass, `TypedDict` (of `typing` or
        `typing_extensions`, on every Python), pydantic model or genson builder; an `Enum`, `Literal` or
        union; `list[T]`, `tuple[...]`, `dict[K, V]`; or a function, whose arguments as a JSON object are
        meant.
    recursion_depth
        How many types `ptype` is within.

    Returns
    -------
    Term
        Outside of JSON Schemas values are written as Python's `repr` does: `True`, `None`, tuples in
        parentheses.

    Raises
    ------
    TypeError
        If `ptype` is not supported.
    ValueError
        If a function has a parameter without an annotation, or `ptype` is a generic or a `NewType` that is
        not supported.
    RecursionError
        If types are nested more than 10 deep.
    """
    if recursion_depth > MAX_RECURSION_DEPTH:
        raise RecursionError(
            f"the output type is nested more than {MAX_RECURSION_DEPTH} deep, at {shorten(ptype)}. "
            "Does it contain itself? A pydantic model or a grammar may."
        )
    if isinstance(ptype, Term):
        return ptype
    if isinstance(ptype, type) and issubclass(ptype, Term):
        raise TypeError(f"{ptype.__name__} is a class of terms. Give a term, as in `{ptype.__name__}(...)`.")
    for is_kind, convert in _SCALARS:
        if is_kind(ptype):
            return convert(ptype)
    if is_enum(ptype):
        return _handle_enum(ptype, recursion_depth)
    if is_literal(ptype):
        return _handle_literal(get_args(ptype))
    for is_kind, handle in _CONTAINERS:
        if is_kind(ptype):
            return handle(get_args(ptype), recursion_depth)
    if isinstance(ptype, NewType) or get_origin(ptype) is not None:  # callable to Python, but no function
        raise ValueError(_unsupported(ptype))
    if is_callable(ptype):
        return JsonSchema(get_schema_from_signature(ptype))
    raise TypeError(_unsupported(ptype))


def _unsupported(ptype: Any) -> str:
    return (
        f"Type {shorten(ptype)} is currently not supported as an output type. Write `list[...]`, "
        "`tuple[...]` and `dict[...]` with the types of their items; for JSON, give a pydantic model, a "
        "dataclass, a TypedDict or a JsonSchema; for anything else, a Regex or a CFG."
    )


def _handle_enum(enum: type[Enum], recursion_depth: int) -> Alternatives:
    choices = [member.value for member in enum] + functions_as_values(enum)
    return Alternatives([python_types_to_terms(choice, recursion_depth + 1) for choice in choices])


def functions_as_values(enum: type[Enum]) -> list[FunctionType]:
    """List the functions that were assigned in the body of an enum, which Python doesn't make members.

    Those that were defined there are its methods.
    """
    return [
        value
        for name, value in vars(enum).items()
        if isinstance(value, FunctionType)
        and not (name.startswith("_") and name.endswith("_"))
        and not value.__qualname__.startswith(f"{enum.__qualname__}.")
    ]


def _handle_literal(args: tuple[Any, ...]) -> Alternatives:
    return Alternatives([python_types_to_terms(arg) for arg in args])


def _handle_union(args: tuple[Any, ...], recursion_depth: int) -> Alternatives:
    """Convert the members in order; None comes last, as Python writes it."""
    members = [arg for arg in args if arg is not None and arg is not NoneType]
    terms = [python_types_to_terms(member, recursion_depth + 1) for member in members]
    return Alternatives(terms if len(members) == len(args) else [*terms, Regex("None")])


def _handle_list(args: tuple[Any, ...], recursion_depth: int) -> Sequence:
    if len(args) != 1:
        raise TypeError(f"list needs the type of its items and only that, as in list[int]; got {args}.")
    return _repeated("[", _item(args[0], recursion_depth), "]")


def _handle_tuple(args: tuple[Any, ...], recursion_depth: int) -> Term:
    if args in ((), ((),)):  # Python 3.10 gives ((),) for Tuple[()]
        return String("()")
    if len(args) == 2 and args[1] is Ellipsis:
        return _repeated("(", _item(args[0], recursion_depth), ")")
    terms: list[Term] = []
    for arg in args:
        terms += [_COMMA, _item(arg, recursion_depth)]
    return Sequence([String("("), *terms[1:], String(")")])


def _handle_dict(args: tuple[Any, ...], recursion_depth: int) -> Sequence:
    if len(args) != 2:
        raise TypeError(f"dict needs the types of its keys and its values, as in dict[str, int]; got {args}.")
    key = _ensure_json_quoted(python_types_to_terms(args[0], recursion_depth + 1), quote_regex=True)
    pair = [key, String(":"), _item(args[1], recursion_depth)]
    pairs = Sequence([*pair, KleeneStar(Sequence([_COMMA, *pair]))])
    return Sequence([String("{"), Optional(pairs), String("}")])


_CONTAINERS: list[tuple[Any, Any]] = [
    (is_union, _handle_union),
    (is_typing_list, _handle_list),
    (is_typing_tuple, _handle_tuple),
    (is_typing_dict, _handle_dict),
]


def _item(ptype: Any, recursion_depth: int) -> Term:
    return _ensure_json_quoted(python_types_to_terms(ptype, recursion_depth + 1))


def _repeated(opening: str, item: Term, closing: str) -> Sequence:
    """Give one item or more, with commas between."""
    return Sequence([String(opening), item, KleeneStar(Sequence([_COMMA, item])), String(closing)])


def _ensure_json_quoted(term: Term, quote_regex: bool = False) -> Term:
    """Put the texts among the choices of a term in double quotes, as they are written within a container.

    Parameters
    ----------
    term
        A term; within `Alternatives` each member is quoted. A term that needs nothing comes back as it is.
    quote_regex
        Quote patterns too, except that of `str`, which has its own quotes: keys of a dict are always strings.
    """
    if isinstance(term, String):
        return String(f'"{term.value}"')
    if isinstance(term, Alternatives):
        return Alternatives([_ensure_json_quoted(member, quote_regex) for member in term.terms])
    if quote_regex and isinstance(term, Regex) and term.pattern != ready_made.string.pattern:
        return Sequence([String('"'), term, String('"')])
    return term
