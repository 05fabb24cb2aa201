"""What the proofs of exactness share: constraints as data, a small vocabulary, walks through masks.

Nothing here depends on a test framework or on how an engine works; a constraint is whatever has `start_state`, `row`,
`next_state` and `is_accepting`.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests import oracle

__all__ = [
    "CASES",
    "Case",
    "allowed_tokens",
    "assert_allowed_stepwise",
    "is_set",
    "random_tokenisations",
    "random_walk",
    "small_vocabulary",
]

WORD_BITS = 32


# ---- Constraints ------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A constraint, what it accepts and what it rejects.

    `source` is a schema, or a pattern as text. `accepted` has the values of a schema (each is written compactly and
    with the default separators of `json.dumps`), the texts of a pattern; `rejected` has texts.
    """

    name: str
    source: dict | bool | str
    accepted: list
    rejected: list[str]
    whitespace_pattern: str | None = None

    def machine(self) -> oracle.Machine:
        """Give the oracle's machine."""
        if isinstance(self.source, str):
            return oracle.Regex(self.source)
        return oracle.JsonSchema(self.source, self.whitespace_pattern or "[ ]?")

    def texts(self) -> Iterator[str]:
        """Give the accepted texts."""
        for value in self.accepted:
            if isinstance(self.source, str):
                yield value
            else:
                yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
                if self.whitespace_pattern is None:
                    yield json.dumps(value, ensure_ascii=False)


def _object(properties: dict, required: Iterable[str] = (), **more: Any) -> dict:
    return {"type": "object", "properties": properties, "required": list(required), **more}


TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": _object(
            {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            ["value"],
            additionalProperties=False,
        )
    },
}
PERSON = _object(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "email": {"type": "string", "pattern": r"^[a-z0-9.]+@[a-z]+\.(com|org)$"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    ["name", "age"],
    additionalProperties=False,
)

CASES = [
    Case("null", {"type": "null"}, [None], ["nul", "nulll", " null", "null ", "false"]),
    Case("boolean", {"type": "boolean"}, [True, False], ["True", "1", "tru"]),
    Case("integer", {"type": "integer"}, [0, -1, 17, 10**30], ["01", "+1", "1.0", "1e2", "-", "--1", "1."]),
    Case(
        "number",
        {"type": "number"},
        [0, -1.5, 1e300, 2.5e-7, 12],
        [".5", "1.", "1e", "00", "-.1", "NaN", "Infinity", "1.e2"],
    ),
    Case(
        "string", {"type": "string"}, ["", "é🙂漢", 'a"b\\c/\n\t', "\x7f\x9f"], ['"\n"', '"\\x"', "'a'", '"a']
    ),
    Case(
        "anything",
        True,
        [[{"a": [1, -2.5e3, None]}, "x", {}, []], {"": ""}, 0],
        ["[ 1 , 2]", "{1:2}", "[1 ,2]"],
    ),
    Case("array of anything", {"type": "array"}, [[], [[[]], {}]], ["[   ]", "[1,]", "[,1]", "[1  ]"]),
    Case("object of anything", {"type": "object"}, [{}, {"a": {"b": 1}}], ['{"a":1,}', "{,}", '{"a" :  1}']),
    Case(
        "enum",
        {"enum": ["red", "green", "grey", "", 1, -2.5, None, True]},
        ["red", "grey", "", 1, None],
        ['"gre"', "2"],
    ),
    Case(
        "enum of arrays and objects",
        {"enum": [[], {}, [1, "a"], {"a": {"b": [2]}, "c": None}]},
        [[], {}, [1, "a"], {"a": {"b": [2]}, "c": None}],
        ["[1]", '{"c":null,"a":{"b":[2]}}', '[1 ,"a"]'],
    ),
    Case(
        "const that needs escapes", {"const": 'é"\\\n\x01/'}, ['é"\\\n\x01/'], ['"\\u00e9\\"\\\\\\n\\u0001/"']
    ),
    Case(
        "minLength",
        {"type": "string", "minLength": 3},
        ["abc", "é🙂漢", "\n\n\n"],
        ['"ab"', '"\\n\\n"', '"🙂"'],
    ),
    Case(
        "maxLength",
        {"type": "string", "maxLength": 2},
        ["", "🙂🙂", '"\\'],
        ['"abc"', '"\\u0041\\u0042\\u0043"'],
    ),
    Case(
        "both lengths",
        {"type": "string", "minLength": 2, "maxLength": 20},
        ["ab", "x" * 20],
        ['"x"', f'"{"x" * 21}"'],
    ),
    Case("pattern", {"type": "string", "pattern": "^[a-c]+x?$"}, ["a", "abcx"], ['""', '"x"', '"abxx"']),
    Case(
        "pattern found anywhere", {"type": "string", "pattern": "b+[0-9]"}, ["b1", "abb7🙂"], ['"b"', '"1b"']
    ),
    Case(
        "pattern at the end",
        {"type": "string", "pattern": "(png|jpe?g)$"},
        ["a.png", "jpeg"],
        ['"png."', '"jpg "'],
    ),
    Case(
        "pattern and lengths",
        {"type": "string", "pattern": "^(ab|c)*$", "minLength": 3, "maxLength": 5},
        ["abc", "ababc", "ccccc"],
        ['"ab"', '"abab c"', '"cccccc"', '"aba"'],
    ),
    Case(
        "pattern that only escapes can spell",
        {"type": "string", "pattern": '^["\\\\\\n]{2}$'},
        ['""', "\\\n"],
        ['"a"', '"\\""', '"\\/\\/"'],
    ),
    Case(
        "two patterns",
        {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "z$"}], "maxLength": 4},
        ["az", "abcz"],
        ['"a"', '"za"', '"abcdz"'],
    ),
    Case(
        "integer bounds",
        {"type": "integer", "minimum": -12, "maximum": 105},
        [-12, 0, 105],
        ["-13", "106", "1.5"],
    ),
    Case(
        "exclusive integer bounds",
        {"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 1000},
        [10, 999],
        ["9"],
    ),
    Case("integer from", {"type": "integer", "minimum": 250}, [250, 1000, 99999], ["249", "-300", "25"]),
    Case("integer up to", {"type": "integer", "maximum": -7}, [-7, -123], ["-6", "0", "7"]),
    Case(
        "number bounds",
        {"type": "number", "minimum": -0.5, "maximum": 12.25},
        [-0.5, 0, 12.25, 7.125],
        ["12.26", "-0.51", "10e0", "2e1"],
    ),
    Case(
        "exclusive number bounds",
        {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.3},
        [0.2, 0.10001],
        ["0.1", "0.3", "0.30", "0.100", "1"],
    ),
    Case("number from zero", {"type": "number", "minimum": 0}, [0, 3.75], ["-1", "-0.1"]),
    Case(
        "arrays of fixed length",
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
        [[True, False]],
        ["[true]"],
    ),
    Case(
        "arrays between",
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 4},
        [[1], [1, 2, 3, 4]],
        ["[]", "[1,2,3,4,5]"],
    ),
    Case(
        "prefixItems",
        {
            "type": "array",
            "prefixItems": [{"type": "null"}, {"type": "string"}],
            "items": {"type": "integer"},
        },
        [[], [None], [None, "a"], [None, "a", 1, 2]],
        ["[1]", '[null,"a","b"]'],
    ),
    Case(
        "prefixItems and no more",
        {"type": "array", "prefixItems": [{"const": "a"}, {"type": "number"}], "items": False, "minItems": 1},
        [["a"], ["a", 2.5]],
        ["[]", '["a",1,2]'],
    ),
    Case(
        "person",
        PERSON,
        [{"name": "Ann", "age": 7}, {"name": "é", "age": 0, "email": "a.b@c.org", "tags": ["x"]}],
        ['{"age":1}'],
    ),
    Case(
        "all optional",
        _object(
            {"a": {"type": "null"}, "b": {"type": "null"}, "ab": {"type": "null"}}, additionalProperties=False
        ),
        [{}, {"a": None}, {"b": None, "ab": None}, {"a": None, "b": None, "ab": None}],
        ['{"b":null,"a":null}', '{"a":null,"a":null}', '{"\\u0061":null}', '{"c":null}', "{  }"],
    ),
    Case(
        "members of any name",
        _object({"a": {"type": "null"}, "ab": {"type": "null"}, "é": {"const": 1}}, ["ab"]),
        [{"ab": None}, {"a": None, "ab": None, "é": 1, "b": [], "abc": {}}, {"ab": None, "": 2}],
        ['{"ab":null,"a":1}', '{"ab":null,"\\u00e9":2}', '{"ab":null,"\\u0061":2}', '{"b":1,"ab":null}'],
    ),
    Case(
        "values of a mapping",
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
        [{}, {"a": 1, "🙂": 20}],
        ['{"a":-1}', '{"a":"b"}'],
    ),
    Case(
        "required but not declared",
        _object({"a": {"type": "null"}}, ["b", "a"], additionalProperties={"type": "boolean"}),
        [{"a": None, "b": True}, {"a": None, "b": False, "c": True}, {"a": None, "c": True, "b": False}],
        ['{"a":null}', '{"b":true,"a":null}', '{"a":null,"b":1}'],
    ),
    Case(
        "any type but objects of this kind",
        {"properties": {"a": {"type": "null"}}},
        [1, "x", [{}], {"a": None}, {"b": 2}],
        ['{"a":1}'],
    ),
    Case(
        "types",
        {"type": ["integer", "null", "array"], "minimum": 5, "maxItems": 1},
        [5, None, [0]],
        ["4", "[1,2]", '"a"'],
    ),
    Case("integer or number", {"type": ["integer", "number"]}, [1, 1.5], ['"1"', "null"]),
    Case(
        "anyOf",
        {
            "anyOf": [
                {"type": "string", "maxLength": 3},
                {"type": "integer"},
                _object({"kind": {"const": "x"}}, ["kind"]),
            ]
        },
        ["abc", 12, {"kind": "x", "more": 1}],
        ['"abcd"', '{"kind":"y"}', "1.5"],
    ),
    Case(
        "anyOf that begins alike",
        {
            "anyOf": [
                _object(
                    {"kind": {"const": "circle"}, "r": {"type": "number"}},
                    ["kind", "r"],
                    additionalProperties=False,
                ),
                _object(
                    {"kind": {"const": "cube"}, "a": {"type": "integer"}},
                    ["kind", "a"],
                    additionalProperties=False,
                ),
            ]
        },
        [{"kind": "circle", "r": 1.5}, {"kind": "cube", "a": 2}],
        ['{"kind":"circle","a":2}', '{"kind":"cube","a":2.5}'],
    ),
    Case(
        "anyOf with siblings",
        {
            "type": "string",
            "minLength": 2,
            "anyOf": [{"pattern": "^a"}, {"maxLength": 3}, {"type": "integer"}],
        },
        ["abcd", "bcd"],
        ['"bcde"', '"a"', "12"],
    ),
    Case(
        "anyOf with a dead branch",
        {
            "anyOf": [
                _object({"a": False}, ["a"]),
                {"type": "integer", "minimum": 3, "maximum": 2},
                {"const": "ok"},
            ]
        },
        ["ok"],
        ["{}", "3", '{"a":1}'],
    ),
    Case(
        "allOf",
        {
            "allOf": [
                _object({"a": {"type": "number"}}, ["a"]),
                _object({"a": {"maximum": 9}, "b": {"type": "null"}}),
            ]
        },
        [{"a": 9}, {"a": 1.5, "b": None}],
        ['{"a":10}', '{"b":null}', '{"a":"x"}'],
    ),
    Case(
        "dead member",
        _object(
            {"a": {"type": "array", "items": False, "minItems": 1}, "b": {"type": "array", "items": False}}
        ),
        [{}, {"b": []}, {"c": 1}],
        ['{"a":[]}', '{"b":[1]}'],
    ),
    Case(
        "enum with siblings",
        {
            "enum": [1, 2.5, 30, "a", "abc"],
            "anyOf": [{"minimum": 2, "type": "number"}, {"minLength": 2, "type": "string"}],
        },
        [2.5, 30, "abc"],
        ["1", '"a"'],
    ),
    Case(
        "reference",
        TREE,
        [{"value": 1}, {"value": -2, "children": [{"value": 0}, {"value": 1, "children": []}]}],
        ['{"children":[]}'],
    ),
    Case(
        "references by pointer",
        {
            "$defs": {"a/b~c": {"type": "null"}, "é ": {"anyOf": [{"const": "x"}, {"type": "boolean"}]}},
            "anyOf": [{"$ref": "#/$defs/a~1b~0c"}, {"$ref": "#/$defs/%C3%A9%20/anyOf/1"}],
        },
        [None, True],
        ['"x"', "1"],
    ),
    Case(
        "recursion through anyOf",
        {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}]},
        [1, [], [[1, []], 2]],
        ["[1,2,3]", "1.5"],
    ),
    Case(
        "recursion that must not be entered",
        {
            "$defs": {"endless": _object({"next": {"$ref": "#/$defs/endless"}}, ["next"])},
            **_object({"a": {"$ref": "#/$defs/endless"}, "b": {"type": "null"}}, additionalProperties=False),
        },
        [{}, {"b": None}],
        ['{"a":{}}'],
    ),
    Case(
        "white space of one's own",
        _object({"a": {"type": "array", "items": {"type": "integer"}}, "b": {"type": "object"}}, ["a"]),
        [{"a": [1, 2], "b": {}}],
        ['{  "a":[]}', '{"a" :[1,\r2]}'],
        r"(\n| )?",
    ),
    Case(
        "names that need escapes",
        _object({'"\\\n': {"const": 0}, "é/": {"const": "é"}}),
        [{'"\\\n': 0, "é/": "é"}],
        ['{"\\u00e9\\/":1}'],
    ),
    Case("regex: literal", "hello 🙂", ["hello 🙂"], ["hello", "hello 🙂!", ""]),
    Case("regex: classes", r"[^a-y]\d{2}[é-ü]?.", ["z12x", "Z99éé", "🙂00漢"], ["a12x", "z1xx", "z12\n"]),
    Case("regex: repeats", r"(ab?){2,4}c*", ["aa", "ababababccc"], ["a", "aaaaa", "abc"]),
    Case(
        "regex: telephone",
        r"\+?\(?[0-9]{3}\)?[-. ][0-9]{3}-[0-9]{4}",
        ["(555) 123-4567", "555.123-4567"],
        ["555-1234"],
    ),
    Case(
        "regex: alternation",
        r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])|never|(?:n[eo])*",
        ["1999-12", "never", "none", ""],
        ["1899-01"],
    ),
    Case("regex: anchors", r"^(a|^b$)c*$", ["a", "acc", "b"], ["bc", ""]),
    Case(
        "regex: end of line",
        r"a(b$)?(\n|c)?(\n|d)?",
        ["a", "ab\n", "ac\n", "a\n\n"],
        ["ab\n\n", "abc", "ab\nd"],
    ),
    Case(
        "regex: repeats of repeats",
        r"(?:(?:0+){2,})?(1{0,2}){2}",
        ["", "00", "1111", "001"],
        ["0", "01", "11111"],
    ),
    Case("regex: words", r"\w+( \w+){0,2}\s?", ["über Straße", "a b c\n"], ["a  b", " a", "a b c d"]),
]


