"""A random model under Llama 3's whole vocabulary: nothing but the mask keeps its texts to their types."""

from __future__ import annotations

import json
import re
import warnings
from typing import Literal

import jsonschema
import pytest
import torch
import transformers
from pydantic import BaseModel, Field

from benchmarks import vocabularies
from outlines import Generator, from_transformers
from outlines.types import JsonSchema, Regex
from outlines.types.dsl import to_regex


class Item(BaseModel):
    """A model whose texts are short, so that random ones come to an end."""

    name: str = Field(max_length=3)
    size: Literal["S", "M", "L"]
    price: int = Field(ge=0, le=99)
    tags: list[Literal["new", "old"]] = Field(max_length=2)


#: Types whose texts are bounded, each with a judge that isn't ours.
def _json_judge(schema):
    validator = jsonschema.Draft202012Validator(schema)
    return lambda text: validator.is_valid(json.loads(text))


def _pattern_judge(pattern):
    return lambda text: re.fullmatch(pattern, text) is not None


PAIR = {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}
TREE = {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 1}]}
RANGE = {"type": "integer", "minimum": -7, "maximum": 1200}
CODE = {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}
CASES = [
    (Item, _json_judge(Item.model_json_schema())),
    (JsonSchema(PAIR), _json_judge(PAIR)),
    (JsonSchema(TREE), _json_judge(TREE)),
    (JsonSchema(RANGE), _json_judge(RANGE)),
    (JsonSchema(CODE), _json_judge(CODE)),
    (Regex(r"[0-9]{3}-[a-f]{2}(é|ß)"), _pattern_judge(r"[0-9]{3}-[a-f]{2}(é|ß)")),
    (Literal["yes", "no", 12], _pattern_judge(to_regex(Regex("yes|no|12")))),
    (bool, _pattern_judge("True|False")),
]


@pytest.fixture(scope="module")
def model():
    """A Llama of one small layer with Llama 3's vocabulary, its weights random."""
    try:
        tokenizer = vocabularies.llama3_tokenizer()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=128_000,
        eos_token_id=list(vocabularies.LLAMA3_EOS_TOKEN_IDS),
        pad_token_id=128_004,
    )
    torch.manual_seed(0)
    return from_transformers(transformers.LlamaForCausalLM(config).eval(), tokenizer)


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True},
        {"do_sample": False},
        {"do_sample": False, "num_beams": 3},
        {"do_sample": True, "num_return_sequences": 3},
    ],
    ids=["sampled", "greedy", "beams", "several"],
)
def test_every_finished_text_is_valid(model, options, seed, budget):
    finished = 0
    for run in range(budget):
        torch.manual_seed(seed + run)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a text has not ended is this test's own business
            results = model.batch(["go"] * len(CASES), [case[0] for case in CASES], max_new_tokens=60, **options)
        for (output_type, is_valid), result in zip(CASES, results, strict=True):
            for text in [result] if isinstance(result, str) else result:
                try:
                    valid = is_valid(text)
                except json.JSONDecodeError:
                    continue  # cut off at max_new_tokens
                if valid:
                    finished += 1
                else:
                    assert not _has_ended(model, output_type, text), f"{output_type}: {text!r}"
    assert finished >= len(CASES) // 2 * budget


def _has_ended(model, output_type, text):
    """Tell whether a text is complete by our own reading; only then is it claimed to be valid."""
    constraint = Generator(model, output_type).logits_processor.prompt_constraints(1)[0]
    matcher = constraint.matcher()
    single = {token: i for i, token in enumerate(model.vocabulary.tokens) if token is not None and len(token) == 1}
    return all(matcher.advance(single[bytes([byte])]) for byte in text.encode()) and matcher.is_accepting()
