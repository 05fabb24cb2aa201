"""One long random trace on an arena so small that everything happens, equal to the host's matchers at every step.

The arena grows, misses, stalls, and is made anew; sequences are rolled back, forked and shuffled; some calls bring runs
of tokens, some of which are forbidden. The judge is `Matcher`, one a sequence, which knows nothing of all this.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from outlines.device import Arena, BatchMatcher
from outlines.engine import DEAD, FINISHED, UNCONSTRAINED, Constraint, Vocabulary
from outlines.exceptions import StaleStateError, TableBudgetError
from outlines.rows import unpack
from outlines.types import Regex
from tests.proof import small_vocabulary

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
TEXTS = [b'{"a":"xyz","b":-12}', b'{"a": "a b", "other": [1, "q"]}', b"abc def", b'"n\\u00e9"', b"yesno!"]
LONGEST_RUN = 3
SOURCES = [
    {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"type": "integer"}},
        "required": ["a"],
    },
    {},
    {"type": "string"},
    {"type": "string", "minLength": 3, "maxLength": 80},
    {"type": "string", "pattern": "^[a-z]+[0-9]{2,4}$", "maxLength": 7},
    {"enum": ["yes", "no", {"a": [1]}]},
    {"type": "object", "additionalProperties": {"type": "string"}, "properties": {"ab": {"type": "number"}}},
    Regex("(yes|no)+!?"),
    Regex("[a-z]{1,9}( [^ ]+)*"),
    Regex("(ab)*a"),
]


class Sequence:
    """The host's side of one sequence: its matcher, if it has one, and its earlier states."""

    def __init__(self, constraint):
        self.constraint = constraint
        self.state = UNCONSTRAINED if constraint is None else constraint.start_state

    def row(self, vocabulary) -> list[int]:
        if self.state == UNCONSTRAINED:
            return list(range(vocabulary.num_tokens))
        if self.state in (DEAD, FINISHED):
            return sorted(vocabulary.eos_token_ids)
        return unpack(self.constraint.row(self.state)).tolist()

    def take(self, token: int, vocabulary) -> None:
        if self.state == UNCONSTRAINED:
            self.state = FINISHED if token in vocabulary.eos_token_ids else UNCONSTRAINED
        elif self.state not in (DEAD, FINISHED) and not 0 <= token < vocabulary.num_tokens:
            self.state = DEAD
        elif self.state not in (DEAD, FINISHED):
            self.state = self.constraint.next_state(self.state, token)


class Trace:
    """A batch on a device beside its sequences on the host."""

    def __init__(self, arena, constraints, rng, window):
        self.rng = rng
        self.seen = Counter()
        self.sequences = [Sequence(each) for each in constraints]
        self.batch = BatchMatcher(constraints, longest_run=LONGEST_RUN, rollback_window=window, arena=arena)
        self.vocabulary = self.batch.vocabulary
        self.before: list[list[int]] = []

    def choose(self, sequence: Sequence) -> int:
        if self.rng.random() < 0.03:
            return self.rng.randrange(
                -1, self.vocabulary.num_tokens + 2
            )  # most likely forbidden, perhaps no token
        tokens = sequence.row(self.vocabulary)
        going_on = [token for token in tokens if token not in self.vocabulary.eos_token_ids]
        return self.rng.choice(going_on if going_on and self.rng.random() < 0.97 else tokens)

    def step(self) -> None:
        """Mask, choose, advance; now and then look at what waits, as a loop does that isn't to be held up."""
        rng, batch = self.rng, self.batch
        words = batch.mask().cpu().numpy()
        is_ready = (batch.status.cpu() == 0).tolist()
        for ready, row, sequence in zip(is_ready, words, self.sequences, strict=True):
            if ready:  # else whatever is sampled isn't taken
                assert unpack(row).tolist() == sequence.row(self.vocabulary)
        num_new = rng.randint(1, LONGEST_RUN)
        self.before = [*self.before, [sequence.state for sequence in self.sequences]][-3:]
        runs = []
        for sequence, ready in zip(self.sequences, is_ready, strict=True):
            state, run = sequence.state, []
            for _ in range(num_new):
                run.append(self.choose(sequence))
                sequence.take(run[-1], self.vocabulary)
            runs.append(run)
            if not ready:
                sequence.state = state
        batch.advance(torch.tensor(runs, device=batch.lines.device))
        assert batch.is_taken.tolist() == [int(ready) for ready in is_ready]
        self.seen["stalls"] += is_ready.count(False)
        if rng.random() < 0.7:
            self.seen["misses"] += batch.settle()
            self.check_states()

    def check_states(self) -> None:
        assert self.batch.host_states() == [sequence.state for sequence in self.sequences]

    def settle(self) -> None:
        self.batch.settle()
        self.check_states()

    def shuffle(self) -> None:
        size = len(self.sequences)
        same = {}
        for place, sequence in enumerate(self.sequences):
            same.setdefault(id(sequence.constraint), []).append(place)
        parents = [self.rng.choice(same[id(self.sequences[place].constraint)]) for place in range(size)]
        self.batch.reorder(torch.tensor(parents, device=self.batch.lines.device))
        for sequence, state in zip(self.sequences, [self.sequences[p].state for p in parents], strict=True):
            sequence.state = state
        self.before = [[states[parent] for parent in parents] for states in self.before]

    def roll_back(self) -> None:
        """Take calls back; what waited at the time waits again, so the host compares when it has settled."""
        count = self.rng.randint(0, len(self.before))
        self.batch.rollback(count)
        if count:
            for sequence, state in zip(self.sequences, self.before[-count], strict=True):
                sequence.state = state
            del self.before[-count:]
        self.settle()


