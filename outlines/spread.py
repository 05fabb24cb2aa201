"""Walks through the vocabulary trie along a head: which nodes it reaches, and where it may end.

A walk goes level by level with NumPy where many nodes are alive, and node by node where few are. A *run* is the walk
along one class of bytes for as long as tokens stay in it, whatever the head: a head that reads a byte of the class
again and again takes it from there, and only where a token leaves the class is the head itself looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.expression import EMPTY, EPSILON, Expression, mask_of, star
from outlines.constraints.strings import TextState
from outlines.rows import Base, bases_and_list, bases_of_flags
from outlines.trie import ROOT, Pieces, Trie
from outlines.vocabulary import WORD_BITS

__all__ = ["CharacterRun", "Run", "Spread", "Start", "State", "StateNumbers", "join", "spread"]

#: From this many alive nodes on, a level is a few dozen NumPy operations (some 60 us); for fewer a Python loop over the
#: nodes is faster (some 3 us each, with their children). Of 12, 24, 32 and 64, 24 took least over 300 schemas.
_MANY_NODES = 24

#: A run below which this part of all nodes lies looks at all nodes, level by level; one with less goes along children.
_SOME_NODES = 8

#: Along a class of so many bytes a walk goes along children, however much is below.
_NARROW_CLASS = 16

#: A walk by levels goes on down to so many nodes, lest it goes to and fro.
_FEW_NODES = 12

State: TypeAlias = "Expression | TextState"

#: Bytes that begin a character of UTF-8, and how many more it has; and those that continue one.
_FIRST_BYTES = tuple(
    (mask_of(bytes(first <= byte < end for byte in range(256)), [1]), num_bytes)
    for first, end, num_bytes in ((0, 0x80, 0), (0xC0, 0xE0, 1), (0xE0, 0xF0, 2), (0xF0, 0xF8, 3))
)
_CONTINUATIONS = mask_of(bytes(0x80 <= byte < 0xC0 for byte in range(256)), [1])


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
        self.is_nullable = bytearray()  # a flag a number
        self.is_between = bytearray()  # a flag a number: whether a character begins with the next byte
        self._numbers: dict[State, int] = {}

    def of(self, state: State) -> int:
        """Give the number of a state."""
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self.states)
            self.states.append(state)
            self.is_nullable.append(state.nullable)
            self.is_between.append(self.begins(state))
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


def spread(
    trie: Trie, start: list[Start], numbers: StateNumbers, is_kept: Callable[[State], bool] | None = None,
    kept: list[tuple[int, State, int]] | None = None,
) -> Spread:  # fmt: skip
    """Walk from some nodes along live bytes; they themselves aren't part of what is reached.

    Below a huge node no walk is made in a state that `is_kept` says yes to: such are added to `kept`, with
    their counts.

    In a TextState between two characters, a byte begins a character and adds one to the count, unless the head
    ends with it.
    """
    has_children, children, big_nodes = trie.has_children, trie.children, trie.big_nodes
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
            is_kept,
            kept,
        )
    else:
        for nodes, state, counts in start:
            stack += [(n, state, c) for n, c in zip(nodes.tolist(), counts.tolist(), strict=True)]
    while stack:
        if len(stack) >= _MANY_NODES:
            flat = np.asarray([(n, numbers.of(e), c) for n, e, c in stack], np.int64)
            stack = _spread_levels(trie, flat[:, 0], flat[:, 1], flat[:, 2], numbers, levels, is_kept, kept)
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
                if kept is not None and child in big_nodes and trie.is_huge[child] and is_kept(target):  # type: ignore[misc]
                    kept.append((child, target, total))
                else:
                    stack.append((child, target, total))
    if reached or not levels:
        flat = np.asarray(reached, np.int64).reshape(-1, 4)
        levels.append(Spread(flat[:, 0], flat[:, 1], flat[:, 2], flat[:, 3].astype(bool)))
    return join(levels)


def _spread_levels(
    trie: Trie, node: NDArray, state: NDArray, count: NDArray, numbers: StateNumbers, levels: list[Spread],
    is_kept: Callable[[State], bool] | None, kept: list[tuple[int, State, int]] | None,
) -> list[tuple[int, State, int]]:  # fmt: skip
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
        if len(is_nullable) < len(numbers.states):
            is_nullable = np.frombuffer(bytes(numbers.is_nullable), bool)
            begins = np.frombuffer(bytes(numbers.is_between), bool)
            closes = is_nullable if numbers.loop is None else np.zeros(len(begins), bool)
        parent, child = trie.expand(node)
        target = table[state[parent], trie.byte[child]]
        live = np.flatnonzero(target >= 0)
        parent, child, target = parent[live], child[live], target[live].astype(np.int64)
        is_exit = is_nullable[target]
        total = count[parent] + (begins[state[parent]] & ~closes[target])
        levels.append(Spread(child, total, target, is_exit))
        goes_on = trie.num_children[child] > 0
        if kept is not None:
            for place in np.flatnonzero(trie.is_huge[child]).tolist():
                at = numbers.states[int(target[place])]
                if is_kept(at):  # type: ignore[misc]
                    kept.append((int(child[place]), at, int(total[place])))
                    goes_on[place] = False
        inner = np.flatnonzero(goes_on)
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
    """Nodes by their last byte, in the order of what comes before them; looked for when first asked for.

    Parameters
    ----------
    find
        Gives the nodes, and how much comes before each, ascending.
    """

    def __init__(self, trie: Trie, find: Callable[[], tuple[NDArray, NDArray]]):
        self._trie = trie
        self._find = find
        self._made: dict[int, Leaving | None] = {}

    @functools.cached_property
    def _found(self) -> tuple[NDArray, NDArray, NDArray, list[int]]:
        nodes, lengths = self._find()
        byte = self._trie.byte[nodes]
        order = np.argsort(byte, kind="stable").astype(np.int32)
        ends = np.cumsum(np.bincount(byte, minlength=256)).tolist()
        return nodes.astype(np.int32), lengths.astype(np.int32), order, [0, *ends]

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
        nodes, lengths, order, ends = self._found
        if ends[byte] == ends[byte + 1]:
            return None
        group = order[ends[byte] : ends[byte + 1]]
        lengths = lengths[group]
        starts = np.concatenate(([0], np.cumsum(np.bincount(lengths)))).tolist()
        return Leaving(nodes[group], lengths, starts)

    def __iter__(self) -> Iterator[int]:
        ends = self._found[3]
        return (byte for byte in range(256) if ends[byte] < ends[byte + 1])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Run:
    """The walk from a node along one class of bytes.

    Attributes
    ----------
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
        self._trie, self._num_words = trie, num_words
        self._upto: dict[int, tuple[tuple[Base, ...], tuple[int, ...]]] = {}
        self.outside = mask_of(byte_flags, [0])
        self.leads: Mapping[int, Leaving] = {}
        self._flags: NDArray | None = None
        in_class = np.frombuffer(byte_flags, bool)
        is_most = trie.big_nodes.get(node, 0) > trie.num_nodes // _SOME_NODES
        if is_most and byte_flags.count(1) > _NARROW_CLASS:
            self._flags, find_leaving = _along_levels(trie, node, in_class)
            self._order, self._length_of, self._first = None, trie.depth, int(trie.depth[node])
            self.leaving: Mapping[int, Leaving] = Leavings(trie, lambda: self._pick(find_leaving(), 1))
            self.num_bytes = trie.num_nodes
        else:
            nodes, lengths, left, before = _along_children(trie, node, in_class)
            self.nodes_and_lengths = nodes.astype(np.int32), lengths.astype(np.int32)
            self.leaving = Leavings(trie, lambda: (left, before))
            self.num_bytes = 8 * (len(nodes) + 2 * len(left))

    def _pick(self, flags: NDArray, length: int = 0) -> tuple[NDArray, NDArray]:
        """Give flagged nodes and how many bytes or characters lead to each, ascending; `length` is taken off these."""
        nodes = np.flatnonzero(flags) if self._order is None else self._order[flags[self._order]]
        return nodes.astype(np.int32), (self._length_of[nodes] - (self._first + length)).astype(np.int32)

    @functools.cached_property
    def nodes_and_lengths(self) -> tuple[NDArray, NDArray]:
        """The nodes reached, and how much leads to each, ascending; int32 [N] both."""
        assert self._flags is not None
        return self._pick(self._flags)

    @property
    def _places(self) -> tuple[NDArray, NDArray]:
        """The nodes where something else may follow, and how much leads to each."""
        return self.nodes_and_lengths

    @property
    def at_most(self) -> int:
        """A length that none of the lengths is beyond; at no cost."""
        return len(self._trie.levels) - 1

    @functools.cached_property
    def longest(self) -> int:
        """The last of the lengths; 0 if there are none."""
        lengths = self.nodes_and_lengths[1]
        return int(lengths[-1]) if len(lengths) else 0

    @functools.cached_property
    def tokens_and_lengths(self) -> tuple[NDArray, NDArray]:
        """The tokens that end at the nodes, and their lengths, ascending; int32 [T] both."""
        nodes, lengths = self.nodes_and_lengths
        tokens, origin = self._trie.tokens_of(nodes)
        return tokens.astype(np.int32), lengths[origin]

    def upto(self, length: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens of at most so many bytes, all in the class, as base rows and a list."""
        found = self._upto.get(length)
        if found is None:
            if self._flags is not None and (length >= self.at_most or length >= self.longest):
                found = bases_of_flags(self._trie, self._flags, self._num_words)
            else:
                tokens, lengths = self.tokens_and_lengths
                found = bases_and_list(tokens[: lengths.searchsorted(length, "right")], self._num_words)
            self._upto[length] = found
        return found

    @functools.cached_property
    def staying(self) -> bytearray:
        """A flag a token: whether it's made of whole characters of the class, or of its bytes."""
        flags = self._trie.token_flags(self._places[0]) if self._flags is None else self._whole_flags()
        return bytearray(flags.tobytes().ljust(self._num_words * WORD_BITS, b"\0"))

    def _whole_flags(self) -> NDArray:
        """Give a flag a token, as `staying`, from those of the nodes."""
        assert self._flags is not None
        return self._flags[self._trie.token_node]

    def num_from(self, length: int) -> int:
        """Count the nodes of at least some length."""
        lengths = self.nodes_and_lengths[1]
        return len(lengths) - int(lengths.searchsorted(length))

    def nodes_at(self, first: int, last: int) -> NDArray:
        """Give the nodes after `first` to `last` whole characters of the class, or bytes."""
        nodes, lengths = self._places
        return nodes[lengths.searchsorted(first) : lengths.searchsorted(last + 1)]


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
        class_of, targets = loop.transitions()
        kinds = bytes(0 if target is EMPTY else 1 if target is loop else 2 for target in targets).ljust(256)
        kind_of = class_of.translate(kinds)
        self._trie, self._num_words = trie, num_words
        self._upto = {}
        self.outside = mask_of(kind_of, [0])
        self._flags = None
        is_live = None
        if node in trie.big_nodes and trie.pieces.left[node] == 0:
            is_live = _live_pieces(trie.pieces, body)
        if is_live is not None:
            self._order, self._length_of = trie.pieces.order, trie.pieces.count
            self._first = int(trie.pieces.count[node])
            self._flags, find_leaving, find_leads = _along_pieces(trie, node, is_live)
            self.leaving = Leavings(trie, lambda: self._pick(find_leaving(), 1))
            self.leads = Leavings(trie, lambda: self._pick(find_leads(), 1))
            self.num_bytes = trie.num_nodes
        else:
            nodes, lengths, between, between_lengths, child, before = _along_loop(trie, node, loop)
            self.nodes_and_lengths = nodes.astype(np.int32), lengths.astype(np.int32)
            self._between = between.astype(np.int32), between_lengths.astype(np.int32)
            kind = np.frombuffer(kind_of, np.uint8)[trie.byte[child]]
            leaves, leads = kind == 0, kind == 2
            self.leaving = Leavings(trie, lambda: (child[leaves], before[leaves]))
            self.leads = Leavings(trie, lambda: (child[leads], before[leads]))
            self.num_bytes = 8 * 5 * len(nodes)

    def _whole_flags(self) -> NDArray:
        node = self._trie.token_node
        return super()._whole_flags() & (self._trie.pieces.left[node] == 0)

    @functools.cached_property
    def _between(self) -> tuple[NDArray, NDArray]:
        nodes, lengths = self.nodes_and_lengths
        whole = self._trie.pieces.left[nodes] == 0
        return nodes[whole], lengths[whole]

    @property
    def _places(self) -> tuple[NDArray, NDArray]:
        return self._between


def _along_loop(trie: Trie, node: int, loop: Expression) -> tuple[NDArray, ...]:
    """Walk along a loop over characters of any code.

    Gives the nodes reached and the characters begun at each, those between two characters and their counts, and what
    comes next there, with the characters before.
    """
    begin = np.asarray(trie.members(node))
    is_most = trie.big_nodes.get(node, 0) > trie.num_nodes // _SOME_NODES
    if is_most and loop.first_bytes().bit_count() > _NARROW_CLASS:
        nodes, lengths, is_between = _loop_levels(trie, node, loop)
    else:
        numbers = StateNumbers(loop)
        found = spread(trie, [Start(begin, loop, np.zeros(len(begin), np.int64))], numbers)
        nodes, lengths, is_between = found.nodes, found.counts, found.states == numbers.of(loop)
    order = np.argsort(lengths, kind="stable")
    nodes, lengths, is_between = nodes[order], lengths[order], is_between[order]
    between, between_lengths = nodes[is_between], lengths[is_between]
    parent, child = trie.expand(np.concatenate((begin, between)))
    before = np.concatenate((np.zeros(len(begin), np.int64), between_lengths))[parent]
    return nodes, lengths, between, between_lengths, child, before


def _loop_levels(trie: Trie, node: int, loop: Expression) -> tuple[NDArray, NDArray, NDArray]:
    """Walk along a loop where much is below: a state for every node, level by level.

    Gives the nodes reached, the characters begun at each, and whether it's between two characters.
    """
    numbers = {loop: 1}  # 0: not reached
    states = [loop]
    rows = [bytes(512)]
    for state in states:
        class_of, targets = state.transitions()
        for target in targets:
            if target is not EMPTY and target not in numbers:
                states.append(target)
                numbers[target] = len(states)
        following = np.asarray([numbers.get(target, 0) for target in targets], np.int16)
        rows.append(following[np.frombuffer(class_of, np.uint8)].tobytes())
    table = np.frombuffer(b"".join(rows), np.int16)
    state_of = np.zeros(trie.num_nodes, np.int16)
    count = np.zeros(trie.num_nodes, np.int32)
    state_of[node] = 1
    for start, end in trie.levels[int(trie.depth[node]) + 1 :]:
        parent = trie.parent[start:end]
        before = state_of[parent]
        state_of[start:end] = table[before.astype(np.int32) << 8 | trie.byte[start:end]]
        count[start:end] = count[parent] + (before == 1)
    state_of[node] = 0
    nodes = np.flatnonzero(state_of)
    return nodes, count[nodes], state_of[nodes] == 1


def _live_pieces(pieces: Pieces, body: Expression) -> NDArray | None:
    """Give a flag a piece: whether a set of characters has it, or one that begins with it. None if not of UTF-8."""
    states = _states_of_utf8(body)
    if states is None:
        return None
    numbers = {state: number for number, state in enumerate(states)}
    table = np.full((len(states), 256), -1, np.int16)
    for row, state in zip(table, states, strict=True):
        class_of, targets = state.transitions()
        following = np.asarray([numbers.get(target, -1) for target in targets], np.int16)
        row[:] = following[np.frombuffer(class_of, np.uint8)]
    flat = np.concatenate((table.ravel(), np.full(256, -1, np.int16)))  # after -1 comes -1
    state = np.zeros(len(pieces.byte), np.int32)
    start = 0
    for end in pieces.size_ends:
        before = state[pieces.parent[start:end]] if start else 0
        state[start:end] = flat[before * 256 + pieces.byte[start:end]]
        start = end
    return state >= 0


def _states_of_utf8(body: Expression) -> list[Expression] | None:
    """Give the derivatives of a set of characters, EMPTY excepted; None if some text in it isn't laid out as UTF-8."""
    left_of = {body: 0}  # bytes that are missing
    states = [body]
    for state in states:
        if state is EPSILON:
            continue
        class_of, targets = state.transitions()
        continued = ((_CONTINUATIONS, left_of[state] - 1),)
        for number, target in enumerate(targets):
            if target is EMPTY:
                continue
            mask = mask_of(class_of, [number])
            for among, left in _FIRST_BYTES if state is body else continued:
                if mask & among:
                    mask &= ~among
                    if target not in left_of:
                        left_of[target] = left
                        states.append(target)
                    if left_of[target] != left or target.nullable != (left == 0):
                        return None
            if mask or (target.nullable and target is not EPSILON):
                return None
    return states


def _along_levels(trie: Trie, node: int, in_class: NDArray) -> tuple[NDArray, Callable[[], NDArray]]:
    """Walk along a class where much is below, level by level.

    Gives a flag for every node, whether it's reached, and a function that gives whether it's the first to leave.
    """
    inside = np.zeros(trie.num_nodes, bool)
    inside[node] = True
    keeps = in_class[trie.byte]
    parent = trie.parent
    for start, end in trie.levels[int(trie.depth[node]) + 1 :]:
        level = inside[parent[start:end]]
        level &= keeps[start:end]
        if not level.any():
            break
        inside[start:end] = level
    inside[node] = False
    return inside, lambda: _next_nodes(trie, inside, node) & ~inside


def _next_nodes(trie: Trie, flags: NDArray, node: int) -> NDArray:
    """Give a flag a node: whether it's below one flagged, or below `node`."""
    found = flags[trie.parent]
    first = int(trie.first_child[node])
    found[first : first + int(trie.num_children[node])] = True
    found[ROOT] = False
    return found


def _along_pieces(
    trie: Trie, node: int, is_live: NDArray
) -> tuple[NDArray, Callable[[], NDArray], Callable[[], NDArray]]:
    """Walk along characters of UTF-8 where much is below, level by level.

    `is_live` tells of each piece whether it's one of the characters, or begins one. Gives a flag for every node,
    whether it's reached, and functions that give whether it's the first to leave between two characters, and whether
    it's the first of several bytes of a character.
    """
    pieces = trie.pieces
    keeps = is_live[pieces.piece]
    keeps &= pieces.left >= 0
    inside = np.zeros(trie.num_nodes, bool)
    inside[node] = True
    for start, end in trie.levels[int(trie.depth[node]) + 1 :]:
        level = inside[pieces.above[start:end]]
        level &= keeps[start:end]
        inside[start:end] = level
    inside[node] = False

    def next_nodes() -> NDArray:
        return _next_nodes(trie, inside & (pieces.left == 0), node)

    return inside, lambda: next_nodes() & ~inside, lambda: next_nodes() & inside & (trie.byte >= 0x80)


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
