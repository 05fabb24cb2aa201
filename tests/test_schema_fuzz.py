"""Random schemas over all keywords, judged by `jsonschema` through the masks; and walks that end in valid text."""

from __future__ import annotations

import gzip
import json
import warnings

import jsonschema
import pytest

from benchmarks.maskbench import DATA
from outlines.engine import Constraint
from outlines.exceptions import ConstraintError, LimitError
from outlines.types import JsonSchema
from tests import schema_fuzz
from tests.proof import random_walk

#: Errors that say that a schema can't be had; any other is a fault.
REFUSALS = ("LimitError: ",)

#: Every verdict is compared; in declared order a valid instance may be refused for its order.
ORDER = "any"


def test_random_schemas_agree_with_jsonschema(rng, budget):
    tally = schema_fuzz.run(rng, 200 * budget, 15, ORDER)
    print(dict(tally.counts), dict(tally.reasons.most_common(8)))
    assert tally.differences == []
    assert [reason for reason in tally.reasons if not reason.startswith(REFUSALS)] == []
    assert tally.counts["valid"] > 300 * budget
    assert tally.counts["invalid"] > 100 * budget
    assert tally.counts["refused"] < 0.05 * tally.counts["schemas"]


def test_a_wrong_verdict_of_the_fuzz_would_be_found(rng, monkeypatch):
    monkeypatch.setattr(schema_fuzz.Mask, "accepts", lambda self, constraint, text: True)
    assert schema_fuzz.run(rng, 30, 15, ORDER).differences


@pytest.mark.parametrize(
    ("schema", "is_endless"),
    [
        ({"$ref": "#"}, True),
        ({"anyOf": [{"not": {"$ref": "#/$defs/p"}}]}, False),
        ({"properties": {"a": {"$ref": "#"}}}, False),
        ({"$ref": "#/$defs/q", "$defs": {"p": True, "q": {"if": {"$ref": "#/$defs/q"}}}}, True),
    ],
)
def test_schemas_that_lead_back_to_themselves_are_told_apart(schema, is_endless):
    root = {"$defs": {"p": True, "q": True}, **schema}
    assert schema_fuzz.is_endless(root, root) == is_endless


@pytest.fixture(scope="module")
def real_schemas():
    """The schemas of MaskBench's dev half."""
    if not DATA.exists():
        pytest.skip(f"MaskBench isn't here: put {DATA.name} into ../shared/data")
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_walks_of_real_schemas_end_in_valid_values(real_schemas, rng, budget):
    vocabulary = schema_fuzz.vocabulary()
    finished = refused = 0
    limited: list[str] = []
    sample = rng.sample(real_schemas, min(100 * budget, len(real_schemas)))
    for case in sample:
        schema = case["schema"]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                order = rng.choice(("any", "declared"))
                constraint = Constraint(JsonSchema(schema, property_order=order), vocabulary)
        except (ConstraintError, jsonschema.SchemaError):
            refused += 1
            continue
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
        for policy in ("shortest-to-end", "mixed"):
            try:
                text, is_finished = random_walk(constraint, vocabulary, rng, policy, limit=300)
            except LimitError as error:  # what is met late is counted, and must stay rare
                limited.append(f"{case['name']}: {error}")
                continue
            if is_finished:
                finished += 1
                errors = [error.message[:200] for error in validator.iter_errors(json.loads(text))]
                assert errors == [], f"{case['name']}: {text.decode()}"
    print(f"{finished} texts finished of {len(sample)} schemas, {refused} refused")
    assert len(limited) <= 0.02 * len(sample), limited
    assert finished > 0.5 * len(sample)
