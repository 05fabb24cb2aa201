"""Pick launcher or reference by where the tensors lie; nobody else asks for a device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
import triton
from outlines.kernels import advance as _advance
from outlines.kernels import compose as _compose
from outlines.kernels import fill as _fill
from outlines.kernels import mask as _mask

__all__ = ["advance", "compose", "fill", "mask"]

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
    _run(_mask, "mask", logits)(logits, words, row, num_tokens)


def advance(
    header: torch.Tensor,
    batch: torch.Tensor,
    tokens: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
    takes_new: bool = True,
) -> None:
    """Move each sequence of a batch to the state after its tokens, on the device where they are.

    Parameters
    ----------
    header : int64 tensor [8]
        Where the arena's tables are; `layout` says how they are laid out.
    batch : int32 tensor [B, 5 + N]
        A line a sequence: its state, and its run under way. Written.
    tokens : int32 or int64 tensor [B, K]
        New tokens of each sequence, K at most N. A sequence that still waits doesn't take them, see IS_TAKEN.
    eos : int32 tensor [W]
        Packed row of the tokens that end a sequence.
    num_tokens
        Tokens of the vocabulary; what isn't one of them leads to DEAD.
    takes_new
        False: only go on with the runs that wait.

    Raises
    ------
    TypeError
        If a dtype is wrong. Nothing is written.
    ValueError
        If a shape or a device is wrong. Nothing is written.
    """
    _run(_advance, "advance", batch)(header, batch, tokens, eos, num_tokens, takes_new)


def compose(
    header: torch.Tensor,
    batch: torch.Tensor,
    words: torch.Tensor,
    row: torch.Tensor,
    eos: torch.Tensor,
    num_tokens: int,
) -> None:
    """Write the packed row of each sequence's state, on the device where they are.

    Parameters
    ----------
    header, batch, eos, num_tokens
        As for `advance`.
    words : int32 tensor [B, W]
        Written: the rows. Those of DEAD, FINISHED and of states whose row is missing are `eos`.
    row : int32 tensor [B]
        Written: each sequence's row of `words` as `mask` takes it, -1 where it is unconstrained.

    Raises
    ------
    TypeError
        If a dtype is wrong. Nothing is written.
    ValueError
        If a shape or a device is wrong. Nothing is written.
    """
    _run(_compose, "compose", batch)(header, batch, words, row, eos, num_tokens)


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
    """Compute the row of the tokens inside a head, where each leads and where the head ends within it.

    Parameters
    ----------
    following : int16 tensor [S, 256]
        Automaton of the head: state after a byte. 0 is dead; -q: the head may end here and, as q, go on.
    start : int32 tensor [Q]
        States to begin in.
    text : uint8 tensor [N]
        Bytes of all tokens.
    text_start : int32 tensor [V + 1]
        Token t is text[text_start[t]:text_start[t + 1]]; empty where it has no bytes.
    words : int32 tensor [Q, W]
        Written: bit t % 32 of word t // 32 is 1 where token t can be read to its end.
    ends : int16 tensor [Q, V]
        Written: the state after token t, 0 where it can't be read to its end or has no bytes.
    exits : int32 tensor [E, 3]
        Written: {index into start, token, bytes read} of each place within a token where the head may end.
    num_exits : int32 tensor [1]
        The exits found are added to it. Where it passes E, the rest wasn't written: call again with more room.

    Raises
    ------
    TypeError
        If a dtype is wrong. Nothing is written.
    ValueError
        If a shape or a device is wrong. Nothing is written.
    """
    _run(_fill, "fill", text)(following, start, text, text_start, words, ends, exits, num_exits)


def _run(module: ModuleType, name: str, tensor: torch.Tensor) -> Any:
    """Give the kernel's launcher, or for tensors on the CPU its reference unless Triton's interpreter is on."""
    takes_reference = tensor.device.type == "cpu" and not _IS_INTERPRETED
    return getattr(module, f"{name}_reference" if takes_reference else name)
