"""Walks through the vocabulary trie along a head: which nodes it reaches, and where it may end.

A walk goes level by level with NumPy where many nodes are alive, and node by node where few are. A *run* is the walk
along one class of bytes for as long as tokens stay in it, whatever the head: a head that reads a byte of the class
again and again takes it from there, and only where a token leaves the class is the head itself looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.expression import EMPTY, Expression, mask_of, star
from outlines.constraints.strings import TextState
from outlines.rows import Base, bases_of_nodes
from outlines.trie import Trie

__all__ = ["CharacterRun", "Run", "Spread", "Start", "State", "StateNumbers", "join", "spread"]

#: From this many alive nodes on, a level is a few dozen NumPy operations (some 60 us); for fewer a Python loop over the
#: nodes is faster (some 3 us each, with their children). Of 12, 24, 32 and 64, 24 took least over 300 schemas.
_MANY_NODES = 24

#: A run below which this part of all nodes lies looks at all nodes, level by level; one with less goes along children.
_SOME_NODES = 8

#: A walk by levels goes on down to so many nodes, lest it goes to and fro.
_FEW_NODES = 12

State: TypeAlias = "Expression | TextState"


class Start(NamedTuple):
    """Where a walk begins: nodes, the head's state at all of them, and the characters counted at each."""

    nodes: NDArray
    state: State
    counts: NDArray


class Spread(NamedTuple):
    """A finished walk: nodes reached, each with a count of characters and a state, and whether the head may end."""

    nodes: NDArray
    counts: NDArray
    states: NDArray  # numbers, as `StateNumbers` gave them
    is_exit: NDArray


class StateNumbers:
    """Numbers for the states of one walk.

    Parameters
    ----------
    loop
        A loop over characters of which the walk counts the begun ones; None where TextStates do that.
    """

    def __init__(self, loop: Expression | None = None) -> None:
        self.loop = loop
        self.states: list[State] = []
        self._numbers: dict[State, int] = {}

    def of(self, state: State) -> int:
        """Give the number of a state."""
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self.states)
            self.states.append(state)
        return found

    def begins(self, state: State) -> bool:
        """Tell whether a character begins with the next byte."""
        return state is self.loop or (isinstance(state, TextState) and state.is_start)


