"""Loops over characters: what keeps one alive, and which characters a language treats alike.

The vocabulary is walked along such a loop once; these questions tell where that walk answers for a language too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import NamedTuple

from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    Expression,
    alternatives,
    byte_class,
    concat,
    counts,
    join_classes,
    mask_of,
    members,
    repeat,
    spine,
    split,
    star,
    union,
    width,
)

__all__ = [
    "Step",
    "bytes_of",
    "character_step",
    "code_of",
    "cut_counts",
    "ends_within",
    "loop_of",
    "shortest",
    "without_bytes",
]

#: Bytes of the longest character, of UTF-8 or of an escape in JSON.
_CHARACTER_BYTES = 12

#: States of a loop that one language may end in; characters have a handful.
_LOOP_STATES = 32

#: Bytes of a literal that are read to see whether a loop contains it.
_LITERAL_BYTES = 1000


def loop_of(expression: Expression) -> Expression | None:
    """Give the loop `x*` that an expression such as `x*y` or `x{3,}y` begins with; None if it begins otherwise."""
    found = counts(split(expression)[0])
    return star(found[0]) if found is not None and found[2] is None and found[0].positive else None


def ends_within(expression: Expression, state: Expression) -> frozenset[Expression] | None:
    """Give the states of a loop in which the texts of a language end; None if one of them may leave the loop.

    `state` is the state of the loop where they begin. With None nothing is said: the question is answered by
    structure, and at once.
    """
    if not expression.positive:
        return None
    states = frozenset([state])
    for part in spine(expression):
        found = _part_ends(part, states)
        if found is None or len(found) > _LOOP_STATES:
            return None
        states = found
    return states


def _part_ends(part: Expression, states: frozenset[Expression]) -> frozenset[Expression] | None:
    repeated = counts(part)
    if all(_is_round(part if repeated is None else repeated[0], state) for state in states):
        return states
    if repeated is not None:
        body = repeated[0]
        reached = states
        while True:
            ends = _all_ends(body, reached)
            if ends is None or len(ends) > _LOOP_STATES:
                return None
            if ends <= reached:
                return reached
            reached |= ends
    ways = alternatives(part)
    if len(ways) > 1:
        found: frozenset[Expression] = frozenset()
        for way in ways:
            ends = _all_ends(way, states)
            if ends is None:
                return None
            found |= ends
        return found
    return _read_along(part, states)


def _is_round(body: Expression, state: Expression) -> bool:
    """Tell whether a loop over a set of characters has all of another set: what is kept for both is asked."""
    loop = counts(state)
    if loop is None or loop[1:] != (0, None):
        return False
    if body is loop[0]:
        return True
    if not (_is_code(body, _CHARACTER_BYTES) and _is_code(loop[0], _CHARACTER_BYTES)):
        return False
    relation = _relation(loop[0], body)
    return relation is not None and relation.has_all and not relation.exceptions


def _all_ends(expression: Expression, states: frozenset[Expression]) -> frozenset[Expression] | None:
    found: frozenset[Expression] = frozenset()
    for state in states:
        ends = ends_within(expression, state)
        if ends is None:
            return None
        found |= ends
    return found


def _read_along(part: Expression, states: frozenset[Expression]) -> frozenset[Expression] | None:
    """Follow a class or a literal byte by byte; at once where each byte leads back to the state."""
    found = set()
    inner = 0 if part is EPSILON else members(part)
    assert isinstance(inner, int), "a part that is no repetition and no union is made of bytes"
    for state in states:
        if not inner & ~_staying_bytes(state):
            found.add(state)
            continue
        pairs = [(part, state)]
        for at, place in pairs:
            if at is EPSILON:
                found.add(place)
                continue
            if len(pairs) > _LITERAL_BYTES:
                return None
            for target, onward in _pairs(at, place):
                if target is not EMPTY:
                    if onward is EMPTY:
                        return None
                    pairs.append((target, onward))
    return frozenset(found)


_staying: weakref.WeakKeyDictionary[Expression, int] = weakref.WeakKeyDictionary()


def _staying_bytes(state: Expression) -> int:
    """Give the class of bytes that lead from a state back to it."""
    found = _staying.get(state)
    if found is None:
        class_of, targets = state.transitions()
        found = mask_of(class_of, [number for number, target in enumerate(targets) if target is state])
        _staying[state] = found
    return found


def _pairs(left: Expression, right: Expression) -> list[tuple[Expression, Expression]]:
    """Give the derivatives of two expressions for each class of bytes that both treat alike."""
    left_class, lefts = left.transitions()
    right_class, rights = right.transitions()
    _, pairs = join_classes(left_class, len(lefts), right_class, len(rights))
    return [(lefts[a], rights[b]) for a, b in pairs]


def code_of(expression: Expression) -> Expression | None:
    """Give the characters that an expression begins with repetitions of, if some have several bytes; else None."""
    for way in alternatives(expression):
        repeated = counts(split(way)[0])
        if repeated is not None:
            body = repeated[0]
            if _is_code(body, _CHARACTER_BYTES) and any(
                target is not EMPTY and target is not EPSILON for target in body.transitions()[1]
            ):
                return body
    return None


_codes: weakref.WeakKeyDictionary[Expression, bool] = weakref.WeakKeyDictionary()


def _is_code(body: Expression, depth: int) -> bool:
    """Tell whether this is a set of short strings of which none begins another one."""
    if depth < _CHARACTER_BYTES:
        return _find_is_code(body, depth)
    found = _codes.get(body)
    if found is None:
        found = _codes[body] = _find_is_code(body, depth)
    return found


def _find_is_code(body: Expression, depth: int) -> bool:
    if body.nullable or depth == 0 or not body.positive or counts(body) is not None:
        return False
    return all(
        target is EMPTY or target is EPSILON or _is_code(target, depth - 1)
        for target in body.transitions()[1]
    )


class Step(NamedTuple):
    """What a language does with the characters of a set, all of them treated alike.

    Attributes
    ----------
    target : Expression
        The derivative after any of the characters but the exceptions.
    exceptions : int
        The class of those that are one byte and lead elsewhere.
    parting : int
        The class of first bytes of characters within which the language may go on outside of the set.
    """

    target: Expression
    exceptions: int
    parting: int


def character_step(expression: Expression, body: Expression) -> Step | None:
    """Derive by the characters of a set that `code_of` gave; None if those of several bytes aren't seen to be alike."""
    if not expression.positive:
        return None
    targets = []
    exceptions = parting = 0
    for way in alternatives(expression):
        step = _step_of_way(way, body)
        if step is None:
            return None
        targets.append(step.target)
        exceptions |= step.exceptions
        parting |= step.parting
    return Step(union(*targets), exceptions, parting)


