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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.expression import EMPTY, Expression
from outlines.trie import Trie
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


class Spread(NamedTuple):
    """A finished walk: nodes reached and nodes where the head may end, each with a count of characters."""

    nodes: NDArray
    counts: NDArray
    exits: NDArray
    exit_counts: NDArray


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

    __slots__ = ("closers", "exit", "exit_count", "max_count", "_tokens", "_counts", "_num_words", "_inside")

    def __init__(self, trie: Trie, spread: Spread, num_words: int):
        is_exit = np.isin(spread.nodes, spread.exits)
        tokens, origin = trie.tokens_of(spread.nodes[~is_exit])
        counts = spread.counts[~is_exit][origin]
        order = np.argsort(counts, kind="stable")
        self._tokens, self._counts = tokens[order], counts[order]
        closing, origin = trie.tokens_of(spread.exits)
        self.closers = list(zip(closing.tolist(), spread.exit_counts[origin].tolist(), strict=True))
        self.exit = trie.merge(spread.exits)
        self.exit_count: dict[int, int] = {}
        nodes, counts = spread.exits, spread.exit_counts
        while len(nodes):
            parent, nodes = trie.expand(nodes)
            counts = counts[parent]
            below, origin = trie.tokens_of(nodes)
            self.exit_count.update(zip(below.tolist(), counts[origin].tolist(), strict=True))
        self.max_count = int(self._counts[-1]) if len(tokens) else 0
        self._num_words = num_words
        self._inside: dict[int, tuple[tuple[Base, ...], tuple[int, ...]]] = {}

    def inside(self, high: int | None) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens with at most `high` characters, as base rows and a list."""
        bound = self.max_count if high is None or high > self.max_count else high
        found = self._inside.get(bound)
        if found is None:
            tokens = self._tokens[: int(np.searchsorted(self._counts, bound, side="right"))]
            found = self._inside[bound] = bases_and_list(tokens, self._num_words)
        return found


class Run(NamedTuple):
    """The walk along one class of bytes: what stays in it, and by byte the nodes where it's left."""

    nodes: NDArray
    bases: tuple[Base, ...]
    tokens: tuple[int, ...]
    leaving: dict[int, NDArray]
    is_all_inside: bytearray  # a flag a token, for runs from the root


