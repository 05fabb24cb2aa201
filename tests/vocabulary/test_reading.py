"""Every kind of tokenizer: its tokens' bytes are the text, special ones have none, masks lead to matching texts."""

from __future__ import annotations

import base64
import json
import re
import struct
import types

import jsonschema
import pytest
import sentencepiece
import tiktoken
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models

from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError
from outlines.types.dsl import Regex as RegexTerm
from outlines.vocabulary import pieces
from tests import vocabularies
from tests.vocabularies import LINES, text_of, walk

TEXTS = [*LINES[:5], "x  y", " lead", "tail ", "🙂", '{"a":1}']


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path / "cache"))


def fast(tokenizer, **names):
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def write_sentencepiece(folder, **options):
    path = folder / "tokenizer.model"
    path.write_bytes(vocabularies.sentencepiece_model(**options))
    return path


def ranks_of_byte_level():
    """GPT-2-like ranks: the byte-level tokens trained here, in order, specials left out."""
    tokenizer = vocabularies.byte_level()
    tokens = Vocabulary.from_tokenizer(tokenizer, 1).tokens
    return {text: rank for rank, text in enumerate(dict.fromkeys(t for t in tokens if t))}


def encoding():
    ranks = ranks_of_byte_level()
    ends = {"<|endoftext|>": len(ranks) + 2, "<|fim|>": len(ranks)}  # with a hole between
    return tiktoken.Encoding("test", pat_str=r"\s?\S+|\s+", mergeable_ranks=ranks, special_tokens=ends)


def tiktoken_file(folder):
    path = folder / "ranks.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks_of_byte_level().items()))
    return path


def tekken_file(folder, version="v3"):
    ranks = ranks_of_byte_level()
    vocab = [
        {"rank": r, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for t, r in ranks.items()
    ]
    config = {"default_vocab_size": len(ranks), "default_num_special_tokens": 10, "version": version}
    content = {"config": config, "vocab": vocab}
    if version == "v7":
        content["special_tokens"] = [{"rank": 5, "token_str": "</s>", "is_control": True}]
    path = folder / "tekken.json"
    path.write_text(json.dumps(content))
    return path


def tekken_json(num_special, num_tokens, rank=0, **more):
    config = {"default_vocab_size": num_tokens, "default_num_special_tokens": num_special}
    return json.dumps({"config": config, "vocab": [{"rank": rank, "token_bytes": "YQ=="}], **more}).encode()


# ---- Texts: the concatenation of tokens' bytes ---------------------------------------------------------------------


def hugging_face_cases():
    sp = sentencepiece.SentencePieceProcessor(model_proto=vocabularies.sentencepiece_model())
    unigram = sentencepiece.SentencePieceProcessor(
        model_proto=vocabularies.sentencepiece_model(kind="unigram", byte_fallback=False)
    )
    level, meta = vocabularies.byte_level(), vocabularies.metaspace()
    tik = encoding()
    return {
        # name: tokenizer, how it encodes, what stands before the text, whether it's lossless
        "tokenizers byte-level": (level, lambda s: level.encode(s).ids, ""),
        "transformers byte-level": (
            fast(level, eos_token="</s>", clean_up_tokenization_spaces=True),
            lambda s: level.encode(s).ids,
            "",
        ),
        "metaspace": (meta, lambda s: meta.encode(s, add_special_tokens=False).ids, " "),
        "sentencepiece bpe": (sp, sp.encode, " "),
        "sentencepiece unigram": (unigram, unigram.encode, " "),
        "tiktoken": (tik, tik.encode_ordinary, ""),
    }


@pytest.mark.parametrize("name", hugging_face_cases())
def test_tokens_of_a_text_spell_it(name):
    tokenizer, encode, before = hugging_face_cases()[name]
    vocabulary = Vocabulary.from_tokenizer(tokenizer, 1)
    num_spelled = 0
    for text in TEXTS:
        ids = encode(text)
        if any(vocabulary.tokens[i] is None for i in ids):
            assert vocabulary.lacking  # unknown characters
            continue
        num_spelled += 1
        spelled = text_of(vocabulary, ids).decode()
        assert spelled == before + text or (name == "metaspace" and spelled == text.replace("  ", " "))
    assert num_spelled >= 4


def test_leading_space_of_a_piece_is_in_the_text():
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=vocabularies.sentencepiece_model())
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    brace = tokenizer.piece_to_id("▁{")
    assert vocabulary.tokens[brace] == b" {"
    assert vocabulary.tokens[tokenizer.piece_to_id("<tool>")] == b"<tool>"
    for name in ("[INST]", "[unused3]", "<unk>", "<s>", "</s>"):
        assert vocabulary.tokens[tokenizer.piece_to_id(name)] is None, name
    assert vocabulary.eos_token_ids == (tokenizer.eos_id(),)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    start = Constraint(schema, vocabulary)
    assert not start.matcher().advance(brace)  # no JSON text begins with a space here
    matcher = Constraint(RegexTerm(r" ?\{x\}"), vocabulary).matcher()
    assert matcher.advance(brace)


