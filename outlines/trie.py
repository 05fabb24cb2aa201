"""The vocabulary trie: the prefix tree over the bytes of all tokens, in flat arrays, and nodes merged out of several.

Nodes are numbered level by level, each level in the order of its strings, so the children of a node are one run of
numbers and a whole level is handled by one NumPy operation. Node 0 is the root. A *merged* node (numbers from
`num_nodes` on) stands for a set of nodes: what may follow after any of several places within tokens. Merged nodes are
interned, and their children are found when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["BIG_NODE", "ROOT", "Lazy", "Trie"]

ROOT = 0

#: Nodes below a node from which on it's worth to keep what was found from there.
BIG_NODE = 1024

#: Below a node that has more than this part of all nodes, a walk is begun anew where it can be had cheaper so.
HUGE_PART = 16

_Value = TypeVar("_Value")

#: A merged node of more nodes than this finds its children with NumPy: below, a Python loop is faster.
_FEW_NODES = 32


class Lazy(dict[int, _Value]):
    """A dictionary that finds what it lacks: a hit costs no call."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[int], _Value]):
        super().__init__()
        self._find = find

    def __missing__(self, key: int) -> _Value:
        found = self[key] = self._find(key)
        return found


class Pieces:
    """The nodes of a trie as text in UTF-8: a node's *piece* is its last character, whole or begun.

    It's told by first bytes and continuations alone; which pieces are characters is left to who asks.

    Attributes
    ----------
    left : int8 [N]
        Bytes that are still missing of each node's last character; -1 where the bytes aren't laid out as UTF-8.
    count : int32 [N]
        Characters begun.
    above : int32 [N]
        The node before the piece.
    piece : int32 [N]
        Number of the piece: a byte below 0x80 is its own, others follow, short ones first; 0 where `left` is -1.
    parent : int32 [P], byte : uint8 [P]
        Of each piece the one without its last byte, itself for those of one byte, and the last byte.
    size_ends : list of int
        Where the pieces of up to 1, 2, 3 and 4 bytes end.
    order : int32 [N]
        All nodes by their count.
    """

    def __init__(self, trie: Trie):
        layout = np.full((5, 256), -1, np.int8)  # left before (4: not UTF-8), byte -> left after
        layout[0, :0x80] = 0
        for first, end, num_bytes in ((0xC0, 0xE0, 1), (0xE0, 0xF0, 2), (0xF0, 0xF8, 3)):
            layout[0, first:end] = num_bytes
        for num_bytes in (1, 2, 3):
            layout[num_bytes, 0x80:0xC0] = num_bytes - 1
        following = layout.ravel()
        size = trie.num_nodes
        self.left = left = np.zeros(size, np.int8)
        self.count = count = np.zeros(size, np.int32)
        self.above = above = np.zeros(size, np.int32)
        text = np.zeros(size, np.uint32)  # the bytes of the piece
        for start, end in trie.levels[1:]:
            parent, byte = trie.parent[start:end], trie.byte[start:end]
            before = left[parent]
            begins = before == 0
            left[start:end] = following[(before % 5).astype(np.int32) * 256 + byte]
            count[start:end] = count[parent] + begins
            above[start:end] = np.where(begins, parent, above[parent])
            text[start:end] = np.where(begins, 0, text[parent] << 8) | byte
        text[left < 0] = 0
        is_long = text >= 0x80
        texts, numbers = np.unique(text[is_long], return_inverse=True)
        text[is_long] = 0x80 + numbers
        self.piece = text.astype(np.int32)
        texts = np.concatenate((np.arange(0x80, dtype=np.uint32), texts))
        self.byte = (texts & 0xFF).astype(np.uint8)
        self.size_ends = np.searchsorted(texts, [0x100, 0x10000, 0x1000000, 0x100000000]).tolist()
        self.parent = np.arange(len(texts), dtype=np.int32)
        longer = slice(self.size_ends[0], None)
        self.parent[longer] = np.searchsorted(texts, texts[longer] >> 8)
        self.order = np.argsort(count.astype(np.uint16), kind="stable").astype(np.int32)


