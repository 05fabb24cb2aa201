"""The arena: what all constraints and batches of one device share, as mirrors of the host's tables.

A state of a constraint gets a *slot* when a batch meets it; its id on the device is the slot and what slots of earlier
epochs used up, so an id is never used twice. Its row is added as base rows and a list, what keeps it within its head as
moves, and the rest as transitions by token. Equal rows, lists and moves are held once, whoever they belong to.

All of this can be made again from the host's tables, so a device that lacks something only *misses* it: the sequence
waits, `serve` adds it, and what the sequence may meet next as well. When the budget is used up, everything goes but the
states that live batches are in or may roll back to, and the start states of living constraints: a new *epoch* begins,
in which the old ids are stale. Constraints are held by weak references only; what a freed one had goes with the epoch.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from outlines.constraints.expression import Expression
from outlines.constraints.strings import Text
from outlines.device.heads import DeviceVocabulary
from outlines.device.memory import FullError, Memory
from outlines.exceptions import LimitError, StaleStateError, TableBudgetError
from outlines.kernels import layout
from outlines.rows import Base, unpack
from outlines.tables import DEAD, Tables
from outlines.vocabulary import Vocabulary

if TYPE_CHECKING:
    from outlines.device.matcher import BatchMatcher

__all__ = ["BUDGET_BYTES", "Arena"]

BUDGET_BYTES = 256 * 2**20

#: A list of more tokens than this is made into a row of its own: `compose` compares every token with every word.
MOST_LISTED = 64

#: States of consecutive counts that get their slots together: the longest token seldom has more characters.
SEGMENT = 64

#: What a sequence may meet next is added ahead where a state allows at most so many tokens, for so many states.
FEW_TOKENS = 8
MOST_AHEAD = 32

_FIRST_SLOT = layout.FIRST_SLOT.value


class Arena:
    """Rows, records and transitions on one device.

    Parameters
    ----------
    device
        Where they lie. On the CPU the kernels' references read them.
    budget_bytes
        What the tables may take; `TableBudgetError` where what is in use at once takes more.
    num_words, num_states, num_entries
        Sizes to begin with, the last a power of two.

    Attributes
    ----------
    epoch : int
        How often everything but what is in use was forgotten.
    lock : RLock
        Held by whoever adds to the tables or launches what reads them.
    """

    _of_device: dict[torch.device, Arena] = {}  # noqa: RUF012, shared on purpose
    _of_device_lock = threading.Lock()

    def __init__(
        self,
        device: torch.device | str,
        budget_bytes: int = BUDGET_BYTES,
        *,
        num_words: int = 2**20,
        num_states: int = 2**12,
        num_entries: int = 2**14,
    ):
        self.device = torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self.memory = Memory(self.device, budget_bytes, num_words, num_states, num_entries)
        self.lock = threading.RLock()
        self.epoch = 0
        self._vocabularies: weakref.WeakKeyDictionary[Vocabulary, DeviceVocabulary] = (
            weakref.WeakKeyDictionary()
        )
        self._batches: weakref.WeakSet[BatchMatcher] = weakref.WeakSet()
        self._forget()

    @classmethod
    def of(cls, device: torch.device | str) -> Arena:
        """Give the one arena of a device, made at the first call."""
        device = torch.device(device)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        with cls._of_device_lock:
            found = cls._of_device.get(device)
            if found is None:
                found = cls._of_device[device] = cls(device)
            return found

    def _forget(self) -> None:
        self._slots: weakref.WeakKeyDictionary[Tables, dict[int, int]] = weakref.WeakKeyDictionary()
        self._owners: list[weakref.ref[Tables] | None] = [None] * _FIRST_SLOT
        self._host_states: list[int] = list(range(_FIRST_SLOT))
        self._units: dict[bytes, int] = {}
        self._moves: dict[int, NDArray] = {}  # by unit

    def vocabulary(self, vocabulary: Vocabulary) -> DeviceVocabulary:
        """Give what the device knows of a vocabulary."""
        with self.lock:
            found = self._vocabularies.get(vocabulary)
            if found is None:
                found = self._vocabularies[vocabulary] = DeviceVocabulary(vocabulary, self.device)
            return found

    # Ids

    def id_of(self, tables: Tables, state: int) -> int:
        """Give the id of a constraint's state, new if it has none; the lock must be held."""
        if state < _FIRST_SLOT:
            return state
        slots = self._slots.get(tables)
        if slots is None:
            slots = self._slots[tables] = {}
        slot = slots.get(state)
        if slot is None:
            slot = self._add(tables, slots, state)
        return self.memory.first_id + slot

    def host_state(self, state: int) -> tuple[Tables | None, int]:
        """Give the tables (None for reserved states) and the state there of an id.

        Raises
        ------
        StaleStateError
            If the id is of an earlier epoch, or its constraint is gone.
        """
        if DEAD <= state < _FIRST_SLOT:
            return None, state
        slot = state - self.memory.first_id
        tables = None
        if _FIRST_SLOT <= slot < self.memory.num_states:
            owner = self._owners[slot]
            assert owner is not None
            tables = owner()
        if tables is None:
            raise StaleStateError(f"state {state} is not one of this epoch ({self.epoch}): {_STALE_REMEDY}")
        return tables, self._host_states[slot]

    def _add(self, tables: Tables, slots: dict[int, int], state: int) -> int:
        """Give a state its slot. A counted string gets those of the next counts as well, behind each other."""
        states, moves, unit = [state], None, -1
        lone = tables.lone_head(state)
        if lone is not None and isinstance(lone[0], Text):
            moves = self.vocabulary(tables.vocabulary).counting(lone[0], tables.heads)
            single = np.flatnonzero(moves == 1)
            if len(single):
                states, unit = self._segment(tables, slots, state, int(single[0])), self._unit(moves)
                self._moves[unit] = moves
        first = self.memory.add_slots(len(states))
        last = first + len(states) - 1
        if unit >= 0:
            for slot in range(first, last + 1):
                self.memory.change(slot, MOVES=unit, LAST=last)
        owner = weakref.ref(tables)
        self._owners += [owner] * len(states)
        self._host_states += states
        slots.update(zip(states, range(first, last + 1), strict=True))
        return first

    def _segment(self, tables: Tables, slots: dict[int, int], state: int, token: int) -> list[int]:
        """Give a counted string's state and those after 1, 2, ... more characters, each one `token`."""
        states = [state]
        while len(states) < SEGMENT:
            following = tables.next_state(states[-1], token)
            lone = tables.lone_head(following) if following >= _FIRST_SLOT else None
            if lone is None or not isinstance(lone[0], Text) or following in slots:
                break
            states.append(following)
        return states

    # Rows, moves and transitions of slots

    def add_row(self, state: int) -> tuple[int, ...] | None:
        """Add the row of an id, unless it's there; give its tokens if they are few and no base row is among them.

        Raises
        ------
        LimitError
            If it takes too long to tell what the vocabulary's tokens can spell.
        """
        tables, host_state = self.host_state(state)
        if tables is None:
            return None
        slot = state - self.memory.first_id
        _, _, base, _, _, num_set, _, flags = self.memory.records[slot].tolist()
        if flags & layout.HAS_ROW.value and (base >= 0 or num_set > FEW_TOKENS):
            return None
        bases, tokens = tables.row_parts(host_state)
        if not flags & layout.HAS_ROW.value:
            self._write_row(tables, slot, host_state, bases, tokens)
        return tokens if not bases and len(tokens) <= FEW_TOKENS else None

    def _write_row(
        self, tables: Tables, slot: int, state: int, bases: tuple[Base, ...], tokens: tuple[int, ...]
    ) -> None:
        cleared: list[int] = []
        if len(bases) > 2 or len(tokens) > MOST_LISTED:
            rows, tokens = [tables.row(state)], ()
        elif len(bases) == 1 and bases[0].origin is not None:  # a base row without some tokens
            origin = bases[0].origin
            differing = unpack(origin.words & ~bases[0].words)
            if len(differing) <= MOST_LISTED:
                rows, cleared = [origin.words], differing.tolist()
            else:
                rows = [bases[0].words]
        else:
            rows = [base.words for base in bases]
        units = [self._unit(row) for row in rows] + [-1, -1]
        listed = np.asarray([*tokens, *cleared], np.int32)
        flags = layout.HAS_ROW.value | (layout.IS_ACCEPTING.value if tables.is_accepting(state) else 0)
        self.memory.change(
            slot,
            BASE=units[0],
            SECOND=units[1],
            LIST=self._unit(listed) if len(listed) else 0,
            NUM_SET=len(tokens),
            NUM_CLEAR=len(cleared),
            FLAGS=flags,
        )

    def _unit(self, content: NDArray) -> int:
        """Give the unit where some content lies, added if it isn't there yet."""
        key = hashlib.blake2b(content.tobytes(), digest_size=16).digest()
        unit = self._units.get(key)
        if unit is None:
            unused = -content.nbytes % 4
            padded = np.pad(content, (0, unused // content.itemsize)) if unused else content
            unit = self._units[key] = self.memory.add_words(padded)
        return unit

    def add_transition(self, state: int, token: int) -> int:
        """Give the id after a token of the vocabulary, and see to it that the device finds it; not for reserved ids."""
        tables, host_state = self.host_state(state)
        assert tables is not None
        slot = state - self.memory.first_id
        following = tables.next_state(host_state, token)
        if following == host_state:
            self.add_staying(slot, tables, host_state, token)
        after = self.id_of(tables, following)
        move, last = self._move(slot, token)
        if move < 0 or slot + move > last:
            # Where one length may end, so may others, and a text of another length will come.
            alike = range(slot + 1, last + 1) if following >= _FIRST_SLOT else ()
            self.memory.put(slot, token, after)
            for each in alike:
                following = tables.next_state(self._host_states[each], token)
                self.memory.put(each, token, self.id_of(tables, following))
        return after

    def add_staying(self, slot: int, tables: Tables, state: int, token: int | None = None) -> None:
        """Attach the moves of the head in which tokens stay to a state without; for a token, only if it's of them."""
        if self.memory.records[slot, layout.MOVES.value] >= 0:
            return
        lone = tables.lone_head(state)
        if lone is None:
            return
        head, is_accepting = lone
        if not isinstance(head, Expression):
            return
        if (
            is_accepting and not head.nullable
        ):  # the text may end here, but not after one more token of the head
            return
        moves = self.vocabulary(tables.vocabulary).staying(head, tables.heads)
        if moves is not None and (token is None or moves[token] == 0):
            unit = self._unit(moves)
            self._moves[unit] = moves
            self.memory.change(slot, MOVES=unit, LAST=slot)

    def _move(self, slot: int, token: int) -> tuple[int, int]:
        """Give a slot's move by a token, -1 if there's none, and the last slot that it may lead to."""
        unit, last = self.memory.records[slot, [layout.MOVES.value, layout.LAST.value]].tolist()
        return (int(self._moves[unit][token]), last) if unit >= 0 else (-1, -1)

    # Batches

    def register(self, batch: BatchMatcher) -> None:
        """Keep a batch's states while it lives."""
        with self.lock:
            self._batches.add(batch)

    def ids_of(self, tables: Sequence[Tables | None], states: Sequence[int]) -> list[int]:
        """Give the ids of constraints' states, their rows added and what may follow them; None is unconstrained."""
        with self.lock:
            for attempt in range(2):
                try:
                    ids = [
                        layout.UNCONSTRAINED.value if each is None else self.id_of(each, state)
                        for each, state in zip(tables, states, strict=True)
                    ]
                    self._add_needed(dict.fromkeys(ids))
                    return ids
                except FullError:
                    self._evict(attempt)
        raise AssertionError

    def serve(self, batch: BatchMatcher, lines: NDArray, epoch: int) -> None:
        """Add what the sequences of a batch wait for.

        Parameters
        ----------
        batch
            The batch.
        lines : int32 array [B, 5 + N]
            What it held, as `layout` says.
        epoch
            The arena's epoch when they were read.

        Raises
        ------
        StaleStateError
            If a sequence is in a state of an earlier epoch. Names the first; the others are served before.
        LimitError
            If it takes too long to tell what the vocabulary's tokens can spell; the others are served before.
        TableBudgetError
            If what the batches are in doesn't fit into the budget.
        """
        with self.lock:
            for attempt in range(2):
                if epoch != self.epoch:
                    lines, epoch = batch.read_lines(), self.epoch
                try:
                    self._serve(lines)
                    return
                except FullError:
                    self._evict(attempt)

    def _serve(self, lines: NDArray) -> None:
        reached: dict[int, None] = {}
        failed: StaleStateError | LimitError | None = None
        for sequence in np.flatnonzero(lines[:, layout.STATUS.value] != layout.READY.value).tolist():
            try:
                reached[self._go_on(sequence, *lines[sequence].tolist())] = None
            except (StaleStateError, LimitError) as error:
                failed = failed or error
        self._add_needed(reached)
        if failed is not None:
            raise failed

    def _go_on(self, sequence: int, state: int, status: int, position: int, length: int, _: int, *run: int) -> int:
        """Add the transitions of a sequence's run, and the row of the state that it leads to; give that state."""
        if status == layout.STALE.value:
            raise StaleStateError(f"sequence {sequence}: state {state} is of an earlier epoch: {_STALE_REMEDY}")
        for token in run[position:length]:
            if state < _FIRST_SLOT or token < 0:
                break  # what follows goes by rules
            state = self.add_transition(state, token)
        self.add_row(state)
        return state

    def _add_needed(self, states: Iterable[int]) -> None:
        """Add the rows of some ids, and if there's room for it what they may meet next; bring all to the device."""
        for state in states:
            self.add_row(state)
        try:
            for state in states:
                self._add_ahead(state)
                if state >= _FIRST_SLOT:
                    slot = state - self.memory.first_id
                    for each in range(slot + 1, int(self.memory.records[slot, layout.LAST.value]) + 1):
                        self.add_row(
                            self.memory.first_id + each
                        )  # the next counts have much of their rows in common
        except (FullError, LimitError):
            pass  # it will be a miss, and who meets it is told
        self.memory.flush()

    def _add_ahead(self, state: int) -> None:
        """Add rows and transitions from an id on while few tokens are allowed."""
        waiting = [state]
        for place, each in enumerate(waiting):
            tokens = self.add_row(each)
            if tokens is None or place >= MOST_AHEAD:
                continue
            for token in tokens:
                after = self.add_transition(each, token)
                if after >= _FIRST_SLOT and after not in waiting:
                    waiting.append(after)

    def complete(self, tables: Tables, most_states: int = 10_000) -> bool:
        """Add all that a constraint's sequences can meet; False if that is more than `most_states` or the budget holds.

        After True nothing can miss until the next epoch, so a loop needs no look at what waits.
        """
        with self.lock:
            try:
                waiting = {self.id_of(tables, tables.start_state): None}
                for state in _growing(waiting):
                    if len(waiting) > most_states:
                        return False
                    waiting.update(dict.fromkeys(self._add_all(tables, state)))
                return True
            except (FullError, LimitError):
                return False
            finally:
                self.memory.flush()

    def _add_all(self, tables: Tables, state: int) -> list[int]:
        """Add the row of an id and all its transitions; give the ids that these lead to."""
        self.add_row(state)
        slot, host_state = state - self.memory.first_id, self.host_state(state)[1]
        self.add_staying(slot, tables, host_state)
        tokens = unpack(tables.row(host_state))
        unit, last = self.memory.records[slot, [layout.MOVES.value, layout.LAST.value]].tolist()
        moved = self._moves[unit][tokens] if unit >= 0 else np.full(len(tokens), -1)
        is_moved = (moved >= 0) & (slot + moved.astype(np.int64) <= last)
        after = {state + move for move in np.unique(moved[is_moved]).tolist()}
        after |= {self.add_transition(state, token) for token in tokens[~is_moved].tolist()}
        return [each for each in after if each >= _FIRST_SLOT]

    def evict(self) -> None:
        """Begin a new epoch now: forget all but what is in use."""
        with self.lock:
            self._evict(0)

    def _evict(self, attempt: int) -> None:
        if attempt:
            raise TableBudgetError(
                f"the states that batches are in need more than the budget of {self.memory.budget_bytes} bytes "
                "(`budget_bytes` of the arena): raise it, or use smaller batches at once"
            )
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # whatever stream reads the tables
        batches = list(self._batches)
        held = [(batch, batch.held_states()) for batch in batches]
        known: dict[int, tuple[Tables, int]] = {}
        for _, states in held:
            for state in np.unique(states).tolist():
                slot = state - self.memory.first_id
                if _FIRST_SLOT <= slot < self.memory.num_states:
                    owner = self._owners[slot]
                    assert owner is not None
                    if (tables := owner()) is not None:
                        known[state] = tables, self._host_states[slot]
        alive = list(self._slots)
        self._forget()
        self.memory.clear()
        self.epoch += 1
        try:
            for tables in alive:
                self.id_of(tables, tables.start_state)
            renamed = {state: self.id_of(*where) for state, where in known.items()}
            for state in {
                renamed[state] for _, states in held for state in states[0].tolist() if state in renamed
            }:
                self.add_row(state)  # a batch masks by it next
        except FullError:
            self._evict(1)
        for batch, states in held:
            batch.rename(states, renamed)
        self.memory.flush()
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()  # other streams go on with the batches


def _growing(waiting: dict[int, None]) -> Iterator[int]:
    """Give the keys of a dictionary, those too that are added meanwhile."""
    done: set[int] = set()
    while left := [key for key in waiting if key not in done]:
        for key in left:
            done.add(key)
            yield key


_STALE_REMEDY = (
    "the tables were made anew since, within their budget. Keep a rollback_window in the batch, whose states are "
    "carried over, or raise the budget of the arena"
)
