"""Engines behind one interface: which there are, what each takes, and that each one's masks steer a model."""

from __future__ import annotations

import json
import re
import sys
from unittest.mock import Mock

import numpy as np
import pytest
import torch

import outlines
from outlines import backends
from outlines.backends import (
    BaseBackend,
    _get_backend,
    get_cfg_logits_processor,
    get_json_schema_logits_processor,
    get_regex_logits_processor,
    get_term_logits_processor,
)
from outlines.exceptions import SchemaError
from outlines.generator import Generator
from outlines.processors import OutlinesLogitsProcessor
from outlines.types.dsl import CFG, JsonSchema, Regex
from tests import tiny_models

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": [1, 22]}, "b": {"enum": ["x", "y"]}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
OTHERS = ["outlines_core", "llguidance", "xgrammar"]


@pytest.fixture(scope="module")
def model():
    return outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())


class NoModel:
    """A model of another kind."""

    tensor_library_name = "abacus"


@pytest.fixture(params=["outlines", *OTHERS])
def name(request) -> str:
    if request.param != "outlines":
        pytest.importorskip(request.param, reason=f"pip install outlines[{request.param}]")
    return request.param


def test_defaults_are_our_own_engine():
    assert backends.JSON_SCHEMA_DEFAULT_BACKEND == "outlines"
    assert backends.REGEX_DEFAULT_BACKEND == "outlines"
    assert backends.CFG_DEFAULT_BACKEND == "outlines"


def test_unknown_names_are_errors(model):
    for call in (get_json_schema_logits_processor, get_regex_logits_processor, get_cfg_logits_processor):
        with pytest.raises(ValueError, match=r"'abc' is not supported; there are 'outlines', 'outlines_core'"):
            call("abc", model, "a")
    with pytest.raises(AttributeError, match="AbcBackend"):
        backends.AbcBackend  # noqa: B018


def test_a_backend_is_made_for_each_call(model, name):
    first, second = _get_backend(name, model), _get_backend(name, model)
    assert isinstance(first, BaseBackend)
    assert type(first) is getattr(backends, type(first).__name__)
    assert first is not second
    assert first.tensor_library_name == "torch"
    assert first.get_regex_logits_processor("a") is not first.get_regex_logits_processor("a")


def test_other_models_are_errors(name):
    if name == "outlines":
        pytest.skip("our own takes every model that is steered")
    with pytest.raises(ValueError, match=rf"The {name} backend only supports .* models, not NoModel"):
        _get_backend(name, NoModel())


def test_a_missing_package_is_named(model, monkeypatch):
    # The module of this one imports its package at its top.
    monkeypatch.delitem(sys.modules, "outlines.backends.outlines_core", raising=False)
    for package in OTHERS:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=rf"pip install outlines\[{package}\]"):
            _get_backend(package, model)


@pytest.mark.parametrize("seed", range(3))
def test_patterns_steer(model, name, seed):
    torch.manual_seed(seed)
    processor = get_regex_logits_processor(name, model, "[0-9]{2}(ab)?c")
    assert isinstance(processor, OutlinesLogitsProcessor)
    generator = Generator(model, processor=processor)
    for _ in range(2):  # reset between
        text = generator("a", max_new_tokens=20, do_sample=True)
        assert re.fullmatch("[0-9]{2}(ab)?c", text)
    for text in generator.batch(["a", "longer prompt"], max_new_tokens=20, do_sample=True):
        assert re.fullmatch("[0-9]{2}(ab)?c", text)


def test_schemas_steer(model, name):
    torch.manual_seed(0)
    text = Generator(model, JsonSchema(SCHEMA), name)("a", max_new_tokens=200, do_sample=True)
    value = json.loads(text)
    assert list(value) == ["a", "b"]
    assert value["a"] in (1, 22)
    assert value["b"] in ("x", "y")


def test_types_become_patterns_for_other_engines(model, name):
    text = model("a", list[bool], name, max_new_tokens=8, do_sample=False)
    assert re.match(r"\[(True|False)", text)


def test_white_space_is_ours_and_outlines_cores(model, name):
    arguments = (name, model, json.dumps(SCHEMA), "")
    if name in ("outlines", "outlines_core"):
        text = Generator(model, processor=get_json_schema_logits_processor(*arguments))("a", max_new_tokens=99)
        assert " " not in text
        return
    with pytest.raises(NotImplementedError, match="whitespace_pattern"):
        get_json_schema_logits_processor(*arguments)


GRAMMARS = {"llguidance": ['root ::= "a" | "b"', 'start: "a" | "b"'], "xgrammar": ['root ::= "a" | "b"']}


@pytest.mark.parametrize("name", GRAMMARS)
def test_grammars_steer(model, name):
    pytest.importorskip(name, reason=f"pip install outlines[{name}]")
    for grammar in GRAMMARS[name]:
        assert Generator(model, CFG(grammar), name)("a", max_new_tokens=5) in ("a", "b")


def test_outlines_core_has_no_grammars(model):
    pytest.importorskip("outlines_core", reason="pip install outlines[outlines_core]")
    with pytest.raises(NotImplementedError, match="Outlines Core does not support context-free grammar"):
        Generator(model, CFG('start: "a"'), "outlines_core")


def test_a_list_of_types_is_for_our_engine_alone(model, name):
    if name == "outlines":
        assert Generator(model, [int, None], name).logits_processor.num_prompts == 2
        return
    with pytest.raises(ValueError, match="needs the backend 'outlines'"):
        Generator(model, [int, None], name)


