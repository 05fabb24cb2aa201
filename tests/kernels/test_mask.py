"""Every way to mask, bit for bit, against a loop over bits in plain Python."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from outlines.kernels import dispatch, mask

BITS = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
SENTINEL = 7.25  # exact in each dtype; no other logit here has this value
DTYPES = pytest.mark.parametrize("dtype", BITS, ids=lambda dtype: str(dtype).removeprefix("torch."))


def bits(logits: torch.Tensor) -> list[list[int]]:
    """Give the logits as the integers that hold them, so that NaN equals itself and -0.0 isn't 0.0."""
    return logits.contiguous().view(BITS[logits.dtype]).tolist()


def expected(logits, words, row, num_tokens=None) -> list[list[int]]:
    """Say what the logits' bits must become, by the sentence that defines a mask and nothing else."""
    minus_inf = bits(torch.full((1, 1), float("-inf"), dtype=logits.dtype))[0][0]
    result, words = bits(logits), words.tolist()
    for b, r in enumerate(row.tolist()):
        for t in range(logits.shape[1]):
            has_bit = 0 <= r < len(words) and t // 32 < len(words[r])
            is_token = num_tokens is None or t < num_tokens
            if r != -1 and not (has_bit and is_token and words[r][t // 32] >> t % 32 & 1):
                result[b][t] = minus_inf
    return result


def packed(allowed: list[set[int]], num_words: int) -> torch.Tensor:
    """Pack sets of allowed tokens into rows of bitmask words."""
    words = [sum(1 << t % 32 for t in tokens if t // 32 == w) for tokens in allowed for w in range(num_words)]
    return torch.tensor(words, dtype=torch.int64).reshape(len(allowed), num_words).to(torch.int32)


def random_words(num_rows: int, num_words: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-(2**31), 2**31, (num_rows, num_words), generator=generator).to(torch.int32)


def check(way, logits, words, row, num_tokens=None):
    """Run one way on its device, and compare every logit's bits."""
    want = expected(logits, words, row, num_tokens)
    logits, words, row = (x.to(way.device) for x in (logits, words, row))
    way(logits, words, row, num_tokens)
    assert bits(logits) == want
    return logits


def rows(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def zeros(*shape: int, dtype=torch.int32, device="cpu") -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device=device)


def sentinels(num_sequences: int, num_logits: int, dtype=torch.float32) -> torch.Tensor:
    return torch.full((num_sequences, num_logits), SENTINEL, dtype=dtype)


@DTYPES
@pytest.mark.parametrize("num_sequences", [0, 1, 3])
@pytest.mark.parametrize("num_logits", [0, 1, 31, 32, 33, 100, mask.BLOCK, mask.BLOCK + 37])
def test_every_size_and_dtype(way, dtype, num_sequences, num_logits):
    words = random_words(4, -(-num_logits // 32))
    check(way, sentinels(num_sequences, num_logits, dtype), words, rows(2, 0, 2)[:num_sequences])


# The reference masks in three ways: token by token where at most 19 (1,270 / 64) are allowed or forbidden, else by
# bits. Of the 1,280 tokens 1,270 are known, so the last word is cut.
ALL = set(range(1280))
ROWS = {
    "none": set(),
    "one, the first": {0},
    "one, the sign bit": {31},
    "one, the last known": {1269},
    "only unknown": {1270, 1279},
    "19": set(range(0, 57, 3)),
    "20": set(range(0, 60, 3)),
    "21": set(range(0, 63, 3)),
    "every second": set(range(0, 1280, 2)),
    "all": ALL,
    "all but one": ALL - {64},
    "all but the last known": ALL - {1269},
    "all but 19": ALL - set(range(0, 57, 3)),
    "all but 20": ALL - set(range(0, 60, 3)),
    "all but 21": ALL - set(range(0, 63, 3)),
}


@DTYPES
@pytest.mark.parametrize("allowed", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("width", [(1280, None), (1270, None), (1300, 1270), (1280, 5000)], ids=str)
def test_every_kind_of_row(way, dtype, allowed, width):
    num_logits, num_tokens = width
    check(way, sentinels(3, num_logits, dtype), packed([allowed], 40), rows(0, -1, 0), num_tokens)


@pytest.mark.parametrize("num_tokens", [0, 1, 32, 50, 64, 96, None])
def test_padding_of_the_head_is_forbidden(way, num_tokens):
    words = torch.full((1, 3), -1, dtype=torch.int32)  # 96 bits, all set: only num_tokens forbids
    logits = check(way, sentinels(2, 130), words, rows(0, -1), num_tokens)
    num_known = 96 if num_tokens is None else num_tokens
    assert (logits[0] == SENTINEL).nonzero().flatten().tolist() == list(range(num_known))
    assert (logits[1] == SENTINEL).all()


def test_more_bits_than_logits_are_ignored(way):
    check(way, sentinels(2, 40), random_words(2, 9), rows(1, 0))


def test_no_words_forbid_everything(way):
    check(way, sentinels(2, 40), zeros(1, 0), rows(0, -1))


def test_unconstrained_batch_is_untouched_without_any_row(way):
    logits = check(way, sentinels(3, 100), zeros(0, 4), rows(-1, -1, -1))
    assert (logits == SENTINEL).all()


@pytest.mark.parametrize("outside", [-2, -(2**31), 4, 2**31 - 1])
def test_a_row_outside_of_words_forbids_everything(way, outside):
    row = rows(1, outside, -1)
    logits = check(way, sentinels(3, 100), random_words(4, 4), row)
    assert torch.isneginf(logits[1]).all()


@DTYPES
@pytest.mark.parametrize("allowed", [{3}, set(range(96)) - {2}, set(range(0, 96, 2)) | {1, 3, 5, 7}])
def test_allowed_logits_keep_their_bits_and_forbidden_ones_lose_them(way, dtype, allowed):
    special = torch.tensor([float("nan"), float("inf"), float("-inf"), -0.0, 0.0, torch.finfo(dtype).tiny])
    logits = special.to(dtype).repeat(2, 16)
    logits.view(BITS[dtype])[:, 7] = -3  # a NaN with a sign and a payload
    check(way, logits, packed([allowed], 3), rows(0, 0))


@DTYPES
@pytest.mark.parametrize("width", [101, 128])  # the second keeps rows aligned to 16 bytes
def test_views_are_written_and_nothing_beside_them(way, dtype, width):
    buffer = sentinels(5, width, dtype).to(way.device)
    words = random_words(6, 9).to(way.device)[::2, 2:6]
    row = rows(2, 9, 0, 9, -1, 9).to(way.device)[::2]
    logits = buffer[1:4, 16:83]
    want = bits(buffer)
    for line, masked in zip(want[1:4], expected(logits.cpu(), words.cpu(), row.cpu(), 60), strict=True):
        line[16:83] = masked
    way(logits, words, row, 60)
    assert bits(buffer) == want


def test_words_and_row_are_only_read(way):
    words, row = random_words(3, 4).to(way.device), rows(2, -1).to(way.device)
    before = words.clone(), row.clone()
    way(sentinels(2, 128).to(way.device), words, row)
    assert torch.equal(words, before[0])
    assert torch.equal(row, before[1])


def test_logits_that_record_gradients_are_masked_too(way):
    logits = sentinels(1, 64).to(way.device).requires_grad_()
    way(logits, packed([{3}], 2).to(way.device), rows(0).to(way.device))
    assert (logits == SENTINEL).nonzero().tolist() == [[0, 3]]


@st.composite
def batches(draw):
    """Draw the arguments of a call; words lean to all clear and all set, as real masks do."""
    dtype = draw(st.sampled_from(list(BITS)))
    num_sequences, num_rows = draw(st.integers(0, 4)), draw(st.integers(0, 3))
    num_words, num_logits = draw(st.integers(0, 40)), draw(st.integers(0, 1300))
    word = st.sampled_from([0, 0, 0, -1, -1, -1, 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
    common = draw(st.sampled_from([0, -1]))
    lines = [[common] * num_words for _ in range(num_rows)]
    for line in lines:
        for at in draw(st.sets(st.integers(0, max(num_words - 1, 0)), max_size=num_words)):
            line[at] = draw(word)
    words = torch.tensor(lines, dtype=torch.int32).reshape(num_rows, num_words)
    row = rows(*(draw(st.integers(-2, num_rows)) for _ in range(num_sequences)))
    seed = draw(st.integers(0, 2**16))
    noise = torch.randn(num_sequences, num_logits, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return noise, words, row, draw(st.none() | st.integers(0, 1400))


@given(batches())
def test_any_batch_equals_the_loop_over_bits(way, batch):
    check(way, *batch)


def arguments(**changes):
    """Give the arguments of a correct call, but for the changes."""
    right = {"logits": sentinels(2, 64), "words": zeros(3, 2), "row": zeros(2), "num_tokens": None}
    return {**right, **changes}


WRONG = [
    (TypeError, "logits must be .* or bfloat16, not torch.float64", {"logits": sentinels(2, 64).double()}),
    (TypeError, "words must be int32, not torch.int64", {"words": zeros(3, 2, dtype=torch.int64)}),
    (TypeError, "row must be int32, not torch.int64", {"row": zeros(2, dtype=torch.int64)}),
    (ValueError, r"logits must have the shape \[B, V\], not \[64\]", {"logits": sentinels(1, 64)[0]}),
    (ValueError, r"words must have the shape \[R, W\], not \[2\]", {"words": zeros(2)}),
    (ValueError, r"row must have the shape \[B\], not \[2, 1\]", {"row": zeros(2, 1)}),
    (ValueError, "row must name a row for each of 2 sequences, not 3", {"row": zeros(3)}),
    (ValueError, r"logits must have last stride 1, not 2: call contig", {"logits": sentinels(64, 2).T}),
    (ValueError, "words must have last stride 1, not 3: call contig", {"words": zeros(2, 3).T}),
    (ValueError, "rows are 64 wide and 0 apart: call contig", {"logits": sentinels(1, 64).expand(2, 64)}),
    (ValueError, "words is on meta, the logits on cpu: move it", {"words": zeros(3, 2, device="meta")}),
    (ValueError, "row is on meta, the logits on cpu: move it", {"row": zeros(2, device="meta")}),
    (ValueError, "num_tokens must be 0 or more, not -1", {"num_tokens": -1}),
]


@pytest.mark.parametrize(("error", "message", "changes"), WRONG)
@pytest.mark.parametrize("function", [mask.mask, mask.mask_reference, mask.moved_bytes, dispatch.mask])
def test_wrong_arguments_are_named_with_their_value(function, error, message, changes):
    given = arguments(**changes)
    with pytest.raises(error, match=message):
        function(**given)
    assert (given["logits"] == SENTINEL).all()


def test_signatures_are_the_same():
    signature = inspect.signature(mask.mask)
    assert inspect.signature(mask.mask_reference) == signature
    assert inspect.signature(dispatch.mask) == signature
    assert inspect.signature(mask.moved_bytes).parameters == signature.parameters


def test_moved_bytes_counts_rows_words_and_forbidden_logits():
    words = packed([{0, 40}, set(range(96))], 3)
    row = rows(0, 1, -1, 7)
    logits = sentinels(4, 100, torch.bfloat16)
    # Row 0 allows two of 64 tokens and reads two words, row 1 allows all 64, row 7 doesn't exist.
    want = 4 * 4 + (2 * 4 + 98 * 2) + (2 * 4 + 36 * 2) + 0 + 100 * 2
    assert mask.moved_bytes(logits, words, row, 64) == want


def test_cpu_tensors_take_the_reference(monkeypatch):
    called = []
    monkeypatch.setattr(dispatch, "_IS_INTERPRETED", False)
    monkeypatch.setattr(mask, "mask_reference", lambda *given: called.append(given))
    given = tuple(arguments().values())
    dispatch.mask(*given)
    assert called == [given]


@pytest.mark.gpu
def test_device_tensors_take_the_launcher_and_no_sync():
    given = [x.cuda() for x in tuple(arguments().values())[:3]]
    dispatch.mask(*given)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        dispatch.mask(*given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isneginf(given[0]).all()


INTERPRETED_PROCESS = """
import torch
from outlines.kernels import dispatch, mask

mask.mask_reference = None  # to call it would raise
far = 2**30 + 64  # the stride is an int32, its double isn't
logits = torch.empty(2 * far + 64, dtype=torch.bfloat16).as_strided((3, 64), (far, 1)).fill_(7.25)
words = torch.empty(2 * far + 2, dtype=torch.int32).as_strided((3, 2), (far, 1))
words[:] = torch.tensor([[1, 0], [0, 2], [4, 0]])
dispatch.mask(logits, words, torch.tensor([0, 1, 2], dtype=torch.int32))
print((logits == 7.25).nonzero().tolist())
"""


def test_interpreter_takes_the_launcher_and_offsets_pass_two_to_the_31():
    # A process of its own: the variable counts at import, and an offset that wraps kills the process. The 13 GB
    # are address space; only the pages of six rows are touched.
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", INTERPRETED_PROCESS]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[[0, 0], [1, 33], [2, 2]]\n"), run.stderr
