r"""Lookarounds and word boundaries, made of the tree's assertions.

A lookaround's body is listed as strings of sets where they are few and short; a lookbehind's must be. An assertion at
the edge of such a body, as in `(?<=\ba)`, becomes a further string that stands before it or follows.
"""

from __future__ import annotations

from outlines.constraints import characters
from outlines.constraints.characters import NONE, Characters
from outlines.constraints.regex.tree import (
    AT_BEGIN,
    Ahead,
    Alternatives,
    Behind,
    Node,
    OneOf,
    Repeat,
    Sequence,
    Symbols,
    Text,
    sequence,
)
from outlines.exceptions import PatternError

#: Strings that a lookaround may stand for, and their length, before it counts as without bound.
LOOKAROUND_STRINGS = 256
LOOKAROUND_LENGTH = 64


def boundary(word: Characters, negated: bool, holds_in_empty_text: bool = True) -> Node:
    r"""Make `\b` or `\B`: word on one side, and the edge or another character on the other (or the same on both)."""
    others = characters.complement(word)
    word_behind, word_ahead = Behind([(word,)]), Ahead(None, [(word,)])
    other_behind, other_ahead = Behind([(word,)], negated=True), Ahead(None, [(word,)], negated=True)
    if not negated:
        return Alternatives([sequence([word_behind, other_ahead]), sequence([other_behind, word_ahead])])
    sides = [sequence([word_behind, word_ahead])]
    if holds_in_empty_text:
        sides.append(sequence([other_behind, other_ahead]))
    else:
        sides.append(sequence([Behind([(others,)]), other_ahead]))
        sides.append(sequence([Behind([(AT_BEGIN,)]), Ahead(None, [(others,)])]))
    return Alternatives(sides)


def lookahead(body: Node, negated: bool, position: int) -> Node:
    """Make `(?=...)` or `(?!...)`."""
    parts = list(body.parts if isinstance(body, Sequence) else (body,))
    if isinstance(parts[-1] if parts else None, Repeat) and parts[-1].is_plain:
        last = parts.pop()  # what follows is free, so no more than the least count matters
        parts.append(Repeat(last.body, last.low, last.low))  # type: ignore[attr-defined]
        body = sequence(parts)
    strings = _strings(body)
    if strings is not None and any(before for before, _, _ in strings):
        return _look([(before, symbols + after) for before, symbols, after in strings], negated)
    ahead = None if strings is None else [symbols + after for _, symbols, after in strings]
    return Ahead(body, ahead, negated, position)


def lookbehind(body: Node, negated: bool, pattern: str, position: int) -> Node:
    """Make `(?<=...)` or `(?<!...)`."""
    strings = _strings(body)
    if strings is None:
        raise PatternError(
            pattern,
            position,
            f"a lookbehind must stand for at most {LOOKAROUND_STRINGS} strings of at most {LOOKAROUND_LENGTH} "
            "characters, and have no negated lookaround inside. Shorten it, or match that text instead.",
        )
    return _look([(before + symbols, after) for before, symbols, after in strings], negated)


def _look(pairs: list[tuple[Symbols, Symbols]], negated: bool) -> Node:
    """Make the assertion that one of the pairs (or, `negated`, none) stands behind and ahead."""
    if not any(ahead for _, ahead in pairs):
        return Behind([behind for behind, _ in pairs], negated)
    ways = [(Behind([behind], negated), Ahead(None, [ahead], negated)) for behind, ahead in pairs]
    return sequence(map(Alternatives, ways)) if negated else Alternatives(map(sequence, ways))


# Strings of lookarounds: (what stands before, the string, what follows), the outer two from assertions at the edges

_Placed = tuple[Symbols, Symbols, Symbols]


def _strings(node: Node) -> list[_Placed] | None:
    """List the strings of sets that a lookaround's body stands for; None where they are too many or too long."""
    found: list[_Placed] | None
    if isinstance(node, Text):
        found = [((), tuple(map(characters.character, map(ord, node.text))), ())]
    elif isinstance(node, OneOf):
        found = [((), (node.members,), ())] if node.members else []
    elif isinstance(node, Behind):
        found = None if node.negated else [(symbols, (), ()) for symbols in node.strings]
    elif isinstance(node, Ahead):
        found = (
            None if node.negated or node.strings is None else [((), (), symbols) for symbols in node.strings]
        )
    elif isinstance(node, Alternatives):
        found = []
        for part in node.parts:
            strings = _strings(part)
            if strings is None or len(found) + len(strings) > LOOKAROUND_STRINGS:
                return None
            found.extend(strings)
    elif isinstance(node, Repeat):
        if node.high is None or node.high > LOOKAROUND_LENGTH:
            return None
        body = _strings(node.body)
        found = [((), (), ())] if node.low == 0 else []
        power: list[_Placed] | None = [((), (), ())]
        for count in range(1, node.high + 1):
            power = _products(power, body)
            if power is None or len(found) > LOOKAROUND_STRINGS:
                return None
            if count >= node.low:
                found.extend(power)
        if node.high == 0:
            found = [((), (), ())]
    else:
        found = [((), (), ())]
        for part in node.parts:
            found = _products(found, _strings(part))
    if found is None or len(found) > LOOKAROUND_STRINGS or any(len(s[1]) > LOOKAROUND_LENGTH for s in found):
        return None
    return found


def _products(lefts: list[_Placed] | None, rights: list[_Placed] | None) -> list[_Placed] | None:
    if lefts is None or rights is None or len(lefts) * len(rights) > LOOKAROUND_STRINGS:
        return None
    joined = [_join(left, right) for left in lefts for right in rights]
    return [placed for placed in joined if placed is not None]


def _join(left: _Placed, right: _Placed) -> _Placed | None:
    """Write one string behind another; what each asks of its surroundings is met by the other, or passed on."""
    before, start, owed = left
    wanted, end, after = right
    ahead = _overlay(owed, end + after)
    behind = _overlay(wanted[::-1], (before + start)[::-1])
    if ahead is None or behind is None:
        return None
    behind = behind[::-1]
    edge = len(behind) - len(start)
    return behind[:edge], behind[edge:] + ahead[: len(end)], ahead[len(end) :]


def _overlay(left: Symbols, right: Symbols) -> Symbols | None:
    length = min(len(left), len(right))
    common = tuple(map(characters.intersection, left[:length], right[:length]))
    return None if NONE in common else common + left[length:] + right[length:]
