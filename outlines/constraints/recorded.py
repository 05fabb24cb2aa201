"""Symbols whose text is remembered, because what may follow depends on it: the head `RecordedHead`.

Some symbols are run with the bytes that they have read; when all of them have ended, a *sink* gives what follows.
Such states belong to one text, and are never shared with another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from outlines.constraints.expression import EMPTY, EPSILON, Expression
from outlines.constraints.items import Alternatives, Head, Item, Literal, Symbol, Symbols

__all__ = ["Recorded", "RecordedHead", "Sink"]


class Sink(ABC):
    """What follows a text, and what follows any text.

    Attributes
    ----------
    has_open_strings : bool
        Whether, after a JSON string, only texts that hold another one after a comma, from quote to quote, are refused
        beside those that any text is followed by.
    """

    has_open_strings = False

    def __init__(self) -> None:
        self._expansions: dict[Item, Alternatives] = {}

    @abstractmethod
    def after(self, text: bytes) -> Symbols:
        """Give what follows a text."""

    @abstractmethod
    def otherwise(self) -> Symbols:
        """Give what may follow some text: at least what follows any one."""

    def expand(self, item: Item) -> Alternatives:
        """Give the alternatives of an item, asked for once."""
        found = self._expansions.get(item)
        if found is None:
            found = self._expansions[item] = tuple(item.expand())
        return found

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._expansions.clear()


class Recorded(Item):
    """Symbols still to come, the text read before them, and where it goes."""

    __slots__ = ("symbols", "text", "sink")

    def __init__(self, symbols: Symbols, text: bytes, sink: Sink):
        self.symbols = symbols
        self.text = text
        self.sink = sink

    def expand(self) -> Alternatives:
        """Give what the first symbol stands for, with the text kept beside it."""
        if not self.symbols:
            return (self.sink.after(self.text),)
        first, *rest = self.symbols
        if isinstance(first, Item):
            return [(Recorded((*ways, *rest), self.text, self.sink),) for ways in self.sink.expand(first)]
        if first is EPSILON:
            return ((Recorded(tuple(rest), self.text, self.sink),),)
        return ((RecordedHead(first, tuple(rest), self.text, self.sink),),)

    def release(self) -> None:
        """Let the sink forget its items."""
        self.sink.release()


class RecordedHead(Head):
    """A head, the symbols after it, the text read so far, and where it goes."""

    __slots__ = ("head", "rest", "text", "sink", "ended", "is_open")

    def __init__(self, head: Symbol, rest: Symbols, text: bytes, sink: Sink):
        assert not isinstance(head, Item)
        self.head = head
        self.rest = rest
        self.text = text
        self.sink = sink
        self.is_open = isinstance(head, Expression) or head.is_open
        under: Symbols | None = ()
        under = (() if head.nullable else None) if isinstance(head, Expression) else head.ended
        self.ended = None if under is None else (Recorded((*under, *rest), text, sink),)

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte along the head."""
        text = self.text + bytes((byte,))
        if isinstance(self.head, Expression):
            following = self.head.step(byte)
            if following is EMPTY:
                return None
            if following is EPSILON:
                return None, (Recorded(self.rest, text, self.sink),)
            return RecordedHead(following, self.rest, text, self.sink), ()
        outcome = self.head.step(byte)
        if outcome is None:
            return None
        successor, under = outcome
        below = (*under, *self.rest)
        if successor is None:
            return None, (Recorded(below, text, self.sink),)
        return RecordedHead(successor, below, text, self.sink), ()

    @property
    def first_byte(self) -> bytes:
        """Give the first byte of the text; b"" where it hasn't begun and may begin with another one."""
        head = self.head
        return self.text[:1] or (head.text[head.offset : head.offset + 1] if isinstance(head, Literal) else b"")

    def as_any(self) -> Symbols:
        """Give the symbols without the memory: they allow at least what this does."""
        return (self.head, *self.rest, *self.sink.otherwise())

    def release(self) -> None:
        """Let the sink forget its items."""
        self.sink.release()
