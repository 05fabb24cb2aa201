"""What a grammar can never use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from outlines.sharing import LOCK

if TYPE_CHECKING:
    from outlines.constraints.cfg import Unusable

__all__ = ["unusable"]


def unusable(
    grammar: str, *, start: str | None = None, lexer: str | None = None, import_paths: Sequence[str] = ()
) -> Unusable:
    """Give the rules and terminals of a grammar in Lark's language that none of its texts use.

    Parameters
    ----------
    grammar
        Its text.
    start, lexer, import_paths
        As for `CFG`; folders that `%import` looks in.

    Returns
    -------
    Unusable
        `rules` and `terminals`, tuples of names; false if there are none. What is listed is never used. A terminal that
        loses only where it stands may be missed, and rules that no other names are dropped by lark before.

    Raises
    ------
    GrammarError
        If the grammar can't be read.
    """
    from outlines.constraints.cfg import unusable as find_unusable  # late: it imports NumPy

    with LOCK:
        return find_unusable(grammar, start=start, lexer=lexer, import_paths=import_paths)