def join(parts: list[Spread]) -> Spread:
    """Give several walks as one."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Spread(nothing, nothing, nothing, nothing.astype(bool))
    return Spread(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def spread(trie: Trie, start: list[Start], numbers: StateNumbers) -> Spread:
    """Walk from some nodes along live bytes; they themselves aren't part of what is reached.

    In a TextState between two characters, a byte begins a character and adds one to the count, unless the head
    ends with it.
    """
    has_children, children = trie.has_children, trie.children
    reached: list[tuple[int, int, int, bool]] = []
    levels: list[Spread] = []
    stack: list[tuple[int, State, int]] = []
    if sum(len(part.nodes) for part in start) >= _MANY_NODES:
        sizes = [len(part.nodes) for part in start]
        stack = _spread_levels(
            trie,
            np.concatenate([part.nodes for part in start]),
            np.repeat([numbers.of(part.state) for part in start], sizes),
            np.concatenate([part.counts for part in start]),
            numbers,
            levels,
        )
    else:
        for nodes, state, counts in start:
            stack += [(n, state, c) for n, c in zip(nodes.tolist(), counts.tolist(), strict=True)]
    while stack:
        if len(stack) >= _MANY_NODES:
            flat = np.asarray([(n, numbers.of(e), c) for n, e, c in stack], np.int64)
            stack = _spread_levels(trie, flat[:, 0], flat[:, 1], flat[:, 2], numbers, levels)
            continue
        at, state, count = stack.pop()
        class_of, targets = state.transitions()
        begins = numbers.begins(state)
        for byte, child in children[at].items():
            target = targets[class_of[byte]]
            if target is EMPTY:
                continue
            is_exit = target.nullable
            total = count + 1 if begins and not (is_exit and numbers.loop is None) else count
            reached.append((child, total, numbers.of(target), is_exit))
            if has_children[child]:
                stack.append((child, target, total))
    if reached or not levels:
        flat = np.asarray(reached, np.int64).reshape(-1, 4)
        levels.append(Spread(flat[:, 0], flat[:, 1], flat[:, 2], flat[:, 3].astype(bool)))
    return join(levels)


def _spread_levels(
    trie: Trie, node: NDArray, state: NDArray, count: NDArray, numbers: StateNumbers, levels: list[Spread]
) -> list[tuple[int, State, int]]:
    """Walk level by level while many nodes are alive; append what was reached, give back the few left over."""
    table = np.empty((0, 256), np.int32)
    ready: set[int] = set()
    is_nullable = begins = closes = np.zeros(0, bool)
    while True:
        for new in np.flatnonzero(np.bincount(state)).tolist():
            if new not in ready:
                ready.add(new)
                class_of, targets = numbers.states[new].transitions()
                following = np.asarray([-1 if t is EMPTY else numbers.of(t) for t in targets], np.int32)
                if len(numbers.states) > len(table):
                    table = np.concatenate((table, np.empty((2 * len(numbers.states), 256), np.int32)))
                table[new] = following[np.frombuffer(class_of, np.uint8)]
        known = numbers.states
        if len(is_nullable) < len(known):
            is_nullable = np.fromiter((s.nullable for s in known), bool, len(known))
            begins = np.fromiter(map(numbers.begins, known), bool, len(known))
            closes = is_nullable if numbers.loop is None else np.zeros(len(known), bool)
        parent, child = trie.expand(node)
        target = table[state[parent], trie.byte[child]]
        live = np.flatnonzero(target >= 0)
        parent, child, target = parent[live], child[live], target[live].astype(np.int64)
        is_exit = is_nullable[target]
        total = count[parent] + (begins[state[parent]] & ~closes[target])
        levels.append(Spread(child, total, target, is_exit))
        inner = np.flatnonzero(trie.num_children[child])
        node, state, count = child[inner], target[inner], total[inner]
        if len(node) < _FEW_NODES:
            break
    left = zip(node.tolist(), state.tolist(), count.tolist(), strict=True)
    return [(n, numbers.states[s], c) for n, s, c in left]


class Leaving(NamedTuple):
    """Nodes after one byte: how much of a class comes before it, ascending, and where each such length begins."""

    nodes: NDArray
    lengths: NDArray
    starts: list[int]


class Leavings(Mapping[int, Leaving]):
    """Nodes by their last byte, in the order of what comes before them; each byte's are made when first asked for.

    Parameters
    ----------
    nodes, lengths
        The nodes, and how much comes before each, ascending.
    """

    def __init__(self, trie: Trie, nodes: NDArray, lengths: NDArray):
        byte = trie.byte[nodes]
        self._order = np.argsort(byte, kind="stable")
        self._ends = np.cumsum(np.bincount(byte, minlength=256)).tolist()
        self._nodes, self._lengths = nodes.astype(np.int32), lengths.astype(np.int32)
        self._made: dict[int, Leaving | None] = {}

    def __getitem__(self, byte: int) -> Leaving:
        found = self.get(byte)
        if found is None:
            raise KeyError(byte)
        return found

    def get(self, byte: int, default: Any = None) -> Any:
        """Give the nodes after a byte; the default where there are none."""
        try:
            found = self._made[byte]
        except KeyError:
            found = self._made[byte] = self._make(byte)
        return default if found is None else found

    def _make(self, byte: int) -> Leaving | None:
        first, last = self._ends[byte - 1] if byte else 0, self._ends[byte]
        if first == last:
            return None
        group = self._order[first:last]
        lengths = self._lengths[group]
        starts = np.concatenate(([0], np.cumsum(np.bincount(lengths)))).tolist()
        return Leaving(self._nodes[group], lengths, starts)

    def __iter__(self) -> Iterator[int]:
        return (byte for byte in range(256) if byte in self)

    def __contains__(self, byte: object) -> bool:
        return isinstance(byte, int) and self._ends[byte] > (self._ends[byte - 1] if byte else 0)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Run:
    """The walk from a node along one class of bytes.

    Attributes
    ----------
    nodes, lengths : int32, int32 [N]
        The nodes reached, and how many bytes of the class lead to each; lengths ascend.
    longest : int
        The last of the lengths.
    leaving : mapping of int to Leaving
        For each byte outside of the class the nodes after it.
    leads : mapping of int to Leaving
        Empty here; see CharacterRun.
    outside : int
        The class of the bytes outside.
    num_bytes : int
        Memory of these arrays.
    """

    def __init__(self, trie: Trie, node: int, byte_flags: bytes, num_words: int):
        in_class = np.frombuffer(byte_flags, bool)
        self.outside = mask_of(byte_flags, [0])
        is_most = trie.big_nodes.get(node, 0) > trie.num_nodes // _SOME_NODES
        walk = _along_levels if is_most else _along_children
        nodes, lengths, left, before = walk(trie, node, in_class)
        self.leaving: Mapping[int, Leaving] = Leavings(trie, left, before)
        self.leads: Mapping[int, Leaving] = {}
        self.num_bytes = 8 * (2 * len(nodes) + 2 * len(left))
        self._keep(trie, nodes, lengths, num_words)

    def _keep(self, trie: Trie, nodes: NDArray, lengths: NDArray, num_words: int) -> None:
        self.nodes, self.lengths = nodes.astype(np.int32), lengths.astype(np.int32)  # small: a wide class has most
        self.longest = int(self.lengths[-1]) if len(self.lengths) else 0
        self._trie = trie
        self._num_words = num_words
        self._upto: dict[int, tuple[tuple[Base, ...], tuple[int, ...]]] = {}

    @functools.cached_property
    def tokens_and_lengths(self) -> tuple[NDArray, NDArray]:
        """The tokens that end at the nodes, and their lengths, ascending; int32 [T] both."""
        tokens, origin = self._trie.tokens_of(self.nodes)
        return tokens.astype(np.int32), self.lengths[origin]

    def upto(self, length: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens of at most so many bytes, all in the class, as base rows and a list."""
        found = self._upto.get(length)
        if found is None:
            nodes = self.nodes[: int(np.searchsorted(self.lengths, length, "right"))]
            found = self._upto[length] = bases_of_nodes(self._trie, nodes, self._num_words)
        return found

    def num_from(self, length: int) -> int:
        """Count the nodes of at least some length."""
        return len(self.nodes) - int(np.searchsorted(self.lengths, length))

    def nodes_at(self, first: int, last: int) -> NDArray:
        """Give the nodes after `first` to `last` bytes."""
        low, high = np.searchsorted(self.lengths, (first, last + 1))
        return self.nodes[low:high]


