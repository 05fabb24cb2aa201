"""Where a text is among the rules of a grammar: parse states over the network, with interned sets as stacks.

A *tail* is a set of (state to return to, tail under it), or BOTTOM where the grammar's text ends; it is the stack, and
being a set it has all ways to be here at once. A *parse* is the set of (state, tail) in which a terminal may be read.
Both are interned, so what was met before is found again.
"""

from __future__ import annotations

from collections.abc import Iterable

from outlines.constraints.cfg.network import Network
from outlines.exceptions import LimitError

__all__ = ["MAX_WAYS", "Parse", "Parser"]

#: Ways to be at one place of an ambiguous grammar, sets of stacks counted as one.
MAX_WAYS = 5_000

_FAR = 1 << 60


class Tail:
    """An interned set of (state to return to, tail under it); None among them is the end of the grammar's text."""

    __slots__ = ("ways", "need")

    def __init__(self, ways: frozenset, need: int):
        self.ways = ways
        self.need = need  # the fewest terminals to the end


class Parse:
    """A place in the grammar.

    Attributes
    ----------
    accepts : bool
        Whether the text may end here.
    viable : frozenset of int
        The terminals that may come next.
    follow : frozenset of int
        Terminals that may follow what was just completed, somewhere in the grammar.
    need : int
        The fewest terminals to the end.
    outlook : tuple
        All that can be told of it without its stack: `accepts`, `viable`, `follow`.
    """

    __slots__ = ("items", "accepts", "viable", "follow", "need", "outlook", "_after", "_needs", "begins")

    def __init__(
        self, items: tuple, accepts: bool, viable: frozenset[int], follow: frozenset[int], need: int
    ):
        self.items = items
        self.accepts = accepts
        self.viable = viable
        self.follow = follow
        self.need = need
        self.outlook = accepts, viable, follow
        self._after: dict[int, Parse] = {}
        self._needs: dict[int, int] | None = None
        self.begins: object = None  # where the lexer begins here, found when first asked for


