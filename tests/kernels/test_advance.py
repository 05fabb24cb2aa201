"""Every way to advance, against the rules in plain Python over dictionaries."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from outlines.kernels import advance, dispatch, layout

from outlines.device.memory import Memory
from tests.kernels import arenas
from tests.kernels.arenas import DEAD, FINISHED, UNCONSTRAINED, Content, Record

READY, NO_TRANSITION, NO_ROW, STALE = range(4)


def following(content: Content, state: int, token: int) -> int | None:
    """Give the state after a token; None where the arena doesn't say."""
    if state == FINISHED:
        return FINISHED
    is_token = 0 <= token < content.num_tokens
    if state == UNCONSTRAINED:
        return FINISHED if is_token and token in content.eos else UNCONSTRAINED
    if state == DEAD or not is_token:
        return DEAD
    record, slot = content.record(state), state - content.first_id
    if record.moves is not None and 0 <= record.moves[token] <= record.reach:
        return state + record.moves[token]
    return content.transitions.get((slot, token))


def expected(content: Content, batch, tokens, takes_new: bool) -> list[list[int]]:
    """Say what must become of each line."""
    result = []
    for line, new in zip(batch.tolist(), tokens.tolist(), strict=True):
        state, status, position, length, was_taken, *run = line
        if not (0 <= state <= 2 or content.record(state)):
            result.append([state, STALE, position, length, 0 if takes_new else was_taken, *run])
            continue
        is_taken = takes_new and status == READY and position == length
        if is_taken:
            run[: len(new)] = [token if 0 <= token < content.num_tokens else -1 for token in new]
            position, length = 0, len(new)
        while position < length and (after := following(content, state, run[position])) is not None:
            state, position = after, position + 1
        has_row = state <= 2 or content.record(state).row is not None
        if position < length:
            status = NO_TRANSITION
        else:
            status = READY if has_row and not (takes_new and status == NO_ROW) else NO_ROW
        result.append([state, status, position, length, int(is_taken) if takes_new else was_taken, *run])
    return result


def check(way, content: Content, batch, tokens, takes_new=True):
    want = expected(content, batch, tokens, takes_new)
    memory = content.memory(way.device)
    batch = batch.to(way.device)
    way(
        memory.header,
        batch,
        tokens.to(way.device),
        content.eos_row().to(way.device),
        content.num_tokens,
        takes_new,
    )
    assert batch.tolist() == want
    return batch


@given(st.data())
def test_any_batch_goes_by_the_rules(way, data):
    content = data.draw(arenas.contents())
    longest = data.draw(st.integers(1, 4))
    batch = data.draw(arenas.lines(content, longest))
    num_new = data.draw(st.integers(0, longest))
    token = st.integers(-1, content.num_tokens + 1) | st.sampled_from([2**31 - 1, -(2**31)])
    tokens = [data.draw(st.lists(token, min_size=num_new, max_size=num_new)) for _ in batch]
    dtype = data.draw(st.sampled_from([torch.int32, torch.int64]))
    tokens = torch.tensor(tokens, dtype=dtype).reshape(len(batch), num_new)
    check(way, content, batch, tokens, data.draw(st.booleans()))


ROW = ([], [], [0])
CHAIN = Content(
    40, 7, [Record(None, 0, ROW), Record([0] * 39 + [-1], 0, ROW)], {(3, 0): 11, (4, 39): FINISHED}, {39}
)


def new(*states: int, longest=1) -> torch.Tensor:
    batch = torch.zeros(len(states), layout.RUN.value + longest, dtype=torch.int32)
    batch[:, layout.STATE.value] = torch.tensor(states)
    return batch


def test_many_sequences_in_one_launch(way):
    states = torch.tensor([10, 11, DEAD, FINISHED, UNCONSTRAINED, -5])[torch.arange(4096) % 6]
    tokens = torch.arange(4096)[:, None] % 41
    check(way, CHAIN, new(*states.tolist()), tokens)


def test_no_sequences(way):
    check(way, CHAIN, new(), torch.zeros(0, 1, dtype=torch.int64))


def test_tokens_beyond_32_bits_are_no_tokens(way):
    batch = check(way, CHAIN, new(11, 11), torch.tensor([[2**32], [-(2**40)]]))
    assert batch[:, layout.STATE.value].tolist() == [DEAD, DEAD]


def test_columns_of_a_larger_tensor_are_read(way):
    tokens = torch.arange(24).view(2, 12)[:, 3::4]
    check(way, CHAIN, new(11, 10, longest=3), tokens)


def test_a_stalled_run_goes_on_where_it_stopped(way):
    memory = CHAIN.memory(way.device)
    batch, eos = new(10, longest=3).to(way.device), CHAIN.eos_row().to(way.device)
    run, other = (torch.tensor([tokens], device=way.device) for tokens in ([0, 39, 2], [5, 5, 5]))
    way(memory.header, batch, run, eos, 40)
    assert batch[0, :4].tolist() == [FINISHED, READY, 3, 3]

    batch = new(10, longest=3).to(way.device)
    way(memory.header, batch, torch.tensor([[1, 1, 39]], device=way.device), eos, 40)
    assert batch[0].tolist() == [10, NO_TRANSITION, 0, 3, 1, 1, 1, 39]
    way(memory.header, batch, other, eos, 40)  # it doesn't take what comes meanwhile
    assert batch[0].tolist() == [10, NO_TRANSITION, 0, 3, 0, 1, 1, 39]
    memory.put(3, 1, 11)
    memory.flush()
    way(memory.header, batch, run[:, :0], eos, 40, False)
    assert batch[0].tolist() == [FINISHED, READY, 3, 3, 0, 1, 1, 39]


