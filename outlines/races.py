"""What a place in a grammar reaches from a node of the vocabulary trie.

The terminals of a race that share no first byte with another are walked one by one, and such a walk belongs to the
vocabulary: names, strings and white space are walked once for all grammars. The others, few and short, are walked
together, race by race. A walk gives the tokens inside, by the race that they lead to, and the *exits*: where a lexeme
may end within a token, and the bytes with which another may begin there.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, WeakMethod

import numpy as np
from numpy.typing import NDArray

from outlines.automaton import END
from outlines.constraints.cfg.lexing import (
    BROKEN,
    FREE,
    IGNORED,
    OWED,
    Entry,
    Lexer,
    Owed,
    Race,
    after_byte,
    codes_of,
)
from outlines.constraints.cfg.machine import Place
from outlines.constraints.cfg.parse import Parse
from outlines.constraints.cfg.patterns import Scan
from outlines.constraints.items import Symbols
from outlines.reach import HeadTables
from outlines.rows import Base, bases_of_nodes, pack
from outlines.spread import Start, StateNumbers, spread
from outlines.trie import Trie

__all__ = ["Races"]

#: A node that stands for at most so many, none of which has much below it, is walked byte by byte.
_FEW_NODES = 256

_Found = tuple[tuple[Base, ...], tuple[int, ...]]


class Exits:
    """Where a lexeme of one terminal may end, and how another may begin there.

    Attributes
    ----------
    nodes : int64 array
        Where it ends.
    onward : dict of int to int array
        The nodes one byte on, by that byte, where it settles all that is owed.
    owing : list of (int, int)
        The others: byte and node after it.
    """

    __slots__ = ("nodes", "onward", "owing")

    def __init__(self, nodes: NDArray, onward: dict[int, NDArray], owing: list[tuple[int, int]]):
        self.nodes = nodes
        self.onward = onward
        self.owing = owing

    def without(self, parents: set[int], trie: Trie) -> Exits:
        """Give the exits but those at some nodes."""
        if not parents:
            return self
        gone = np.fromiter(parents, np.int64)
        parent = trie.parent
        onward = {byte: nodes[~np.isin(parent[nodes], gone)] for byte, nodes in self.onward.items()}
        return Exits(
            self.nodes[~np.isin(self.nodes, gone)],
            {byte: nodes for byte, nodes in onward.items() if len(nodes)},
            [(byte, node) for byte, node in self.owing if int(parent[node]) not in parents],
        )


class ScanWalk(NamedTuple):
    """What a scan alone reaches from a node: nodes by the scan that they lead to, the tokens there, and the exits."""

    nodes: dict[Scan, NDArray]
    tokens: dict[Scan, _Found]
    exits: dict[Scan, Exits]


class Ending:
    """The exits of one terminal, all of which owe the same."""

    __slots__ = ("number", "owed", "exits", "_onto")

    def __init__(self, number: int, owed: Owed, exits: Exits):
        self.number = number
        self.owed = owed
        self.exits = exits
        self._onto: dict[Race, list[tuple[Race, tuple[int, ...], int | None]]] = {}

    def onto(self, begun: Race, trie: Trie) -> list[tuple[Race, tuple[int, ...], int | None]]:
        """Give the next lexeme after its first byte: its race, the tokens that end there, the node that goes on.

        That depends on the race alone and not on the parse.
        """
        found = self._onto.get(begun)
        if found is None:
            nodes: dict[Race, list[NDArray]] = {}
            for byte, after in self.exits.onward.items():
                target = begun.step(byte)
                if isinstance(target, Race):
                    nodes.setdefault(target, []).append(after)
            found = self._onto[begun] = []
            for race, parts in nodes.items():
                joined = np.concatenate(parts)
                found.append((race, tuple(trie.tokens_of(joined)[0].tolist()), trie.merge(joined)))
        return found


#: By the race that leaves the way of a string (None: none does), the races on it and the tokens that lead there.
Words: TypeAlias = "dict[Race | None, list[tuple[Race, tuple[int, ...]]]]"


class RaceWalk(NamedTuple):
    """What a race reaches from a node.

    `inside` has the race that some tokens lead to, and these. Those of them that lie on the way of a string that the
    lexeme may be retyped to lead to another race: they stand in `Words`, by the race they can leave that way for.
    """

    inside: list[tuple[Race, _Found, Words]]
    endings: list[Ending]


class Races:
    """Walks of races under the vocabulary of one constraint's tables.

    Parameters
    ----------
    heads
        What is known of heads under the vocabulary.
    push, walk
        Give the tail of some symbols on another, and the tokens below a node that a tail allows.
    """

    def __init__(
        self,
        heads: HeadTables,
        push: Callable[[Symbols, int], int],
        walk: WeakMethod[Callable[[int, int], _Found]],
    ):
        self._heads = heads
        self._push = push
        self._weak_walk = walk  # its tables hold this
        self._trie = heads.trie
        self._race_walks: dict[tuple[int, Race], RaceWalk] = {}
        self._places: dict[tuple[int, Place, int], _Found] = {}
        self._last: dict[tuple[int, Race, frozenset[int]], _Found] = {}
        self._begun: dict[tuple[Race, Owed], list[tuple[Race, Owed]]] = {}

    def _walk_tail(self, node: int, tail: int) -> _Found:
        walk = self._weak_walk()
        assert walk is not None
        return walk(node, tail)

    def walk(self, node: int, place: Place, tail: int) -> _Found:
        """Give the tokens below a node that a place and the tail under it allow."""
        key = node, place, tail
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = self._walk(node, place, tail)
        return found

    def _walk(self, node: int, place: Place, tail: int) -> _Found:
        if place.owed is not None:
            if place.race.is_start:
                return _join(self._walk_begun(node, place, tail))
            return self._walk_owing(node, place, tail)
        machine, parse = place.machine, place.parse
        walk = self._race_walk(node, place.race)
        if not walk.endings and (place.race.is_start or not place.race.nullable):
            return self._walk_last(node, place, walk)
        parts: list[_Found] = []
        for following, owed in machine.ends(place):  # where the lexeme is ended by what is below
            for begun in machine.begin(following, owed):
                parts.append(self.walk(node, begun, tail))
        for race, found, words in walk.inside:
            is_live = machine.is_live(race, None, parse)
            if is_live:
                parts.append(found)
            if words:
                parts = self._correct(parts, words, is_live, place)
        for ending in walk.endings:
            after = machine.parse_after(parse, ending.number)
            if after is not None:
                parts += self._go_on(ending, place, after, tail)
        return _join(parts)

    def _walk_last(self, node: int, place: Place, walk: RaceWalk) -> _Found:
        """Walk where no token has a lexeme behind this one: mostly the terminals that may come decide it alone."""
        machine, parse = place.machine, place.parse
        key = node, place.race, parse.viable
        known = self._last.get(key)
        if known is not None:
            return known
        parts: list[_Found] = []
        is_shared = True
        for race, found, words in walk.inside:
            may_come = any(number == IGNORED or number in parse.viable for number in race.numbers)
            is_live = may_come and machine.is_live(race, None, parse)
            is_shared = is_shared and not words and (not may_come or machine.may_end_well(race, None, parse))
            if is_live:
                parts.append(found)
            if words:
                parts = self._correct(parts, words, is_live, place)
        found = _join(parts)
        if is_shared:
            self._last[key] = found
        return found

    def _correct(self, parts: list[_Found], words: Words, is_live: bool, place: Place) -> list[_Found]:
        """Take out the tokens on the way of a string from where no text is left; add those where only there one is."""
        machine, parse = place.machine, place.parse
        wrong: list[int] = []
        for beside, races in words.items():
            if is_live and beside is not None and machine.is_live(beside, None, parse):
                continue
            for race, tokens in races:
                lives = machine.is_live(race, None, parse) or (
                    beside is not None and machine.is_live(beside, None, parse)
                )
                if lives != is_live:
                    wrong += tokens
        if not wrong:
            return parts
        if not is_live:
            return [*parts, ((), tuple(wrong))]
        bases, tokens = parts[-1]
        cleared = pack(wrong, self._heads.num_words)
        gone = set(wrong)
        kept = tuple(Base(base.words & ~cleared) for base in bases)
        return [*parts[:-1], (kept, tuple(token for token in tokens if token not in gone))]

    def _go_on(self, ending: Ending, place: Place, parse: Parse, tail: int) -> Iterator[_Found]:
        """Give what may follow a lexeme within tokens."""
        machine, exits, trie = place.machine, ending.exits, self._trie
        race = machine.lexer.begin(parse)
        for target, tokens, node in ending.onto(race, trie):
            yield from self._enter(tokens, node, machine.settle(target, None, parse), tail)
        if exits.owing:
            for byte, node in exits.owing:
                owed = after_byte(ending.owed, byte)
                begun = race.step(byte)
                if owed is not False and isinstance(begun, Race):
                    below = node if trie.has_children[node] else None
                    yield from self._enter(trie.tokens[node], below, machine.settle(begun, owed, parse), tail)
        for way in machine.ways(parse):
            if way or tail != END:
                merged = trie.merge(exits.nodes)
                if merged is not None:
                    yield self._walk_tail(merged, self._push(way, tail))

    def _enter(
        self, tokens: tuple[int, ...], node: int | None, places: Iterable[Place], tail: int
    ) -> Iterator[_Found]:
        """Give the tokens that end where some places are reached, and those that go on."""
        places = tuple(places)
        if places:
            yield (), tokens
            if node is not None:
                for place in places:
                    yield self._walk_settled(node, place, tail)

    def _walk_settled(self, node: int, place: Place, tail: int) -> _Found:
        """Walk from a place just reached: its lexeme may have ended there too."""
        found = self.walk(node, place, tail)
        ended = place.ended
        if ended is None or (not ended and tail == END):
            return found
        return _join([found, self._walk_tail(node, self._push(ended, tail))])

    def _walk_begun(self, node: int, place: Place, tail: int) -> Iterator[_Found]:
        """Walk where a lexeme begins that must not break what is owed: mostly that decides which terminals may come."""
        machine, race = place.machine, place.race
        key = race, place.owed
        parts = self._begun.get(key)
        if parts is None:
            parts = self._begun[key] = self._part_begun(race, place.owed)
        for part, owed in parts:
            begun = machine.place(part, owed, place.parse)
            yield self.walk(node, begun, tail) if owed is None else self._walk_owing(node, begun, tail)

    def _part_begun(self, race: Race, owed: Owed) -> list[tuple[Race, Owed]]:
        """Part a race into the terminals whose first byte settles what is owed, and those of which it must be seen."""
        codes = codes_of(owed)
        settled = int.from_bytes(np.packbits(codes == FREE, bitorder="little").tobytes(), "little")
        broken = int.from_bytes(np.packbits(codes == BROKEN, bitorder="little").tobytes(), "little")
        alone, together = _part(race)
        free: list[Entry] = []
        other: list[Entry] = []
        blocks = [([entry], entry[1].first_bytes()) for entry in alone]
        if together:
            blocks.append(
                (together, functools.reduce(operator.or_, [scan.first_bytes() for _, scan, _ in together]))
            )
        for entries, mask in blocks:
            if mask & ~broken:
                (other if mask & ~settled else free).extend(entries)
        return [
            (race.lexer.part(race, [entry for entry in race.entries if entry in entries]), left)
            for entries, left in ((free, None), (other, owed))
            if entries
        ]

    def _walk_owing(self, node: int, place: Place, tail: int) -> _Found:
        """Walk byte by byte: what is owed is hardly ever owed for long."""
        trie, machine = self._trie, place.machine
        parts: list[_Found] = []
        stack: list[tuple[int, Place]] = [(node, place)]
        seen = set(stack)
        while stack:
            at, here = stack.pop()
            bytes_on = here.race.first_bytes() if not here.race.nullable else -1
            for byte, child in trie.children[at].items():
                if not bytes_on >> byte & 1:
                    continue
                for following in machine.after(here, byte):
                    parts.append(((), trie.tokens[child]))
                    if not trie.children[child] or (child, following) in seen:
                        continue
                    ended = following.ended
                    if ended is not None and (ended or tail != END):
                        parts.append(self._walk_tail(child, self._push(ended, tail)))
                    if following.owed is None:
                        parts.append(self.walk(child, following, tail))
                    else:
                        seen.add((child, following))
                        stack.append((child, following))
        return _join(parts)

    # Walks of races

    def _race_walk(self, node: int, race: Race) -> RaceWalk:
        key = node, race
        found = self._race_walks.get(key)
        if found is None:
            found = self._race_walks[key] = self._find_race_walk(node, race)
        return found

    def _find_race_walk(self, node: int, race: Race) -> RaceWalk:
        walk = RaceWalk([], [])
        members = self._trie.members(node)
        if len(members) <= _FEW_NODES and not any(member in self._trie.big_nodes for member in members):
            self._walk_bytes(node, race, walk)
            return walk
        alone, together = _part(race)
        for entry in alone:
            self._walk_alone(node, race, entry, walk)
        if together:
            self._walk_together(node, race.lexer.part(race, together), walk)
        return walk

    def _walk_alone(self, node: int, race: Race, entry: Entry, walk: RaceWalk) -> None:
        """Walk a terminal that no other in the race can disturb."""
        number, scan, retyped = entry
        lexer = race.lexer
        if number == -1:  # only the strings that it may be retyped to may come
            self._walk_together(node, lexer.part(race, [entry]), walk)
            return
        found = _scan_walk(self._heads, node, scan)
        words, taken = self._find_words(node, lexer, entry) if retyped else ([], set())
        by_scan: dict[Scan, Words] = {}
        for at, target, ended in words:
            tokens = self._trie.tokens[at]
            if tokens:
                by_scan.setdefault(ended, {}).setdefault(_beside(target), []).append((target, tokens))
        for reached in found.nodes:
            plain = lexer.alone((number, reached, ()))
            assert isinstance(plain, Race)
            walk.inside.append((plain, found.tokens[reached], by_scan.get(reached, {})))
            for _, owed in plain.ends():
                walk.endings.append(Ending(number, owed, found.exits[reached].without(taken, self._trie)))
        by_end: dict[tuple[int, Owed], list[int]] = {}
        for at, target, _ in words:
            if at in taken:
                for end in target.ends():
                    by_end.setdefault(end, []).append(at)
        for (other, owed), places in by_end.items():
            walk.endings.append(Ending(other, owed, _find_exits(self._trie, np.asarray(places), owed)))

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

    def _walk_bytes(self, node: int, race: Race, walk: RaceWalk) -> None:
        """Walk all terminals together, byte by byte, where little is below."""
        trie = self._trie
        reached: dict[Race, list[int]] = {}
        stack = [(node, race)]
        while stack:
            at, here = stack.pop()
            for byte, child in trie.children[at].items():
                target = here.step(byte)
                if isinstance(target, Race):
                    reached.setdefault(target, []).append(child)
                    if not target.is_finished:
                        stack.append((child, target))
        for target, nodes in reached.items():
            tokens = tuple(token for child in nodes for token in trie.tokens[child])
            if tokens:
                walk.inside.append((target, ((), tokens), {}))
            for number, owed in target.ends():
                places = np.asarray([member for child in nodes for member in trie.members(child)], np.int64)
                places = places[trie.num_children[places] > 0]
                if len(places):
                    walk.endings.append(Ending(number, owed, _find_exits(trie, places, owed)))

    def _walk_together(self, node: int, race: Race, walk: RaceWalk) -> None:
        """Walk terminals that share first bytes, race by race."""
        numbers = StateNumbers()
        members = np.asarray(self._trie.members(node))
        reached = spread(self._trie, [Start(members, race, np.zeros(len(members), np.int64))], numbers)  # type: ignore[arg-type]
        for state, nodes in _groups(reached.nodes, reached.states):
            target = numbers.states[state]
            assert isinstance(target, Race)
            walk.inside.append((target, bases_of_nodes(self._trie, nodes, self._heads.num_words), {}))
            for number, owed in target.ends():
                walk.endings.append(Ending(number, owed, _find_exits(self._trie, nodes, owed)))


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
    walk = heads._walk(node, scan, numbers)  # type: ignore[arg-type]
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
    onward = dict(_groups(below[codes == FREE], byte[codes == FREE]))
    owing = below[codes == OWED]
    return Exits(nodes, onward, list(zip(trie.byte[owing].tolist(), owing.tolist(), strict=True)))


def _groups(nodes: NDArray, keys: NDArray) -> Iterator[tuple[int, NDArray]]:
    """Give the nodes of each key."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    for group in np.split(order, cuts) if len(order) else []:
        yield int(keys[group[0]]), nodes[group]


def _join(parts: Iterable[_Found]) -> _Found:
    parts = list(parts)
    bases = tuple(dict.fromkeys(base for part in parts for base in part[0]))
    return bases, tuple(dict.fromkeys(token for part in parts for token in part[1]))


assert (FREE, OWED, BROKEN) == (0, 1, 2)  # the order that `codes_of` takes the largest of
