"""Where the kernels find things: the arena's memory and a batch's, as `outlines/device/` writes them.

Everything is reached through the header, which never moves. So the arena may grow under a captured CUDA graph: its
tables move, the header says where to, and the graph's next replay reads that.

header   int64 [8]
    0 WORDS      address of the words
    1 RECORDS    address of the records
    2 ENTRIES    address of the transition table
    3 LAST_ENTRY number of entries - 1, a power of two minus one: the hash mask
    4 FIRST_ID   id of slot 0 in this epoch; the states DEAD, FINISHED and UNCONSTRAINED have the ids 0, 1, 2 in all
    5 NUM_STATES slots in use
    6 NUM_WORDS  words there are
    7            free

words    int32, in units of UNIT = 4 words (16 bytes), handed out from the front and never singly given back
    a row        W words, bit t % 32 of word t // 32, 1 = allowed; shared by all states that are made from it
    a list       tokens to set, then tokens to clear
    moves        int8, one a token: MOVES_NOWHERE, or by how many slots the token moves a state within its head

records  int32 [S, 8], one a slot; the state's id is FIRST_ID + slot, from slot 3 on
    0 MOVES      unit where the moves begin, -1 = none
    1 LAST       the last slot that moves may lead to; what would go beyond is looked up
    2 BASE       unit of a base row, -1 = none          row = (base | second) & ~cleared | set
    3 SECOND     unit of another one, -1 = none
    4 LIST       unit where the list begins
    5 NUM_SET    tokens of the list to set
    6 NUM_CLEAR  tokens of the list to clear, behind those
    7 FLAGS      HAS_ROW: 2 to 6 are valid; IS_ACCEPTING

entries  int32 [LAST_ENTRY + 1, 4], open addressing: {slot, token, state after it, 0}; slot -1 = free. An entry lies at
         `hash(slot, token) & LAST_ENTRY` or where linear probing finds it from there.

batch    int32 [B, 5 + N], one line a sequence, for runs of up to N tokens
    0 STATE      id
    1 STATUS     READY, or what the sequence waits for: NO_TRANSITION, NO_ROW; STALE = an id of an earlier epoch
    2 POSITION   tokens of the run under way that were taken
    3 LENGTH     tokens of that run
    4 IS_TAKEN   whether the last call with new tokens took this sequence's; 0 where it still waited
    5 RUN        the run's tokens
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
import triton.language as tl

# constexpr, so that kernels may read them; plain code takes `.value`
WORDS, RECORDS, ENTRIES, LAST_ENTRY, FIRST_ID, NUM_STATES, NUM_WORDS = map(tl.constexpr, range(7))
MOVES, LAST, BASE, SECOND, LIST, NUM_SET, NUM_CLEAR, FLAGS = map(tl.constexpr, range(8))
STATE, STATUS, POSITION, LENGTH, IS_TAKEN, RUN = map(tl.constexpr, range(6))
READY, NO_TRANSITION, NO_ROW, STALE = map(tl.constexpr, range(4))
DEAD, FINISHED, UNCONSTRAINED, FIRST_SLOT = map(tl.constexpr, range(4))
HAS_ROW, IS_ACCEPTING = tl.constexpr(1), tl.constexpr(2)
FREE = tl.constexpr(-1)
MOVES_NOWHERE = tl.constexpr(-1)
HEADER_SIZE, RECORD_SIZE, ENTRY_SIZE, UNIT = 8, 8, 4, 4


class Tables(NamedTuple):
    """The arena's tables as tensors."""

    words: torch.Tensor
    records: torch.Tensor
    entries: torch.Tensor


def tables_at(header: torch.Tensor) -> Tables:
    """Give the tables that a header on the CPU points to, as the kernels find them: by address."""
    fields = header.tolist()
    return Tables(
        _int32_at(fields[WORDS.value], fields[NUM_WORDS.value]),
        _int32_at(fields[RECORDS.value], fields[NUM_STATES.value] * RECORD_SIZE).view(-1, RECORD_SIZE),
        _int32_at(fields[ENTRIES.value], (fields[LAST_ENTRY.value] + 1) * ENTRY_SIZE).view(-1, ENTRY_SIZE),
    )


def _int32_at(address: int, size: int) -> torch.Tensor:
    if size == 0:
        return torch.empty(0, dtype=torch.int32)
    return torch.frombuffer((ctypes.c_int32 * size).from_address(address), dtype=torch.int32)


def slots_of(header: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the slot of each state on the CPU, and whether it's one of this epoch; reserved ones are their own slots."""
    fields = header.tolist()
    slot = torch.where(states < FIRST_SLOT.value, states.long(), states.long() - fields[FIRST_ID.value])
    is_known = (slot >= 0) & (slot < fields[NUM_STATES.value])
    return slot, is_known & ((states < FIRST_SLOT.value) | (slot >= FIRST_SLOT.value))


def check(condition: bool, error: type[Exception], message: str) -> None:
    """Raise the error unless the condition holds: what a launcher can't run on is named before anything is written."""
    if not condition:
        raise error(message)


def check_batch(header: torch.Tensor, batch: torch.Tensor, eos: torch.Tensor, num_tokens: int) -> None:
    """Refuse a header, batch or row of end-of-sequence tokens that the kernels can't run on."""
    check(header.dtype == torch.int64, TypeError, f"header must be int64, not {header.dtype}.")
    check(
        header.shape == (HEADER_SIZE,),
        ValueError,
        f"header must have the shape [8], not {list(header.shape)}.",
    )
    for tensor, name in ((batch, "batch"), (eos, "eos")):
        check(tensor.dtype == torch.int32, TypeError, f"{name} must be int32, not {tensor.dtype}.")
        check(
            tensor.device == header.device,
            ValueError,
            f"{name} is on {tensor.device}, the header on {header.device}: move it there.",
        )
        check(tensor.is_contiguous(), ValueError, f"{name} must be contiguous: call contiguous().")
    is_wide = batch.dim() == 2 and batch.shape[1] > RUN.value
    check(
        is_wide, ValueError, f"batch must have the shape [B, 5 + N], N at least 1, not {list(batch.shape)}."
    )
    is_row = eos.dim() == 1 and 0 <= num_tokens <= 32 * eos.shape[0]
    check(
        is_row,
        ValueError,
        f"eos must have a bit for each of {num_tokens} tokens, not the shape {list(eos.shape)}.",
    )
