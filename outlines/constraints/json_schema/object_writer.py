"""Writes the objects of a case: names and values, in declared order or in any.

Declared members come in their order, optional ones may be left out; members that aren't declared come after them. In
any order, a set of the names still to come stands in for the place in that order. Free names that were written are
kept, so that none comes twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from outlines.constraints.items import Alternatives, Item, Literal, Symbols, Union
from outlines.constraints.json_schema.layout import Depth
from outlines.constraints.json_schema.object_states import FreeClass, Key, ObjectStates, State, bits
from outlines.constraints.json_schema.objects import Formula, ObjectCase
from outlines.constraints.json_schema.text import STRING_REST
from outlines.constraints.names import FreeNames, KeyPlace, Keys, NameTable, SeenNames

if TYPE_CHECKING:
    from outlines.constraints.json_schema.writer import Writer

__all__ = ["ObjectWriter", "StatefulObjectWriter"]

_QUOTE = Literal(b'"')
_COLON = Literal(b":")
_COMMA = Literal(b",")
_OPEN_OBJECT = Literal(b"{")
_CLOSE_OBJECT = Literal(b"}")


class ObjectWriter:
    """Writes a case whose members are independent: what may follow depends on how far the declared names have come."""

    def __init__(self, writer: Writer, case: ObjectCase, depth: Depth):
        self.writer = writer
        self.depth = depth
        self.below = writer.layout.below(depth)
        document = writer.document
        self.names = [(name, formula) for name, formula in case.names if document.is_inhabited(formula)]
        self.last = len(self.names)  # the place of members that aren't declared
        self.next_required = [self.last] * (self.last + 1)
        for i in range(self.last - 1, -1, -1):
            self.next_required[i] = i if self.names[i][0] in case.required else self.next_required[i + 1]
        self.rest = case.rest if document.is_inhabited(case.rest) else None
        # Names that have no value stay in the tree of names, so that no free name means one of them.
        self._valueless = [name for name, formula in case.names if not document.is_inhabited(formula)]
        self._table: NameTable | None = None
        self._afters: dict[tuple[int, SeenNames], AfterMember] = {}
        self.no_names = SeenNames()

    @property
    def table(self) -> NameTable:
        """The tree of names, made when there's a choice."""
        if self._table is None:
            declared = [*[name for name, _ in self.names], *self._valueless]
            spelling = self.writer.spelling
            names = [spelling.name_text(name) for name in declared]
            self._table = NameTable(names, self.member, spelling.string_rest, spelling.unescape)
        return self._table

    def after(self, place: int, seen: SeenNames) -> AfterMember:
        """Give what follows the member before a place."""
        key = (place, seen)
        found = self._afters.get(key)
        if found is None:
            found = self._afters[key] = AfterMember(self, place, seen)
        return found

    def member(self, place: int) -> Symbols:
        """Give what follows the name of a declared member; free ones come later."""
        writer = self.writer
        value = writer.value(self.names[place][1], self.below)
        return (*writer.colon, value, *writer.layout.after_member, self.after(place + 1, self.no_names))

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._afters.clear()
        self.no_names.release()
        if self._table is not None:
            self._table.release()

    def symbols(self) -> Symbols:
        """Give an object of the case."""
        keys, may_end = self.keys(0, self.no_names), self.may_end(0)
        alternatives: list[Symbols] = []
        if keys is not None:
            alternatives.append((*self.writer.layout.first(self.depth), *keys))
        if may_end:
            alternatives.append((_CLOSE_OBJECT,))
        return _OPEN_OBJECT, *self.writer.layout.opened(), Union(*alternatives)

    def may_end(self, place: int) -> bool:
        """Tell whether no declared name from a place on is required."""
        return self.next_required[place] == self.last

    def keys(self, place: int, seen: SeenNames) -> Symbols | None:
        """Give the next member, from its name on; None if no member can follow."""
        free = _PlainFree(self, seen) if self.rest is not None and self.may_end(place) else None
        last = min(self.next_required[place], self.last - 1)
        if free is None:
            if place > last:
                return None
            if place == last:  # no choice
                return Literal(self.writer.spelling.dump(self.names[place][0])), *self.member(place)
        return _QUOTE, Keys(self.table.root, place, last, free)


