"""The processor that holds the rows of a PyTorch batch to their constraints."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from outlines.kernels import dispatch
from outlines.processors.base_logits_processor import OutlinesLogitsProcessor
from outlines.processors.on_device import DeviceFollower, follow_on_host

__all__ = ["ConstraintLogitsProcessor"]

UNCONSTRAINED = -1  # the kernel's row for a sequence that is left alone


class ConstraintLogitsProcessor(OutlinesLogitsProcessor):
    """Masks the tokens that each row's constraint forbids. One launch serves the whole batch.

    A row's state follows from its generated ids alone, not from the number of calls. So it works with greedy
    search, sampling, beams (which are reordered between calls), padding to the left, decoders behind an
    encoder, and assisted generation (which calls with drafts of any length, and takes them back).

    Parameters
    ----------
    constraints
        A constraint for every row, or a list with one for each prompt, None where the prompt's text is free.
        The rows of a prompt (beams, samples) stand together, as `generate` lays them out. All have the same
        vocabulary.
    on_device
        Whether states and rows are kept where the logits are; by default on a CUDA device, and on the CPU not.

    Attributes
    ----------
    num_prompts : int or None
        Length of the list, None if one constraint serves any number of prompts.
    prompt_length : int
        Ids of the prompt, as the first call since the last reset had them.
    constraint_seconds : float
        Host time since the last reset that went into following the states, gathering their rows and launching
        the mask. The wait for the ids to reach the host is the model's own time, and not in it. Nothing is
        synchronised for it.

    Notes
    -----
    The mask adds to what other processors did before. Where they (`min_new_tokens`, `bad_words_ids`, forced
    tokens) leave finite only tokens that the constraint forbids, the whole row is -inf, and the sampler's
    choice is arbitrary. Beam search with more beams than there are texts keeps forbidden ones too, at a score
    of -inf.
    """

    def __init__(self, constraints: Any | Sequence[Any | None], *, on_device: bool | None = None):
        super().__init__("torch")
        self.on_device = on_device
        is_list = isinstance(constraints, (list, tuple))
        self.constraints: tuple[Any | None, ...] = tuple(constraints) if is_list else (constraints,)
        self.num_prompts = len(self.constraints) if is_list else None
        self.reset()

    @override
    def reset(self) -> None:
        self.constraint_seconds = 0.0
        self._ids: torch.Tensor | None = None  # of the last call
        self._follower: DeviceFollower | None = None
        self.prompt_length = 0
        self._row_constraints: list[Any | None] = []
        self._paths: list[list[int]] = []  # of each row: the state before and after each generated token
        self._num_words = 0
        self._staging: torch.Tensor | None = None

    @override
    def process_logits(self, input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Write -inf over forbidden logits, in place.

        Parameters
        ----------
        input_ids : int64 tensor [B, length]
        logits : fp32 | fp16 | bf16 tensor [B, V]
            V may be larger than the vocabulary; the rest is forbidden where there is a constraint.

        Raises
        ------
        ValueError
            If the rows aren't a multiple of the prompts, or belong to another generation than the calls
            before.
        """
        before, self._ids = self._ids, input_ids
        if self.uses_device(logits.device):
            return self._process_on_device(before is None, input_ids, logits)
        new_tokens = self._begin(input_ids) if before is None else self._new_tokens(before, input_ids)
        started = perf_counter()
        for constraint, path, tokens in zip(self._row_constraints, self._paths, new_tokens, strict=True):
            if constraint is not None:
                follow_on_host(constraint, path, tokens)
        self._mask(logits)
        self.constraint_seconds += perf_counter() - started
        return logits

    def prompt_constraints(self, num_prompts: int) -> list[Any | None]:
        """Give the constraint of each prompt; ValueError if there is one for another number of them."""
        if self.num_prompts not in (None, num_prompts):
            raise ValueError(
                f"{num_prompts} prompts for a list of {self.num_prompts} output types: give one output "
                "type for each prompt, or a single one for all of them"
            )
        return list(self.constraints) if self.num_prompts is not None else [self.constraints[0]] * num_prompts

    def uses_device(self, device: torch.device) -> bool:
        """Tell whether states are kept on a device that logits are on."""
        return device.type == "cuda" if self.on_device is None else self.on_device

    def stopping_criteria(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Give False for every row: for `generate`'s list, which calls this right after sampling.

        On a device the states then advance while the model's next forward pass runs. Without it all is the same but
        for the time.
        """
        if self._follower is not None:
            started = perf_counter()
            self._follower.ahead(input_ids)
            self.constraint_seconds += perf_counter() - started
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def _process_on_device(
        self, is_first: bool, input_ids: torch.Tensor, logits: torch.Tensor
    ) -> torch.Tensor:
        started = perf_counter()
        if is_first:
            self._begin(input_ids)
            if any(each is not None for each in self._row_constraints):
                self._follower = DeviceFollower(self._row_constraints, input_ids, logits.device)
        elif self._follower is not None:
            before = self._follower.waited_seconds
            self._follower.follow(input_ids)
            started += self._follower.waited_seconds - before
        if self._follower is not None:
            self._follower.batch.mask_logits(logits)
        self.constraint_seconds += perf_counter() - started
        return logits

    def _begin(self, input_ids: torch.Tensor) -> list[list[int]]:
        num_rows, self.prompt_length = input_ids.shape
        num_prompts = num_rows if self.num_prompts is None else self.num_prompts
        if num_rows % max(num_prompts, 1):
            raise ValueError(
                f"{num_rows} rows don't divide among {num_prompts} prompts with an output type each"
            )
        constraints = self.prompt_constraints(num_prompts)
        self._row_constraints = [constraints[row * num_prompts // num_rows] for row in range(num_rows)]
        self._paths = [[] if each is None else [each.start_state] for each in self._row_constraints]
        self._num_words = max((len(c.row(c.start_state)) for c in constraints if c is not None), default=0)
        return [[] for _ in range(num_rows)]

    def _new_tokens(self, before: torch.Tensor, input_ids: torch.Tensor) -> list[list[int]]:
        """Find what each row added, and cut its path to what was known. On a GPU this waits for the ids."""
        num_rows, length = before.shape
        if (
            input_ids.shape == (num_rows, length + 1)
            and input_ids.device == before.device  # an assistant may be on another one
            and torch.equal(input_ids[:, :-1], before)
        ):
            return input_ids[:, -1:].tolist()

        start = self.prompt_length
        known_ids, ids = before.cpu().numpy(), input_ids.cpu().numpy()
        if len(ids) != num_rows or not np.array_equal(ids[:, :start], known_ids[:, :start]):
            raise ValueError(
                "these ids belong to another generation than those of the last call: call `reset` between"
            )
        started = perf_counter()
        known_ids, ids = known_ids[:, start:], ids[:, start:]
        # Equal ids under one constraint mean equal states, so any such row will do as the parent of a beam.
        parents = {
            (constraint, known_row.tobytes()): row
            for row, (constraint, known_row) in enumerate(zip(self._row_constraints, known_ids, strict=True))
        }
        paths, new_tokens = [], []
        for row, (constraint, ids_row) in enumerate(zip(self._row_constraints, ids, strict=True)):
            parent = parents.get((constraint, ids_row[:-1].tobytes()), row)
            num_known = _common_length(known_ids[parent], ids_row)
            paths.append(self._paths[parent][: num_known + 1])
            new_tokens.append(ids_row[num_known:].tolist())
        self._paths = paths
        self.constraint_seconds += perf_counter() - started
        return new_tokens

    def _mask(self, logits: torch.Tensor) -> None:
        """Gather the rows of the states and mask the logits. Sequences in equal states share a row."""
        rows: dict[tuple[Any, int], int] = {}
        row = [
            UNCONSTRAINED if constraint is None else rows.setdefault((constraint, path[-1]), len(rows))
            for constraint, path in zip(self._row_constraints, self._paths, strict=True)
        ]
        if not rows:
            return
        # One buffer, so one copy to the device: the words of all rows, and behind them each sequence's row.
        split = len(rows) * self._num_words
        staging = self._stage(len(row), logits.device)[: split + len(row)]
        host = staging.numpy()
        for (constraint, state), words in zip(rows, host[:split].reshape(len(rows), -1), strict=True):
            words[:] = constraint.row(state)
        host[split:] = row
        staged = staging.to(logits.device, non_blocking=True)
        dispatch.mask(logits, staged[:split].view(len(rows), -1), staged[split:])

    def _stage(self, num_sequences: int, device: torch.device) -> torch.Tensor:
        """Give the host's buffer. Reading the ids waited for the step before, so for the copy out of it."""
        if self._staging is None:
            size = num_sequences * (self._num_words + 1)
            self._staging = torch.empty(size, dtype=torch.int32, pin_memory=device.type == "cuda")
        return self._staging


def _common_length(first: np.ndarray, second: np.ndarray) -> int:
    """Length of the longest common prefix of two arrays."""
    length = min(len(first), len(second))
    differing = (first[:length] != second[:length]).nonzero()[0]
    return int(differing[0]) if len(differing) else length