class Trie:
    """A prefix tree over byte strings.

    Attributes
    ----------
    byte : uint8 [N]
        Last byte of each node's string; 0 for the root.
    first_child, num_children : int32 [N]
        The children of node n are `first_child[n]` to `first_child[n] + num_children[n] - 1`, in order of their bytes.
    token_start : int32 [N + 1], token : int32 [T]
        The tokens whose bytes are node n's string are `token[token_start[n]:token_start[n + 1]]`.
    num_below : int64 [N]
        How many nodes are below each.
    big_nodes : dict of int to int
        How many nodes are below those with at least BIG_NODE.
    is_huge : bool [N]
        Whether more than one part in HUGE_PART of all nodes is below a node.
    levels : list of (int, int)
        The first node of each level, and the one after its last.
    depth : int64 [N], parent : int32 [N]
        Level of each node, and the node above it; the root's is itself.
    token_node : int32
        For each token its node, 0 for those without bytes.
    pieces : Pieces
        The nodes as text.
    above_quotes : bytes
        A flag a node: whether some token has a double quote below.
    children : mapping of int to dict
        The children of a node, merged ones too, by byte; found when first asked for, not to be changed.
    tokens : mapping of int to tuple of int
        The tokens that end at a node.
    """

    ARRAYS = ("byte", "first_child", "num_children", "token_start", "token")

    def __init__(self, arrays: dict[str, NDArray]):
        self.byte = arrays["byte"]
        self.first_child = arrays["first_child"]
        self.num_children = arrays["num_children"]
        self.token_start = arrays["token_start"]
        self.token = arrays["token"]
        self.num_nodes = len(self.byte)
        self.has_children = (self.num_children > 0).tobytes()  # a flag a node: indexing bytes is fast
        # the same as what a single number is taken from fast
        self._bytes = self.byte.tobytes()
        self._first_child, self._num_children = memoryview(self.first_child), memoryview(self.num_children)
        self._token_start, self._token = memoryview(self.token_start), memoryview(self.token)
        self.levels = self._find_levels()
        self.depth = np.repeat(np.arange(len(self.levels)), [end - start for start, end in self.levels])
        # children are in the order of their parents
        self.parent = np.concatenate(([0], np.repeat(np.arange(self.num_nodes), self.num_children))).astype(np.int32)
        self.token_node = np.zeros(int(self.token.max(initial=-1)) + 1, np.int32)
        self.token_node[self.token] = np.repeat(np.arange(self.num_nodes), np.diff(self.token_start))
        self.num_below = self._find_num_below()
        self.counts_below = memoryview(self.num_below)
        big = np.flatnonzero(self.num_below >= BIG_NODE)
        self.big_nodes = dict(zip(big.tolist(), self.num_below[big].tolist(), strict=True))
        self.is_huge = (self.num_below >= BIG_NODE) & (self.num_below * HUGE_PART > self.num_nodes)
        self.above_quotes = self.nodes_above(ord('"'))
        self.pieces = Pieces(self)
        self.children: Mapping[int, dict[int, int]] = Lazy(self._find_children)
        self.tokens: Mapping[int, tuple[int, ...]] = Lazy(self._find_tokens)
        self._members: list[tuple[int, ...]] = []  # of each merged node, its plain nodes
        self._merged: dict[tuple[int, ...], int] = {}

    @classmethod
    def build(cls, tokens: Sequence[bytes | None]) -> Trie:
        """Build the trie of the tokens that are not None nor empty; cost: a few NumPy passes a level."""
        ids = [i for i, text in enumerate(tokens) if text]
        ids.sort(key=lambda i: tokens[i])  # type: ignore[arg-type, return-value]
        texts: list[bytes] = [tokens[i] for i in ids]  # type: ignore[misc]
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        starts = np.concatenate(([0], np.cumsum(lengths)))
        joined = np.frombuffer(b"".join(texts), np.uint8)
        depth_limit = int(lengths.max(initial=0))

        parents, last_bytes = [np.zeros(1, np.int64)], [np.zeros(1, np.uint8)]
        node_of_text = np.zeros(len(texts), np.int64)
        alive = np.arange(len(texts))  # texts at least as long as the level, in order
        above = np.zeros(len(texts), np.int64)  # their node on the level above
        num_nodes = 1
        for depth in range(1, depth_limit + 1):
            keep = lengths[alive] >= depth
            alive, above = alive[keep], above[keep]
            byte = joined[starts[alive] + depth - 1]
            is_new = np.ones(len(alive), bool)
            is_new[1:] = (byte[1:] != byte[:-1]) | (above[1:] != above[:-1])
            node = num_nodes + np.cumsum(is_new) - 1
            parents.append(above[is_new])
            last_bytes.append(byte[is_new])
            ends = lengths[alive] == depth
            node_of_text[alive[ends]] = node[ends]
            above = node
            num_nodes = int(node[-1]) + 1
        parent = np.concatenate(parents)
        num_children = np.bincount(parent[1:], minlength=num_nodes)
        order = np.argsort(node_of_text, kind="stable")
        per_node = np.bincount(node_of_text, minlength=num_nodes)
        return cls(
            {
                "byte": np.concatenate(last_bytes),
                "first_child": (1 + np.concatenate(([0], np.cumsum(num_children)[:-1]))).astype(np.int32),
                "num_children": num_children.astype(np.int32),
                "token_start": np.concatenate(([0], np.cumsum(per_node))).astype(np.int32),
                "token": np.asarray(ids, np.int32)[order],
            }
        )

    def arrays(self) -> dict[str, NDArray]:
        """Give the arrays that `Trie` is made of, to be kept on disk."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def members(self, node: int) -> tuple[int, ...]:
        """Give the plain nodes that a node stands for."""
        return (node,) if node < self.num_nodes else self._members[node - self.num_nodes]

    def tokens_below(self, node: int) -> list[int]:
        """Give the tokens below a node, merged ones too."""
        found: list[int] = []
        stack = [node]
        while stack:
            for below in self.children[stack.pop()].values():
                found += self.tokens[below]
                stack.append(below)
        return found

    def _find_levels(self) -> list[tuple[int, int]]:
        """Give the first node of each level and the one after its last."""
        levels = [(0, 1)]
        while levels[-1][1] < self.num_nodes:
            start, end = levels[-1]
            levels.append((end, end + int(self.num_children[start:end].sum())))
        return levels

    def _find_num_below(self) -> NDArray:
        """Count the nodes below each node, added up level by level, deepest first."""
        below = np.zeros(self.num_nodes, np.int64)
        for start, end in reversed(self.levels[1:]):
            np.add.at(below, self.parent[start:end], 1 + below[start:end])
        return below

    def merge(self, nodes: NDArray) -> int | None:
        """Give the node that stands for what may follow any of the plain `nodes`; None if nothing follows."""
        members = np.unique(nodes[self.num_children[nodes] > 0])
        return self._intern(tuple(members.tolist())) if len(members) else None

    def _intern(self, members: tuple[int, ...]) -> int:
        if len(members) == 1:
            return members[0]
        node = self._merged.get(members)
        if node is None:
            node = self._merged[members] = self.num_nodes + len(self._members)
            self._members.append(members)
        return node

    def _find_children(self, node: int) -> dict[int, int]:
        if node < self.num_nodes:
            first, count = self._first_child[node], self._num_children[node]
            return dict(zip(self._bytes[first : first + count], range(first, first + count), strict=True))
        members = self._members[node - self.num_nodes]
        grouped: dict[int, list[int]] = {}
        if len(members) <= _FEW_NODES:
            for member in members:
                for byte, child in self.children[member].items():
                    grouped.setdefault(byte, []).append(child)
        else:
            below = self.expand(np.asarray(members))[1]
            last_byte = self.byte[below]
            order = np.argsort(last_byte, kind="stable")
            cuts = np.flatnonzero(np.diff(last_byte[order])) + 1
            for group in np.split(below[order], cuts) if len(below) else []:
                grouped[int(self.byte[group[0]])] = group.tolist()
        return {byte: self._intern(tuple(sorted(group))) for byte, group in grouped.items()}

    def _find_tokens(self, node: int) -> tuple[int, ...]:
        start, token = self.token_start, self.token
        if node < self.num_nodes:
            first, end = self._token_start[node], self._token_start[node + 1]
            return (self._token[first],) if end == first + 1 else tuple(token[first:end].tolist())
        return tuple(t for n in self.members(node) for t in token[start[n] : start[n + 1]].tolist())

    def expand(self, nodes: NDArray) -> tuple[NDArray, NDArray]:
        """Give all children of plain nodes: for each child the position of its parent in `nodes`, and the child."""
        count = self.num_children[nodes]
        total = int(count.sum())
        parent = np.repeat(np.arange(len(nodes)), count)
        within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
        return parent, self.first_child[nodes][parent] + within

    def nodes_above(self, byte: int) -> bytes:
        """Give a flag a node: whether some token reads `byte` below it."""
        flags = np.zeros(self.num_nodes, bool)
        above = np.unique(self.parent[1:][self.byte[1:] == byte])
        while len(above):
            flags[above] = True
            above = np.unique(self.parent[above])
            above = above[~flags[above]]
        return flags.tobytes()

    def single_bytes(self) -> set[int]:
        """Give the bytes that are tokens by themselves."""
        first, end = self.levels[1] if len(self.levels) > 1 else (1, 1)
        is_token = np.diff(self.token_start[first : end + 1]) > 0
        return set(self.byte[first:end][is_token].tolist())

    def most_starts(self, inside: NDArray, first: NDArray, second: NDArray) -> int:
        """Count, in tokens' stretches of bytes of a class, those bytes that may begin something: give the most.

        A byte counts if it's in the class `first`, and the next one in `second`; at the end of a token the first
        suffices. Classes are given as 256 flags.
        """
        within = inside[self.byte]
        within[ROOT] = False
        begins = first[self.byte] & within
        counts = (begins[self.parent] & second[self.byte] & within).astype(np.int32)
        for start, end in self.levels[2:]:
            counts[start:end] += within[start:end] * counts[self.parent[start:end]]
        return int((counts + begins).max())

    def token_flags(self, nodes: NDArray) -> NDArray:
        """Give a flag for each token: whether it ends at one of the plain nodes, the root excepted."""
        flags = np.zeros(self.num_nodes, bool)
        flags[nodes] = True
        flags[ROOT] = False
        return flags[self.token_node]

    def tokens_of(self, nodes: NDArray) -> tuple[NDArray, NDArray]:
        """Give the tokens that end at any of the plain nodes, and for each the position of its node in `nodes`."""
        count = self.token_start[nodes + 1] - self.token_start[nodes]
        total = int(count.sum())
        origin = np.repeat(np.arange(len(nodes)), count)
        within = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
        return self.token[self.token_start[nodes][origin] + within], origin
