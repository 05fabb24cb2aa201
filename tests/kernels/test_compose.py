"""Every way to compose, against sets of tokens in plain Python."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from outlines.kernels import compose, dispatch, layout

from tests.kernels import arenas
from tests.kernels.arenas import UNCONSTRAINED, Content, Record

READY, NO_TRANSITION, NO_ROW, STALE = range(4)
SENTINEL = 0x5EA7BEEF


def expected_row(content: Content, state: int) -> list[int]:
    record = content.record(state)
    if state == UNCONSTRAINED:
        tokens = set(range(content.num_tokens))
    elif record is None or record.row is None:
        tokens = content.eos
    else:
        bases, cleared, given = record.row
        tokens = set().union(*bases) - set(cleared) | set(given)
    return arenas.pack(tokens, content.num_words).tolist()


def expected_status(content: Content, state: int, status: int) -> int:
    if status not in (READY, NO_ROW):
        return status
    record = content.record(state)
    return READY if 0 <= state <= 2 or (record is not None and record.row is not None) else NO_ROW


def check(way, content: Content, batch: torch.Tensor) -> None:
    memory, size = content.memory(way.device), len(batch)
    states, statuses = (batch[:, field.value].tolist() for field in (layout.STATE, layout.STATUS))
    buffer = torch.full((size + 2, content.num_words + 3), SENTINEL, dtype=torch.int32, device=way.device)
    words, row = buffer[1:-1, 1 : 1 + content.num_words], torch.full((size,), SENTINEL, dtype=torch.int32)
    batch, row, before = batch.to(way.device), row.to(way.device), batch.clone()
    way(memory.header, batch, words, row, content.eos_row().to(way.device), content.num_tokens)
    assert words.tolist() == [expected_row(content, state) for state in states]
    assert row.tolist() == [-1 if state == UNCONSTRAINED else b for b, state in enumerate(states)]
    before[:, layout.STATUS.value] = torch.tensor(
        [expected_status(content, *pair) for pair in zip(states, statuses, strict=True)], dtype=torch.int32
    )
    assert torch.equal(batch.cpu(), before)
    buffer[1:-1, 1 : 1 + content.num_words] = SENTINEL
    assert (buffer == SENTINEL).all()


@given(st.data())
def test_any_batch_gets_the_rows_of_its_states(way, data):
    content = data.draw(arenas.contents())
    check(way, content, data.draw(arenas.lines(content, 1)))


def new(*states: int) -> torch.Tensor:
    batch = torch.zeros(len(states), layout.RUN.value + 1, dtype=torch.int32)
    batch[:, layout.STATE.value] = torch.tensor(states)
    return batch


@pytest.mark.parametrize("num_tokens", [1, 31, 32, 33, 32 * compose.BLOCK, 32 * compose.BLOCK + 33])
def test_every_width(way, num_tokens):
    last = num_tokens - 1
    many = sorted({last * i // 100 for i in range(101)})
    records = [
        Record(None, 0, ([set(range(num_tokens))], many, [last])),
        Record(None, 0, ([], [], many)),
        Record(None, 0, ([set(many), {0}], [0], [])),
        Record(None, 0, None),
    ]
    content = Content(num_tokens, 2, records, {}, {last})
    check(way, content, new(1, 2, 5, 6, 7, 8))


@pytest.mark.parametrize("length", [0, 1, 2, 7, 64])
def test_lists_of_every_length(way, length):
    tokens = [(i * 37) % 500 for i in range(length)]
    records = [Record(None, 0, ([set(range(500))], tokens, [])), Record(None, 0, ([], [], tokens))]
    check(way, Content(500, 0, records, {}, set()), new(3, 4))


def test_the_sign_bit_of_a_word_is_set_and_cleared(way):
    records = [Record(None, 0, ([], [], [31, 63])), Record(None, 0, ([set(range(64))], [31], []))]
    check(way, Content(64, 0, records, {}, set()), new(3, 4))


def test_no_sequences(way):
    check(way, Content(64, 0, [], {}, set()), new())


CONTENT = Content(64, 0, [Record(None, 0, ([{1}, {2}], [3], [4, 5])), Record(None, 0, None)], {}, {7})
MEMORY = CONTENT.memory("cpu")  # a header doesn't keep the memory that it points to


def arguments(**changes):
    """Give the arguments of a correct call, but for the changes."""
    right = {
        "header": MEMORY.header,
        "batch": new(3, 4, UNCONSTRAINED),
        "words": torch.zeros(3, 2, dtype=torch.int32),
        "row": torch.zeros(3, dtype=torch.int32),
        "eos": CONTENT.eos_row(),
        "num_tokens": 64,
    }
    return {**right, **changes}


WRONG = [
    (TypeError, "header must be int64", {"header": torch.zeros(8)}),
    (TypeError, "words must be int32, not torch.int64", {"words": torch.zeros(3, 2, dtype=torch.int64)}),
    (TypeError, "row must be int32, not torch.int64", {"row": torch.zeros(3, dtype=torch.int64)}),
    (
        ValueError,
        r"words must have the shape \[3, 2\], not \[3, 3\]",
        {"words": torch.zeros(3, 3, dtype=torch.int32)},
    ),
    (ValueError, r"row must have the shape \[3\], not \[2\]", {"row": torch.zeros(2, dtype=torch.int32)}),
    (ValueError, "words must have last stride 1", {"words": torch.zeros(2, 3, dtype=torch.int32).T}),
    (
        ValueError,
        "row is on meta, the header on cpu: move it",
        {"row": torch.zeros(3, dtype=torch.int32, device="meta")},
    ),
]


@pytest.mark.parametrize(("error", "message", "changes"), WRONG)
@pytest.mark.parametrize(
    "function", [compose.compose, compose.compose_reference, compose.moved_bytes, dispatch.compose]
)
def test_wrong_arguments_are_named_with_their_value(function, error, message, changes):
    with pytest.raises(error, match=message):
        function(**arguments(**changes))


def test_signatures_are_the_same():
    signature = inspect.signature(compose.compose)
    assert inspect.signature(compose.compose_reference) == signature
    assert inspect.signature(dispatch.compose) == signature
    assert inspect.signature(compose.moved_bytes).parameters == signature.parameters


def test_moved_bytes_counts_rows_lists_and_records():
    # Two base rows and three listed tokens; the row of the end; nothing read for the unconstrained one.
    want = 3 * 12 + 3 * 2 * 4 + (32 + 12 + 2 * 8) + (32 + 8) + 0
    assert compose.moved_bytes(**arguments()) == want
