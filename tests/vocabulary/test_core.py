"""Vocabularies: what bytes a tokenizer's tokens are, what is refused, and what is kept on disk."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from outlines.trie import Trie
from outlines.vocabulary import Vocabulary, disk

BYTES = [bytes([i]) for i in range(256)]
EOS = 256
TEXTS = ["the quick brown fox", "é 🙂\n\t日本", "yes no 0123", "\x00\x7f"]


def byte_level(**kwargs):
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(TEXTS * 30, trainer)
    trained.add_tokens([AddedToken("<tool>"), AddedToken("dé ", normalized=False)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token="<s>", eos_token="</s>", **kwargs
    )


def byte_fallback():
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "a",
        "b",
        "▁a",
        "ab",
        "▁ab",
        "é",
    ]
    merges = [("▁", "a"), ("a", "b"), ("▁", "ab")]
    model = models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>"
    )


# ---- Tokenizers --------------------------------------------------------------------------------------------------

MAKERS = {"byte-level": byte_level, "byte-fallback": byte_fallback}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Each test has a cache of its own."""
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path))
    return tmp_path / "vocabularies"


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_bytes_of_tokens_spell_what_was_encoded(make):
    tokenizer = make()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for text in [*TEXTS, " ab é日", "a  b", "🙂ab\n"]:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert b"".join(vocabulary.tokens[i] for i in ids) == text.encode()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_special_tokens_have_no_bytes(make):
    tokenizer = make()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.num_tokens == len(tokenizer)
    special = {
        tokenizer.convert_ids_to_tokens(i) for i, token in enumerate(vocabulary.tokens) if token is None
    }
    assert special == {"<s>", "</s>", "<unk>"} & set(tokenizer.get_vocab())
    assert vocabulary.eos_token_ids == (tokenizer.eos_token_id,)
    assert vocabulary.num_words == -(-len(tokenizer) // 32)


def test_added_token_that_is_text_has_its_own_bytes():
    tokenizer = byte_level()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for text in ("<tool>", "dé "):
        assert vocabulary.tokens[tokenizer.convert_tokens_to_ids(text)] == text.encode()


def test_byte_tokens_of_fallback_are_one_byte_each():
    tokenizer = byte_fallback()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    for byte in range(256):
        assert vocabulary.tokens[tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>")] == bytes([byte])
    assert vocabulary.tokens[tokenizer.convert_tokens_to_ids("▁ab")] == b" ab"


@pytest.mark.parametrize(
    ("given_ids", "expected"), [(0, (0,)), ([0, 1], (0, 1)), (None, (1,)), ((258,), (258,))]
)
def test_end_of_sequence_tokens_may_be_named(given_ids, expected):
    vocabulary = Vocabulary.from_tokenizer(byte_level(), given_ids)
    assert vocabulary.eos_token_ids == expected
    assert all(vocabulary.tokens[token] is None for token in expected)


def test_tokenizer_without_end_is_an_error():
    tokenizer = byte_level()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match=r"eos_token_ids is empty: .* name at least one token"):
        Vocabulary.from_tokenizer(tokenizer)


# ---- Tokens ------------------------------------------------------------------------------------------------------


def test_ends_and_holes_have_no_bytes():
    vocabulary = Vocabulary([*BYTES, b"</s>", b"", None, b"ab"], [EOS, EOS])
    assert vocabulary.tokens[256:] == [None, None, None, b"ab"]
    assert vocabulary.eos_token_ids == (EOS,)
    assert (vocabulary.num_tokens, vocabulary.num_words) == (260, 9)
    assert 256 not in vocabulary.trie.token
    assert repr(vocabulary) == "Vocabulary(num_tokens=260, eos_token_ids=(256,))"


def test_tokens_are_copied():
    tokens = [*BYTES, b"</s>"]
    Vocabulary(tokens, [EOS])
    assert tokens[EOS] == b"</s>"


@pytest.mark.parametrize(("num_tokens", "num_words"), [(257, 9), (288, 9), (289, 10)])
def test_words_hold_all_tokens(num_tokens, num_words):
    assert Vocabulary([*BYTES, *[None] * (num_tokens - 256)], [EOS]).num_words == num_words


@pytest.mark.parametrize(
    ("eos_token_ids", "problem"),
    [
        ([], "eos_token_ids is empty: a generation could never end; name at least one token"),
        ([257], "eos_token_ids: 257 is not an id; the vocabulary has 257 tokens"),
        ([EOS, -1], "eos_token_ids: -1 is not an id"),
    ],
)
def test_wrong_ends_are_named(eos_token_ids, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        Vocabulary([*BYTES, None], eos_token_ids)


@pytest.mark.parametrize("missing", ["", "a", "a\n", "\xc0\xf5\xffa\xf4"])
def test_bytes_of_text_that_are_no_token_are_told(missing):
    tokens = [None if text.decode("latin-1") in missing else text for text in BYTES]
    vocabulary = Vocabulary([*tokens, None, b"aa"], [EOS])
    assert vocabulary.lacking == {ord(c) for c in missing} - {0xC0, 0xF5, 0xFF}


def test_byte_that_ends_a_sequence_is_lacking():
    assert Vocabulary(BYTES, [ord("a")]).lacking == {ord("a")}


def test_token_that_is_no_bytes_is_an_error():
    with pytest.raises(TypeError, match=r"token 257: expected bytes or None, got 'é'"):
        Vocabulary([*BYTES, None, "é"], [EOS])


# ---- The cache on disk -------------------------------------------------------------------------------------------

TOKENS = [*BYTES, None, b"ab", b"abc", b"ab", b"\xff\xfe", b""]


def assert_same(trie, other):
    for name, array in trie.arrays().items():
        assert np.array_equal(array, other.arrays()[name]), name
        assert array.dtype == other.arrays()[name].dtype


def test_second_build_loads_the_same_arrays(cache_folder, monkeypatch):
    first = Vocabulary(TOKENS, [EOS])
    assert [path.suffix for path in cache_folder.iterdir()] == [".npz"]

    def refuse(tokens):
        raise AssertionError("built again")

    monkeypatch.setattr(Trie, "build", refuse)
    assert_same(Vocabulary(TOKENS, [EOS]).trie, first.trie)
    with pytest.raises(AssertionError, match="built again"):
        Vocabulary([*TOKENS, b"more"], [EOS])


@given(
    st.lists(st.none() | st.binary(max_size=3), max_size=12),
    st.lists(st.none() | st.binary(max_size=3), max_size=12),
)
def test_tokens_that_are_cut_elsewhere_are_another_file(tmp_path_factory, left, right):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTLINES_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for more in (left, right):
            assert_same(Vocabulary([*TOKENS, *more], [EOS]).trie, Trie.build([*TOKENS, *more]))


@pytest.mark.parametrize(
    "damage",
    ["cut", "empty", "no zip", "other arrays", "folder"],
)
def test_damaged_file_is_built_again(cache_folder, damage):
    expected = Vocabulary(TOKENS, [EOS]).trie
    (path,) = cache_folder.iterdir()
    data = path.read_bytes()
    if damage == "other arrays":
        with path.open("wb") as out:
            np.savez(out, byte=np.zeros(3))
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "no zip": b"x" * 999}[damage])
    assert_same(Vocabulary(TOKENS, [EOS]).trie, expected)
    if damage != "folder":
        assert path.read_bytes()[:2] == b"PK"
        assert len(path.read_bytes()) == len(data)


