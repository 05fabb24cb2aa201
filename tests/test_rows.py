"""Packed rows against their layout: bit t % 32 of word t // 32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines import rows
from outlines.rows import Base, bases_and_list, pack, unpack


@given(st.sets(st.integers(0, 99)))
def test_bits_of_a_row_are_its_tokens(tokens):
    words = pack(sorted(tokens), 4)
    assert words.dtype == np.int32
    assert words.shape == (4,)
    assert {t for t in range(128) if int(words[t // 32]) >> t % 32 & 1} == tokens
    assert unpack(words).tolist() == sorted(tokens)


@pytest.mark.parametrize(
    ("token", "word", "value"), [(0, 0, 1), (31, 0, -(2**31)), (32, 1, 1), (63, 1, -(2**31)), (64, 2, 1)]
)
def test_bits_are_little_endian_and_signed(token, word, value):
    expected = np.zeros(3, np.int32)
    expected[word] = value
    assert np.array_equal(pack([token], 3), expected)


@pytest.mark.parametrize("tokens", [[], np.zeros(0, np.int64), (), range(0)])
def test_no_tokens_are_a_row_of_zeros(tokens):
    assert np.array_equal(pack(tokens, 2), np.zeros(2, np.int32))
    assert unpack(pack(tokens, 2)).size == 0
    assert bases_and_list(np.asarray(tokens, np.int64), 2) == ((), ())


def test_order_and_repetition_of_tokens_do_not_matter():
    assert np.array_equal(pack([5, 40, 5], 2), pack([40, 5], 2))


@pytest.mark.parametrize("count", [1, rows._MANY_TOKENS, rows._MANY_TOKENS + 1, 200])
def test_many_tokens_are_a_base_and_few_a_list(count):
    tokens = np.arange(count) + 3
    bases, listed = bases_and_list(tokens, 8)
    assert bool(bases) == (count > rows._MANY_TOKENS)
    assert bool(listed) != bool(bases)
    assert all(isinstance(base, Base) for base in bases)
    found = [*listed, *(token for base in bases for token in unpack(base.words).tolist())]
    assert found == tokens.tolist()
