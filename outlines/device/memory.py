"""The arena's memory on one device: three tables that grow, the header that says where they are, and the one writer.

What is written is staged on the host and goes to the device in `flush`, on the current stream, between steps: words as
one block, since they are handed out from the front; records and entries by index, from mirrors that the host keeps. The
layout itself stands in `outlines/kernels/layout.py`.

Growth makes a table twice as large on the device, copies or rehashes on the stream, and swaps the header; what the old
one held is given back to PyTorch, which keeps it until every stream that used it has passed. A captured graph reads the
header at each replay, so it goes on with the new tables.

Streams: every launch that reads the tables stands in `reading`. A stream waits for the last write of another one, and a
write for the last read of each other stream, never for what a model has queued there. The replay of a captured graph
isn't a launch that we see, so it stands in `reading` as well where another stream may write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from outlines.exceptions import LimitError
from outlines.kernels import layout
from outlines.kernels.advance import hash_of

__all__ = ["FullError", "Memory"]

_LAST_ID = 2**31 - 1
_FREE = layout.FREE.value
_FIRST_SLOT = layout.FIRST_SLOT.value


class FullError(Exception):
    """What is to be added doesn't fit into the budget, unless something is evicted."""


class Memory:
    """Tables on a device.

    Parameters
    ----------
    device
        Where they lie.
    budget_bytes
        What the tables may take together. While one grows, its old copy comes on top.
    num_words, num_states, num_entries
        Sizes to begin with; `num_entries` is a power of two.

    Attributes
    ----------
    header : int64 tensor [8]
        What the kernels take; never moves.
    records : int32 array [S, 8]
        The host's mirror; written by `change`.
    num_states : int
        Slots in use.
    num_growths : int
        How often a table was made larger.
    """

    @torch.inference_mode(False)  # what is made in that mode can't be written outside of it
    def __init__(
        self, device: torch.device, budget_bytes: int, num_words: int, num_states: int, num_entries: int
    ):
        self.device = device
        self.budget_bytes = budget_bytes
        self.first_id = 0
        self.num_states = _FIRST_SLOT
        self.num_growths = 0
        self._first_sizes = num_words, max(num_states, _FIRST_SLOT), num_entries
        self._num_words = num_words
        self.records = np.zeros((max(num_states, _FIRST_SLOT), layout.RECORD_SIZE), np.int32)
        self._entries = np.full((num_entries, layout.ENTRY_SIZE), _FREE, np.int32)
        self._num_used_words = self._num_used_entries = 0
        self._staged_words: list[NDArray] = []
        self._first_staged_word = 0
        self._changed_slots: set[int] = set()
        self._changed_entries: set[int] = set()
        self._is_rehashed = False
        self._reads: dict[torch.cuda.Stream, torch.cuda.Event] = {}
        self._written: torch.cuda.Event | None = None
        self._writer: torch.cuda.Stream | None = None
        self.header = torch.zeros(layout.HEADER_SIZE, dtype=torch.int64, device=device)
        self._words = torch.zeros(num_words, dtype=torch.int32, device=device)
        self._device_records = torch.from_numpy(self.records).to(device, copy=True)
        self._device_entries = torch.from_numpy(self._entries).to(device, copy=True)
        with self._on_device():
            self._write_header()
            self._after_write()

    @property
    def num_bytes(self) -> int:
        """Bytes of the tables, used or not."""
        return _bytes_of(self._num_words, len(self.records), len(self._entries))

    # What is added, on the host

    def add_words(self, content: NDArray) -> int:
        """Stage some bytes, a whole number of words; give the unit where they begin."""
        words = np.frombuffer(content.tobytes(), np.int32)
        unit = self._num_used_words // layout.UNIT
        size = -(-len(words) // layout.UNIT) * layout.UNIT
        if self._num_used_words + size > self._num_words:
            need = self._num_used_words + size
            self._num_words = self._larger(need, self._num_words, lambda n: _bytes_of(n, *self._sizes()[1:]))
        self._staged_words.append(np.pad(words, (0, size - len(words))))
        self._num_used_words += size
        return unit

    def add_slots(self, count: int) -> int:
        """Give the first of some new slots that follow each other: no moves, no row."""
        first = self.num_states
        if self.first_id + first + count > _LAST_ID:
            raise LimitError(
                "states", "2,147,483,645 states were on this device since the process began; start anew"
            )
        if first + count > len(self.records):
            sizes = self._sizes()
            size = self._larger(first + count, len(self.records), lambda n: _bytes_of(sizes[0], n, sizes[2]))
            self.records = np.concatenate([self.records, np.zeros((size - len(self.records), 8), np.int32)])
        self.num_states += count
        self.records[first : first + count] = (-1, -1, -1, -1, 0, 0, 0, 0)
        self._changed_slots.update(range(first, first + count))
        return first

    def change(self, slot: int, **fields: int) -> None:
        """Write fields of a record, by their names in `layout`."""
        for name, value in fields.items():
            self.records[slot, getattr(layout, name).value] = value
        self._changed_slots.add(slot)

    def put(self, slot: int, token: int, state: int) -> None:
        """Add a transition, unless it is there."""
        if 2 * (self._num_used_entries + 1) > len(self._entries):
            sizes = self._sizes()
            self._rehash(self._larger(2 * len(self._entries), 0, lambda n: _bytes_of(*sizes[:2], n)))
        entries, last = self._entries, len(self._entries) - 1
        at = int(hash_of(slot, token)) & last
        while (found := entries[at, 0]) != _FREE:
            if found == slot and entries[at, 1] == token:
                return
            at = (at + 1) & last
        entries[at] = (slot, token, state, 0)
        self._num_used_entries += 1
        self._changed_entries.add(at)

    def clear(self) -> None:
        """Forget everything; the ids of what was there are never used again.

        The tables are as small as at first, so that none of them keeps the budget from another.
        """
        self.first_id += self.num_states
        self.num_states = _FIRST_SLOT
        self._num_used_words = self._num_used_entries = self._first_staged_word = 0
        self._staged_words.clear()
        self._changed_slots.clear()
        self._num_words, num_states, num_entries = self._first_sizes
        self.records = np.zeros((num_states, layout.RECORD_SIZE), np.int32)
        self._rehash(num_entries, is_kept=False)

    def _sizes(self) -> tuple[int, int, int]:
        return self._num_words, len(self.records), len(self._entries)

    def _larger(self, need: int, size: int, bytes_of: Callable[[int], int]) -> int:
        """Give twice the size, or what is needed where the budget has no more; FullError if it hasn't even that."""
        for larger in (max(need, 2 * size), need):
            if bytes_of(larger) <= self.budget_bytes:
                return larger
        raise FullError

    def _rehash(self, size: int, is_kept: bool = True) -> None:
        """Make the mirror of the transition table anew: a round puts in all whose place no other one takes."""
        left = self._entries[self._entries[:, 0] != _FREE] if is_kept else self._entries[:0]
        self._entries = np.full((size, layout.ENTRY_SIZE), _FREE, np.int32)
        at = hash_of(left[:, 0].astype(np.int64), left[:, 1].astype(np.int64)) & (size - 1)
        while len(left):
            is_free = self._entries[at, 0] == _FREE
            _, first = np.unique(at, return_index=True)
            is_first = np.zeros(len(at), bool)
            is_first[first] = True
            self._entries[at[is_free & is_first]] = left[is_free & is_first]
            is_left = ~(is_free & is_first)
            left, at = left[is_left], (at[is_left] + 1) & (size - 1)
        self._changed_entries.clear()
        self._is_rehashed = True

    # On the device

    @torch.inference_mode(False)
    def flush(self) -> None:
        """Bring everything that was added to the device, on the current stream."""
        if not (self._staged_words or self._changed_slots or self._changed_entries or self._is_rehashed):
            return
        with self._on_device():
            self._before_write()
            self._words = self._resized(self._words, self._num_words)
            self._device_records = self._resized(self._device_records, len(self.records))
            if self._staged_words:
                staged = np.concatenate(self._staged_words)
                first = self._first_staged_word
                self._words[first : first + len(staged)].copy_(self._pinned(staged), non_blocking=True)
                self._staged_words.clear()
                self._first_staged_word = self._num_used_words
            self._scatter(self._device_records, self.records, self._changed_slots)
            if self._is_rehashed:
                self._device_entries = self._resized(self._device_entries, len(self._entries))
                self._device_entries.copy_(self._pinned(self._entries), non_blocking=True)
                self._changed_entries.clear()
                self._is_rehashed = False
            self._scatter(self._device_entries, self._entries, self._changed_entries)
            self._write_header()
            self._after_write()

    def _resized(self, table: torch.Tensor, size: int) -> torch.Tensor:
        if len(table) == size:
            return table
        other = torch.zeros((size, *table.shape[1:]), dtype=table.dtype, device=self.device)
        num_kept = min(len(table), size)
        other[:num_kept].copy_(table[:num_kept])
        if self.device.type == "cuda":
            for stream in {*self._reads, torch.cuda.current_stream(self.device)}:
                table.record_stream(stream)
        self.num_growths += size > len(table)
        return other

    def _scatter(self, table: torch.Tensor, mirror: NDArray, changed: set[int]) -> None:
        if changed:
            index = np.fromiter(changed, np.int64, len(changed))
            values = self._pinned(mirror[index]).to(self.device, non_blocking=True)
            table.index_copy_(0, self._pinned(index).to(self.device, non_blocking=True), values)
            changed.clear()

    def _write_header(self) -> None:
        fields = [0] * layout.HEADER_SIZE
        fields[layout.WORDS.value] = self._words.data_ptr()
        fields[layout.RECORDS.value] = self._device_records.data_ptr()
        fields[layout.ENTRIES.value] = self._device_entries.data_ptr()
        fields[layout.LAST_ENTRY.value] = len(self._device_entries) - 1
        fields[layout.FIRST_ID.value] = self.first_id
        fields[layout.NUM_STATES.value] = self.num_states
        fields[layout.NUM_WORDS.value] = len(self._words)
        self.header.copy_(self._pinned(np.asarray(fields, np.int64)), non_blocking=True)

    def _pinned(self, content: NDArray) -> torch.Tensor:
        """Give a copy that the device can fetch by itself; PyTorch reuses its memory only after that."""
        copied = torch.empty(
            content.shape, dtype=_DTYPES[content.dtype], pin_memory=self.device.type == "cuda"
        )
        copied.numpy()[...] = content
        return copied

    # Streams

    def _on_device(self) -> contextlib.AbstractContextManager:
        return torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Launch within this what reads the tables on the current stream; a capture's order is its replayer's."""
        if self.device.type != "cuda" or self._is_capturing():
            yield
            return
        stream = torch.cuda.current_stream(self.device)
        self._wait_for_writer(stream)
        yield
        if stream not in self._reads:
            self._reads[stream] = torch.cuda.Event()
        self._reads[stream].record(stream)

    def _before_write(self) -> None:
        if self.device.type != "cuda":
            return
        if self._is_capturing():
            raise RuntimeError(
                "the tables can't be written while a CUDA graph is captured: call `settle` before the capture begins"
            )
        stream = torch.cuda.current_stream(self.device)
        for other, read in self._reads.items():
            if other != stream:
                stream.wait_event(read)
        self._wait_for_writer(stream)

    def _wait_for_writer(self, stream: torch.cuda.Stream) -> None:
        if self._written is not None and stream != self._writer:
            stream.wait_event(self._written)

    def _is_capturing(self) -> bool:
        with self._on_device():  # the question is about the current device's stream
            return torch.cuda.is_current_stream_capturing()

    def _after_write(self) -> None:
        if self.device.type == "cuda":
            self._writer = torch.cuda.current_stream(self.device)
            self._written = torch.cuda.Event()
            self._written.record(self._writer)


_DTYPES = {np.dtype(np.int32): torch.int32, np.dtype(np.int64): torch.int64}


def _bytes_of(num_words: int, num_states: int, num_entries: int) -> int:
    return 4 * (num_words + layout.RECORD_SIZE * num_states + layout.ENTRY_SIZE * num_entries)
