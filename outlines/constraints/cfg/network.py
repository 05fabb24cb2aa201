"""Rules to a recursive transition network: a small minimal automaton for each rule that truly contains itself.

All other rules are written into those that use them, left recursion of every kind becomes loops, and a rule that ends
with itself is a jump. Symbols are numbers: terminals from 0 on, rules after them.

    NFA of A: for each production C -> X w of a rule C in A's left cycle, a chain that reads X w and ends in `done[C]`;
    where X is of the cycle itself, the chain begins at `done[X]` and reads w. The end is `done[A]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from outlines.exceptions import LimitError

__all__ = ["MAX_STATES", "Network", "build", "components"]

#: States of the network of one grammar, and of one rule while it's made deterministic.
MAX_STATES = 20_000

#: A rule whose automaton has more states than this is called and not copied, unless it's used once.
_MANY_STATES = 48

_Edges = dict[int, dict[int, int]]


class Network(NamedTuple):
    """The automata of all called rules, their states numbered together.

    Attributes
    ----------
    start : int
        State at which a text begins.
    is_nullable : bool
        Whether the empty text is one of the grammar.
    terminals : list of dict of int to int
        For each state, where a terminal leads.
    calls : list of list of (int, int)
        For each state, what may be called: state where a rule begins, state to return to (-1: its caller's).
    is_final : list of bool
    follow : list of frozenset of int
        For each state, the terminals that may follow a rule which ends here.
    rank : dict of int to int
        Order of states where rules begin: what may be called first at a beginning comes later.
    names : dict of int to str
        The rule of each state where one begins.
    """

    start: int
    is_nullable: bool
    terminals: list[dict[int, int]]
    calls: list[list[tuple[int, int]]]
    is_final: list[bool]
    follow: list[frozenset[int]]
    rank: dict[int, int]
    names: dict[int, str]


class _Nfa:
    """A nondeterministic automaton that begins in state 0: edges (symbol or None, target), rules completed there."""

    def __init__(self) -> None:
        self.edges: list[list[tuple[int | None, int]]] = []
        self.labels: list[frozenset[int]] = []
        self.end = -1

    def new(self, label: frozenset[int] = frozenset()) -> int:
        self.edges.append([])
        self.labels.append(label)
        return len(self.edges) - 1


class _Dfa(NamedTuple):
    """A deterministic automaton that begins in state 0; `labels` as for `_Nfa`."""

    edges: list[dict[int, int]]
    is_final: list[bool]
    labels: list[frozenset[int]]


def build(start: str, rules: Iterable[tuple[str, tuple[str, ...]]], terminals: list[str]) -> Network | None:
    """Make the network of some rules; None if they have no text."""
    return _Builder(start, list(rules), terminals).network()


class _Builder:
    def __init__(self, start: str, rules: list[tuple[str, tuple[str, ...]]], terminals: list[str]):
        self.num_terminals = len(terminals)
        numbers = {name: i for i, name in enumerate(terminals)}
        origins = dict.fromkeys([start, *[origin for origin, _ in rules]])
        for name in origins:
            numbers[name] = len(numbers)
        self.names = list(numbers)
        self.start = numbers[start]
        productions = list(
            dict.fromkeys((numbers[origin], tuple(numbers[s] for s in symbols)) for origin, symbols in rules)
        )
        productive = self._least_fixpoint(productions, set(range(self.num_terminals)))
        productions = [p for p in productions if all(symbol in productive for symbol in p[1])]
        self.has_text = self.start in productive
        self.nullable = self._least_fixpoint(productions, set())
        self.productions: dict[int, list[tuple[int, ...]]] = {}
        for origin, symbols in productions:
            self.productions.setdefault(origin, []).append(symbols)
        self._flatten_powers()
        self._drop_unreachable()

    @staticmethod
    def _least_fixpoint(productions: list[tuple[int, tuple[int, ...]]], found: set[int]) -> set[int]:
        """Give the symbols some production of which has only symbols found before."""
        waiting: dict[int, list[int]] = {}
        missing = [len(set(symbols) - found) for _, symbols in productions]
        for number, (_, symbols) in enumerate(productions):
            for symbol in set(symbols) - found:
                waiting.setdefault(symbol, []).append(number)
        ready = [number for number, count in enumerate(missing) if count == 0]
        while ready:
            origin = productions[ready.pop()][0]
            if origin not in found:
                found.add(origin)
                for number in waiting.get(origin, ()):
                    missing[number] -= 1
                    if missing[number] == 0:
                        ready.append(number)
        return found

    def _flatten_powers(self) -> None:
        """Write `a: a a a | a w | x` as `a: z | a z z` and `z: x | z w`, which has the same texts and one way to each.

        An `a` ends where its last `z` ends, so what may follow an `a` to make another may follow that `z`.
        """
        for rule in list(self.productions):
            ways = self.productions[rule]
            powers = [way for way in ways if len(way) > 2 and set(way) == {rule}]
            if not powers or rule in self.nullable:
                continue
            inner = len(self.names)
            self.names.append(self.names[rule])
            others = [way for way in ways if set(way) != {rule}]
            self.productions[inner] = [(inner, *way[1:]) if way[0] == rule else way for way in others]
            squares = {len(way) for way in ways if len(way) > 1 and set(way) == {rule}}
            self.productions[rule] = [(inner,), *[(rule, *[inner] * (size - 1)) for size in sorted(squares)]]

    def _drop_unreachable(self) -> None:
        reached = {self.start}
        stack = [self.start]
        while stack:
            for way in self.productions.get(stack.pop(), ()):
                for symbol in way:
                    if symbol >= self.num_terminals and symbol not in reached:
                        reached.add(symbol)
                        stack.append(symbol)
        self.productions = {rule: ways for rule, ways in self.productions.items() if rule in reached}

    # Left cycles

    def _left_symbols(self, rule: int) -> set[int]:
        """Give the rules that may stand first in a rule."""
        found = set()
        for way in self.productions.get(rule, ()):
            for symbol in way:
                if symbol >= self.num_terminals:
                    found.add(symbol)
                if symbol not in self.nullable:
                    break
        return found

    def _find_left_cycles(self) -> dict[int, frozenset[int]]:
        left = {rule: self._left_symbols(rule) for rule in self.productions}
        return {rule: component for component in components(left) for rule in component}

    def _follow_sets(self) -> dict[int, frozenset[int]]:
        """Give the terminals that may follow each rule."""
        first = self._first_sets()
        follow: dict[int, set[int]] = {rule: set() for rule in self.productions}
        passes: dict[int, set[int]] = {
            rule: set() for rule in self.productions
        }  # at whose end a rule may stand
        for rule, ways in self.productions.items():
            for way in ways:
                trailer: set[int] = set()
                is_end = True
                for symbol in reversed(way):
                    if symbol < self.num_terminals:
                        trailer, is_end = {symbol}, False
                        continue
                    follow[symbol] |= trailer
                    if is_end:
                        passes[rule].add(symbol)
                    if symbol in self.nullable:
                        trailer = trailer | first[symbol]
                    else:
                        trailer, is_end = first[symbol], False
        _spread_sets(follow, passes)
        return {rule: frozenset(terminals) for rule, terminals in follow.items()}

    def _first_sets(self) -> dict[int, set[int]]:
        first: dict[int, set[int]] = {rule: set() for rule in self.productions}
        users: dict[int, set[int]] = {rule: set() for rule in self.productions}
        for rule, ways in self.productions.items():
            for way in ways:
                for symbol in way:
                    if symbol < self.num_terminals:
                        first[rule].add(symbol)
                        break
                    users[symbol].add(rule)
                    if symbol not in self.nullable:
                        break
        _spread_sets(first, users)
        return first

    # Automata

    def network(self) -> Network | None:
        if not self.has_text:
            return None
        self.follow = self._follow_sets()
        cycles = self._find_left_cycles()
        nfas = {rule: self._nfa(rule, cycles[rule]) for rule in self.productions}
        order, called = self._order(nfas)
        uses: dict[int, int] = {}
        for nfa in nfas.values():
            for edges in nfa.edges:
                for symbol, _ in edges:
                    if symbol is not None:
                        uses[symbol] = uses.get(symbol, 0) + 1
        dfas: dict[int, _Dfa] = {}
        for rule in order:  # what a rule uses comes before it, but for called ones
            self._write_in(nfas[rule], dfas, called, rule)
            dfa = dfas[rule] = self._determinise(nfas[rule], rule)
            if len(dfa.edges) > _MANY_STATES and uses.get(rule, 0) > 1:
                called.add(rule)
        for rule in called:
            dfas[rule] = self._absorb(dfas[rule], rule)
        return self._join({rule: dfas[rule] for rule in called})

    def _nfa(self, rule: int, cycle: frozenset[int]) -> _Nfa:
        """Make the automaton of a rule that never calls its left cycle first; the last state is its end.

        State 0 is the beginning. A rule that may be empty is passed by; its automaton has no empty text.
        """
        nfa = _Nfa()
        begin = nfa.new()
        done = {member: nfa.new(frozenset([member])) for member in sorted(cycle)}
        for member in sorted(cycle):
            for way in self.productions[member]:
                is_at_beginning = True
                before: int | None = None  # the place in the chain once something is read
                for symbol in way:
                    after = nfa.new()
                    is_nullable = symbol in self.nullable
                    passed = frozenset([symbol] if is_nullable else [])
                    if is_at_beginning:
                        if symbol in cycle:
                            nfa.edges[done[symbol]].append((None, after))
                        else:
                            nfa.edges[begin].append((symbol, after))
                        nfa.labels[begin] |= passed
                        is_at_beginning = is_nullable
                    if before is not None:
                        nfa.edges[before].append((symbol, after))
                        if is_nullable:
                            nfa.edges[before].append((None, after))
                        nfa.labels[before] |= passed
                    before = after
                if before is not None:
                    nfa.edges[before].append((None, done[member]))
        nfa.end = nfa.new()
        nfa.edges[done[rule]].append((None, nfa.end))
        return nfa

    def _order(self, nfas: dict[int, _Nfa]) -> tuple[list[int], set[int]]:
        """Give the rules, used ones first, and those that a cycle of uses comes back to: they are called."""
        uses = {
            rule: sorted(
                {s for edges in nfa.edges for s, _ in edges if s is not None and s >= self.num_terminals}
            )
            for rule, nfa in nfas.items()
        }
        order: list[int] = []
        called = {self.start}
        state: dict[int, int] = {}  # 1: being visited, 2: done
        stack: list[tuple[int, int]] = [(self.start, 0)]
        state[self.start] = 1
        while stack:
            rule, place = stack.pop()
            if place < len(uses[rule]):
                stack.append((rule, place + 1))
                used = uses[rule][place]
                if state.get(used) == 1:
                    called.add(used)
                elif used not in state:
                    state[used] = 1
                    stack.append((used, 0))
            else:
                state[rule] = 2
                order.append(rule)
        return order, called

    def _write_in(self, nfa: _Nfa, dfas: dict[int, _Dfa], called: set[int], rule: int) -> None:
        """Copy the automata of rules that aren't called in the places where they are used."""
        edges, labels = nfa.edges, nfa.labels
        for state in range(len(edges)):
            kept: list[tuple[int | None, int]] = []
            for symbol, target in edges[state]:
                if symbol is None or symbol < self.num_terminals or symbol in called or symbol not in dfas:
                    kept.append((symbol, target))
                    continue
                copied = dfas[symbol]
                offset = len(edges)
                for number, transitions in enumerate(copied.edges):
                    edges.append([(s, offset + t) for s, t in transitions.items()])
                    labels.append(copied.labels[number])
                    if copied.is_final[number]:
                        edges[-1].append((None, target))
                kept.append((None, offset))
            edges[state] = kept
            if len(edges) > 4 * MAX_STATES:
                raise self._too_large(rule)

    def _determinise(self, nfa: _Nfa, rule: int) -> _Dfa:
        """Make an automaton deterministic (subsets), with a limit on its states."""
        edges, labels, final = nfa.edges, nfa.labels, nfa.end
        closures: dict[int, frozenset[int]] = {}

        def closure(state: int) -> frozenset[int]:
            known = closures.get(state)
            if known is None:
                found = {state}
                stack = [state]
                while stack:
                    for symbol, target in edges[stack.pop()]:
                        if symbol is None and target not in found:
                            found.add(target)
                            stack.append(target)
                known = closures[state] = frozenset(found)
            return known

        begin = closure(0)
        numbers = {begin: 0}
        order = [begin]
        result: list[dict[int, int]] = []
        for states in order:
            moves: dict[int, set[int]] = {}
            for state in states:
                for symbol, target in edges[state]:
                    if symbol is not None:
                        moves.setdefault(symbol, set()).update(closure(target))
            row = {}
            for symbol, targets in moves.items():
                reached = frozenset(targets)
                number = numbers.setdefault(reached, len(order))
                if number == len(order):
                    order.append(reached)
                    if number > MAX_STATES:
                        raise self._too_large(rule)
                row[symbol] = number
            result.append(row)
        found_labels = [frozenset(label for state in states for label in labels[state]) for states in order]
        return self._minimise(_Dfa(result, [final in states for states in order], found_labels))

    def _minimise(self, dfa: _Dfa) -> _Dfa:
        """Merge states from which the same is read, and after which the same may follow (Hopcroft 1971)."""
        count = len(dfa.edges)
        follows = [frozenset().union(*[self.follow[label] for label in labels]) for labels in dfa.labels]
        before: dict[int, dict[int, list[int]]] = {}
        for state, row in enumerate(dfa.edges):
            for symbol, target in row.items():
                before.setdefault(symbol, {}).setdefault(target, []).append(state)
        blocks: list[set[int]] = []
        block_of = [0] * count
        keys: dict[object, int] = {}
        for state in range(count):
            number = keys.setdefault(
                (dfa.is_final[state], follows[state], frozenset(dfa.edges[state])), len(blocks)
            )
            if number == len(blocks):
                blocks.append(set())
            blocks[number].add(state)
            block_of[state] = number
        waiting = set(range(len(blocks)))
        while waiting:
            splitter = list(blocks[waiting.pop()])
            for sources in before.values():
                touched: dict[int, list[int]] = {}
                for target in splitter:
                    for source in sources.get(target, ()):
                        touched.setdefault(block_of[source], []).append(source)
                for number, states in touched.items():
                    block = blocks[number]
                    if len(states) == len(block):
                        continue
                    part = set(states)
                    block -= part
                    new = len(blocks)
                    blocks.append(part)
                    for state in part:
                        block_of[state] = new
                    if number in waiting:
                        waiting.add(new)
                    else:
                        waiting.add(new if len(part) <= len(block) else number)
        numbers = {block_of[0]: 0}
        order = [0]
        rows: list[dict[int, int]] = []
        for state in order:
            row = {}
            for symbol, target in dfa.edges[state].items():
                number = numbers.setdefault(block_of[target], len(order))
                if number == len(order):
                    order.append(target)
                row[symbol] = number
            rows.append(row)
        return _Dfa(rows, [dfa.is_final[state] for state in order], [dfa.labels[state] for state in order])

    def _absorb(self, dfa: _Dfa, rule: int) -> _Dfa:
        """Write calls of the rule itself as jumps to its beginning, where what follows may follow any of its ends."""
        while True:
            jumps = [
                (state, row[rule])
                for state, row in enumerate(dfa.edges)
                if rule in row and self._may_jump(dfa, row[rule])
            ]
            if not jumps:
                return dfa
            nfa = _Nfa()
            for labels in dfa.labels:
                nfa.new(labels)
            nfa.end = nfa.new()
            dropped = set(jumps)
            for state, row in enumerate(dfa.edges):
                for symbol, target in row.items():
                    is_jump = symbol == rule and (state, target) in dropped
                    nfa.edges[state].append((None, 0) if is_jump else (symbol, target))
                if dfa.is_final[state]:
                    nfa.edges[state].append((None, nfa.end))
            dfa = self._determinise(nfa, rule)

    @staticmethod
    def _may_jump(dfa: _Dfa, back: int) -> bool:
        if not dfa.is_final[back]:
            return False
        finals = [row for row, is_final in zip(dfa.edges, dfa.is_final, strict=True) if is_final]
        return all(row.get(symbol) == target for symbol, target in dfa.edges[back].items() for row in finals)

    def _join(self, dfas: dict[int, _Dfa]) -> Network:
        """Number the states of all called rules together."""
        offsets, count = {}, 0
        for rule, dfa in dfas.items():
            offsets[rule] = count
            count += len(dfa.edges)
        terminals: list[dict[int, int]] = []
        calls: list[list[tuple[int, int]]] = []
        is_final: list[bool] = []
        follow: list[frozenset[int]] = []
        for rule, dfa in dfas.items():
            offset = offsets[rule]
            for state, row in enumerate(dfa.edges):
                terminals.append({s: offset + t for s, t in row.items() if s < self.num_terminals})
                made = []
                for symbol, target in row.items():
                    if symbol >= self.num_terminals:
                        is_last = dfa.is_final[target] and not dfa.edges[target]
                        made.append((offsets[symbol], -1 if is_last else offset + target))
                calls.append(made)
                is_final.append(dfa.is_final[state])
                follow.append(frozenset().union(*[self.follow[label] for label in dfa.labels[state]]))
        begins = {offset: {callee for callee, _ in calls[offset]} for offset in offsets.values()}
        order = components(begins)
        rank = {next(iter(component)): -place for place, component in enumerate(order)}
        names = {offset: self.names[rule] for rule, offset in offsets.items()}
        is_nullable = self.start in self.nullable
        return Network(offsets[self.start], is_nullable, terminals, calls, is_final, follow, rank, names)

    def _too_large(self, rule: int) -> LimitError:
        return LimitError(
            "MAX_STATES",
            f'rule "{self.names[rule]}" needs more than {MAX_STATES} states; lower its repetition counts, or part it',
        )


def _spread_sets(sets: dict[int, set[int]], onward: dict[int, set[int]]) -> None:
    """Add each set to those that it's part of, until nothing changes."""
    waiting = list(sets)
    while waiting:
        rule = waiting.pop()
        for other in onward[rule]:
            if not sets[rule] <= sets[other]:
                sets[other] |= sets[rule]
                waiting.append(other)


def components(graph: dict[int, set[int]]) -> list[frozenset[int]]:
    """Give the strongly connected components of a graph, those that others lead to first (Tarjan 1972)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    members: list[int] = []
    found: list[frozenset[int]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        members.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in graph:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    members.append(target)
                    on_stack.add(target)
                    work.append((target, iter(sorted(graph[target]))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = set()
                    while node not in component:
                        component.add(members.pop())
                    on_stack -= component
                    found.append(frozenset(component))
    return found
