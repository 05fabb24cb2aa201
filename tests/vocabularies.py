"""Tokenizers of every kind, small and trained here, and a walk through the masks of any vocabulary."""

from __future__ import annotations

import io
import random
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from outlines.engine import FINISHED, Constraint, Vocabulary
from outlines.rows import unpack

WORDS = "the quick brown fox jumps over a lazy dog yes no true false null name age is not 0123456789".split()
LINES = [
    "the quick brown fox jumps over a lazy dog.",
    '{"name": "Zoë", "age": 42, "ok": true, "list": [1, 2.5, null]}',
    "déjà vu, naïve café: 日本語 한국 Привет 🙂🙂",
    "yes no maybe so; ABC XYZ (a-z) [0-9] <x> = 100 %!",
    "if a < b and c > d: return x_1 + y**2  # comment\n\tdone\r\n",
] * 20


def byte_level(*added: AddedToken | str) -> Tokenizer:
    """GPT-2's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_tokens(list(added))
    return tokenizer


def metaspace() -> Tokenizer:
    """T5's kind: unigram pieces with SentencePiece's mark, no bytes."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def word_piece(cleanup: bool = True) -> Tokenizer:
    """BERT's kind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=cleanup)
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[PAD]", "[UNK]", "[SEP]", "[unused0]"], show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def end_of_word() -> Tokenizer:
    """GPT-1's kind: a mark where a word ends."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "</s>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


@cache
def sentencepiece_model(kind: str = "bpe", byte_fallback: bool = True) -> bytes:
    """Llama-2's kind (bpe with byte fallback), or T5's (unigram without)."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        model_type=kind,
        vocab_size=420 if byte_fallback else 160,
        byte_fallback=byte_fallback,
        character_coverage=1.0,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["<tool>", "▁{", "[unused3]"],
        control_symbols=["[INST]"],
        minloglevel=3,
    )
    return model.getvalue()


def walk(constraint: Constraint, rng: random.Random, limit: int = 500) -> list[int] | None:
    """Take random allowed tokens until the end, mostly such as others would; None if it takes more than `limit`."""
    vocabulary = constraint.vocabulary
    ends = set(vocabulary.eos_token_ids)
    matcher, taken = constraint.matcher(), []
    for _ in range(limit):
        allowed = unpack(matcher.mask()).tolist()
        assert allowed, "a state without a way on"
        ending = [token for token in allowed if token in ends]
        # what closes is preferred, lest open strings and lists go on for ever
        closing = [
            t for t in allowed if t not in ends and vocabulary.tokens[t].strip() in (b'"', b"]", b"}", b'"}')
        ]
        pool = (
            ending
            if ending and rng.random() < 0.4
            else closing
            if closing and rng.random() < 0.3
            else allowed
        )
        token = rng.choice(pool)
        assert matcher.advance(token)
        if matcher.state == FINISHED:
            return taken
        taken.append(token)
    return None


def text_of(vocabulary: Vocabulary, tokens: list[int]) -> bytes:
    """Give the text that a user gets: the tokens' bytes, one after the other."""
    return b"".join(vocabulary.tokens[token] for token in tokens)