def test_cut_file_is_noticed_wherever_it_is_cut(cache_folder):
    expected = Vocabulary(TOKENS, [EOS]).trie
    (path,) = cache_folder.iterdir()
    data = path.read_bytes()
    for length in range(0, len(data), len(data) // 25):
        path.write_bytes(data[:length])
        assert_same(Vocabulary(TOKENS, [EOS]).trie, expected)


def test_cache_can_be_switched_off(cache_folder):
    Vocabulary(TOKENS, [EOS], cache=False)
    assert not cache_folder.exists()


def test_folder_that_cannot_be_written_costs_nothing_else(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(blocked))
    assert_same(Vocabulary(TOKENS, [EOS]).trie, Trie.build(TOKENS))


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"OUTLINES_CACHE_DIR": "{}/mine"}, "mine/vocabularies"),
        ({"XDG_CACHE_HOME": "{}/xdg", "OUTLINES_CACHE_DIR": ""}, "xdg/outlines/vocabularies"),
        (
            {"HOME": "{}/home", "XDG_CACHE_HOME": "", "OUTLINES_CACHE_DIR": ""},
            "home/.cache/outlines/vocabularies",
        ),
    ],
)
def test_folder_is_the_named_one_or_the_users(tmp_path, monkeypatch, variables, folder):
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert disk.cache_folder() == tmp_path / folder


BUILD_MANY = """
import sys
from pathlib import Path
import numpy as np
from outlines.trie import Trie
from outlines.vocabulary import Vocabulary
from outlines.vocabulary.disk import cache_folder

tokens = [*(bytes([i]) for i in range(256)), None, b"ab", b"abc"]
expected = Trie.build(tokens).arrays()
for _ in range(100):
    for path in cache_folder().glob("*.npz"):
        path.unlink(missing_ok=True)
    for name, array in Vocabulary(tokens, [256]).trie.arrays().items():
        assert np.array_equal(array, expected[name])
"""


def test_two_processes_at_once_get_whole_tries(cache_folder):
    command = [sys.executable, "-W", "error", "-c", BUILD_MANY]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.communicate(timeout=50)[1] == ""
        assert worker.returncode == 0
    assert {path.suffix for path in cache_folder.iterdir()} == {".npz"}


def test_file_with_other_arrays_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path))
    tokens = [b"a", b"ab", b"c", None]
    expected = Vocabulary(tokens, [3]).trie.arrays()
    (path,) = tmp_path.rglob("*.npz")
    for wrong in (np.zeros(3), np.zeros(3, np.int32), np.zeros((2, 2), np.int32), np.zeros(0, np.int32)):
        np.savez(path, **dict.fromkeys(expected, wrong))
        found = Vocabulary(tokens, [3]).trie.arrays()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
