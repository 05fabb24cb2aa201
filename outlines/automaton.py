"""The automaton of a constraint: heads, tails, threads and states, made as they are met.

A *thread* is one way to be in the language: a head (the regular piece being read) and a tail (what must follow, an
interned list that is also the stack). A *state* is a set of threads and whether the text may end here. Tails and
states are interned, so equal ones are one number. Every thread can be finished: items that no text satisfies are
dropped where they are made, so a state that exists is live.

Threads are pairs (head, tail). Tail 0 is the end of the text.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from outlines.constraints.expression import EMPTY, EPSILON, Expression
from outlines.constraints.items import Head, Item, Literal, Symbol, Symbols

__all__ = ["END", "Automaton", "Closure", "HeadSymbol", "Thread"]

END = 0

HeadSymbol: TypeAlias = "Expression | Head"
Thread: TypeAlias = "tuple[HeadSymbol, int]"


class Closure(NamedTuple):
    """Where a text may go on: the threads, and whether it may end."""

    threads: tuple[Thread, ...]
    is_accepting: bool


DEAD = Closure((), False)


class Automaton:
    """Tails and their closures, for the symbols of one constraint.

    Parameters
    ----------
    start
        The symbols that a whole text must match.
    """

    def __init__(self, start: Symbols):
        self._symbols: list[Symbol | None] = [None]  # of each tail: the symbol that comes up
        self._rests: list[int] = [END]  # of each tail: the tail under it
        self._tails: dict[tuple[Symbol, int], int] = {}
        self._closures: list[Closure | None] = [Closure((), True)]
        self._expansions: dict[Item, tuple[Symbols, ...]] = {}
        self.start = self.closure(self.push(start, END))

    def push(self, symbols: Symbols, tail: int) -> int:
        """Give the tail of `symbols` followed by `tail`."""
        for symbol in reversed(symbols):
            key = (symbol, tail)
            found = self._tails.get(key)
            if found is None:
                found = self._tails[key] = len(self._symbols)
                self._symbols.append(symbol)
                self._rests.append(tail)
                self._closures.append(None)
            tail = found
        return tail

    def closure(self, tail: int) -> Closure:
        """Give the threads that may start at a tail: items are expanded, heads that may be empty are also skipped."""
        found = self._closures[tail]
        if found is None:
            found = self._closures[tail] = self._find_closure(tail)
        return found

    def _find_closure(self, tail: int) -> Closure:
        symbol = self._symbols[tail]
        if type(symbol) is Literal:  # the usual case, and the simple one
            return Closure(((symbol, self._rests[tail]),), False)
        threads: dict[Thread, None] = {}
        is_accepting = False
        seen = {tail}
        stack = [tail]
        while stack:
            at = stack.pop()
            known = self._closures[at]
            if known is not None:
                threads.update(dict.fromkeys(known.threads))
                is_accepting |= known.is_accepting
                continue
            symbol, rest = self._symbols[at], self._rests[at]
            if isinstance(symbol, Item):
                alternatives = self._expansions.get(symbol)
                if alternatives is None:
                    alternatives = self._expansions[symbol] = tuple(symbol.expand())
                nexts = [self.push(symbols, rest) for symbols in alternatives]
            else:
                assert symbol is not None
                nexts = []
                self._start_head(symbol, rest, threads, nexts)
            for following in nexts:
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        return Closure(tuple(threads), is_accepting)

    def _start_head(self, head: HeadSymbol, rest: int, threads: dict[Thread, None], ended: list[int]) -> None:
        """Add the thread of a head; where the head may end, add what follows it to `ended`."""
        if isinstance(head, Expression):
            if head.nullable:
                ended.append(rest)
                if len(head.transitions()[1]) == 1 and head.transitions()[1][0] is EMPTY:
                    return
            threads[head, rest] = None
            return
        if head.ended is not None:
            ended.append(self.push(head.ended, rest))
        if head.is_open:
            threads[head, rest] = None

    def step(self, threads: tuple[Thread, ...], byte: int) -> Closure:
        """Read one byte in every thread."""
        result: dict[Thread, None] = {}
        is_accepting = False
        for head, tail in threads:
            ended: list[int] = []
            if isinstance(head, Expression):
                following = head.step(byte)
                if following is EMPTY:
                    continue
                if following is EPSILON:
                    ended.append(tail)
                else:
                    self._start_head(following, tail, result, ended)
            else:
                outcome = head.step(byte)
                if outcome is None:
                    continue
                successor, under = outcome
                below = self.push(under, tail) if under else tail
                if successor is None:
                    ended.append(below)
                else:
                    assert not isinstance(successor, Item)
                    self._start_head(successor, below, result, ended)
            for exit_tail in ended:
                closure = self.closure(exit_tail)
                result.update(dict.fromkeys(closure.threads))
                is_accepting |= closure.is_accepting
        return Closure(tuple(result), is_accepting)

    def run(self, threads: tuple[Thread, ...], text: bytes) -> Closure:
        """Read the bytes of a token; no threads and not accepting if it's forbidden."""
        place, end = 0, len(text)
        current = Closure(threads, False)
        while place < end:
            threads = current.threads
            if len(threads) == 1 and type(threads[0][0]) is Literal:
                head, tail = threads[0]
                length = min(end - place, len(head.text) - head.offset)
                if text[place : place + length] != head.text[head.offset : head.offset + length]:
                    return DEAD
                place += length
                rest = head.at(head.offset + length)
                current = Closure(((rest, tail),), False) if rest.is_open else self.closure(tail)
                continue
            current = self.step(threads, text[place])
            place += 1
            if not current.threads and (place < end or not current.is_accepting):
                return DEAD
        return current
