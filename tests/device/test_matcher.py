"""What batches are asked, and what they refuse."""

from __future__ import annotations

import gc
import hashlib
import weakref

import pytest
import torch
from outlines.kernels import layout

from outlines.device import Arena, BatchMatcher
from outlines.device.arena import MOST_LISTED, SEGMENT
from outlines.engine import DEAD, FINISHED, UNCONSTRAINED, Constraint, Vocabulary
from outlines.exceptions import LimitError
from outlines.rows import Base, pack, unpack
from outlines.types import Regex

TOKENS = [
    *(bytes([i]) for i in range(256)),
    None,
    b"yes",
    b"no",
    b"ab",
    b'a"',
    "é".encode(),
    b"a\xc3",
    None,
    b"ba",
]
EOS, YES, NO, AB = 256, 257, 258, 259
VOCABULARY = Vocabulary(TOKENS, [EOS], cache=False)


@pytest.fixture
def arena():
    return Arena("cpu", 2**22, num_words=64, num_states=4, num_entries=4)


def step(batch, *tokens):
    batch.advance(torch.tensor(tokens))
    batch.settle()
    return batch.host_states()


def test_rows_of_one_batch_have_different_constraints(arena):
    constraints = [Constraint(Regex(pattern), VOCABULARY) for pattern in ("yes", "no", "[a-z]{2}")]
    batch = BatchMatcher([*constraints, None], arena=arena)
    assert len(batch) == 4
    assert [unpack(row.numpy()).tolist()[:3] for row in batch.mask()] == [
        [ord("y"), YES], [ord("n"), NO], [97, 98, 99], [0, 1, 2],
    ]  # fmt: skip
    assert batch.is_accepting() == [False, False, False, True]
    states = step(batch, YES, YES, AB, EOS)
    assert states[1:] == [DEAD, constraints[2].next_state(constraints[2].start_state, AB), FINISHED]
    assert batch.is_accepting() == [True, False, True, True]
    assert [unpack(row.numpy()).tolist() for row in batch.mask()] == [[EOS]] * 4


def test_a_run_of_tokens_is_taken_at_once(arena):
    constraint = Constraint(Regex("(yes|no)+"), VOCABULARY)
    batch = BatchMatcher([constraint, constraint], longest_run=4, arena=arena)
    states = step(batch, [YES, NO, YES, EOS], [YES, NO, EOS, 3])
    assert states == [FINISHED, FINISHED]
    assert step(batch, [0], [0]) == [FINISHED, FINISHED]


def test_logits_are_masked_and_free_rows_left_alone(arena):
    batch = BatchMatcher([Constraint(Regex("yes"), VOCABULARY), None], arena=arena)
    logits = torch.zeros(2, len(TOKENS) + 5)
    batch.mask_logits(logits)
    assert (logits[0] == 0).nonzero().squeeze(1).tolist() == [ord("y"), YES]
    assert (logits[1] == 0).all()


def test_beams_go_on_from_any_row(arena):
    constraint = Constraint(Regex("(yes|no)+"), VOCABULARY)
    batch = BatchMatcher([constraint, constraint], rollback_window=1, arena=arena)
    _, no = step(batch, YES, ord("n"))
    batch.reorder(torch.tensor([1, 1]))
    assert batch.host_states() == [no, no]
    batch.reset()
    assert batch.host_states() == [constraint.start_state] * 2
    with pytest.raises(ValueError, match="can't take back 1 calls: 0 are held"):
        batch.rollback(1)


def test_one_vocabulary_a_batch(arena):
    other = Vocabulary(TOKENS, [EOS], cache=False)
    constraints = [Constraint("yes", VOCABULARY), Constraint("yes", other)]
    with pytest.raises(ValueError, match="need one vocabulary, these have 2"):
        BatchMatcher(constraints, arena=arena)
    with pytest.raises(ValueError, match="need one vocabulary, these have 0"):
        BatchMatcher([None], arena=arena)
    for constraint in constraints:  # but an arena serves any number of them
        assert unpack(BatchMatcher([constraint], arena=arena).mask()[0].numpy()).tolist() == [ord("y"), YES]


