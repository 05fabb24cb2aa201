"""Terminals as Python's `re` matches them: the match that it would choose, not the longest.

A pattern becomes a small program over bytes, whose threads stand in the order in which `re` would try them. A `Scan` is
such a list of threads: once one has matched, those behind it are dropped, and those before it may still match more.
That is how greedy and lazy repetition and the order of alternatives are told (the "leftmost-first" automata of RE2 and
Rust's regex). So a match ends after `w` if the scan of `w` is `nullable` and no longer text's scan is.

A lookahead rides on its thread until it's decided; where the match ends before, it's owed by the text that follows.
"""

from __future__ import annotations

import functools
from typing import Any

from outlines.constraints import characters
from outlines.constraints.characters import ALL, Characters
from outlines.constraints.expression import EMPTY, EVERYTHING, Expression, concat, union
from outlines.constraints.regex.python import PythonReader, sre
from outlines.constraints.regex.spelling import Spelling
from outlines.constraints.regex.tree import (
    BEGIN,
    END,
    Ahead,
    Alternatives,
    Behind,
    Node,
    OneOf,
    Repeat,
    Sequence,
    Text,
)
from outlines.exceptions import LimitError, PatternError

__all__ = ["MAX_PATTERN_STEPS", "Scan", "scan_of"]

#: Steps of a terminal's program; counted repetitions are written out.
MAX_PATTERN_STEPS = 20_000

_CHARACTER, _SPLIT, _AHEAD, _BEHIND, _MATCH = range(5)

#: A thread: the step whose character it reads, what is left of that character, and what must not follow.
_Thread = tuple[int, Expression, frozenset[Expression]]


class Scan:
    """Where the match of a terminal stands after some bytes.

    Steps as an Expression does, so that walks through the vocabulary take either.

    Attributes
    ----------
    nullable : bool
        Whether the match may end here, if it can't be made longer.
    owed : frozenset of Expression
        What the text that follows must not begin with, if the match ends here.
    """

    __slots__ = (
        "program",
        "threads",
        "behind",
        "nullable",
        "owed",
        "_class_of",
        "_targets",
        "_first",
        "__weakref__",
    )

    def __init__(
        self, program: _Program, threads: tuple[_Thread, ...], behind: tuple[Expression, ...],
        owed: frozenset[Expression] | None,
    ):  # fmt: skip
        self.program = program
        self.threads = threads
        self.behind = behind
        self.nullable = owed is not None
        self.owed = owed or frozenset()
        self._class_of = b""
        self._first = -1
        self._targets: tuple[Scan | Expression, ...] | None = None

    def step(self, byte: int) -> Scan | Expression:
        """Give the scan after a byte, EMPTY where nothing goes on."""
        targets = self._targets
        if targets is None:
            targets = self.transitions()[1]
        return targets[self._class_of[byte]]

    def transitions(self) -> tuple[bytes, tuple[Scan | Expression, ...]]:
        """Give the table byte -> class, and the scan of each class."""
        if self._targets is None:
            tables = [part.transitions() for part in self._parts()] or [(bytes(256), (EMPTY,))]
            if len(tables) == 1:
                class_of, keys = tables[0][0], list(range(len(tables[0][1])))
                first = [class_of.index(key) for key in keys]
            else:
                joined: dict[tuple[int, ...], int] = {}
                columns = zip(*[table[0] for table in tables], strict=True)
                class_of = bytes([joined.setdefault(column, len(joined)) for column in columns])
                first = [class_of.index(key) for key in range(len(joined))]
            index: dict[Any, int] = {}
            numbers = bytearray(256)
            for key, byte in enumerate(first):
                numbers[key] = index.setdefault(self.program.step(self, byte), len(index))
            self._class_of = class_of.translate(numbers)
            self._targets = tuple(index)
        return self._class_of, self._targets

    def first_bytes(self) -> int:
        """Give the class of bytes that go on."""
        if self._first < 0:
            class_of, targets = self.transitions()
            live = [target is not EMPTY for target in targets]
            self._first = sum(1 << byte for byte in range(256) if live[class_of[byte]])
        return self._first

    def bytes_to_match(self) -> int:
        """Give the class of bytes after which the match may end."""
        class_of, targets = self.transitions()
        return sum(1 << byte for byte in range(256) if targets[class_of[byte]].nullable)

    def _parts(self) -> list[Expression]:
        """Give all that a byte is compared with."""
        parts = [left for _, left, _ in self.threads]
        parts += [part for _, _, pending in self.threads for part in pending]
        return list(dict.fromkeys([*parts, *self.behind]))

    def __repr__(self) -> str:
        return f"<Scan of {self.program.pattern!r}, {len(self.threads)} threads{', nullable' if self.nullable else ''}>"


