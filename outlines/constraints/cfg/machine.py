"""A grammar as a head of the automaton: the race of its terminals, with the parse as its own stack.

A `Place` is a race, what is owed to an earlier lexeme, and a parse. It reads bytes as any head does. The text of the
grammar may end where its parse accepts; where a part that is no terminal may come (a schema, a pattern), that part's
symbols are put under it, and after them `Resume`. So a grammar may stand anywhere in a constraint, and any constraint
in a grammar.

Every place can be finished: one from which no text is left is dropped where it's made.
"""

from __future__ import annotations

from collections.abc import Iterator

from outlines.constraints.cfg.lexing import IGNORED, Lexer, Owed, Race, after_byte, both_owed
from outlines.constraints.cfg.liveness import Liveness
from outlines.constraints.cfg.parse import Parse, Parser
from outlines.constraints.expression import EMPTY
from outlines.constraints.items import Alternatives, Head, Item, Symbol, Symbols

__all__ = ["Machine", "Place", "Resume"]


class Place(Head):
    """Where a text is within a grammar."""

    __slots__ = ("machine", "race", "owed", "parse", "is_open", "_ended", "_is_ended")

    def __init__(self, machine: Machine, race: Race, owed: Owed, parse: Parse):
        self.machine = machine
        self.race = race
        self.owed = owed
        self.parse = parse
        self.is_open = not race.is_finished
        self._ended: Symbols | None = None
        self._is_ended = False

    @property
    def ended(self) -> Symbols | None:  # type: ignore[override]
        """What follows where the grammar's text may end, or a part that is no terminal may begin."""
        if not self._is_ended:
            self._ended = self.machine.ended(self)
            self._is_ended = True
        return self._ended

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte."""
        places = self.machine.after(self, byte)
        if not places:
            return None
        if len(places) == 1:
            return places[0], ()
        return None, (self.machine.fork(places),)

    def release(self) -> None:
        """Let go of the machine's places and walks."""
        self.machine.release()

    def __repr__(self) -> str:
        return f"Place({self.race!r}, {self.owed}, {self.parse.viable})"


class _Fork(Item):
    """Any of some places."""

    __slots__ = ("places",)

    def __init__(self, places: tuple[Place, ...]):
        self.places = places

    def expand(self) -> Alternatives:
        """Give the places."""
        return tuple((place,) for place in self.places)


class Resume(Item):
    """The rest of a grammar's text from a parse on."""

    __slots__ = ("machine", "parse")

    def __init__(self, machine: Machine, parse: Parse):
        self.machine = machine
        self.parse = parse

    def expand(self) -> Alternatives:
        """Give the place where the next lexeme begins; none where no text is left."""
        return [(place,) for place in self.machine.begin(self.parse)]

    def is_nullable(self) -> bool:
        """Tell whether the text may end here."""
        return self.parse.accepts

    def release(self) -> None:
        """Let go of the machine's places and walks."""
        self.machine.release()


class _Ways(Item):
    """What may follow at the end of a lexeme besides the next one: the end of the text, parts that are no terminals."""

    __slots__ = ("ways",)

    def __init__(self, ways: tuple[Symbols, ...]):
        self.ways = ways

    def expand(self) -> Alternatives:
        """Give them."""
        return self.ways

    def is_nullable(self) -> bool:
        """Tell whether the text may end here."""
        return () in self.ways