def test_text_is_not_cleaned_up(rng):
    tokenizer = fast(vocabularies.metaspace(), eos_token="</s>", clean_up_tokenization_spaces=True)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    tokens = walk(Constraint(RegexTerm(r" yes , no \."), vocabulary), rng)
    assert text_of(vocabulary, tokens) == b" yes , no ."
    assert tokenizer.decode(tokens) == "yes, no."


# ---- Pieces --------------------------------------------------------------------------------------------------------


def test_word_piece_stands_for_a_word_and_the_space_before_it():
    tokenizer = vocabularies.word_piece()
    vocabulary = Vocabulary.from_tokenizer(tokenizer, tokenizer.token_to_id("[SEP]"))
    ids = tokenizer.encode("quick, brown foxes 日本 are {not} lazy").ids
    assert text_of(vocabulary, ids).decode() == " quick, brown foxes日本 are{ not} lazy"
    special = {
        name: vocabulary.tokens[tokenizer.token_to_id(name)] for name in ("[PAD]", "[UNK]", "[unused0]")
    }
    assert special == dict.fromkeys(special)
    assert pieces.word_piece("##s") == b"s"
    assert pieces.word_piece("##") == b"##"


def test_mark_of_the_end_of_a_word_is_a_space():
    tokenizer = vocabularies.end_of_word()
    vocabulary = Vocabulary.from_tokenizer(tokenizer, 1)
    assert text_of(vocabulary, tokenizer.encode("quick brown fox").ids) == b"quick brown fox "


def test_word_level():
    model = models.WordLevel({"[UNK]": 0, "yes": 1, ",": 2, "no": 3, "</s>": 4}, unk_token="[UNK]")
    vocabulary = Vocabulary.from_tokenizer(Tokenizer(model), 4)
    assert vocabulary.tokens == [None, b" yes", b",", b" no", None]
    matcher = Constraint(RegexTerm("( yes| no)(, no)?"), vocabulary).matcher()
    assert [matcher.advance(i) for i in (1, 2, 3, 4)] == [True] * 4


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Tokenizer(models.BPE()), r"model BPE without a decoder .* set its `decoder`"),
        (lambda: with_decoder(decoders.CTC()), r"CTC tokenizer joins tokens that repeat"),
        (lambda: with_decoder(decoders.Replace(Regex("_+"), " ")), r"replaces by a regular expression"),
        (object, r"a object is no tokenizer that is known\. Known are .*tiktoken\.Encoding.*give Vocabulary"),
    ],
)
def test_tokenizer_without_texts_is_an_error(make, problem):
    with pytest.raises((ValueError, TypeError), match=problem):
        Vocabulary.from_tokenizer(make(), 0)


def with_decoder(decoder):
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.decoder = decoder
    return tokenizer


# ---- Special tokens, and ends --------------------------------------------------------------------------------------


