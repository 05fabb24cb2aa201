"""Whether a text can still be finished: no mask may lead where no text goes on.

The rules alone would always let a text be finished, but lexemes are also held to what earlier ones owe, and to who
wins the race: a comment that must end in a line end which nothing may match is a dead end. Where ignored text may come
at any time and settles what is owed, the rules alone decide after all. Elsewhere the nearest end of the text is looked
for, through the ways in which lexemes can end; nearly always it's a few lexemes away. Where that fails, the pushdown
system of (what is owed, state of the network) is solved, which is finite however deep the stack.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import TypeAlias

from outlines.constraints.cfg.lexing import IGNORED, Lexer, Owed, Race, after_byte, both_owed
from outlines.constraints.cfg.parse import Parse, Parser, Tail
from outlines.constraints.expression import EMPTY, Expression
from outlines.exceptions import LimitError

__all__ = ["MAX_SEARCH", "Liveness"]

#: Places, beyond those on the shortest way, that are looked at to find out whether a text can still be finished.
MAX_SEARCH = 3_000

#: Places after which the pushdown system is solved: what isn't found by then is hardly ever there.
_FEW_PLACES = 200

#: Pairs of what is owed and a state, when the pushdown system is solved.
_MAX_PAIRS = 100_000

#: So few bytes are tried one by one, whether or not they lead to different places.
_FEW_BYTES = 8

_Config: TypeAlias = "tuple[Owed, Parse]"
_Pair: TypeAlias = "tuple[Owed, int]"


class Liveness:
    """Tells which places of one grammar can be finished.

    Parameters
    ----------
    parser, lexer
        What the grammar is made of.
    parts
        Numbers of the symbols that are no terminals.
    """

    def __init__(self, parser: Parser, lexer: Lexer, parts: frozenset[int]):
        self.parser = parser
        self.lexer = lexer
        self.parts = parts
        self._lives: dict[tuple, bool] = {}
        self._endings: dict[tuple[Race, Owed, int], bool] = {}
        self._outcomes: dict[tuple, _Outcomes] = {}
        self._solution = _Solution(self)
        self._gaps: dict[Owed, bool] | None = None
        self._gap: Owed = None

    def release(self) -> None:
        """Forget what was found."""
        self._lives.clear()
        self._endings.clear()
        self._outcomes.clear()
        self._solution.release()

    def has_gap(self, owed: Owed) -> bool:
        """Tell whether ignored text may come now and settle what is owed, and then any terminal, and so on.

        Where that holds, as it does where white space is ignored, the rules alone decide.
        """
        if self._gaps is None:
            self._gaps = {}
            if not self._find_gap():
                self._gaps = {None: False}
        if None in self._gaps and not self._gaps[None]:
            return False
        found = self._gaps.get(owed)
        if found is None:
            found = self._gaps[owed] = self._leads_to_gap(owed)
        return found

    def _find_gap(self) -> bool:
        race = self.lexer.begin_all()
        after_ignored = self._outcomes_of(race, None, IGNORED)
        if not after_ignored.has(0):
            return False
        self._gap = after_ignored.found[0]
        used = frozenset().union(*self.parser.network.terminals) - self.parts
        return all(
            any(
                map(
                    self._leads_to_gap,
                    itertools.islice(self._outcomes_of(race, self._gap, number).rest(0), 4),
                )
            )
            for number in used
        )

    def _leads_to_gap(self, owed: Owed) -> bool:
        outcomes = self._outcomes_of(self.lexer.begin_all(), owed, IGNORED)
        return self._gap in itertools.islice(outcomes.rest(0), 4)

    def is_live(self, race: Race, owed: Owed, parse: Parse) -> bool:
        """Tell whether some text leads from a place to the end of the grammar's text."""
        if race.is_start:
            return self.is_live_between(owed, parse)
        key = race, owed, parse
        found = self._lives.get(key)
        if found is None:
            found = self.verdict(race, owed, parse)
            if found is None:
                found = self._search(race, owed, parse)
            self._lives[key] = found
        return found

    def verdict(self, race: Race, owed: Owed, parse: Parse) -> bool | None:
        """Tell what the terminals that may come decide alone: whether a text is left; None where the rules decide.

        It's the same for all parses with the same `outlook`.
        """
        viable, may_come = parse.viable, False
        for number in race.numbers:
            if number in viable:
                may_come = True
                if self._ends_well(race, owed, number):
                    return True
            elif number == IGNORED:
                may_come = True
                outcomes = self._outcomes_of(race, owed, number)
                if outcomes.has(0) and self._goes_on_well(outcomes.found[0], parse):
                    return True
        return None if may_come else False

    def _goes_on_well(self, owed: Owed, parse: Parse) -> bool:
        """Tell whether after an ignored lexeme the text may end, or a terminal comes and ends well."""
        if parse.accepts or self.has_gap(owed):
            return True
        key = owed, parse.outlook
        found = self._lives.get(key)
        if found is None:
            begun = self.lexer.begin(parse)
            found = any(
                number >= 0 and self._ends_well(begun, owed, number) for number in parse.viable - self.parts
            )
            self._lives[key] = found
        return found

    def _ends_well(self, race: Race, owed: Owed, number: int) -> bool:
        """Tell whether a terminal's lexeme ends soon where ignored text may follow."""
        key = race, owed, number
        found = self._endings.get(key)
        if found is None:
            outcomes = self._outcomes_of(race, owed, number)
            found = self._endings[key] = outcomes.has(0) and self.has_gap(outcomes.found[0])
        return found

    def is_live_between(self, owed: Owed, parse: Parse) -> bool:
        """Tell the same of the place where a lexeme begins."""
        if parse.accepts or self.has_gap(owed):
            return True
        key = owed, parse
        found = self._lives.get(key)
        if found is None:
            found = self._search(self.lexer.begin(parse), owed, parse)
            self._lives[key] = found
        return found

    def _onward(self, race: Race, owed: Owed, parse: Parse) -> Iterator[tuple[int, int, _Outcomes]]:
        """Give the terminals of which a lexeme may come: how far it's from the end after it, and the ways to end it."""
        needs = self.parser.needs(parse)
        for number in race.numbers:
            if number == IGNORED:
                yield parse.need + 1, number, self._outcomes_of(race, owed, number)
            elif number in needs:
                yield needs[number], number, self._outcomes_of(race, owed, number)
        if race.is_start:
            for number in needs.keys() & self.parts:
                yield needs[number], number, _Outcomes(iter([None]))

    def _search(self, race: Race, owed: Owed, parse: Parse) -> bool:
        """Look for the end of the text, the nearest first; what lies on the way there is live, if none all is dead."""
        count = itertools.count()
        heap: list[tuple] = []
        parents: dict[_Config, _Config | None] = {}
        after = self.parser.after

        def push(race: Race, owed: Owed, parse: Parse, depth: int, parent: _Config | None) -> None:
            for need, number, outcomes in self._onward(race, owed, parse):
                heapq.heappush(heap, (need + depth, next(count), depth, parse, number, outcomes, 0, parent))

        push(race, owed, parse, 0, None)
        limit = MAX_SEARCH + 2 * heap[0][0] if heap else 0
        while heap:
            far, _, depth, before, number, outcomes, place, parent = heapq.heappop(heap)
            if not outcomes.has(place):
                continue
            owed = outcomes.found[place]
            heapq.heappush(heap, (far + 1, next(count), depth, before, number, outcomes, place + 1, parent))
            following = before if number == IGNORED else after(before, number)
            assert following is not None
            config = owed, following
            if config in parents:
                continue
            known = True if following.accepts else self._lives.get(config)
            if known is False:
                continue
            parents[config] = parent
            if known:
                way: _Config | None = config
                while way is not None:
                    self._lives[way] = True
                    way = parents[way]
                return True
            if len(parents) == _FEW_PLACES:
                waiting = itertools.chain(
                    [config],
                    (
                        (left, before if number == IGNORED else after(before, number))
                        for _, _, _, before, number, more, at, _ in heap
                        for left in more.rest(at)
                    ),
                )
                if not any(self._solution.may_end(*each) for each in waiting):  # type: ignore[arg-type]
                    break
                if (
                    self.lexer.kind != "contextual"
                ):  # there races don't depend on the parse, and the solution is exact
                    return True
            if len(parents) > limit:
                raise LimitError(
                    "MAX_SEARCH",
                    f"whether the grammar has a text from here on needs more than {limit} places to be looked at; "
                    "ignore white space, or use another lexer",
                )
            push(self.lexer.begin(following), owed, following, depth + 1, config)
        for config in parents:
            self._lives[config] = False
        return False

    def _outcomes_of(self, race: Race, owed: Owed, number: int) -> _Outcomes:
        key = race, owed, number
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = _Outcomes(_find_outcomes(race, owed, number))
        return found


