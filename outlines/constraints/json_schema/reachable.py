"""Finds the limits that a schema would hit while its text is written, before the first mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from outlines.constraints.json_schema.arrays import ArrayCase
from outlines.constraints.json_schema.objects import Formula, ObjectCase
from outlines.constraints.json_schema.value_sets import Case

if TYPE_CHECKING:
    from outlines.constraints.json_schema.reader import Document

__all__ = ["check_reachable"]

#: Formulas that are looked at before the first mask; what lies further on is met when it's written.
_MOST_LOOKED_AT = 100


def check_reachable(document: Document) -> None:
    """Look at the formulas that an array or object may ask for, nearest first.

    Raises
    ------
    LimitError
        If the cases or states of one are too many.
    """
    waiting: list[Formula] = [document.start]
    known = set(waiting)
    for formula in waiting:
        for case in document.value_set(formula):
            for part in _parts(document, case):
                if part not in known and len(known) < _MOST_LOOKED_AT:
                    known.add(part)
                    waiting.append(part)


def _parts(document: Document, case: Case) -> Iterator[Formula]:
    """Give the formulas of what is within a case, once it's certain that its states can be told."""
    if isinstance(case, ArrayCase):
        if case.is_plain:
            yield from (*case.prefix, case.rest)
            return
        arrays = document.array_states(case)
        if document.has_value(case):
            for index in range(arrays.last + 1):
                yield from (formula for formula, _ in arrays.options(index))
    elif isinstance(case, ObjectCase):
        if case.is_plain:
            yield from (*(formula for _, formula in case.names), case.rest)
            return
        objects = document.object_states(case)
        if document.has_value(case):
            for key in (*objects.keys, *(found.key for found in objects.classes)):
                yield from (formula for formula, _ in objects.options(objects.start, key))
