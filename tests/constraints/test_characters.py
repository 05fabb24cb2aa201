"""Sets of characters, against `re`, `unicodedata` and Python's own UTF-8."""

# ruff: noqa: RUF001 (letters that look alike are what case folding and classes are about)

from __future__ import annotations

import itertools
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints import characters
from outlines.constraints.characters import ALL, NONE
from outlines.constraints.expression import EMPTY, Expression, matches

SURROGATES = range(0xD800, 0xE000)
EVERY_CODE_POINT = "".join(map(chr, range(sys.maxunicode + 1)))
EDGES = [
    0,
    1,
    0x7F,
    0x80,
    0x7FF,
    0x800,
    0xFFF,
    0x1000,
    0xD7FF,
    0xE000,
    0xFFFF,
    0x10000,
    0x3FFFF,
    0x40000,
    0x10FFFF,
]

code_points = st.one_of(st.integers(0, sys.maxunicode), st.sampled_from(EDGES)).filter(
    lambda c: c not in SURROGATES
)
pairs = st.tuples(code_points, code_points).map(lambda pair: (min(pair), max(pair)))
sets = st.lists(pairs, max_size=6).map(
    lambda ranges: characters.intersection(characters.normalise(ranges), ALL)
)


def accepted_by(pattern: str, flags: int = 0) -> set[int]:
    return {ord(char) for char in re.findall(pattern, EVERY_CODE_POINT, flags)}.difference(SURROGATES)


def members(ranges: characters.Characters) -> set[int]:
    return {c for low, high in ranges for c in range(low, high + 1)}


def is_normal(ranges: characters.Characters) -> bool:
    ordered = all(low <= high for low, high in ranges)
    return ordered and all(left[1] + 1 < right[0] for left, right in itertools.pairwise(ranges))


def test_normalise_joins_ranges_that_touch_or_overlap():
    assert characters.normalise([(5, 9), (1, 2), (3, 3), (8, 12), (20, 19)]) == ((1, 3), (5, 12))


@given(left=sets, right=sets, probe=code_points)
def test_algebra_agrees_with_membership(left, right, probe):
    in_left, in_right = characters.contains(left, probe), characters.contains(right, probe)
    assert in_left == any(low <= probe <= high for low, high in left)
    results = {
        characters.union(left, right): in_left or in_right,
        characters.intersection(left, right): in_left and in_right,
        characters.complement(left): not in_left,
    }
    for result, expected in results.items():
        assert is_normal(result)
        assert characters.contains(result, probe) == expected


@given(ranges=sets)
def test_complement_is_an_involution_without_surrogates(ranges):
    rest = characters.complement(ranges)
    assert characters.complement(rest) == ranges
    assert characters.union(ranges, rest) == ALL
    assert characters.intersection(rest, ((0xD800, 0xDFFF),)) == NONE


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(
    ("make", "pattern"), [(characters.digit, r"\d"), (characters.word, r"\w"), (characters.space, r"\s")]
)
def test_python_classes_are_those_of_re(make, pattern, ascii_only):
    assert members(make(ascii_only)) == accepted_by(pattern, re.ASCII if ascii_only else 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Lu", {"Lu"}),
        ("Uppercase_Letter", {"Lu"}),
        ("L", {"Lu", "Ll", "Lt", "Lm", "Lo"}),
        ("LC", {"Lu", "Ll", "Lt"}),
        ("Punctuation", {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"}),
        ("Cn", {"Cn"}),
        ("Surrogate", set()),
    ],
)
def test_general_category_is_that_of_unicodedata(name, expected):
    found = members(characters.general_category(name))
    assert found == {c for c in members(ALL) if unicodedata.category(chr(c)) in expected}


def test_unknown_general_category_is_a_key_error():
    with pytest.raises(KeyError, match="Greek"):
        characters.general_category("Greek")


@pytest.mark.parametrize("flags", [0, re.ASCII], ids=["unicode", "ascii"])
def test_fold_of_one_character_is_that_of_re(flags):
    changing = {c for c in members(ALL) if chr(c).lower() != chr(c) or chr(c).upper() != chr(c)}
    text = "".join(map(chr, sorted(changing)))
    for code_point in changing:
        expected = {ord(char) for char in re.findall(re.escape(chr(code_point)), text, re.IGNORECASE | flags)}
        assert members(characters.fold(characters.character(code_point), bool(flags))) == expected, hex(
            code_point
        )


@pytest.mark.parametrize(
    "body", ["a-z", "A-Z", "k", "à-ý", "ſ", "İ", "Ω", "ﬅ", "𐐀-𐐧", "Z-a", "ǅ", "ı-ķ", " -~", "ა-ჰ"]
)
def test_fold_of_a_range_is_that_of_re(body):
    ranges = ((ord(body[0]), ord(body[-1])),)
    assert members(characters.fold(ranges)) == accepted_by(f"[{body}]", re.IGNORECASE)


@pytest.mark.parametrize("pattern", [r"[\w]", r"[\d]", r"[\s]", r"[\W]"])
def test_classes_of_re_are_closed_under_case(pattern):
    assert accepted_by(pattern, re.IGNORECASE) == accepted_by(pattern)


# UTF-8


@given(ranges=sets, probe=code_points)
def test_utf8_is_the_encoding_of_the_members(ranges, probe):
    near = [probe] + [c + d for pair in ranges for c in pair for d in (-1, 0, 1)]
    expression = characters.utf8(ranges)
    for code_point in near:
        if 0 <= code_point <= sys.maxunicode and code_point not in SURROGATES:
            expected = characters.contains(ranges, code_point)
            assert matches(expression, chr(code_point).encode()) == expected, hex(code_point)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
    ],
)
def test_utf8_has_no_overlong_form_surrogate_or_half_character(data):
    assert not matches(characters.utf8(ALL), data)


def test_utf8_of_no_character_is_empty():
    assert characters.utf8(NONE) is EMPTY
    assert characters.utf8(((0xD800, 0xDFFF),)) is EMPTY


def num_states(expression: Expression) -> int:
    seen = {expression}
    queue = [expression]
    for state in queue:
        for target in state.transitions()[1]:
            if target is not EMPTY and target not in seen:
                seen.add(target)
                queue.append(target)
    return len(seen)


def test_utf8_of_all_characters_has_the_states_of_the_minimal_automaton():
    # the start, the end, one to three continuation bytes, and the second byte after E0, ED, F0 and F4
    assert num_states(characters.utf8(ALL)) == 2 + 3 + 4


def test_utf8_shares_a_continuation_between_leading_bytes():
    assert num_states(characters.utf8(((0x80, 0x7FF),))) == 3
