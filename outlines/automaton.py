"""The automaton of a constraint: heads, tails, threads and states, made as they are met.

A *tail* is a list of symbols still to come, which is also the stack: a symbol on top and the tail under it. Tails are
interned, so a tail is a number; 0 is the end of the text. A *thread*, one way to be in the language, is a tail with a
head on top, the piece being read. A *state* is a set of threads, with 0 among them where the text may end.

Every thread can be finished: items that no text satisfies are dropped where they are made, so a state that exists is
live. All is numbers in flat lists and dictionaries, which the garbage collector passes over.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from outlines.constraints.expression import EMPTY, EPSILON, Expression
from outlines.constraints.items import Head, Item, Literal, Repeated, SpecialToken, Symbol, Symbols

__all__ = ["END", "Automaton", "HeadSymbol", "Threads"]

END = 0

HeadSymbol: TypeAlias = "Expression | Head"

#: The threads of a state, and END where the text may end. Empty: no text goes on so.
Threads: TypeAlias = "tuple[int, ...]"


class Automaton:
    """The tails of one constraint, and where they lead.

    Parameters
    ----------
    start
        The symbols that a whole text must match.

    Attributes
    ----------
    symbols : list
        The symbol on top of each tail.
    rests : list of int
        The tail under it.
    start : tuple of int
        The threads of a text that has not begun.
    """

    def __init__(self, start: Symbols):
        self.symbols: list[Symbol] = [EPSILON]
        self.rests: list[int] = [END]
        self._tails: dict[int, int] = {}
        self._closures: list[Threads | None] = [(END,)]
        self._expansions: dict[Item, tuple[Symbols, ...]] = {}
        self._without_names: dict[int, int] = {END: END}
        self.start = self.closure(self.push(start, END))

    def put(self, symbol: Symbol, tail: int) -> int:
        """Give the tail with a symbol on top of another tail."""
        key = id(symbol) << 32 | tail  # the symbol is kept in a list, so its id stays its own
        found = self._tails.get(key)
        if found is None:
            found = self._tails[key] = len(self.symbols)
            self.symbols.append(symbol)
            self.rests.append(tail)
            self._closures.append(None)
        return found

    def push(self, symbols: Symbols, tail: int) -> int:
        """Give the tail of `symbols` followed by `tail`."""
        for symbol in reversed(symbols):
            tail = self.put(symbol, tail)
        return tail

    def without_names(self, tail: int) -> int:
        """Give the tail whose items don't know which names were written, as `Item.without_names`."""
        known, at, above = self._without_names, tail, []
        while at not in known:
            above.append(at)
            at = self.rests[at]
        for at in reversed(above):
            symbol, rest = self.symbols[at], known[self.rests[at]]
            plain = symbol.without_names() if isinstance(symbol, Item) else symbol
            known[at] = at if plain is symbol and rest == self.rests[at] else self.put(plain, rest)
        return known[tail]

    def expand(self, item: Item) -> tuple[Symbols, ...]:
        """Give the sequences of symbols that an item stands for."""
        found = self._expansions.get(item)
        if found is None:
            found = self._expansions[item] = tuple(item.expand())
        return found

    def closure(self, tail: int) -> Threads:
        """Give the threads that may start at a tail: items are expanded, heads that may be empty are also skipped."""
        found = self._closures[tail]
        if found is None:
            is_plain = type(self.symbols[tail]) is Literal  # the usual case, and the simple one
            found = (tail,) if is_plain else self._find_closure(tail)
            self._closures[tail] = found
        return found

    def _find_closure(self, tail: int) -> Threads:
        threads: dict[int, None] = {}
        seen = {tail}
        repeated: dict[tuple[int, int], Repeated] = {}
        stack = [tail]
        while stack:
            at = stack.pop()
            known = self._closures[at]
            if known is not None:
                threads.update(dict.fromkeys(known))
                continue
            symbol, rest = self.symbols[at], self.rests[at]
            nexts: list[int] = []
            if isinstance(symbol, Repeated):
                # An empty repetition only uses up the count: what follows it is among what follows the first one.
                key = (id(symbol.family), rest)
                known_bounds = repeated.setdefault(key, symbol)
                if known_bounds is not symbol and known_bounds.includes(symbol):
                    continue
            if isinstance(symbol, Item):
                for symbols in self.expand(symbol):
                    if symbols and not isinstance(symbols[0], Item):
                        self._begin(symbols[0], self.push(symbols[1:], rest), threads, nexts)
                    else:
                        nexts.append(self.push(symbols, rest))
            else:
                self._begin(symbol, rest, threads, nexts)
            for following in nexts:
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        return tuple(threads)

    def _begin(self, head: HeadSymbol, rest: int, threads: dict[int, None], ended: list[int]) -> None:
        """Add the thread of a head; where the head may end, add the tail that follows it to `ended`."""
        if isinstance(head, Expression):
            if head.nullable:
                ended.append(rest)
                if head is EPSILON:
                    return
            threads[self.put(head, rest)] = None
            return
        if head.ended is not None:
            ended.append(self.push(head.ended, rest) if head.ended else rest)
        if head.is_open:
            threads[self.put(head, rest)] = None

    def step(self, threads: Threads, byte: int) -> Threads:
        """Read one byte in every thread."""
        result: dict[int, None] = {}
        ended: list[int] = []
        symbols, rests = self.symbols, self.rests
        for thread in threads:
            if thread == END:
                continue
            head, tail = symbols[thread], rests[thread]
            if isinstance(head, Expression):
                following = head.step(byte)
                if following is EPSILON:
                    ended.append(tail)
                elif following is not EMPTY:
                    self._begin(following, tail, result, ended)
                continue
            outcome = head.step(byte)  # type: ignore[union-attr]
            if outcome is None:
                continue
            successor, under = outcome
            below = self.push(under, tail) if under else tail
            if successor is None:
                ended.append(below)
            else:
                assert not isinstance(successor, Item)
                self._begin(successor, below, result, ended)
        for tail in ended:
            result.update(dict.fromkeys(self.closure(tail)))
        return tuple(result)

    def after_special(self, threads: Threads, names: Collection[str]) -> Threads:
        """Read a special token that has any of some names."""
        result: dict[int, None] = {}
        for thread in threads:
            symbol = self.symbols[thread]
            if type(symbol) is SpecialToken and symbol.name in names:
                result.update(dict.fromkeys(self.closure(self.rests[thread])))
        return tuple(result)

    def run(self, threads: Threads, text: bytes) -> Threads:
        """Read the bytes of a token."""
        place, end = 0, len(text)
        while place < end and threads:
            thread = threads[0]
            head = self.symbols[thread]
            if len(threads) == 1 and type(head) is Literal:  # read as much of it as there is
                length = min(end - place, len(head.text) - head.offset)
                if text[place : place + length] != head.text[head.offset : head.offset + length]:
                    return ()
                place += length
                rest, tail = head.at(head.offset + length), self.rests[thread]
                threads = (self.put(rest, tail),) if rest.is_open else self.closure(tail)
                continue
            threads = self.step(threads, text[place])
            place += 1
        return threads