def _step_of_way(way: Expression, body: Expression) -> Step | None:
    targets = []
    exceptions = parting = 0
    rest = way
    while True:  # along the spine as far as parts may be empty
        part, rest = split(rest)
        repeated = counts(part)
        inner, onward = part, rest
        if repeated is not None:
            inner, low, high = repeated
            again = repeat(inner, low - 1 if low else 0, None if high is None else high - 1)
            onward = concat(again, rest)
        if _is_code(inner, _CHARACTER_BYTES):
            relation = _relation(inner, body)
            step = None if relation is None else Step(EPSILON if relation.has_all else EMPTY, *relation[1:])
        elif counts(inner) or len(alternatives(inner)) > 1 or split(inner)[1] is not EPSILON:
            step = character_step(inner, body)
        elif inner is EPSILON:
            step = Step(EMPTY, 0, 0)
        else:
            step = _step_of_literal(inner, body)
        if step is None:
            return None
        targets.append(concat(step.target, onward))
        exceptions |= step.exceptions
        parting |= step.parting
        if not part.nullable or rest is EPSILON:
            return Step(union(*targets), exceptions, parting)


class _Relation(NamedTuple):
    has_all: bool  # all characters of several bytes are in the other set, or else none
    exceptions: int  # the class of those of one byte of which this isn't so
    parting: int  # the class of first bytes after which the other set goes on beside this one


_relations: weakref.WeakKeyDictionary[
    Expression, weakref.WeakKeyDictionary[Expression, tuple[_Relation | None]]
]
_relations = weakref.WeakKeyDictionary()


def _relation(other: Expression, body: Expression) -> _Relation | None:
    """Compare two sets of characters; None if some of several bytes are in the other set and some aren't."""
    known = _relations.setdefault(body, weakref.WeakKeyDictionary())
    found = known.get(other)
    if found is None:
        found = known[other] = (_find_relation(other, body),)
    return found[0]


def _find_relation(other: Expression, body: Expression) -> _Relation | None:
    inside = outside = parting = 0
    verdicts: set[bool] = set()
    body_class, onwards = body.transitions()
    other_class, targets = other.transitions()
    joined, pairs = join_classes(body_class, len(onwards), other_class, len(targets))
    for number, (a, b) in enumerate(pairs):
        onward, target = onwards[a], targets[b]
        if onward is EMPTY:
            continue
        mask = mask_of(joined, [number])
        if onward is EPSILON:
            if target is EPSILON:
                inside |= mask
            elif target is EMPTY:
                outside |= mask
            else:
                return None
        else:
            outcome = None if target is EPSILON else _explore(target, onward)
            if outcome is None:
                return None
            verdicts |= outcome[0]
            if outcome[1]:
                parting |= mask
    if len(verdicts) > 1:
        return None
    has_all = verdicts == {True}
    return _Relation(has_all, outside if has_all else inside, parting)


