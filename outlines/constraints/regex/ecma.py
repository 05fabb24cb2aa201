"""Patterns of ECMA-262, whose syntax JSON Schema asks for, into a tree."""

from __future__ import annotations

import re

from outlines.constraints import characters
from outlines.constraints.characters import Characters
from outlines.constraints.regex.lookarounds import boundary, lookahead, lookbehind
from outlines.constraints.regex.tree import (
    AT_BEGIN,
    AT_END,
    NOT_REGULAR,
    Ahead,
    Alternatives,
    Behind,
    Node,
    OneOf,
    one_of,
    repetition,
    sequence,
)
from outlines.exceptions import PatternError

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<low>[0-9]+)(?P<comma>,(?P<high>[0-9]*))?\})\??")
_HEX = {"x": re.compile(r"x([0-9a-fA-F]{2})"), "u": re.compile(r"u(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{4}))")}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_ECMA_CLASSES = {"d": characters.ECMA_DIGIT, "w": characters.ECMA_WORD, "s": characters.ECMA_SPACE}
_PROPERTY = re.compile(r"\{(\w+)(?:=(\w+))?\}")
_ECMA_GROUP = re.compile(r"\((?:\?(?:(?P<look><?[=!])|:|<(?P<name>[\w$]+)>))?")


class EcmaReader:
    r"""Reads ECMA-262 with the flag `u`, and what the wild has that only its absence allows: `\-`, a lone `{`."""

    def __init__(self, pattern: str, flags: int = 0):
        self.pattern = pattern
        self.index = 0
        self.tree = self._disjunction()
        if self.index < len(pattern):
            raise self._error(self.index, r"this parenthesis closes nothing. Write \) for the character.")

    def _error(self, position: int, problem: str) -> PatternError:
        return PatternError(self.pattern, position, problem)

    def _next(self) -> str:
        return self.pattern[self.index : self.index + 1]

    def _disjunction(self) -> Node:
        branches = [self._alternative()]
        while self._next() == "|":
            self.index += 1
            branches.append(self._alternative())
        return branches[0] if len(branches) == 1 else Alternatives(branches)

    def _alternative(self) -> Node:
        parts = []
        while self._next() not in ("", "|", ")"):
            start = self.index
            part = self._term()
            if quantifier := _QUANTIFIER.match(self.pattern, self.index):
                self.index = quantifier.end()
                part = self._quantified(part, quantifier, start)
            parts.append(part)
        return sequence(parts)

    def _quantified(self, body: Node, quantifier: re.Match[str], start: int) -> Node:
        sign = quantifier.group()[0]
        low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign, (0, None))
        if sign == "{":
            low = int(quantifier["low"])
            high = (
                low
                if quantifier["comma"] is None
                else int(quantifier["high"])
                if quantifier["high"]
                else None
            )
            if high is not None and high < low:
                raise self._error(quantifier.start(), "the least count is above the greatest. Swap them.")
        return repetition(body, low, high, self.pattern, start)

    def _term(self) -> Node:
        start = self.index
        if _QUANTIFIER.match(self.pattern, start):
            raise self._error(start, rf"there is nothing to repeat. Write \{self._next()} for the character.")
        char = self._next()
        if char == "(":
            return self._group()
        self.index += 1
        if char == "[":
            return self._class(start)
        if char == "\\":
            if self._next() in ("b", "B"):
                self.index += 1
                return boundary(characters.ECMA_WORD, negated=self.pattern[start + 1] == "B")
            return one_of(self._escape(start, in_class=False))
        if char == ".":
            return OneOf(characters.complement(characters.ECMA_NEWLINE))
        if char == "^":
            return Behind([(AT_BEGIN,)])
        if char == "$":
            return Ahead(None, [(AT_END,)])
        return one_of(characters.character(ord(char)))

    def _group(self) -> Node:
        start = self.index
        opened = _ECMA_GROUP.match(self.pattern, start)
        assert opened is not None
        self.index = opened.end()
        if self._next() == "?":
            raise self._error(
                start,
                "no group of ECMA-262 begins so. There are (?:...), (?<name>...), (?=...), (?!...), (?<=...) and "
                "(?<!...); flags such as (?i) can't be set inside a pattern.",
            )
        body = self._disjunction()
        if self._next() != ")":
            raise self._error(
                start, r"this parenthesis is never closed. Add ), or write \( for the character."
            )
        self.index += 1
        look = opened["look"]
        if look is None:
            return body
        if look[0] == "<":
            return lookbehind(body, look == "<!", self.pattern, start)
        return lookahead(body, look == "!", start)

    def _class(self, start: int) -> Node:
        is_negated = self._next() == "^"
        self.index += is_negated
        ranges: list[tuple[int, int]] = []
        while (char := self._next()) != "]":
            if not char:
                raise self._error(start, r"this class is never closed. Add ], or write \[ for the character.")
            position = self.index
            low = self._class_atom()
            if self._next() == "-" and self.pattern[self.index + 1 : self.index + 2] not in ("", "]"):
                self.index += 1
                high = self._class_atom()
                if len(low) == len(high) == 1 and low[0][0] == low[0][1] and high[0][0] == high[0][1]:
                    if low[0][0] > high[0][0]:
                        raise self._error(position, "this range is out of order. Swap its ends.")
                    ranges.append((low[0][0], high[0][0]))
                    continue
                ranges.append((0x2D, 0x2D))  # as in [\w-.], which means a hyphen
                ranges.extend(high)
            ranges.extend(low)
        self.index += 1
        members = characters.normalise(ranges)
        return one_of(characters.complement(members) if is_negated else members)

    def _class_atom(self) -> Characters:
        start = self.index
        self.index += 1
        char = self.pattern[start]
        return self._escape(start, in_class=True) if char == "\\" else characters.character(ord(char))

    def _escape(self, start: int, in_class: bool) -> Characters:
        """Read what follows a backslash, as the set of characters that it stands for."""
        char = self._next()
        self.index += 1
        if not char:
            raise self._error(start, r"the pattern ends in a backslash. Write \\ for the character.")
        if char.lower() in _ECMA_CLASSES:
            members = _ECMA_CLASSES[char.lower()]
            return members if char.islower() else characters.complement(members)
        if char in _CONTROLS:
            return characters.character(_CONTROLS[char])
        if char in "pP":
            return self._property(start)
        if char in "xu":
            return characters.character(self._hex(start, char))
        if char == "c" and (letter := self._next()).isascii() and letter.isalpha():
            self.index += 1
            return characters.character(ord(letter) % 32)
        if char == "0" and self._next() not in tuple("0123456789"):
            return characters.character(0)
        if char == "b" and in_class:
            return characters.character(8)
        if not in_class and (char in tuple("123456789") or (char == "k" and self._next() == "<")):
            raise self._error(start, NOT_REGULAR.format("back-references"))
        if char.isascii() and char.isalnum():
            raise self._error(
                start, rf"\{char} isn't an escape of ECMA-262 here. Write {char} for the character."
            )
        return characters.character(ord(char))

    def _hex(self, start: int, kind: str) -> int:
        found = _HEX[kind].match(self.pattern, start + 1)
        if found is None or int(found[found.lastindex or 1], 16) > 0x10FFFF:
            form = (
                r"two hexadecimal digits, as in \x41"
                if kind == "x"
                else r"a code point, as in \u0041 or \u{1F600}"
            )
            raise self._error(start, rf"\{kind} must be followed by {form}.")
        self.index = found.end()
        code_point = int(found[found.lastindex or 1], 16)
        if 0xD800 <= code_point < 0xDC00 and found.lastindex == 2:  # two escapes may spell one character
            low = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self.pattern, self.index)
            if low:
                self.index = low.end()
                return 0x10000 + ((code_point - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return code_point

    def _property(self, start: int) -> Characters:
        found = _PROPERTY.match(self.pattern, self.index)
        try:
            members = characters.ecma_property(*(found.groups() if found else ("",)))
        except KeyError:
            shown = self.pattern[start : found.end() if found else self.index]
            raise self._error(
                start,
                rf"{shown} isn't a property that ECMA-262 has for single characters: there are general categories "
                r"(\p{L}, \p{Lu}), scripts (\p{Script=Greek}, \p{scx=Grek}) and binary properties (\p{Alphabetic}), "
                r"spelt just so. Correct it, or write its ranges out, as in [\u0370-\u03ff].",
            ) from None
        assert found is not None
        self.index = found.end()
        return members if self.pattern[start + 1] == "p" else characters.complement(members)
