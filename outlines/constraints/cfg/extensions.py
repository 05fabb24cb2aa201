"""What a grammar may hold beyond Lark's language: a JSON Schema, a pattern, another grammar, a special token.

    person: %json {"type": "object"}          a JSON value that satisfies the schema
    year: %regex /[0-9]{4}/                   a text that matches the pattern, outside of the race of terminals
    sum: %lark { start: NUM ("+" NUM)* ... }  a text of another grammar, with its own terminals
    tool: <|python_tag|> code                 one special token of the vocabulary

They are taken out of the text before lark reads it: each becomes a terminal that is declared and has no pattern. Lines
and columns stay as they are.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from outlines.exceptions import GrammarError

__all__ = ["EXTENSION", "Embedded", "take_out"]

#: What may hold text that looks like an extension and is none: comments, strings, patterns.
_SKIPPED = re.compile(r'//[^\n]*|(?<![\w"\'/])\#[^\n]*|"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/')
EXTENSION = re.compile(r"%(json|regex|lark)(?!\w)|<\|[^|<>\s]+\|>")
_SPACE = re.compile(r"\s*")
_PATTERN = re.compile(r'/((?:\\.|[^/\\\n])+)/([imslux]*)|"((?:\\.|[^"\\\n])*)"')


class Embedded(NamedTuple):
    """A part that is no terminal of the grammar: `kind` "json", "regex", "lark" or "special", its value, its place."""

    kind: str
    value: Any
    line: int
    column: int


def take_out(text: str) -> tuple[str, dict[str, Embedded]]:
    """Put a declared terminal in the place of each extension.

    Raises
    ------
    GrammarError
        If the value of one can't be read.
    """
    found: dict[str, Embedded] = {}
    pieces, place, kept = [], 0, 0
    owed = (
        0  # line ends that were within what was taken out: put where the line ends, so that later lines stay
    )
    while place < len(text):
        if owed and text[place] == "\n":
            pieces.append(text[kept:place] + "\n" * owed)
            kept, owed = place, 0
        skipped = _SKIPPED.match(text, place)
        if skipped:
            place = skipped.end()
            continue
        extension = EXTENSION.match(text, place)
        if extension is None:
            place += 1
            continue
        line = text.count("\n", 0, place) + 1
        column = place - text.rfind("\n", 0, place)
        kind = extension[1] or "special"
        if kind == "special":
            value, end = extension[0], extension.end()
        else:
            begin = _SPACE.match(text, extension.end()).end()  # type: ignore[union-attr]
            value, end = _READERS[kind](text, begin, line, column)
        name = f"OUT_{kind.upper()}_{len(found)}"
        found[name] = Embedded(kind, value, line, column)
        taken = text[place:end]
        pieces.append(text[kept:place] + name.ljust(0 if "\n" in taken else len(taken)) + " ")
        owed += taken.count("\n")
        place = kept = end
    pieces.append(text[kept:])
    declared = "".join(f"\n%declare {name}" for name in found)
    return "".join(pieces) + declared, found


def _read_json(text: str, begin: int, line: int, column: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, begin)
    except json.JSONDecodeError as error:
        at = text.count("\n", 0, error.pos) + 1, error.pos - text.rfind("\n", 0, error.pos)
        raise GrammarError(f"%json: {error.msg}. A JSON Schema must follow", *at) from None


def _read_regex(text: str, begin: int, line: int, column: int) -> tuple[Any, int]:
    match = _PATTERN.match(text, begin)
    if match is None:
        raise GrammarError("%regex: a pattern between slashes must follow", line, column)
    if match[3] is not None:
        return match[3], match.end()
    pattern = match[1].replace("\\/", "/")
    return (f"(?{match[2]}:{pattern})" if match[2] else pattern), match.end()


def _read_lark(text: str, begin: int, line: int, column: int) -> tuple[Any, int]:
    if text[begin : begin + 1] != "{":
        raise GrammarError("%lark: a grammar in braces must follow", line, column)
    depth, place = 0, begin
    while place < len(text):
        skipped = _SKIPPED.match(text, place)
        if skipped:
            place = skipped.end()
            continue
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
        if depth == 0:
            return text[begin + 1 : place - 1], place
    raise GrammarError("%lark: the brace that begins the grammar is never closed", line, column)


_READERS = {"json": _read_json, "regex": _read_regex, "lark": _read_lark}
