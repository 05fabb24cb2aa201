"""Random texts of an output type, without a model: walks through its automaton that are steered to an end."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any

from outlines.exceptions import LimitError
from outlines.insight.letters import END, allowed, byte_constraint

if TYPE_CHECKING:
    from outlines.engine import Constraint

__all__ = ["examples"]

#: Bytes after which a text is brought to an end by the shortest way.
USUAL_LENGTH = 80

#: States that are looked at for the shortest way to an end.
MAX_SEARCHED_STATES = 20_000

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

#: Bytes that the shortest way is first looked for with; the rest only if they don't lead to an end.
_PALETTE = frozenset(b'aA01 ",:{}[]().-')


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
    for _ in range(20 * num_examples):
        if len(found) == num_examples:
            break
        found[_walk(constraint, rng)] = None
    return list(found)


def _walk(constraint: Constraint, rng: random.Random) -> str:
    text = bytearray()
    state = constraint.start_state
    while True:
        ways = allowed(constraint, state)
        is_character = not any(0x80 <= byte < 0xC0 for byte in ways)
        if len(text) >= USUAL_LENGTH and is_character:
            text += _shortest_end(constraint, state)
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


def _shortest_end(constraint: Constraint, state: int) -> bytes:
    """Give the fewest bytes that end a text."""
    found = _search(constraint, state, lambda ways: [byte for byte in ways if byte in _PALETTE] or ways)
    if found is None:
        found = _search(constraint, state, lambda ways: ways)
    assert found is not None  # every state is live
    return found


def _search(constraint: Constraint, start: int, choose: Callable[[list[int]], list[int]]) -> bytes | None:
    """Go through the states breadth first; None if the chosen bytes lead to no end."""
    came_from: dict[int, tuple[int, int]] = {}
    queue, seen = deque([start]), {start}
    while queue:
        state = queue.popleft()
        ways = allowed(constraint, state)
        if END in ways:
            path = bytearray()
            while state != start:
                state, byte = came_from[state]
                path.append(byte)
            return bytes(reversed(path))
        for byte in choose(ways):
            following = constraint.next_state(state, byte)
            if following not in seen:
                seen.add(following)
                came_from[following] = state, byte
                queue.append(following)
        if len(seen) > MAX_SEARCHED_STATES:
            raise LimitError(
                "MAX_SEARCHED_STATES",
                f"no end of the text was found within {MAX_SEARCHED_STATES} states: its shortest texts are very long",
            )
    return None
