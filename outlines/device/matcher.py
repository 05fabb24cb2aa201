"""A batch of sequences on a device, each under a constraint of its own or none: `Matcher` by vectors."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from outlines.device.arena import Arena
from outlines.kernels import dispatch, layout

__all__ = ["BatchMatcher"]

_STATE, _STATUS, _POSITION = layout.STATE.value, layout.STATUS.value, layout.POSITION.value
_LENGTH, _IS_TAKEN, _RUN = layout.LENGTH.value, layout.IS_TAKEN.value, layout.RUN.value
_READY = layout.READY.value


class BatchMatcher:
    """Sequences under constraints, advanced and masked together; belongs to one thread.

    Parameters
    ----------
    constraints : sequence of Constraint or None
        The constraint of each sequence; None leaves one unconstrained. All have the same vocabulary.
    device
        Where the sequences are; "cuda" is the current device.
    longest_run
        Tokens that one call of `advance` may bring for each sequence.
    rollback_window
        Calls of `advance` that can be taken back.
    arena
        Whose tables to use; by default the device's own.

    Attributes
    ----------
    lines : int32 tensor [B, 5 + longest_run]
        The sequences, as `outlines.kernels.layout` says: their states are `states`, the rest says what waits. It never
        moves.
    states, status, is_taken : int32 tensor [B]
        Views of it: the state's id; READY (0) or what is missing; whether the last `advance` took the new tokens.
    words : int32 tensor [B, W]
        The rows as of the last `mask`; never moves.

    Raises
    ------
    ValueError
        If the constraints are of different vocabularies, or there is none.

    Notes
    -----
    `advance` and `mask` launch one kernel each, and neither waits nor allocates: they may be captured in a CUDA graph,
    with rollback_window 0. A sequence that needs what the tables don't hold yet *stalls*: it keeps its tokens and takes
    no new ones, whatever its row allows meanwhile; `settle` waits for the device and adds what is missing. So either
    settle after each `advance`, and nothing stalls; or let the loop run, discard what a sequence sampled where
    `is_taken` is 0, and call `settle` between steps now and then. `complete` makes sure that nothing will stall.

    A stale id (of a state that was kept outside of the rollback window while the tables were made anew) never moves;
    `settle` raises for it.
    """

    @torch.inference_mode(False)  # what is made in that mode can't be written outside of it
    def __init__(
        self,
        constraints: Sequence[Any | None],
        device: torch.device | str = "cuda",
        *,
        longest_run: int = 1,
        rollback_window: int = 0,
        arena: Arena | None = None,
    ):
        self.arena = Arena.of(device) if arena is None else arena
        self.constraints = tuple(constraints)
        vocabularies = {id(each.vocabulary): each.vocabulary for each in constraints if each is not None}
        if len(vocabularies) != 1:
            raise ValueError(
                f"the constraints of a batch need one vocabulary, these have {len(vocabularies)}"
            )
        (self.vocabulary,) = vocabularies.values()
        known = self.arena.vocabulary(self.vocabulary)
        self._eos, self._num_tokens = known.eos, known.num_tokens
        size, device = len(self.constraints), self.arena.device
        self.lines = torch.zeros(size, _RUN + longest_run, dtype=torch.int32, device=device)
        self.states, self.status, self.is_taken = (self.lines[:, i] for i in (_STATE, _STATUS, _IS_TAKEN))
        self.words = torch.zeros(size, len(self._eos), dtype=torch.int32, device=device)
        self._row = torch.zeros(size, dtype=torch.int32, device=device)
        self._no_tokens = torch.zeros(size, 0, dtype=torch.int32, device=device)
        self._before: deque[torch.Tensor] = deque(maxlen=rollback_window)
        self.arena.register(self)  # before it has states, which another thread's eviction could miss
        self.reset()

    def __len__(self) -> int:
        return len(self.constraints)

    def reset(self) -> None:
        """Begin every sequence anew."""
        self.set_host_states([0 if each is None else each.start_state for each in self.constraints])

    @torch.inference_mode(False)
    def advance(self, tokens: torch.Tensor) -> None:
        """Take a token of each sequence, [B], or a run of tokens, [B, K]; int32 or int64, on the batch's device.

        A token that is forbidden leads to DEAD. What follows the end of a sequence leaves it FINISHED.
        """
        if tokens.dim() == 1:
            tokens = tokens[:, None]
        with self.arena.lock:
            if self._before.maxlen:
                self._before.append(self.lines.clone())
            self._launch(tokens, True)

    def _launch(self, tokens: torch.Tensor, takes_new: bool) -> None:
        with self.arena.lock, self.arena.memory.reading():
            dispatch.advance(
                self.arena.memory.header, self.lines, tokens, self._eos, self._num_tokens, takes_new
            )

    def mask(self) -> torch.Tensor:
        """Give the packed rows of the tokens that may come next: `words`, written anew.

        Returns
        -------
        int32 tensor [B, W]
            Bit t % 32 of word t // 32 is 1 where token t is allowed; all of them for an unconstrained sequence.
        """
        with self.arena.lock, self.arena.memory.reading():
            dispatch.compose(
                self.arena.memory.header, self.lines, self.words, self._row, self._eos, self._num_tokens
            )
        return self.words

    def mask_logits(self, logits: torch.Tensor) -> None:
        """Write -inf over the logits of forbidden tokens, in place; fp32, fp16 or bf16 [B, V]."""
        words = self.mask()
        if logits.device != words.device:
            dispatch.mask(logits, words.to(logits.device), self._row.to(logits.device), self._num_tokens)
        else:
            dispatch.mask(logits, words, self._row, self._num_tokens)

    @contextlib.contextmanager
    def replaying(self) -> Iterator[None]:
        """Replay a captured graph within this where other threads use the device: they write when it has passed."""
        with self.arena.lock, self.arena.memory.reading():
            yield

    def settle(self) -> bool:
        """Wait for the device, add what sequences wait for, and let them go on until none waits.

        Returns
        -------
        bool
            Whether any waited.

        Raises
        ------
        StaleStateError
            If a sequence is in a state of an earlier epoch.
        LimitError
            If it takes too long to tell what the vocabulary's tokens can spell.
        TableBudgetError
            If what batches are in doesn't fit into the arena's budget.
        """
        has_waited = False
        while True:
            with self.arena.lock:
                epoch = self.arena.epoch
            lines = self.read_lines()
            if (lines[:, _STATUS] == _READY).all():
                return has_waited
            has_waited = True
            self.arena.serve(self, lines, epoch)
            self._launch(self._no_tokens, False)

    def complete(self, most_states: int = 10_000) -> bool:
        """Add all that the sequences can meet; False if that's too much, as it is for open objects."""
        tables = {id(each.tables): each.tables for each in self.constraints if each is not None}
        is_complete = [self.arena.complete(each, most_states) for each in tables.values()]
        return all(is_complete)

    def reorder(self, parents: torch.Tensor) -> None:
        """Go on with other sequences' states: sequence b with that of `parents[b]`, as beams do."""
        with self.arena.lock:  # another thread may give new ids to all states meanwhile
            for lines in (self.lines, *self._before):
                lines.copy_(lines[parents])

    def rollback(self, num_calls: int) -> None:
        """Take the last calls of `advance` back.

        Raises
        ------
        ValueError
            If the rollback window holds fewer.
        """
        if not 0 <= num_calls <= len(self._before):
            raise ValueError(
                f"can't take back {num_calls} calls: {len(self._before)} are held (rollback_window "
                f"{self._before.maxlen})"
            )
        if num_calls:
            with self.arena.lock:
                for _ in range(num_calls):
                    lines = self._before.pop()
                self.lines.copy_(lines)
                self._launch(self._no_tokens, False)  # finds what is missing

    def forget(self) -> None:
        """Give up what could be rolled back to."""
        with self.arena.lock:  # another thread may give new ids to all states meanwhile
            self._before.clear()

    def restore(self, states: torch.Tensor) -> None:
        """Put every sequence into a state that it had before, as ids [B]: what rolling back is to whoever kept them."""
        with self.arena.lock:
            self.lines[:, _STATUS:] = 0
            self.states.copy_(states)
            self._launch(self._no_tokens, False)  # finds what is missing

    def host_states(self) -> list[int]:
        """Give the states as the constraints count them, waiting for the device."""
        with self.arena.lock:
            return [self.arena.host_state(state)[1] for state in self.read_lines()[:, _STATE].tolist()]

    def set_host_states(self, states: Sequence[int]) -> None:
        """Put every sequence into a state as its constraint counts them; there is nothing to roll back to then."""
        with self.arena.lock:
            tables = [None if each is None else each.tables for each in self.constraints]
            ids = self.arena.ids_of(tables, states)
            lines = np.zeros(self.lines.shape, np.int32)
            lines[:, _STATE] = ids
            self._before.clear()
            staged = torch.from_numpy(lines)
            if self.lines.is_cuda:  # pinned, else the copy waits for all that the stream has still to do
                staged = staged.pin_memory()
            self.lines.copy_(staged, non_blocking=True)

    def is_accepting(self) -> list[bool]:
        """Tell for each sequence whether its text is complete, waiting for the device."""
        return [
            True if each is None else each.is_accepting(state)
            for each, state in zip(self.constraints, self.host_states(), strict=True)
        ]

    # What the arena asks for

    def read_lines(self) -> NDArray:
        """Give a copy of the lines on the host, waiting for the device."""
        return self.lines.cpu().numpy().copy()

    def held_states(self) -> NDArray:
        """Give the ids that this batch is in or may roll back to: [1 + calls, B]."""
        return torch.stack([lines[:, _STATE] for lines in (self.lines, *self._before)]).cpu().numpy()

    def rename(self, states: NDArray, renamed: dict[int, int]) -> None:
        """Write the new ids of the held states; what has none was stale before."""
        new = np.asarray([renamed.get(state, state) for state in states.ravel().tolist()], np.int32)
        for lines, ids in zip((self.lines, *self._before), new.reshape(states.shape), strict=True):
            lines[:, _STATE] = torch.from_numpy(ids).to(self.lines.device)
