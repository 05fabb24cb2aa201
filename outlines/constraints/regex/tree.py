"""The tree that patterns are read into, whatever their syntax.

It has text, one character out of a set, sequence, alternatives, repetition, and two assertions, `Behind` and `Ahead`,
into which anchors, word boundaries and lookarounds are all translated. A text is thought of as BEGIN, its characters,
END, so `^` is "behind is BEGIN" and `$` is "ahead is END".
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from outlines.constraints import characters
from outlines.constraints.characters import ALL, NONE, Characters
from outlines.exceptions import PatternError

#: Copies made of a repetition that has an assertion and a body of varying length; others are never unrolled.
UNROLLED_COPIES = 64

BEGIN, END = -1, 0x110000
AT_BEGIN: Characters = ((BEGIN, BEGIN),)
AT_END: Characters = ((END, END),)
NEWLINE: Characters = ((10, 10),)

#: Sets of characters (or BEGIN, END), one after another.
Symbols = tuple[Characters, ...]

#: What both readers say of constructs that no tree can hold.
NOT_REGULAR = (
    "{} are not regular, so no automaton accepts them. Write the alternatives out, or check the result after "
    "generation."
)


class Node:
    """A part of a pattern.

    Attributes
    ----------
    is_plain : bool
        Whether it has no assertion.
    width : int or None
        Number of characters of every text that it matches, None where they differ.
    """

    is_plain: bool = True
    width: int | None = 0
    parts: tuple[Node, ...] = ()
    is_possessive: bool = False  # a repetition that stops only where its body can't match again
    first: Characters | None = None  # of a possessive repetition that can't be empty


class Text(Node):
    """The characters of `text`, one after another."""

    def __init__(self, text: str):
        self.text = text
        self.width = len(text)


class OneOf(Node):
    """One character out of a set."""

    width = 1

    def __init__(self, members: Characters):
        self.members = members


class Sequence(Node):
    """The parts, one after another."""

    def __init__(self, parts: tuple[Node, ...]):
        self.parts = parts
        self.is_plain = all(part.is_plain for part in parts)
        widths = [part.width for part in parts]
        self.width = None if None in widths else sum(width for width in widths if width)


class Alternatives(Node):
    """One of the parts."""

    def __init__(self, parts: Iterable[Node]):
        self.parts = tuple(parts)
        self.is_plain = all(part.is_plain for part in self.parts)
        widths = {part.width for part in self.parts}
        self.width = widths.pop() if len(widths) == 1 else None


class Repeat(Node):
    """The body, at least `low` times and at most `high`; None is without bound."""

    def __init__(self, body: Node, low: int, high: int | None):
        self.body, self.low, self.high = body, low, high
        self.parts = (body,)
        self.is_plain = body.is_plain
        self.width = body.width * low if body.width is not None and low == high else None


class Behind(Node):
    """The text so far ends in one of `strings` (or, `negated`, in none)."""

    is_plain = False

    def __init__(self, strings: list[Symbols], negated: bool = False):
        self.strings, self.negated = _positive(strings, negated, BEGIN)


class Ahead(Node):
    """What follows begins with `body` (or, `negated`, doesn't); `strings` are what `body` stands for, if few."""

    is_plain = False

    def __init__(
        self, body: Node | None, strings: list[Symbols] | None, negated: bool = False, position: int = 0
    ):
        self.body, self.strings, self.negated, self.position = body, strings, negated, position
        if strings is not None:
            self.strings, self.negated = _positive(strings, negated, END)
        elif body is not None:
            self.parts = (body,)
        self.is_owed = False  # whether contexts carry it; else it is an intersection


def _positive(strings: list[Symbols], negated: bool, edge: int) -> tuple[list[Symbols], bool]:
    """Turn "not one of these characters" into "one of the others, or the edge of the text"."""
    strings = [symbols for symbols in strings if NONE not in symbols]
    if negated and all(len(symbols) == 1 for symbols in strings):
        return [(_others(characters.union(NONE, *[symbols[0] for symbols in strings]), edge),)], False
    return strings, negated


def _others(members: Characters, edge: int) -> Characters:
    rest = characters.complement(characters.intersection(members, ALL))
    return rest if characters.contains(members, edge) else characters.union(rest, ((edge, edge),))


NOTHING = Sequence(())
NEVER = OneOf(NONE)


def sequence(parts: Iterable[Node]) -> Node:
    """Make a sequence flat, with neighbouring texts joined."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Sequence) and not part.is_possessive else (part,))
    joined: list[Node] = []
    for is_text, run in groupby(flat, lambda part: isinstance(part, Text)):
        if is_text:
            run = iter([Text("".join([part.text for part in run]))])  # type: ignore[attr-defined]
        joined.extend(run)
    return joined[0] if len(joined) == 1 else Sequence(tuple(joined))


def one_of(members: Characters) -> Node:
    """Make one character out of a set, surrogates left out."""
    members = characters.intersection(members, ALL)
    if len(members) == 1 and members[0][0] == members[0][1]:
        return Text(chr(members[0][0]))
    return OneOf(members)


def repetition(body: Node, low: int, high: int | None, pattern: str, position: int) -> Node:
    """Make a repetition; one that has assertions is brought to a form that assertions.py can read."""
    if body.width == 0 and (high is None or high > 0):
        return body if low else Alternatives([NOTHING, body]) if not body.is_plain else NOTHING
    if body.is_plain or body.width is not None or high == 1 or (high is None and low <= 1):
        return Repeat(body, low, high)
    copies = low if high is None else high
    if copies > UNROLLED_COPIES:
        raise PatternError(
            pattern,
            position,
            f"an assertion is repeated {copies} times in a group whose length varies; {UNROLLED_COPIES} is the limit. "
            "Lower the count, or move the assertion out of the group.",
        )
    rest: Node = Repeat(body, 0, None) if high is None else NOTHING
    for _ in range(copies - low):
        rest = Repeat(sequence([body, rest]), 0, 1)
    return sequence([body] * low + [rest])


def ends_at_one_place(node: Node) -> bool:
    """Tell whether all ways to match, from one place in one text, end at one place. If in doubt, no."""
    if node.width is not None or node.is_possessive:
        return True
    if isinstance(node, Sequence):
        return all(map(ends_at_one_place, node.parts))
    if isinstance(node, Alternatives):
        taken: Characters = NONE
        for part in node.parts:
            first = first_characters(part)
            if first is None or characters.intersection(taken, first) or not ends_at_one_place(part):
                return False
            taken = characters.union(taken, first)
        return True
    return isinstance(node, Repeat) and node.low == node.high and ends_at_one_place(node.body)


def first_characters(node: Node) -> Characters | None:
    """Give a set that holds the first characters of all that a node matches; None if that may be empty."""
    if isinstance(node, Text):
        return characters.character(ord(node.text[0])) if node.text else None
    if isinstance(node, OneOf):
        return node.members
    if node.first is not None:
        return node.first
    if isinstance(node, Alternatives):
        sets = [first_characters(part) for part in node.parts]
        return None if None in sets or not sets else characters.union(*sets)  # type: ignore[arg-type]
    if isinstance(node, Repeat):
        return first_characters(node.body) if node.low else None
    for part in node.parts if isinstance(node, Sequence) else ():
        if not isinstance(part, Behind | Ahead):
            return first_characters(part)
    return None
