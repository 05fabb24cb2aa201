"""How JSON writes characters and strings: as they are, or as any of the escapes that the standard has (RFC 8259, 7).

A lone surrogate is no character, so neither it nor its escape is ever part of a string.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from outlines.constraints import characters
from outlines.constraints.characters import Characters
from outlines.constraints.expression import (
    EPSILON,
    Expression,
    byte_class,
    concat,
    intersection,
    literal,
    star,
    union,
)

__all__ = ["ANY_TEXT", "CHARACTER", "QUOTE", "STRING_REST", "Spelling", "dump", "encode", "is_text",
           "name_text", "spelling"]  # fmt: skip

QUOTE = literal(b'"')

#: Characters that stand for themselves within a string.
_UNESCAPED: Characters = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF))

#: Strings that JSON writes as they are: `json.dumps` takes several times as long.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")

_SHORT_ESCAPES = {
    0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x08: b"b", 0x0C: b"f", 0x0A: b"n", 0x0D: b"r", 0x09: b"t",
}  # fmt: skip


@lru_cache(maxsize=4096)
def encode(ranges: Characters) -> Expression:
    """Give the ways to write one character of a set within a JSON string."""
    return union(characters.utf8(characters.intersection(ranges, _UNESCAPED)), _escapes(ranges))


def _escapes(ranges: Characters) -> Expression:
    short = 0
    for code_point, letter in _SHORT_ESCAPES.items():
        if characters.contains(ranges, code_point):
            short |= 1 << letter[0]
    escapes = [byte_class(short)]
    for low, high in characters.intersection(ranges, characters.ALL):
        if low <= 0xFFFF:
            escapes.append(concat(literal(b"u"), _between(_hex(low, 4), _hex(min(high, 0xFFFF), 4))))
        if high > 0xFFFF:
            escapes.append(_surrogate_pairs(max(low, 0x10000), high))
    return concat(literal(b"\\"), union(*escapes))


def _surrogate_pairs(low: int, high: int) -> Expression:
    r"""Give `uD83D\uDE00` and its like for characters beyond the first plane."""
    ways: list[Expression] = []
    first, last = (low - 0x10000) >> 10, (high - 0x10000) >> 10
    for begin, end in ((first, first), (first + 1, last - 1), (last, last)):
        if begin > end or (begin == last and begin == first and ways):
            continue
        bottom = (low & 0x3FF) if begin == first else 0
        top = (high & 0x3FF) if end == last else 0x3FF
        ways.append(
            concat(
                literal(b"u"),
                _between(_hex(0xD800 + begin, 4), _hex(0xD800 + end, 4)),
                literal(b"\\u"),
                _between(_hex(0xDC00 + bottom, 4), _hex(0xDC00 + top, 4)),
            )
        )
    return union(*ways)


def _hex(value: int, num_digits: int) -> tuple[int, ...]:
    return tuple(value >> 4 * (num_digits - 1 - i) & 15 for i in range(num_digits))


def _between(low: tuple[int, ...], high: tuple[int, ...]) -> Expression:
    """Give the strings of hexadecimal digits from one to another of the same length."""
    if not low:
        return EPSILON
    zeros, full = (0,) * (len(low) - 1), (15,) * (len(low) - 1)
    if low[0] == high[0]:
        return concat(_digits(low[0], low[0]), _between(low[1:], high[1:]))
    begin, end = low[0], high[0]
    ways = []
    if low[1:] != zeros:
        ways.append(concat(_digits(begin, begin), _between(low[1:], full)))
        begin += 1
    if high[1:] != full:
        ways.append(concat(_digits(end, end), _between(zeros, high[1:])))
        end -= 1
    if begin <= end:
        ways.append(concat(_digits(begin, end), _between(zeros, full)))
    return union(*ways)


def _digits(low: int, high: int) -> Expression:
    mask = 0
    for digit in range(low, high + 1):
        for spelling in f"{digit:x}{digit:X}":
            mask |= 1 << ord(spelling)
    return byte_class(mask)


#: Any one character of a string.
CHARACTER = encode(characters.ALL)

#: Any characters of a string.
ANY_TEXT = star(CHARACTER)

#: The rest of any string, with its closing quote.
STRING_REST = concat(ANY_TEXT, QUOTE)


def dump(value: Any, ascii_only: bool = False) -> bytes:
    """Give the one text of a scalar value that is generated where a schema names it."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f'"{value}"'.encode()
    if isinstance(value, Decimal):
        return str(value).encode()
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def is_text(value: str) -> bool:
    """Tell whether a string is one of characters: a lone surrogate is none, and has no bytes in UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def name_text(name: str) -> bytes:
    """Give a name as one of its texts, without the opening quote and with the closing one."""
    return dump(name)[1:]


class Spelling:
    """How strings and names are spelt: in all ways, or in those of ASCII alone."""

    def __init__(self, ascii_only: bool):
        self._ascii_only = ascii_only
        #: The rest of any string, with its closing quote.
        self.string_rest = STRING_REST
        if ascii_only:
            self.string_rest = concat(star(union(_ASCII_AS_IT_IS, _escapes(characters.ALL))), QUOTE)

    def written(self, pattern: Expression) -> Expression:
        """Give the texts of a pattern, or of a part of one, that are spelt so."""
        if not self._ascii_only:
            return pattern
        return self.string_rest if pattern is STRING_REST else intersection(pattern, _ASCII_TEXT)

    def dump(self, value: Any) -> bytes:
        """Give the one text of a scalar value that the schema names."""
        return dump(value, self._ascii_only)

    def name_text(self, name: str) -> bytes:
        """Give a declared name as it's written, without the opening quote and with the closing one."""
        return self.dump(name)[1:]

    def canonical(self, name: bytes) -> bytes:
        """Give a name as `name_text` would write it, from any way to write it."""
        return name if b"\\" not in name else self.name_text(json.loads(b'"' + name))

    def unescape(self, escape: bytes) -> bytes:
        """Give an escape sequence (or a pair of surrogates) as `name_text` would write its character."""
        return self.dump(json.loads(b'"' + escape + b'"'))[1:-1]


_ASCII_TEXT = star(byte_class((1 << 128) - 1))
_ASCII_AS_IT_IS = characters.utf8(characters.intersection(((0, 0x7F),), _UNESCAPED))


@cache
def spelling(ascii_only: bool) -> Spelling:
    """Give the one spelling of a kind."""
    return Spelling(ascii_only)
