"""Special tokens stand in a grammar by their names, where a lexeme may end, and have no text."""

from __future__ import annotations

import pytest

from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import GrammarError
from outlines.types import CFG, either
from tests.proof import allowed_tokens

TAG, END_OF_TEXT = 256, 257
BYTES = [bytes([byte]) for byte in range(256)]


@pytest.fixture
def vocabulary():
    names = {"<|tag|>": TAG, "<|end|>": END_OF_TEXT}
    return Vocabulary([*BYTES, None, None, b"ab("], [END_OF_TEXT], special_tokens=names, cache=False)


def read(constraint, tokens):
    """Advance as far as masks allow, which must say what `advance` does; give the matcher and how many were taken."""
    matcher = constraint.matcher()
    for count, token in enumerate(tokens):
        is_allowed = token in allowed_tokens(matcher.mask(), constraint.vocabulary.num_tokens)
        assert is_allowed == matcher.advance(token)
        if not is_allowed:
            return matcher, count
    return matcher, len(tokens)


CALL = 'start: NAME <|tag|> "(" NAME? ")"\nNAME: /[a-z]{2,}/\n%ignore " "'


@pytest.mark.parametrize(
    ("tokens", "taken"),
    [
        ([*b"ab", TAG, *b"()", END_OF_TEXT], 6),
        ([*b"ab ", TAG, *b" (ab)"], 9),
        ([*b"a", TAG], 1),  # the name can't end yet
        ([TAG], 0),
        ([*b"ab", TAG, TAG], 3),
        ([*b"ab("], 2),  # the token must come between
        ([258], 0),
        ([*b"ab<|tag|>"], 2),  # its name is no text
    ],
)
def test_allowed_where_a_lexeme_may_end(vocabulary, tokens, taken):
    matcher, count = read(Constraint(CFG(CALL), vocabulary), tokens)
    assert count == taken
    assert matcher.is_accepting() == (
        tokens[:taken][-2:] in ([*b"()"], [*b"b)"]) or tokens[-1] == END_OF_TEXT
    )


def test_stands_within_other_terms(vocabulary):
    constraint = Constraint(either("no", CFG("start: <|tag|> A <|tag|>\nA: /a+/")) + "!", vocabulary)
    assert read(constraint, [TAG, *b"aa", TAG, *b"!"])[0].is_accepting()
    assert read(constraint, [*b"no!"])[0].is_accepting()
    assert read(constraint, [TAG, TAG])[1] == 1


def test_stands_within_a_nested_grammar(vocabulary):
    constraint = Constraint(CFG('start: "x" %lark { start: <|tag|> "y" }'), vocabulary)
    assert read(constraint, [*b"x", TAG, *b"y"])[0].is_accepting()


@pytest.mark.parametrize(
    ("grammar", "problem"),
    [
        ("start: <|none|>", r"<\|none\|> isn't one of the vocabulary's, which are <\|end\|>, <\|tag\|>"),
        ('start: %lark { start: <|none|> } "x"', r"<\|none\|> isn't one"),
        ('start: <|end|> "x"', r"<\|end\|> ends a sequence"),
    ],
)
def test_refused_before_any_mask(vocabulary, grammar, problem):
    with pytest.raises(GrammarError, match=problem):
        Constraint("a" + CFG(grammar), vocabulary)


def test_names_are_read_from_tokenizers():
    tiktoken = pytest.importorskip("tiktoken", reason="pip install tiktoken")
    ranks = {text: token for token, text in enumerate(BYTES)}
    encoding = tiktoken.Encoding(
        "t", pat_str=".", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 256, "<|x|>": 257}
    )
    assert Vocabulary.from_tokenizer(encoding, cache=False).special_tokens == {
        "<|endoftext|>": 256,
        "<|x|>": 257,
    }
    tokenizers = pytest.importorskip("tokenizers", reason="pip install tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<|x|>"])
    assert Vocabulary.from_tokenizer(tokenizer, 1, cache=False).special_tokens["<|x|>"] == 2
    ids = Vocabulary.from_tokenizer(tokenizer, 1, special_tokens={"<|y|>": 3}, cache=False).special_tokens
    assert (ids["<|x|>"], ids["<|y|>"]) == (2, 3)
