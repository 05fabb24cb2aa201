"""Write -inf over the logits of tokens that a state forbids, in place.

logits  fp32 | fp16 | bf16 [B, V]   row stride any, last stride 1; read never, written where forbidden
words   int32 [R, W]                bit t % 32 of word t // 32, 1 = allowed; row stride any, last stride 1
row     int32 [B]                   row of `words` for each sequence; -1 = unconstrained, left alone

Tokens from num_tokens on (by default 32 * W) have no bit: they pad the model's head, and every row of `words`
forbids them. A `row` outside of `words` can't be reported without a sync, so it forbids all tokens: nothing
outside is read, and nothing wrong gets through.

Moves   4*B*(1 + W) bytes in, itemsize * (forbidden logits) bytes out.
Bound   HBM writes. B=256, V=128,256, bf16, nearly all forbidden: 69.8 MB, so 14.5 us at 4.8 TB/s (computed).
Grid    (B, ceil(V / BLOCK)): a program owns whole words, so no two write the same logit.
Source  the packed layout is that of XGrammar and llguidance, so tables can be exchanged.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
import triton
import triton.language as tl

WORD_BITS = 32

# A program owns 4096 logits = 128 words: each thread of its 4 warps loads a word and writes 32 logits. That
# is 32 programs for one sequence of 128,256 tokens, 8,192 for 256 of them. Chosen by this count; no GPU has
# judged it yet, so there is no report.
BLOCK = 4096
NUM_WARPS = 4

# The CPU goes token by token where at most V / 64 tokens are allowed, or forbidden. With 2,000 of 128,256 that and
# going over all the bits are even, see the notes of `mask_reference`.
SPARSE_PART = 64


# num_rows changes as tables grow; specialised, it would compile anew when it meets 1 or a multiple of 16.
@triton.jit(do_not_specialize=["num_rows"])
def _mask_kernel(
    logits_ptr,
    words_ptr,
    row_ptr,
    logits_stride_b,
    words_stride_r,
    row_stride_b,
    num_rows,
    num_logits,
    num_tokens,
    BLOCK: tl.constexpr,
    WORD_BITS: tl.constexpr,
):
    NUM_WORDS: tl.constexpr = BLOCK // WORD_BITS
    sequence = tl.program_id(0).to(tl.int64)  # offsets of rows pass 2**31; within a row int32 is enough
    row = tl.load(row_ptr + sequence * row_stride_b).to(tl.int64)
    if row == -1:
        return

    # A row outside of `words` has a bit for no token.
    num_known = tl.where((row >= 0) & (row < num_rows), num_tokens, 0)
    word_idx = tl.program_id(1) * NUM_WORDS + tl.arange(0, NUM_WORDS)
    first_token = word_idx * WORD_BITS
    words = tl.load(words_ptr + row * words_stride_r + word_idx, mask=first_token < num_known, other=0)

    bit = tl.arange(0, WORD_BITS)
    token = first_token[:, None] + bit[None, :]
    ptrs = logits_ptr + sequence * logits_stride_b + token

    # Two stores: a mask that differs from token to token makes every store one logit wide. Most words allow
    # no token at all, and a mask that is constant over a word lets those be stored 16 bytes at a time.
    is_empty = (words == 0) & (first_token + WORD_BITS <= num_logits)
    tl.store(ptrs, -float("inf"), mask=is_empty[:, None].broadcast_to(NUM_WORDS, WORD_BITS))

    is_allowed = ((words[:, None] >> bit[None, :]) & 1 != 0) & (token < num_known)
    tl.store(ptrs, -float("inf"), mask=~is_empty[:, None] & ~is_allowed & (token < num_logits))


def mask(logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None = None) -> None:
    """Forbid tokens in one launch for the batch, with no sync, no copy and no allocation.

    Parameters and errors are those of `dispatch.mask`.
    """
    num_tokens = _check(logits, words, row, num_tokens)
    num_sequences, num_logits = logits.shape
    if logits.numel() == 0:
        return
    with torch.cuda.device_of(logits):  # Triton launches on the current device, which may be another
        _mask_kernel[num_sequences, triton.cdiv(num_logits, BLOCK)](
            logits,
            words,
            row,
            logits.stride(0),
            words.stride(0),
            row.stride(0),
            words.shape[0],
            num_logits,
            num_tokens,
            BLOCK=BLOCK,
            WORD_BITS=WORD_BITS,
            num_warps=NUM_WARPS,
        )


def mask_reference(
    logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None = None
) -> None:
    """Forbid tokens on the CPU: the kernel's oracle, and what runs where there is no device.

    Parameters and errors are those of `dispatch.mask`. A row is unpacked once, however many sequences share it.

    Notes
    -----
    What was tried on 128,256 fp32 logits (one core of an AMD EPYC with AVX-512, torch 2.13.0, numpy 2.4.6,
    2026-11-24, best of 30 to 150 runs of one operation, so with warm caches):

    - Unpacking: `numpy.unpackbits` 8 us, a table of bytes in torch 14 us, shifts 105 us.
    - `masked_fill_`, `torch.where`: a branch a logit. 72 us where predictable, 445 us on a random row.
    - `fmin` with NaN and -inf: 870 us.
    - Xor, and, xor of the logits' bits: vectorised. 40 us on any row.
    - Token by token: 23 us to find and keep three, 41 us for 2,000, 56 us for 4,000.
    - XGrammar 0.2.8 visits each forbidden token: 7 us for 30, 275 us on a random row, 500 us for nearly all.
    - llguidance 1.9.1 compiles its loop at the first call, then takes 50 us on any row.
    """
    num_tokens = _check(logits, words, row, num_tokens)
    logits = logits.detach()  # same memory; a mask has no gradient, nor does the kernel record one
    sequences_by_row = defaultdict(list)
    for sequence, r in zip(logits, row.tolist(), strict=True):
        sequences_by_row[r].append(sequence)
    sequences_by_row.pop(-1, None)
    for r, sequences in sequences_by_row.items():
        is_allowed = _unpack(words, r, num_tokens)
        num_known = len(is_allowed)
        if num_known < logits.shape[1]:
            for sequence in sequences:
                sequence[num_known:].fill_(-torch.inf)
        _mask_known([sequence[:num_known] for sequence in sequences], is_allowed)


def moved_bytes(
    logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None = None
) -> int:
    """Count the bytes that `mask` must move for these arguments, on the CPU: rows and words, forbidden logits."""
    num_tokens = _check(logits, words, row, num_tokens)
    num_bytes = row.numel() * row.element_size()
    for r in row.tolist():
        if r != -1:
            is_allowed = _unpack(words, r, num_tokens)
            num_forbidden = logits.shape[1] - np.count_nonzero(is_allowed)
            num_bytes += triton.cdiv(len(is_allowed), WORD_BITS) * words.element_size()
            num_bytes += num_forbidden * logits.element_size()
    return num_bytes


def _unpack(words: torch.Tensor, r: int, num_tokens: int) -> np.ndarray:
    """Say of each token with a bit whether row r allows it; a row outside of words has no bits."""
    if not 0 <= r < words.shape[0]:
        return np.zeros(0, bool)
    return np.unpackbits(words[r].numpy().view(np.uint8), count=num_tokens, bitorder="little").view(bool)


def _mask_known(sequences: list[torch.Tensor], is_allowed: np.ndarray) -> None:
    """Forbid in sequences that share a row, where each logit has a bit, in the cheapest of three ways."""
    num_allowed, limit = np.count_nonzero(is_allowed), len(is_allowed) // SPARSE_PART
    if num_allowed <= limit:
        allowed = torch.from_numpy(np.flatnonzero(is_allowed))
        for sequence in sequences:
            kept = sequence[allowed]
            sequence.fill_(-torch.inf)
            sequence[allowed] = kept
    elif len(is_allowed) - num_allowed <= limit:
        forbidden = torch.from_numpy(np.flatnonzero(~is_allowed))
        for sequence in sequences:
            sequence.index_fill_(0, forbidden, -torch.inf)
    else:
        # keep is -1, all bits, where allowed: x ^ i ^ i is x. Elsewhere it is 0, and 0 ^ i is i, the bits of -inf.
        # It stays int8: temporaries as wide as the logits cost more than the widening in each sequence.
        keep = torch.from_numpy(-is_allowed.view(np.int8))
        dtype = sequences[0].dtype
        bits = torch.int32 if dtype == torch.float32 else torch.int16
        minus_inf = int(torch.tensor(-torch.inf, dtype=dtype).view(bits))
        for sequence in sequences:
            sequence.view(bits).bitwise_xor_(minus_inf).bitwise_and_(keep).bitwise_xor_(minus_inf)


def _check(logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None) -> int:
    """Refuse what the kernel can't run on, and give the number of tokens with both a bit and a logit."""
    if logits.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"logits must be float32, float16 or bfloat16, not {logits.dtype}: convert them.")
    shapes = (logits, "logits", "[B, V]"), (words, "words", "[R, W]"), (row, "row", "[B]")
    for tensor, name, shape in shapes:
        if tensor is not logits and tensor.dtype != torch.int32:
            raise TypeError(f"{name} must be int32, not {tensor.dtype}.")
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device}, the logits on {logits.device}: move it there.")
        if tensor.dim() != len(shape.split()):
            raise ValueError(f"{name} must have the shape {shape}, not {list(tensor.shape)}.")
        if tensor.dim() == 2 and tensor.stride(1) != 1:
            raise ValueError(f"{name} must have last stride 1, not {tensor.stride(1)}: call contiguous().")
    num_sequences, num_logits = logits.shape
    if row.shape[0] != num_sequences:
        raise ValueError(f"row must name a row for each of {num_sequences} sequences, not {row.shape[0]}.")
    if num_sequences > 1 and logits.stride(0) < num_logits:
        raise ValueError(
            f"logits must not overlap, their rows are {num_logits} wide and {logits.stride(0)} apart: "
            "call contiguous()."
        )
    if num_tokens is not None and num_tokens < 0:
        raise ValueError(f"num_tokens must be 0 or more, not {num_tokens}.")
    num_bits = WORD_BITS * words.shape[1]
    return min(num_logits, num_bits if num_tokens is None else min(num_tokens, num_bits))