def test_special_tokens_are_all_those_that_the_tokenizer_flags():
    level = vocabularies.byte_level(
        AddedToken("<tool>"), AddedToken("<unused7>"), AddedToken("<|x|>", special=True), AddedToken("dé ")
    )
    tokenizer = fast(level, eos_token="</s>", pad_token="</s>", bos_token="<s>")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    silent = {tokenizer.convert_ids_to_tokens(i) for i, text in enumerate(vocabulary.tokens) if text is None}
    assert silent == {"<s>", "</s>", "<|x|>", "<unused7>"}
    assert len(tokenizer.all_special_ids) == 2  # the list that transformers offers lacks one
    assert vocabulary.tokens[tokenizer.convert_tokens_to_ids("<tool>")] == b"<tool>"
    assert vocabulary.tokens[tokenizer.convert_tokens_to_ids("dé ")] == "dé ".encode()
    assert vocabulary.eos_token_ids == (tokenizer.pad_token_id,)


def test_ends_may_be_several_and_more_tokens_special(tmp_path):
    path = tiktoken_file(tmp_path)
    num_ranks = len(ranks_of_byte_level())
    vocabulary = Vocabulary.from_tokenizer(
        path, [num_ranks, num_ranks + 1], special_tokens={"<|a|>": num_ranks, "<|b|>": num_ranks + 5, "!": 3}
    )
    assert vocabulary.num_tokens == num_ranks + 6
    assert vocabulary.eos_token_ids == (num_ranks, num_ranks + 1)
    assert [i for i, text in enumerate(vocabulary.tokens) if text is None] == [
        3,
        *range(num_ranks, num_ranks + 6),
    ]
    constraint = Constraint(RegexTerm("a?"), vocabulary)
    assert constraint.matcher().advance(num_ranks + 1)
    with pytest.raises(ValueError, match="special_tokens: -1 is not an id"):
        Vocabulary.from_tokenizer(path, 0, special_tokens=[-1])
    with pytest.raises(ValueError, match="a vocabulary of 1000000000001 tokens is not read"):
        Vocabulary.from_tokenizer(path, 0, special_tokens=[10**12])
    with pytest.raises(ValueError, match="eos_token_ids is empty"):
        Vocabulary.from_tokenizer(path)


def test_wrapper_of_mlx_names_the_ends_of_the_model():
    tokenizer = fast(vocabularies.byte_level(), eos_token="</s>")

    class Wrapper:  # as mlx_lm.tokenizer_utils.TokenizerWrapper
        def __init__(self):
            self.eos_token_ids = {1, 0}

        def __getattr__(self, name):
            return getattr(tokenizer, name)

    assert Vocabulary.from_tokenizer(Wrapper()).eos_token_ids == (1, 0)


def test_encoding_has_holes_and_an_end():
    tik = encoding()
    vocabulary = Vocabulary.from_tokenizer(tik)
    assert vocabulary.eos_token_ids == (tik.eot_token,)
    assert vocabulary.tokens[-3:] == [None] * 3
    assert vocabulary.tokens[:-3] == [tik.decode_single_token_bytes(i) for i in range(tik.n_vocab - 3)]


# ---- Files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v3", "v7"])
def test_tekken_begins_with_special_tokens(tmp_path, version):
    vocabulary = Vocabulary.from_tokenizer(tekken_file(tmp_path, version))
    ranks = ranks_of_byte_level()
    assert vocabulary.num_tokens == len(ranks)  # default_vocab_size cuts the last ones off
    assert vocabulary.tokens == [*[None] * 10, *list(ranks)[:-10]]
    assert vocabulary.eos_token_ids == (5 if version == "v7" else 2,)
    assert Vocabulary.from_tokenizer(tmp_path).tokens == vocabulary.tokens  # as a folder


def test_file_is_known_by_its_contents(tmp_path):
    for name, make in {"sp": write_sentencepiece, "tik": tiktoken_file, "tekken": tekken_file}.items():
        path = make(tmp_path)
        path = path.rename(tmp_path / name)
        assert Vocabulary.from_tokenizer(str(path), 2).num_tokens > 256
    json_path = tmp_path / "some.json"
    vocabularies.byte_level().save(str(json_path))
    assert (
        Vocabulary.from_tokenizer(json_path, 1).tokens
        == Vocabulary.from_tokenizer(vocabularies.byte_level(), 1).tokens
    )