def record(arena, constraint, state) -> dict[str, int]:
    slot = arena.id_of(constraint.tables, state) - arena.memory.first_id
    names = ("MOVES", "LAST", "BASE", "SECOND", "LIST", "NUM_SET", "NUM_CLEAR", "FLAGS")
    return {**dict(zip(names, arena.memory.records[slot].tolist(), strict=True)), "slot": slot}


@pytest.mark.parametrize(
    "source",
    [{"type": "string"}, {"type": "string", "minLength": 9, "maxLength": 60}, Regex("[a-z]+")],
    ids=["free", "counted", "class"],
)
def test_what_stays_inside_a_head_needs_no_entry(arena, source):
    constraint = Constraint(source, VOCABULARY)
    batch = BatchMatcher([constraint], arena=arena)
    begin = b"aa" if isinstance(source, Regex) else b'"aa'
    for token in begin:
        step(batch, token)  # attaches the moves, at the latest
    used = arena.memory._num_used_entries
    for token in b"qwertzuiopabcdefgh":
        batch.advance(torch.tensor([token]))
        assert batch.settle() is False
    for token in (AB, AB):
        batch.advance(torch.tensor([token]))
        assert batch.settle() is False
    assert arena.memory._num_used_entries == used
    matcher = constraint.matcher()
    for token in [*begin, *b"qwertzuiopabcdefgh", AB, AB]:
        assert matcher.advance(token)
    assert batch.host_states() == [matcher.state]


