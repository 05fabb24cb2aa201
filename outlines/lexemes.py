"""What the lexemes of a grammar reach in the vocabulary trie, whatever its parse.

A walk follows one lexeme from a node of the trie: the tokens inside it, by the race that they lead to, and its
*endings*: the places within tokens where it may end. Beyond an ending the next lexeme is another walk. So the tokens
below a node are a graph of walks, through which each parse then finds its own way (races.py).

The terminals of a race that share no first byte with another are walked one by one, and such a walk belongs to the
vocabulary: names, strings and white space are walked once for all grammars. The others, few and short, are walked
together, race by race.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.cfg.lexing import (
    BROKEN,
    FREE,
    OWED,
    Entry,
    Lexer,
    Owed,
    Race,
    after_byte,
    both_owed,
    codes_of,
)
from outlines.constraints.cfg.patterns import Scan
from outlines.reach import HeadTables
from outlines.rows import Base, bases_of_nodes
from outlines.spread import Start, StateNumbers, spread
from outlines.trie import BIG_NODE, Trie

__all__ = ["Ending", "Inside", "LexemeWalk", "Lexemes", "Words"]

#: So many places, none of which has much below it, are walked byte by byte; more of them with NumPy.
_FEW_NODES = 2048

#: What is found from a node with so many below it is kept, whatever leads there.
_SHARED_NODE = 200

#: The bytes that follow more places than this are looked at with NumPy.
_MANY_EXITS = 64

_Found = tuple[tuple[Base, ...], tuple[int, ...]]

#: By the race that leaves the way of a string (None: none does), the races on it and the tokens that lead there.
Words: TypeAlias = "dict[Race | None, list[tuple[Race, tuple[int, ...]]]]"


class Inside(NamedTuple):
    """The tokens that lead to one race, and what they owe.

    Those of them that lie on the way of a string that the lexeme may be retyped to lead to another race: they stand in
    `words`, by the race they can leave that way for.
    """

    race: Race
    owed: Owed
    found: _Found
    words: Words | None = None


class Exits(NamedTuple):
    """What follows some places: the nodes after one byte that settles all that is owed, by byte, and the others."""

    onward: dict[int, NDArray]
    owing: list[tuple[int, int]]

    def without(self, gone: NDArray, trie: Trie) -> Exits:
        """Give the exits but those at nodes that a flag a node tells."""
        parent = trie.parent
        onward = {byte: nodes[~gone[parent[nodes]]] for byte, nodes in self.onward.items()}
        return Exits(
            {byte: nodes for byte, nodes in onward.items() if len(nodes)},
            [(byte, node) for byte, node in self.owing if not gone[parent[node]]],
        )


class Ending:
    """Where lexemes of one terminal may end, and what all of them owe there.

    `exits` is what follows, where it's known already.
    """

    __slots__ = ("number", "owed", "nodes", "exits", "beyond")

    def __init__(self, number: int, owed: Owed, nodes: NDArray, exits: Exits | None = None):
        self.number = number
        self.owed = owed
        self.nodes = nodes
        self.exits = exits
        self.beyond: dict[Race, LexemeWalk] = {}


class LexemeWalk:
    """What one lexeme reaches: `inside`, and by terminal the `endings`.

    `seen` is for what all parses with the same outlook share.
    """

    __slots__ = ("inside", "endings", "seen")

    def __init__(self, inside: list[Inside], endings: dict[int, list[Ending]]):
        self.inside = inside
        self.endings = endings
        self.seen: dict[tuple, tuple[_Found, list[Inside]]] = {}


class ScanWalk(NamedTuple):
    """What a scan alone reaches from a node: nodes by the scan that they lead to, the tokens there, and the exits."""

    nodes: dict[Scan, NDArray]
    tokens: dict[Scan, _Found]
    exits: dict[Scan, Exits]


class Lexemes:
    """Walks of lexemes under the vocabulary of one constraint's tables."""

    def __init__(self, heads: HeadTables):
        self._heads = heads
        self._trie = heads.trie
        self._walks: dict[tuple[int, Race, Owed], LexemeWalk] = {}
        self._beyond: dict[tuple[bytes, Race, Owed], LexemeWalk] = {}
        self._codes: dict[Owed, bytes] = {}
        self._parts: dict[tuple[Race, Owed], list[tuple[Race, Owed]]] = {}

    def walk(self, node: int, race: Race, owed: Owed) -> LexemeWalk:
        """Give what a race reaches below a node."""
        key = node, race, owed
        found = self._walks.get(key)
        if found is None:
            found = self._walks[key] = self._find_walk(node, race, owed)
        return found

    def beyond(self, ending: Ending, begun: Race) -> LexemeWalk:
        """Give what the next lexeme reaches beyond an ending."""
        found = ending.beyond.get(begun)
        if found is None:
            if len(ending.nodes) > _MANY_EXITS:
                found = self._find_beyond(ending, begun)
            else:
                key = ending.nodes.tobytes(), begun, ending.owed
                found = self._beyond.get(key)
                if found is None:
                    found = self._beyond[key] = self._find_beyond(ending, begun)
            ending.beyond[begun] = found
        return found

    def _find_walk(self, node: int, race: Race, owed: Owed) -> LexemeWalk:
        members = self._trie.members(node)
        big_nodes = self._trie.big_nodes
        gathered = _Gathered(self)
        if len(members) <= _FEW_NODES and not any(member in big_nodes for member in members):
            gathered.step(members, race, owed)
        elif owed is None:
            alone, together = _part(race)
            narrow: list[Entry] = []
            for entries in (*[[entry] for entry in alone], together):
                if self._num_below(members, entries) < BIG_NODE:
                    narrow += entries
                elif len(entries) < len(race.entries):
                    gathered.add(self.walk(node, race.lexer.part(race, entries), None))
                elif entries is together:
                    self._walk_together(node, race, gathered)
                else:
                    self._walk_alone(node, race, entries[0], gathered)
            if narrow:
                in_order = [entry for entry in race.entries if entry in narrow]
                gathered.step(members, race.lexer.part(race, in_order), None)
        elif race.is_start:
            for part, left in self._part_begun(race, owed):
                if left is None:
                    gathered.add(self.walk(node, part, None))
                else:
                    gathered.step(members, part, left)
        else:
            gathered.step(members, race, owed)
        return gathered.finish()

    def _num_below(self, members: tuple[int, ...], entries: list[Entry]) -> int:
        """Count the nodes that are below the first bytes of some terminals."""
        if len(members) > _MANY_EXITS:
            return BIG_NODE
        mask = functools.reduce(operator.or_, [scan.first_bytes() for _, scan, _ in entries], 0)
        num_below = self._trie.counts_below
        return sum(
            1 + num_below[child]
            for node in members
            for byte, child in self._trie.children[node].items()
            if mask >> byte & 1
        )

    def _find_beyond(self, ending: Ending, begun: Race) -> LexemeWalk:
        trie, nodes, owed, exits = self._trie, ending.nodes, ending.owed, ending.exits
        gathered = _Gathered(self)
        is_shared = trie.num_below[nodes] >= _SHARED_NODE
        if is_shared.any():
            for node in nodes[is_shared].tolist():
                gathered.add(self.walk(node, begun, owed))
            nodes = nodes[~is_shared]
            exits = exits and exits.without(trie.num_below >= _SHARED_NODE, trie)
        if exits is None:
            if len(nodes) <= _MANY_EXITS:
                gathered.step(nodes.tolist(), begun, owed)
                return gathered.finish()
            exits = _find_exits(trie, nodes, owed)
        for byte, after in exits.onward.items():
            target = begun.step(byte)
            if isinstance(target, Race):
                gathered.reach(target, None, after.tolist())
        for byte, node in exits.owing:
            target, left = begun.step(byte), after_byte(owed, byte)
            if isinstance(target, Race) and left is not False:
                gathered.reach(target, left, [node])
        return gathered.finish()

    def codes(self, owed: Owed) -> bytes:
        """Give what each byte does to what is owed."""
        found = self._codes.get(owed)
        if found is None:
            found = self._codes[owed] = codes_of(owed).tobytes()
        return found

    def _part_begun(self, race: Race, owed: Owed) -> list[tuple[Race, Owed]]:
        """Part a race into the terminals whose first byte settles what is owed, and those of which it must be seen."""
        key = race, owed
        found = self._parts.get(key)
        if found is None:
            codes = codes_of(owed)
            settled, broken = _mask(codes == FREE), _mask(codes == BROKEN)
            alone, together = _part(race)
            free: list[Entry] = []
            other: list[Entry] = []
            blocks = [([entry], entry[1].first_bytes()) for entry in alone]
            if together:
                masks = [scan.first_bytes() for _, scan, _ in together]
                blocks.append((together, functools.reduce(operator.or_, masks)))
            for entries, mask in blocks:
                if mask & ~broken:
                    (other if mask & ~settled else free).extend(entries)
            found = self._parts[key] = [
                (race.lexer.part(race, [entry for entry in race.entries if entry in entries]), left)
                for entries, left in ((free, None), (other, owed))
                if entries
            ]
        return found

    def _walk_alone(self, node: int, race: Race, entry: Entry, gathered: _Gathered) -> None:
        """Walk a terminal that no other in the race can disturb."""
        number, scan, retyped = entry
        lexer, trie = race.lexer, self._trie
        if number == -1:  # only the strings that it may be retyped to may come
            self._walk_together(node, lexer.part(race, [entry]), gathered)
            return
        found = _scan_walk(self._heads, node, scan)
        words, taken = self._find_words(node, lexer, entry) if retyped else ([], set())
        if taken:
            gone = np.zeros(trie.num_nodes, bool)
            gone[list(taken)] = True
        by_scan: dict[Scan, Words] = {}
        for at, target, ended in words:
            tokens = trie.tokens[at]
            if tokens:
                by_scan.setdefault(ended, {}).setdefault(_beside(target), []).append((target, tokens))
        for reached, nodes in found.nodes.items():
            plain = lexer.alone((number, reached, ()))
            assert isinstance(plain, Race)
            gathered.inside.append(Inside(plain, None, found.tokens[reached], by_scan.get(reached)))
            for _, owed in plain.ends():
                exits = found.exits[reached]
                if taken:
                    nodes, exits = nodes[~gone[nodes]], exits.without(gone, trie)
                gathered.end(Ending(number, owed, nodes, exits))
        for at, target, _ in words:
            if at in taken and trie.has_children[at]:
                for end in target.ends():
                    gathered.ends.setdefault(end, []).append(at)

    def _find_words(
        self, node: int, lexer: Lexer, entry: Entry
    ) -> tuple[list[tuple[int, Race, Scan]], set[int]]:
        """Give the nodes on the way of strings that a lexeme may be retyped to, and those where one is complete."""
        found: list[tuple[int, Race, Scan]] = []
        taken: set[int] = set()
        stack: list[tuple[int, Race]] = [
            (member, race)
            for race in [lexer.alone(entry)]
            if isinstance(race, Race)
            for member in self._trie.members(node)
        ]
        while stack:
            at, race = stack.pop()
            children = self._trie.children[at]
            for byte in children.keys() & race.retyping_bytes():
                child, target = children[byte], race.step(byte)
                if not isinstance(target, Race):
                    continue
                ((_, scan, retyped),) = target.entries
                if not retyped:
                    continue
                found.append((child, target, scan))
                if any(other.nullable for _, other in retyped):
                    taken.add(child)
                if self._trie.has_children[child]:
                    stack.append((child, target))
        return found, taken

    def _walk_together(self, node: int, race: Race, gathered: _Gathered) -> None:
        """Walk terminals that share first bytes, race by race."""
        numbers = StateNumbers()
        members = np.asarray(self._trie.members(node))
        reached = spread(self._trie, [Start(members, race, np.zeros(len(members), np.int64))], numbers)  # type: ignore[arg-type]
        for state, nodes in _groups(reached.nodes, reached.states):
            target = numbers.states[state]
            assert isinstance(target, Race)
            gathered.inside.append(
                Inside(target, None, bases_of_nodes(self._trie, nodes, self._heads.num_words))
            )
            for number, owed in target.ends():
                gathered.end(Ending(number, owed, nodes))


