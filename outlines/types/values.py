"""From a generated text back to the value that it spells, as its output type says.

Each kind of type has a reader, which takes a text and a place in it and gives the value there and the place after it.
So a list's reader finds the end of each item by reading it. Where several readings are possible the longest counts.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, get_args

from outlines.exceptions import shorten
from outlines.types import ready_made
from outlines.types.conversion import functions_as_values, python_types_to_terms
from outlines.types.schemas import JsonSchema
from outlines.types.terms import CFG, Choice, Regex, String, Term, to_regex
from outlines.types.typed_dicts import for_pydantic
from outlines.types.utils import (
    is_bool,
    is_callable,
    is_dataclass,
    is_date,
    is_datetime,
    is_enum,
    is_float,
    is_int,
    is_literal,
    is_native_dict,
    is_pydantic_model,
    is_str,
    is_time,
    is_typed_dict,
    is_typing_dict,
    is_typing_list,
    is_typing_tuple,
    is_union,
)

__all__ = ["parse"]

_Reading = tuple[Any, int]


def parse(output_type: Any, text: str) -> Any:
    """Give the value that a text of an output type spells.

    Parameters
    ----------
    output_type
        The type that the text was generated for; None leaves it as it is.
    text
        A whole text, as a generator gives it.

    Returns
    -------
    object
        An instance of a Pydantic model or dataclass; for a JSON Schema, a `TypedDict`, a function and `dict` what
        `json.loads` gives; a number, a bool, a date, a member of an enum, one of the values of a `Literal` or
        `Choice`, None; a list, tuple or dict of these; for `str` what is between the quotes; for any other term the
        text itself.

    Raises
    ------
    ValueError
        If the text isn't one of the type's; pydantic's ValidationError, a subclass, if it breaks a rule that the
        type's JSON Schema doesn't tell.
    """
    if output_type is None:
        return text
    if is_native_dict(output_type):  # white space may stand around it
        return _read_json(output_type, text.strip(), 0)[0]
    value, end = _read(output_type, text, 0, is_within=False)
    if end != len(text):
        _fail(output_type, text, end)
    return value


def _read(ptype: Any, text: str, start: int, *, is_within: bool) -> _Reading:
    """Read a value; `is_within` a container texts among choices have quotes."""
    for is_kind, pattern, convert in _SCALARS:
        if is_kind(ptype):
            found = re.compile(pattern).match(text, start)
            if found is None:
                _fail(ptype, text, start)
            return convert(found[0]), found.end()
    if isinstance(ptype, JsonSchema) or is_native_dict(ptype) or JsonSchema.is_json_schema(ptype):
        return _read_json(ptype, text, start)
    if is_enum(ptype):
        members = [(member.value, member) for member in ptype]
        functions = [(function, _OWN) for function in functions_as_values(ptype)]
        return _longest(ptype, [*members, *functions], text, start, is_within)
    if is_literal(ptype):
        return _longest(ptype, ((value, value) for value in get_args(ptype)), text, start, is_within)
    if isinstance(ptype, Choice):
        return _longest(ptype, ((item, _OWN) for item in ptype.items), text, start, is_within=False)
    if is_union(ptype):
        return _longest(ptype, ((member, _OWN) for member in get_args(ptype)), text, start, is_within)
    if is_typing_list(ptype):
        return _read_row(ptype, "[", get_args(ptype), "]", True, text, start)
    if is_typing_tuple(ptype):
        args = get_args(ptype)
        is_long = len(args) == 2 and args[1] is Ellipsis
        items = args[:1] if is_long else () if args == ((),) else args
        values, end = _read_row(ptype, "(", items, ")", is_long, text, start)
        return tuple(values), end
    if is_typing_dict(ptype):
        return _read_dict(ptype, text, start)
    if ptype is None or ptype is type(None):
        return None, _expect(ptype, "None", text, start)
    if isinstance(ptype, Term):
        return _read_term(ptype, text, start, is_within)
    if is_callable(ptype):
        return _read_json(ptype, text, start)
    # A value: True, 1, "a".
    term = python_types_to_terms(ptype)
    quote = '"' if is_within and isinstance(ptype, str) else ""
    return ptype, _expect(ptype, quote + _spelling(term) + quote, text, start)


def _spelling(term: Term) -> str:
    if isinstance(term, String):
        return term.value
    assert isinstance(term, Regex)
    return re.sub(r"\\(.)", r"\1", term.pattern)  # what `re.escape` added


def _plain_digits(text: str) -> str:
    r"""Write the digits of any script, which `\d` matches, as ASCII's."""
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


