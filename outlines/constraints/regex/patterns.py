"""Patterns into expressions, all the way: what a pattern matches, and what it is found in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from outlines.constraints import characters
from outlines.constraints.characters import ALL, Characters
from outlines.constraints.expression import Expression, is_empty
from outlines.constraints.regex.assertions import EDGE, Assertions, Neighbour
from outlines.constraints.regex.ecma import EcmaReader
from outlines.constraints.regex.python import PythonReader
from outlines.constraints.regex.spelling import Encoder, Spelling
from outlines.constraints.regex.tree import Node, OneOf, Repeat, sequence
from outlines.exceptions import ConstraintError, PatternError


def read(pattern: str, flags: int = 0, *, encode: Encoder = characters.utf8) -> Expression:
    """Read a pattern of Python's `re`: the language of the texts that `re.fullmatch` accepts.

    Parameters
    ----------
    pattern
        The pattern. Lazy quantifiers and groups are read as what they match; a possessive quantifier or atomic group
        is read where no backtracking into it could matter, or where a lookahead says the same.
    flags
        As for `re.compile`.
    encode
        Gives the strings of bytes that stand for one character of a set. No string of one character may be the
        beginning of another's; UTF-8 and the escapes of JSON are like that.

    Raises
    ------
    PatternError
        If the pattern is wrong, or not regular (back-references), or has a lookaround that can't be expressed.
    LimitError
        If assertions inside a repetition need more than REPETITION_CONTEXTS contexts.
    """
    return _read(PythonReader, pattern, flags, encode, None)


def search(
    pattern: str, *, dialect: str = "ecma", encode: Encoder = characters.utf8, any_character: Characters = ALL
) -> Expression:
    """Read a pattern that may be found anywhere: the language of the texts in which it occurs, as for JSON Schema.

    Parameters
    ----------
    pattern
        The pattern.
    dialect
        "ecma" for ECMA-262 with the flag `u`, as JSON Schema asks for; "python" for `re.search`.
    encode
        As for `read`.
    any_character
        Characters that may stand before and behind what is found.

    Raises
    ------
    PatternError, LimitError
        As for `read`.
    """
    readers: dict[str, type[PythonReader] | type[EcmaReader]] = {
        "ecma": EcmaReader,
        "python": PythonReader,
    }
    if dialect not in readers:
        raise ValueError(f"dialect is {dialect!r}, but must be one of {', '.join(map(repr, readers))}")
    return _read(readers[dialect], pattern, 0, encode, any_character)


def tree_of(pattern: str) -> Node:
    """Read a pattern of Python's `re` as a part of a larger tree; flags in it hold for it alone.

    Raises
    ------
    PatternError
        If it can't be read.
    """
    with _deep_nesting_named(pattern):
        return PythonReader(pattern, 0).tree


def read_tree(tree: Node, name: str, before: Neighbour = EDGE, after: Neighbour = EDGE) -> Expression | None:
    """Give the language of a tree between two neighbours; `name` is how errors show it.

    None if its assertions ask for more than is known of the neighbours.
    """
    spelling = Spelling(characters.utf8)
    with _deep_nesting_named(name):
        if tree.is_plain:
            return spelling.read(tree)
        return Assertions(tree, name, spelling).language_between(before, after)


def blind_alley(pattern: str) -> int | None:
    """Give the position in a pattern without a match from where on nothing can match it; None if it isn't found."""
    anything = Repeat(OneOf(ALL), 0, None)
    alley = None
    for end in range(len(pattern), 0, -1):
        try:
            tree = tree_of(pattern[:end])
            found = read_tree(sequence([tree, anything]), pattern)
        except ConstraintError:
            continue  # cut in the middle of something
        if found is None or not is_empty(found):
            break
        alley = end - 1
    return alley


def _read(
    reader: type[PythonReader] | type[EcmaReader],
    pattern: str,
    flags: int,
    encode: Encoder,
    around: Characters | None,
) -> Expression:
    if not isinstance(pattern, str):
        raise TypeError(f"a pattern is a str, got {pattern!r} of type {type(pattern).__name__}")
    with _deep_nesting_named(pattern):
        tree = reader(pattern, flags).tree
        if around is not None:
            anything = Repeat(OneOf(around), 0, None)
            tree = sequence([anything, tree, anything])
        spelling = Spelling(encode)
        return spelling.read(tree) if tree.is_plain else Assertions(tree, pattern, spelling).language()


@contextlib.contextmanager
def _deep_nesting_named(pattern: str) -> Iterator[None]:
    """Turn an overflow of Python's stack into an error that says what to do."""
    try:
        yield
    except RecursionError:
        raise PatternError(
            pattern, 0, "groups are nested too deeply. Take out groups that aren't needed."
        ) from None