def test_folder_names_its_ends(tmp_path):
    fast(vocabularies.byte_level(), eos_token="</s>").save_pretrained(tmp_path)
    assert Vocabulary.from_tokenizer(tmp_path).eos_token_ids == (1,)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [0, 1]}')
    assert Vocabulary.from_tokenizer(tmp_path).eos_token_ids == (1, 0)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"IQ== 0\nIg==\n", r"ranks: line 2: expected a token in base64 and its id, got b'Ig=='"),
        (b"IQ== 0\nIg== 0\n", r"ranks: line 2: id 0 is negative or was given before"),
        (b"IQ 0\n", r"line 1: expected a token in base64"),
        (b'{"config": {}, "vocab": []}', r"ranks: no tekken.json: 'default_num_special_tokens' is missing"),
        (b"IQ== 9999999999999\n", r"a vocabulary of 10000000000000 tokens is not read; MAX_TOKENS is 16777216"),
        (b'{"a":' * 100_000, r"ranks: the JSON is nested too deep to be a tokenizer's"),
        (tekken_json(1, 10**12), r"a vocabulary of 1000000000000 tokens is not read"),
        (tekken_json(1, 9, rank=-3), r"ranks: no tekken.json: the rank -3 is negative"),
        (tekken_json("1", 9), r"ranks: no tekken.json: can only concatenate str"),
        (tekken_json(1, 9, special_tokens=[{}]), r"ranks: no tekken.json: 'token_str' is missing"),
        (b"", r"no pieces: this is not a SentencePiece model"),
        (b"\x0b", r"no protocol buffer, so no SentencePiece model"),
        (b"\x0a\xff", r"the model is cut off"),
        (b"\x0a\x7fabc", r"byte 2: the model is cut off; 127 more bytes were announced"),
    ],
)
def test_damaged_file_names_the_place(tmp_path, data, problem):
    path = tmp_path / "ranks"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=problem):
        Vocabulary.from_tokenizer(path, 0)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.gguf: no such file or folder\. Load"):
        Vocabulary.from_tokenizer(tmp_path / "nothing.gguf", 0)


def test_model_that_is_cut_anywhere_is_an_error_or_shorter(tmp_path):
    data = vocabularies.sentencepiece_model()
    whole = Vocabulary.from_tokenizer(write_sentencepiece(tmp_path)).tokens
    path = tmp_path / "cut"
    for length in range(1, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        try:
            tokens = Vocabulary.from_tokenizer(path, 0, cache=False).tokens
        except ValueError:
            continue
        assert tokens[1:] == whole[1 : len(tokens)]


# ---- Slow tokenizers of transformers -------------------------------------------------------------------------------


def test_slow_sentencepiece_tokenizer(tmp_path):
    path = write_sentencepiece(tmp_path)
    tokenizer = transformers.BertGenerationTokenizer(str(path))
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    model = Vocabulary.from_tokenizer(path)
    assert vocabulary.eos_token_ids == model.eos_token_ids
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert text_of(vocabulary, ids).decode().lstrip() == text.lstrip()


def test_slow_tokenizer_of_bytes():
    tokenizer = transformers.ByT5Tokenizer()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert not vocabulary.lacking
    for text in TEXTS:
        assert text_of(vocabulary, tokenizer.encode(text, add_special_tokens=False)).decode() == text
    assert sum(text is None for text in vocabulary.tokens) == 3 + 125


def test_slow_word_piece_tokenizer(tmp_path):
    words = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]", "yes", "##s", ",", "no"]
    (tmp_path / "prophetnet.tokenizer").write_text("\n".join(words))
    tokenizer = transformers.ProphetNetTokenizer(str(tmp_path / "prophetnet.tokenizer"))
    vocabulary = Vocabulary.from_tokenizer(tokenizer, 1)
    assert vocabulary.tokens[:9] == [*[None] * 5, b" yes", b"s", b",", b" no"]


def test_slow_tokenizer_that_is_not_known():
    tokenizer = types.SimpleNamespace(eos_token_id=0, get_vocab=lambda: {"a": 0}, added_tokens_decoder={})
    with pytest.raises(
        ValueError, match=r"SimpleNamespace doesn't tell what bytes .* use its fast counterpart"
    ):
        Vocabulary.from_tokenizer(tokenizer, 0)