_SCALARS: list[tuple[Callable[[Any], bool], str, Callable[[str], Any]]] = [
    (is_int, ready_made.integer.pattern, int),
    (is_float, ready_made.number.pattern, float),
    (is_bool, ready_made.boolean.pattern, lambda text: text == "True"),
    (is_str, ready_made.string.pattern, lambda text: text[1:-1]),
    (is_time, ready_made.time.pattern, lambda text: datetime.time.fromisoformat(_plain_digits(text))),
    (is_date, ready_made.date.pattern, lambda text: datetime.date.fromisoformat(_plain_digits(text))),
    (
        is_datetime,
        ready_made.datetime.pattern,
        lambda text: datetime.datetime.fromisoformat(_plain_digits(re.sub(r"\s", "T", text))),
    ),
]


def _read_json(ptype: Any, text: str, start: int) -> _Reading:
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise ValueError(f"{shorten(text)} is no whole JSON: {error}") from error
    if is_pydantic_model(ptype) or is_dataclass(ptype) or is_typed_dict(ptype):
        from pydantic import TypeAdapter

        value = TypeAdapter(for_pydantic(ptype)).validate_json(text[start:end])
    return value, end


#: Stands for: the value that was read.
_OWN = object()


def _longest(
    ptype: Any, choices: Iterable[tuple[Any, Any]], text: str, start: int, is_within: bool
) -> _Reading:
    """Read the choice that reaches furthest, the first of equals; each comes with the value that it stands for."""
    best: _Reading | None = None
    for choice, stands_for in choices:
        try:
            value, end = _read(choice, text, start, is_within=is_within)
        except ValueError:
            continue
        if best is None or end > best[1]:
            best = (value if stands_for is _OWN else stands_for), end
    if best is None:
        _fail(ptype, text, start)
    return best


def _read_row(
    ptype: Any, opening: str, items: tuple, closing: str, is_repeated: bool, text: str, start: int
) -> tuple[list, int]:
    """Read items with commas between; `is_repeated` if the one item's type is that of any number of them."""
    place = _expect(ptype, opening, text, start)
    values: list[Any] = []
    while items if is_repeated else len(values) < len(items):
        if values:
            place = _expect(ptype, ", ", text, place)
        value, place = _read(items[0 if is_repeated else len(values)], text, place, is_within=True)
        values.append(value)
        if is_repeated and text.startswith(closing, place):
            break
    return values, _expect(ptype, closing, text, place)


def _read_dict(ptype: Any, text: str, start: int) -> _Reading:
    key_type, value_type = get_args(ptype)
    place = _expect(ptype, "{", text, start)
    values: dict[Any, Any] = {}
    while not text.startswith("}", place):
        if values:
            place = _expect(ptype, ", ", text, place)
        is_quoted = not is_str(key_type) and _has_quotes_around(key_type)
        place = _expect(ptype, '"', text, place) if is_quoted else place
        key, place = _read(key_type, text, place, is_within=True)
        place = _expect(ptype, '"' if is_quoted else "", text, place)
        place = _expect(ptype, ":", text, place)
        values[key], place = _read(value_type, text, place, is_within=True)
    return values, place + 1


def _has_quotes_around(key_type: Any) -> bool:
    """Say whether a key's pattern gets quotes around it: keys of a dict are always strings."""
    return isinstance(python_types_to_terms(key_type), Regex)


def _read_term(term: Term, text: str, start: int, is_within: bool) -> _Reading:
    if isinstance(term, CFG):
        if is_within:
            raise ValueError("where the text of a grammar ends within a container can't be told")
        return text[start:], len(text)
    pattern = to_regex(term)
    if is_within and isinstance(term, String):
        pattern = f'"{pattern}"'
    found = re.compile(pattern).match(text, start) if is_within else re.fullmatch(pattern, text)
    if found is None:
        _fail(term, text, start)
    return found[0], found.end()


def _expect(ptype: Any, expected: str, text: str, start: int) -> int:
    if not text.startswith(expected, start):
        _fail(ptype, text, start)
    return start + len(expected)


def _fail(ptype: Any, text: str, place: int) -> NoReturn:
    raise ValueError(f"{shorten(text)} is no whole text of {shorten(ptype)}: see its character {place}")
