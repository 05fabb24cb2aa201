"""The name of an object's member, with its closing quote: the head `Keys`.

Declared names are a tree, and a range of their numbers is what may come next. Where other names are free, a free one
never means a declared one, nor a free one that was written before, however it is spelt. So the head keeps what it has
read, and such states belong to one text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Set

from outlines.constraints.expression import EMPTY, EPSILON, Expression
from outlines.constraints.items import Head, Literal, Symbol, Symbols, WordNode, words

__all__ = ["FreeNames", "KeyPlace", "Keys", "NameTable", "SeenNames"]


class SeenNames:
    """A set of names that were written, as a tree; adding one gives another set, which shares what it can."""

    __slots__ = ("_children", "word", "_added")

    def __init__(self, children: dict[int, SeenNames] | None = None, is_name: bool = False):
        self._children: dict[int, SeenNames] = {} if children is None else children
        self.word = 0 if is_name else None
        self._added: dict[bytes, SeenNames] = {}

    def children(self) -> dict[int, SeenNames]:
        """Give the trees below, by their byte."""
        return self._children

    def add(self, name: bytes) -> SeenNames:
        """Give the set with one more name, as `NameTable.names` has them; the same object for the same name."""
        found = self._added.get(name)
        if found is None:
            path: list[SeenNames] = [self]
            for byte in name[:-1]:
                path.append(path[-1]._children.get(byte, _NO_NAMES))
            found = SeenNames(is_name=True)
            for node, byte in zip(reversed(path), reversed(name), strict=True):
                found = SeenNames({**node._children, byte: found}, node.word is not None)
            self._added[name] = found
        return found

    def release(self) -> None:
        """Forget the sets made from this one."""
        self._added.clear()


_NO_NAMES = SeenNames()


class FreeNames(ABC):
    """The names that aren't declared, and what follows them.

    Attributes
    ----------
    language : Expression
        Rest of a name with its closing quote, declared ones and those written before among them.
    seen : KeyPlace or None
        Beginning of the names written before; None where there are none.
    is_open : bool
        Whether every beginning of a name can go on in any way, so that no name in the way is a dead end.
    """

    __slots__ = ()

    language: Expression
    seen: KeyPlace | None
    is_open: bool

    @abstractmethod
    def after(self, name: bytes) -> Symbols:
        """Give what follows a name, as `NameTable.names` has them."""

    @abstractmethod
    def otherwise(self) -> Symbols:
        """Give what may follow some name: at least what follows any one."""

    def release(self) -> None:
        """Let go of what leads back here, as `Item.release`."""
        return


class NameTable:
    r"""The declared names of an object, and where reading a name may be in their tree.

    Parameters
    ----------
    names
        JSON text of each name without its opening quote and with its closing one, as it is written.
    find_member
        Gives what follows a name, by its number; asked for once.
    start
        Expression of the rest of any JSON string with its closing quote.
    unescape
        Gives the bytes as they're written for an escape sequence such as `\u0061`.
    """

    def __init__(
        self,
        names: list[bytes],
        find_member: Callable[[int], Symbols],
        start: Expression,
        unescape: Callable[[bytes], bytes],
    ):
        self._find_member: Callable[[int], Symbols] | None = find_member
        self._members: dict[int, Symbols] = {}
        self._names = names
        self._literals: dict[int, Literal] = {}
        self.start = start
        self.unescape = unescape
        self._places: dict[tuple[WordNode | SeenNames, Expression, bytes, bool], KeyPlace] = {}
        self.root = self.place(words(names), start, b"", True) if names else None

    def member(self, name: int) -> Symbols:
        """Give what follows a name, by its number."""
        found = self._members.get(name)
        if found is None:
            assert self._find_member is not None
            found = self._members[name] = self._find_member(name)
        return found

    def literal(self, name: int) -> Literal:
        """Give a name as a literal, by its number."""
        found = self._literals.get(name)
        if found is None:
            found = self._literals[name] = Literal(self._names[name])
        return found

    def release(self) -> None:
        """Forget the places, and what follows the names."""
        self._places.clear()
        self._find_member = None
        self._members.clear()
        self.root = None

    def place(self, node: WordNode | SeenNames, rest: Expression, escape: bytes, is_exact: bool) -> KeyPlace:
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

    def __init__(self, table: NameTable, node: WordNode | SeenNames, rest: Expression, escape: bytes, is_exact: bool):
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
            node: WordNode | SeenNames | None = self.node
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

    Without free names only the declared spelling leads anywhere, so `place` alone tells where the name is. With them
    `place` and `seen` are None once it can't become a declared name, or one written before; `text` is what was read.

    Parameters
    ----------
    place
        Where the name is in the tree of declared names.
    first, last
        Numbers of the declared names that may come.
    free
        The free names; None where there are none.
    chosen
        Numbers out of that range that may come, where not all may.
    """

    __slots__ = ("place", "seen", "rest", "text", "first", "last", "chosen", "free", "family")

    def __init__(
        self,
        place: KeyPlace | None,
        first: int,
        last: int,
        free: FreeNames | None,
        chosen: Set[int] | None = None,
    ):
        self.place = place
        self.first = first
        self.last = last
        self.free = free
        self.chosen = chosen
        self.seen = None if free is None else free.seen
        self.rest = EMPTY if free is None else free.language
        self.text = b""
        #: The same names further on: by what was read, or by the place where that alone tells.
        self.family: dict[bytes | KeyPlace | None, Keys] = {}

    def _at(self, key: bytes | KeyPlace, place: KeyPlace | None) -> Keys:
        found = self.family.get(key)
        if found is None:
            found = self.family[key] = Keys(place, self.first, self.last, self.free, self.chosen)
            found.family = self.family
        return found

    def release(self) -> None:
        """Forget the other places, here and in the table."""
        self.family.clear()
        if self.place is not None:
            self.place.table.release()
        if self.free is not None:
            self.free.release()

    def allows(self, name: int, place: KeyPlace) -> bool:
        """Tell whether a declared name may be the one that ends at a place."""
        return self.first <= name <= self.last and place.is_exact and (self.chosen is None or name in self.chosen)

    def step(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Read a byte of the name, or its closing quote."""
        if self.free is None:
            return self._step_declared(byte)
        rest = self.rest.step(byte)
        place, seen = self.place, self.seen
        if place is not None:
            outcome = place.step(byte)
            if isinstance(outcome, int):
                return (None, place.table.member(outcome)) if self.allows(outcome, place) else None
            place = outcome if isinstance(outcome, KeyPlace) else None
        if rest is EMPTY:
            return None
        text = self.text + bytes((byte,))
        if rest is EPSILON:
            if seen is not None and isinstance(seen.step(byte), int):
                return None
            return None, self.free.after(text)
        if seen is not None:
            outcome = seen.step(byte)
            seen = outcome if isinstance(outcome, KeyPlace) else None
        if not (self.free.is_open or (place is None and seen is None) or _leads_on(rest, place, seen)):
            return None
        following = self._at(text, place)
        following.seen, following.rest, following.text = seen, rest, text
        return following, ()

    def _step_declared(self, byte: int) -> tuple[Symbol | None, Symbols] | None:
        """Without free names only the declared spelling leads anywhere; the only name left goes on as a literal."""
        assert self.place is not None
        table = self.place.table
        child = self.place.node.children().get(byte)
        assert child is None or isinstance(child, WordNode)
        found = child.between(self.first, self.last) if child is not None else None
        if child is None or found is None:
            return None
        if child.word is not None:
            return None, table.member(child.word)
        name, is_only = found
        if is_only:
            return table.literal(name).at(child.depth), table.member(name)
        place = table.place(child, table.start, b"", True)
        return self._at(place, place), ()

    def __repr__(self) -> str:
        return f"Keys({self.text!r}, {self.first}..{self.last}, free={self.free is not None})"


def _leads_on(rest: Expression, place: KeyPlace | None, seen: KeyPlace | None) -> bool:
    """Tell whether the rest of a free name can become one that is neither declared nor written before."""
    stack = [(rest, place, seen)]
    known = set(stack)
    while stack:
        rest, place, seen = stack.pop()
        class_of, targets = rest.transitions()
        in_the_way = {byte for tree in (place, seen) if tree is not None for byte in tree.bytes_on_tree()}
        for byte in range(256):
            target = targets[class_of[byte]]
            if target is EMPTY:
                continue
            if byte not in in_the_way:
                return True
            outcomes = [None if tree is None else tree.step(byte) for tree in (place, seen)]
            if any(isinstance(outcome, int) for outcome in outcomes):
                continue
            trees = [outcome if isinstance(outcome, KeyPlace) else None for outcome in outcomes]
            if target is EPSILON or trees == [None, None]:
                return True
            further = (target, trees[0], trees[1])
            if further not in known:
                known.add(further)
                stack.append(further)
    return False