@pytest.mark.parametrize(
    ("term", "told"),
    [
        (JsonSchema(SCHEMA, property_order="any", max_depth=3), "has no property_order='any', max_depth=3: leave it"),
        (CFG('a: "a"', start="a"), "has no start='a': leave it out, or use the backend 'outlines'"),
    ],
)
def test_options_that_only_our_engine_has_are_errors_for_others(model, name, term, told):
    if name == "outlines":
        assert get_term_logits_processor(name, model, term)
        return
    with pytest.raises(ValueError, match=re.escape(told)):
        get_term_logits_processor(name, model, term)


def test_options_of_a_schema_within_a_pattern_are_warnings_for_others(model, name):
    term = Regex("x") + JsonSchema({"type": "integer"}, max_digits=2)
    if name == "outlines":
        assert get_term_logits_processor(name, model, term)
        return
    with pytest.warns(UserWarning, match="regular expression of the schema leaves out max_digits=2"):
        get_term_logits_processor(name, model, term)


def test_our_engine_gets_terms_whole(model):
    """Neither a pattern nor a schema's text tells that a class is closed, nor mixes schemas and patterns."""
    term = Regex("x") + JsonSchema({"minimum": 5, "maximum": 6, "type": "integer"})
    processor = get_term_logits_processor(None, model, term)
    assert Generator(model, processor=processor)("a", max_new_tokens=9) in ("x5", "x6")
    with pytest.raises(SchemaError):
        get_json_schema_logits_processor(None, model, '{"pattern": "("}')


def test_a_default_that_is_changed_counts(model, monkeypatch):
    pytest.importorskip("llguidance", reason="pip install outlines[llguidance]")
    monkeypatch.setattr(backends, "REGEX_DEFAULT_BACKEND", "llguidance")
    assert isinstance(Generator(model, int).logits_processor, backends.llguidance.LLGuidanceLogitsProcessor)
    assert not isinstance(
        Generator(model, JsonSchema(SCHEMA)).logits_processor, backends.llguidance.LLGuidanceLogitsProcessor
    )


# Particular to one engine


def test_vocabulary_of_outlines_core_keeps_all_ids_of_a_text_and_not_the_end(monkeypatch):
    pytest.importorskip("outlines_core", reason="pip install outlines[outlines_core]")
    from outlines.backends import outlines_core

    made = Mock()
    monkeypatch.setattr(outlines_core, "Vocabulary", made)
    outlines_core.OutlinesCoreBackend.create_outlines_core_vocabulary(
        {"a": 0, "_a": 1, "b": 2, "</s>": 3, "_</s>": 4}, 3, "</s>", lambda token: token.strip("_")
    )
    made.assert_called_once_with(3, {"a": [0, 1], "b": [2]})


@pytest.mark.parametrize("pattern", [None, "", "[ ]?"])
def test_white_space_reaches_the_builder_of_outlines_core(monkeypatch, pattern):
    pytest.importorskip("outlines_core", reason="pip install outlines[outlines_core]")
    from outlines.backends import outlines_core

    build = Mock(return_value="a")
    monkeypatch.setattr(outlines_core, "build_regex_from_schema", build)
    backend = object.__new__(outlines_core.OutlinesCoreBackend)
    monkeypatch.setattr(backend, "get_regex_logits_processor", lambda regex: regex, raising=False)
    assert backend.get_json_schema_logits_processor("{}", pattern) == "a"
    build.assert_called_once_with("{}", pattern)


def test_a_token_that_xgrammar_rejects_is_an_error(model):
    pytest.importorskip("xgrammar", reason="pip install outlines[xgrammar]")
    processor = get_regex_logits_processor("xgrammar", model, "ab")
    logits = torch.zeros(1, 300)
    processor(torch.tensor([[5]]), logits)
    with pytest.raises(RuntimeError, match="rejected token"):
        processor(torch.tensor([[5, 1]]), logits)
    with pytest.raises(NotImplementedError, match="torch and mlx"):
        type(processor)(None, "numpy")


def test_errors_of_llguidance_are_warnings(model):
    pytest.importorskip("llguidance", reason="pip install outlines[llguidance]")
    processor = get_regex_logits_processor("llguidance", model, "ab")
    logits = torch.zeros(1, 300)
    processor(torch.tensor([[5]]), logits)
    with pytest.warns(UserWarning, match="Error in LLMatcher"):
        processor(torch.tensor([[5, 5]]), logits)


def test_a_finished_text_goes_on_with_its_end_alone(model, name):
    processor = get_regex_logits_processor(name, model, "a+")
    tokenizer = tiny_models.tokenizer()
    letter, end = tokenizer.convert_tokens_to_ids("a"), tokenizer.eos_token_id
    ids = [[7]]
    for token in (letter, end, letter):  # what follows the end is padding, whatever it is
        processor(torch.tensor(ids), torch.zeros(1, len(tokenizer)))
        ids = [[*ids[0], token]]
    allowed = processor(torch.tensor(ids), torch.zeros(1, len(tokenizer))).isfinite().nonzero()
    assert allowed.tolist() == [[0, end]]


@pytest.mark.parametrize("name", ["outlines_core", "llguidance"])
def test_numpy_logits(name):
    pytest.importorskip(name, reason=f"pip install outlines[{name}]")
    model = outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())
    processor = get_regex_logits_processor(name, model, "[ab]")
    processor.__init__(*(getattr(processor, part) for part in PARTS[name]), "numpy")
    logits = np.zeros(300, np.float32)
    masked = processor(np.array([3]), logits)
    tokens = [tiny_models.tokenizer().convert_ids_to_tokens(int(i)) for i in np.flatnonzero(np.isfinite(masked))]
    assert sorted(tokens) == ["a", "b"]
    assert masked.shape == logits.shape


PARTS = {"outlines_core": ["index"], "llguidance": ["grammar", "llg_tokenizer"]}