class _Gathered:
    """A walk that is being made: what is reached byte by byte, and walks known already."""

    def __init__(self, lexemes: Lexemes):
        self._lexemes = lexemes
        self._trie = lexemes._trie
        self._reached: dict[tuple[Race, Owed], list[int]] = {}
        self._stack: list[tuple[int, Race, Owed]] = []
        self.inside: list[Inside] = []
        self.ends: dict[tuple[int, Owed], list[int]] = {}
        self._endings: dict[int, list[Ending]] = {}

    def add(self, walk: LexemeWalk) -> None:
        """Take what another walk reaches."""
        self.inside += walk.inside
        for number, endings in walk.endings.items():
            self._endings.setdefault(number, []).extend(endings)

    def end(self, ending: Ending) -> None:
        """Take an ending."""
        self._endings.setdefault(ending.number, []).append(ending)

    def reach(self, race: Race, owed: Owed, nodes: list[int]) -> None:
        """Take nodes reached; what is below them is walked later."""
        self._reached.setdefault((race, owed), []).extend(nodes)
        if race.is_finished:
            return
        trie = self._trie
        if len(nodes) > _FEW_NODES:
            below = trie.merge(np.asarray(nodes))
            if below is not None:
                self.add(self._lexemes.walk(below, race, owed))
            return
        has_children, num_below = trie.has_children, trie.counts_below
        for node in nodes:
            if num_below[node] >= _SHARED_NODE:
                self.add(self._lexemes.walk(node, race, owed))
            elif has_children[node]:
                self._stack.append((node, race, owed))

    def step(self, nodes: tuple[int, ...] | list[int], race: Race, owed: Owed) -> None:
        """Take what is one byte on from some nodes."""
        children = self._trie.children
        codes = self._lexemes.codes(owed) if owed is not None else bytes(256)
        for node in nodes:
            for byte, child in children[node].items():
                code = codes[byte]
                if code == BROKEN:
                    continue
                target = race.step(byte)
                if isinstance(target, Race):
                    left = None if code == FREE else after_byte(owed, byte)
                    assert left is not False
                    self.reach(target, left, [child])

    def finish(self) -> LexemeWalk:
        """Walk to the end."""
        trie, reached, stack = self._trie, self._reached, self._stack
        children, has_children, num_below = trie.children, trie.has_children, trie.counts_below
        walk = self._lexemes.walk
        while stack:
            at, race, owed = stack.pop()
            if owed is not None:
                self.step([at], race, owed)
                continue
            step = race.step
            for byte, child in children[at].items():
                target = step(byte)
                if isinstance(target, Race):
                    key = target, None
                    found = reached.get(key)
                    if found is None:
                        reached[key] = [child]
                    else:
                        found.append(child)
                    if has_children[child] and not target.is_finished:
                        if num_below[child] >= _SHARED_NODE:
                            self.add(walk(child, target, None))
                        else:
                            stack.append((child, target, None))
        tokens_of = trie.tokens
        inside = self.inside
        for (race, owed), nodes in reached.items():
            tokens = tuple([token for node in nodes for token in tokens_of[node]])
            if tokens:
                inside.append(Inside(race, owed, ((), tokens)))
            if race.nullable:
                parents = [node for node in nodes if has_children[node]]
                if parents:
                    for number, owes in race.ends():
                        self.ends.setdefault((number, both_owed(owes, owed)), []).extend(parents)
        for number, endings in self._endings.items():
            if len(endings) > 1:
                few = [ending for ending in endings if len(ending.nodes) <= _MANY_EXITS]
                for ending in few:
                    self.ends.setdefault((number, ending.owed), []).extend(ending.nodes.tolist())
                if few:
                    self._endings[number] = [ending for ending in endings if len(ending.nodes) > _MANY_EXITS]
        for (number, owed), nodes in self.ends.items():
            self.end(Ending(number, owed, np.asarray(nodes, np.int64)))
        return LexemeWalk(inside, self._endings)