class _PlainFree(FreeNames):
    """Free names of an object whose members are independent."""

    __slots__ = ("_owner", "_seen", "language", "seen", "is_open", "_otherwise")

    def __init__(self, owner: ObjectWriter, seen: SeenNames):
        self._owner = owner
        self._seen = seen
        self.language = owner.writer.spelling.string_rest
        self.is_open = True
        self.seen = owner.table.place(seen, self.language, b"", True) if seen.children() else None
        self._otherwise: Symbols | None = None

    def after(self, name: bytes) -> Symbols:
        return self._following(self._seen.add(self._owner.writer.spelling.canonical(name)))

    def otherwise(self) -> Symbols:
        if self._otherwise is None:
            self._otherwise = self._following(self._seen)
        return self._otherwise

    def release(self) -> None:
        self._owner.release()

    def _following(self, seen: SeenNames) -> Symbols:
        owner = self._owner
        writer, rest = owner.writer, owner.rest
        assert rest is not None
        value = writer.value(rest, owner.below)
        return (*writer.colon, value, *writer.layout.after_member, owner.after(owner.last, seen))


class AfterMember(Item):
    """What follows a member's value: another member, or the closing brace."""

    __slots__ = ("object", "place", "seen")

    def __init__(self, owner: ObjectWriter, place: int, seen: SeenNames):
        self.object = owner
        self.place = place
        self.seen = seen

    def release(self) -> None:
        """Let the object's writer forget this."""
        self.object.release()

    def without_names(self) -> AfterMember:
        """Give this as if no free name had been written before."""
        return self.object.after(self.place, self.object.no_names)

    def expand(self) -> Alternatives:
        """Give another member, where one may follow, and the end, where none has to."""
        owner = self.object
        keys = owner.keys(self.place, self.seen)
        layout = owner.writer.layout
        alternatives: list[Symbols] = []
        if keys is not None:
            alternatives.append((_COMMA, *layout.next(owner.depth), *keys))
        if owner.may_end(self.place):
            alternatives.append((*layout.closing_object(owner.depth), _CLOSE_OBJECT))
        return alternatives


# Objects with counts, obligations, exclusions, or in any order


class StatefulObjectWriter:
    """Writes a case where what may follow depends on which members came: the states tell, and are always live."""

    def __init__(self, writer: Writer, states: ObjectStates, depth: Depth, is_any_order: bool):
        self.writer = writer
        self.depth = depth
        self.below = writer.layout.below(depth)
        self.states = states
        self.is_any_order = is_any_order
        #: All names, so that no free name means one of them.
        self.all_names = self.table(states.names, _no_member)
        self._rests: dict[tuple, Members] = {}
        self.no_names = SeenNames()
        #: Whether every beginning of a free name can go on in any way.
        self.has_open_names = all(found.language is STRING_REST for found in states.classes)

    def table(self, names: list[str], find_member: Callable[[int], Symbols]) -> NameTable:
        """Give the tree of some names."""
        spelling = self.writer.spelling
        return NameTable(
            [spelling.name_text(name) for name in names], find_member, spelling.string_rest, spelling.unescape
        )

    def release(self) -> None:
        """Forget the items, as `Item.release`."""
        self._rests.clear()
        self.no_names.release()
        self.all_names.release()

    def symbols(self) -> Symbols:
        """Give an object of the case."""
        states = self.states
        start = self.rest(states.all_unseen, states.start, states.no_use, self.no_names, True)
        return _OPEN_OBJECT, *self.writer.layout.opened(), start

    def rest(self, unseen: int, state: State, used: tuple, seen: SeenNames, is_first: bool = False) -> Members:
        """Give what follows some members."""
        key = (unseen, state, used, seen, is_first)
        found = self._rests.get(key)
        if found is None:
            found = self._rests[key] = Members(self, *key)
        return found

    def is_live(self, unseen: int, state: State, used: tuple) -> bool:
        """Tell whether an object may end from there."""
        return self.states.is_live(unseen, state, used, self.writer.document.is_inhabited)

    def ways(self, key: Key, unseen: int, state: State, used: tuple) -> list[tuple[Formula, State]]:
        """Give the ways to write a member's value, with the states after it, that lead to where the object may end."""
        states, document = self.states, self.writer.document
        ways: list[tuple[Formula, State]] = []
        for formula, met in states.options(state, key):
            after = states.after(state, key, met)
            if after is not None and document.is_inhabited(formula) and self.is_live(unseen, after, used):
                ways.append((formula, after))
        return ways

    def value(self, ways: list[tuple[Formula, State]], unseen: int, used: tuple, seen: SeenNames) -> Symbols:
        """Give what follows a member's name: one of some ways to write its value."""
        writer = self.writer
        values: list[Symbols] = [
            (writer.value(formula, self.below), *writer.layout.after_member, self.rest(unseen, after, used, seen))
            for formula, after in ways
        ]
        return (*writer.colon, *(values[0] if len(values) == 1 else (Union(*values),)))


