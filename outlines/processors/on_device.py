"""How the torch processor follows the rows of a batch on their device.

States, tokens and rows stay there. Under `generate` a hook advances the states on a side stream right after sampling,
while the model's next forward pass runs: `ahead` starts it and `follow`, called with that pass's logits, waits for the
flags that say whether a row misses something, never for the logits. Without the hook, and for beams, `follow` advances
by itself. In all cases the ids decide: a row goes on from where ids equal to its own led, compared on the device.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import torch

from outlines.device import Arena, BatchMatcher
from outlines.engine import FINISHED, UNCONSTRAINED
from outlines.kernels import layout

__all__ = ["DeviceFollower", "follow_on_host"]

#: Calls that can be taken back without the host's reading the ids: assisted generation takes back its drafts.
ROLLBACK_WINDOW = 32


class DeviceFollower:
    """Keeps a batch's states at what its ids say.

    Parameters
    ----------
    constraints
        The constraint of each row, None where it's free; not all None.
    input_ids : int64 tensor [B, length]
        The prompts.
    device
        Where the logits are.

    Attributes
    ----------
    waited_seconds : float
        Time in which the host waited for ids or flags.
    """

    def __init__(
        self,
        constraints: Sequence[Any | None],
        input_ids: torch.Tensor,
        device: torch.device,
        arena: Arena | None = None,
    ):
        self.batch = BatchMatcher(constraints, device, rollback_window=ROLLBACK_WINDOW, arena=arena)
        self.device = self.batch.lines.device
        self.waited_seconds = 0.0
        self._prompt_length = input_ids.shape[1]
        self._ids = input_ids.to(self.device)
        self._lengths: deque[int] = deque(maxlen=ROLLBACK_WINDOW)  # before each call that can be taken back
        self._has_beams = False
        self._ahead: torch.Tensor | None = None
        kinds: dict[int, int] = {}
        numbers = [kinds.setdefault(id(each), len(kinds)) for each in constraints]
        self._kind = torch.tensor(numbers, device=self.device)
        free = [row for row, each in enumerate(constraints) if each is None]
        self._free = torch.tensor(free, device=self.device) if free else None
        if self.device.type == "cuda":
            self._stream = torch.cuda.Stream(self.device)
            self.batch.lines.record_stream(self._stream)
        size = self.batch.lines.numel()
        self._flags = torch.zeros(size + 1, dtype=torch.int32, pin_memory=self.device.type == "cuda")

    def ahead(self, input_ids: torch.Tensor) -> None:
        """Begin to advance to ids that have one more token, if these are likely the next to be followed."""
        length = self._ids.shape[1]
        if self._has_beams or input_ids.shape != (len(self.batch), length + 1) or self._ahead is not None:
            return
        if input_ids.device != self.device:
            return
        if self.device.type == "cuda":
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with self._on_stream():
            if self.device.type == "cuda":
                for ids in (input_ids, self._ids):  # whoever made them may let them go meanwhile
                    ids.record_stream(self._stream)
            self._advance(input_ids)
        self._ahead = input_ids

    def follow(self, input_ids: torch.Tensor) -> None:
        """Bring the states to where the ids are.

        Raises
        ------
        ValueError
            If the ids belong to another generation than those before.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if self._is_advanced(ahead, input_ids):
                return
            self._take_back()
        ids = input_ids.to(self.device)
        if len(ids) != len(self.batch):
            raise ValueError(_ANOTHER)
        length, before = ids.shape[1], self._ids.shape[1]
        if not self._has_beams and before >= length:
            self._roll_back_to(max(length - 1, self._prompt_length))
        if ids.shape == self._ids.shape:  # the prompt once more
            self._send((ids == self._ids).all())
            if self._settle(ids):
                return
        if self._ids.shape[1] == length - 1:
            if not self._has_beams:
                self._advance(ids)
                if self._settle(ids):
                    return
                self._take_back()
            self._has_beams = True
            if self._reorder(ids):
                return
        self._has_beams = False
        self._recover(ids)

    def _advance(self, ids: torch.Tensor) -> None:
        """Advance all rows by their last ids, and send for the flags: whether the ids before are the known ones."""
        is_same = (ids[:, :-1] == self._ids).all()
        self._take(ids)
        self._lengths.append(ids.shape[1] - 1)
        self._send(is_same)

    def _take(self, ids: torch.Tensor) -> None:
        """Take the last id of each row. A free row stays free, whatever it ends with."""
        with self.batch.arena.lock:
            self.batch.advance(ids[:, -1:])
            if self._free is not None:
                self.batch.states.index_fill_(0, self._free, UNCONSTRAINED)

    def _send(self, is_same: torch.Tensor) -> None:
        flags = torch.cat([self.batch.lines.view(-1), is_same.view(1).int()])
        self._flags.copy_(flags, non_blocking=True)

    def _is_advanced(self, ahead: torch.Tensor, input_ids: torch.Tensor) -> bool:
        """Say whether what was done ahead is what is asked for; then have the current stream wait for it."""
        with self._on_stream():  # so that waiting doesn't wait for the model
            is_asked = ahead is input_ids and self._settle(ahead)
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).wait_stream(self._stream)
        return is_asked

    def _settle(self, ids: torch.Tensor) -> bool:
        """Wait for the flags; have the rows' misses filled, or say that the ids aren't what was followed."""
        started = perf_counter()
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        self.waited_seconds += perf_counter() - started
        flags = self._flags.numpy()
        if not flags[-1]:
            return False
        if flags[:-1].reshape(self.batch.lines.shape)[:, layout.STATUS.value].any():
            self.batch.settle()
        self._ids = ids
        return True

    def _take_back(self) -> None:
        self.batch.rollback(1)
        self._lengths.pop()

    def _roll_back_to(self, length: int) -> None:
        """Take back calls until as many ids were followed, if that is within the window."""
        if length in self._lengths:
            while self._ids.shape[1] > length:
                self._ids = self._ids[:, : self._lengths[-1]]
                self._take_back()

    def _reorder(self, ids: torch.Tensor) -> bool:
        """Go on from rows of the same constraint with the same ids before, any of them; False if a row has none."""
        before, last = ids[:, self._prompt_length : -1], self._ids[:, self._prompt_length :]
        # Equal ids have equal sums; what only the sums have equal shows in the ids that are then compared.
        place = torch.arange(before.shape[1], device=self.device)
        weight = (place * 2 + 1) * 0x5851F42D4C957F2D
        sums, last_sums = (((each + 1) * weight).sum(1) for each in (before, last))
        is_alike = (sums[:, None] == last_sums[None, :]) & (self._kind[:, None] == self._kind[None, :])
        parents = is_alike.int().argmax(1)
        is_same = (ids[:, :-1] == self._ids[parents]).all()
        self.batch.forget()
        self._lengths.clear()
        self.batch.reorder(parents)
        self._take(ids)
        self.batch.forget()
        self._send(is_same)
        return self._settle(ids)

    def _recover(self, ids: torch.Tensor) -> None:
        """Follow the ids anew from the prompt on, on the host: what no rule above covers."""
        start = self._prompt_length
        started = perf_counter()
        on_host, known = ids.cpu(), self._ids[:, :start].cpu()
        self.waited_seconds += perf_counter() - started
        if ids.shape[1] < start or not torch.equal(on_host[:, :start], known):
            raise ValueError(_ANOTHER)
        states = []
        for constraint, tokens in zip(self.batch.constraints, on_host[:, start:].tolist(), strict=True):
            path = [0 if constraint is None else constraint.start_state]
            if constraint is not None:
                follow_on_host(constraint, path, tokens)
            states.append(path[-1])
        self.batch.set_host_states(states)
        self._lengths.clear()
        self._ids = ids

    def _on_stream(self) -> contextlib.AbstractContextManager:
        return torch.cuda.stream(self._stream) if self.device.type == "cuda" else contextlib.nullcontext()


def follow_on_host(constraint: Any, path: list[int], tokens: list[int]) -> None:
    """Append the state after each token to a path. What follows the end (padding) leaves it finished."""
    state = path[-1]
    for token in tokens:
        if state != FINISHED:
            state = constraint.next_state(state, token)
        path.append(state)


_ANOTHER = "these ids belong to another generation than those of the last call: call `reset` between"
