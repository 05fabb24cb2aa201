"""The automaton of a small output type as a drawing, for Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlines.exceptions import LimitError
from outlines.insight.letters import END, PRINTABLE, allowed, byte_constraint

if TYPE_CHECKING:
    from outlines.engine import Constraint

__all__ = ["Drawing", "draw"]

#: States that a drawing is made of, before equal ones are merged.
MAX_DRAWN_STATES = 200

#: What stands on an arrow: a set of characters and texts, as they are written in the drawing.
_Label = frozenset[str]

#: Where from, where to, by what.
_Arrow = tuple[int, int, _Label]

_BEYOND_ASCII = "beyond ASCII"


@dataclass(frozen=True)
class Drawing:
    """A drawing of an automaton. Notebooks show it where Graphviz's program `dot` is installed.

    Attributes
    ----------
    dot : str
        The drawing in Graphviz's language: states are circles, double where the text may end.
    num_states : int
    """

    dot: str = field(repr=False)
    num_states: int

    def svg(self) -> str:
        """Give the drawing as SVG.

        Raises
        ------
        FileNotFoundError
            If Graphviz isn't installed.
        """
        if shutil.which("dot") is None:
            raise FileNotFoundError(
                "Graphviz's program `dot` isn't installed, or not in PATH: install graphviz, or put `dot`, the "
                "drawing's text, into any viewer of Graphviz files"
            )
        return subprocess.run(["dot", "-Tsvg"], input=self.dot, capture_output=True, text=True, check=True).stdout

    def save(self, path: str | Path) -> None:
        """Write the drawing to a file: as SVG if its name ends so, else in Graphviz's language."""
        is_svg = Path(path).suffix == ".svg"
        Path(path).write_text(self.svg() if is_svg else self.dot, encoding="utf-8")

    def _repr_svg_(self) -> str | None:
        return self.svg() if shutil.which("dot") else None


def draw(output_type: Any) -> Drawing:
    """Draw the smallest automaton of an output type whose texts it accepts character by character.

    Parameters
    ----------
    output_type
        Whatever `Generator` takes, or a JSON Schema as a dict; a small one, that doesn't contain itself.

    Raises
    ------
    LimitError
        If it has too many states to be looked at.

    Examples
    --------
    >>> from typing import Literal
    >>> print(draw(Literal["yes", "no"]).dot)
    digraph {
        rankdir=LR
        node [shape=circle]
        start [shape=point]
        start -> 0
        1 [shape=doublecircle]
        0 -> 1 [label="no"]
        0 -> 1 [label="yes"]
    }
    """
    constraint = byte_constraint(output_type)
    accepting, moves = _explore(constraint)
    arrows, ends, start = _minimised(accepting, moves)
    arrows = _with_runs_joined(arrows, ends, start)
    numbers = {start: 0}
    for before, after, _ in arrows:
        numbers.setdefault(before, len(numbers))
        numbers.setdefault(after, len(numbers))
    lines = ["rankdir=LR", "node [shape=circle]", "start [shape=point]", "start -> 0"]
    lines += [f"{number} [shape=doublecircle]" for state, number in numbers.items() if state in ends]
    lines += [
        f'{numbers[before]} -> {numbers[after]} [label="{_label_text(label)}"]'
        for before, after, label in arrows
    ]
    body = "".join(f"    {line}\n" for line in lines)
    return Drawing(f"digraph {{\n{body}}}", len(numbers))


def _explore(constraint: Constraint) -> tuple[list[bool], list[dict[str, int]]]:
    """Give for each state whether the text may end, and where each character leads; the first one is the start."""
    numbers = {constraint.start_state: 0}
    order = [constraint.start_state]
    accepting: list[bool] = []
    moves: list[dict[str, int]] = []
    for state in order:  # grows
        following: dict[str, int] = {}
        for character, after in _characters(constraint, state):
            if after not in numbers:
                numbers[after] = len(order)
                order.append(after)
            following[character] = numbers[after]
        accepting.append(constraint.is_accepting(state))
        moves.append(following)
        if len(order) > MAX_DRAWN_STATES:
            raise LimitError(
                "MAX_DRAWN_STATES",
                f"the automaton has more than {MAX_DRAWN_STATES} states, which nobody wants to look at; draw a part",
            )
    return accepting, moves


