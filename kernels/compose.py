"""Give each sequence of a batch the packed row of its state: base rows, with some tokens cleared and some set.

header      int64 [8]           where the arena's tables are, see layout.py
batch       int32 [B, 5 + N]    states; STATUS is written: NO_ROW becomes READY where there is a row, and READY NO_ROW
                                where there is none
words       int32 [B, W]        written: bit t % 32 of word t // 32, 1 = allowed; bits from num_tokens on are 0
row         int32 [B]           written: b, the sequence's row in `words`; -1 where it is unconstrained
eos         int32 [W]           row of the tokens that end a sequence
num_tokens  int                 tokens that have a bit

`words` and `row` are what `mask` takes. A state whose row isn't there yet, and one of an earlier epoch, gets `eos`: no
row is ever without a token, and no wrong token is allowed; whoever samples must ask the status. So do
DEAD and FINISHED.

Moves   2 * 4*W bytes a sequence and a second base row, a record and a list (seldom more than 200 bytes).
Bound   HBM or, where base rows are shared, L2. B=256, W=4,008: 8.2 MB, so 1.7 us at 4.8 TB/s (computed).
Grid    (B, ceil(W / BLOCK)): every program reads the whole list, and keeps what falls into its own words.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from outlines.kernels import layout
from outlines.kernels.layout import (
    BASE,
    DEAD,
    FIRST_ID,
    FIRST_SLOT,
    FLAGS,
    HAS_ROW,
    LIST,
    NO_ROW,
    NUM_CLEAR,
    NUM_SET,
    NUM_STATES,
    READY,
    RECORDS,
    SECOND,
    STATE,
    STATUS,
    UNCONSTRAINED,
    WORDS,
)

WORD_BITS = tl.constexpr(32)

# A program owns 1,024 words, 32,768 tokens: 8 words a thread of its 4 warps, 32 bytes in flight from each base.
# It goes through the list token by token: a comparison of each with all words at once (8 tokens x 1,024 words) took 168
# registers a thread, and lists are short. Chosen by these counts; no GPU has judged them yet, so there is no report.
BLOCK = 1024
NUM_WARPS = 4


@triton.jit
def _bits_of(list_ptr, first, num, word_idx):
    """Give the bits that some tokens of a list have in the words."""
    bits = word_idx & 0
    i = first
    while i < first + num:
        token = tl.load(list_ptr + i)
        bits = bits | tl.where(word_idx == token // WORD_BITS, 1 << (token % WORD_BITS), 0)
        i += 1
    return bits


@triton.jit
def _compose_kernel(
    header_ptr,
    batch_ptr,
    words_ptr,
    row_ptr,
    eos_ptr,
    batch_stride_b,
    words_stride_b,
    num_words,
    num_tokens,
    BLOCK: tl.constexpr,
):
    pool_ptr = tl.load(header_ptr + WORDS).to(tl.pointer_type(tl.int32))
    records_ptr = tl.load(header_ptr + RECORDS).to(tl.pointer_type(tl.int32))
    first_id = tl.load(header_ptr + FIRST_ID).to(tl.int32)
    num_states = tl.load(header_ptr + NUM_STATES).to(tl.int32)

    sequence = tl.program_id(0).to(tl.int64)
    line_ptr = batch_ptr + sequence * batch_stride_b
    state = tl.load(line_ptr + STATE)
    status = tl.load(line_ptr + STATUS)
    word_idx = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_word = word_idx < num_words

    slot = state - first_id
    is_listed = (state >= FIRST_SLOT) & (slot >= FIRST_SLOT) & (slot < num_states)
    record_ptr = records_ptr + slot.to(tl.int64) * 8
    flags = tl.load(record_ptr + FLAGS, mask=is_listed, other=0)
    if (flags & HAS_ROW) != 0:
        base = tl.load(record_ptr + BASE).to(tl.int64)
        second = tl.load(record_ptr + SECOND).to(tl.int64)
        list_ptr = pool_ptr + tl.load(record_ptr + LIST).to(tl.int64) * 4
        num_set = tl.load(record_ptr + NUM_SET)
        num_clear = tl.load(record_ptr + NUM_CLEAR)
        words = tl.load(
            pool_ptr + base * 4 + word_idx, mask=word_idx < tl.where(base >= 0, num_words, 0), other=0
        )
        more = tl.load(
            pool_ptr + second * 4 + word_idx, mask=word_idx < tl.where(second >= 0, num_words, 0), other=0
        )
        words = words | more
        words = words & ~_bits_of(list_ptr, num_set, num_clear, word_idx)
        words = words | _bits_of(list_ptr, 0, num_set, word_idx)
    elif state == UNCONSTRAINED:
        num_left = num_tokens - word_idx * WORD_BITS  # tokens that have a bit in this word or one behind it
        some = (1 << tl.maximum(tl.minimum(num_left, WORD_BITS - 1), 0)) - 1
        words = tl.where(num_left >= WORD_BITS, -1, some)
    else:
        words = tl.load(eos_ptr + word_idx, mask=is_word, other=0)
    tl.store(words_ptr + sequence * words_stride_b + word_idx, words, mask=is_word)

    is_first = tl.program_id(1) == 0
    tl.store(row_ptr + sequence, tl.where(state == UNCONSTRAINED, -1, sequence.to(tl.int32)), mask=is_first)
    is_rowed = ((flags & HAS_ROW) != 0) | ((state >= DEAD) & (state < FIRST_SLOT))
    is_row_status = (status == NO_ROW) | (status == READY)
    tl.store(line_ptr + STATUS, tl.where(is_rowed, READY, NO_ROW), mask=is_first & is_row_status)


def compose(
    header: torch.Tensor,
    batch: torch.Tensor,
    words: torch.Tensor,
    row: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
) -> None:
    """Compose in one launch for the batch, with no sync, no copy and no allocation.

    Parameters and errors are those of `dispatch.compose`.
    """
    _check(header, batch, words, row, eos, num_tokens)
    if words.numel() == 0:
        return
    num_sequences, num_words = words.shape
    with torch.cuda.device_of(batch):  # Triton launches on the current device, which may be another
        _compose_kernel[num_sequences, triton.cdiv(num_words, BLOCK)](
            header,
            batch,
            words,
            row,
            eos,
            batch.stride(0),
            words.stride(0),
            num_words,
            num_tokens,
            BLOCK=BLOCK,
            num_warps=NUM_WARPS,
        )


def compose_reference(
    header: torch.Tensor,
    batch: torch.Tensor,
    words: torch.Tensor,
    row: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
) -> None:
    """Compose on the CPU: the kernel's oracle, and what runs where there is no device."""
    _check(header, batch, words, row, eos, num_tokens)
    if words.numel() == 0:
        return
    pool, records, _ = layout.tables_at(header)
    state = batch[:, STATE.value]
    slot, is_known = layout.slots_of(header, state)
    num_words = words.shape[1]
    for b, (s, q, is_here) in enumerate(zip(state.tolist(), slot.tolist(), is_known.tolist(), strict=True)):
        row[b] = -1 if s == UNCONSTRAINED.value else b
        line = words[b]
        _, _, base, second, start, num_set, num_clear, flags = records[q].tolist() if is_here else [0] * 8
        has_row = s >= FIRST_SLOT.value and flags & HAS_ROW.value
        if batch[b, STATUS.value] in (READY.value, NO_ROW.value):
            is_rowed = has_row or DEAD.value <= s < FIRST_SLOT.value
            batch[b, STATUS.value] = READY.value if is_rowed else NO_ROW.value
        if s == UNCONSTRAINED.value:
            line.fill_(0)
            line[: num_tokens // 32] = -1
            if num_tokens % 32:
                line[num_tokens // 32] = (1 << num_tokens % 32) - 1
        elif has_row:
            line.fill_(0)
            for unit in (base, second):
                if unit >= 0:
                    line |= pool[unit * layout.UNIT :][:num_words]
            tokens = pool[start * layout.UNIT :][: num_set + num_clear]
            _put(line, tokens[num_set:], False)
            _put(line, tokens[:num_set], True)
        else:
            line.copy_(eos)


def _put(line: torch.Tensor, tokens: torch.Tensor, is_set: bool) -> None:
    """Set or clear the bits of some tokens in a row."""
    host = line.numpy().view("uint32")
    for token in tokens.tolist():
        bit = 1 << token % 32
        host[token // 32] = host[token // 32] | bit if is_set else host[token // 32] & (0xFFFFFFFF ^ bit)


def moved_bytes(
    header: torch.Tensor,
    batch: torch.Tensor,
    words: torch.Tensor,
    row: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
) -> int:
    """Count the bytes that `compose` must move, on the CPU: lines, records, lists, base rows in, rows out."""
    _check(header, batch, words, row, eos, num_tokens)
    records = layout.tables_at(header).records
    slot, is_known = layout.slots_of(header, batch[:, STATE.value])
    num_bytes = len(batch) * (8 + 4) + words.numel() * 4
    for q, is_here in zip(slot.tolist(), is_known.tolist(), strict=True):
        if q == UNCONSTRAINED.value:
            continue
        num_rows = 1
        if is_here and q >= FIRST_SLOT.value:
            _, _, base, second, _, num_set, num_clear, flags = records[q].tolist()
            num_bytes += 4 * layout.RECORD_SIZE
            if flags & HAS_ROW.value:
                num_rows = (base >= 0) + (second >= 0)
                num_bytes += 4 * (num_set + num_clear)
        num_bytes += num_rows * 4 * words.shape[1]
    return num_bytes


def _check(
    header: torch.Tensor,
    batch: torch.Tensor,
    words: torch.Tensor,
    row: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
) -> None:
    layout.check_batch(header, batch, eos, num_tokens)
    for tensor, name, shape in ((words, "words", (len(batch), len(eos))), (row, "row", (len(batch),))):
        layout.check(tensor.dtype == torch.int32, TypeError, f"{name} must be int32, not {tensor.dtype}.")
        layout.check(
            tensor.device == header.device,
            ValueError,
            f"{name} is on {tensor.device}, the header on {header.device}: move it there.",
        )
        layout.check(
            tensor.shape == shape,
            ValueError,
            f"{name} must have the shape {list(shape)}, not {list(tensor.shape)}.",
        )
        is_dense = tensor.numel() == 0 or tensor.stride(-1) == 1
        layout.check(is_dense, ValueError, f"{name} must have last stride 1, not {tensor.stride(-1)}.")
