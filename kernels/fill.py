"""Compute the row of the tokens that stay inside a head, where each of them leads, and where the head ends within them.

following    int16 [S, 256]     automaton of a head: state after a byte. 0 is dead and stays so; -q says that the head
                                may end here and, as q, go on. Row 0 is 0; a state where it only ends has such a row.
start        int32 [Q]          states to begin in, 1 <= start < S
text         uint8 [N]          bytes of all tokens
text_start   int32 [V + 1]      token t is text[text_start[t]:text_start[t + 1]]; empty where it has no bytes
words        int32 [Q, W]       written: bit t % 32 of word t // 32 is 1 where token t can be read to its end
ends         int16 [Q, V]       written: the state after token t, 0 where it can't be read to its end or has no bytes
exits        int32 [E, 3]       written: {index into start, token, bytes read} of each place where the head may end with
                                bytes of the token left, in no order
num_exits    int32 [1]          added to: exits found. Where it passes E, the rest wasn't written: call again with more

Moves   the text once a state; the automaton stays in L1 and L2.
Bound   gathers from L1 and L2, one a byte of a token that is alive, dependent within a token. Heads that die early read
        two or three bytes a token, always-live ones all (6.4 on average in Llama-3's vocabulary).
Grid    (Q, ceil(V / BLOCK)): a program owns whole words, and loops until all of its tokens are read or dead.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from outlines.kernels.layout import check

WORD_BITS = tl.constexpr(32)

# 512 tokens are 16 words; a thread of 4 warps has 4 tokens in flight to hide the latency of a gather. The tokens of a
# program wait for its longest, so more of them would wait longer. Chosen by this count; no GPU has judged it yet.
BLOCK = 512
NUM_WARPS = 4


@triton.jit
def _fill_kernel(
    following_ptr,
    start_ptr,
    text_ptr,
    text_start_ptr,
    words_ptr,
    ends_ptr,
    exits_ptr,
    num_exits_ptr,
    words_stride_q,
    ends_stride_q,
    num_tokens,
    num_words,
    most_exits,
    BLOCK: tl.constexpr,
):
    NUM_WORDS: tl.constexpr = BLOCK // WORD_BITS
    q = tl.program_id(0)
    token = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    is_token = token < num_tokens
    place = tl.load(text_start_ptr + token, mask=is_token, other=0)
    end = tl.load(text_start_ptr + token + 1, mask=is_token, other=0)
    begin = place
    state = tl.where(place < end, tl.load(start_ptr + q), 0)
    is_reading = state != 0
    while tl.max(is_reading.to(tl.int32), 0) != 0:
        byte = tl.load(text_ptr + place, mask=is_reading, other=0).to(tl.int32)
        target = tl.load(following_ptr + state * 256 + byte, mask=is_reading, other=0).to(tl.int32)
        state = tl.where(is_reading, tl.abs(target), state)
        place = tl.where(is_reading, place + 1, place)
        is_exit = is_reading & (target < 0) & (place < end)
        if tl.max(is_exit.to(tl.int32), 0) != 0:
            at = tl.atomic_add(num_exits_ptr + (token & 0), 1, mask=is_exit)
            exit_ptr = exits_ptr + at.to(tl.int64) * 3
            is_kept = is_exit & (at < most_exits)
            tl.store(exit_ptr, q, mask=is_kept)
            tl.store(exit_ptr + 1, token, mask=is_kept)
            tl.store(exit_ptr + 2, place - begin, mask=is_kept)
        is_reading = is_reading & (state != 0) & (place < end)
    tl.store(ends_ptr + q.to(tl.int64) * ends_stride_q + token, state.to(tl.int16), mask=is_token)

    is_alive = tl.reshape((state != 0).to(tl.int32), [NUM_WORDS, WORD_BITS])
    words = tl.sum(is_alive << tl.arange(0, WORD_BITS)[None, :], 1)
    word_idx = tl.program_id(1) * NUM_WORDS + tl.arange(0, NUM_WORDS)
    tl.store(words_ptr + q.to(tl.int64) * words_stride_q + word_idx, words, mask=word_idx < num_words)


def fill(
    following: torch.Tensor,
    start: torch.Tensor,
    text: torch.Tensor,
    text_start: torch.Tensor,
    words: torch.Tensor,
    ends: torch.Tensor,
    exits: torch.Tensor,
    num_exits: torch.Tensor,
) -> None:
    """Fill in one launch, with no sync, no copy and no allocation.

    Parameters and errors are those of `dispatch.fill`.
    """
    _check(following, start, text, text_start, words, ends, exits, num_exits)
    num_starts, num_tokens = ends.shape
    if num_starts == 0 or num_tokens == 0:
        return
    with torch.cuda.device_of(text):  # Triton launches on the current device, which may be another
        _fill_kernel[num_starts, triton.cdiv(num_tokens, BLOCK)](
            following,
            start,
            text,
            text_start,
            words,
            ends,
            exits,
            num_exits,
            words.stride(0),
            ends.stride(0),
            num_tokens,
            words.shape[1],
            len(exits),
            BLOCK=BLOCK,
            num_warps=NUM_WARPS,
        )


def fill_reference(
    following: torch.Tensor,
    start: torch.Tensor,
    text: torch.Tensor,
    text_start: torch.Tensor,
    words: torch.Tensor,
    ends: torch.Tensor,
    exits: torch.Tensor,
    num_exits: torch.Tensor,
) -> None:
    """Fill on the CPU: the kernel's oracle, and what runs where there is no device."""
    _check(following, start, text, text_start, words, ends, exits, num_exits)
    num_tokens = ends.shape[1]
    begin, end = text_start[:-1].long(), text_start[1:].long()
    for q, first in enumerate(start.tolist()):
        state = torch.where(begin < end, first, 0)
        reading = (begin < end).nonzero().squeeze(1)
        num_read = 0
        while len(reading):
            target = following[state[reading], text[begin[reading] + num_read].long()].long()
            num_read += 1
            state[reading] = target.abs()
            is_left = begin[reading] + num_read < end[reading]
            leaving = reading[(target < 0) & is_left]
            kept = leaving[: max(len(exits) - int(num_exits), 0)]
            exits[int(num_exits) :][: len(kept)] = torch.stack(
                [torch.full_like(kept, q), kept, torch.full_like(kept, num_read)], 1
            ).to(torch.int32)
            num_exits += len(leaving)
            reading = reading[(target != 0) & is_left]
        ends[q] = state.to(torch.int16)
        bits = torch.zeros(words.shape[1] * 32, dtype=torch.int64)
        bits[:num_tokens] = (state != 0).long()
        words[q] = (bits.view(-1, 32) << torch.arange(32)).sum(1).to(torch.int32)


