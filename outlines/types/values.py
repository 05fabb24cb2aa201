"""From a generated text back to the value that it spells, as its output type says.

Each kind of type has a reader, which takes a text and a place in it and gives the value there and the place after it.
So a list's reader finds the end of each item by reading it. Where several readings are possible the longest counts that
what must follow follows.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from outlines.exceptions import shorten
from outlines.types import ready_made
from outlines.types.conversion import functions_as_values, python_types_to_terms
from outlines.types.schemas import JsonSchema
from outlines.types.terms import CFG, Alternatives, Choice, Regex, String, Term, to_regex
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


class _Within(NamedTuple):
    """Where a value stands: what is quoted there, and what may follow it."""

    quoted: Literal["nothing", "texts", "texts and patterns"]
    followed_by: tuple[str, ...]


_ALONE = _Within("nothing", ())


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
    value, end = _read(output_type, text, 0, _ALONE)
    if end != len(text):
        _fail(output_type, text, end)
    return value


def _read(ptype: Any, text: str, start: int, within: _Within) -> _Reading:
    """Read a value, and the quotes that its place puts around it."""
    if not _is_quoted(ptype, within):
        return _read_bare(ptype, text, start, within)
    place = _expect(ptype, '"', text, start)
    value, place = _read_bare(ptype, text, place, within._replace(followed_by=('"',)))
    return value, _expect(ptype, '"', text, place)


def _is_quoted(ptype: Any, within: _Within) -> bool:
    """Say whether a value has quotes around it, see `_ensure_json_quoted`; choices have theirs one by one."""
    if within.quoted == "nothing":
        return False
    if ptype is None or ptype is NoneType:
        return within.quoted == "texts and patterns"
    if not (_is_scalar(ptype) or _is_empty_tuple(ptype) or isinstance(ptype, Term | bool | int | float | str)):
        return False
    term = python_types_to_terms(ptype)
    return isinstance(term, String) or (
        within.quoted == "texts and patterns"
        and isinstance(term, Regex)
        and term.pattern != ready_made.string.pattern
    )


def _read_bare(ptype: Any, text: str, start: int, within: _Within) -> _Reading:
    for is_kind, pattern, convert in _SCALARS:
        if is_kind(ptype):
            found = re.compile(pattern).match(text, start)
            if found is None:
                _fail(ptype, text, start)
            return convert(found[0]), found.end()
    if is_native_dict(ptype) or JsonSchema.is_json_schema(ptype):
        return _read_json(ptype, text, start)
    if is_enum(ptype):
        members = [(member.value, member) for member in ptype]
        functions = [(function, _OWN) for function in functions_as_values(ptype)]
        return _longest(ptype, [*members, *functions], text, start, within)
    if is_literal(ptype):
        return _longest(ptype, ((value, value) for value in get_args(ptype)), text, start, within)
    if isinstance(ptype, Choice):
        unquoted = within._replace(quoted="nothing")
        return _longest(ptype, ((item, _OWN) for item in ptype.items), text, start, unquoted)
    if is_union(ptype):
        return _longest(ptype, ((member, _OWN) for member in get_args(ptype)), text, start, within)
    if is_typing_list(ptype):
        return _read_row(ptype, "[", get_args(ptype), "]", True, text, start)
    if is_typing_tuple(ptype):
        args = () if _is_empty_tuple(ptype) else get_args(ptype)
        is_long = len(args) == 2 and args[1] is Ellipsis
        values, end = _read_row(ptype, "(", args[:1] if is_long else args, ")", is_long, text, start)
        return tuple(values), end
    if is_typing_dict(ptype):
        return _read_dict(ptype, text, start)
    if ptype is None or ptype is NoneType:
        return None, _expect(ptype, "None", text, start)
    if isinstance(ptype, Alternatives) and within.quoted != "nothing":
        return _longest(ptype, ((term, _OWN) for term in ptype.terms), text, start, within)
    if isinstance(ptype, Term):
        return _read_term(ptype, text, start, within)
    if is_callable(ptype):
        return _read_json(ptype, text, start)
    # A value: True, 1, "a".
    return ptype, _expect(ptype, _spelling(python_types_to_terms(ptype)), text, start)


def _is_empty_tuple(ptype: Any) -> bool:
    return is_typing_tuple(ptype) and get_args(ptype) in ((), ((),))  # Python 3.10 gives ((),) for Tuple[()]


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


def _is_scalar(ptype: Any) -> bool:
    return any(is_kind(ptype) for is_kind, _, _ in _SCALARS)


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
    ptype: Any, choices: Iterable[tuple[Any, Any]], text: str, start: int, within: _Within
) -> _Reading:
    """Read the choice that reaches furthest, the first of equals; each comes with the value that it stands for.

    A choice that what must follow follows goes before others.
    """
    best: _Reading | None = None
    best_rank = (False, 0)
    for choice, stands_for in choices:
        try:
            value, end = _read(choice, text, start, within)
        except ValueError:
            continue
        rank = (_is_followed(within, text, end), end)
        if best is None or rank > best_rank:
            best, best_rank = ((value if stands_for is _OWN else stands_for), end), rank
    if best is None:
        _fail(ptype, text, start)
    return best


def _is_followed(within: _Within, text: str, end: int) -> bool:
    return text.startswith(within.followed_by, end) if within.followed_by else end == len(text)


def _read_row(
    ptype: Any, opening: str, items: tuple, closing: str, is_repeated: bool, text: str, start: int
) -> tuple[list, int]:
    """Read items with commas between; `is_repeated` if the one item's type is that of any number of them."""
    place = _expect(ptype, opening, text, start)
    values: list[Any] = []
    while items if is_repeated else len(values) < len(items):
        if values:
            place = _expect(ptype, ", ", text, place)
        if is_repeated:
            item, followed_by = items[0], (", ", closing)
        else:
            item, followed_by = items[len(values)], (", " if len(values) + 1 < len(items) else closing,)
        value, place = _read(item, text, place, _Within("texts", followed_by))
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
        key, place = _read(key_type, text, place, _Within("texts and patterns", (":",)))
        place = _expect(ptype, ":", text, place)
        value, place = _read(value_type, text, place, _Within("texts", (", ", "}")))
        try:
            values[key] = value
        except TypeError as error:
            raise ValueError(f"{shorten(key)} can't be a key of a dict ({error}): read the text yourself") from error
    return values, _expect(ptype, "}", text, place)