@pytest.fixture(scope="module")
def vocabulary():
    import random

    tokens, eos_ids = small_vocabulary(random.Random(7), TEXTS, 100)
    return Vocabulary(tokens, eos_ids, cache=False)


@pytest.mark.parametrize("device", DEVICES)
def test_a_trace_on_a_tiny_arena_equals_the_matchers(device, vocabulary, rng, budget):
    constraints = [None, *(Constraint(source, vocabulary) for source in SOURCES)]
    arena = Arena(device, 36_000, num_words=16, num_states=4, num_entries=4)
    seen = Counter()
    for _ in range(12 * budget):
        chosen = [constraints[1], *(rng.choice(constraints) for _ in range(rng.randint(0, 6)))]
        trace = Trace(arena, chosen, rng, window=3)
        for _ in range(30):
            trace.step()
            action = rng.random()
            if action < 0.1:
                trace.settle()
                trace.shuffle()
                seen["shuffles"] += 1
            elif action < 0.2:
                trace.roll_back()
                seen["rollbacks"] += 1
            elif action < 0.23:
                arena.evict()
        seen += trace.seen
    assert arena.memory.num_growths > 3
    assert arena.memory.num_bytes <= 36_000
    assert arena.epoch > 5
    assert min(seen[name] for name in ("stalls", "misses", "shuffles", "rollbacks")) > 5, seen


@pytest.mark.parametrize("device", DEVICES)
def test_rollback_across_an_eviction_raises_but_within_the_window(device, vocabulary):
    constraint = Constraint({"type": "string", "maxLength": 9}, vocabulary)
    arena = Arena(device, 2**20)
    batch = BatchMatcher([constraint, None], arena=arena, rollback_window=2)
    quote, letter = (vocabulary.tokens.index(text) for text in (b'"', b"x"))
    kept = batch.states.clone()
    for token in (quote, letter, letter):
        batch.advance(torch.tensor([token, token], device=batch.lines.device))
        batch.settle()
    before = batch.host_states()
    row = batch.mask()[0].cpu().numpy().copy()
    arena.evict()
    assert batch.host_states() == before
    assert np.array_equal(batch.mask()[0].cpu().numpy(), row)  # what is in use is there at once
    assert batch.status.tolist() == [0, 0]
    batch.rollback(2)
    batch.settle()
    state = constraint.next_state(constraint.start_state, quote)
    assert batch.host_states() == [state, UNCONSTRAINED]
    assert np.array_equal(batch.mask()[0].cpu().numpy(), constraint.row(state))
    with pytest.raises(ValueError, match=r"can't take back 1 calls: 0 are held \(rollback_window 2\)"):
        batch.rollback(1)

    batch.restore(kept)
    with pytest.raises(
        StaleStateError, match=r"sequence 0: state \d+ is of an earlier epoch.*rollback_window"
    ):
        batch.settle()
    assert unpack(batch.mask()[0].cpu().numpy()).tolist() == sorted(vocabulary.eos_token_ids)
    batch.advance(torch.tensor([letter, letter], device=batch.lines.device))
    assert batch.is_taken.tolist() == [0, 1]  # one bad row doesn't hold up the others


def test_more_in_use_than_the_budget_names_it(vocabulary):
    constraints = [Constraint(source, vocabulary) for source in SOURCES]
    arena = Arena("cpu", 1200, num_words=4, num_states=4, num_entries=4)
    with pytest.raises(TableBudgetError, match=r"budget of 1200 bytes \(`budget_bytes`"):
        BatchMatcher(constraints, arena=arena)
