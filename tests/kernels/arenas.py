"""Random contents of an arena for the tests of the kernels that read one: as plain Python data, and in its memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from outlines.kernels import layout

from outlines.device.memory import Memory

DEAD, FINISHED, UNCONSTRAINED = 0, 1, 2


class Record(NamedTuple):
    """What is known of a slot. `row` is None or (tokens of base rows, tokens to clear, tokens to set)."""

    moves: list[int] | None
    reach: int
    row: tuple[list[set[int]], list[int], list[int]] | None


class Content(NamedTuple):
    """An arena: records from slot 3 on, transitions by slot and token to a state's id, and the id of slot 0."""

    num_tokens: int
    first_id: int
    records: list[Record]
    transitions: dict[tuple[int, int], int]
    eos: set[int]

    @property
    def num_words(self) -> int:
        return -(-self.num_tokens // 32)

    def record(self, state: int) -> Record | None:
        """Give the record of an id; None for what is none of this epoch."""
        slot = state - self.first_id
        return self.records[slot - 3] if state >= 3 and 3 <= slot < 3 + len(self.records) else None

    def memory(self, device: str) -> Memory:
        """Write it to a device, from tables so small that they grow."""
        memory = Memory(torch.device(device), 2**24, 4, 4, 4)
        memory.first_id = self.first_id
        for place, record in enumerate(self.records):
            slot = memory.add_slots(1)
            assert slot == 3 + place
            if record.moves is not None:
                moves = np.asarray(record.moves + [-1] * (-self.num_tokens % 4), np.int8)
                memory.change(slot, MOVES=memory.add_words(moves), LAST=slot + record.reach)
            if record.row is not None:
                bases, cleared, given = record.row
                units = [memory.add_words(pack(base, self.num_words)) for base in bases] + [-1, -1]
                start = memory.add_words(np.asarray([*given, *cleared], np.int32))
                memory.change(slot, BASE=units[0], SECOND=units[1], LIST=start)
                memory.change(slot, NUM_SET=len(given), NUM_CLEAR=len(cleared), FLAGS=1)
        for (slot, token), state in self.transitions.items():
            memory.put(slot, token, state)
        memory.flush()
        return memory

    def eos_row(self) -> torch.Tensor:
        return torch.from_numpy(pack(self.eos, self.num_words))


def pack(tokens: Any, num_words: int) -> np.ndarray:
    """Pack a set of tokens into a row, bit by bit."""
    words = [0] * num_words
    for token in set(tokens):
        words[token // 32] |= 1 << token % 32
    return np.asarray(words, np.uint32).view(np.int32)


@st.composite
def contents(draw, most_tokens: int = 70) -> Content:
    """Draw an arena. Ids lean to those of its own slots; some are reserved, some of another epoch."""
    num_tokens = draw(st.integers(1, most_tokens))
    first_id = draw(st.sampled_from([0, 5, 2**30]))
    num_records = draw(st.integers(0, 6))
    token = st.integers(0, num_tokens - 1)
    tokens = st.lists(token, max_size=20)
    row = st.tuples(st.lists(st.sets(token), max_size=2), tokens, tokens)
    moves = st.lists(st.sampled_from([-1, -1, 0, 0, 1, 2]), min_size=num_tokens, max_size=num_tokens)
    records = []
    for place in range(num_records):
        reach = draw(st.integers(0, num_records - 1 - place))
        records.append(Record(draw(st.none() | moves), reach, draw(st.none() | row)))
    slots = range(3, 3 + num_records)
    state = st.sampled_from([DEAD, FINISHED, *(first_id + slot for slot in slots)])
    pairs = st.tuples(st.sampled_from(slots), token) if num_records else st.nothing()
    transitions = draw(st.dictionaries(pairs, state, max_size=40)) if num_records else {}
    return Content(num_tokens, first_id, records, transitions, draw(st.sets(token, max_size=2)))


@st.composite
def lines(draw, content: Content, longest_run: int) -> torch.Tensor:
    """Draw a batch in any condition, stalled sequences and stale states included."""
    own = [content.first_id + 3 + place for place in range(len(content.records))]
    state = st.sampled_from([*own, *own, DEAD, FINISHED, UNCONSTRAINED, -1, 3, content.first_id + 100])
    size = draw(st.integers(0, 5) | st.just(40))
    result = []
    for _ in range(size):
        length = draw(st.integers(0, longest_run))
        position = draw(st.integers(0, length))
        run = draw(
            st.lists(st.integers(-1, content.num_tokens - 1), min_size=longest_run, max_size=longest_run)
        )
        status = (
            draw(st.sampled_from([0, 0, 0, 2, 3])) if position == length else draw(st.sampled_from([1, 1, 3]))
        )
        result.append([draw(state), status, position, length, draw(st.integers(0, 1)), *run])
    return torch.tensor(result, dtype=torch.int32).reshape(size, layout.RUN.value + longest_run)
