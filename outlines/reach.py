"""What a head reaches from a place in the vocabulary trie: the work that looks at the whole vocabulary.

It depends on the head alone and not on what follows it, so it's done once a head and vocabulary, for all constraints:
the tokens that stay inside the head or end with it, and the *exits*, the places within tokens where the head ends and
something else must go on. Exits are merged into one trie node, from which a tail goes on.

The walk goes level by level with NumPy where many nodes are alive, and node by node where few are. A state that loops
on a large class of bytes shares the walk of that class with every other such state: only where a token leaves the
class is the state itself looked at.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.expression import EMPTY, Expression
from outlines.constraints.items import TextBounds, TextState
from outlines.trie import ROOT, Trie
from outlines.vocabulary import WORD_BITS, Vocabulary

__all__ = ["Base", "HeadTables", "Reach", "TextReach", "pack", "unpack"]

#: From this many alive nodes on, a level is one NumPy operation; below, the overhead of a dozen calls (20 us) is more
#: than a Python loop over the nodes.
_MANY_NODES = 64

#: More tokens than this are a base row (16 KB for 128k tokens), fewer a list.
_MANY_TOKENS = 64

#: A state that loops on so many bytes shares the walk of that class.
_WIDE_CLASS = 16

Words = NDArray[np.int32]


class Base:
    """A row that rows are made from: `words` int32 [W], bit t % 32 of word t // 32 for token t."""

    __slots__ = ("words",)

    def __init__(self, words: Words):
        self.words = words


State: TypeAlias = "Expression | TextState"


class Spread(NamedTuple):
    """A finished walk: nodes reached with a number of characters and a state, and those where the head may end."""

    nodes: NDArray
    counts: NDArray
    states: NDArray  # numbers, as `StateNumbers` gave them
    is_exit: NDArray


class StateNumbers:
    """Numbers for the states of one walk."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self._numbers: dict[State, int] = {}

    def of(self, state: State) -> int:
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self.states)
            self.states.append(state)
        return found


class Reach:
    """What an expression reaches from a node: tokens inside (as base rows and a list), and the merged exit."""

    __slots__ = ("bases", "tokens", "_trie", "_exits", "_exit")

    def __init__(self, trie: Trie, bases: tuple[Base, ...], tokens: tuple[int, ...], exits: NDArray):
        self.bases = bases
        self.tokens = tokens
        self._trie = trie
        self._exits: NDArray | None = exits
        self._exit: int | None = None

    @property
    def exit(self) -> int | None:
        """Node from which the tail goes on within a token; None where no token reaches past the head."""
        if self._exits is not None:
            self._exit = self._trie.merge(self._exits)
            self._exits = None
        return self._exit


class TextReach:
    """What the rest of a JSON string reaches from a node, by the number of characters read.

    A token inside has so many characters begun; a *closer* ends with the closing quote after so many; below the exit,
    `exit_count` tells for each token how many stand before its quote.
    """

    __slots__ = ("closers", "exit", "exit_count", "_groups", "_num_words", "_inside")

    def __init__(
        self, trie: Trie, groups: list[tuple[TextState, NDArray, NDArray]], spread: Spread, numbers: StateNumbers,
        num_words: int,
    ):  # fmt: skip
        self._groups = groups = [group for group in groups if len(group[1])]  # of each state after a token: the tokens by their counts, and the counts
        inside, exits = ~spread.is_exit, spread.nodes[spread.is_exit]
        tokens, origin = trie.tokens_of(spread.nodes[inside])
        counts, states = spread.counts[inside][origin], spread.states[inside][origin]
        order = np.lexsort((counts, states))
        tokens, counts, states = tokens[order], counts[order], states[order]
        cuts = np.flatnonzero(np.diff(states)) + 1
        for group in np.split(np.arange(len(tokens)), cuts) if len(tokens) else []:
            state = numbers.states[int(states[group[0]])]
            assert isinstance(state, TextState)
            groups.append((state, tokens[group], counts[group]))
        exit_counts = spread.counts[spread.is_exit]
        closing, origin = trie.tokens_of(exits)
        self.closers = list(zip(closing.tolist(), exit_counts[origin].tolist(), strict=True))
        self.exit = trie.merge(exits)
        self.exit_count: dict[int, int] = {}
        nodes, counts = exits, exit_counts
        while len(nodes):
            parent, nodes = trie.expand(nodes)
            counts = counts[parent]
            below, origin = trie.tokens_of(nodes)
            self.exit_count.update(zip(below.tolist(), counts[origin].tolist(), strict=True))
        self._num_words = num_words
        self._inside: dict[tuple[int, ...], tuple[tuple[Base, ...], tuple[int, ...]]] = {}

    def inside(self, low: int, high: int | None, bounds: TextBounds) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens after which `low` to `high` characters in all are still possible."""
        pieces: list[int] = []  # of each group, the positions from and to which its tokens are allowed
        for state, _, counts in self._groups:
            most = int(counts[-1])
            for count in range(int(counts[0]), most + 1):
                left = None if high is None else high - count
                if left is not None and left < 0:
                    break
                if bounds.allows(state, max(low - count, 0), left):
                    if bounds.is_free and (high is None or high >= most):
                        pieces += (count, most)  # with any length possible, what holds for one holds for the next
                        break
                    pieces += (count, count)
            pieces.append(-1)
        key = tuple(pieces)
        found = self._inside.get(key)
        if found is None:
            found = self._inside[key] = self._collect(pieces)
        return found

    def _collect(self, pieces: list[int]) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        place, chosen = 0, []
        for _, tokens, counts in self._groups:
            while pieces[place] != -1:
                first, last = pieces[place], pieces[place + 1]
                low, high = np.searchsorted(counts, (first, last + 1))
                chosen.append(tokens[low:high])
                place += 2
            place += 1
        return bases_and_list(np.concatenate(chosen) if chosen else np.zeros(0, np.int64), self._num_words)