def _read_term(term: Term, text: str, start: int, within: _Within) -> _Reading:
    if not _is_regular(term):  # the engine has held the text to it, and a pattern can't say as much
        if within is not _ALONE:
            raise ValueError(f"where the text of {shorten(term)} ends within a container can't be told")
        return text, len(text)
    pattern = re.compile(to_regex(term))
    found = pattern.match(text, start)
    if found and _is_followed(within, text, found.end()):
        return found[0], found.end()
    for end in range(len(text), start - 1, -1):
        if _is_followed(within, text, end) and pattern.fullmatch(text, start, end):
            return text[start:end], end
    _fail(term, text, start)


def _is_regular(term: Term) -> bool:
    """Say whether a term has no schema and no grammar in it."""
    stack = [term]
    while stack:
        part = stack.pop()
        if isinstance(part, CFG | JsonSchema):
            return False
        stack += map(python_types_to_terms, part.items) if isinstance(part, Choice) else part._children()
    return True


def _expect(ptype: Any, expected: str, text: str, start: int) -> int:
    if not text.startswith(expected, start):
        _fail(ptype, text, start)
    return start + len(expected)


def _fail(ptype: Any, text: str, place: int) -> NoReturn:
    raise ValueError(f"{shorten(text)} is no whole text of {shorten(ptype)}: see its character {place}")
