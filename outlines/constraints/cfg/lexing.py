"""The lexer of a grammar: which terminals may come next, and which of them wins, as Lark decides it.

Where a terminal is looked for, Lark tries those of its scanner in an order (priority, then width, then length), takes
the first that matches at all, and gives it the length that `re` gives it; a string that a pattern matches in full isn't
tried by itself: the pattern's text is retyped. A `Race` is the state of that decision after some bytes: the terminals
still in it, in order, each with its scan. Once one has matched, those behind it can't win any more.

    contextual  the race has the terminals that may come next and those that may follow, elsewhere in the grammar, what
                was just completed (a superset of Lark's: it refuses more and never accepts more)
    basic       the race has all terminals, wherever they stand
    free        no race: whatever may come next is taken, each at its own length (Earley's dynamic lexer)

What a lexeme's end owes to the text that follows is a set of scans none of which may become nullable: the rivals that
still might have won, and the lexeme itself made longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.cfg.loading import Terminal
from outlines.constraints.cfg.parse import Parse
from outlines.constraints.cfg.patterns import Scan
from outlines.constraints.expression import EMPTY, Expression

__all__ = [
    "FREE",
    "IGNORED",
    "LEXERS",
    "Entry",
    "Lexer",
    "Owed",
    "Race",
    "after_byte",
    "both_owed",
    "codes_of",
]

LEXERS = ("contextual", "basic", "free")

#: The number that stands for any ignored terminal.
IGNORED = -2

#: A terminal that is in a race but may not come: it only keeps others from winning.
_RIVAL = -1

#: What a byte does to what is owed: it's settled, it stays, or it's broken.
FREE, OWED, BROKEN = 0, 1, 2

#: What the text that follows must not do: parts that must not become nullable. None is nothing.
Owed: TypeAlias = "frozenset[Scan | Expression] | None"

#: A terminal in a race: its number, its scan, and the strings that its text may be retyped to, with theirs.
Entry: TypeAlias = "tuple[int, Scan, tuple[tuple[int, Scan], ...]]"


class Race:
    """Where the lexer stands within a lexeme. Steps as an Expression does.

    Attributes
    ----------
    entries : tuple of Entry
        In Lark's order.
    nullable : bool
        Whether a lexeme may end here.
    is_start : bool
        Whether nothing of the lexeme is read yet.
    """

    __slots__ = (
        "lexer",
        "entries",
        "nullable",
        "is_start",
        "is_finished",
        "_numbers",
        "_steps",
        "_table",
        "_ends",
        "__weakref__",
    )

    def __init__(self, lexer: Lexer, entries: tuple[Entry, ...], is_start: bool):
        self.lexer = lexer
        self.entries = entries
        self.is_start = is_start
        self.is_finished = not any(scan.threads for _, scan, _ in entries)  # no byte goes on with the lexeme
        self._numbers: tuple[int, ...] | None = None
        self._steps: dict[int, Race | Expression] = {}
        self._table: tuple[bytes, tuple[Race | Expression, ...]] | None = None
        self._ends: tuple[tuple[int, Owed], ...] | None = None
        self.nullable = not is_start and bool(self.ends())

    def step(self, byte: int) -> Race | Expression:
        """Give the race after a byte, EMPTY where no terminal can win any more."""
        if self._table is not None:
            class_of, targets = self._table
            return targets[class_of[byte]]
        found = self._steps.get(byte)
        if found is None:
            found = self._steps[byte] = self.lexer.step(self.entries, byte)
        return found

    def transitions(self) -> tuple[bytes, tuple[Race | Expression, ...]]:
        """Give the table byte -> class, and the race of each class."""
        if self._table is None:
            columns = dict.fromkeys(
                part.transitions()[0]
                for _, scan, retyped in self.entries
                for part in (scan, *[other for _, other in retyped])
            )
            classes: dict[tuple[int, ...], int] = {}
            class_of = bytearray(256)
            for byte, key in enumerate(zip(*columns, strict=True)) if columns else ():
                class_of[byte] = classes.setdefault(key, len(classes))
            index: dict[Race | Expression, int] = {}
            numbers = bytearray(256)
            step = self.lexer.step
            for key in range(max(1, len(classes))):
                target = step(self.entries, class_of.index(key))
                numbers[key] = index.setdefault(target, len(index))
            self._table = bytes(class_of.translate(numbers)), tuple(index)
        return self._table

    @property
    def numbers(self) -> tuple[int, ...]:
        """The terminals that may still win, ignored ones too."""
        if self._numbers is None:
            found = {number for number, _, _ in self.entries}
            found.update(other for _, _, retyped in self.entries for other, _ in retyped)
            self._numbers = tuple(sorted(found - {_RIVAL}))
        return self._numbers

    def first_bytes(self) -> int:
        """Give the class of bytes that go on with some terminal's lexeme."""
        mask = 0
        for _, scan, _ in self.entries:
            mask |= scan.first_bytes()
        return mask

    def retyping_bytes(self) -> set[int]:
        """Give the bytes that lead on to strings which the lexeme may be retyped to."""
        mask = 0
        for _, _, retyped in self.entries:
            for _, scan in retyped:
                mask |= scan.first_bytes()
        return {byte for byte in range(256) if mask >> byte & 1}

    def ends(self) -> tuple[tuple[int, Owed], ...]:
        """Give the terminals whose lexeme may end here, and what each then owes."""
        if self._ends is None:
            self._ends = () if self.is_start else self.lexer.ends(self.entries)
        return self._ends

    def __repr__(self) -> str:
        return f"<Race {[(number, scan.program.pattern) for number, scan, _ in self.entries]}>"