class _Outcomes:
    """What a lexeme of one terminal may owe at its end, found as it's asked for."""

    __slots__ = ("found", "_more")

    def __init__(self, more: Iterator[Owed]):
        self.found: list[Owed] = []
        self._more = more

    def rest(self, place: int) -> Iterator[Owed]:
        """Give all from a place on."""
        while self.has(place):
            yield self.found[place]
            place += 1

    def has(self, place: int) -> bool:
        """Tell whether there are more than so many."""
        while len(self.found) <= place:
            try:
                self.found.append(next(self._more))
            except StopIteration:
                return False
        return True


def _find_outcomes(race: Race, owed: Owed, number: int) -> Iterator[Owed]:
    """Look breadth first for the ends of a terminal's lexemes; give what is owed at each, once."""
    seen = {(race, owed)}
    level = [(race, owed)]
    given = set()
    for at, owes in level:
        for ended, owed_after in at.ends():
            if ended == number:
                both = both_owed(owed_after, owes)
                if both not in given:
                    given.add(both)
                    yield both
        for byte in _bytes_that_differ(at, owes, number):
            target = at.step(byte)
            if target is EMPTY or not _has(target, number):
                continue
            left = after_byte(owes, byte)
            if left is not False and (target, left) not in seen:
                seen.add((target, left))  # type: ignore[arg-type]
                level.append((target, left))  # type: ignore[arg-type]


