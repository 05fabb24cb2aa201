"""Pick launcher or reference by where the tensors lie; nobody else asks for a device."""

from __future__ import annotations

import torch
import triton
from outlines.kernels import mask as _mask

__all__ = ["mask"]

# Read at import, as `triton.jit` did when it met the kernels.
_IS_INTERPRETED = triton.knobs.runtime.interpret


def mask(logits: torch.Tensor, words: torch.Tensor, row: torch.Tensor, num_tokens: int | None = None) -> None:
    """Write -inf over the logits of forbidden tokens, in place, on the device where they are.

    Parameters
    ----------
    logits : fp32, fp16 or bf16 tensor [B, V]
        Written where a token is forbidden; the rest keeps its bits. Last stride 1, no overlapping rows.
    words : int32 tensor [R, W]
        Token masks: bit t % 32 of word t // 32, 1 = allowed. Last stride 1.
    row : int32 tensor [B]
        Row of `words` for each sequence; -1 leaves a sequence alone. Any other row outside of `words` forbids
        every token, since a device can't report it without a sync.
    num_tokens
        Tokens of the vocabulary. Those from here on, and those without a bit, pad the model's head: they are
        forbidden wherever a row constrains. By default 32 * W.

    Raises
    ------
    TypeError
        If a dtype is wrong. Nothing is written.
    ValueError
        If a shape, a stride, a device or num_tokens is wrong. Nothing is written.

    Notes
    -----
    On a device one launch for the batch, without a sync, bound by the bytes of the forbidden logits.
    """
    takes_reference = logits.device.type == "cpu" and not _IS_INTERPRETED
    (_mask.mask_reference if takes_reference else _mask.mask)(logits, words, row, num_tokens)