class CharacterRun(Run):
    """The walk from a node along a set of characters, some of several bytes; its lengths count characters begun.

    Attributes
    ----------
    leaving : mapping of int to Leaving
        As in a Run, where the byte comes between two characters.
    leads : mapping of int to Leaving
        For each first byte of characters of several bytes the nodes after it.
    """

    def __init__(self, trie: Trie, node: int, body: Expression, num_words: int):
        loop = star(body)
        numbers = StateNumbers(loop)
        begin = np.asarray(trie.members(node))
        found = spread(trie, [Start(begin, loop, np.zeros(len(begin), np.int64))], numbers)
        order = np.argsort(found.counts, kind="stable")
        nodes, lengths = found.nodes[order], found.counts[order]
        between = found.states[order] == numbers.of(loop)
        self._between, self._between_lengths = nodes[between].astype(np.int32), lengths[between].astype(np.int32)
        # what comes next between two characters: it leaves, or begins a character
        at = np.concatenate((begin, self._between))
        parent, child = trie.expand(at)
        before = np.concatenate((np.zeros(len(begin), np.int64), self._between_lengths))[parent]
        class_of, targets = loop.transitions()
        kinds = bytes(0 if target is EMPTY else 1 if target is loop else 2 for target in targets).ljust(256)
        kind_of = class_of.translate(kinds)
        self.outside = mask_of(kind_of, [0])
        kind = np.frombuffer(kind_of, np.uint8)[trie.byte[child]]
        self.leaving = Leavings(trie, child[kind == 0], before[kind == 0])
        self.leads = Leavings(trie, child[kind == 2], before[kind == 2])
        self.num_bytes = 8 * (3 * len(nodes) + 2 * len(child))
        self._keep(trie, nodes, lengths, num_words)

    def nodes_at(self, first: int, last: int) -> NDArray:
        """Give the nodes after `first` to `last` whole characters."""
        low, high = np.searchsorted(self._between_lengths, (first, last + 1))
        return self._between[low:high]


def _along_levels(trie: Trie, node: int, in_class: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Walk along a class where much is below: a flag for every node, level by level.

    Gives the nodes reached and the bytes that lead to each, then the nodes that leave and the bytes before each.
    """
    first = int(trie.depth[node])
    inside = np.zeros(trie.num_nodes, bool)
    inside[node] = True
    keeps = in_class[trie.byte]
    parent = trie.parent
    for start, end in trie.levels[first + 1 :]:
        level = inside[parent[start:end]] & keeps[start:end]
        if not level.any():
            break
        inside[start:end] = level
    leaves = inside[parent] & ~inside
    leaves[0] = inside[node] = False
    nodes, left = np.flatnonzero(inside), np.flatnonzero(leaves)
    return nodes, trie.depth[nodes] - first, left, trie.depth[left] - first - 1


def _along_children(trie: Trie, node: int, in_class: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Walk along a class where little is below, or from a merged node: from children to children."""
    frontier = np.asarray(trie.members(node))
    inside, left = [], []
    while len(frontier):
        child = trie.expand(frontier)[1]
        stays = in_class[trie.byte[child]]
        left.append(child[~stays])
        frontier = child[stays]
        inside.append(frontier)
    nodes, lengths = _with_level(inside)
    return nodes, lengths + 1, *_with_level(left)


def _with_level(levels: list[NDArray]) -> tuple[NDArray, NDArray]:
    """Join the nodes of some levels; give them and the number of each one's level."""
    if not levels:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(levels), np.repeat(np.arange(len(levels)), [len(level) for level in levels])