def _has(race: Race | Expression, number: int) -> bool:
    assert isinstance(race, Race)
    return any(n == number or any(other == number for other, _ in retyped) for n, _, retyped in race.entries)


def _bytes_that_differ(race: Race, owed: Owed, number: int) -> list[int]:
    """Give bytes that go on with a terminal's lexeme: one at least of each class that is told apart."""
    mask = 0
    for own, scan, retyped in race.entries:
        if own == number:
            mask |= scan.first_bytes()
        for other, other_scan in retyped:
            if other == number:
                mask |= other_scan.first_bytes()
    if mask.bit_count() <= _FEW_BYTES:
        return [byte for byte in range(256) if mask >> byte & 1]
    tables = [race.transitions()[0], *[part.transitions()[0] for part in owed or ()]]
    first: dict[tuple[int, ...], int] = {}
    for byte, key in enumerate(zip(*tables, strict=True)):
        if mask >> byte & 1:
            first.setdefault(key, byte)
    return list(first.values())


class _Solution:
    """The pushdown system of a grammar: from what is owed in a state, what may be owed at the end of its rule.

    A terminal is given no rivals but those that it has everywhere. With the contextual lexer that allows more than
    there is, so what can't end here can't end at all; with the others it's exact.
    """

    def __init__(self, liveness: Liveness):
        self._liveness = liveness
        self._ends: dict[_Pair, set[Owed]] = {}
        self._users: dict[_Pair, set[_Pair]] = {}
        self._steps: dict[tuple[Owed, int], frozenset[Owed]] = {}
        self._rests: dict[Owed, frozenset[Owed]] = {}
        self._tails: dict[tuple[Owed, Tail], bool] = {}

    def release(self) -> None:
        """Forget what was solved."""
        for held in (self._ends, self._users, self._steps, self._rests, self._tails):
            held.clear()

    def may_end(self, owed: Owed, parse: Parse) -> bool:
        """Tell whether a text may be finished from a parse on."""
        if parse.accepts:
            return True
        return any(
            self._tail_ends(end, tail) for state, tail in parse.items for end in self._solve((owed, state))
        )

    def _tail_ends(self, owed: Owed, tail: Tail) -> bool:
        """Tell whether the text may be finished under a rule that ended."""
        begin = owed, tail
        parents: dict[tuple[Owed, Tail], tuple[Owed, Tail] | None] = {begin: None}
        stack = [begin]
        while stack:
            config = stack.pop()
            if self._tails.get(config, None in config[1].ways):
                way: tuple[Owed, Tail] | None = config
                while way is not None:
                    self._tails[way] = True
                    way = parents[way]
                return True
            if config in self._tails:
                continue
            for way_back in config[1].ways:
                assert way_back is not None
                for end in self._solve((config[0], way_back[0])):
                    following = end, way_back[1]
                    if following not in parents:
                        parents[following] = config
                        stack.append(following)
        self._tails.update(dict.fromkeys(parents, False))
        return False

    def _solve(self, pair: _Pair) -> set[Owed]:
        """Give what may be owed at the end of a state's rule: a least fixpoint over the pairs that it needs."""
        if pair in self._ends:
            return self._ends[pair]
        network = self._liveness.parser.network
        self._ends[pair] = set()
        waiting = [pair]
        while waiting:
            at = waiting.pop()
            found: set[Owed] = set()
            for owed in self._after_ignored(at[0]):
                state = at[1]
                if network.is_final[state]:
                    found.add(owed)
                for terminal, target in network.terminals[state].items():
                    for after in self._after_terminal(owed, terminal):
                        found |= self._use((after, target), at, waiting)
                for begin, back in network.calls[state]:
                    ends = self._use((owed, begin), at, waiting)
                    if back < 0:
                        found |= ends
                    else:
                        for after in list(ends):
                            found |= self._use((after, back), at, waiting)
            if not found <= self._ends[at]:
                self._ends[at] |= found
                waiting.extend(self._users.get(at, ()))
        return self._ends[pair]

    def _use(self, pair: _Pair, user: _Pair, waiting: list[_Pair]) -> set[Owed]:
        """Give what is known of a pair, and have its user looked at again when more is."""
        self._users.setdefault(pair, set()).add(user)
        found = self._ends.get(pair)
        if found is None:
            found = self._ends[pair] = set()
            waiting.append(pair)
            if len(self._ends) > _MAX_PAIRS:
                raise LimitError(
                    "MAX_SEARCH", "the grammar is too large to tell whether its texts can be finished"
                )
        return found

    def _after_ignored(self, owed: Owed) -> frozenset[Owed]:
        """Give what may be owed after any number of ignored lexemes."""
        found = self._rests.get(owed)
        if found is None:
            reached = {owed}
            stack = [owed]
            while stack:
                for after in self._after_terminal(stack.pop(), IGNORED):
                    if after not in reached:
                        reached.add(after)
                        stack.append(after)
            found = self._rests[owed] = frozenset(reached)
        return found

    def _after_terminal(self, owed: Owed, terminal: int) -> frozenset[Owed]:
        key = owed, terminal
        found = self._steps.get(key)
        if found is None:
            if terminal in self._liveness.parts:
                found = frozenset([None])
            else:
                race = self._liveness.lexer.begin_alone(terminal)
                found = frozenset(_find_outcomes(race, owed, terminal))
            self._steps[key] = found
        return found
