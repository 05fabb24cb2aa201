"""Names of members: declared ones, free ones, and how they may be spelt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlines.constraints.items import Literal
from outlines.constraints.json_schema.text import STRING_REST, spelling
from outlines.constraints.names import FreeNames, Keys, NameTable, SeenNames
from tests.heads import follow

NAMES = ["a", "ab", "b", "", 'q"', "s/", "é", "\U0001f600", "\n", "\\"]
FREE = ("free",)


class Free(FreeNames):
    """Any names, which are all followed by the same; `written` is the last one."""

    language = STRING_REST
    is_open = True

    def __init__(self, seen=None):
        self.seen = seen
        self.written = None

    def after(self, name):
        self.written = name
        return FREE

    def otherwise(self):
        return FREE


def keys(first=0, last=9, free=FREE, names=NAMES):
    texts = [spelling(False).name_text(n) for n in names]
    table = NameTable(texts, lambda name: (names[name],), STRING_REST, spelling(False).unescape)
    return Keys(table.root, first, last, None if free is None else Free())


def read_name(head, data):
    """Read a whole name; the only one left is a literal, which ends without a further byte."""
    found = follow(head, data)
    is_read = found is not None and isinstance(found[0], Literal) and not found[0].is_open
    return (None, found[1]) if is_read else found


def spellings(character):
    """Give ways in which JSON writes a character, the one that is generated first."""
    units = character.encode("utf-16-be")
    escaped = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
    shown = json.dumps(character, ensure_ascii=False)[1:-1]
    return list(
        dict.fromkeys([shown, escaped, escaped.upper().replace("\\U", "\\u"), *("\\/",) * (character == "/")])
    )


SPELT_NAMES = st.lists(
    st.sampled_from(sorted({*"".join(NAMES), "x"})).flatmap(lambda c: st.sampled_from(spellings(c))),
    max_size=3,
).map("".join)


@given(SPELT_NAMES | st.sampled_from([spelling(False).name_text(n)[:-1].decode() for n in NAMES]),
       st.integers(0, 9), st.integers(0, 9), st.booleans())  # fmt: skip
def test_a_name_is_declared_as_it_is_spelt_or_free(spelt, first, last, has_free):
    name = json.loads(f'"{spelt}"')
    found = read_name(keys(first, last, FREE if has_free else None), f'{spelt}"'.encode())
    if name in NAMES:
        is_allowed = (
            first <= NAMES.index(name) <= last and spelt.encode() == spelling(False).name_text(name)[:-1]
        )
        assert found == ((None, (name,)) if is_allowed else None)
    else:
        assert found == ((None, FREE) if has_free else None)


@pytest.mark.parametrize(
    "spelt", [rb"\u0061", rb"\u0061b", rb"a\u0062", rb"s\/", rb"\ud83d\ude00", rb"\u005c", rb"\u00e9"]
)
def test_an_escaped_spelling_of_a_declared_name_is_refused(spelt):
    assert json.loads(b'"' + spelt + b'"') in NAMES
    assert follow(keys(), spelt) is not None
    assert follow(keys(), spelt + b'"') is None


@pytest.mark.parametrize("spelt", [rb'\ud83d"', rb"\ud83dx", rb'\ude00"', rb"\x", b"\n", b"\xff", rb"\u00g"])
def test_a_name_that_is_no_json_string_is_refused(spelt):
    assert follow(keys(), spelt) is None


def test_places_of_a_name_are_interned():
    head = keys()
    assert follow(head, b"a")[0] is follow(head, b"a")[0]
    assert follow(head, rb"\u00")[0] is follow(head, rb"\u00")[0]
    assert follow(head, rb"\u0061")[0] is not follow(head, b"a")[0]


def test_without_free_names_only_names_in_range_lead_on():
    head = keys(0, 1, None, ["a", "bc", "bd"])
    assert follow(head, b"b") is not None
    assert follow(head, b"bc") is not None
    assert follow(head, b"bd") is None
    assert follow(head, b"x") is None
    assert follow(keys(1, 2, None, ["a", "bc", "bd"]), b"a") is None


def test_a_free_name_is_given_as_it_was_spelt():
    head = keys()
    assert follow(head, rb'x\u0061"') == (None, FREE)
    assert head.free.written == rb'x\u0061"'


@pytest.mark.parametrize(
    ("spelt", "is_allowed"), [("x", False), (r"\u0078", False), ("xx", True), ("y", True), ("xy", False)]
)
def test_a_name_that_was_written_is_refused_however_it_is_spelt(spelt, is_allowed):
    table = NameTable([], lambda name: (), STRING_REST, spelling(False).unescape)
    seen = SeenNames().add(b'x"').add(b'xy"')
    head = Keys(table.root, 0, -1, Free(table.place(seen, STRING_REST, b"", True)))
    assert (follow(head, f'{spelt}"'.encode()) is not None) == is_allowed


@given(st.lists(st.sampled_from([b'"', b'a"', b'ab"', b'b"']), max_size=6))
def test_seen_names_are_a_set(names):
    seen = SeenNames()
    for name in names:
        before, seen = seen, seen.add(name)
        assert before.add(name) is seen
    found, stack = set(), [(seen, b"")]
    while stack:
        node, text = stack.pop()
        found |= {text} if node.word is not None else set()
        stack += [(below, text + bytes((byte,))) for byte, below in node.children().items()]
    assert found == set(names)