def _mask(flags: NDArray) -> int:
    """Give 256 flags as a class of bytes."""
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _part(race: Race) -> tuple[list[Entry], list[Entry]]:
    """Part the terminals of a race into those that share no first byte with another, and the others."""
    if not race.lexer.is_racing or len(race.entries) == 1:
        return list(race.entries), []
    masks = [scan.first_bytes() for _, scan, _ in race.entries]
    alone: list[Entry] = []
    together: list[Entry] = []
    once = twice = 0
    for mask in masks:
        twice |= once & mask
        once |= mask
    for entry, mask in zip(race.entries, masks, strict=True):
        (together if mask & twice else alone).append(entry)
    return alone, together


def _beside(race: Race) -> Race | None:
    """Give the race after a byte with which a lexeme is no longer on the way of any string it may be retyped to."""
    ((number, scan, retyped),) = race.entries
    free = scan.first_bytes()
    for _, other in retyped:
        free &= ~other.first_bytes()
    if not free:
        return None
    target = scan.step((free & -free).bit_length() - 1)
    assert isinstance(target, Scan)
    found = race.lexer.alone((number, target, ()))
    return found if isinstance(found, Race) else None


_scan_walks: WeakKeyDictionary[HeadTables, WeakKeyDictionary[Scan, dict[int, ScanWalk]]] = WeakKeyDictionary()