def _explore(other: Expression, body: Expression) -> tuple[set[bool], bool] | None:
    """Read the rest of a character in two sets: whether the second's are in the first, and whether it has others."""
    verdicts: set[bool] = set()
    is_parting = False
    pairs = [(other, body)]
    for at, rest in pairs:
        if at is EMPTY:
            verdicts.add(False)
            continue
        for target, onward in _pairs(at, rest):
            if onward is EMPTY:
                is_parting |= target is not EMPTY
            elif (onward is EPSILON) != (target is EPSILON) and target is not EMPTY:
                return None  # one set's character is the beginning of the other's
            elif onward is EPSILON:
                verdicts.add(target is EPSILON)
            elif (target, onward) not in pairs:
                pairs.append((target, onward))
    return verdicts, is_parting


def _step_of_literal(text: Expression, body: Expression) -> Step | None:
    """Derive a literal by the characters of a set: at most one of them, of one byte, may go on in it."""
    first = text.first_bytes()
    byte = first.bit_length() - 1
    onward = body.step(byte)
    if onward is EPSILON:
        return Step(EMPTY, first, 0)
    if onward is EMPTY:
        return Step(EMPTY, 0, 0)
    target = text.step(byte)
    while onward is not EMPTY and onward is not EPSILON and target is not EPSILON and target is not EMPTY:
        byte = target.first_bytes().bit_length() - 1
        onward, target = onward.step(byte), target.step(byte)
    return Step(EMPTY, 0, first) if onward is EMPTY else None


def without_bytes(body: Expression, mask: int) -> Expression:
    """Give a set of characters without some that are one byte; bit b of `mask` stands for byte b."""
    class_of, targets = body.transitions()
    masks = [0] * len(targets)
    for byte, number in enumerate(class_of):
        if not mask >> byte & 1:
            masks[number] |= 1 << byte
    return union(*[concat(byte_class(m), target) for m, target in zip(masks, targets, strict=True)])


#: Counts up to this one aren't cut: to find out what tokens can reach takes longer than walking along these.
_SMALL_COUNT = 16

#: Parts of a concatenation, from its beginning, whose counts are cut.
_CUT_PARTS = 8


def cut_counts(expression: Expression, longest: Callable[[Expression, int], int]) -> Expression:
    """Cut the counts that no token comes to the end of: then many states are one, as far as tokens can tell.

    `longest` gives the most times that a body can stand within a token; it may give more, but no more than its second
    argument, if it's cheaper so. The result and the expression agree on which
    texts of such a length are in them and which can be completed. An intersection or complement is left as it is:
    whether it can be completed depends on all its counts.
    """
    if not expression.positive:
        return expression
    ways = alternatives(expression)
    cut = [_cut_way(way, longest) for way in ways]
    if all(after is before for after, before in zip(cut, ways, strict=True)):
        return expression
    return union(*cut)


def _cut_way(way: Expression, longest: Callable[[Expression, int], int]) -> Expression:
    done: list[Expression] = []
    rest = way
    is_cut = False
    while rest is not EPSILON and len(done) < _CUT_PARTS:
        part, rest = split(rest)
        found = counts(part)
        if found is not None and max(found[1], found[2] or 0) > _SMALL_COUNT:
            body, low, high = found
            most = longest(body, -1 if low > 1 or high is None else high)
            if low > most + 1 or (high is not None and high >= most):
                part = repeat(body, min(low, most + 1), None if high is None or high >= most else high)
                is_cut = True
        done.append(part)
    return concat(*done, rest) if is_cut else way


def shortest(expression: Expression) -> int:
    """Give a number of bytes that no text of an expression without intersections and complements falls short of."""
    total = 0
    for part in spine(expression):
        repeated = counts(part)
        ways = alternatives(part)
        inner = members(part) if part is not EPSILON else 0
        if repeated is not None:
            total += repeated[1] * shortest(repeated[0])
        elif len(ways) > 1:
            total += min(map(shortest, ways))
        elif isinstance(inner, int) and part is not EPSILON:
            total += width(part)
    return max(total, 0 if expression.nullable else 1)


def bytes_of(expression: Expression) -> int:
    """Give the class of all bytes that occur in an expression without intersections and complements."""
    found = 0
    seen = set()
    stack = [expression]
    while stack:
        part = stack.pop()
        if part in seen:
            continue
        seen.add(part)
        inner = members(part)
        if isinstance(inner, int):
            found |= inner
        else:
            stack.extend(inner)
    return found
