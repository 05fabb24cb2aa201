"""What must be remembered of the members written so far, where counts, obligations or exclusions depend on it.

A case and all its exclusions are followed side by side. Of each the state keeps how many members met each obligation,
or None once the object can't be in it any more; and the number of members, as far as it matters. A member's value is
written in one of several *options*: a formula that also says which of the tests of the cases it meets. A state is
live if the names still to come can lead to one where the object may end; their order doesn't matter to that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any, TypeAlias

from outlines.constraints import characters
from outlines.constraints.expression import (
    EMPTY,
    Expression,
    complement,
    concat,
    intersection,
    is_empty,
    literal,
    spine,
    star,
    union,
)
from outlines.constraints.json_schema.objects import NEVER, Formula, ObjectCase
from outlines.constraints.json_schema.text import ANY_TEXT, QUOTE, STRING_REST, dump
from outlines.exceptions import LimitError

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["Ask", "FreeClass", "Key", "ObjectStates", "State"]

#: The number of members, and the counts of each case; None for a case that the object can't be in.
State: TypeAlias = "tuple"

#: Tells whether a formula has a value.
Ask: TypeAlias = "Callable[[Formula], bool]"

#: Names that are told apart by the languages that hold them.
MAX_CLASSES = 256

#: Ways in which the value of one member may meet the tests that it's put to.
MAX_WAYS = 256

#: States of one object that are looked at.
MAX_OBJECT_STATES = 50_000

#: A finite language with more names than this is taken for an infinite one.
_MANY_NAMES = 2000

#: Bytes of the names of such a language.
_LONGEST_NAME = 2000


@dataclass(slots=True, eq=False)
class Key:
    """What a member with some name must be, and the tests that its value is put to.

    `universal` has for each case the number of the test that its member must meet, None where it always does, -1
    where it never does; `duties` the obligations that count it: the case, which one, the test.
    """

    formula: Formula
    tests: list[Formula]
    universal: list[int | None]
    duties: list[tuple[int, int, int | None]]


@dataclass(slots=True, eq=False)
class FreeClass:
    """Names that aren't declared and that the same languages hold; `size` is None where they have no end."""

    key: Key
    language: Expression
    size: int | None


