"""The rest of a JSON string with bounds on its length: the head `Text`.

The length is a counter beside the pattern's state and never multiplied out: a token is allowed if what it leads to can
still come to an end within the bounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from typing import Any
from weakref import WeakKeyDictionary

from outlines.constraints.expression import EMPTY, Expression, join_classes
from outlines.constraints.items import Head, Symbol, Symbols
from outlines.exceptions import LimitError

__all__ = ["NO_END", "Text", "TextBounds", "TextState", "text"]


class TextState:
    """Where the rest of a JSON string is: in its pattern, and within a character or between two.

    It steps as an Expression does. `place` is the rest of any string, `pattern` the rest that is allowed (the same
    where all are), `start` the place between two characters. States of one pattern are interned in `states`.
    """

    __slots__ = (
        "pattern", "place", "start", "states", "is_start", "nullable", "reached", "_class_of", "_targets",
        "__weakref__",
    )  # fmt: skip

    def __init__(self, pattern: Expression, place: Expression, start: Expression, states: dict):
        self.pattern = pattern
        self.place = place
        self.start = start
        self.states = states
        self.is_start = place is start
        self.nullable = pattern.nullable
        #: What tables know of this state: kept here, since it mentions the state and a weak dictionary would hold it.
        self.reached: WeakKeyDictionary[Any, dict] = WeakKeyDictionary()
        self._class_of = b""
        self._targets: tuple[TextState | Expression, ...] | None = None
        states[pattern, place] = self

    def step(self, byte: int) -> TextState | Expression:
        """Give the state after a byte, EMPTY where it's forbidden."""
        class_of, targets = self.transitions()
        return targets[class_of[byte]]

    def transitions(self) -> tuple[bytes, tuple[TextState | Expression, ...]]:
        """Give the table byte -> class and the state of each class, EMPTY where nothing goes on."""
        if self._targets is None:
            pattern_class, patterns = self.pattern.transitions()
            place_class, places = self.place.transitions()
            self._class_of, pairs = join_classes(pattern_class, len(patterns), place_class, len(places))
            self._targets = tuple([self._target(patterns[a], places[b]) for a, b in pairs])
        return self._class_of, self._targets

    def _target(self, pattern: Expression, place: Expression) -> TextState | Expression:
        if pattern is EMPTY or place is EMPTY:
            return EMPTY
        found = self.states.get((pattern, place))
        return TextState(pattern, place, self.start, self.states) if found is None else found