class Machine:
    """All places of one grammar.

    Parameters
    ----------
    parser, lexer
        What it is made of.
    parts
        Symbols of each number that isn't a terminal; they have no empty text.
    """

    def __init__(self, parser: Parser, lexer: Lexer, parts: dict[int, Symbols]):
        self.parser = parser
        self.lexer = lexer
        self._parts = parts
        self.has_parts = bool(parts)
        self._places: dict[tuple, Place] = {}
        self._forks: dict[tuple[Place, ...], _Fork] = {}
        self._resumes: dict[Parse, Resume] = {}
        self._ways: dict[Parse, tuple[Symbols, ...]] = {}
        self._items: dict[tuple[Symbols, ...], _Ways] = {}
        self._liveness = Liveness(parser, lexer, frozenset(parts))
        self.is_live = self._liveness.is_live
        self.verdict = self._liveness.verdict
        self.is_live_between = self._liveness.is_live_between

    def release(self) -> None:
        """Forget all places, which lead back to each other."""
        self.parser.release()
        self.lexer.release()
        self._liveness.release()
        for held in (self._places, self._forks, self._resumes, self._ways, self._items):
            held.clear()

    def resume(self, parse: Parse) -> Resume:
        """Give the item of the rest of the text."""
        found = self._resumes.get(parse)
        if found is None:
            found = self._resumes[parse] = Resume(self, parse)
        return found

    def fork(self, places: tuple[Place, ...]) -> Item:
        """Give the item that stands for any of some places."""
        found = self._forks.get(places)
        if found is None:
            found = self._forks[places] = _Fork(places)
        return found

    def begin(self, parse: Parse, owed: Owed = None) -> tuple[Place, ...]:
        """Give the place where a lexeme begins; none from where no text is left."""
        return tuple(self.settle(self.lexer.begin(parse), owed, parse))

    def after(self, place: Place, byte: int) -> tuple[Place, ...]:
        """Give the places after a byte: within the lexeme, and where it ended before the byte."""
        found: dict[Place, None] = {}
        owed = after_byte(place.owed, byte) if place.owed else None
        if owed is not False:
            race = place.race.step(byte)
            if race is not EMPTY:
                found.update(dict.fromkeys(self.settle(race, owed, place.parse)))  # type: ignore[arg-type]
        for parse, owes in self.ends(place):
            owed = after_byte(owes, byte)
            if owed is not False:
                race = self.lexer.begin(parse).step(byte)
                if race is not EMPTY:
                    found.update(dict.fromkeys(self.settle(race, owed, parse)))  # type: ignore[arg-type]
        return tuple(found)

    def ends(self, place: Place) -> Iterator[tuple[Parse, Owed]]:
        """Give the parses after the lexeme that may end at a place, and what is owed from there on."""
        for number, owed in place.race.ends():
            parse = self.parse_after(place.parse, number)
            if parse is not None:
                yield parse, both_owed(owed, place.owed)

    def parse_after(self, parse: Parse, number: int) -> Parse | None:
        """Give the parse after a terminal, an ignored one too; None where it may not come."""
        return parse if number == IGNORED else self.parser.after(parse, number)

    def settle(self, race: Race, owed: Owed, parse: Parse) -> Iterator[Place]:
        """Give the place of a race; where its lexeme can't go on, that of the next. Dead ones are dropped."""
        if not race.is_finished or race.is_start:
            if self.is_live(race, owed, parse):
                yield self.place(race, owed, parse)
            return
        for number, owes in race.ends():
            following = self.parse_after(parse, number)
            if following is not None:
                yield from self.settle(self.lexer.begin(following), both_owed(owes, owed), following)

    def place(self, race: Race, owed: Owed, parse: Parse) -> Place:
        """Give the place of a race, of what is owed, and of a parse."""
        key = race, owed, parse
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = Place(self, race, owed, parse)
        return found

    def ended(self, place: Place) -> Symbols | None:
        """Give what may follow a place without another lexeme of the grammar."""
        if place.race.is_start:
            ways = self.ways(place.parse)
        else:
            ways = tuple(dict.fromkeys(way for parse, _ in self.ends(place) for way in self.ways(parse)))
        if not ways:
            return None
        if ways == ((),):
            return ()
        item = self._items.get(ways)
        if item is None:
            item = self._items[ways] = _Ways(ways)
        return (item,)

    def ways(self, parse: Parse) -> tuple[Symbols, ...]:
        """Give what may come at a parse besides a lexeme: nothing, where it accepts; parts that are no terminals."""
        if not self._parts:
            return ((),) if parse.accepts else ()
        found = self._ways.get(parse)
        if found is None:
            ways: list[Symbols] = [()] if parse.accepts else []
            for number in sorted(parse.viable):
                if number in self._parts:
                    following = self.parser.after(parse, number)
                    assert following is not None
                    if self.is_live_between(None, following):
                        ways.append((*self._parts[number], self.resume(following)))
            found = self._ways[parse] = tuple(ways)
        return found
