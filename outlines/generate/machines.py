"""A finite automaton as a term, by eliminating its states one after the other (Brzozowski and McCluskey 1963)."""

from __future__ import annotations

import re
from typing import Any

from outlines.exceptions import LimitError
from outlines.types.dsl import Alternatives, KleeneStar, Regex, Sequence, String, Term

__all__ = ["term_of_machine"]

#: States of an automaton; eliminating them may square the term each time.
MAX_MACHINE_STATES = 100


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

    edges: dict[tuple[Any, Any], Term] = {}

    def add(start: Any, end: Any, term: Term) -> None:
        edges[start, end] = Alternatives([edges[start, end], term]) if (start, end) in edges else term

    for start, moves in machine.map.items():
        for symbol, end in moves.items():
            if symbol in symbols:
                add(start, end, Regex(f"[{re.escape(''.join(symbols[symbol]))}]"))
            if symbol == others:
                add(start, end, Regex(f"[^{re.escape(known)}]" if known else r"[\s\S]"))
    states = {machine.initial, *machine.finals, *(state for pair in edges for state in pair)}
    if len(states) > MAX_MACHINE_STATES:
        raise LimitError(
            "MAX_MACHINE_STATES",
            f"the automaton has {len(states)} states, and {MAX_MACHINE_STATES} are taken; write it as a pattern",
        )
    before, after = object(), object()
    add(before, machine.initial, String(""))
    for final in machine.finals:
        add(final, after, String(""))
    for state in states:
        loop = edges.pop((state, state), None)
        middle = [] if loop is None else [KleeneStar(loop)]
        into = [(start, edges.pop((start, end))) for start, end in list(edges) if end == state]
        out = [(end, edges.pop((start, end))) for start, end in list(edges) if start == state]
        for start, first in into:
            for end, last in out:
                add(start, end, Sequence([first, *middle, last]))
    return edges.get((before, after), Alternatives([]))
