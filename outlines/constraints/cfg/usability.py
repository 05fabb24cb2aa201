"""What of a grammar no text ever uses: a fixpoint over its rules, once the terminals that never win are known."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from outlines.constraints.cfg.loading import Rule

__all__ = ["Unusable", "find_unusable"]


class Unusable(NamedTuple):
    """The rules and terminals of a grammar that none of its texts use.

    Attributes
    ----------
    rules : tuple of str
    terminals : tuple of str
        Their names; of one without a name the text or pattern, as it's written in the grammar.
    """

    rules: tuple[str, ...]
    terminals: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.rules or self.terminals)


def find_unusable(
    start: str, rules: Collection[Rule], terminals: Iterable[str], losers: Collection[str]
) -> tuple[set[str], set[str]]:
    """Give the rules, and the terminals, that no text uses.

    Parameters
    ----------
    start, rules, terminals
        The grammar. What is neither the origin of a rule nor among `losers` has a text.
    losers
        Terminals that never win.
    """
    origins = {rule.origin for rule in rules}
    finished: set[str] = set()
    waiting = {
        number: {symbol for symbol in rule.symbols if symbol in origins or symbol in losers}
        for number, rule in enumerate(rules)
    }
    uses: dict[str, list[int]] = {}
    for number, symbols in waiting.items():
        for symbol in symbols:
            uses.setdefault(symbol, []).append(number)
    rules = list(rules)
    ready = [number for number, symbols in waiting.items() if not symbols]
    whole = set(ready)
    while ready:
        origin = rules[ready.pop()].origin
        if origin not in finished:
            finished.add(origin)
            for number in uses.get(origin, ()):
                waiting[number].discard(origin)
                if not waiting[number] and number not in whole:
                    whole.add(number)
                    ready.append(number)
    used: set[str] = set()
    stack = [start] if start in finished else []
    by_origin: dict[str, list[Rule]] = {}
    for number in whole:
        by_origin.setdefault(rules[number].origin, []).append(rules[number])
    while stack:
        symbol = stack.pop()
        if symbol not in used:
            used.add(symbol)
            stack.extend(part for rule in by_origin.get(symbol, ()) for part in rule.symbols)
    return origins - used, set(terminals) - used
