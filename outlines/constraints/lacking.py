"""What an expression can do without some bytes: whether others complete the text wherever one may be in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    Expression,
    alternatives,
    counts,
    members,
    split,
    text_of,
)

__all__ = ["EXPLORED_STUCK", "Remaining"]

_Answer = TypeVar("_Answer")

#: Derivatives that are looked at for ways on by single bytes, where there are intersections or complements.
EXPLORED_STUCK = 256

_CONTINUATIONS = ((1 << 0xC0) - 1) ^ ((1 << 0x80) - 1)


class _Stuck(NamedTuple):
    is_free: bool  # what a token may begin is completed, the very beginning excepted
    is_free_after: bool  # where it comes after something else, so that the beginning counts too
    is_continuation: bool  # it reads only bytes that continue a character


class Remaining:
    """The bytes of a class, and what they can write by themselves. Answers are kept as long as the expressions live.

    Parameters
    ----------
    single
        The class: bytes that are tokens by themselves.
    has_whole_characters
        Whether no token ends within a character: then nothing is asked of the places between its bytes.
    """

    def __init__(self, single: int, has_whole_characters: bool = False):
        self._single = single
        self._has_whole_characters = has_whole_characters
        self._completes: WeakKeyDictionary[Expression, bool] = WeakKeyDictionary()
        self._stuck: WeakKeyDictionary[Expression, _Stuck] = WeakKeyDictionary()
        self._stuck_free: WeakKeyDictionary[Expression, bool] = WeakKeyDictionary()
        self._last_lacking: dict[tuple[bytes, int], int] = {}

    def completes(self, expression: Expression) -> bool:
        """Tell whether some text of an expression consists of bytes of the class alone.

        False may be caution where there are intersections or complements.
        """
        return _fold(expression, self._completes, self._find_completes, lambda node: node.nullable or not node.positive)

    def _find_completes(self, node: Expression) -> bool:
        known = self._completes
        if node.nullable or not node.positive:
            return node.nullable
        inside = members(node)
        if isinstance(inside, int):
            return self._writes(node, inside, self._single, 0)
        if len(alternatives(node)) > 1:
            return any(known[part] for part in inside)
        return node is not EMPTY and all(known[part] for part in inside)

    def _writes(self, node: Expression, mask: int, allowed: int, start: int) -> bool:
        """Tell whether a class has a byte that is allowed, or a literal only such bytes from a place on."""
        literal = text_of(node)
        if literal is None:
            return mask & allowed != 0
        text, offset = literal
        last = self._last_lacking.get((text, allowed))
        if last is None:
            lacking = (place for place in range(len(text) - 1, -1, -1) if not allowed >> text[place] & 1)
            last = self._last_lacking[text, allowed] = next(lacking, -1)
        return last < offset + start

    def is_stuck_free(self, expression: Expression) -> bool:
        """Tell whether bytes of the class complete the text wherever a token may have ended within it.

        False may be caution: of expressions with intersections or complements EXPLORED_STUCK derivatives are looked
        at, and of others the parts, without regard for what goes together.
        """
        found = self._stuck_free.get(expression)
        if found is None:
            if expression.positive:
                parts = _fold(expression, self._stuck, self._find_stuck, lambda node: False)
                found = self.completes(expression) and parts.is_free
            else:
                found = self._explore_stuck(expression)
            self._stuck_free[expression] = found
        return found

    def _find_stuck(self, node: Expression) -> _Stuck:
        known, single, whole = self._stuck, self._single, self._has_whole_characters
        inside = members(node)
        first, rest = split(node)
        body = counts(node)
        is_continuation = False
        if isinstance(inside, int):
            is_continuation = not inside & ~_CONTINUATIONS
            allowed = single | _CONTINUATIONS if whole else single
            is_free = text_of(node) is None or self._writes(node, inside, allowed, 1)
        elif rest is not EPSILON:
            is_free = known[first].is_free and known[rest].is_free_after
            return _Stuck(is_free, known[first].is_free_after and known[rest].is_free_after, False)
        elif body is not None:
            is_continuation = known[body[0]].is_continuation
            is_free = known[body[0]].is_free and (body[1] < 2 or self.completes(body[0]))
        else:
            is_free = all(known[part].is_free for part in inside)
        is_free_after = (whole and is_continuation) or (is_free and self.completes(node))
        return _Stuck(is_free, is_free_after, is_continuation)

    def _explore_stuck(self, expression: Expression) -> bool:
        order = [expression]
        sources: dict[Expression, list[Expression]] = {expression: []}  # from where single bytes lead to each
        within: set[Expression] = set()  # those that only go on within a character
        for node in order:
            class_of, targets = node.transitions()
            masks = [0] * len(targets)
            for byte, number in enumerate(class_of):
                masks[number] |= 1 << byte
            live = 0
            for target, mask in zip(targets, masks, strict=True):
                if target is EMPTY:
                    continue
                live |= mask
                if target not in sources:
                    sources[target] = []
                    order.append(target)
                if mask & self._single:
                    sources[target].append(node)
            if self._has_whole_characters and not live & ~_CONTINUATIONS and not node.nullable:
                within.add(node)
            if len(order) > EXPLORED_STUCK:
                return False
        done = {node for node in order if node.nullable}
        stack = list(done)
        while stack:
            for source in sources[stack.pop()]:
                if source not in done:
                    done.add(source)
                    stack.append(source)
        return all(node in done or node in within for node in order)

    def is_renewable(self, expression: Expression) -> bool:
        """Tell whether each byte of a text may be exchanged for one of the class without leaving the language.

        Then texts of that class alone have all the lengths that others have. False may be caution, as above.
        """
        order = [expression]
        known = {expression}
        for node in order:
            if expression.positive:
                inside = members(node)
                if isinstance(inside, int):
                    if not self._writes(node, inside, self._single, 0):
                        return False
                    continue
                following = inside
            else:
                class_of, targets = node.transitions()
                met = {class_of[byte] for byte in range(256) if self._single >> byte & 1}
                if any(target is not EMPTY and number not in met for number, target in enumerate(targets)):
                    return False
                following = [target for target in targets if target is not EMPTY]
                if len(order) > EXPLORED_STUCK:
                    return False
            for each in following:
                if each not in known:
                    known.add(each)
                    order.append(each)
        return True


def _fold(
    expression: Expression,
    known: WeakKeyDictionary[Expression, _Answer],
    find: Callable[[Expression], _Answer],
    is_leaf: Callable[[Expression], bool],
) -> _Answer:
    """Find what is asked of an expression from what is known of its parts, without recursion."""
    stack = [expression]
    while stack:
        node = stack[-1]
        if node not in known:
            inside = [] if is_leaf(node) else members(node)
            unknown = [part for part in inside if part not in known] if isinstance(inside, list) else []
            if unknown:
                stack += unknown
                continue
            known[node] = find(node)
        stack.pop()
    return known[expression]
