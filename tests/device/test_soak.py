"""Long life: thousands of different schemas through one process and one arena, none of them kept."""

from __future__ import annotations

import gc
import random
import tracemalloc

import torch

from outlines.device import Arena, BatchMatcher
from outlines.engine import Constraint, Vocabulary
from outlines.rows import unpack
from tests.proof import small_vocabulary

BUDGET_BYTES = 150_000
MOST_SCHEMAS = 10_000


def schema(number: int) -> dict:
    """Make a schema that differs from all others; its pattern recurs, since a process keeps those."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 5 + number % 7},
            "size": {"type": "integer", "minimum": -(number % 4)},
            f"n{number}": {"enum": [f"a{number}", {"b": [number]}, None]},
        },
        "required": ["name"],
    }


def test_memory_stays_bounded_however_many_schemas_pass(rng, budget):
    """Half of the schemas fill what is kept; the other half must add nothing. `--budget 50` does all 10,000."""
    tokens, eos_ids = small_vocabulary(random.Random(0), [b'{"name":"ab","size":12}'], 100)
    vocabulary = Vocabulary(tokens, eos_ids, cache=False)
    arena = Arena("cpu", BUDGET_BYTES, num_words=64, num_states=4, num_entries=4)
    num_schemas, size = min(200 * budget, MOST_SCHEMAS), 5

    def use(numbers: range) -> tuple[int, int]:
        for first in range(numbers.start, numbers.stop, size):
            constraints = [Constraint(schema(number), vocabulary) for number in range(first, first + size)]
            batch, matchers = BatchMatcher(constraints, arena=arena), [each.matcher() for each in constraints]
            for _ in range(8):
                rows = batch.mask().numpy()
                assert (rows == [matcher.mask() for matcher in matchers]).all()
                chosen = [rng.choice(unpack(row).tolist()) for row in rows]
                for matcher, token in zip(matchers, chosen, strict=True):
                    matcher.advance(token)
                batch.advance(torch.tensor(chosen))
                batch.settle()
        del batch, constraints, matchers
        gc.collect()
        return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        objects, used = use(range(num_schemas // 2))
        epoch = arena.epoch
        objects_after, used_after = use(range(num_schemas // 2, num_schemas))
    finally:
        tracemalloc.stop()
    assert arena.epoch > epoch > 0
    assert arena.memory.num_bytes <= BUDGET_BYTES
    assert objects_after < 1.1 * objects
    assert used_after < 1.1 * used
