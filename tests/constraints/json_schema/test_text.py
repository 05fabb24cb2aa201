"""How JSON writes characters, against `json`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints import characters
from outlines.constraints.expression import concat, literal, matches
from outlines.constraints.json_schema.text import (
    ANY_TEXT,
    CHARACTER,
    QUOTE,
    STRING_REST,
    dump,
    encode,
    spelling,
)

# Edges of UTF-8, of escapes and of surrogates
EDGES = [
    0, 8, 9, 0x0A, 0x0C, 0x0D, 0x1F, 0x20, 0x22, 0x2F, 0x41, 0x5C, 0x61, 0x7E, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF,
    0xE000, 0xFFFF, 0x10000, 0x103FF, 0x10400, 0x1F600, 0x1FFFF, 0x20000, 0xFFFFF, 0x100000, 0x10FC00, 0x10FFFF,
]  # fmt: skip
CODE_POINTS = st.sampled_from(EDGES) | st.integers(0, 0x10FFFF).filter(lambda c: not 0xD800 <= c <= 0xDFFF)


def spellings(code_point):
    """Give every spelling of a character that is all lower or all upper case, as `json` confirms."""
    character = chr(code_point)
    units = character.encode("utf-16-be")
    escaped = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    found = [escaped, escaped.upper().replace("\\U", "\\u"), *(f"\\{letter}" for letter in '"\\/bfnrt')]
    if code_point >= 0x20 and character not in '"\\':
        found.append(character)
    confirmed = [text for text in found if json.loads(f'"{text}"') == character]
    assert len(confirmed) >= 2
    return [text.encode() for text in confirmed]


@given(
    st.lists(st.tuples(CODE_POINTS, CODE_POINTS), min_size=1, max_size=3), st.lists(CODE_POINTS, max_size=4)
)
def test_a_set_of_characters_is_written_in_all_ways(pairs, others):
    ranges = characters.normalise((min(pair), max(pair)) for pair in pairs)
    expression = encode(ranges)
    bounds = [c + d for pair in ranges for c in pair for d in (-1, 0, 1)]
    for code_point in [*others, *(c for c in bounds if 0 <= c <= 0x10FFFF and not 0xD800 <= c <= 0xDFFF)]:
        is_in = any(low <= code_point <= high for low, high in ranges)
        for spelt in spellings(code_point):
            assert matches(expression, spelt) == is_in, spelt


@pytest.mark.parametrize("code_point", EDGES)
def test_any_character_has_all_its_spellings(code_point):
    for spelt in spellings(code_point):
        assert matches(CHARACTER, spelt)
        assert matches(encode(characters.character(code_point)), spelt)


NO_CHARACTERS = [
    rb"\ud800", rb"\udfff", rb"\ud83dx", rb"\ud83d\u0041", rb"\ud83d\ud83d", rb"\ude00\ud83d", b"\xed\xa0\x80",
    b"\x00", b"\n", b'"', b"\\", rb"\a", rb"\'", rb"\x41", rb"\u00", rb"\U0041", rb"\u{41}", b"\xff", b"\xc0\x80",
    b"\xf4\x90\x80\x80", b"", b"ab",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_CHARACTERS)
def test_what_is_no_character_is_no_text(text):
    assert not matches(CHARACTER, text)
    if text not in (b"", b"ab"):
        assert not matches(ANY_TEXT, text)
        assert not matches(STRING_REST, text + b'"')


@given(st.text(), st.booleans())
def test_strings_of_json_are_texts(text, is_ascii):
    spelt = json.dumps(text, ensure_ascii=is_ascii).encode()
    assert matches(STRING_REST, spelt[1:])
    assert matches(ANY_TEXT, spelt[1:-1])
    assert matches(concat(QUOTE, ANY_TEXT, QUOTE), spelt)
    assert not matches(STRING_REST, spelt[1:-1])


@given(
    st.binary(max_size=6)
    | st.lists(st.sampled_from([b"\\", b"u", b"d83d", b"de00", b"a", b'"', b"\xc3"])).map(b"".join)
)
def test_bytes_are_a_string_as_json_reads_them(data):
    try:
        value = json.loads(b'"' + data + b'"')
        value.encode()  # a lone surrogate is no character
    except ValueError:
        value = None
    assert matches(STRING_REST, data + b'"') == isinstance(value, str)


@given(
    st.text(), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
def test_named_values_are_written_as_they_are_read(text, value):
    for named in (text, value):
        assert json.loads(dump(named)) == named
    assert b'"' + spelling(False).name_text(text) == dump(text)
    assert matches(literal(b'"' + spelling(False).name_text(text)), json.dumps(text, ensure_ascii=False).encode())


@given(CODE_POINTS)
def test_an_escape_is_read_as_the_name_writes_it(code_point):
    for spelt in spellings(code_point):
        if spelt.startswith(b"\\"):
            assert spelling(False).unescape(spelt) == spelling(False).name_text(chr(code_point))[:-1]
