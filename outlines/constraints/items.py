"""What a constraint is made of, as plain data: heads, and items that expand into sequences of them.

A *symbol* is a head or an item. The automaton keeps a tail, a list of symbols still to come; when an item comes up it
is expanded into its alternatives, each a sequence of symbols, and when a head comes up bytes are read along it.
Symbols are compared by identity: whoever makes them gives the same object for the same meaning, so that states are
found again. Expansion is lazy, so an item may be recursive.

Heads:

    Expression      a regular language (expression.py), ending wherever it is nullable
    Literal         one string of bytes
    WordNode        one of a set of strings: a place in their tree
    Text            the rest of a JSON string with its closing quote, and how many characters it may have (strings.py)
    Keys            the rest of a member's name with its closing quote: one of some names, or a free one (names.py)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeAlias

from outlines.constraints.expression import Expression

__all__ = [
    "Alternatives",
    "Head",
    "Item",
    "Literal",
    "Repeated",
    "SpecialToken",
    "Symbol",
    "Symbols",
    "Union",
    "WordNode",
    "words",
]


class Item(ABC):
    """An element of a tail that is expanded when it comes up."""

    __slots__ = ()

    @abstractmethod
    def expand(self) -> Alternatives:
        """Give the sequences of symbols that this stands for; none of them without a text. Asked for once."""

    def is_nullable(self) -> bool:
        """Tell whether the empty text is among those that this stands for."""
        return False

    def without_names(self) -> Item:
        """Give this as if no name had been written before: it allows all that this does.

        Further texts must be those that, after a comma, hold a name written before from quote to quote.
        """
        return self

    def release(self) -> None:
        """Let go of what leads back here, once nobody will expand it again.

        Items are recursive; without this they would wait for the garbage collector.
        """
        return


class Head(ABC):
    """A regular piece that reads bytes, where an Expression would be too general or too slow."""

    __slots__ = ()

    #: Symbols that follow before the tail if the head may end here; None if it may not.
    ended: Symbols | None = None
    #: Whether the head can read a byte.
    is_open: bool = True

    @abstractmethod
    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte: None if it's forbidden, else the head to go on with and the symbols to put under it."""

    def release(self) -> None:
        """Let go of what leads back here, as `Item.release`."""
        return


class SpecialToken(Head):
    """One special token of the vocabulary, by its name: it has no bytes, so no byte leads on."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def step(self, byte: int) -> None:
        """Read a byte: none is right."""
        return

    def __repr__(self) -> str:
        return f"SpecialToken({self.name!r})"


class Literal(Head):
    """One string of bytes, from an offset on. `rests` holds its other offsets, so that each is one object."""

    __slots__ = ("text", "offset", "rests", "is_open", "ended")

    def __init__(self, text: bytes, offset: int = 0, rests: dict[int, Literal] | None = None):
        self.text = text
        self.offset = offset
        self.rests: dict[int, Literal] = {} if rests is None else rests
        self.is_open = offset < len(text)
        self.ended = None if self.is_open else ()
        self.rests[offset] = self

    def release(self) -> None:
        """Forget the other offsets."""
        self.rests.clear()

    def at(self, offset: int) -> Literal:
        """Give the rest of the literal from another offset."""
        found = self.rests.get(offset)
        return found if found is not None else Literal(self.text, offset, self.rests)

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read its next byte."""
        if not self.is_open or self.text[self.offset] != byte:
            return None
        return self.at(self.offset + 1), ()

    def __repr__(self) -> str:
        return f"Literal({self.text[self.offset :]!r})"