class HeadTables:
    """All that is known of heads under one vocabulary, shared by its constraints."""

    def __init__(self, vocabulary: Vocabulary):
        self.trie = vocabulary.trie
        self.num_tokens = vocabulary.num_tokens
        self.num_words = vocabulary.num_words
        self._reaches: weakref.WeakKeyDictionary[Expression, dict[int, Reach]] = weakref.WeakKeyDictionary()
        self._texts: weakref.WeakKeyDictionary[Expression, dict[int, TextReach]] = weakref.WeakKeyDictionary()
        self._runs: dict[tuple[int, bytes], Run] = {}
        self._loops: weakref.WeakKeyDictionary[Expression, bytes] = weakref.WeakKeyDictionary()

    def reach(self, node: int, expression: Expression) -> Reach:
        """Give what an expression reaches from a node, the node itself excluded."""
        by_node = self._reaches.get(expression)
        if by_node is None:
            by_node = self._reaches[expression] = {}
        found = by_node.get(node)
        if found is None:
            found = by_node[node] = self._find_reach(node, expression)
        return found

    def text_reach(self, node: int, rest: Expression, start: Expression) -> TextReach:
        """Give what the rest of a JSON string reaches from a node, with characters counted from `start` states."""
        by_node = self._texts.get(rest)
        if by_node is None:
            by_node = self._texts[rest] = {}
        found = by_node.get(node)
        if found is None:
            spread = self._spread([(n, rest, 0) for n in self.trie.members(node)], start)
            found = by_node[node] = TextReach(self.trie, spread, self.num_words)
        return found

    def stays(self, expression: Expression, token: int) -> bool:
        """Tell whether the expression certainly is the same after a token; False where that takes a look."""
        loop = self._loop(expression)
        if not loop:
            return False
        run = self._runs.get((0, loop))
        return run is not None and bool(run.is_all_inside[token])

    def _loop(self, expression: Expression) -> bytes:
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
            spread = self._spread([(n, expression, 0) for n in trie.members(node)])
            bases, tokens = bases_and_list(trie.tokens_of(spread.nodes)[0], self.num_words)
            return Reach(trie, bases, tokens, spread.exits)
        run = self._run(node, loop)
        nodes: list[NDArray] = []
        exits: list[NDArray] = [run.nodes] if expression.nullable else []
        onward = []
        for byte, left in run.leaving.items():
            target = expression.step(byte)
            if target is not EMPTY:
                nodes.append(left)
                if target.nullable:
                    exits.append(left)
                onward.extend([(n, target, 0) for n in left.tolist()])
        spread = self._spread(onward)
        nodes.append(spread.nodes)
        exits.append(spread.exits)
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
        nodes, left = [], []
        while len(frontier):
            child = trie.expand(frontier)[1]
            inside = in_class[trie.byte[child]]
            left.append(child[~inside])
            frontier = child[inside]
            nodes.append(frontier)
        leaving: dict[int, NDArray] = {}
        if left:
            places = np.concatenate(left)
            byte = trie.byte[places]
            order = np.argsort(byte, kind="stable")
            places, byte = places[order], byte[order]
            for group in np.split(places, np.flatnonzero(byte[1:] != byte[:-1]) + 1) if len(places) else []:
                leaving[int(trie.byte[group[0]])] = group
        reached = np.concatenate(nodes) if nodes else np.zeros(0, np.int64)
        tokens = trie.tokens_of(reached)[0]
        flags = bytearray()
        if node == 0:
            inside_flags = np.zeros(self.num_tokens, np.uint8)
            inside_flags[tokens] = 1
            flags = bytearray(inside_flags.tobytes())
        found = Run(reached, *bases_and_list(tokens, self.num_words), leaving, flags)
        self._runs[node, loop] = found
        return found

    def _spread(
        self, start: list[tuple[int, Expression, int]], counted_from: Expression | None = None
    ) -> Spread:
        """Walk from (node, expression, count) along live bytes.

        With `counted_from`, a byte read in that state begins a character and adds one to the count, unless the head
        ends with it.
        """
        trie = self.trie
        has_children, children = trie.has_children, trie.children
        nodes: list[int] = []
        counts: list[int] = []
        exits: list[int] = []
        exit_counts: list[int] = []
        levels: list[Spread] = []
        stack = start
        while stack:
            if len(stack) >= _MANY_NODES:
                stack = self._spread_levels(stack, counted_from, levels)
                continue
            node, expression, count = stack.pop()
            class_of, targets = expression.transitions()
            for byte, child in children(node).items():
                target = targets[class_of[byte]]
                if target is EMPTY:
                    continue
                is_exit = target.nullable
                total = count + 1 if expression is counted_from and not is_exit else count
                for member in (child,) if child < trie.num_nodes else trie.members(child):
                    nodes.append(member)
                    counts.append(total)
                    if is_exit:
                        exits.append(member)
                        exit_counts.append(total)
                if child >= trie.num_nodes or has_children[child]:
                    stack.append((child, target, total))
        parts = [Spread(*(np.asarray(x, np.int64) for x in (nodes, counts, exits, exit_counts))), *levels]
        return Spread(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _spread_levels(
        self, stack: list[tuple[int, Expression, int]], counted_from: Expression | None, levels: list[Spread]
    ) -> list[tuple[int, Expression, int]]:
        """Walk level by level while many nodes are alive; append what was reached, give back the few left over."""
        trie = self.trie
        number: dict[Expression, int] = {}
        table = np.empty((0, 256), np.int32)
        ready: set[int] = set()
        expressions: list[Expression] = []

        def add(expression: Expression) -> int:
            found = number.get(expression)
            if found is None:
                found = number[expression] = len(expressions)
                expressions.append(expression)
            return found

        plain = [(m, add(e), c) for n, e, c in stack for m in trie.members(n)]
        node, state, count = (np.asarray(column, np.int64) for column in zip(*plain, strict=True))
        counter = add(counted_from) if counted_from is not None else -1
        while len(node) >= _MANY_NODES:
            for new in np.unique(state).tolist():
                if new not in ready:
                    ready.add(new)
                    class_of, targets = expressions[new].transitions()
                    numbers = np.asarray([-1 if t is EMPTY else add(t) for t in targets], np.int32)
                    if len(expressions) > len(table):
                        table = np.concatenate((table, np.empty((len(expressions), 256), np.int32)))
                    table[new] = numbers[np.frombuffer(class_of, np.uint8)]
            is_nullable = np.fromiter((e.nullable for e in expressions), bool, len(expressions))
            parent, child = trie.expand(node)
            target = table[state[parent], trie.byte[child]]
            live = target >= 0
            parent, child, target = parent[live], child[live], target[live].astype(np.int64)
            is_exit = is_nullable[target]
            total = count[parent]
            if counter >= 0:
                total = total + ((state[parent] == counter) & ~is_exit)
            levels.append(Spread(child, total, child[is_exit], total[is_exit]))
            inner = trie.num_children[child] > 0
            node, state, count = child[inner], target[inner], total[inner]
        return [(n, expressions[s], c) for n, s, c in zip(node.tolist(), state.tolist(), count.tolist(), strict=True)]


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