class Parser:
    """The parses of one grammar."""

    def __init__(self, network: Network):
        self.network = network
        self._tails: dict[frozenset, Tail] = {}
        self._parses: dict[tuple, Parse] = {}
        self._distance = _distances(network)
        self._seen: dict[tuple[int, ...], tuple[frozenset[int], frozenset[int]]] = {}
        self._sets: dict[frozenset[int], frozenset[int]] = {}
        self.bottom = self._tail(frozenset([None]))
        begin = [(network.start, self.bottom)]
        self.start = self._close(begin, accepts=network.is_nullable)
        self.start_of_some = self._close(begin)  # of a text that isn't empty

    def release(self) -> None:
        """Forget all parses, which lead back to each other."""
        for parse in self._parses.values():
            parse._after.clear()
            parse.begins = None
        self._parses.clear()
        self._tails.clear()

    def after(self, parse: Parse, terminal: int) -> Parse | None:
        """Give the parse after a terminal; None where it may not come."""
        found = parse._after.get(terminal)
        if found is None and terminal in parse.viable:
            terminals = self.network.terminals
            items = [
                (terminals[state][terminal], tail)
                for state, tail in parse.items
                if terminal in terminals[state]
            ]
            found = parse._after[terminal] = self._close(items)
        return found

    def needs(self, parse: Parse) -> dict[int, int]:
        """Give for each terminal that may come the fewest terminals behind it to the end."""
        found = parse._needs
        if found is None:
            found = parse._needs = {}
            distance = self._distance
            for state, tail in parse.items:
                for terminal, target in self.network.terminals[state].items():
                    need = distance[target] + tail.need
                    if need < found.get(terminal, _FAR):
                        found[terminal] = need
        return found

    def _tail(self, ways: frozenset) -> Tail:
        found = self._tails.get(ways)
        if found is None:
            distance = self._distance
            need = min(0 if way is None else distance[way[0]] + way[1].need for way in ways)
            found = self._tails[ways] = Tail(ways, need)
        return found

    def _close(self, items: Iterable[tuple[int, Tail]], accepts: bool = False) -> Parse:
        """Follow returns and calls from some items, until terminals are to be read."""
        network = self.network
        is_final, calls, terminals = network.is_final, network.calls, network.terminals
        found = dict.fromkeys(items)
        stack = list(found)
        while stack:
            state, tail = stack.pop()
            if is_final[state]:
                for way in tail.ways:
                    if way is None:
                        accepts = True
                    elif way not in found:
                        found[way] = None
                        stack.append(way)
            if len(found) > MAX_WAYS:
                raise LimitError(
                    "MAX_WAYS",
                    f"the grammar is so ambiguous that a text has more than {MAX_WAYS} ways to go on; the rules "
                    f"{self._names(found)} are among them. Write them so that each text has one way",
                )
        returns: dict[int, dict] = {}
        for state, tail in found:
            if calls[state]:
                self._call(calls[state], tail, returns)
        rank = network.rank.__getitem__
        while returns:  # callers come before those that they call first
            begin = min(returns, key=rank) if len(returns) > 1 else next(iter(returns))
            tail = self._tail(frozenset(returns.pop(begin)))
            found[begin, tail] = None
            self._call(calls[begin], tail, returns)
        kept = [item for item in found if terminals[item[0]]]
        kept.sort(key=_identity)
        key = (tuple(kept), accepts, tuple(sorted({state for state, _ in found})))
        parse = self._parses.get(key)
        if parse is None:
            viable, follow = self._seen_from(key[2])
            parse = self._parses.get((key[0], accepts, follow))
            if parse is None:
                need = min(
                    [self._distance[state] + tail.need for state, tail in kept] + [0 if accepts else _FAR]
                )
                parse = self._parses[key[0], accepts, follow] = Parse(key[0], accepts, viable, follow, need)
            self._parses[key] = parse
        return parse

    def _seen_from(self, states: tuple[int, ...]) -> tuple[frozenset[int], frozenset[int]]:
        """Give the terminals that may come in some states, and those that may follow what is completed there."""
        found = self._seen.get(states)
        if found is None:
            network = self.network
            viable = frozenset().union(*[network.terminals[state] for state in states])
            follow = frozenset().union(*[network.follow[state] for state in states])
            # equal ones are one object, so that comparing them is fast
            found = self._sets.setdefault(viable, viable), self._sets.setdefault(follow, follow)
            self._seen[states] = found
        return found

    @staticmethod
    def _call(calls: list[tuple[int, int]], tail: Tail, returns: dict[int, dict]) -> None:
        for begin, back in calls:
            ways = returns.setdefault(begin, {})
            if back < 0:  # nothing is left to do there: its caller's stack is kept
                ways.update(dict.fromkeys(tail.ways))
            else:
                ways[back, tail] = None

    def _names(self, found: Iterable[tuple[int, Tail]]) -> str:
        begins = sorted(self.network.names)
        names = {self.network.names[max(b for b in begins if b <= state)] for state, _ in found}
        return ", ".join(f'"{name}"' for name in sorted(names)[:5])


def _identity(item: tuple[int, Tail]) -> tuple[int, int]:
    return item[0], id(item[1])


def _distances(network: Network) -> list[int]:
    """Give for each state the fewest terminals to the end of its rule: Bellman's equations, until nothing changes."""
    count = len(network.is_final)
    distance = [0 if final else _FAR for final in network.is_final]
    changed = True
    while changed:
        changed = False
        for state in range(count - 1, -1, -1):
            best = distance[state]
            for target in network.terminals[state].values():
                best = min(best, 1 + distance[target])
            for begin, back in network.calls[state]:
                best = min(best, distance[begin] + (0 if back < 0 else distance[back]))
            if best < distance[state]:
                distance[state] = best
                changed = True
    return distance
