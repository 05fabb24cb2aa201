"""What a constraint is made of, as plain data: heads, and items that expand into sequences of them.

A *symbol* is a head or an item. The automaton keeps a tail, a list of symbols still to come; when an item comes up it
is expanded into its alternatives, each a sequence of symbols, and when a head comes up bytes are read along it.
Symbols are compared by identity: whoever makes them gives the same object for the same meaning, so that states are
found again. Expansion is lazy, so an item may be recursive.

Heads:

    Expression      a regular language (expression.py), ending wherever it is nullable
    Literal         one string of bytes
    WordNode        one of a set of strings: a place in their tree
    Text            the rest of a JSON string with its closing quote, and how many characters it may still have
    Keys            the rest of a member's name with its closing quote: one of some names, or a free one
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence, Set, Sized
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from outlines.constraints.expression import EMPTY, EPSILON, Expression, join_classes
from outlines.exceptions import LimitError

__all__ = [
    "Alternatives",
    "Head",
    "Item",
    "KeyPlace",
    "Keys",
    "Literal",
    "NameTable",
    "Repeated",
    "Symbol",
    "Symbols",
    "Text",
    "TextBounds",
    "TextState",
    "Union",
    "WordNode",
    "text",
    "words",
]


class Item(ABC):
    """An element of a tail that is expanded when it comes up."""

    __slots__ = ()

    @abstractmethod
    def expand(self) -> Alternatives:
        """Give the sequences of symbols that this stands for; none of them without a text. Asked for once."""

    def is_nullable(self) -> bool:
        """Tell whether the empty text is among those that this stands for."""
        return False

    def release(self) -> None:
        """Let go of what leads back here, once nobody will expand it again.

        Items are recursive; without this they would wait for the garbage collector.
        """
        return


class Head(ABC):
    """A regular piece that reads bytes, where an Expression would be too general or too slow."""

    __slots__ = ()

    #: Symbols that follow before the tail if the head may end here; None if it may not.
    ended: Symbols | None = None
    #: Whether the head can read a byte.
    is_open: bool = True

    @abstractmethod
    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte: None if it's forbidden, else the head to go on with and the symbols to put under it."""

    def release(self) -> None:
        """Let go of what leads back here, as `Item.release`."""
        return


class Literal(Head):
    """One string of bytes, from an offset on. `rests` holds its other offsets, so that each is one object."""

    __slots__ = ("text", "offset", "rests", "is_open", "ended")

    def __init__(self, text: bytes, offset: int = 0, rests: dict[int, Literal] | None = None):
        self.text = text
        self.offset = offset
        self.rests: dict[int, Literal] = {} if rests is None else rests
        self.is_open = offset < len(text)
        self.ended = None if self.is_open else ()
        self.rests[offset] = self

    def release(self) -> None:
        """Forget the other offsets."""
        self.rests.clear()

    def at(self, offset: int) -> Literal:
        """Give the rest of the literal from another offset."""
        found = self.rests.get(offset)
        return found if found is not None else Literal(self.text, offset, self.rests)

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read its next byte."""
        if not self.is_open or self.text[self.offset] != byte:
            return None
        return self.at(self.offset + 1), ()

    def __repr__(self) -> str:
        return f"Literal({self.text[self.offset :]!r})"


class WordNode(Head):
    """A place in the tree of a set of words: a run of the sorted words that share their first `depth` bytes.

    Children are found when first asked for, so a set of 50,000 words costs its sorting.
    """

    __slots__ = ("texts", "ids", "low", "high", "depth", "_children", "_sorted_ids", "is_open", "ended")

    def __init__(self, texts: list[bytes], ids: list[int], low: int, high: int, depth: int):
        self.texts = texts
        self.ids = ids
        self.low = low
        self.high = high
        self.depth = depth
        self._children: dict[int, WordNode] | None = None
        self._sorted_ids: list[int] | None = None
        self.ended = () if len(texts[low]) == depth else None
        self.is_open = high - low > 1 or self.ended is None

    @property
    def word(self) -> int | None:
        """The id of the word that ends here."""
        return self.ids[self.low] if self.ended is not None else None

    def children(self) -> dict[int, WordNode]:
        """Give the places one byte on, by the byte."""
        found = self._children
        if found is None:
            found = {}
            depth, start = self.depth, self.low + (self.ended is not None)
            while start < self.high:
                byte = self.texts[start][depth]
                end = start + 1
                while end < self.high and self.texts[end][depth] == byte:
                    end += 1
                found[byte] = WordNode(self.texts, self.ids, start, end, depth + 1)
                start = end
            self._children = found
        return found

    def has_between(self, first: int, last: int) -> bool:
        """Tell whether a word below has an id from `first` to `last`."""
        ids = self._sorted_ids
        if ids is None:
            ids = self._sorted_ids = sorted(self.ids[self.low : self.high])
        place = bisect_left(ids, first)
        return place < len(ids) and ids[place] <= last

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read the next byte of a word."""
        child = self.children().get(byte)
        return None if child is None else (child, ())

    def __repr__(self) -> str:
        return f"WordNode({self.texts[self.low : self.high][:4]!r}, depth={self.depth})"