class ObjectStates:
    """The states of the objects of a case."""

    def __init__(self, document: Document, case: ObjectCase):
        self._document = document
        self.case = case
        self._cases: list[ObjectCase] = []
        self._parents: list[int] = []
        waiting = [(case, -1)]
        while waiting:
            part, parent = waiting.pop(0)
            number = len(self._cases)
            self._cases.append(part)
            self._parents.append(parent)
            waiting += [(exclusion, number) for exclusion in part.exclusions]
        # Names that some schema describes have an order; others come after them, in any.
        names = dict.fromkeys(
            name for part in self._cases for name, formula in part.names if part is case or _says_something(formula)
        )
        self.num_ordered = len(names)
        for part in self._cases:
            names.update(dict.fromkeys(name for name, _ in part.all_names()))
            for language in (*(u for u, _ in part.universals), *(duty.language for duty in part.obligations)):
                names.update(dict.fromkeys(sorted(language.words | language.minus)))
        self.names = list(names)
        self._numbers = {name: i for i, name in enumerate(self.names)}
        self.keys = [self._key(methodcaller("at", name), name) for name in self.names]
        self._asking = [[t for t, part in enumerate(self._cases) if name in part.required] for name in self.names]
        self.is_required = [name in case.required for name in self.names]
        bounds = [part.low for part in self._cases] + [p.high + 1 for p in self._cases if p.high is not None]
        self._most = max(bounds)
        # Of some names it only matters how many come; of the others those that tell most about the cases come first
        # where it's only asked whether there's a way.
        inert = [i for i in range(len(self.names)) if self._is_inert(i)]
        telling = set(range(len(self.names))).difference(inert)
        self._telling = sorted(telling, key=lambda i: (-len(self._asking[i]) - len(self.keys[i].tests), i))
        self._inert_required = [i for i in inert if self.is_required[i]]
        self._inert_optional = [i for i in inert if not self.is_required[i]]
        self._telling_set, self._wanted_set = _bit_set(telling), _bit_set(self._inert_required)
        self._required_set = _bit_set(i for i, is_required in enumerate(self.is_required) if is_required)
        self._asking_set = _bit_set(i for i, asking in enumerate(self._asking) if asking)
        self._spare_set: int | None = None
        self.classes = self._find_classes()
        self.all_unseen = (1 << len(self.names)) - 1
        self.no_use = tuple(0 for found in self.classes if found.size is not None)
        self.start: State = (0, *(tuple(0 for _ in part.obligations) for part in self._cases))
        self._options: dict[tuple[int, tuple[int, ...]], list[tuple[Formula, int]]] = {}
        self._known: dict[tuple, bool] = {}

    # Names

    def _key(self, formula_in: Callable[[ObjectCase], Formula], name: str | None, held: frozenset = frozenset()) -> Key:
        formula = formula_in(self.case)
        tests: list[Formula] = []

        def test(part: Formula) -> int | None:
            if part <= formula:
                return None
            if part >= NEVER or self._document.negate(part) <= formula:
                return -1
            if part not in tests:
                tests.append(part)
            return tests.index(part)

        universal = [None, *(test(formula_in(part)) for part in self._cases[1:])]
        duties = []
        for t, part in enumerate(self._cases):
            for j, duty in enumerate(part.obligations):
                is_held = duty.language.holds_class(held) if name is None else duty.language.holds(name)
                if is_held and (number := test(duty.formula)) != -1:
                    duties.append((t, j, number))
        return Key(formula, tests, universal, duties)

    def _is_inert(self, name: int) -> bool:
        """Tell whether nothing but the number of members depends on whether a name comes."""
        key = self.keys[name]
        is_tested = key.tests or key.duties or any(number is not None for number in key.universal)
        return not is_tested and all(t == 0 for t in self._asking[name])

    def _find_classes(self) -> list[FreeClass]:
        languages = dict.fromkeys(
            expression
            for part in self._cases
            for language in (*(u for u, _ in part.universals), *(duty.language for duty in part.obligations))
            for expression in sorted(language.parts, key=attrgetter("serial"))
        )
        classes: list[tuple[Expression, frozenset]] = []
        for language in languages:
            split: list[tuple[Expression, frozenset]] = []
            remainder = language
            for words, held in classes:
                both = intersection(words, language)
                if is_empty(both):
                    split.append((words, held))
                    continue
                rest = intersection(words, complement(language))
                if is_empty(rest):
                    split.append((words, held | {language}))
                else:
                    split += [(both, held | {language}), (rest, held)]
                remainder = intersection(remainder, complement(words))
            if not is_empty(remainder):
                split.append((remainder, frozenset((language,))))
            classes = split
            if len(classes) > MAX_CLASSES:
                raise LimitError("MAX_CLASSES", f"patterns tell names apart in more than {MAX_CLASSES} ways")
        others = intersection(STRING_REST, *map(complement, languages)) if languages else STRING_REST
        classes.append((others, frozenset()))
        found = []
        for words, held in classes:

            def formula_in(part: ObjectCase, held: frozenset = held) -> Formula:
                return part.rest.union(*(f for language, f in part.universals if language.holds_class(held)))

            key = self._key(formula_in, None, held)
            if key.formula >= NEVER or is_empty(words):
                continue
            listed = None if is_endless(words) else list_names(words)
            size = None if listed is None else sum(json.loads(name) not in self._numbers for name in listed)
            if size != 0:
                found.append(FreeClass(key, words, size))
        return found

    # Steps

    def options(self, state: State, key: Key) -> list[tuple[Formula, int]]:
        """Give the ways to write a member's value: a formula, and the tests that it meets as a set of bits."""
        if not key.tests:
            return [(key.formula, 0)]
        relevant = {
            number
            for number, counts in zip(key.universal, state[1:], strict=True)
            if number is not None and number >= 0 and counts is not None
        } | {number for t, _, number in key.duties if number is not None and state[t + 1] is not None}
        chosen = tuple(sorted(relevant))
        found = self._options.get((id(key), chosen))
        if found is None:
            found = [(key.formula, 0)]
            negate = self._document.negate
            for number in chosen:
                test = key.tests[number]
                found = [
                    way
                    for formula, met in found
                    for way in ((formula | test, met | 1 << number), (formula | negate(test), met))
                    if not self._document.algebra.is_never(way[0])
                ]
                if len(found) > MAX_WAYS:
                    raise LimitError(
                        "MAX_WAYS", f"a member's value meets the tests that it's put to in more than {MAX_WAYS} ways"
                    )
            self._options[id(key), chosen] = found
        return found

    def after(self, state: State, key: Key, met: int) -> State | None:
        """Give the state after a member; None if no object of the case has it."""
        total = min(state[0] + 1, self._most)
        result: list = [total]
        for t, counts in enumerate(state[1:]):
            part = self._cases[t]
            number = key.universal[t]
            holds = number is None or (number >= 0 and met >> number & 1)
            alive = counts is not None and holds and not (part.high is not None and total > part.high)
            result.append(counts if alive else None)
        for t, j, number in key.duties:
            counts = result[t + 1]
            if counts is None or not (number is None or met >> number & 1):
                continue
            duty = self._cases[t].obligations[j]
            if duty.high is not None and counts[j] >= duty.high:
                result[t + 1] = None
            elif duty.high is not None or counts[j] < duty.low:
                result[t + 1] = (*counts[:j], counts[j] + 1, *counts[j + 1 :])
        return self._settled(result)

    def _with_more(self, state: State, number: int) -> State | None:
        """Give the state after some members of which only their number matters; None if there are too many."""
        if not number:
            return state
        total = min(state[0] + number, self._most)
        is_over = (part.high is not None and total > part.high for part in self._cases)
        return self._settled([total, *(None if o else counts for o, counts in zip(is_over, state[1:], strict=True))])

    def without(self, state: State, name: int) -> State | None:
        """Give the state once a name won't come; None if the case requires it."""
        asking = self._asking[name]
        if not asking:
            return state
        result = list(state)
        for t in asking:
            result[t + 1] = None
        return self._settled(result)

    def _settled(self, result: list) -> State | None:
        if result[1] is None:
            return None
        for t, parent in enumerate(self._parents):
            if parent > 0 and result[parent + 1] is None:
                result[t + 1] = None  # an exclusion of a case that is out of the question
        return tuple(result)

    def may_end(self, state: State, unseen: int) -> bool:
        """Tell whether the object may end without the names that weren't written."""
        if unseen & self._required_set:
            return False
        settled: State | None = state
        for name in bits(unseen & self._asking_set):
            settled = self.without(settled, name)  # type: ignore[arg-type]
            if settled is None:
                return False
        return self._accepts(settled)  # type: ignore[arg-type]

    def _accepts(self, state: State) -> bool:
        total = state[0]
        accepting = [
            counts is not None
            and total >= part.low
            and all(counts[j] >= duty.low for j, duty in enumerate(part.obligations))
            for part, counts in zip(self._cases, state[1:], strict=True)
        ]
        for t in range(len(accepting) - 1, 0, -1):  # children come after their parents
            if accepting[t]:
                accepting[self._parents[t]] = False
        return accepting[0]

    # Liveness

    def is_live(self, unseen: int, state: State, used: tuple[int, ...], ask: Ask, known: dict | None = None) -> bool:
        """Tell whether some of the unseen names, and free ones, lead to where an object may end that has a start.

        `known` is what is known where `ask` isn't certain yet.
        """
        if known is not None:
            return self._is_live(unseen, state, used, self._spare(ask), ask, known)
        if self._spare_set is None:
            self._spare_set = self._spare(ask)
        if len(self._known) > MAX_OBJECT_STATES:
            self._known.clear()
        try:
            return self._is_live(unseen, state, used, self._spare_set, ask, self._known)
        except LimitError:
            self._known.clear()  # answers that were only supposed are among them
            raise

    def _spare(self, ask: Ask) -> int:
        """Give the inert optional names that have a value, where their number matters."""
        return _bit_set(i for i in self._inert_optional if ask(self.keys[i].formula)) if self._most else 0

    def _is_live(
        self, unseen: int, state: State, used: tuple[int, ...], spare_set: int, ask: Ask, known: dict
    ) -> bool:
        counted = self._with_more(state, (unseen & self._wanted_set).bit_count())
        if counted is None:
            return False
        spare = min((unseen & spare_set).bit_count(), self._most)
        start = (unseen & self._telling_set, counted, used, spare)
        answer = known.get(start)
        if answer is not None:
            return answer
        stack: list[tuple[Any, Iterator[Any]]] = [(start, self._following(*start, ask=ask))]
        num_known = len(known)
        while stack:
            key, following = stack[-1]
            for child in following:
                if child == _END:
                    known[key] = True
                    break
                answer = known.get(child)
                if answer:
                    known[key] = True
                    break
                if answer is None:
                    known[child] = False  # until something is found; children are later names, so there's no loop
                    stack.append((child, self._following(*child, ask=ask)))  # type: ignore[misc]
                    if len(known) - num_known > MAX_OBJECT_STATES:
                        raise _too_many_states()
                    break
            else:
                known.setdefault(key, False)
                stack.pop()
                continue
            if known.get(key):
                stack.pop()
                while stack:  # what led to it is live too
                    known[stack.pop()[0]] = True
        return known[start]

    def _following(
        self, unseen: int, state: State, used: tuple[int, ...], spare: int, ask: Ask
    ) -> Iterator[tuple]:
        if not unseen:
            if self._ends_with_free(state, used, spare, ask):
                yield _END
            return
        if self.may_end(state, unseen):
            yield _END
            return
        name = next(name for name in self._telling if unseen >> name & 1)
        rest = unseen & ~(1 << name)
        key = self.keys[name]
        left = self.without(state, name)
        for formula, met in self.options(state, key):
            after = self.after(state, key, met)
            if after is not None and (after != left) and ask(formula):
                yield (rest, after, used, spare)
        if left is not None:
            yield (rest, left, used, spare)

    def _ends_with_free(self, state: State, used: tuple[int, ...], spare: int, ask: Ask) -> bool:
        seen = {(state, used)}
        waiting = [(state, used)]
        while waiting:
            state, used = waiting.pop()
            more = (self._with_more(state, number) for number in range(spare + 1))
            if any(after is not None and self._accepts(after) for after in more):
                return True
            for found in self.classes:
                now = self.use(found, used)
                if now is None:
                    continue
                for formula, met in self.options(state, found.key):
                    after = self.after(state, found.key, met)
                    if after is None:
                        continue
                    if after == state:
                        continue
                    if (after, now) not in seen and ask(formula):
                        seen.add((after, now))
                        waiting.append((after, now))
            if len(seen) > MAX_OBJECT_STATES:
                raise _too_many_states()
        return False

    def use(self, found: FreeClass, used: tuple[int, ...]) -> tuple[int, ...] | None:
        """Count one more name of a class; None if there's none left."""
        if found.size is None:
            return used
        place = [c for c in self.classes if c.size is not None].index(found)
        if used[place] >= found.size:
            return None
        return (*used[:place], used[place] + 1, *used[place + 1 :])

    def has_value(self, ask: Ask) -> bool:
        """Tell whether the case has an object, by what is known of the formulas so far."""
        if not all(ask(self.keys[i].formula) for i in self._inert_required):
            return False
        return self._is_live(self.all_unseen, self.start, self.no_use, self._spare(ask), ask, {})