# ---- mistral-common's --------------------------------------------------------------------------------------------


def test_tekkenizer_of_mistral_common():
    ranks = [b"", b"", b"", *ranks_of_byte_level()]
    inner = types.SimpleNamespace(
        id_to_byte_piece=ranks.__getitem__, num_special_tokens=3, n_words=len(ranks), eos_id=2
    )
    wrapped = types.SimpleNamespace(instruct_tokenizer=types.SimpleNamespace(tokenizer=inner))
    for tokenizer in (inner, wrapped, types.SimpleNamespace(tokenizer=wrapped)):
        vocabulary = Vocabulary.from_tokenizer(tokenizer)
        assert vocabulary.tokens == [*[None] * 3, *ranks_of_byte_level()]
        assert vocabulary.eos_token_ids == (2,)


# ---- GGUF ----------------------------------------------------------------------------------------------------------

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)

GGUF = {
    # model: (name, type) of each token, and the bytes that are expected
    "gpt2": [
        ("Ġhi", NORMAL, b" hi"), ("Ċ", NORMAL, b"\n"), ("Ã", NORMAL, b"\xc3"), ("<|im_end|>", CONTROL, None),
        ("<tool>", USER, b"<tool>"), ("<|x|>", USER, None), ("[PAD7]", UNUSED, None),
    ],
    "llama": [
        ("<unk>", UNKNOWN, None), ("<0x0A>", BYTE, b"\n"), ("▁a▁b", NORMAL, b" a b"), ("</s>", CONTROL, None),
        ("▁▁", USER, b"  "), ("<unused1>", USER, None),
    ],
    "t5": [("<pad>", CONTROL, None), ("▁hello", NORMAL, b" hello"), ("é", NORMAL, "é".encode())],
    "bert": [("[CLS]", CONTROL, None), ("▁hello", NORMAL, b" hello"), ("ing", NORMAL, b"ing"), ("▁,", NORMAL, b","),
             ("[unused0]", NORMAL, None)],
    "rwkv": [("\\n", NORMAL, b"\n"), ("\\xe2\\x80", NORMAL, b"\xe2\x80"), ("é\\\\", NORMAL, "é\\".encode()),
             ("\\'a\\t", NORMAL, b"'a\t"), ("<s>", CONTROL, None)],
}  # fmt: skip


def write_gguf(path, model, names, kinds, order=0, **ids):
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama", endianess=gguf.GGUFEndian(order))
    writer.add_tokenizer_model(model)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_array("some.numbers", [1.5, 2.5])
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    for name, token in ids.items():
        writer.add_uint32(f"tokenizer.ggml.{name}", token)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("model", GGUF)
def test_gguf_of_each_kind(tmp_path, model):
    names, kinds, expected = zip(*GGUF[model], strict=True)
    names, kinds = [*names, "</s>", "<|eot|>"], [*kinds, CONTROL, CONTROL]
    path = write_gguf(
        tmp_path / "m.gguf", model, names, kinds, eos_token_id=len(expected), eot_token_id=len(expected) + 1
    )
    vocabulary = Vocabulary.from_tokenizer(path)
    assert vocabulary.tokens == [*expected, None, None]
    assert vocabulary.eos_token_ids == (len(expected), len(expected) + 1)