# ---- Vocabularies and texts -------------------------------------------------------------------------------


def small_vocabulary(
    rng: random.Random, texts: Iterable[bytes] = (), size: int = 400
) -> tuple[list[bytes | None], list[int]]:
    """Make a vocabulary that is small enough to try every token: the 256 bytes and some hundred longer tokens.

    Parameters
    ----------
    rng
        Draws pieces and the order of ids.
    texts
        Texts whose pieces shall be tokens, so that tokens cross every boundary that the texts have.
    size
        Number of pieces drawn; equal ones are kept, since real vocabularies have such too.

    Returns
    -------
    tokens, eos_ids
        Bytes of each token, None where it is special; two of the special tokens end a sequence.
    """
    joints = [
        '{"',
        '":',
        '": ',
        '", "',
        '","',
        '"}',
        '"]',
        "}}",
        "]}",
        "},",
        "[[",
        "[]",
        "{}",
        '[{"',
        ", ",
        "null",
        "true",
    ]
    joints += [
        "false",
        "00",
        "12",
        "-1",
        ".5",
        "0.",
        "e+",
        "E-",
        "\\u",
        "\\ud83d",
        "\\n",
        '\\"',
        "\\\\",
        "u00",
        "DE00",
        "é",
        "漢",
    ]
    tokens: list[bytes | None] = [bytes([byte]) for byte in range(256)]
    tokens += [joint.encode() for joint in joints]
    tokens += ["🙂".encode()[:2], "🙂".encode()[1:], b"\x80\x80", b'\xa9"', b"  ", b"a" * 40, b" \n"]
    texts = [text for text in texts if text]
    for text in rng.choices(texts, k=size) if texts else ():
        start = rng.randrange(len(text))
        tokens.append(text[start : start + rng.randint(2, 9)])
    tokens += [None] * 4
    rng.shuffle(tokens)
    special = [t for t, token in enumerate(tokens) if token is None]
    return tokens, special[:2]


