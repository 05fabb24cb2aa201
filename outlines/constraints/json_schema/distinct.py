"""Whether elements can all differ, or two be equal: the values of a formula where they are few, and who takes which."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.membership import contains, decimal, identity
from outlines.constraints.json_schema.object_states import Ask, FreeClass, Key, State, is_endless, list_names
from outlines.constraints.json_schema.objects import Formula, ObjectCase
from outlines.constraints.json_schema.text import STRING_REST
from outlines.constraints.json_schema.value_sets import (
    Case,
    NamedCase,
    NumberCase,
    StringCase,
    WordCase,
    language_of,
)

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["MANY_VALUES", "FiniteValues", "Values", "can_differ"]

#: A formula with more values than this is taken for one with any number.
MANY_VALUES = 300

#: Values by their identity; None where they are many.
Values: TypeAlias = "dict[Any, Any] | None"


def can_differ(choices: Sequence[Iterable[Any] | None], taken: Iterable[Any]) -> bool:
    """Tell whether each of some places can have a value of its own, none of those taken; None is a choice of many.

    The others are matched with their values one by one (augmenting paths).
    """
    used = set(taken)
    finite = [[key for key in choice if key not in used] for choice in choices if choice is not None]
    owner: dict[Any, int] = {}
    for number in range(len(finite)):
        tried: set[Any] = set()
        path: list[tuple[int, Iterator[Any]]] = [(number, iter(finite[number]))]
        chosen: list[Any] = []
        while path:
            value = next((v for v in path[-1][1] if v not in tried), None)
            if value is None:
                path.pop()
                if chosen:
                    chosen.pop()
                continue
            tried.add(value)
            chosen.append(value)
            if value in owner:
                path.append((owner[value], iter(finite[owner[value]])))
                continue
            for (who, _), what in zip(path, chosen, strict=True):
                owner[what] = who
            break
        if not path:
            return False
    return True


class FiniteValues:
    """Lists the values of formulas, by what is known of which formulas have any.

    Parameters
    ----------
    document
        Where the formulas are of.
    ask
        Tells whether a formula has a value.
    limit
        More values than this are many.
    """

    def __init__(self, document: Document, ask: Ask, limit: int = MANY_VALUES):
        self._document = document
        self._ask = ask
        self.limit = limit
        self._known: dict[Formula, Values] = {}
        self._open: set[Formula] = set()  # formulas whose values are being listed
        self._lives: dict[Any, dict] = {}  # what is known of the states of a case

    def of(self, formula: Formula) -> Values:
        """Give the values of a formula."""
        if formula in self._known:
            return self._known[formula]
        if formula in self._open:
            return None  # within a larger value of its own: if it has any, it has any number
        self._open.add(formula)
        try:
            found = self._of_cases(self._document.value_set(formula))
        finally:
            self._open.discard(formula)
        self._known[formula] = found
        return found

    def is_endless(self, formula: Formula) -> bool:
        """Tell at a glance that a formula has any number of values."""
        return any(map(_is_endless, self._document.value_set(formula)))

    def _of_cases(self, cases: Iterable[Case]) -> Values:
        found: dict[Any, Any] = {}
        for case in sorted(cases, key=lambda case: isinstance(case, ArrayCase | ObjectCase)):
            members = self._members(case)
            if members is None:
                return None
            for value in members:
                found[identity(value)] = value
                if len(found) > self.limit:
                    return None
        return found

    def _members(self, case: Case) -> Iterable[Any] | None:
        if isinstance(case, WordCase):
            return (None if case.text == b"null" else case.text == b"true",)
        if isinstance(case, NamedCase):
            satisfies = self._document.algebra.satisfies
            return (case.value,) if all(contains(other, case.value, satisfies) for other in case.within) else ()
        if isinstance(case, NumberCase):
            members = () if case.is_empty() else case.members()
            return None if members is None else map(decimal, members)
        if isinstance(case, StringCase):
            if case.high is None and case.pattern is STRING_REST:
                return None
            names = list_names(language_of(case)) if case.high is None or case.high <= self.limit else None
            return None if names is None else map(json.loads, names)
        try:
            return self._listed(self._arrays(case) if isinstance(case, ArrayCase) else self._objects(case))
        except _ManyError:
            return None

    def _listed(self, found: Iterator[Any]) -> list[Any]:
        listed: list[Any] = []
        for value in found:
            listed.append(value)
            if len(listed) > self.limit:
                raise _ManyError
        return listed

    def _choices(self, formula: Formula) -> list[Any]:
        """Give the values of a part that may come."""
        found = self.of(formula)
        if found is None:
            raise _ManyError
        return list(found.values())

    def _arrays(self, case: ArrayCase) -> Iterator[list[Any]]:
        """Give the arrays of a case; `_ManyError` where some part of one has many values, or there's no longest one."""
        states = self._document.array_states(case)
        known = self._lives.setdefault(case, {})
        satisfies = self._document.algebra.satisfies
        stack: list[tuple[list[Any], int, int | None, tuple]] = [([], case.low, case.high, states.start)]
        while stack:
            array, low, high, counts = stack.pop()
            if not states.is_live(len(array), low, high, counts, self._ask, known):
                continue
            if high is None and len(array) > max(self.limit, states.last):
                raise _ManyError
            is_one = low == 0 and states.accepts(counts)
            if is_one and (case.is_unique is None or contains(case, array, satisfies)):
                yield array
            if high == 0:
                continue
            below = max(low - 1, 0), None if high is None else high - 1
            for formula, of in states.options(len(array)):
                after = states.after(counts, of)
                if after is None or not self._ask(formula):
                    continue
                if states.is_live(len(array) + 1, *below, after, self._ask, known):
                    written = {identity(part) for part in array} if case.is_unique else ()
                    stack += [
                        ([*array, part], *below, after)
                        for part in self._choices(formula)
                        if not (written and identity(part) in written)
                    ]

    def _objects(self, case: ObjectCase) -> Iterator[dict[str, Any]]:
        """Give the objects of a case; `_ManyError` where some member has many values, or there are many names."""
        states = self._document.object_states(case)
        known = self._lives.setdefault(case, {})
        if not states.has_value(self._ask):
            return
        names: list[tuple[str, Key, FreeClass | None]] = [
            (name, key, None) for name, key in zip(states.names, states.keys, strict=True)
        ]
        for found in states.classes:
            if found.size is not None:
                listed = map(json.loads, list_names(found.language) or ())
                names += [(name, found.key, found) for name in listed if name not in states.names]
                continue
            for formula, met in states.options(states.start, found.key):
                after = states.after(states.start, found.key, met)
                if after is None or not self._ask(formula):
                    continue
                if states.is_live(states.all_unseen, after, states.no_use, self._ask, known):
                    raise _ManyError  # any number of names
        stack: list[tuple[int, dict[str, Any], State, tuple[int, ...]]] = [(0, {}, states.start, states.no_use)]
        while stack:
            place, members, state, used = stack.pop()
            if place == len(names):
                if states.may_end(state, 0):
                    yield members
                continue
            name, key, of = names[place]
            rest = states.all_unseen >> place + 1 << place + 1
            now = used if of is None else states.use(of, used)
            assert now is not None
            left = states.without(state, place) if of is None else state
            if left is not None and states.is_live(rest, left, now, self._ask, known):
                stack.append((place + 1, members, left, now))
            for formula, met in states.options(state, key):
                after = states.after(state, key, met)
                if after is not None and self._ask(formula) and states.is_live(rest, after, now, self._ask, known):
                    stack += [(place + 1, {**members, name: part}, after, now) for part in self._choices(formula)]


def _is_endless(case: Case) -> bool:
    if isinstance(case, NumberCase):
        is_bounded = case.low is not None and case.high is not None
        return not case.is_empty() and not (is_bounded and (case.step is not None or case.low == case.high))
    if isinstance(case, StringCase):
        return case.high is None and is_endless(case.pattern)
    if isinstance(case, ArrayCase):
        return case.is_plain and not case.low and case.high is None and not case.prefix and not case.rest
    return isinstance(case, ObjectCase) and case.is_plain and not case.required and not case.rest


class _ManyError(Exception):
    """More values than are listed."""