def moved_bytes(
    following: torch.Tensor,
    start: torch.Tensor,
    text: torch.Tensor,
    text_start: torch.Tensor,
    words: torch.Tensor,
    ends: torch.Tensor,
    exits: torch.Tensor,
    num_exits: torch.Tensor,
) -> int:
    """Count the bytes that a `fill` must move at most: text and automaton read once, results written."""
    _check(following, start, text, text_start, words, ends, exits, num_exits)
    read = sum(tensor.numel() * tensor.element_size() for tensor in (following, start, text, text_start))
    return read + words.numel() * 4 + ends.numel() * 2 + min(len(exits), int(num_exits)) * 12


def _check(
    following: torch.Tensor,
    start: torch.Tensor,
    text: torch.Tensor,
    text_start: torch.Tensor,
    words: torch.Tensor,
    ends: torch.Tensor,
    exits: torch.Tensor,
    num_exits: torch.Tensor,
) -> None:
    num_starts, num_tokens = len(start), max(len(text_start) - 1, 0)
    expected = (
        (following, "following", torch.int16, (len(following), 256)),
        (start, "start", torch.int32, (num_starts,)),
        (text, "text", torch.uint8, (len(text),)),
        (text_start, "text_start", torch.int32, (num_tokens + 1,)),
        (words, "words", torch.int32, (num_starts, -(-num_tokens // 32))),
        (ends, "ends", torch.int16, (num_starts, num_tokens)),
        (exits, "exits", torch.int32, (len(exits), 3)),
        (num_exits, "num_exits", torch.int32, (1,)),
    )
    for tensor, name, dtype, shape in expected:
        check(tensor.dtype == dtype, TypeError, f"{name} must be {dtype}, not {tensor.dtype}.")
        check(
            tensor.shape == shape,
            ValueError,
            f"{name} must have the shape {list(shape)}, not {list(tensor.shape)}.",
        )
        check(
            tensor.device == text.device,
            ValueError,
            f"{name} is on {tensor.device}, the text on {text.device}: move it.",
        )
        check(tensor.is_contiguous(), ValueError, f"{name} must be contiguous: call contiguous().")
