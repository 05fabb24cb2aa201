"""Applications: a template and an output type, for any model."""

from __future__ import annotations

from typing import Literal

import pytest

import outlines
from outlines import Application, Template
from outlines.exceptions import PatternError
from tests import tiny_models


def make():
    return outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())


def test_attributes_and_calls():
    template = Template.from_string("say {{ what }}")
    application = Application(template, Literal["yes", "no"])
    assert (application.template, application.output_type) == (template, Literal["yes", "no"])
    assert application.model is application.generator is None

    model = make()
    assert application(model, {"what": "it"}, max_new_tokens=9) in ("yes", "no")
    assert application.model is model
    generator = application.generator
    application(model, {"what": "that"}, max_new_tokens=9)
    assert application.generator is generator
    other = make()
    application(other, {"what": "it"}, max_new_tokens=9)
    assert application.generator is not generator
    assert application.model is other


def test_any_callable_may_give_the_prompt():
    application = Application(lambda a, b: f"{a}{b}", outlines.regex("[0-9]"))
    assert application(make(), {"a": 1, "b": 2}, max_new_tokens=3).isdigit()


def test_free_text():
    assert isinstance(Application(Template.from_string("a"))(make(), {}, max_new_tokens=3), str)


def test_a_model_is_needed():
    with pytest.raises(ValueError, match="needs a model"):
        Application(Template.from_string("a"))(None, {})


def test_the_type_is_compiled_before_the_template_is_filled():
    def never():
        raise AssertionError

    with pytest.raises(PatternError):
        Application(never, outlines.regex("("))(make(), {})