def test_a_row_that_came_after_the_mask_does_not_let_its_token_through(way):
    content = CHAIN._replace(
        records=[Record(None, 0, None), Record([0] * 40, 0, ROW)], transitions={(3, 0): 11}
    )
    memory = content.memory(way.device)
    batch, eos = new(10).to(way.device), content.eos_row().to(way.device)
    batch[0, layout.STATUS.value] = NO_ROW
    memory.change(3, LIST=memory.add_words(torch.zeros(1, dtype=torch.int32).numpy()), NUM_SET=1, FLAGS=1)
    memory.flush()
    tokens = torch.zeros(1, 1, dtype=torch.int64, device=way.device)
    way(memory.header, batch, tokens, eos, 40)
    assert batch[0, :5].tolist() == [10, NO_ROW, 0, 0, 0]
    way(memory.header, batch, tokens[:, :0], eos, 40, False)
    assert batch[0, :5].tolist() == [10, READY, 0, 0, 0]
    way(memory.header, batch, tokens, eos, 40)
    assert batch[0, :5].tolist() == [11, READY, 1, 1, 1]


def test_a_table_as_full_as_it_gets_is_searched_to_the_end(way):
    transitions = {(3, token): 10 + token % 2 for token in range(500)}
    content = Content(1000, 7, [Record(None, 0, ROW), Record(None, 0, ROW)], transitions, set())
    memory = content.memory(way.device)
    assert memory.num_growths == 3  # words, records and entries, at the one flush
    batch = new(*[10] * 1000).to(way.device)
    tokens = torch.arange(1000, device=way.device)[:, None]
    way(memory.header, batch, tokens, content.eos_row().to(way.device), 1000)
    assert batch[:500, 0].tolist() == [10 + token % 2 for token in range(500)]
    assert batch[500:, 1].tolist() == [NO_TRANSITION] * 500


CHAIN_MEMORY = CHAIN.memory("cpu")  # a header doesn't keep the memory that it points to


def arguments(**changes):
    """Give the arguments of a correct call, but for the changes."""
    right = {
        "header": CHAIN_MEMORY.header,
        "batch": new(10, 11, longest=2),
        "tokens": torch.zeros(2, 2, dtype=torch.int64),
        "eos": CHAIN.eos_row(),
        "num_tokens": 40,
    }
    return {**right, **changes}


WRONG = [
    (TypeError, "header must be int64, not torch.int32", {"header": torch.zeros(8, dtype=torch.int32)}),
    (
        ValueError,
        r"header must have the shape \[8\], not \[7\]",
        {"header": torch.zeros(7, dtype=torch.int64)},
    ),
    (TypeError, "batch must be int32, not torch.int64", {"batch": new(10, 11).long()}),
    (
        ValueError,
        r"batch must have the shape \[B, 5 \+ N\], N at least 1, not \[2, 5\]",
        {"batch": new(10, 11)[:, :5].clone()},
    ),
    (ValueError, "batch must be contiguous", {"batch": new(*[10] * 7, longest=2).T}),
    (
        ValueError,
        "eos is on meta, the header on cpu: move it",
        {"eos": torch.zeros(2, dtype=torch.int32, device="meta")},
    ),
    (ValueError, "eos must have a bit for each of 65 tokens", {"num_tokens": 65}),
    (TypeError, "tokens must be int32 or int64, not torch.float32", {"tokens": torch.zeros(2, 2)}),
    (
        ValueError,
        "tokens are on meta, the header on cpu",
        {"tokens": torch.zeros(2, 2, dtype=torch.int64, device="meta")},
    ),
    (
        ValueError,
        r"tokens must have the shape \[2, up to 2\], not \[2, 3\]",
        {"tokens": torch.zeros(2, 3, dtype=torch.int64)},
    ),
    (
        ValueError,
        r"tokens must have the shape \[2, up to 2\], not \[2\]",
        {"tokens": torch.zeros(2, dtype=torch.int64)},
    ),
]


@pytest.mark.parametrize(("error", "message", "changes"), WRONG)
@pytest.mark.parametrize(
    "function", [advance.advance, advance.advance_reference, advance.moved_bytes, dispatch.advance]
)
def test_wrong_arguments_are_named_with_their_value(function, error, message, changes):
    with pytest.raises(error, match=message):
        function(**arguments(**changes))


def test_signatures_are_the_same():
    signature = inspect.signature(advance.advance)
    assert inspect.signature(advance.advance_reference) == signature
    assert inspect.signature(dispatch.advance) == signature
    assert inspect.signature(advance.moved_bytes).parameters == signature.parameters


def test_moved_bytes_counts_lines_and_lookups():
    assert advance.moved_bytes(**arguments()) == 2 * 40 + 4 * (8 + 4 + 8 + 1 + 16 + 4)


def test_an_address_is_read_where_it_is():
    memory = Memory(torch.device("cpu"), 2**20, 8, 4, 4)
    assert layout.tables_at(memory.header).entries.shape == (4, 4)
    assert layout.tables_at(memory.header).records.shape == (3, 8)
