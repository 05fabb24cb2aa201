"""The white space between the parts of a JSON text, and how deep it's nested.

`WS` is what the pattern of white space matches. Its places are those of Outlines ("upstream"), or all that JSON has:

    upstream    { WS "name" WS : WS value WS , WS "name" ... WS }       [ WS value , WS value WS ]     [ WS WS ]
    any         the same, and also    [ WS value WS , WS value WS ]     [ WS ]      WS value WS
    indent      what `json.dumps(value, indent=...)` writes
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from outlines.constraints.expression import EPSILON, Expression
from outlines.constraints.items import Literal, Symbols
from outlines.constraints.regex import read
from outlines.types.json_options import JsonOptions

__all__ = ["MAX_WHITESPACE", "Depth", "Layout"]

#: White space in a run of "any", so that a model can't write blanks for ever.
MAX_WHITESPACE = 20

_PATTERNS = {"upstream": "[ ]?", "compact": "", "any": rf"[ \t\n\r]{{0,{MAX_WHITESPACE}}}"}


class Depth(NamedTuple):
    """Where a value stands: in how many indented containers, and how many may still be nested in it (None: any)."""

    level: int = 0
    budget: int | None = None


class Layout:
    """The white space at each place of an array or object, as the symbols to write there.

    Parameters
    ----------
    options
        `whitespace_pattern` or `indent` say what it is, `max_depth` how deep values may be nested of which the schema
        says nothing.
    """

    def __init__(self, options: JsonOptions):
        pattern = options.whitespace_pattern
        self._indent = options.indent
        self._max_depth = options.max_depth
        self._lines: dict[int, Literal] = {}
        space = _read_space(_PATTERNS.get(pattern or "upstream", pattern) if pattern != "" else "")
        self._is_any = pattern == "any"
        if options.indent is not None:
            space = EPSILON
        self._space = _symbols(space)
        #: Around the colon of a member.
        self.before_colon = self._space
        self.after_colon = (Literal(b" "),) if options.indent is not None else self._space
        #: After the value of a member, whatever comes then; before the comma after an element.
        self.after_member = self._space
        self.array_comma = self._space if self._is_any else ()
        #: Around the whole text.
        self.around = self._space if self._is_any else ()

    def below(self, depth: Depth) -> Depth:
        """Give the depth of what stands in a container at a depth."""
        level = 0 if self._indent is None else depth.level + 1
        return Depth(level, None if depth.budget is None else depth.budget - 1)

    def enter(self, depth: Depth, is_anything: Callable[[], bool]) -> Depth:
        """Give the depth of a value; the budget counts from the first of which the schema says nothing."""
        if self._max_depth is None:
            return depth
        if not is_anything():
            return depth._replace(budget=None)
        return depth._replace(budget=self._max_depth) if depth.budget is None else depth

    def opened(self) -> Symbols:
        """Give what follows an opening bracket, whatever comes then."""
        return self._space

    def first(self, depth: Depth) -> Symbols:
        """Give what stands before the first member or element of a container, after `opened`."""
        return self._line(depth.level + 1)

    def next(self, depth: Depth) -> Symbols:
        """Give what follows a comma."""
        return self._line(depth.level + 1) or self._space

    def closing_object(self, depth: Depth) -> Symbols:
        """Give what stands before the brace that closes an object with members, after `after_member`."""
        return self._line(depth.level)

    def closing_array(self, depth: Depth) -> Symbols:
        """Give what stands before the bracket that closes an array with elements."""
        return self._line(depth.level) or self._space

    def empty_array(self, may_have_elements: bool) -> Symbols:
        """Give what stands in an empty array, after `opened`; Outlines allows twice the white space in some."""
        return self._space if may_have_elements and not self._is_any else ()

    def _line(self, level: int) -> Symbols:
        if self._indent is None:
            return ()
        found = self._lines.get(level)
        if found is None:
            found = self._lines[level] = Literal(b"\n" + b" " * (self._indent * level))
        return (found,)


@lru_cache(maxsize=64)
def _read_space(pattern: str) -> Expression:
    return read(pattern)


def _symbols(space: Expression) -> Symbols:
    return () if space is EPSILON else (space,)
