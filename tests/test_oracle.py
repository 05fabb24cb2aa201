"""The oracle against judges that aren't ours: `re`, `json` and `jsonschema`, and against trying every text."""

from __future__ import annotations

import heapq
import itertools
import json
import re

import jsonschema
import numpy as np
import pytest

from tests import oracle
from tests.proof import CASES, allowed_tokens, random_tokenisations, small_vocabulary

SCHEMAS = [case for case in CASES if not isinstance(case.source, str)]
BY_NAME = {case.name: case for case in CASES}
WORD_BITS = 32


def by_name(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def completion(machine, state, cap=20_000):
    """Search for a text that ends in an accepting state, first where least is left to write; None: not found."""
    todo, seen = [(0, 0, state, b"")], {state}
    while todo and len(seen) < cap:
        _, _, state, text = heapq.heappop(todo)
        if machine.is_accepting(state):
            return text
        for byte in range(256):
            after = machine.step(state, byte)
            if machine.is_live(after) and after not in seen:
                seen.add(after)
                heapq.heappush(todo, (min(map(depth, after)), len(seen), after, text + bytes([byte])))
    return None


def depth(stack):
    """Count the items of a stack; a character begun is dear, since there are so many ways to go on from it."""
    items = 0
    while stack:
        items, stack = items + 1 + 10 * len(getattr(stack[0], "pending", b"")), stack[1]
    return items


@by_name(CASES)
def test_cases_are_accepted_and_rejected(case):
    machine = case.machine()
    for text in case.texts():
        assert machine.accepts(text.encode()), text
    for text in case.rejected:
        assert not machine.accepts(text.encode()), text


@by_name(SCHEMAS)
def test_accepted_values_are_valid(case):
    jsonschema.Draft202012Validator.check_schema(case.source)
    for value in case.accepted:
        jsonschema.validate(value, case.source, jsonschema.Draft202012Validator)


@by_name(CASES)
def test_live_means_that_a_completion_exists(case, rng, budget):
    machine = case.machine()
    for _ in range(3 * budget):
        state = machine.start
        for _ in range(rng.randint(0, 25)):
            live = [after for byte in range(256) if machine.is_live(after := machine.step(state, byte))]
            state = rng.choice(live) if live else state
            assert live or machine.is_accepting(state)
        rest = completion(machine, state)
        assert rest is not None
        assert machine.is_accepting(machine.read(rest, state))


PATTERNS = [case.source for case in CASES if isinstance(case.source, str)]
PATTERNS += [
    "",
    "a*b+",
    "(a|ab)(c|bcd)?",
    "(a*)*b",
    "(?:a{0,2}b){2}",
    "a{2,}b{,2}",
    "[^ab\n]c",
    r"[\w-]+\.$",
    r"\s\S\D",
    r"a|\Ab\Z|^$",
    r"(^a|b$)*",
    "a^b|c$d",
    r"$\n?",
    "a.?",
    r"[\s\S]b?",
]
"""All are tried on texts of their own characters and a few that classes tell apart."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regex_takes_what_fullmatch_takes(pattern, rng, budget):
    machine = oracle.Regex(pattern)
    alphabet = sorted({*re.sub(r"\\.|[\[\](){}|*+?^$.]", "", pattern), *"abcd09_ \né٣🙂"})
    texts = ["".join(text) for n in range(3) for text in itertools.product(alphabet, repeat=n)]
    texts += ["".join(rng.choices(alphabet, k=rng.randint(3, 9))) for _ in range(500 * budget)]
    for text in texts:
        assert machine.accepts(text.encode()) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize(
    "pattern", ["", "a", "^a", "a$", "^(a|b)*$", "a|^b", "[^a]b", "a.c$", "^$", "(ab){2}", r"\d+a$", "^a|b$"]
)
def test_schema_pattern_is_a_search(pattern, rng, budget):
    machine = oracle.JsonSchema({"type": "string", "pattern": pattern})
    for _ in range(500 * budget):
        text = "".join(rng.choices("abc0é", k=rng.randint(0, 6)))
        assert machine.accepts(oracle.spell(text)) == bool(re.search(pattern, text)), text


def test_schema_classes_are_those_of_ecma():
    for pattern, inside, outside in [
        (r"^\d$", "09", "٣a"),
        (r"^\w$", "aZ_5", "é-"),
        (r"^\s$", " \n\u2028\ufeff\xa0", "\x1ca\u200b"),
        (r"^\D$", "٣a", "0"),
        (r"^.$", "a🙂\x85", "\n\r\u2028"),
    ]:
        machine = oracle.JsonSchema({"type": "string", "pattern": pattern})
        for character in inside + outside:
            assert machine.accepts(oracle.spell(character)) == (character in inside), (pattern, character)


def is_json_text(text: bytes) -> bool:
    """Judge a text by the standard library: JSON without NaN, lone surrogates, or white space at the ends."""
    if text != text.strip():
        return False
    try:
        value = json.loads(text.decode(), parse_constant=lambda name: pytest.fail(name))
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:  # UnicodeError and JSONDecodeError are such
        return False
    return True


def test_strings_are_those_that_json_reads(rng, budget):
    machine = oracle.JsonSchema({"type": "string"})
    pieces = [
        "\\",
        "u",
        "\\u",
        "d8",
        "D83D",
        "de00",
        "DC",
        "00e9",
        "0",
        "n",
        "/",
        "b",
        '"',
        "x",
        "\x7f",
        "\n",
        "\x1f",
    ]
    pieces = [piece.encode() for piece in pieces] + [
        b"\\ud83d\\ude00",
        b"\xc3\xa9",
        b"\xf0\x9f",
        b"\x99\x82",
        b"\xed\xa0\x80",
    ]
    pieces += [bytes([byte]) for byte in range(0x80, 0x100)]
    accepted = 0
    for i in range(20_000 * budget):
        text = b'"' + b"".join(rng.choices(pieces[: None if i % 2 else 18], k=rng.randint(0, 4))) + b'"'
        accepted += is_json_text(text)
        assert machine.accepts(text) == is_json_text(text), text
    assert accepted > 1000


def test_every_spelling_of_a_character_counts_as_one(rng, budget):
    machine = oracle.JsonSchema({"type": "string", "minLength": 2, "maxLength": 2})
    for _ in range(300 * budget):
        character = chr(
            rng.choice(
                [rng.randrange(0x20, 0x80), rng.randrange(0x80, 0xD800), rng.randrange(0xE000, 0x110000)]
            )
        )
        escaped = json.dumps(character, ensure_ascii=True)[1:-1]
        spellings = {escaped, json.dumps(character, ensure_ascii=False)[1:-1]}
        if len(escaped) in (6, 12):
            spellings.add(escaped.upper().replace("\\U", "\\u"))
        for one, other in itertools.product(spellings, repeat=2):
            assert machine.accepts(f'"{one}{other}"'.encode())
            assert not machine.accepts(f'"{one}"'.encode())
            assert not machine.accepts(f'"{one}{other}{one}"'.encode())


NUMBER_SCHEMAS = [
    {"type": "number"},
    {"type": "integer"},
    {"type": "integer", "minimum": -2, "maximum": 11},
    {"type": "integer", "exclusiveMinimum": 0},
    {"type": "integer", "minimum": 0.5, "exclusiveMaximum": 9.5},
    {"type": "integer", "maximum": -10},
    {"type": "number", "minimum": 0},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "number", "minimum": -1.5, "maximum": 1.01},
    {"type": "number", "exclusiveMinimum": 1, "maximum": 19},
    {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2},
    {"type": "number", "minimum": 10, "maximum": 10},
    {"type": "number", "minimum": 9, "exclusiveMinimum": 9, "maximum": 9.1, "exclusiveMaximum": 9.1},
]


@pytest.mark.parametrize("schema", NUMBER_SCHEMAS, ids=str)
def test_numbers_are_those_that_jsonschema_takes(schema):
    """Of all texts of up to five characters; where one is live, some completion is found."""
    machine = oracle.JsonSchema(schema)
    is_bounded, is_integer = len(schema) > 1, schema["type"] == "integer"
    accepted = 0
    for text in map("".join, itertools.chain(*(itertools.product("-.0129e", repeat=n) for n in range(1, 6)))):
        form = r"-?(0|[1-9]\d*)" if is_integer else r"-?(0|[1-9]\d*)(\.\d+)?" + ("" if is_bounded else r"(e-?\d+)?")
        form += r"|-?[1-9](\.\d+)?e-?\d+" if is_bounded and not is_integer else ""
        is_form = re.fullmatch(form, text)
        expected = bool(is_form) and jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
        accepted += expected
        assert machine.accepts(text.encode()) == expected, text
        if machine.is_live(machine.read(text.encode())):
            assert completion(machine, machine.read(text.encode())) is not None, text
    assert accepted


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
        {"type": "number", "minimum": 1, "exclusiveMaximum": 1},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a{3}$", "maxLength": 2},
        {"type": "string", "allOf": [{"pattern": "^a+$"}, {"pattern": "b"}]},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "string", "const": 1},
        {"enum": []},
        {"allOf": [{"type": "string"}, {"type": "number"}]},
        {"anyOf": [False, {"type": "integer", "const": "x"}]},
    ],
    ids=str,
)
def test_what_nothing_satisfies_is_dead_at_once(schema):
    machine = oracle.JsonSchema(schema)
    assert not machine.is_live(machine.start)
    assert not machine.is_accepting(machine.start)


def test_white_space_stands_once_and_only_where_it_may():
    machine = oracle.JsonSchema(True)
    for value, places in [
        ({"a": 1, "b": {}}, '{_"a"_:_1_,_"b"_:_{_}_}'),
        ([1, [], [2]], "[_1,_[__],_[_2_]_]"),
    ]:
        for fill in itertools.product(["", " "], repeat=places.count("_")):
            text = "".join(itertools.chain(*itertools.zip_longest(places.split("_"), fill, fillvalue="")))
            assert json.loads(text) == value
            assert machine.accepts(text.encode()), text
        full = places.replace("_", " ")
        for i in range(len(full) + 1):
            text = full[:i] + " " + full[i:]
            if json.loads(text) == value:  # not within a name
                assert not machine.accepts(text.encode()), text


def test_row_tells_by_whole_tokens(rng):
    machine = oracle.JsonSchema(BY_NAME["person"].source)
    tokens, eos_ids = small_vocabulary(rng, [text.encode() for text in BY_NAME["person"].texts()])
    state = machine.read(b'{"name":"')
    row = oracle.oracle_row(machine, state, tokens, eos_ids)
    assert row.dtype == np.int32
    assert row.shape == (-(-len(tokens) // WORD_BITS),)
    allowed = set(allowed_tokens(row, len(tokens)).tolist())
    for t, token in enumerate(tokens):
        is_allowed = token is not None and machine.is_live(machine.read(b'{"name":"' + token))
        assert (t in allowed) == is_allowed
    end = oracle.oracle_row(machine, machine.read(b'{"name":"x","age":1}'), tokens, eos_ids)
    assert allowed_tokens(end, len(tokens)).tolist() == sorted(eos_ids)


def test_random_tokenisations_spell_the_text(rng):
    tokens, _ = small_vocabulary(rng, [b"hello \xf0\x9f\x99\x82 world"])
    ways = list(random_tokenisations("hello 🙂 world".encode(), tokens, 20, rng))
    assert all(b"".join(tokens[t] for t in way) == "hello 🙂 world".encode() for way in ways)
    assert len({tuple(way) for way in ways}) > 5


@pytest.mark.parametrize(
    ("text", "is_repeated"),
    [
        (b'{"a":1,"a"', True),
        (b'{"a":1,"a', False),
        (b'{"a":{"a":1},"b":["a","a"]', False),
        (rb'{"\u0061": 1 , "a"', True),
        (b'[{"a":1},{"a"', False),
        (rb'{"a\"":"x,\\","a"', False),
        (b'{"a":1,"b":"a","a":', True),
    ],
)
def test_a_name_that_comes_twice_is_seen(text, is_repeated):
    assert oracle.repeats_a_name(text) == is_repeated
