"""Reading bytes along one head, for the tests of each kind."""

from __future__ import annotations

from outlines.constraints.expression import EMPTY, EPSILON, Expression

__all__ = ["follow"]


def follow(head, data):
    """Read bytes along a head: the head that is left (None if it ended) and what was put under it; or None."""
    under = ()
    for byte in data:
        if head is None:
            return None
        if isinstance(head, Expression):
            head = head.step(byte)
            if head is EMPTY:
                return None
            head = None if head is EPSILON else head
        else:
            outcome = head.step(byte)
            if outcome is None:
                return None
            head, more = outcome
            under = (*more, *under)
    return head, under
