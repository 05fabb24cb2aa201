"""A finite automaton as a term, by eliminating its states one after the other (Brzozowski and McCluskey 1963)."""

from __future__ import annotations

import re
from typing import Any

from outlines.exceptions import LimitError
from outlines.types.dsl import Alternatives, KleeneStar, Regex, Sequence, String, Term

__all__ = ["term_of_machine"]

#: States of an automaton, and parts of the term that is made of it: eliminating a state may square them.
MAX_MACHINE_STATES = 1_000
MAX_MACHINE_PARTS = 20_000


def term_of_machine(machine: Any) -> Term:
    """Give the term of the texts that an automaton accepts.

    Parameters
    ----------
    machine
        `initial`, `finals` (a set of states), `map` (state -> symbol -> state) and `alphabet` (character -> symbol), as
        the automata of `interegular` have them. The one key of the alphabet that is no character stands for all
        characters that aren't keys.
    """
    symbols: dict[Any, list[str]] = {}
    others = None
    for character, symbol in machine.alphabet.items():
        if isinstance(character, str):
            symbols.setdefault(symbol, []).append(character)
        else:
            others = symbol
    known = "".join(character for characters in symbols.values() for character in characters)

    edges = _Edges()
    for start, moves in machine.map.items():
        for symbol, end in moves.items():
            if symbol in symbols:
                edges.add(start, end, Regex(f"[{re.escape(''.join(symbols[symbol]))}]"), 1)
            if symbol == others:
                edges.add(start, end, Regex(f"[^{re.escape(known)}]" if known else r"[\s\S]"), 1)
    states = {machine.initial, *machine.finals, *edges.incoming, *edges.outgoing}
    if len(states) > MAX_MACHINE_STATES:
        raise _too_large("MAX_MACHINE_STATES", f"has {len(states)} states, and {MAX_MACHINE_STATES} are taken")
    before, after = object(), object()
    edges.add(before, machine.initial, String(""), 1)
    for final in machine.finals:
        edges.add(final, after, String(""), 1)
    while states:
        cheapest = min(states, key=edges.num_passages)
        states.remove(cheapest)
        edges.eliminate(cheapest)
    found = edges.outgoing.get(before, {}).get(after)
    return Alternatives([]) if found is None else found[0]


class _Edges:
    """What leads from state to state: a term, and of how many parts it is."""

    def __init__(self) -> None:
        self.outgoing: dict[Any, dict[Any, tuple[Term, int]]] = {}
        self.incoming: dict[Any, set[Any]] = {}

    def add(self, start: Any, end: Any, term: Term, num_parts: int) -> None:
        ends = self.outgoing.setdefault(start, {})
        if end in ends:
            other, num_others = ends[end]
            term, num_parts = Alternatives([*_parts(other, Alternatives), term]), num_parts + num_others
        if num_parts > MAX_MACHINE_PARTS:
            raise _too_large("MAX_MACHINE_PARTS", f"becomes a term of more than {MAX_MACHINE_PARTS} parts")
        ends[end] = term, num_parts
        self.incoming.setdefault(end, set()).add(start)

    def num_passages(self, state: Any) -> int:
        """Count the pairs of a way in and a way out."""
        return len(self.incoming.get(state, ())) * len(self.outgoing.get(state, ()))

    def eliminate(self, state: Any) -> None:
        """Let every passage through a state lead past it."""
        out = self.outgoing.pop(state, {})
        into = {start: self.outgoing[start].pop(state) for start in self.incoming.pop(state, set()) - {state}}
        loop, num_loop_parts = out.pop(state, (None, 0))
        middle = [] if loop is None else [KleeneStar(loop)]
        # Long automata give flat sequences, not deep ones.
        for end in out:
            self.incoming[end].discard(state)
        for start, (first, num_first) in into.items():
            for end, (last, num_last) in out.items():
                num_parts = num_first + num_loop_parts + num_last
                terms = [*_parts(first, Sequence), *middle, *_parts(last, Sequence)]
                self.add(start, end, Sequence(terms), num_parts)


def _parts(term: Term, kind: type[Alternatives] | type[Sequence]) -> list[Term]:
    return term.terms if isinstance(term, kind) else [term]


def _too_large(limit: str, how: str) -> LimitError:
    return LimitError(limit, f"the automaton {how}; write it as a pattern or a grammar")
