"""Random texts of an output type, without a model: walks through its automaton that are steered to an end."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any

from outlines.exceptions import LimitError
from outlines.insight.letters import END, allowed, byte_constraint

if TYPE_CHECKING:
    from outlines.engine import Constraint

__all__ = ["examples"]

#: Bytes after which a text is brought to an end by the shortest way.
USUAL_LENGTH = 80

#: States that are looked at for the shortest way to an end, and for any way if that is too far.
MAX_STATES_NEAR_BY = 2_000
MAX_SEARCHED_STATES = 60_000

#: How often a character of a kind is taken where it may stand, where letters may and where not: so that texts look like
#: some that people write.
_KINDS: tuple[tuple[int, int, str], ...] = (
    (30, 30, ascii_lowercase),
    (5, 5, ascii_uppercase),
    (8, 12, digits),
    (6, 1, " "),
    (8, 12, '"'),
    (1, 12, ",:{}[]()"),
    (1, 1, "!#$%&'*+-./;<=>?@^_`|~"),
)
_END_WEIGHT = 12
_KIND_OF_BYTE = {ord(letter): kind for kind, (_, _, letters) in enumerate(_KINDS) for letter in letters}

#: Bytes that are tried first on the way to an end, most preferred first, where letters may stand and where not: those
#: that close something before others.
_PREFERRED_IN_TEXT = b'"aA01 ,:.-([{)]}'
_PREFERRED_ELSEWHERE = b']}),:"0123456789.-aA([{ '


def _complete(preferred: bytes) -> tuple[int, ...]:
    return tuple(dict.fromkeys([END, *preferred, *range(256)]))


_ORDER_IN_TEXT, _ORDER_ELSEWHERE = _complete(_PREFERRED_IN_TEXT), _complete(_PREFERRED_ELSEWHERE)


def examples(output_type: Any, num_examples: int = 5, *, seed: int = 0) -> list[str]:
    """Give some random texts that a model could write for an output type.

    Parameters
    ----------
    output_type
        Whatever `Generator` takes, or a JSON Schema as a dict.
    num_examples
        How many, all different; fewer where there are no more.
    seed
        Another one gives other texts.

    Raises
    ------
    LimitError
        If no end is found near by.

    Examples
    --------
    >>> sorted(examples(bool))
    ['False', 'True']
    """
    constraint = byte_constraint(output_type)
    rng = random.Random(seed)
    found: dict[str, None] = {}
    ends: dict[int, bytes] = {}  # of each state, as a far one takes its time
    for _ in range(20 * num_examples):
        if len(found) == num_examples:
            break
        found[_walk(constraint, rng, ends)] = None
    return list(found)


def _walk(constraint: Constraint, rng: random.Random, ends: dict[int, bytes]) -> str:
    text = bytearray()
    state = constraint.start_state
    while True:
        ways = allowed(constraint, state)
        is_character = not any(0x80 <= byte < 0xC0 for byte in ways)
        if len(text) >= USUAL_LENGTH and is_character:
            if state not in ends:
                ends[state] = _end(constraint, state)
            text += ends[state]
            break
        byte = _choose(ways, rng)
        if byte == END:
            break
        text.append(byte)
        state = constraint.next_state(state, byte)
    return text.decode("utf-8")


def _choose(ways: list[int], rng: random.Random) -> int:
    by_kind: dict[int, list[int]] = {}
    for byte in ways:
        if byte in _KIND_OF_BYTE:
            by_kind.setdefault(_KIND_OF_BYTE[byte], []).append(byte)
    has_letters = 0 in by_kind
    weights = [_KINDS[kind][0] if has_letters else _KINDS[kind][1] for kind in by_kind]
    choices = list(by_kind.values())
    if END in ways:
        weights.append(_END_WEIGHT)
        choices.append([END])
    if not choices:  # control characters, or bytes of characters beyond ASCII
        return rng.choice(ways)
    return rng.choice(rng.choices(choices, weights)[0])


def _end(constraint: Constraint, state: int) -> bytes:
    """Give bytes that end a text: the fewest of the usual ones if an end is near, else a straight way."""
    found = _shortest(constraint, state)
    return _straight(constraint, state) if found is None else found


def _shortest(constraint: Constraint, start: int) -> bytes | None:
    """Search breadth first, by bytes of each kind where there are some; None if no end is near."""
    came_from: dict[int, tuple[int, int]] = {}
    queue, seen = deque([start]), {start}
    while queue and len(seen) <= MAX_STATES_NEAR_BY:
        state = queue.popleft()
        ways = allowed(constraint, state)
        if END in ways:
            path = bytearray()
            while state != start:
                state, byte = came_from[state]
                path.append(byte)
            return bytes(reversed(path))
        for byte in [byte for byte in ways if byte in _PREFERRED_IN_TEXT] or ways:
            following = constraint.next_state(state, byte)
            if following not in seen:
                seen.add(following)
                came_from[following] = state, byte
                queue.append(following)
    return None


def _straight(constraint: Constraint, start: int) -> bytes:
    """Search depth first: go straight on by the most preferred byte, and never twice to the same state."""
    path = bytearray()
    seen = {start}
    ways = [_in_order(allowed(constraint, start))]
    states = [start]
    while len(seen) <= MAX_SEARCHED_STATES:
        byte = next(ways[-1], None)
        if byte == END:
            return bytes(path)
        if byte is None:  # all ways from here have been tried; every state is live, so this isn't the start
            del ways[-1], states[-1], path[-1]
            continue
        following = constraint.next_state(states[-1], byte)
        if following not in seen:
            seen.add(following)
            path.append(byte)
            states.append(following)
            ways.append(_in_order(allowed(constraint, following)))
    raise LimitError(
        "MAX_SEARCHED_STATES",
        f"no end of the text was found within {MAX_SEARCHED_STATES} states: its shortest texts are very long",
    )


def _in_order(ways: list[int]) -> Iterator[int]:
    there = set(ways)
    order = _ORDER_IN_TEXT if ord("a") in there else _ORDER_ELSEWHERE
    return (byte for byte in order if byte in there)