def test_counts_beyond_a_segment_are_looked_up(arena):
    constraint = Constraint({"type": "string", "maxLength": SEGMENT + 9}, VOCABULARY)
    batch, matcher = BatchMatcher([constraint], arena=arena), constraint.matcher()
    for token in [ord('"'), *[AB] * (SEGMENT // 2 + 4), ord("x"), ord('"')]:
        assert matcher.advance(token)
        assert step(batch, token) == [matcher.state]
    assert batch.is_accepting() == [True]


def test_a_token_that_ends_within_a_character_does_not_move(arena):
    constraint = Constraint({"type": "string", "maxLength": 9}, VOCABULARY)
    batch, matcher = BatchMatcher([constraint], arena=arena), constraint.matcher()
    for token in [ord('"'), TOKENS.index(b"a\xc3"), 0xA9, TOKENS.index("é".encode()), ord('"')]:
        assert matcher.advance(token)
        assert step(batch, token) == [matcher.state]


def test_an_end_that_the_tail_may_follow_is_no_place_to_stay(arena):
    # "ab" leads back to the same head, but past an end after which the tail may have begun.
    constraint = Constraint(Regex("(ab)*(a[^c]*c)?"), VOCABULARY)
    for text in (b"abab", b"aab", b"ababa!c"):
        batch, state = BatchMatcher([constraint], arena=arena), constraint.start_state
        for token in [*text, AB, AB, ord("c")]:
            state = constraint.next_state(state, token)
            assert step(batch, token) == [state]


@pytest.mark.parametrize(
    ("text", "token", "stays"), [(b"", b"ab", True), (b"a", b"ba", False), (b"a", b"ab", False)]
)
def test_a_token_that_passes_an_end_stays_only_where_the_head_may_end_anyway(arena, text, token, stays):
    constraint = Constraint(Regex("(ab)*"), VOCABULARY)
    state = constraint.start_state
    for byte in text:
        state = constraint.next_state(state, byte)
    head, _ = constraint.tables.lone_head(state)
    moves = arena.vocabulary(VOCABULARY).staying(head, constraint.tables.heads)
    assert (moves[TOKENS.index(token)] == 0) == stays


def test_equal_rows_are_held_once(arena):
    first, second = (Constraint({"type": "string"}, VOCABULARY) for _ in range(2))
    states = [each.next_state(each.start_state, ord('"')) for each in (first, second)]
    batch = BatchMatcher([first, second], arena=arena)
    step(batch, ord('"'), ord('"'))
    records = [record(arena, *pair) for pair in zip((first, second), states, strict=True)]
    assert records[0]["slot"] != records[1]["slot"]
    assert records[0]["BASE"] == records[1]["BASE"] >= 0


def test_a_row_without_some_tokens_is_a_list_to_clear(arena, monkeypatch):
    constraint = Constraint(Regex("[a-z]+"), VOCABULARY)
    base = Base(pack(range(10, 200), VOCABULARY.num_words))
    for cleared in ([], [11, 31, 63], list(range(20, 20 + MOST_LISTED)), list(range(20, 21 + MOST_LISTED))):
        row = Base(base.words & ~pack(cleared, VOCABULARY.num_words), base)
        monkeypatch.setattr(constraint.tables, "row_parts", lambda state, row=row: ((row,), (3, 31)))
        arena.evict()
        batch = BatchMatcher([constraint], arena=arena)
        assert unpack(batch.mask()[0].numpy()).tolist() == sorted(
            {3, 31} | set(range(10, 200)) - set(cleared)
        )
        found = record(arena, constraint, constraint.start_state)
        assert found["NUM_CLEAR"] == (len(cleared) if len(cleared) <= MOST_LISTED else 0)
        assert (found["BASE"] == arena._units.get(arena_key(base))) == (len(cleared) <= MOST_LISTED)


def arena_key(base) -> bytes:
    return hashlib.blake2b(base.words.tobytes(), digest_size=16).digest()


def test_constraints_are_freed_and_what_they_had_goes_with_the_epoch(arena):
    constraint = Constraint({"enum": [f"value {i}" for i in range(20)]}, VOCABULARY)
    batch = BatchMatcher([constraint], arena=arena)
    step(batch, ord('"'))
    assert arena.memory.num_states > layout.FIRST_SLOT.value
    gone = weakref.ref(constraint.tables)
    del constraint, batch
    gc.collect()
    assert gone() is None
    arena.evict()
    assert arena.memory.num_states == layout.FIRST_SLOT.value
    assert arena.memory.first_id > 0


def test_a_new_epoch_begins_as_small_as_the_arena_did(arena):
    first = arena.memory.num_bytes
    batch = BatchMatcher([Constraint({"enum": [f"value {i}" for i in range(20)]}, VOCABULARY)], arena=arena)
    batch.complete()
    row = batch.mask().clone()
    grown = arena.memory.num_bytes
    del batch
    gc.collect()
    arena.evict()
    assert arena.memory.num_bytes == first < grown
    assert arena.memory.header[layout.NUM_WORDS.value] == 64
    batch = BatchMatcher([Constraint({"enum": [f"value {i}" for i in range(20)]}, VOCABULARY)], arena=arena)
    assert torch.equal(batch.mask(), row)


def test_a_sequence_that_hits_a_limit_does_not_cost_the_others(arena, monkeypatch):
    bad, good = (Constraint(Regex("([a-z]|[0-9][a-z]){40}"), VOCABULARY) for _ in range(2))
    batch = BatchMatcher([bad, good], arena=arena)

    def limited(state, token):
        raise LimitError("MAX_SPELLING_STEPS", "too many")

    monkeypatch.setattr(bad.tables, "next_state", limited)
    batch.advance(torch.tensor([ord("7"), ord("7")]))
    for _ in range(2):
        with pytest.raises(LimitError, match="too many"):
            batch.settle()
    batch.advance(torch.tensor([ord("7"), ord("a")]))
    assert batch.status.tolist() == [layout.NO_TRANSITION.value, layout.READY.value]
    state = good.next_state(good.start_state, ord("7"))
    assert batch.states[1] == arena.id_of(good.tables, state)
    assert not batch.complete()


def test_host_states_can_be_set(arena):
    constraint = Constraint(Regex("(yes|no)+"), VOCABULARY)
    batch = BatchMatcher([constraint, None, constraint], arena=arena)
    state = constraint.next_state(constraint.start_state, ord("y"))
    batch.set_host_states([state, UNCONSTRAINED, FINISHED])
    assert batch.host_states() == [state, UNCONSTRAINED, FINISHED]
    assert unpack(batch.mask()[0].numpy()).tolist() == [ord("e")]


def test_complete_says_what_can_not_be_completed(arena):
    assert BatchMatcher([Constraint({"enum": [1, 23, "x"]}, VOCABULARY)], arena=arena).complete()
    assert not BatchMatcher([Constraint({}, VOCABULARY)], arena=arena).complete(most_states=50)