def _characters(constraint: Constraint, state: int) -> Iterable[tuple[str, int]]:
    """Give the characters that may come next, each with its state. Those beyond ASCII are one, unless few."""
    partial: dict[tuple[int, int], bytes | None] = {}  # (state, bytes to come) -> the bytes so far, None if several
    for byte in allowed(constraint, state):
        if byte < 0x80:
            yield chr(byte), constraint.next_state(state, byte)
        elif byte != END:
            key = constraint.next_state(state, byte), 1 + (byte >= 0xE0) + (byte >= 0xF0)
            partial[key] = None if key in partial else bytes([byte])
    for missing in (3, 2, 1):
        for (within, to_come), text in list(partial.items()):
            if to_come != missing:
                continue
            for byte in allowed(constraint, within):
                key = constraint.next_state(within, byte), to_come - 1
                partial[key] = None if key in partial or text is None else text + bytes([byte])
    several = 0
    for (after, to_come), text in partial.items():
        if to_come == 0:
            several += text is None
            name = _BEYOND_ASCII if several < 2 else f"{_BEYOND_ASCII} ({several})"
            yield (name if text is None else text.decode()), after


def _minimised(
    accepting: list[bool], moves: list[dict[str, int]]
) -> tuple[list[_Arrow], set[int], int]:
    """Merge the states that the same texts lead on from (Moore 1956)."""
    # Characters that lead to the same states from everywhere are looked at once.
    characters = sorted({character for following in moves for character in following})
    columns = {tuple(following.get(character) for following in moves) for character in characters}
    block, num_blocks = [int(each) for each in accepting], 0
    while True:
        names: dict[Any, int] = {}
        blocks_after = [[after if after is None else block[after] for after in column] for column in columns]
        signatures = zip(block, *blocks_after, strict=True)
        block = [names.setdefault(signature, len(names)) for signature in signatures]
        if len(names) == num_blocks:
            break
        num_blocks = len(names)
    labels: dict[tuple[int, int], set[str]] = {}
    for state, following in enumerate(moves):
        for character, after in following.items():
            labels.setdefault((block[state], block[after]), set()).add(character)
    return (
        [(before, after, frozenset(label)) for (before, after), label in labels.items()],
        {block[state] for state, is_accepting in enumerate(accepting) if is_accepting},
        block[0],
    )


def _with_runs_joined(arrows: list[_Arrow], accepting: set[int], start: int) -> list[_Arrow]:
    """Join the arrows into and out of each state that has one of each, with one text on both."""
    for state in sorted({after for _, after, _ in arrows}):
        into = [arrow for arrow in arrows if arrow[1] == state]
        out = [arrow for arrow in arrows if arrow[0] == state]
        if state == start or state in accepting or len(into) != 1 or len(out) != 1 or into == out:
            continue
        (before, _, first), (_, after, last) = into[0], out[0]
        if len(first) == len(last) == 1 and _BEYOND_ASCII not in first | last:
            joined = before, after, frozenset({"".join(first) + "".join(last)})
            arrows = [joined if arrow is into[0] else arrow for arrow in arrows if arrow is not out[0]]
    return arrows


def _label_text(label: _Label) -> str:
    """Write the characters on an arrow: ranges, and what is lacking where nearly all are there."""
    lacking = [character for character in PRINTABLE if character not in label]
    parts = sorted(text for text in label if len(text) > 1 or ord(text) > 0x7F)
    if len(label) > 60 and len(lacking) < 20:
        parts.insert(0, "any but " + " ".join(lacking) if lacking else "any")
        characters = sorted(text for text in label if len(text) == 1 and text not in PRINTABLE and text < "\x80")
    else:
        characters = sorted(text for text in label if len(text) == 1 and text < "\x80")
    place = 0
    while place < len(characters):
        end = place
        while end + 1 < len(characters) and ord(characters[end + 1]) == ord(characters[end]) + 1:
            end += 1
        if end - place >= 2:
            parts.append(f"{_shown(characters[place])}-{_shown(characters[end])}")
        else:
            parts += map(_shown, characters[place : end + 1])
        place = end + 1
    return " ".join(parts).replace("\\", "\\\\").replace('"', '\\"')


def _shown(character: str) -> str:
    return "␣" if character == " " else character if character.isprintable() else repr(character)[1:-1]
