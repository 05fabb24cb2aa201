"""Long life: constraints are freed with their last reference, and threads may share one."""

from __future__ import annotations

import gc
import random
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

from outlines.engine import Constraint, Vocabulary
from outlines.rows import unpack
from outlines.types import Regex
from tests.proof import random_tokenisations, small_vocabulary

PATTERNS = ["^[a-z]+$", "b", "^[a-z]*[0-9]{2,4}$", r"^\d{3}-\d{2}$"]
TEXTS = [
    b'{"name":"ab12","size":12,"tags":["a","b"],"more":{"a":1}}',
    b'{"name": "zz99", "size": -3, "tags": [], "x": null}',
    b'{"size":100,"tags":["caf\xc3\xa9"],"y":{"name":[true,{}]}}',
    b'{"name":"q123","tags":["\\u0061","b c"]}',
]


def schema(number: int) -> dict:
    """Make a schema that differs from all others; its patterns recur, since a process keeps those."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": PATTERNS[number % 4], "maxLength": 9},
            "size": {"type": "integer", "minimum": -(number % 4)},
            "tags": {"type": "array", "items": {"type": "string", "pattern": PATTERNS[number // 4 % 4]}},
            f"n{number}": {"enum": [f"a{number}", {"b": [number]}, None]},
        },
    }


def walk(constraint, rng, steps=20):
    state = constraint.start_state
    for _ in range(steps):
        state = constraint.next_state(state, rng.choice(unpack(constraint.row(state)).tolist()))


def use(number, vocabulary):
    """Build constraints, walk along them, drop them; give weak references to what they were."""
    rng, dropped = random.Random(number), []
    for source in (schema(number), Regex(f"[a-z]{{1,9}}{number}( [^ ]+)*"), {}):
        constraint = Constraint(source, vocabulary)
        walk(constraint, rng)
        dropped.append(weakref.ref(constraint))
    return dropped


@pytest.fixture
def vocabulary(rng):
    tokens, eos_ids = small_vocabulary(rng, TEXTS, 200)
    return Vocabulary(tokens, eos_ids, cache=False)


def test_constraints_are_freed(vocabulary):
    tracemalloc.start()
    try:
        sizes = []
        for first in (0, 100):  # the first ones fill what a vocabulary and a process keep
            dropped = [ref for number in range(first, first + 100) for ref in use(number, vocabulary)]
            gc.collect()
            assert not [ref for ref in dropped if ref() is not None]
            del dropped
            sizes.append((len(gc.get_objects()), tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()
    (objects, size), (objects_after, size_after) = sizes
    assert objects_after - objects < 0.1 * objects
    assert size_after - size < 0.1 * size


def trace(constraint, texts, rng):
    """Walk along texts in random tokens; give each state's row and whether it accepts."""
    vocabulary, seen = constraint.vocabulary, []
    for text in texts:
        for ids in random_tokenisations(text, vocabulary.tokens, 3, rng):
            state = constraint.start_state
            for token in ids:
                seen.append((constraint.row(state).copy(), constraint.is_accepting(state)))
                state = constraint.next_state(state, token)
            seen.append((constraint.row(state).copy(), constraint.is_accepting(state)))
    return seen


def test_threads_that_share_a_constraint_see_what_one_alone_does(vocabulary, budget):
    source = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z]+[0-9]{2,4}$"}}}
    alone = Constraint(source, Vocabulary(vocabulary.tokens, vocabulary.eos_token_ids, cache=False))
    expected = [trace(alone, [text], random.Random(i)) for i, text in enumerate(TEXTS)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5 * budget):  # each round finds its tables empty
            fresh = Vocabulary(vocabulary.tokens, vocabulary.eos_token_ids, cache=False)
            shared, found, ready = Constraint(source, fresh), {}, threading.Barrier(len(TEXTS))

            def run(i, shared=shared, found=found, ready=ready):
                ready.wait()
                found[i] = trace(shared, [TEXTS[i]], random.Random(i))

            threads = [threading.Thread(target=run, args=(i,)) for i in range(len(TEXTS))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for i, want in enumerate(expected):
                assert len(found[i]) == len(want)
                for (row, accepts), (other, other_accepts) in zip(found[i], want, strict=True):
                    assert np.array_equal(row, other)
                    assert accepts == other_accepts
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("is_shared", [True, False])
def test_threads_may_build_the_same_constraint_at_once(vocabulary, is_shared):
    vocabularies = [
        vocabulary if is_shared else Vocabulary(vocabulary.tokens, vocabulary.eos_token_ids, cache=False)
        for _ in range(4)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        found, ready = {}, threading.Barrier(4)

        def run(i):
            ready.wait()
            source = {
                "type": "string",
                "pattern": "^(?:q[0-9]|[a-z]{2,3}x)+$",
                "minLength": 3,
                "maxLength": 7,
            }
            constraint = Constraint(source, vocabularies[i])
            found[i] = constraint, trace(constraint, [b'"q1abx"', b'"zzx"'], random.Random(0))

        threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 4
    for _, other in list(found.values())[1:]:
        for (row, accepts), (first_row, first_accepts) in zip(other, found[0][1], strict=True):
            assert np.array_equal(row, first_row)
            assert accepts == first_accepts