def _scan_walk(heads: HeadTables, node: int, scan: Scan) -> ScanWalk:
    """Give what a scan reaches from a node; kept for the vocabulary."""
    by_scan = _scan_walks.get(heads)
    if by_scan is None:
        by_scan = _scan_walks[heads] = WeakKeyDictionary()
    by_node = by_scan.get(scan)
    if by_node is None:
        by_node = by_scan[scan] = {}
    found = by_node.get(node)
    if found is None:
        found = by_node[node] = _find_scan_walk(heads, node, scan)
    return found


def _find_scan_walk(heads: HeadTables, node: int, scan: Scan) -> ScanWalk:
    numbers = StateNumbers()
    walk = heads.walk(node, scan, numbers)  # type: ignore[arg-type]
    pieces: dict[Scan, list[NDArray]] = {}
    if walk.run is not None:
        for first, last, state in walk.inside:
            pieces.setdefault(state, []).append(walk.run.nodes_at(first, last).astype(np.int64))  # type: ignore[arg-type]
    for which, nodes in _groups(walk.others.nodes, walk.others.states):
        pieces.setdefault(numbers.states[which], []).append(nodes)  # type: ignore[arg-type]
    for big, state, _ in walk.big:
        assert isinstance(state, Scan)
        for below, nodes in _scan_walk(heads, big, state).nodes.items():
            pieces.setdefault(below, []).append(nodes)
    nodes_of = {state: np.concatenate(parts) for state, parts in pieces.items()}
    tokens = {state: bases_of_nodes(heads.trie, nodes, heads.num_words) for state, nodes in nodes_of.items()}
    heads.num_bytes += sum(4 * heads.num_words * len(bases) for bases, _ in tokens.values())
    exits = {
        state: _find_exits(heads.trie, nodes, _owed_alone(state))
        for state, nodes in nodes_of.items()
        if state.nullable
    }
    return ScanWalk(nodes_of, tokens, exits)


def _owed_alone(scan: Scan) -> Owed:
    return (frozenset([scan]) if scan.threads else frozenset()) | scan.owed or None


def _find_exits(trie: Trie, nodes: NDArray, owed: Owed) -> Exits:
    """Look at the bytes that follow where a lexeme may end."""
    below = trie.expand(nodes)[1].astype(np.int64)
    byte = trie.byte[below]
    codes = codes_of(owed)[byte]
    free = codes == FREE
    onward = dict(_groups(below[free], byte[free]))
    owing = below[codes == OWED]
    return Exits(onward, list(zip(trie.byte[owing].tolist(), owing.tolist(), strict=True)))


def _groups(nodes: NDArray, keys: NDArray) -> Iterator[tuple[int, NDArray]]:
    """Give the nodes of each key."""
    if not len(nodes):
        return
    order = np.argsort(keys, kind="stable")
    nodes, keys = nodes[order], keys[order]
    starts = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), len(nodes)]
    firsts = keys[starts[:-1]].tolist()
    for number, key in enumerate(firsts):
        yield key, nodes[starts[number] : starts[number + 1]]


assert (FREE, OWED, BROKEN) == (0, 1, 2)  # the order that `codes_of` takes the largest of