class Run(NamedTuple):
    """The walk along one class of bytes: what stays in it, and by byte the nodes where it's left."""

    nodes: NDArray
    bases: tuple[Base, ...]
    tokens: tuple[int, ...]
    leaving: dict[int, tuple[NDArray, NDArray]]  # the nodes after the byte, and how many bytes were in the class
    by_length: tuple[NDArray, NDArray]  # the tokens by their length, and their lengths
    is_all_inside: bytearray  # a flag a token, for runs from the root


class HeadTables:
    """All that is known of heads under one vocabulary, shared by its constraints."""

    def __init__(self, vocabulary: Vocabulary):
        self.trie = vocabulary.trie
        self.num_tokens = vocabulary.num_tokens
        self.num_words = vocabulary.num_words
        self._reaches: weakref.WeakKeyDictionary[Expression, dict[int, Reach]] = weakref.WeakKeyDictionary()
        self._texts: weakref.WeakKeyDictionary[TextState, dict[int, TextReach]] = weakref.WeakKeyDictionary()
        self._runs: dict[tuple[int, bytes], Run] = {}
        self._has_quote_below = self.trie.nodes_above(ord('"'))
        self._loops: weakref.WeakKeyDictionary[State, bytes] = weakref.WeakKeyDictionary()

    def reach(self, node: int, expression: Expression) -> Reach:
        """Give what an expression reaches from a node, the node itself excluded."""
        by_node = self._reaches.get(expression)
        if by_node is None:
            by_node = self._reaches[expression] = {}
        found = by_node.get(node)
        if found is None:
            found = by_node[node] = self._find_reach(node, expression)
        return found

    def text_reach(self, node: int, state: TextState) -> TextReach:
        """Give what the rest of a JSON string reaches from a node, with its characters counted."""
        by_node = self._texts.get(state)
        if by_node is None:
            by_node = self._texts[state] = {}
        found = by_node.get(node)
        if found is None:
            found = by_node[node] = self._find_text_reach(node, state)
        return found

    def _find_text_reach(self, node: int, state: TextState) -> TextReach:
        """A run of bytes on which the state stays itself is of characters of one byte: lengths are counts."""
        numbers = StateNumbers()
        loop = self._loop(state) if state.is_start else b""
        if not loop:
            spread = self._spread([(n, state, 0) for n in self.trie.members(node)], numbers)
            return TextReach(self.trie, [], spread, numbers, self.num_words)
        run = self._run(node, loop)
        left: list[Spread] = []
        onward: list[tuple[int, State, int]] = []
        for byte, (nodes, lengths) in run.leaving.items():
            target = state.step(byte)
            if target is EMPTY:
                continue
            counts = lengths if target.nullable else lengths + 1
            number = np.full(len(nodes), numbers.of(target))
            left.append(Spread(nodes, counts, number, np.full(len(nodes), target.nullable)))
            onward.extend((n, target, count) for n, count in zip(nodes.tolist(), counts.tolist(), strict=True))
        left.append(self._spread(onward, numbers))
        spread = Spread(*(np.concatenate(column) for column in zip(*left, strict=True)))
        return TextReach(self.trie, [(state, *run.by_length)], spread, numbers, self.num_words)

    def may_close(self, node: int) -> bool:
        """Tell whether a token has a quote below a node: elsewhere no name can end."""
        flags = self._has_quote_below
        return any(flags[n] for n in self.trie.members(node))

    def stays(self, expression: Expression, token: int) -> bool:
        """Tell whether the expression certainly is the same after a token; False where that takes a look."""
        loop = self._loop(expression)
        if not loop:
            return False
        run = self._runs.get((ROOT, loop))
        return run is not None and bool(run.is_all_inside[token])

    def _loop(self, expression: State) -> bytes:
        """Give the class of bytes on which an expression stays itself, as 256 flags; b"" unless it's wide."""
        found = self._loops.get(expression)
        if found is None:
            class_of, targets = expression.transitions()
            number = targets.index(expression) if expression in targets else -1
            if number >= 0 and class_of.count(number) >= _WIDE_CLASS:
                flags = bytearray(256)
                flags[number] = 1
                found = class_of.translate(flags)
            else:
                found = b""
            self._loops[expression] = found
        return found

    def _find_reach(self, node: int, expression: Expression) -> Reach:
        trie = self.trie
        loop = self._loop(expression)
        if not loop:
            spread = self._spread([(n, expression, 0) for n in trie.members(node)], StateNumbers())
            bases, tokens = bases_and_list(trie.tokens_of(spread.nodes)[0], self.num_words)
            return Reach(trie, bases, tokens, spread.nodes[spread.is_exit])
        run = self._run(node, loop)
        nodes: list[NDArray] = []
        exits: list[NDArray] = [run.nodes] if expression.nullable else []
        onward: list[tuple[int, State, int]] = []
        for byte, (left, _) in run.leaving.items():
            target = expression.step(byte)
            if target is not EMPTY:
                nodes.append(left)
                if target.nullable:
                    exits.append(left)
                onward.extend([(n, target, 0) for n in left.tolist()])
        spread = self._spread(onward, StateNumbers())
        nodes.append(spread.nodes)
        exits.append(spread.nodes[spread.is_exit])
        bases, tokens = bases_and_list(trie.tokens_of(np.concatenate(nodes))[0], self.num_words)
        return Reach(trie, run.bases + bases, run.tokens + tokens, np.concatenate(exits))

    def _run(self, node: int, loop: bytes) -> Run:
        """Walk along a class of bytes for as long as tokens stay in it."""
        found = self._runs.get((node, loop))
        if found is not None:
            return found
        trie = self.trie
        in_class = np.frombuffer(loop, np.uint8).astype(bool)
        frontier = np.asarray(trie.members(node))
        inside, left = [], []
        while len(frontier):
            child = trie.expand(frontier)[1]
            stays = in_class[trie.byte[child]]
            left.append(child[~stays])
            frontier = child[stays]
            inside.append(frontier)
        leaving: dict[int, tuple[NDArray, NDArray]] = {}
        places, lengths = _joined(left)
        byte = trie.byte[places]
        order = np.argsort(byte, kind="stable")
        cuts = np.flatnonzero(np.diff(byte[order])) + 1
        for group in np.split(order, cuts) if len(order) else []:
            leaving[int(byte[group[0]])] = places[group], lengths[group]
        nodes, lengths = _joined(inside)
        tokens, origin = trie.tokens_of(nodes)
        flags = bytearray()
        if node == ROOT:
            inside_flags = np.zeros(self.num_tokens, np.uint8)
            inside_flags[tokens] = 1
            flags = bytearray(inside_flags.tobytes())
        bases, few = bases_and_list(tokens, self.num_words)
        found = Run(nodes, bases, few, leaving, (tokens, lengths[origin] + 1), flags)
        self._runs[node, loop] = found
        return found

    def _spread(self, start: list[tuple[int, State, int]], numbers: StateNumbers) -> Spread:
        """Walk from (node, state, count of characters) along live bytes.

        In a TextState between two characters, a byte begins a character and adds one to the count, unless the head
        ends with it.
        """
        trie = self.trie
        has_children, children = trie.has_children, trie.children
        reached: list[tuple[int, int, int, bool]] = []
        levels: list[Spread] = []
        stack = start
        while stack:
            if len(stack) >= _MANY_NODES:
                stack = self._spread_levels(stack, numbers, levels)
                continue
            node, state, count = stack.pop()
            class_of, targets = state.transitions()
            begins = isinstance(state, TextState) and state.is_start
            for byte, child in children[node].items():
                target = targets[class_of[byte]]
                if target is EMPTY:
                    continue
                is_exit = target.nullable
                total = count + 1 if begins and not is_exit else count
                number = numbers.of(target)
                if child < trie.num_nodes:
                    reached.append((child, total, number, is_exit))
                    if has_children[child]:
                        stack.append((child, target, total))
                else:
                    reached += [(member, total, number, is_exit) for member in trie.members(child)]
                    stack.append((child, target, total))
        if reached or not levels:
            flat = np.asarray(reached, np.int64).reshape(-1, 4)
            levels.append(Spread(flat[:, 0], flat[:, 1], flat[:, 2], flat[:, 3].astype(bool)))
        return Spread(*(np.concatenate(column) for column in zip(*levels, strict=True)))

    def _spread_levels(
        self, stack: list[tuple[int, State, int]], numbers: StateNumbers, levels: list[Spread]
    ) -> list[tuple[int, State, int]]:
        """Walk level by level while many nodes are alive; append what was reached, give back the few left over."""
        trie = self.trie
        table = np.empty((0, 256), np.int32)
        ready: set[int] = set()
        plain = [(m, numbers.of(e), c) for n, e, c in stack for m in trie.members(n)]
        node, state, count = (np.asarray(column, np.int64) for column in zip(*plain, strict=True))
        while len(node) >= _MANY_NODES:
            for new in np.unique(state).tolist():
                if new not in ready:
                    ready.add(new)
                    class_of, targets = numbers.states[new].transitions()
                    following = np.asarray([-1 if t is EMPTY else numbers.of(t) for t in targets], np.int32)
                    if len(numbers.states) > len(table):
                        table = np.concatenate((table, np.empty((2 * len(numbers.states), 256), np.int32)))
                    table[new] = following[np.frombuffer(class_of, np.uint8)]
            known = numbers.states
            is_nullable = np.fromiter((s.nullable for s in known), bool, len(known))
            begins = np.fromiter((isinstance(s, TextState) and s.is_start for s in known), bool, len(known))
            parent, child = trie.expand(node)
            target = table[state[parent], trie.byte[child]]
            live = target >= 0
            parent, child, target = parent[live], child[live], target[live].astype(np.int64)
            is_exit = is_nullable[target]
            total = count[parent] + (begins[state[parent]] & ~is_exit)
            levels.append(Spread(child, total, target, is_exit))
            inner = trie.num_children[child] > 0
            node, state, count = child[inner], target[inner], total[inner]
        left = zip(node.tolist(), state.tolist(), count.tolist(), strict=True)
        return [(n, numbers.states[s], c) for n, s, c in left]


def _joined(levels: list[NDArray]) -> tuple[NDArray, NDArray]:
    """Join the nodes of some levels; give them and the number of each one's level."""
    if not levels:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(levels), np.repeat(np.arange(len(levels)), [len(level) for level in levels])


def bases_and_list(tokens: NDArray, num_words: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
    """Give many tokens as a base row, few as a list."""
    if len(tokens) > _MANY_TOKENS:
        return (Base(pack(tokens, num_words)),), ()
    return (), tuple(tokens.tolist())


def pack(tokens: NDArray | Iterable[int], num_words: int) -> Words:
    """Give the row of some tokens: int32 [num_words], bit t % 32 of word t // 32."""
    flags = np.zeros(num_words * WORD_BITS, np.uint8)
    flags[np.asarray(tokens, np.int64)] = 1
    return np.packbits(flags, bitorder="little").view("<i4").astype(np.int32, copy=False)


def unpack(words: Words) -> NDArray:
    """Give the tokens of a row, ascending."""
    return np.flatnonzero(np.unpackbits(words.astype("<i4", copy=False).view(np.uint8), bitorder="little"))