class WordNode(Head):
    """A place in the tree of a set of words: a run of the sorted words that share their first `depth` bytes.

    Children are found when first asked for, so a set of 50,000 words costs its sorting.
    """

    __slots__ = ("texts", "ids", "low", "high", "depth", "_children", "_sorted_ids", "_literal", "is_open", "ended")

    def __init__(self, texts: list[bytes], ids: list[int], low: int, high: int, depth: int):
        self.texts = texts
        self.ids = ids
        self.low = low
        self.high = high
        self.depth = depth
        self._children: dict[int, WordNode] | None = None
        self._sorted_ids: list[int] | None = None
        self._literal: Literal | None = None
        self.ended = () if len(texts[low]) == depth else None
        self.is_open = high - low > 1 or self.ended is None

    @property
    def word(self) -> int | None:
        """The id of the word that ends here."""
        return self.ids[self.low] if self.ended is not None else None

    def children(self) -> dict[int, WordNode]:
        """Give the places one byte on, by the byte."""
        found = self._children
        if found is None:
            found = {}
            depth, start = self.depth, self.low + (self.ended is not None)
            while start < self.high:
                byte = self.texts[start][depth]
                end = start + 1
                while end < self.high and self.texts[end][depth] == byte:
                    end += 1
                found[byte] = WordNode(self.texts, self.ids, start, end, depth + 1)
                start = end
            self._children = found
        return found

    def between(self, first: int, last: int) -> tuple[int, bool] | None:
        """Give the first id of a word below from `first` to `last`, and whether it's the only one."""
        ids = self._sorted_ids
        if ids is None:
            ids = self._sorted_ids = sorted(self.ids[self.low : self.high])
        place = bisect_left(ids, first)
        if place == len(ids) or ids[place] > last:
            return None
        return ids[place], place + 1 == len(ids) or ids[place + 1] > last

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read the next byte of a word; where only one word is left, it goes on as a literal."""
        child = self.children().get(byte)
        if child is None:
            return None
        if child.high - child.low == 1 and child.ended is None:
            if child._literal is None:
                child._literal = Literal(child.texts[child.low], child.depth)
            return child._literal, ()
        return child, ()

    def __repr__(self) -> str:
        return f"WordNode({self.texts[self.low : self.high][:4]!r}, depth={self.depth})"


def words(texts: Sequence[bytes]) -> WordNode:
    """Give the root of the tree of some words; a word's id is its place in `texts`. Words must differ."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return WordNode([texts[i] for i in order], order, 0, len(order), 0)


class Union(Item):
    """Any of some sequences of symbols."""

    __slots__ = ("alternatives",)

    def __init__(self, *alternatives: Symbols):
        self.alternatives = alternatives

    def expand(self) -> Alternatives:
        """Give the sequences."""
        return self.alternatives

    def is_nullable(self) -> bool:
        """Tell whether one of the sequences may be empty."""
        return any(are_nullable(symbols) for symbols in self.alternatives)


class Repeated(Item):
    """`low` to `high` times some symbols (`high` None: without bound).

    Bounds shrink as it is expanded; nothing is unrolled. `family` holds the same repetition with other bounds.
    """

    __slots__ = ("body", "low", "high", "family")

    def __init__(
        self,
        body: Symbols,
        low: int = 0,
        high: int | None = None,
        family: dict[tuple[int, int | None], Repeated] | None = None,
    ):
        self.body = body
        self.low = 0 if are_nullable(body) else low
        self.high = high
        self.family: dict[tuple[int, int | None], Repeated] = {} if family is None else family
        self.family[low, high] = self

    def includes(self, other: Repeated) -> bool:
        """Tell whether every number of times that another repetition of the same body allows is allowed here."""
        return self.low <= other.low and (self.high is None or (other.high is not None and other.high <= self.high))

    def is_nullable(self) -> bool:
        """Tell whether none is enough."""
        return self.low == 0

    def release(self) -> None:
        """Forget the other bounds."""
        self.family.clear()

    def expand(self) -> Alternatives:
        """Once more, or no more where `low` is 0."""
        stop: Alternatives = ((),) if self.low == 0 else ()
        if self.high == 0:
            return stop
        bounds = max(self.low - 1, 0), None if self.high is None else self.high - 1
        rest = self.family.get(bounds)
        if rest is None:
            rest = Repeated(self.body, *bounds, self.family)
        return ((*self.body, rest), *stop)


def are_nullable(symbols: Symbols) -> bool:
    """Tell whether a sequence of symbols may be the empty text."""
    return all(
        symbol.nullable
        if isinstance(symbol, Expression)
        else symbol.is_nullable()
        if isinstance(symbol, Item)
        else symbol.ended is not None
        for symbol in symbols
    )


Symbol: TypeAlias = "Expression | Head | Item"
Symbols: TypeAlias = "tuple[Symbol, ...]"
Alternatives: TypeAlias = "Sequence[Symbols]"