class TextBounds:
    """How long the rest of a string with a pattern may be, from each of its states.

    A state's shortest continuation is looked for when it's asked for, and usually decides. Where a lower bound is
    above it, the lengths of all continuations are needed: a set of bits from 0 to `cap`, where without an upper bound
    the last bit stands for `cap` and all above. Without a pattern every length may follow.

    Parameters
    ----------
    root
        State at the beginning of the string.
    low, high
        Bounds on its number of characters.
    """

    def __init__(self, root: TextState, low: int, high: int | None):
        self.texts: dict[tuple[TextState, int, int | None], Text] = {}
        self.is_free = root.pattern is root.place
        self._root = root
        self._cap = low if high is None else high
        self._is_bounded = high is not None
        self._shortest: dict[TextState, int] = {}
        self._lengths: dict[TextState, int] | None = None

    def shortest(self, state: TextState) -> int:
        """Give the fewest characters that may follow a state; NO_END where no text follows."""
        if self.is_free:
            return 0
        found = self._shortest.get(state)
        return self._find_shortest(state) if found is None else found

    def allows(self, state: TextState, low: int, high: int | None) -> bool:
        """Tell whether a state may be followed by `low` to `high` more characters.

        Raises
        ------
        LimitError
            If that takes more than MAX_TEXT_STATES states of the pattern, or lengths above MAX_TEXT_LENGTH.
        """
        if high is not None and high < low:
            return False
        if self.is_free:
            return True
        shortest = self.shortest(state)
        if shortest == NO_END:
            return False
        if high is not None and shortest > high:
            return False
        if shortest >= low:
            return True
        if self._lengths is None:
            self._lengths = self._find_lengths()
        lengths = self._lengths[state] >> low
        return (lengths if high is None else lengths & ((2 << (high - low)) - 1)) != 0

    def _find_shortest(self, start: TextState) -> int:
        """Search breadth first, characters begun as the distance; what lies on the way found is known from then on."""
        before: dict[TextState, TextState | None] = {start: None}
        distance = {start: 0}
        queue = deque([start])
        done: set[TextState] = set()
        best = NO_END
        end: TextState | None = None
        while queue:
            state = queue.popleft()
            if state in done:
                continue
            if distance[state] >= best:
                break
            done.add(state)
            rest = 0 if state.nullable else self._shortest.get(state)
            if rest is not None:
                if distance[state] + rest < best:
                    best, end = distance[state] + rest, state
                continue
            _check_states(done)
            for target in state.transitions()[1]:
                if isinstance(target, TextState):
                    step = 1 if state.is_start and not target.nullable else 0
                    if distance[state] + step < distance.get(target, NO_END):
                        distance[target] = distance[state] + step
                        before[target] = state
                        (queue.append if step else queue.appendleft)(target)
        self._shortest[start] = best
        while end is not None:
            self._shortest[end] = best - distance[end]
            end = before[end]
        return best

    def _find_lengths(self) -> dict[TextState, int]:
        """Compute the lengths of all continuations of all states: a least fixpoint, backwards from the string's end."""
        cap = self._cap
        if cap > MAX_TEXT_LENGTH:
            raise LimitError(
                "MAX_TEXT_LENGTH", f"a lower bound beside a pattern needs lengths up to {cap}, above {MAX_TEXT_LENGTH}"
            )
        order = [self._root]
        before: dict[TextState, list[TextState]] = {self._root: []}
        loops: set[TextState] = set()
        for state in order:
            for target in state.transitions()[1]:
                if target is state and state.is_start:
                    loops.add(state)
                elif isinstance(target, TextState):
                    if target not in before:
                        before[target] = []
                        order.append(target)
                    before[target].append(state)
            _check_states(before)
        lengths = dict.fromkeys(order, 0)
        full = (2 << cap) - 1
        waiting = [state for state in order if state.nullable]
        for state in waiting:
            lengths[state] = 1
        while waiting:
            changed = set()
            for state in waiting:
                known = lengths[state]
                for previous in before[state]:
                    added = known << 1 if previous.is_start and not state.nullable else known
                    if added > full:
                        added = added & full if self._is_bounded else (added | 1 << cap) & full
                    if previous in loops and added:
                        added |= full & -(added & -added)  # once around adds one: all longer ones are there too
                    both = lengths[previous] | added
                    if both != lengths[previous]:
                        lengths[previous] = both
                        changed.add(previous)
            waiting = list(changed)
        return lengths


#: States of a pattern, and characters, that are looked at to count a length beside it.
MAX_TEXT_STATES = 20_000
MAX_TEXT_LENGTH = 50_000

#: More characters than any text has.
NO_END = 1 << 62


def _check_states(states: Sized) -> None:
    if len(states) > MAX_TEXT_STATES:
        raise LimitError(
            "MAX_TEXT_STATES",
            f"a length beside a pattern needs more than {MAX_TEXT_STATES} of its states; make the pattern simpler",
        )


class Text(Head):
    """The rest of a JSON string with its closing quote, that may have `low` to `high` more characters."""

    __slots__ = ("state", "low", "high", "bounds")

    def __init__(self, state: TextState, low: int, high: int | None, bounds: TextBounds):
        self.state = state
        self.low = low
        self.high = high
        self.bounds = bounds

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte of a character, or the closing quote where the lengths allow it."""
        target = self.state.step(byte)
        if target is EMPTY:
            return None
        assert isinstance(target, TextState)
        low, high = self.low, self.high
        if target.nullable:  # the closing quote
            return (None, ()) if low == 0 else None
        if self.state.is_start:  # the first byte of a character
            if high == 0:
                return None
            low = low - 1 if low else 0
            high = None if high is None else high - 1
        if not self.bounds.allows(target, low, high):
            return None
        return text(target, low, high, self.bounds), ()

    def __repr__(self) -> str:
        return f"Text({self.low}, {self.high})"


def text(state: TextState, low: int, high: int | None, bounds: TextBounds) -> Symbol:
    """Give the rest of a string with counts, one object for each; without bounds it is its expression."""
    if low == 0 and high is None:
        return state.pattern
    key = (state, low, high)
    found = bounds.texts.get(key)
    return bounds.texts.setdefault(key, Text(*key, bounds)) if found is None else found