def random_tokenisations(
    text: bytes, tokens: list[bytes | None], k: int, rng: random.Random
) -> Iterator[list[int]]:
    """Give `k` random ways to write a text with the tokens of a vocabulary that has all bytes."""
    ids: dict[bytes, list[int]] = {}
    for t, token in enumerate(tokens):
        if token and token in text:
            ids.setdefault(token, []).append(t)
    longest = max(map(len, ids), default=0)
    for _ in range(k):
        way, start = [], 0
        while start < len(text):
            pieces = [text[start:end] for end in range(start + 1, min(start + longest, len(text)) + 1)]
            piece = rng.choice([piece for piece in pieces if piece in ids])
            way.append(rng.choice(ids[piece]))
            start += len(piece)
        yield way


# ---- Walks through masks ----------------------------------------------------------------------------------


def allowed_tokens(row: np.ndarray, num_tokens: int) -> np.ndarray:
    """Give the ids whose bits are set in a packed row; raise if a bit beyond `num_tokens` is."""
    bits = np.unpackbits(np.ascontiguousarray(row).view(np.uint8), bitorder="little")
    if bits[num_tokens:].any():
        raise AssertionError(f"row has bits beyond its {num_tokens} tokens")
    return np.flatnonzero(bits)


def is_set(row: np.ndarray, token: int) -> bool:
    """Tell whether the bit of a token is set in a packed row."""
    return bool(int(row[token // WORD_BITS]) >> token % WORD_BITS & 1)


def assert_allowed_stepwise(constraint: Any, ids: Iterable[int]) -> int:
    """Assert that each token is allowed where it stands; give the state after the last."""
    state = constraint.start_state
    for place, token in enumerate(ids):
        assert is_set(constraint.row(state), token), f"token {token} at place {place} is masked"
        state = constraint.next_state(state, token)
        assert state != 0, f"token {token} at place {place} is allowed, but leads to the dead state"
    return state


#: How a walk may choose its next token.
POLICIES = ("uniform", "exit-biased", "shortest-to-end")


def random_walk(
    constraint: Any, vocabulary: Any, rng: random.Random, policy: str = "uniform", limit: int = 500
) -> tuple[bytes, bool]:
    """Write a text by choosing among the allowed tokens.

    Parameters
    ----------
    policy
        "uniform": any allowed token. "exit-biased": ends where it may, two times in three, else any token.
        "shortest-to-end": ends where it may; else takes, three times in four, the shortest token that ends in a
        quote or in a closing bracket, or where there is none in a digit; half-way it searches for the shortest end.
        "mixed": any of these at each token, and the search half-way.
    limit
        Most tokens to write.

    Returns
    -------
    text, finished
        What was written; whether an end of sequence came within `limit`.
    """
    state, text = constraint.start_state, b""
    end: list[int] = []
    for place in range(limit):
        allowed = allowed_tokens(constraint.row(state), vocabulary.num_tokens)
        assert allowed.size, f"stuck after {text!r}"
        if policy in ("shortest-to-end", "mixed") and place == limit // 2:
            end = _shortest_end(constraint, vocabulary, state)
        choice = rng.choice(POLICIES) if policy == "mixed" else policy
        token = end.pop() if end else _choose(allowed, vocabulary, rng, choice)
        assert token in allowed, f"token {token} leads on after {text!r}, but is masked"
        state = constraint.next_state(state, token)
        assert state != 0, f"token {token} is allowed after {text!r}, but leads to the dead state"
        if token in vocabulary.eos_token_ids:
            return text, True
        text += vocabulary.tokens[token]
    return text, False


def _choose(allowed: np.ndarray, vocabulary: Any, rng: random.Random, policy: str) -> int:
    ends = [token for token in vocabulary.eos_token_ids if token in allowed]
    if ends and (policy == "shortest-to-end" or (policy == "exit-biased" and rng.random() < 2 / 3)):
        return rng.choice(ends)
    if policy == "shortest-to-end" and rng.random() < 3 / 4:
        quotes, brackets, digits = (
            group[np.isin(group, allowed, assume_unique=True)] for group in _closing_tokens(vocabulary)
        )
        groups = [group for group in (quotes, brackets) if group.size] or [digits]
        group = rng.choice(groups)
        if group.size:
            return int(group[0])
    return int(allowed[rng.randrange(allowed.size)])


def _shortest_end(constraint: Any, vocabulary: Any, state: int, most_states: int = 2000) -> list[int]:
    """Search for the shortest way of ASCII characters to an accepting state; give its tokens, last first."""
    tokens = [
        t
        for t, token in enumerate(vocabulary.tokens)
        if token and len(token) == 1 and 0x20 <= token[0] < 0x7F
    ]
    came_from = {state: (state, -1)}
    todo = [state]
    for state in todo:  # it grows meanwhile
        if constraint.is_accepting(state):
            way = []
            while came_from[state][1] >= 0:
                state, token = came_from[state]
                way.append(token)
            return way
        for token in tokens if len(todo) < most_states else ():
            after = constraint.next_state(state, token)
            if after not in came_from and after != 0:
                came_from[after] = (state, token)
                todo.append(after)
    return []


@functools.lru_cache(maxsize=8)
def _closing_tokens(vocabulary: Any) -> list[np.ndarray]:
    """Give the tokens that end in a quote, in a closing bracket, in a digit; short ones first."""
    tokens = sorted((len(token), t) for t, token in enumerate(vocabulary.tokens) if token)
    groups = (b'"', b"}]", b"0123456789")
    return [np.array([t for _, t in tokens if vocabulary.tokens[t][-1] in group]) for group in groups]
