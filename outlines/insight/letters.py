"""Bytes and texts as people read them, and a constraint whose tokens are the 256 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any

from outlines.types.dsl import python_types_to_terms

if TYPE_CHECKING:
    from outlines.engine import Constraint, Vocabulary

__all__ = ["END", "allowed", "byte_constraint", "is_whole", "one_of", "readable", "spelt"]

#: The token that ends a text; the others are the bytes.
END = 256

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))

#: Kinds of characters that have a name, with the fewest of them that are written as a range.
_KINDS = (("a digit", digits), ("a lower-case letter", ascii_lowercase), ("an upper-case letter", ascii_uppercase))
_SHORTEST_RANGE = 3

#: Printable characters from which on it's told which ones may not follow.
_NEARLY_ALL = 60

_NAMES = {" ": "a space", "\n": "a line break", "\t": "a tab", "\r": "a carriage return"}


@cache
def _bytes() -> Vocabulary:
    from outlines.engine import Vocabulary

    return Vocabulary([*(bytes([byte]) for byte in range(256)), None], eos_token_ids=[END])


def byte_constraint(output_type: Any) -> Constraint:
    """Compile an output type, or a JSON Schema as a dict, for texts that are written byte by byte."""
    from outlines.engine import Constraint

    is_schema = isinstance(output_type, dict)
    return Constraint(output_type if is_schema else python_types_to_terms(output_type), _bytes())


def is_whole(constraint: Constraint, text: str) -> bool:
    """Say whether a text is a whole one of a constraint of `byte_constraint`."""
    matcher = constraint.matcher()
    return all(map(matcher.advance, text.encode("utf-8", "surrogatepass"))) and matcher.is_accepting()


def allowed(constraint: Constraint, state: int) -> list[int]:
    """Give the bytes that may come next, and END where the text may end."""
    from outlines.rows import unpack

    return unpack(constraint.row(state)).tolist()


def spelt(text: str) -> str:
    """Write a text so that it's seen what it is."""
    return _NAMES.get(text) or repr(text)


def one_of(names: list[str]) -> str:
    """Join names by commas and "or"."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def readable(characters: Iterable[str]) -> list[str]:
    """Give names for a set of ASCII characters: kinds, ranges, single ones."""
    rest = set(characters)
    names = []
    if len(rest & set(PRINTABLE)) >= _NEARLY_ALL:
        lacking = [character for character in PRINTABLE if character not in rest]
        names.append("any character but " + one_of([*map(spelt, lacking)]) if lacking else "any character")
        rest -= {*PRINTABLE, "\x7f"}
    if set(ascii_lowercase + ascii_uppercase) <= rest:
        names.append("a letter")
        rest -= set(ascii_lowercase + ascii_uppercase)
    for name, kind in _KINDS:
        if set(kind) <= rest:
            names.append(name)
            rest -= set(kind)
            continue
        for run in _runs([character for character in kind if character in rest]):
            if len(run) >= _SHORTEST_RANGE:
                names.append(f"{run[0]!r} to {run[-1]!r}")
                rest -= set(run)
    return [*names, *(spelt(character) for character in sorted(rest))]


def _runs(characters: list[str]) -> list[list[str]]:
    """Cut sorted characters into runs of neighbours."""
    runs: list[list[str]] = []
    for character in characters:
        if runs and ord(runs[-1][-1]) + 1 == ord(character):
            runs[-1].append(character)
        else:
            runs.append([character])
    return runs
