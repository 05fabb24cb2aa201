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

import torch
import triton
import triton.language as tl

WORD_BITS = 32

# A program owns 4096 logits = 128 words: each thread of its 4 warps loads a word and writes 32 logits. That
# is 32 programs for one sequence of 128,256 tokens, 8,192 for 256 of them. Chosen by this count; no GPU has
# judged it yet, so there is no report.
BLOCK = 4096
NUM_WARPS = 4

# On the CPU a row goes token by token where at most W / 16 of its words hold an allowed (or a forbidden) one.
# The notes of `mask_reference` have the times; the two ways meet near W / 8 for fp32 and W / 16 for bf16.
SPARSE_PART = 16

# What a byte of a bitmask says of its eight tokens, each an int8 of 0 (forbidden) or -1 (allowed), so that
# widening one clears or sets all bits of a logit. The eight are one int64, because scalars gather fast.
_UNPACKED = (-(torch.arange(256)[:, None] >> torch.arange(8) & 1)).to(torch.int8).view(torch.int64).squeeze(1)


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
    """Forbid tokens in plain torch: the kernel's oracle, and what the CPU runs.

    Parameters and errors are those of `dispatch.mask`.

    Notes
    -----
    What was tried on a row of 128,256 fp32 logits (one core of an AMD EPYC with AVX-512, torch 2.13.0,
    2026-11-24, best of 60 runs in a loop of one operation, so with warm caches):

    - `masked_fill_`, `torch.where`: a branch a logit. 72 us where predictable, 445 us on a random row.
    - And + or of the logits' bits: vectorised. 27 us on any row, 63 us with unpacking.
    - Token by token: 33 us where one is allowed, 62 us for 500 in as many words.
    - Unpacking alone: from a table 14 us, `numpy.unpackbits` 11 to 16 us, shifts 105 us.
    - XGrammar 0.2.8 visits each forbidden token: 7 us for 30, 275 us on a random row, 500 us for nearly all.
    - llguidance 1.9.1 compiles its loop at the first call, then takes 50 us on any row.
    """
    num_tokens = _check(logits, words, row, num_tokens)
    logits = logits.detach()  # same memory; a mask has no gradient, nor does the kernel record one
    sequences, rows = [], []
    for sequence, r in enumerate(row.tolist()):
        is_known = 0 <= r < words.shape[0] and num_tokens > 0
        if r != -1:
            logits[sequence, num_tokens if is_known else 0 :].fill_(-torch.inf)
        if is_known:
            sequences.append(sequence)
            rows.append(r)
    if sequences:
        words = words[rows, : triton.cdiv(num_tokens, WORD_BITS)]
        _mask_known(logits[:, :num_tokens], torch.tensor(sequences, device=logits.device), words)


def moved_bytes(
    logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None = None
) -> int:
    """Count the bytes that `mask` must move for these arguments: rows and words in, forbidden logits out."""
    num_tokens = _check(logits, words, row, num_tokens)
    num_bytes = row.numel() * row.element_size()
    for r in row.tolist():
        if r != -1:
            num_known = num_tokens if 0 <= r < words.shape[0] else 0
            num_bytes += triton.cdiv(num_known, WORD_BITS) * words.element_size()
            num_allowed = int(_unpack(words[r])[:num_known].count_nonzero()) if num_known else 0
            num_bytes += (logits.shape[1] - num_allowed) * logits.element_size()
    return num_bytes


def _mask_known(logits: torch.Tensor, sequences: torch.Tensor, words: torch.Tensor) -> None:
    """Forbid in these sequences by a row of words each, where all logits have a bit; in the cheapest of 3 ways."""
    limit = words.shape[1] // SPARSE_PART
    allows_few = words.count_nonzero(1) <= limit
    forbids_few = ((~words).count_nonzero(1) <= limit) & ~allows_few

    if allows_few.any():
        line, token = _set_bits(words[allows_few], logits.shape[1])
        at = sequences[allows_few][line], token
        kept = logits[at]
        for sequence in sequences[allows_few].tolist():
            logits[sequence].fill_(-torch.inf)
        logits[at] = kept
    if forbids_few.any():
        line, token = _set_bits(~words[forbids_few], logits.shape[1])
        logits[sequences[forbids_few][line], token] = -torch.inf

    # Where a bit is kept x ^ i ^ i is x, elsewhere 0 ^ i is i, the bits of -inf. No temporary is as wide as logits.
    bits = logits.view(torch.int32 if logits.dtype == torch.float32 else torch.int16)
    minus_inf = int(torch.tensor(-torch.inf, dtype=logits.dtype).view(bits.dtype))
    for i in (~(allows_few | forbids_few)).nonzero().squeeze(1).tolist():
        keep = _unpack(words[i])[: bits.shape[1]]
        bits[sequences[i]].bitwise_xor_(minus_inf).bitwise_and_(keep).bitwise_xor_(minus_inf)


def _set_bits(words: torch.Tensor, num_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """List line and token of each set bit below num_tokens, without unpacking the words that are 0."""
    line, word_idx = words.nonzero(as_tuple=True)
    at, bit = _unpack(words[line, word_idx]).view(-1, WORD_BITS).nonzero(as_tuple=True)
    line, token = line[at], word_idx[at] * WORD_BITS + bit
    is_known = token < num_tokens
    return line[is_known], token[is_known]


def _unpack(words: torch.Tensor) -> torch.Tensor:
    """Give -1 for each set bit and 0 for each clear one, as int8."""
    byte = words.view(torch.uint8).int()  # index_select takes no uint8
    return _UNPACKED.to(words.device).index_select(0, byte).view(torch.int8)


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
