"""MLX through mlx-lm, on the CPU: a tiny random model, whose text is what the mask lets through."""

from __future__ import annotations

import re
from typing import Literal

import pytest

import outlines
from outlines.inputs import Chat
from outlines.models import MLXLM
from outlines.types import Regex
from tests import tiny_models
from tests.models.providers import IMAGE

mlx_lm = pytest.importorskip(
    "mlx_lm", reason="pip install -c constraints.txt -e '.[dev]' brings MLX on Linux"
)

NUMBER = Regex(r"-?[0-9]{2,6}é")


def load(folder, **tokenizer) -> MLXLM:
    tiny_models.llama().save_pretrained(folder)
    tiny_models.tokenizer(**tokenizer).save_pretrained(folder)
    return outlines.from_mlxlm(*mlx_lm.load(str(folder)))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> MLXLM:
    return load(tmp_path_factory.mktemp("mlx"))


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory) -> MLXLM:
    return load(tmp_path_factory.mktemp("mlx-chat"), chat_template=tiny_models.CHAT_TEMPLATE)


def test_what_is_generated_is_of_the_type(model):
    generator = outlines.Generator(model, NUMBER)
    text = generator("the quick", max_tokens=20)
    assert re.fullmatch(NUMBER.pattern, text)
    assert generator("the quick", max_tokens=20) == text  # after a reset
    assert "".join(generator.stream("the quick", max_tokens=20)) == text
    assert model("yes", Literal["yes", "no"], max_tokens=9) in {"yes", "no"}


def test_a_text_that_is_cut_off_is_said_to_be(model):
    with pytest.warns(UserWarning, match="ended before the output type was complete: raise `max_tokens`"):
        model("the quick", NUMBER, max_tokens=1)
    with pytest.warns(UserWarning, match="ended before the output type was complete"):
        list(model.stream("the quick", NUMBER, max_tokens=1))


def test_free_text_and_batches(model):
    text = model("the quick", max_tokens=5)
    assert isinstance(text, str)
    assert "".join(model.stream("the quick", max_tokens=5)) == text
    texts = model.batch(["the quick", "yes"], max_tokens=5)
    assert texts[0] == text
    assert len(texts) == 2
    with pytest.raises(
        NotImplementedError, match="mlx-lm does not support constrained generation with batching"
    ):
        model.batch(["a", "b"], NUMBER)


def test_a_template_is_used_where_there_is_one(model, chat_model):
    chat = Chat([{"role": "user", "content": "Hi"}])
    assert not model.type_adapter.has_chat_template
    assert model.type_adapter.format_input("Hi") == "Hi"
    assert chat_model.type_adapter.format_input("Hi") == chat_model.type_adapter.format_input(chat)
    assert chat_model.type_adapter.format_input("Hi") == "<s>user: Hi\nassistant:"
    assert re.fullmatch(NUMBER.pattern, chat_model(chat, NUMBER, max_tokens=20))
    assert len(chat_model.batch(["Hi", "Ho"], max_tokens=3)) == 2


def test_a_beginning_that_the_template_wrote_is_not_written_twice(chat_model, monkeypatch):
    seen = {}

    def batch_generate(model, tokenizer, tokens, **kwargs):
        seen["tokens"] = tokens
        return type("Batch", (), {"texts": ["a"]})

    monkeypatch.setattr(mlx_lm, "batch_generate", batch_generate)
    assert chat_model.batch(["Hi"]) == ["a"]
    assert seen["tokens"][0].count(0) == 1


def test_what_is_not_taken_is_refused(model):
    with pytest.raises(NotImplementedError, match="The input type list is not available with MLXLM"):
        model(["Look", IMAGE])
    with pytest.raises(ValueError, match="mlx-lm does not support multi-modal messages"):
        model(Chat([{"role": "user", "content": ["Look", IMAGE]}]))
    assert model.tensor_library_name == "mlx"
    assert isinstance(model, outlines.SteerableModel)
