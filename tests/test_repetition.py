"""Tokens that hold whole names and elements: none repeats one where it mustn't, and no other is lost."""

from __future__ import annotations

import pytest

from outlines.constraints.json_schema import schema_symbols
from outlines.rows import unpack
from outlines.tables import DEAD, Tables
from outlines.types.json_options import JsonOptions
from outlines.vocabulary import Vocabulary

PIECES = [
    b'"a"', b'"b"', b'{"a"', b'":1,"', b'a":1', b'":1,"a', b'a":1,"a', b'":1,"a":', b',"a":1', b',"b":1', b',"a"',
    b',"b"',
    b'","', b'","a', b'","a"', b'b","a"', b'"a","b"', b',"",', b'"",""', b'"},{"', b'1},{"a', b'},{"a":1}', b'1,1',
    b',1,',
    b'1,2', b'true,', b',true', b'],[', b',[1]', b'[[', b'{}', b'},', b'"a":{', b'":{"', b'\\u0061"', b'":1,"\\u0061"',
    b'1},"a"', b'1},"b":1', b'{"a":1,"', b'{"x":{"',
]  # fmt: skip
TOKENS = [*(bytes([i]) for i in range(256)), *dict.fromkeys(PIECES), None]
VOCABULARY = Vocabulary(TOKENS, [len(TOKENS) - 1], cache=False)

SCHEMAS = {
    "free names": {"type": "object", "additionalProperties": {"type": "integer"}},
    "some declared": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True},
    "names in names": {
        "type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"const": 1}},
    },
    "counted": {"type": "object", "minProperties": 2, "maxProperties": 3, "additionalProperties": {"const": 1}},
    "few names": {"type": "object", "patternProperties": {"^[ab]$": {"const": 1}}, "additionalProperties": False},
    "few names and one more": {
        "type": "object", "patternProperties": {"^[ab]$": {"const": 1}}, "additionalProperties": False,
        "minProperties": 2,
    },
    "names by pattern": {
        "type": "object", "patternProperties": {"^a": {"const": 1}}, "additionalProperties": {"const": 2},
    },
    "distinct strings": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "distinct words": {"type": "array", "items": {"enum": ["a", "b", ""]}, "uniqueItems": True, "minItems": 2},
    "distinct by pattern": {"type": "array", "items": {"type": "string", "pattern": "^a*b?$"}, "uniqueItems": True},
    "distinct numbers": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "distinct objects": {
        "type": "array", "items": {"type": "object", "properties": {"a": {"enum": [1, 2]}}}, "uniqueItems": True,
    },
    "distinct arrays": {"type": "array", "items": {"type": "array", "items": {"enum": [1, 2]}}, "uniqueItems": True},
    "distinct anything": {"type": "array", "uniqueItems": True, "prefixItems": [{"enum": ["a", True]}], "maxItems": 4},
    "not distinct": {"type": "array", "items": {"type": "string"}, "not": {"uniqueItems": True}},
    "distinct in names": {
        "type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
}  # fmt: skip


@pytest.mark.parametrize("order", ["declared", "any"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_row_is_the_tokens_that_bytes_lead_along(name, order, rng, budget):
    options = JsonOptions(property_order=order, whitespace_pattern="compact")
    tables = Tables(schema_symbols(SCHEMAS[name], options), VOCABULARY)
    for _ in range(6 * budget):
        state = tables.start_state
        for _ in range(12):
            allowed = unpack(tables.row(state)).tolist()
            following = {token: tables.next_state(state, token) for token in range(len(TOKENS))}
            assert allowed == [token for token, after in following.items() if after != DEAD]
            ways = [token for token in allowed if TOKENS[token] is not None]
            if not ways:
                break
            long = [token for token in ways if token >= 256]
            state = following[rng.choice(long if long and rng.random() < 0.7 else ways)]
