"""Every way to fill, against reading each token byte by byte in plain Python."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from outlines.kernels import dispatch, fill

SENTINEL = 77


def pack_text(tokens: list[bytes]) -> tuple[torch.Tensor, torch.Tensor]:
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token))
    text = torch.tensor(list(b"".join(tokens)), dtype=torch.uint8)
    return text, torch.tensor(starts, dtype=torch.int32)


def read(automaton: list[list[int]], state: int, token: bytes) -> tuple[int, list[int]]:
    """Give the state after a token, and after how many of its bytes the head may end."""
    exits = []
    for place, byte in enumerate(token, 1):
        target = automaton[state][byte]
        state = abs(target)
        if state == 0:
            return 0, exits
        if target < 0 and place < len(token):
            exits.append(place)
    return (state if token else 0), exits


def check(way, automaton, starts, tokens, room: int | None = None, already: int = 0) -> None:
    text, text_start = pack_text(tokens)
    found = [[read(automaton, start, token) for token in tokens] for start in starts]
    want = sorted(
        (q, t, p) for q, line in enumerate(found) for t, (_, places) in enumerate(line) for p in places
    )
    size, num_words = len(starts), -(-len(tokens) // 32)
    words = torch.full((size, num_words), SENTINEL, dtype=torch.int32)
    ends = torch.full((size, len(tokens)), SENTINEL, dtype=torch.int16)
    exits = torch.full((len(want) + 2 if room is None else room, 3), -9, dtype=torch.int32)
    num_exits = torch.tensor([already], dtype=torch.int32)
    following = torch.tensor(automaton, dtype=torch.int16)
    start = torch.tensor(starts, dtype=torch.int32)
    given = [x.to(way.device) for x in (following, start, text, text_start, words, ends, exits, num_exits)]
    way(*given)
    words, ends, exits, num_exits = (x.cpu() for x in given[4:])
    assert ends.tolist() == [[end for end, _ in line] for line in found]
    bits = [[t for t in range(num_words * 32) if row[t // 32] >> t % 32 & 1] for row in words.tolist()]
    assert bits == [[t for t, (end, _) in enumerate(line) if end] for line in found]
    assert int(num_exits) == already + len(want)
    written = sorted(tuple(line) for line in exits.tolist() if line != [-9, -9, -9])
    assert written == want if room is None else len(written) == max(min(room - already, len(want)), 0)
    assert set(written) <= set(want)


@st.composite
def automata(draw) -> list[list[int]]:
    """Draw an automaton over few bytes; the others are dead."""
    num_states = draw(st.integers(1, 5))
    rows = [[0] * 256]
    for _ in range(num_states):
        row = [0] * 256
        for byte in (97, 98, 255, 0):
            row[byte] = draw(st.integers(-num_states, num_states))
        rows.append(row)
    return rows


TOKENS = st.lists(st.text("ab\xff\x00", max_size=6).map(lambda text: text.encode("latin-1")), max_size=80)


@given(automata(), TOKENS, st.data())
def test_any_automaton_and_vocabulary(way, automaton, tokens, data):
    state = st.integers(1, len(automaton) - 1)
    check(way, automaton, data.draw(st.lists(state, max_size=4)), tokens)


def loop() -> list[list[int]]:
    """The language of any bytes but "x", of which the head may end after each "b"."""
    row = [1] * 256
    row[ord("x")] = 0
    row[ord("b")] = -1
    return [[0] * 256, row]


@pytest.mark.parametrize("num_tokens", [0, 1, 31, 32, 33, fill.BLOCK, fill.BLOCK + 1, 2 * fill.BLOCK + 33])
def test_every_width(way, num_tokens):
    tokens = [(b"a" * (t % 7) + b"bx"[t % 2 : t % 3]) * (t % 5 != 0) for t in range(num_tokens)]
    check(way, loop(), [1, 1], tokens)


def test_a_long_token_among_short_ones(way):
    check(way, loop(), [1], [b"a", b"ab" * 60, b"x", b"a" * 128 + b"x", b""])


@pytest.mark.parametrize("room", [0, 1, 5])
@pytest.mark.parametrize("already", [0, 3])
def test_exits_beyond_the_room_are_counted_and_not_written(way, room, already):
    check(way, loop(), [1], [b"bb", b"abab", b"bbbb"], room, already)


def arguments(**changes):
    """Give the arguments of a correct call, but for the changes."""
    text, text_start = pack_text([b"ab", b"x"])
    right = {
        "following": torch.tensor(loop(), dtype=torch.int16),
        "start": torch.tensor([1], dtype=torch.int32),
        "text": text,
        "text_start": text_start,
        "words": torch.zeros(1, 1, dtype=torch.int32),
        "ends": torch.zeros(1, 2, dtype=torch.int16),
        "exits": torch.zeros(4, 3, dtype=torch.int32),
        "num_exits": torch.zeros(1, dtype=torch.int32),
    }
    return {**right, **changes}


WRONG = [
    (
        TypeError,
        "following must be torch.int16, not torch.int32",
        {"following": torch.zeros(2, 256, dtype=torch.int32)},
    ),
    (
        ValueError,
        r"following must have the shape \[2, 256\], not \[2, 255\]",
        {"following": torch.zeros(2, 255, dtype=torch.int16)},
    ),
    (
        ValueError,
        r"words must have the shape \[1, 1\], not \[1, 2\]",
        {"words": torch.zeros(1, 2, dtype=torch.int32)},
    ),
    (
        ValueError,
        r"ends must have the shape \[1, 2\], not \[1, 3\]",
        {"ends": torch.zeros(1, 3, dtype=torch.int16)},
    ),
    (
        ValueError,
        r"exits must have the shape \[4, 3\], not \[4, 2\]",
        {"exits": torch.zeros(4, 2, dtype=torch.int32)},
    ),
    (
        ValueError,
        "start is on meta, the text on cpu: move it",
        {"start": torch.zeros(1, dtype=torch.int32, device="meta")},
    ),
    (ValueError, "following must be contiguous", {"following": torch.zeros(256, 2, dtype=torch.int16).T}),
]


@pytest.mark.parametrize(("error", "message", "changes"), WRONG)
@pytest.mark.parametrize("function", [fill.fill, fill.fill_reference, fill.moved_bytes, dispatch.fill])
def test_wrong_arguments_are_named_with_their_value(function, error, message, changes):
    with pytest.raises(error, match=message):
        function(**arguments(**changes))


def test_signatures_are_the_same():
    signature = inspect.signature(fill.fill)
    assert inspect.signature(fill.fill_reference) == signature
    assert inspect.signature(dispatch.fill) == signature
    assert inspect.signature(fill.moved_bytes).parameters == signature.parameters


def test_moved_bytes_counts_each_tensor_once():
    assert fill.moved_bytes(**arguments()) == (2 * 256 * 2 + 4 + 3 + 12) + 4 + 4 + 0