def test_gguf_of_an_unknown_kind(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", "other", ["a"], [NORMAL])
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.model is 'other', which is not known here"):
        Vocabulary.from_tokenizer(path, 0)


def test_gguf_of_either_byte_order_and_its_reader(tmp_path):
    import gguf

    expected = [b" hi", b"\n", None]
    for name, order in {"little": gguf.GGUFEndian.LITTLE, "big": gguf.GGUFEndian.BIG}.items():
        path = write_gguf(
            tmp_path / name, "gpt2", ["Ġhi", "Ċ", "<e>"], [1, 1, 3], order=order, eos_token_id=2, other_id=5
        )
        for tokenizer in (path, gguf.GGUFReader(str(path))):
            vocabulary = Vocabulary.from_tokenizer(tokenizer)
            assert (vocabulary.tokens, vocabulary.eos_token_ids) == (expected, (2,)), (name, tokenizer)


TOKENS = struct.pack("<Q", 21) + b"tokenizer.ggml.tokens"
OTHER = struct.pack("<Q", 1) + b"x"
NESTED = struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 5000 + struct.pack("<IQ", 0, 1) + b"\0"


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        (TOKENS + struct.pack("<IIQ", 9, 8, 1 << 60), "the file is cut off"),
        (OTHER + struct.pack("<IQ", 8, (1 << 63) - 1), "the file is cut off"),
        (OTHER + NESTED, "arrays are nested deeper than 8 levels; the file is damaged"),
        (TOKENS + NESTED, "an array of arrays stands where the vocabulary's should"),
        (TOKENS + struct.pack("<II", 4, 7), "tokenizer.ggml.tokens is no array of strings"),
        (TOKENS + struct.pack("<IIQI", 9, 4, 1, 7), "tokenizer.ggml.tokens is no array of strings"),
    ],
)
def test_gguf_that_is_damaged_is_an_error(tmp_path, field, problem):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2 if field.startswith(OTHER) else 1) + field)
    with pytest.raises(ValueError, match=problem):
        Vocabulary.from_tokenizer(path, 0)


def test_gguf_that_is_cut_off_is_an_error(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", "gpt2", ["Ġhi", "Ċ", "<e>"], [1, 1, 3], eos_token_id=2)
    data = path.read_bytes()
    for length in range(4, len(data) - 40):
        path.write_bytes(data[:length])
        with pytest.raises(
            ValueError, match=r"m\.gguf: (the file is cut off|the GGUF file has no vocabulary)"
        ):
            Vocabulary.from_tokenizer(path, 0)
    path.write_bytes(b"GGUF\1\0\0\0")
    with pytest.raises(ValueError, match="GGUF version 1 is not read; convert the file anew"):
        Vocabulary.from_tokenizer(path, 0)


# ---- Walks through masks -------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "ok": {"type": "boolean"},
        "list": {"type": "array", "items": {"enum": ["yes", "no", None]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
PATTERNS = [
    r"[0-9]{2,4}-[a-z]+",
    r"(yes|no|a lazy dog)(, (yes|no))*",
    r"[^{}]{1,12}",
    r"\(?[a-f]+[0-9]?\)?|x",
    r"[a-zé日]{1,5}( [a-z]+)?",
]

KINDS = {
    "byte-level": lambda: Vocabulary.from_tokenizer(vocabularies.byte_level(), 1),
    "metaspace": lambda: Vocabulary.from_tokenizer(vocabularies.metaspace(), 1),
    "word piece": lambda: Vocabulary.from_tokenizer(vocabularies.word_piece(), 2),
    "end of word": lambda: Vocabulary.from_tokenizer(vocabularies.end_of_word(), 1),
    "sentencepiece": lambda: Vocabulary.from_tokenizer(
        sentencepiece.SentencePieceProcessor(model_proto=vocabularies.sentencepiece_model())
    ),
    "sentencepiece without bytes": lambda: Vocabulary.from_tokenizer(
        sentencepiece.SentencePieceProcessor(
            model_proto=vocabularies.sentencepiece_model(kind="unigram", byte_fallback=False)
        )
    ),
    "tiktoken": lambda: Vocabulary.from_tokenizer(encoding()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_walks_end_in_matching_text(kind, rng):
    vocabulary = KINDS[kind]()
    num_walks = num_ended = num_spelled = 0
    for output_type in [SCHEMA, *PATTERNS]:
        is_schema = isinstance(output_type, dict)
        try:
            constraint = Constraint(output_type if is_schema else RegexTerm(output_type), vocabulary)
        except EmptyLanguageError:
            assert vocabulary.lacking
            continue
        num_spelled += 1
        for _ in range(6):
            num_walks += 1
            tokens = walk(constraint, rng)
            if tokens is None:
                continue
            num_ended += 1
            text = text_of(vocabulary, tokens).decode()
            if is_schema:
                jsonschema.validate(json.loads(text), SCHEMA)
            else:
                assert re.fullmatch(output_type, text), text
    assert num_spelled >= 4, kind
    assert num_ended >= 0.95 * num_walks
