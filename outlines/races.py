"""What a place in a grammar allows below a node of the trie: its parse's way through the walks of lexemes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from weakref import WeakMethod

from outlines.automaton import END
from outlines.constraints.cfg.lexing import IGNORED, both_owed
from outlines.constraints.cfg.machine import Machine, Place
from outlines.constraints.cfg.parse import Parse
from outlines.constraints.items import Symbols
from outlines.lexemes import Inside, Lexemes, LexemeWalk
from outlines.reach import HeadTables
from outlines.rows import Base, pack

__all__ = ["Races"]

_Found = tuple[tuple[Base, ...], tuple[int, ...]]


class Races:
    """Walks of grammars under the vocabulary of one constraint's tables.

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
        self._trie = heads.trie
        self._num_words = heads.num_words
        self._lexemes = Lexemes(heads)
        self._push = push
        self._weak_walk = walk  # its tables hold this
        self._places: dict[tuple[int, Place, int], _Found] = {}

    def walk(self, node: int, place: Place, tail: int) -> _Found:
        """Give the tokens below a node that a place and the tail under it allow."""
        key = node, place, tail
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = self._walk(node, place, tail)
        return found

    def _walk(self, node: int, place: Place, tail: int) -> _Found:
        machine, lexemes = place.machine, self._lexemes
        begin, parse_after, beyond = machine.lexer.begin, machine.parse_after, lexemes.beyond
        has_parts = machine.has_parts or tail != END
        always = begin(place.parse) if machine.lexer.kind == "basic" else None  # where each lexeme begins
        bases: dict[Base, None] = {}
        tokens: list[int] = []
        stack = [(lexemes.walk(node, place.race, place.owed), place.parse)]
        for number, owes in place.race.ends():  # the lexeme is ended by what is below
            after = parse_after(place.parse, number)
            if after is not None:
                stack.append((lexemes.walk(node, begin(after), both_owed(owes, place.owed)), after))
        seen = set(stack)
        while stack:
            walk, parse = stack.pop()
            for found in self._inside(walk, parse, machine):
                bases.update(dict.fromkeys(found[0]))
                tokens += found[1]
            viable = parse.viable
            for number in walk.endings:
                if number not in viable and number != IGNORED:
                    continue
                if always is not None and not has_parts:
                    for ending in walk.endings[number]:
                        below = ending.beyond.get(always) or beyond(ending, always)
                        if below.inside or below.endings:
                            break
                    else:
                        continue
                after = parse_after(parse, number)
                if after is None:
                    continue
                begun = begin(after)
                for ending in walk.endings[number]:
                    below = ending.beyond.get(begun) or beyond(ending, begun)
                    pair = below, after
                    if pair not in seen and (below.inside or below.endings):
                        seen.add(pair)
                        stack.append(pair)
                    if has_parts:
                        for found in self._leave(ending.nodes, machine, after, tail):
                            bases.update(dict.fromkeys(found[0]))
                            tokens += found[1]
        return tuple(bases), tuple(dict.fromkeys(tokens))

    def _leave(self, nodes, machine: Machine, parse: Parse, tail: int) -> Iterable[_Found]:
        """Give what may follow the end of a lexeme besides another one of the grammar."""
        for way in machine.ways(parse):
            if way or tail != END:
                merged = self._trie.merge(nodes)
                if merged is not None:
                    walk = self._weak_walk()
                    assert walk is not None
                    yield walk(merged, self._push(way, tail))

    def _inside(self, walk: LexemeWalk, parse: Parse, machine: Machine) -> Iterable[_Found]:
        """Give the tokens after which a text is left; mostly the terminals that may come decide it alone."""
        known = walk.seen.get(parse.outlook)
        if known is None:
            known = walk.seen[parse.outlook] = self._decide(walk, parse, machine)
        shared, undecided = known
        if not undecided:
            return (shared,)
        return [shared, *[self._correct(part, parse, machine) for part in undecided]]

    def _decide(self, walk: LexemeWalk, parse: Parse, machine: Machine) -> tuple[_Found, list[Inside]]:
        parts: list[_Found] = []
        undecided: list[Inside] = []
        verdict = machine.verdict
        for part in walk.inside:
            if part.words:
                races = {race for race in part.words if race is not None}
                races.update(race for words in part.words.values() for race, _ in words)
                is_known = all(verdict(race, part.owed, parse) is not None for race in (part.race, *races))
                if is_known:
                    parts.append(self._correct(part, parse, machine))
                else:
                    undecided.append(part)
                continue
            is_live = verdict(part.race, part.owed, parse)
            if is_live is None:
                undecided.append(part)
            elif is_live:
                parts.append(part.found)
        bases = tuple(dict.fromkeys(base for part in parts for base in part[0]))
        return (bases, tuple([token for part in parts for token in part[1]])), undecided

    def _correct(self, part: Inside, parse: Parse, machine: Machine) -> _Found:
        """Take out the tokens on the way of a string from where no text is left; add those where only there one is."""
        is_live = machine.is_live(part.race, part.owed, parse)
        wrong: list[int] = []
        for beside, races in (part.words or {}).items():
            if is_live and beside is not None and machine.is_live(beside, None, parse):
                continue
            for race, tokens in races:
                lives = machine.is_live(race, None, parse) or (
                    beside is not None and machine.is_live(beside, None, parse)
                )
                if lives != is_live:
                    wrong += tokens
        if not is_live:
            return (), tuple(wrong)
        bases, tokens = part.found
        if not wrong:
            return part.found
        cleared = pack(wrong, self._num_words)
        gone = set(wrong)
        kept = tuple(Base(base.words & ~cleared) for base in bases)
        return kept, tuple(token for token in tokens if token not in gone)


assert IGNORED < 0  # no terminal's number