def _no_member(number: int) -> Symbols:
    raise AssertionError(f"name {number} is never free")


class Members(Item):
    """The rest of an object after some members: `unseen` are the declared names that may still come."""

    __slots__ = ("object", "unseen", "state", "used", "seen", "is_first")

    def __init__(
        self, owner: StatefulObjectWriter, unseen: int, state: State, used: tuple, seen: SeenNames, is_first: bool
    ):
        self.object = owner
        self.unseen = unseen
        self.state = state
        self.used = used
        self.seen = seen
        self.is_first = is_first

    def release(self) -> None:
        """Let the object's writer forget this."""
        self.object.release()

    def without_names(self) -> Members:
        """Give this as if no free name had been written before."""
        owner = self.object
        if not owner.has_open_names:
            return self
        return owner.rest(self.unseen, self.state, self.used, owner.no_names, self.is_first)

    def expand(self) -> Alternatives:
        """Give each next member, declared or free, and the end, where no more is needed."""
        owner = self.object
        layout, depth = owner.writer.layout, owner.depth
        lead = layout.first(depth) if self.is_first else (_COMMA, *layout.next(depth))
        ways: list[Symbols] = [(*lead, *member) for member in self._members()]
        if owner.states.may_end(self.state, self.unseen):
            ways.append((_CLOSE_OBJECT,) if self.is_first else (*layout.closing_object(depth), _CLOSE_OBJECT))
        return ways

    def _members(self) -> list[Symbols]:
        owner, states = self.object, self.object.states
        state: State | None = self.state
        unseen = self.unseen
        declared: list[tuple[int, int, list[tuple[Formula, State]]]] = []
        for name in bits(self.unseen):
            rest = unseen & ~(1 << name)
            assert state is not None
            ways = owner.ways(states.keys[name], rest, state, self.used)
            if ways:
                declared.append((name, rest, ways))
            if not owner.is_any_order and name < states.num_ordered:  # this name is passed by
                unseen = rest
                state = states.without(state, name)
                if state is None:
                    break

        def member(i: int) -> Symbols:
            _, rest, ways = declared[i]
            return owner.value(ways, rest, self.used, self.seen)

        found: list[Symbols] = []
        if len(declared) == 1:
            found.append((Literal(owner.writer.spelling.dump(states.names[declared[0][0]])), *member(0)))
        elif declared:
            table = owner.table([states.names[name] for name, _, _ in declared], member)
            found.append((_QUOTE, Keys(table.root, 0, len(declared) - 1, None)))
        if state is None:
            return found
        for names in states.classes:
            free = _ClassFree(owner, names, unseen, state, self.used, self.seen)
            if free.is_live:
                found.append((_QUOTE, Keys(owner.all_names.root, 0, -1, free)))
        return found


class _ClassFree(FreeNames):
    """Free names that are held by the same languages."""

    __slots__ = ("_owner", "_unseen", "_used", "_seen", "_ways", "language", "seen", "is_open", "is_live")

    def __init__(
        self, owner: StatefulObjectWriter, found: FreeClass, unseen: int, state: State, used: tuple, seen: SeenNames
    ):
        self._owner = owner
        self._unseen = unseen
        self._seen = seen
        spelling = owner.writer.spelling
        self.language = spelling.written(found.language)
        self.is_open = found.language is STRING_REST
        place: KeyPlace | None = None
        if seen.children():
            place = owner.all_names.place(seen, owner.writer.spelling.string_rest, b"", True)
        self.seen = place
        now = owner.states.use(found, used)
        self._used: tuple = used if now is None else now
        self._ways = [] if now is None else owner.ways(found.key, unseen, state, now)
        self.is_live = bool(self._ways)

    def after(self, name: bytes) -> Symbols:
        return self._following(self._seen.add(self._owner.writer.spelling.canonical(name)))

    def otherwise(self) -> Symbols:
        return self._following(self._seen)

    def release(self) -> None:
        self._owner.release()

    def _following(self, seen: SeenNames) -> Symbols:
        return self._owner.value(self._ways, self._unseen, self._used, seen)