_END: tuple = ("end",)


def _says_something(formula: Formula) -> bool:
    return bool(formula) and not formula >= NEVER


def _bit_set(places: Iterable[int]) -> int:
    """Give the number in which the bits at some places are set."""
    digits = bytearray()
    for place in places:
        if place >> 3 >= len(digits):
            digits.extend(bytes((place >> 3) + 1 - len(digits)))
        digits[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(digits, "little")


def _too_many_states() -> LimitError:
    return LimitError("MAX_OBJECT_STATES", f"an object's members are counted in more than {MAX_OBJECT_STATES} states; "
                      "make its conditions simpler")  # fmt: skip


def bits(mask: int) -> Iterator[int]:
    """Give the places of the bits that are set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@lru_cache(maxsize=1)
def _canonical() -> Expression:
    """Give the strings in which each character is written in one way."""
    plain = characters.utf8(((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF)))
    escapes = [literal(dump(chr(code))[1:-1]) for code in (*range(0x20), 0x22, 0x5C)]
    return concat(star(union(plain, *escapes)), QUOTE)


def is_endless(language: Expression) -> bool:
    """Tell at a glance whether a language has any number of names: some loop on characters stands in it."""
    return language is STRING_REST or (language.positive and any(part is ANY_TEXT for part in spine(language)))


@lru_cache(maxsize=1024)
def list_names(language: Expression) -> tuple[bytes, ...] | None:
    """List the strings of a language, each in one way and with its quotes; None where they have no end, or are many."""
    found: list[bytes] = []
    prefixes: list[tuple[bytes, Expression, Expression]] = [(b'"', language, _canonical())]
    for _ in range(_LONGEST_NAME):
        longer = []
        for text, rest, form in prefixes:
            if rest.nullable and form.nullable:
                found.append(text)
            rest_class, rests = rest.transitions()
            form_class, forms = form.transitions()
            live = [target is not EMPTY and (target.positive or not is_empty(target)) for target in rests]
            for byte in range(256):
                following = forms[form_class[byte]]
                if following is not EMPTY and live[rest_class[byte]]:
                    longer.append((text + bytes((byte,)), rests[rest_class[byte]], following))
            if len(longer) + len(found) > _MANY_NAMES:  # nearly all of them are beginnings of different names
                return None
        if not longer:
            return tuple(found)
        prefixes = longer
    return None