def words(texts: Sequence[bytes]) -> WordNode:
    """Give the root of the tree of some words; a word's id is its place in `texts`. Words must differ."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return WordNode([texts[i] for i in order], order, 0, len(order), 0)


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


class NameTable:
    r"""The declared names of an object, and where reading a name may be in their tree.

    Parameters
    ----------
    names
        JSON text of each name without its opening quote and with its closing one, as it is written.
    members
        What follows each name.
    start
        Expression of the rest of any JSON string with its closing quote.
    unescape
        Gives the bytes as they're written for an escape sequence such as `\u0061`.
    """

    def __init__(
        self, names: list[bytes], members: list[Symbols], start: Expression, unescape: Callable[[bytes], bytes]
    ):
        self.members = members
        self.start = start
        self.unescape = unescape
        self._places: dict[tuple[WordNode, Expression, bytes, bool], KeyPlace] = {}
        self.root = self.place(words(names), start, b"", True) if names else None

    def release(self) -> None:
        """Forget the places, and what follows the names."""
        self._places.clear()
        self.members = []
        self.root = None

    def place(self, node: WordNode, rest: Expression, escape: bytes, is_exact: bool) -> KeyPlace:
        """Give the one object for a place."""
        key = (node, rest, escape, is_exact)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = KeyPlace(self, *key)
        return found


class KeyPlace:
    """Where a name being read is in the tree of declared names.

    `rest` is the rest of a free name, `escape` the bytes of an escape sequence that isn't complete, and `is_exact`
    tells whether all was spelt as the declared name is; else it can't become that name, and mustn't mean it.
    """

    __slots__ = ("table", "node", "rest", "escape", "is_exact")

    def __init__(self, table: NameTable, node: WordNode, rest: Expression, escape: bytes, is_exact: bool):
        self.table = table
        self.node = node
        self.rest = rest
        self.escape = escape
        self.is_exact = is_exact

    def bytes_on_tree(self) -> Set[int]:
        """Give the bytes after which the name may still be in the tree, or be a declared one."""
        return _ALL_BYTES if self.escape else {*self.node.children(), _BACKSLASH}

    def step(self, byte: int) -> KeyPlace | int | Expression:
        """Read a byte: a place in the tree, the number of a declared name that ends, or the rest of a free name.

        The rest is EMPTY where no name goes on so, EPSILON where a free name ends.
        """
        table = self.table
        rest = self.rest.step(byte)
        if rest is EMPTY:
            return EMPTY
        if self.escape or byte == _BACKSLASH:
            escape = self.escape + bytes([byte])
            if rest is not table.start:
                return table.place(self.node, rest, escape, self.is_exact)
            spelt = table.unescape(escape)
            node: WordNode | None = self.node
            for part in spelt:
                node = node.children().get(part) if node is not None else None
            return rest if node is None else table.place(node, rest, b"", self.is_exact and spelt == escape)
        child = self.node.children().get(byte)
        if child is None:
            return rest
        if child.word is not None:
            return child.word
        return table.place(child, rest, b"", self.is_exact)


_BACKSLASH = 0x5C
_ALL_BYTES = frozenset(range(256))


class Keys(Head):
    """The rest of a member's name: a declared one with a number from `first` to `last`, or a free one.

    A free name never means a declared one, however it is spelt. `free` is what follows it, None where there are none.
    """

    __slots__ = ("place", "first", "last", "free", "family")

    def __init__(
        self, place: KeyPlace, first: int, last: int, free: Symbols | None, family: dict[KeyPlace, Keys] | None = None
    ):
        self.place = place
        self.first = first
        self.last = last
        self.free = free
        self.family: dict[KeyPlace, Keys] = {} if family is None else family
        self.family[place] = self

    def release(self) -> None:
        """Forget the other places, here and in the table."""
        self.family.clear()
        self.place.table.release()

    def allows(self, name: int, place: KeyPlace) -> bool:
        """Tell whether a declared name may be the one that ends at a place."""
        return self.first <= name <= self.last and place.is_exact

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte of the name, or its closing quote."""
        place = self.place
        if self.free is None:
            return self._step_declared(byte)
        outcome = place.step(byte)
        if isinstance(outcome, int):
            return (None, place.table.members[outcome]) if self.allows(outcome, place) else None
        if isinstance(outcome, KeyPlace):
            return self._at(outcome), ()
        if outcome is EMPTY:
            return None
        return (None, self.free) if outcome is EPSILON else (outcome, self.free)

    def _step_declared(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Without free names only the declared spelling leads anywhere."""
        table = self.place.table
        child = self.place.node.children().get(byte)
        if child is None or not child.has_between(self.first, self.last):
            return None
        if child.word is not None:
            return None, table.members[child.word]
        return self._at(table.place(child, table.start, b"", True)), ()

    def _at(self, place: KeyPlace) -> Keys:
        found = self.family.get(place)
        return Keys(place, self.first, self.last, self.free, self.family) if found is None else found

    def __repr__(self) -> str:
        return f"Keys({self.place.node!r}, {self.first}..{self.last}, free={self.free is not None})"


class Union(Item):
    """Any of some sequences of symbols."""

    __slots__ = ("alternatives",)

    def __init__(self, *alternatives: Symbols):
        self.alternatives = alternatives

    def expand(self) -> Alternatives:
        """Give the sequences."""
        return self.alternatives

    def is_nullable(self) -> bool:
        """Tell whether one of the sequences may be empty."""
        return any(are_nullable(symbols) for symbols in self.alternatives)


class Repeated(Item):
    """`low` to `high` times some symbols (`high` None: without bound).

    Bounds shrink as it is expanded; nothing is unrolled. `family` holds the same repetition with other bounds.
    """

    __slots__ = ("body", "low", "high", "family")

    def __init__(
        self,
        body: Symbols,
        low: int = 0,
        high: int | None = None,
        family: dict[tuple[int, int | None], Repeated] | None = None,
    ):
        self.body = body
        self.low = 0 if are_nullable(body) else low
        self.high = high
        self.family: dict[tuple[int, int | None], Repeated] = {} if family is None else family
        self.family[low, high] = self

    def is_nullable(self) -> bool:
        """Tell whether none is enough."""
        return self.low == 0

    def release(self) -> None:
        """Forget the other bounds."""
        self.family.clear()

    def expand(self) -> Alternatives:
        """Once more, or no more where `low` is 0."""
        stop: Alternatives = ((),) if self.low == 0 else ()
        if self.high == 0:
            return stop
        bounds = max(self.low - 1, 0), None if self.high is None else self.high - 1
        rest = self.family.get(bounds)
        if rest is None:
            rest = Repeated(self.body, *bounds, self.family)
        return ((*self.body, rest), *stop)


def are_nullable(symbols: Symbols) -> bool:
    """Tell whether a sequence of symbols may be the empty text."""
    return all(
        symbol.nullable
        if isinstance(symbol, Expression)
        else symbol.is_nullable()
        if isinstance(symbol, Item)
        else symbol.ended is not None
        for symbol in symbols
    )


Symbol: TypeAlias = "Expression | Head | Item"
Symbols: TypeAlias = "tuple[Symbol, ...]"
Alternatives: TypeAlias = "Sequence[Symbols]"
