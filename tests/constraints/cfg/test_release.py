"""A grammar's constraint is freed with its last reference, without the garbage collector."""

from __future__ import annotations

import gc
import weakref

from outlines import grammars
from outlines.engine import Constraint, Vocabulary
from outlines.types import CFG


def test_constraints_are_freed_with_their_last_reference():
    vocabulary = Vocabulary([bytes([byte]) for byte in range(256)] + [None], eos_token_ids=[256])
    gc.collect()
    gc.disable()
    try:
        for text in (grammars.arithmetic, 'root ::= "(" root ")" | [a-z]'):
            constraint = Constraint(CFG(text), vocabulary)
            matcher = constraint.matcher()
            for byte in b"((":
                matcher.mask()
                assert matcher.advance(byte)
            machine = weakref.ref(next(iter(constraint.tables._automaton.symbols[1:])).machine)
            tables = weakref.ref(constraint.tables)
            del constraint, matcher
            assert tables() is None
            assert machine() is None
    finally:
        gc.enable()