class Lexer:
    """The races of one grammar.

    Parameters
    ----------
    terminals
        In the order of their numbers.
    scans
        Of each terminal at its beginning.
    ignored
        Numbers of the ignored terminals.
    kind
        One of LEXERS.
    """

    def __init__(
        self, terminals: Sequence[Terminal], scans: Sequence[Scan], ignored: Iterable[int], kind: str
    ):
        self.kind = kind
        self.is_racing = kind in ("contextual", "basic")
        self._scans = scans
        self._ignored = frozenset(ignored)
        order = sorted(
            range(len(terminals)),
            key=lambda i: (
                -terminals[i].priority,
                -terminals[i].max_width,
                -len(terminals[i].text),
                terminals[i].name,
            ),
        )
        self._order = order
        self._retyped = self._find_retyped(terminals, order) if self.is_racing else {}
        self._embeds = {
            (pattern, string)
            for pattern, strings in self._retyped.items()
            for string in strings
            if terminals[string].flags <= terminals[pattern].flags
        }
        self._races: dict[tuple, Race] = {}
        self._begins: dict[tuple[frozenset[int], tuple[int, ...]], Race] = {}
        self._all = frozenset(range(len(terminals)))

    def release(self) -> None:
        """Forget all races, which lead back to each other."""
        for race in [*self._races.values(), *self._begins.values()]:
            race._steps.clear()
            race._table = None
        self._races.clear()
        self._begins.clear()

    @staticmethod
    def _find_retyped(terminals: Sequence[Terminal], order: list[int]) -> dict[int, list[int]]:
        """Give for each pattern the strings that it matches in full, of the same priority: in Lark, "unless"."""
        found = {}
        for number in order:
            terminal = terminals[number]
            if not terminal.is_string:
                match = re.compile(terminal.pattern).match
                strings = []
                for other in order:
                    string = terminals[other]
                    if string.is_string and string.priority == terminal.priority:
                        matched = match(string.text)
                        if matched is not None and matched.end() == len(string.text):
                            strings.append(other)
                if strings:
                    found[number] = strings
        return found

    def begin(self, parse: Parse) -> Race:
        """Give the race where a lexeme begins."""
        found = parse.begins
        if found is None:
            if self.kind == "basic":
                racing = self._all
            elif self.kind == "contextual":
                racing = self._ignored | parse.follow | parse.viable
            else:
                racing = self._ignored | parse.viable
            racing &= self._all
            # who may come is left to the parse, so that all parses with the same race share what is known of it
            found = parse.begins = self._begin(racing, tuple(sorted(racing)))
        assert isinstance(found, Race)
        return found

    def _begin(self, racing: frozenset[int], viable: tuple[int, ...]) -> Race:
        key = racing, viable
        found = self._begins.get(key)
        if found is None:
            allowed = frozenset(viable)
            entries: list[Entry] = []
            matched = 0  # the bytes after which a terminal before has matched
            embedded = {string for pattern, string in self._embeds if pattern in racing and string in racing}
            for number in self._order:
                if number not in racing or number in embedded:
                    continue
                scan = self._scans[number]
                if self.is_racing:
                    if not scan.first_bytes() & ~matched:
                        continue
                    matched |= scan.bytes_to_match()
                if number in self._ignored:
                    entries.append((IGNORED, scan, ()))
                    if not self.is_racing and number in allowed:
                        entries.append((number, scan, ()))
                    continue
                retyped = tuple(
                    (string if string in allowed else _RIVAL, self._scans[string])
                    for string in self._retyped.get(number, ())
                    if string in racing
                )
                entries.append((number if number in allowed else _RIVAL, scan, retyped))
            race = self._intern(entries, is_start=True)
            found = race if isinstance(race, Race) else Race(self, (), True)
            self._begins[key] = found
        return found

    def begin_all(self) -> Race:
        """Give the race of all terminals: what may win in it may win in any."""
        return self._begin(self._all, tuple(sorted(self._all)))

    def begin_alone(self, number: int) -> Race:
        """Give the race in which one terminal may come, with the rivals that it has everywhere."""
        racing = self._all if self.kind == "basic" else (self._ignored | {number}) & self._all
        return self._begin(racing, (number,) if number >= 0 else ())

    def may_ever_win(self, number: int) -> bool:
        """Tell whether some text is a lexeme of a terminal, with no rivals but those that it has everywhere."""
        stack: list[Race | Expression] = [self.begin_alone(number)]
        seen = set(stack)
        while stack:
            race = stack.pop()
            assert isinstance(race, Race)
            if number in race.numbers and any(ended == number for ended, _ in race.ends()):
                return True
            if number in race.numbers:
                for target in race.transitions()[1]:
                    if isinstance(target, Race) and target not in seen:
                        seen.add(target)
                        stack.append(target)
        return False

    def alone(self, entry: Entry) -> Race | Expression:
        """Give the race of one terminal that is begun and has no rivals."""
        return self._intern([entry])

    def part(self, race: Race, entries: list[Entry]) -> Race:
        """Give the race with some of its entries."""
        found = self._intern(entries, race.is_start)
        return found if isinstance(found, Race) else Race(self, (), race.is_start)

    def _intern(self, entries: list[Entry], is_start: bool = False) -> Race | Expression:
        while entries and not _may_win(entries[-1]):
            entries.pop()
        if not entries:
            return EMPTY
        key = (is_start, *entries)
        found = self._races.get(key)
        if found is None:
            found = self._races[key] = Race(self, tuple(entries), is_start)
        return found

    def step(self, entries: tuple[Entry, ...], byte: int) -> Race | Expression:
        """Read a byte in all entries."""
        after: list[Entry] = []
        for number, scan, retyped in entries:
            target = scan.step(byte)
            if target is EMPTY:
                continue
            assert isinstance(target, Scan)
            if retyped:
                steps = [(other, other_scan.step(byte)) for other, other_scan in retyped]
                retyped = tuple((other, s) for other, s in steps if isinstance(s, Scan))
            entry = (number, target, retyped)
            if self.is_racing:
                after.append(entry)
                if target.nullable:
                    break
            elif _may_win(entry):
                after.append(entry)
        return self._intern(after)

    def ends(self, entries: tuple[Entry, ...]) -> tuple[tuple[int, Owed], ...]:
        """Give the terminals that may end, and what they owe."""
        found = []
        for place, (number, scan, retyped) in enumerate(entries):
            if not scan.nullable:
                continue
            for other, other_scan in retyped:
                if other_scan.nullable:
                    number = other
                    break
            if number == _RIVAL:
                continue
            owed: set[Scan | Expression] = set(scan.owed)
            if scan.threads:
                owed.add(scan)
            if self.is_racing:
                owed.update(rival for _, rival, _ in entries[:place] if rival.threads)
            found.append((number, frozenset(owed) or None))
        return tuple(found)


def _may_win(entry: Entry) -> bool:
    number, _, retyped = entry
    return number != _RIVAL or any(other != _RIVAL for other, _ in retyped)


def after_byte(owed: Owed, byte: int) -> Owed | Literal[False]:
    """Read a byte in what is owed: False if it's broken by it."""
    if owed is None:
        return None
    left = []
    for part in owed:
        target = part.step(byte)
        if target.nullable:
            return False
        if target is not EMPTY:
            left.append(target)
    return frozenset(left) or None


def both_owed(left: Owed, right: Owed) -> Owed:
    """Give what two owe together."""
    if left is None:
        return right
    return left if right is None else left | right


def codes_of(owed: Owed) -> NDArray:
    """Give what each byte does to what is owed: FREE, OWED or BROKEN; uint8 [256]."""
    codes = np.zeros(256, np.uint8)
    for part in owed or ():
        class_of, targets = part.transitions()
        of_class = np.asarray(
            [FREE if target is EMPTY else BROKEN if target.nullable else OWED for target in targets], np.uint8
        )
        np.maximum(codes, of_class[np.frombuffer(class_of, np.uint8)], out=codes)
    return codes