@functools.lru_cache(maxsize=4096)
def scan_of(pattern: str) -> Scan:
    """Give the scan at the beginning of a terminal's pattern.

    Raises
    ------
    PatternError
        If it can't be read, or has an assertion that isn't supported.
    LimitError
        If it has more than MAX_PATTERN_STEPS steps.
    """
    return _Program(pattern).start


class _Lazy(Repeat):
    """A repetition that stops as soon as it may."""


class _Reader(PythonReader):
    """Reads a pattern of `re` and keeps which repetitions are lazy."""

    def _item(self, operation: Any, argument: Any, flags: int) -> Node:
        node = super()._item(operation, argument, flags)
        if operation is sre.MIN_REPEAT and isinstance(node, Repeat) and node.low != node.high:
            return _Lazy(node.body, node.low, node.high)
        return node


class _Program:
    """The steps of a pattern. Steps are numbers into `kinds`, `values`, `nexts`."""

    def __init__(self, pattern: str):
        self.pattern = pattern
        self.kinds: list[int] = []
        self.values: list[Any] = []
        self.nexts: list[int] = []
        self._spelling = Spelling(characters.utf8)
        self._behinds: dict[Expression, int] = {}
        self._scans: dict[Any, Scan] = {}
        self._followed: dict[int, Any] = {}
        match = self._add(_MATCH, None, -1)
        begin = self._compile(_Reader(pattern, 0).tree, match)
        behind = tuple(self._behinds)
        threads, owed = self._follow([(begin, frozenset())], behind, at_start=True)
        self.start = self._scan(threads, behind, owed)
        if _AHEAD in self.kinds:
            self._check_lookaheads()

    # Compiling, backwards: each part is given the step that follows it

    def _add(self, kind: int, value: Any, following: int) -> int:
        if len(self.kinds) >= MAX_PATTERN_STEPS:
            raise LimitError(
                "MAX_PATTERN_STEPS",
                f"the terminal {self.pattern!r} needs more than {MAX_PATTERN_STEPS} steps; lower its counts",
            )
        self.kinds.append(kind)
        self.values.append(value)
        self.nexts.append(following)
        return len(self.kinds) - 1

    def _compile(self, node: Node, following: int) -> int:
        if isinstance(node, Text):
            for char in reversed(node.text):
                following = self._add(_CHARACTER, self._spelling.text(char), following)
            return following
        if isinstance(node, OneOf):
            return self._add(_CHARACTER, self._spelling.spell(node.members), following)
        if isinstance(node, Sequence):
            for part in reversed(node.parts):
                following = self._compile(part, following)
            return following
        if isinstance(node, Alternatives):
            return self._add(_SPLIT, tuple([self._compile(part, following) for part in node.parts]), -1)
        if isinstance(node, Repeat):
            return self._compile_repeat(node, following)
        if isinstance(node, Ahead):
            return self._compile_ahead(node, following)
        assert isinstance(node, Behind)
        return self._compile_behind(node, following)

    def _compile_repeat(self, node: Repeat, following: int) -> int:
        is_lazy = isinstance(node, _Lazy)

        def either(on: int, stop: int) -> tuple[int, int]:
            return (stop, on) if is_lazy else (on, stop)

        if node.high is None:
            loop = self._add(_SPLIT, (), -1)
            body = self._compile(node.body, loop)
            self.values[loop] = either(body, following)
            following = loop
        else:
            stop = following
            for _ in range(node.high - node.low):
                following = self._add(_SPLIT, either(self._compile(node.body, following), stop), -1)
        for _ in range(node.low):
            following = self._compile(node.body, following)
        return following

    def _compile_ahead(self, node: Ahead, following: int) -> int:
        strings = node.strings
        if strings is not None and not node.negated:
            if not all(len(symbols) == 1 for symbols in strings):
                raise self._unsupported("a positive lookahead of more than one character")
            members = characters.union(*[symbols[0] for symbols in strings])
            if not any(low <= END <= high for low, high in members):
                raise self._unsupported("a lookahead that asks for a character")
            others = characters.complement(characters.intersection(members, ALL))
            return self._add(_AHEAD, self._spelling.spell(others) if others else EMPTY, following)
        if not node.negated:
            raise self._unsupported("a positive lookahead")
        if node.body is not None and node.body.is_plain:
            return self._add(_AHEAD, self._spelling.read(node.body), following)
        if strings is None or any(_has_edge(members) for symbols in strings for members in symbols):
            raise self._unsupported("an assertion within a lookahead")
        for symbols in strings:
            forbidden = concat(*[self._spelling.spell(members) for members in symbols])
            following = self._add(_AHEAD, forbidden, following)
        return following

    def _compile_behind(self, node: Behind, following: int) -> int:
        texts = []
        for symbols in node.strings:
            if any(_has_edge(members) for members in symbols[:-1]) or not symbols:
                raise self._unsupported("this lookbehind")
            texts.append(concat(*[self._spelling.spell(characters.intersection(m, ALL)) for m in symbols]))
        looked_for = concat(EVERYTHING, union(*texts))
        number = self._behinds.setdefault(looked_for, len(self._behinds))
        return self._add(_BEHIND, (number, node.negated), following)

    def _unsupported(self, what: str) -> PatternError:
        return PatternError(
            self.pattern, 0, f"{what} isn't supported in a terminal; say what the terminal matches without it"
        )

    # Running

    def step(self, scan: Scan, byte: int) -> Scan | Expression:
        """Give the scan after a byte."""
        behind = tuple([part.step(byte) for part in scan.behind])
        read: list[Any] = []
        for at, left, pending in scan.threads:
            rest = left.step(byte)
            if rest is EMPTY:
                continue
            if pending:
                after = _after(pending, byte)
                if after is None:
                    continue
                pending = after
            read.append((self.nexts[at], pending) if rest.nullable else (at, rest, pending))
        threads, owed = self._follow(read, behind)
        if not threads and owed is None:
            return EMPTY
        return self._scan(threads, behind, owed)

    def _scan(self, threads: tuple[_Thread, ...], behind: tuple, owed: frozenset | None) -> Scan:
        key = threads, behind, owed
        found = self._scans.get(key)
        if found is None:
            found = self._scans[key] = Scan(self, threads, behind, owed)
        return found

    def _follow(
        self, read: list[Any], behind: tuple[Expression, ...], at_start: bool = False
    ) -> tuple[tuple[_Thread, ...], frozenset[Expression] | None]:
        """Give the threads that read a character next, in order, up to the first match; what is owed after it."""
        threads: dict[_Thread, None] = {}
        seen: set[tuple[int, frozenset]] = set()
        for place, thread in enumerate(read):
            if len(thread) == 3:
                threads[thread] = None
                continue
            stack = [thread]
            while stack:
                at, pending = stack.pop()
                if (at, pending) in seen:
                    continue
                seen.add((at, pending))
                kind, value = self.kinds[at], self.values[at]
                if kind == _CHARACTER:
                    if value is not EMPTY:
                        threads[at, value, pending] = None
                elif kind == _SPLIT:
                    stack.extend((part, pending) for part in reversed(value))
                elif kind == _AHEAD:
                    if not value.nullable:
                        forbidden = pending if value is EMPTY else pending | {value}
                        stack.append((self.nexts[at], forbidden))
                elif kind == _BEHIND:
                    if at_start:
                        raise self._unsupported("a lookbehind or word boundary at its beginning")
                    if behind[value[0]].nullable != value[1]:
                        stack.append((self.nexts[at], pending))
                else:
                    if pending and any(not pending <= other[-1] for other in (*stack, *read[place + 1 :])):
                        raise self._unsupported("a lookahead that decides between two matches")
                    return tuple(threads), pending
        return tuple(threads), None

    def _check_lookaheads(self) -> None:
        """Refuse a pattern that takes a shorter match where a lookahead forbids the longer one."""
        stack = [(self.start, False)]
        visited = set(stack)
        while stack:
            scan, has_matched = stack.pop()
            if has_matched and scan.nullable and scan.owed:
                raise self._unsupported("a lookahead that makes a match shorter")
            for target in scan.transitions()[1]:
                if isinstance(target, Scan):
                    following = target, has_matched or scan.nullable
                    if following not in visited:
                        visited.add(following)
                        stack.append(following)
            if len(visited) > MAX_PATTERN_STEPS:
                raise LimitError(
                    "MAX_PATTERN_STEPS", f"the lookaheads of {self.pattern!r} need too many states"
                )


def _after(pending: frozenset[Expression], byte: int) -> frozenset[Expression] | None:
    """Read a byte in what must not come: None if it has come."""
    after = [part.step(byte) for part in pending]
    if any(part.nullable for part in after):
        return None
    return frozenset(part for part in after if part is not EMPTY)


def _has_edge(members: Characters) -> bool:
    return any(low == BEGIN or high >= END for low, high in members)
