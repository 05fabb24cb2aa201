"""The regular algebra against plain sets of strings over three letters."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlines.constraints import expression
from outlines.constraints.expression import (
    ANY_BYTE,
    EMPTY,
    EPSILON,
    EVERYTHING,
    alternatives,
    byte_class,
    byte_range,
    complement,
    concat,
    counts,
    intersected,
    intersection,
    is_empty,
    literal,
    matches,
    optional,
    repeat,
    spine,
    star,
    union,
)
from outlines.exceptions import LimitError

LETTERS = b"abc"
LENGTH = 4


def strings(length=LENGTH):
    return {bytes(s) for n in range(length + 1) for s in itertools.product(LETTERS, repeat=n)}


# ---- The judge: a language as the set of its strings of at most `length` letters -----------------------------


def language(tree, length=LENGTH):
    """Give the strings of a tree of operations, told by sets alone."""
    kind, *parts = tree
    if kind == "literal":
        return {parts[0]} if len(parts[0]) <= length else set()
    if kind == "class":
        return {bytes([letter]) for letter in parts[0]}
    if kind == "everything":
        return strings(length)
    if kind == "repeat":
        return powers(language(parts[0], length), *parts[1:], length)
    sets = [language(part, length) for part in parts]
    if kind == "union":
        return set().union(*sets)
    if kind == "intersection":
        return strings(length).intersection(*sets)
    if kind == "complement":
        return strings(length) - sets[0]
    assert kind == "concat"
    result = {b""}
    for part in sets:
        result = joined(result, part, length)
    return result


def joined(lefts, rights, length):
    return {left + right for left in lefts for right in rights if len(left) + len(right) <= length}


def powers(body, low, high, length):
    power, result = {b""}, set()
    # With the empty string in the body a power holds all before it; without, powers beyond `length` are empty.
    for count in range(low + length + 1 if high is None else high + 1):
        result |= power if count >= low else set()
        power = joined(power, body, length)
    return result


def build(tree):
    kind, *parts = tree
    if kind == "literal":
        return literal(parts[0])
    if kind == "class":
        return byte_class(sum(1 << letter for letter in set(parts[0])))
    if kind == "everything":
        return EVERYTHING
    if kind == "repeat":
        return repeat(build(parts[0]), *parts[1:])
    operation = {"union": union, "intersection": intersection, "complement": complement, "concat": concat}[
        kind
    ]
    return operation(*map(build, parts))


def texts(least, most):
    return st.lists(st.sampled_from(LETTERS), min_size=least, max_size=most).map(bytes)


def larger(trees):
    few = st.lists(trees, min_size=1, max_size=3)
    bounds = st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)).map(
        lambda pair: pair if pair[1] is None else (pair[0], pair[0] + pair[1])
    )
    return st.one_of(
        *(few.map(lambda parts, kind=kind: (kind, *parts)) for kind in ("union", "intersection", "concat")),
        trees.map(lambda part: ("complement", part)),
        st.tuples(trees, bounds).map(lambda both: ("repeat", both[0], *both[1])),
    )


TREES = st.recursive(
    st.one_of(
        texts(0, 3).map(lambda text: ("literal", text)),
        texts(0, 3).map(lambda text: ("class", text)),
        st.just(("everything",)),
    ),
    larger,
    max_leaves=6,
)


@given(TREES)
def test_language_is_that_of_sets(tree):
    built = build(tree)
    assert {text for text in strings() if matches(built, text)} == language(tree)
    assert built.nullable == (b"" in language(tree))


@given(TREES, st.sampled_from(b"abcd\xff"))
def test_derivative_is_what_may_follow(tree, byte):
    following = build(tree).step(byte)
    expected = {text[1:] for text in language(tree, LENGTH + 1) if text[:1] == bytes([byte])}
    if byte in LETTERS:
        assert {text for text in strings() if matches(following, text)} == expected


@given(TREES)
def test_table_is_dense_and_agrees_with_steps(tree):
    built = build(tree)
    class_of, targets = built.transitions()
    assert len(class_of) == 256
    assert set(class_of) == set(range(len(targets)))
    assert len(set(targets)) == len(targets)
    live = [byte for byte in range(256) if built.step(byte) is not EMPTY]
    assert built.first_bytes() == sum(1 << byte for byte in live)
    assert {byte for byte in live if byte in LETTERS} >= {text[0] for text in language(tree) if text}


def shortest(built):
    """Find a shortest string over the letters and one other byte by derivatives."""
    ways, seen = [(built, b"")], {built}
    for at, text in ways:
        if at.nullable:
            return text
        for byte in b"abcd":
            following = at.step(byte)
            if following not in seen:
                seen.add(following)
                ways.append((following, text + bytes([byte])))
    return None


@given(TREES)
def test_emptiness_has_a_witness_or_no_string(tree):
    built = build(tree)
    if is_empty(built):
        assert not language(tree)
    else:
        witness = shortest(built)
        assert witness is not None
        if len(witness) <= LENGTH + 2 and set(witness) <= set(LETTERS):
            assert witness in language(tree, len(witness))


@given(TREES)
def test_derivatives_that_are_empty_are_empty_itself(tree):
    built = build(tree)
    for following in (built.step(byte) for byte in b"abcd"):
        assert following is EMPTY or shortest(following) is not None


def test_derivative_whose_parts_exclude_each_other_is_empty_itself():
    rests = [concat(star(literal(b"b")), literal(end)) for end in (b"c", b"d")]
    assert intersection(*rests) is not EMPTY
    assert concat(literal(b"a"), intersection(*rests)).step(ord("a")) is EMPTY
    assert intersection(*rests).transitions()[1] == (EMPTY,)


@given(TREES, TREES)
def test_laws_that_building_keeps(p, q):
    p, q = build(p), build(q)
    assert union(p, q) is union(q, p)
    assert union(p, p) is p
    assert union(p, EMPTY) is p
    assert union(p, EVERYTHING) is EVERYTHING
    assert intersection(p, q) is intersection(q, p)
    assert intersection(p, p) is p
    assert intersection(p, EVERYTHING) is p
    assert intersection(p, EMPTY) is EMPTY
    assert complement(complement(p)) is p
    assert concat(p, EPSILON) is concat(EPSILON, p) is p
    assert concat(p, EMPTY) is concat(EMPTY, p) is EMPTY
    assert optional(p) is union(p, EPSILON)


def are_equal(left, right):
    """Tell whether two languages are one: their difference is empty, and no short string tells them apart."""
    differ = union(intersection(left, complement(right)), intersection(right, complement(left)))
    return is_empty(differ) and not any(matches(left, text) != matches(right, text) for text in strings())


@given(TREES, TREES, TREES)
@settings(max_examples=50)
def test_laws_of_boolean_algebra_and_concatenation(p, q, r):
    p, q, r = build(p), build(q), build(r)
    assert are_equal(union(p, union(q, r)), union(union(p, q), r))
    assert are_equal(intersection(p, intersection(q, r)), intersection(intersection(p, q), r))
    assert are_equal(complement(union(p, q)), intersection(complement(p), complement(q)))
    assert are_equal(intersection(p, union(q, r)), union(intersection(p, q), intersection(p, r)))
    assert are_equal(concat(p, concat(q, r)), concat(concat(p, q), r))
    assert are_equal(concat(p, union(q, r)), union(concat(p, q), concat(p, r)))
    assert are_equal(star(p), union(EPSILON, concat(p, star(p))))
    assert are_equal(union(p, complement(p)), EVERYTHING)
    assert is_empty(intersection(p, complement(p)))


def test_languages_that_differ_are_not_equal():
    assert not are_equal(literal(b"a"), literal(b"ab"))
    assert not are_equal(star(literal(b"a")), repeat(literal(b"a"), 0, 7))


REPETITIONS = {
    "(x*)* is x*": (("repeat", ("repeat", ("class", b"a"), 0, None), 0, None), star(literal(b"a"))),
    "(x+)+ is x+": (("repeat", ("repeat", ("class", b"a"), 1, None), 1, None), repeat(literal(b"a"), 1)),
    "(x+){2,} is x{2,}": (
        ("repeat", ("repeat", ("class", b"a"), 1, None), 2, None),
        repeat(literal(b"a"), 2),
    ),
    "(x*){2,} is x*": (("repeat", ("repeat", ("class", b"a"), 0, None), 2, None), star(literal(b"a"))),
    "(x{2,}){2,}": (("repeat", ("repeat", ("class", b"a"), 2, None), 2, None), None),
    "(x{2,})*": (("repeat", ("repeat", ("class", b"a"), 2, None), 0, None), None),
    "(x{2}){0,2}": (("repeat", ("repeat", ("class", b"a"), 2, 2), 0, 2), None),
    "(x{0,1}){2,3} is x{0,3}": (("repeat", ("repeat", ("class", b"a"), 0, 1), 2, 3), None),
    "x?{2}": (("repeat", ("union", ("literal", b""), ("literal", b"ab")), 2, 2), None),
    "x+x+ is x{2,}": (
        ("concat", ("repeat", ("class", b"a"), 1, None), ("repeat", ("class", b"a"), 1, None)),
        repeat(literal(b"a"), 2),
    ),
    "x{1,2}x{0,3} is x{1,5}": (
        ("concat", ("repeat", ("class", b"a"), 1, 2), ("repeat", ("class", b"a"), 0, 3)),
        repeat(literal(b"a"), 1, 5),
    ),
    "x{0,2}x*b": (
        ("concat", ("repeat", ("class", b"a"), 0, 2), ("repeat", ("class", b"a"), 0, None), ("class", b"b")),
        concat(star(literal(b"a")), literal(b"b")),
    ),
    "x{2}x{2}y{1}": (
        ("concat", *[("repeat", ("class", b"a"), 2, 2)] * 2, ("repeat", ("class", b"b"), 1, 1)),
        concat(repeat(literal(b"a"), 4, 4), literal(b"b")),
    ),
    "([^]?x){2}": (("repeat", ("concat", ("everything",), ("class", b"a")), 2, 2), None),
}


@pytest.mark.parametrize(("tree", "same"), REPETITIONS.values(), ids=REPETITIONS)
def test_repetitions_join_and_keep_their_language(tree, same):
    built = build(tree)
    assert {text for text in strings(6) if matches(built, text)} == language(tree, 6)
    if same is not None:
        assert built is same


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 1), (1, 1), (2, 5), (0, None), (3, None), (5, 2)])
@pytest.mark.parametrize("body", [("class", b"a"), ("literal", b"ab"), ("class", b""), ("literal", b"")])
def test_repeat_at_its_edges(body, low, high):
    expected = language(("repeat", body, low, high), 6) if high is None or low <= high else set()
    assert {text for text in strings(6) if matches(repeat(build(body), low, high), text)} == expected


@pytest.mark.parametrize("num_parts", [11, 12, 13, 40])
def test_many_parts_are_derived_as_few_are(num_parts):
    texts = {bytes([97 + i % 3]) * (1 + i // 3) for i in range(num_parts)}
    joined_union = union(*map(literal, texts))
    joined_intersection = intersection(*[complement(literal(text)) for text in texts])
    optionals = concat(*[optional(literal(bytes([i]))) for i in range(num_parts)])
    for text in strings(4) | texts:
        assert matches(joined_union, text) == (text in texts)
        assert matches(joined_intersection, text) == (text not in texts)
    assert matches(optionals, bytes(range(0, num_parts, 3)))
    assert not matches(optionals, bytes([3, 2]))


def test_byte_classes_hold_their_bytes():
    assert [b for b in range(256) if matches(byte_range(0x30, 0x39), bytes([b]))] == list(range(0x30, 0x3A))
    assert [b for b in range(256) if matches(byte_class(1 << 255 | 1), bytes([b]))] == [0, 255]
    assert all(matches(ANY_BYTE, bytes([b])) for b in range(256))
    assert byte_class(0) is EMPTY
    assert union(byte_range(0, 127), byte_range(128, 255)) is ANY_BYTE
    assert intersection(byte_range(0, 127), byte_range(128, 255)) is EMPTY


def test_everything_is_any_bytes():
    assert star(ANY_BYTE) is EVERYTHING is complement(EMPTY)
    assert EVERYTHING.step(0xFF) is EVERYTHING


def test_parts_are_given_back_in_order():
    x, y, z = literal(b"xx"), literal(b"yy"), literal(b"zz")
    assert spine(concat(x, y, z)) == [x, y, z]
    assert spine(x) == [x]
    assert counts(repeat(x, 2, 5)) == (x, 2, 5)
    assert counts(x) is None
    assert set(alternatives(union(x, y))) == {x, y}
    assert alternatives(x) == (x,)
    assert set(intersected(intersection(complement(x), complement(y)))) == {complement(x), complement(y)}
    assert intersected(x) == (x,)


# ---- Size -------------------------------------------------------------------------------------------------------


def test_literal_of_100000_bytes_is_read_to_its_end():
    text = bytes(range(256)) * 400
    whole = literal(text)
    assert matches(whole, text)
    assert not matches(whole, text[:-1])
    assert not matches(whole, text + b"x")
    assert not matches(whole, text[:50_000] + b"?" + text[50_001:])


def test_long_concatenations_do_not_recurse():
    parts = [byte_class(3 << i % 200) for i in range(20_000)]
    text = bytes(i % 200 for i in range(20_000))
    assert matches(concat(*parts), text)
    assert not matches(concat(*parts), text[1:])


def test_counts_are_never_unrolled():
    many = repeat(literal(b"ab"), 1_000_000, 2_000_000)
    assert counts(many.step(ord("a")).step(ord("b"))) == (literal(b"ab"), 999_999, 1_999_999)


def test_question_about_emptiness_hits_a_named_limit(monkeypatch):
    monkeypatch.setattr(expression, "EXPLORED_EXPRESSIONS", 300)
    letter = byte_class(1 << ord("p") | 1 << ord("q"))
    ends = [concat(star(letter), literal(end), repeat(letter, 12, 12)) for end in (b"p", b"q")]
    with pytest.raises(LimitError, match=r"more than 300 derivatives; make it simpler") as caught:
        is_empty(intersection(*ends))
    assert caught.value.limit == "EXPLORED_EXPRESSIONS"


# ---- Interning ---------------------------------------------------------------------------------------------------


def test_equal_expressions_are_one_object():
    def make():
        return union(concat(star(literal(b"ab")), literal(b"c")), complement(repeat(literal(b"xyz"), 2, 7)))

    assert make() is make()
    assert literal(b"abc").step(ord("a")) is literal(b"abc").step(ord("a"))


def is_freed(make):
    """Tell whether what `make` gives is gone once nobody holds it."""
    made = make()
    freed = weakref.ref(made)
    del made
    gc.collect()
    return freed() is None


def read_to_its_end():
    whole = literal(b"held by nobody else")
    assert matches(whole, b"held by nobody else")
    return whole


def read_in_a_loop():
    loop = star(literal(b"held by nobody either"))
    assert matches(loop, b"held by nobody either")
    return loop


def test_expressions_that_nobody_holds_are_freed():
    assert is_freed(read_to_its_end)
    assert not is_freed(lambda: EPSILON)


def test_loops_that_nobody_holds_are_freed():
    assert is_freed(read_in_a_loop)


def test_repr_shows_the_operations_and_is_cut():
    assert repr(union(literal(b"ab"), EPSILON)) == "<Expression union(epsilon, literal(b'ab', 0x0))>"
    deep = literal(b"ab")
    for _ in range(50):
        deep = complement(concat(deep, literal(b"ab")))
    assert "…" in repr(deep)
