"""Move each sequence of a batch to the state after its tokens.

header      int64 [8]           where the arena's tables are, see layout.py
batch       int32 [B, 5 + N]    states and runs under way; written
tokens      int32 | int64 [B, K]  the new tokens of each sequence, K <= N; strides any. K = 1 is a step, more a run
eos         int32 [W]           row of the tokens that end a sequence
num_tokens  int                 tokens from here on are no tokens: they lead to DEAD
takes_new   bool                False: only go on with what waits, once the host has added what was missing

A sequence that finds no transition *stalls*: it keeps its run and its place in it, takes no new tokens (IS_TAKEN says
so), and tries again at each call. So does one whose new state has no row yet; it takes new tokens after `compose` has
given it a mask from a real row, or a call without takes_new has found one. Nothing forbidden is ever taken: a forbidden
token leads to DEAD, and DEAD stays. FINISHED absorbs whatever follows. UNCONSTRAINED ends with a token of `eos`.

Moves   about 136 bytes a token: a line of the batch, a record, a move, two entries of 16 bytes at a table half full,
        the record of the next state.
Bound   latency: five dependent loads (header, line, record, entry, next record). B=4,096 is 128 programs of a warp.
Grid    ceil(B / BLOCK) programs, a sequence a thread.
Source  open addressing with linear probing: Knuth, The Art of Computer Programming 3, 6.4, algorithm L.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from outlines.kernels import layout
from outlines.kernels.layout import (
    DEAD,
    ENTRIES,
    FINISHED,
    FIRST_ID,
    FIRST_SLOT,
    FLAGS,
    FREE,
    HAS_ROW,
    IS_TAKEN,
    LAST,
    LAST_ENTRY,
    LENGTH,
    MOVES,
    NO_ROW,
    NO_TRANSITION,
    NUM_STATES,
    POSITION,
    READY,
    RECORDS,
    RUN,
    STALE,
    STATE,
    STATUS,
    UNCONSTRAINED,
    WORDS,
)

WORD_BITS = tl.constexpr(32)

# A program is one warp, a sequence a thread: the loop over probes then waits for the slowest of 32, not of a block.
BLOCK = 32
NUM_WARPS = 1

# Odd numbers with well-mixed bits (the golden ratio's, and MurmurHash3's second constant).
SLOT_FACTOR = tl.constexpr(0x9E3779B1)
TOKEN_FACTOR = tl.constexpr(0x85EBCA77)
MIX_SHIFT = tl.constexpr(15)


@triton.jit
def _hash(slot, token):
    mixed = (slot.to(tl.uint32) * SLOT_FACTOR) ^ (token.to(tl.uint32) * TOKEN_FACTOR)
    return mixed ^ (mixed >> MIX_SHIFT)


@triton.jit(do_not_specialize=["tokens_stride_b", "num_sequences", "num_new", "takes_new"])
def _advance_kernel(
    header_ptr,
    batch_ptr,
    tokens_ptr,
    eos_ptr,
    batch_stride_b,
    tokens_stride_b,
    tokens_stride_k,
    num_sequences,
    num_new,
    num_tokens,
    takes_new,
    BLOCK: tl.constexpr,
):
    moves_ptr = tl.load(header_ptr + WORDS).to(tl.pointer_type(tl.int8))
    records_ptr = tl.load(header_ptr + RECORDS).to(tl.pointer_type(tl.int32))
    entries_ptr = tl.load(header_ptr + ENTRIES).to(tl.pointer_type(tl.int32))
    last_entry = tl.load(header_ptr + LAST_ENTRY).to(tl.uint32)
    first_id = tl.load(header_ptr + FIRST_ID).to(tl.int32)
    num_states = tl.load(header_ptr + NUM_STATES).to(tl.int32)

    sequence = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = sequence < num_sequences
    line_ptr = batch_ptr + sequence.to(tl.int64) * batch_stride_b
    state = tl.load(line_ptr + STATE, mask=exists, other=DEAD)
    status = tl.load(line_ptr + STATUS, mask=exists, other=READY)
    position = tl.load(line_ptr + POSITION, mask=exists, other=0)
    length = tl.load(line_ptr + LENGTH, mask=exists, other=0)

    is_asked = sequence < num_sequences * takes_new
    is_stale = exists & ~_is_known(state, first_id, num_states)
    is_taken = is_asked & ~is_stale & (position >= length) & (status == READY)
    position = tl.where(is_taken, 0, position)
    length = tl.where(is_taken, num_new, length)
    new_ptr = tokens_ptr + sequence.to(tl.int64) * tokens_stride_b
    k = 0
    while k < num_new:  # what is no token of 32 bits is none of the vocabulary either
        token = tl.load(new_ptr + k * tokens_stride_k, mask=is_taken, other=-1)
        token = tl.where((token >= 0) & (token < num_tokens), token, -1).to(tl.int32)
        tl.store(line_ptr + RUN + k, token, mask=is_taken)
        k += 1
    tl.debug_barrier()  # each thread reads its own stores back; the barrier keeps the compiler from moving the loads

    is_active = exists & ~is_stale & (position < length)
    while tl.max(is_active.to(tl.int32), 0) != 0:
        token = tl.load(line_ptr + RUN + position, mask=is_active, other=-1)
        is_token = token >= 0
        is_listed = is_active & (state >= FIRST_SLOT) & is_token
        slot = state - first_id
        record_ptr = records_ptr + slot.to(tl.int64) * 8
        moves = tl.load(record_ptr + MOVES, mask=is_listed, other=-1)
        last = tl.load(record_ptr + LAST, mask=is_listed, other=-1)
        move = tl.load(moves_ptr + moves.to(tl.int64) * 16 + token, mask=is_listed & (moves >= 0), other=-1)
        move = move.to(tl.int32)
        is_inside = is_listed & (move >= 0) & (slot + move <= last)

        following = tl.where(is_inside, state + move, DEAD)  # what is no token leads here
        following = tl.where(state == FINISHED, FINISHED, following)
        is_free = is_active & (state == UNCONSTRAINED)
        word = tl.load(eos_ptr + token // WORD_BITS, mask=is_free & is_token, other=0)
        is_end = (word >> (token % WORD_BITS)) & 1
        following = tl.where(is_free, tl.where(is_end != 0, FINISHED, UNCONSTRAINED), following)

        is_searched = is_listed & ~is_inside
        is_missing = is_searched
        entry = _hash(slot, token) & last_entry
        while tl.max(is_searched.to(tl.int32), 0) != 0:
            entry_ptr = entries_ptr + entry.to(tl.int64) * 4
            found_slot = tl.load(entry_ptr, mask=is_searched, other=FREE)
            found_token = tl.load(entry_ptr + 1, mask=is_searched, other=FREE)
            found_state = tl.load(entry_ptr + 2, mask=is_searched, other=DEAD)
            is_found = is_searched & (found_slot == slot) & (found_token == token)
            following = tl.where(is_found, found_state, following)
            is_missing = is_missing & ~is_found
            is_searched = is_searched & ~is_found & (found_slot != FREE)
            entry = (entry + 1) & last_entry

        moved = is_active & ~is_missing
        state = tl.where(moved, following, state)
        position = tl.where(moved, position + 1, position)
        is_active = moved & (position < length)

    is_listed = exists & ~is_stale & (state >= FIRST_SLOT)
    flags = tl.load(records_ptr + (state - first_id).to(tl.int64) * 8 + FLAGS, mask=is_listed, other=HAS_ROW)
    # A row that came since the last mask was made isn't in that mask, so the tokens that it gave are not for taking.
    was_waiting = is_asked & (status == NO_ROW)
    lacks_row = ((flags & HAS_ROW) == 0) | was_waiting
    status = tl.where(position < length, NO_TRANSITION, tl.where(lacks_row, NO_ROW, READY))
    status = tl.where(is_stale, STALE, status)
    tl.store(line_ptr + STATE, state, mask=exists)
    tl.store(line_ptr + STATUS, status, mask=exists)
    tl.store(line_ptr + POSITION, position, mask=exists)
    tl.store(line_ptr + LENGTH, length, mask=exists)
    tl.store(line_ptr + IS_TAKEN, is_taken.to(tl.int32), mask=is_asked)


@triton.jit
def _is_known(state, first_id, num_states):
    is_slot = (state - first_id >= FIRST_SLOT) & (state - first_id < num_states)
    return ((state >= DEAD) & (state < FIRST_SLOT)) | ((state >= FIRST_SLOT) & is_slot)


def advance(
    header: torch.Tensor,
    batch: torch.Tensor,
    tokens: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
    takes_new: bool = True,
) -> None:
    """Advance in one launch for the batch, with no sync, no copy and no allocation.

    Parameters and errors are those of `dispatch.advance`.
    """
    _check(header, batch, tokens, eos, num_tokens)
    if len(batch) == 0:
        return
    with torch.cuda.device_of(batch):  # Triton launches on the current device, which may be another
        _advance_kernel[(triton.cdiv(len(batch), BLOCK),)](
            header,
            batch,
            tokens,
            eos,
            batch.stride(0),
            *tokens.stride(),
            *tokens.shape,
            num_tokens,
            int(takes_new),
            BLOCK=BLOCK,
            num_warps=NUM_WARPS,
        )


def advance_reference(
    header: torch.Tensor,
    batch: torch.Tensor,
    tokens: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
    takes_new: bool = True,
) -> None:
    """Advance on the CPU: the kernel's oracle, and what runs where there is no device."""
    _check(header, batch, tokens, eos, num_tokens)
    tables, first_id = layout.tables_at(header), int(header[FIRST_ID.value])
    moves_of = tables.words.view(torch.int8)
    state, status, position, length, was_taken = (column.clone() for column in batch.T[: RUN.value])
    num_new = tokens.shape[1]

    is_stale = ~layout.slots_of(header, state)[1]
    is_taken = (position >= length) & (status == READY.value) & ~is_stale & takes_new
    position = torch.where(is_taken, 0, position)
    length = torch.where(is_taken, num_new, length)
    is_token = (tokens >= 0) & (tokens < num_tokens)
    new = torch.where(is_token, tokens, -1).to(torch.int32)
    batch[:, RUN.value : RUN.value + num_new][is_taken] = new[is_taken]

    active = ((position < length) & ~is_stale).nonzero().squeeze(1)
    while len(active):
        token = batch[active, RUN.value + position[active]].long()
        before = state[active]
        following = torch.where(before == FINISHED.value, FINISHED.value, DEAD.value)
        is_free = before == UNCONSTRAINED.value
        is_end = (eos[token.clamp(min=0) // 32] >> token.clamp(min=0) % 32) & 1 == 1
        following[is_free] = UNCONSTRAINED.value
        following[is_free & is_end & (token >= 0)] = FINISHED.value

        listed = ((before >= FIRST_SLOT.value) & (token >= 0)).nonzero().squeeze(1)
        slot = before[listed].long() - first_id
        moves, last = (tables.records[slot, field.value].long() for field in (MOVES, LAST))
        move = torch.full_like(slot, -1)
        has_moves = moves >= 0
        move[has_moves] = moves_of[moves[has_moves] * 16 + token[listed[has_moves]]].long()
        is_inside = (move >= 0) & (slot + move <= last)
        following[listed[is_inside]] = (before[listed] + move)[is_inside].to(following.dtype)
        searched = ~is_inside
        found = _look_up(tables.entries, slot[searched], token[listed[searched]])
        following[listed[searched]] = found.to(following.dtype)

        is_found = following != _MISSING
        active, following = active[is_found], following[is_found]
        state[active] = following.to(torch.int32)
        position[active] += 1
        active = active[position[active] < length[active]]

    slot, is_known = layout.slots_of(header, state)
    is_listed = is_known & (state >= FIRST_SLOT.value)
    lacks_row = (status == NO_ROW.value) & takes_new
    lacks_row[is_listed] |= tables.records[slot[is_listed], FLAGS.value] & HAS_ROW.value == 0
    status = torch.where(lacks_row, NO_ROW.value, READY.value)
    status[position < length] = NO_TRANSITION.value
    status[is_stale] = STALE.value
    columns = (state, status, position, length, is_taken if takes_new else was_taken)
    batch[:, : RUN.value] = torch.stack([column.to(torch.int32) for column in columns], 1)


_MISSING = -(2**31)


def _look_up(entries: torch.Tensor, slot: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """Give the state that the table has for each slot and token, _MISSING where it has none."""
    found = torch.full_like(slot, _MISSING)
    entry = hash_of(slot, token) & (len(entries) - 1)
    searched = torch.arange(len(slot))
    while len(searched):
        at = entries[entry[searched]]
        is_found = (at[:, 0] == slot[searched]) & (at[:, 1] == token[searched])
        found[searched[is_found]] = at[is_found, 2].long()
        searched = searched[~is_found & (at[:, 0] != FREE.value)]
        entry[searched] = (entry[searched] + 1) & (len(entries) - 1)
    return found


def hash_of(slot: Any, token: Any) -> Any:
    """Give the hash of each slot and token (int64 tensors, NumPy arrays, or ints), from 0 to 2**32 - 1."""
    mixed = (slot * SLOT_FACTOR.value & 0xFFFFFFFF) ^ (token * TOKEN_FACTOR.value & 0xFFFFFFFF)
    return mixed ^ (mixed >> MIX_SHIFT.value)


def moved_bytes(
    header: torch.Tensor,
    batch: torch.Tensor,
    tokens: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
    takes_new: bool = True,
) -> int:
    """Count the bytes that `advance` must move if no sequence waits: lines, and for each token what it looks up."""
    _check(header, batch, tokens, eos, num_tokens)
    line = 4 * RUN.value * 2
    a_token = (
        tokens.element_size() + 4 + 8 + 1 + 16 + 4
    )  # itself, kept, two fields, a move, an entry, the flags
    return len(batch) * line + tokens.numel() * a_token


def _check(
    header: torch.Tensor, batch: torch.Tensor, tokens: torch.Tensor, eos: torch.Tensor, num_tokens: int
) -> None:
    layout.check_batch(header, batch, eos, num_tokens)
    is_integer = tokens.dtype in (torch.int32, torch.int64)
    layout.check(is_integer, TypeError, f"tokens must be int32 or int64, not {tokens.dtype}.")
    is_there = tokens.device == header.device
    layout.check(
        is_there, ValueError, f"tokens are on {tokens.device}, the header on {header.device}: move them."
    )
    most = batch.shape[1] - RUN.value
    is_shaped = tokens.dim() == 2 and len(tokens) == len(batch) and tokens.shape[1] <= most
    layout.check(
        is_shaped,
        ValueError,
        f"tokens must have the shape [{len(batch)}, up to {most}], not {list(tokens.shape)}: a batch holds runs of "
        f"up to {most} tokens.",
    )
