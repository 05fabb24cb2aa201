"""Schemas are checked by the meta-schema of their draft: the quick check says what `jsonschema` says."""

from __future__ import annotations

import copy
import gzip
import json
import random

import jsonschema
import pytest

from benchmarks.maskbench import DATA
from outlines.types import meta_schemas
from outlines.types.meta_schemas import check_schema, check_schema_text
from tests.schema_fuzz import Schemas

DRAFTS = {
    "http://json-schema.org/draft-03/schema#": jsonschema.Draft3Validator,
    "http://json-schema.org/draft-04/schema#": jsonschema.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-07/schema#": jsonschema.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema.Draft202012Validator,
    None: jsonschema.Draft7Validator,
    "https://example.com/my-own": jsonschema.Draft7Validator,
    5: jsonschema.Draft7Validator,
}


def is_right(schema):
    try:
        check_schema(schema)
    except jsonschema.exceptions.SchemaError:
        return False
    return True


@pytest.mark.parametrize("uri", DRAFTS)
def test_each_draft_has_its_own_meta_schema(uri):
    for body in (
        {"exclusiveMinimum": True, "minimum": 1},
        {"exclusiveMinimum": 1},
        {"items": [{}]},
        {"dependentRequired": {"a": "b"}},
        {"required": True},
        {"divisibleBy": 0},
        {"if": 5},
        {"minContains": -1},
        {"$defs": {"a": 5}},
        {"type": "any"},
    ):
        schema = body if uri is None else {"$schema": uri, **body}
        try:
            DRAFTS[uri].check_schema(schema, format_checker=None)
        except jsonschema.exceptions.SchemaError:
            assert not is_right(schema), schema
        else:
            assert is_right(schema), schema


def spoil(value, rng):
    """Put something wrong, or not, somewhere into a schema."""
    places = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        places += [(part, key) for key in keys if key != "$schema"]
        waiting += [part[key] for key in keys if isinstance(part[key], dict | list)]
    if places:
        part, key = rng.choice(places)
        part[key] = rng.choice([5, -1, "a", [], {}, True, None, 0.5, ["a", "a"], [5], {"a": 5}])


def test_random_schemas_are_judged_as_jsonschema_does(rng, budget):
    schemas, wrong = Schemas(rng), 0
    for _ in range(150 * budget):
        schema = copy.deepcopy(schemas.root())
        uri = rng.choice([uri for uri in DRAFTS if uri != 5])
        if uri is not None:
            schema["$schema"] = uri
        spoil(schema, rng)
        try:
            DRAFTS[uri].check_schema(schema, format_checker=None)
        except jsonschema.exceptions.SchemaError:
            wrong += 1
            assert not is_right(schema), schema
        else:
            assert is_right(schema), schema
    assert wrong > 20 * budget


def test_real_schemas_are_judged_as_jsonschema_does(budget):
    if not DATA.exists():
        pytest.skip(f"MaskBench isn't here: put {DATA.name} into ../shared/data")
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        schemas = [json.loads(line)["schema"] for line in file]
    for schema in random.Random(0).sample(schemas, min(400 * budget, len(schemas))):
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
        try:
            kind.check_schema(schema, format_checker=None)
        except jsonschema.exceptions.SchemaError:
            assert not is_right(schema), schema
        else:
            assert is_right(schema), schema


def test_a_right_schema_is_never_checked_slowly_nor_twice(monkeypatch):
    calls = []
    monkeypatch.setattr(meta_schemas, "_explain", lambda schema: calls.append("slow"))
    is_valid = meta_schemas._is_valid
    monkeypatch.setattr(meta_schemas, "_is_valid", lambda schema: calls.append("quick") or is_valid(schema))
    meta_schemas._passed.clear()
    for _ in range(3):
        check_schema({"type": "string", "title": "checked once"})
    assert calls == ["quick"]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(meta_schemas, "_MOST_PASSED", 3)
    meta_schemas._passed.clear()
    for i in range(10):
        check_schema({"title": str(i)})
    assert len(meta_schemas._passed) == 3


def test_a_number_too_large_for_the_quick_check_is_no_error():
    check_schema({"maximum": 10**400, "minLength": 10**30})


def test_text_that_is_not_json_is_a_decode_error():
    with pytest.raises(json.JSONDecodeError):
        check_schema_text("{")


@pytest.mark.parametrize("schema", [None, 5, "a", []])
def test_what_is_no_schema_is_refused(schema):
    with pytest.raises(jsonschema.exceptions.SchemaError):
        check_schema_text(json.dumps(schema))
