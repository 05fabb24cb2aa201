"""The torch processor on logits of the test's own: what is masked must follow from the ids alone.

The judge is brute force over the finite languages below: a token may follow a prefix if the two together begin one of
the language's texts, and the end-of-sequence token if the prefix is a text.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from outlines.kernels import dispatch

from outlines.engine import Constraint, Vocabulary
from outlines.processors.torch import ConstraintLogitsProcessor
from outlines.types.dsl import Regex
from tests import tiny_models

EOS, PAD = 1, 2
PROMPT = [0, 77, 12]
LANGUAGES = {
    "answer": ["yes", "no", "nope"],
    "number": [str(i) for i in range(120)],
    "symbols": ["é", "ë", "漢字", " brown"],
}


@functools.cache
def vocabulary() -> Vocabulary:
    return Vocabulary.from_tokenizer(tiny_models.tokenizer())


@functools.cache
def constraint(name: str) -> Constraint:
    return Constraint(Regex("(" + "|".join(LANGUAGES[name]) + ")"), vocabulary())


def allowed(name: str | None, generated: list[int], num_logits: int) -> set[int]:
    """Give the tokens that may follow, by brute force; all of them where there is no constraint."""
    if name is None:
        return set(range(num_logits))
    if EOS in generated:
        return {EOS}
    texts, tokens = [text.encode() for text in LANGUAGES[name]], vocabulary().tokens
    prefix = b"".join(tokens[token] for token in generated)
    following = {
        token
        for token, text in enumerate(tokens)
        if text is not None and any(each.startswith(prefix + text) for each in texts)
    }
    return following | {EOS} if prefix in texts else following


def processed(
    processor: ConstraintLogitsProcessor, generated: list[list[int]], num_logits: int | None = None
):
    """Give the tokens of each row whose logits stay, checking that these keep their values."""
    logits = torch.randn(len(generated), num_logits or vocabulary().num_tokens)
    before = logits.clone()
    result = processor(torch.tensor([PROMPT + row for row in generated]), logits)
    assert result.shape == before.shape
    kept = result != -torch.inf
    assert torch.equal(result[kept], before[kept])
    return [set(row.nonzero().squeeze(1).tolist()) for row in kept]


@pytest.fixture(params=[False, True], ids=["on the host", "on the device"])
def processor_of(request):
    """Make processors of either kind; a device may be the CPU."""
    return functools.partial(ConstraintLogitsProcessor, on_device=request.param)


@pytest.fixture
def new(processor_of):
    return lambda *names: processor_of([None if name is None else constraint(name) for name in names])


def ids(text: str) -> list[int]:
    """Spell a text by tokens of a single byte, which are ids in the tests of any vocabulary."""
    tokens = vocabulary().tokens
    return [tokens.index(bytes([byte])) for byte in text.encode()]


@pytest.mark.parametrize("name", LANGUAGES)
def test_one_constraint_serves_every_row(name, processor_of):
    processor = processor_of(constraint(name))
    width = vocabulary().num_tokens
    assert processed(processor, [[], [], []]) == [allowed(name, [], width)] * 3
    first = sorted(allowed(name, [], width))
    rows = [[first[0]], [first[-1]], [first[len(first) // 2]]]
    assert processed(processor, rows) == [allowed(name, row, width) for row in rows]


def test_each_prompt_has_its_own_constraint_and_its_rows_stand_together(new):
    names, width = ["answer", None, "number"], vocabulary().num_tokens
    processor = new(*names)
    expected = [allowed(name, [], width) for name in names for _ in range(2)]
    assert processed(processor, [[]] * 6) == expected
    assert len(expected[2]) == width


def test_a_head_wider_than_the_vocabulary_is_masked_beyond_it(new):
    width = vocabulary().num_tokens + 37
    assert processed(new("answer", None), [[], []], width) == [
        allowed("answer", [], width),
        set(range(width)),
    ]


def test_finished_rows_absorb_padding(new):
    processor, width = new("answer", "answer"), vocabulary().num_tokens
    no, nope = ids("no"), ids("nope")
    rows = [[*no, EOS, PAD, PAD][:5], [*nope, EOS]]
    for length in range(6):
        cut = [row[:length] for row in rows]
        assert processed(processor, cut) == [allowed("answer", row, width) for row in cut]


def test_beams_are_followed_through_reorders(new):
    processor, width = new("answer", "number"), vocabulary().num_tokens
    y, n, one, two = ids("y")[0], ids("n")[0], ids("1")[0], ids("2")[0]
    e, o, zero = ids("e")[0], ids("o")[0], ids("0")[0]
    steps = [
        [[], [], [], []],
        [[y], [n], [one], [two]],
        [
            [n, o],
            [y, e],
            [one, zero],
            [one, one],
        ],  # beams swap; both beams of the second prompt come from one
        [[n, o, EOS], [n, o, ids("p")[0]], [one, one, zero], [one, zero, one]],
    ]
    for rows in steps:
        expected = [
            allowed(name, row, width) for name, row in zip(["answer"] * 2 + ["number"] * 2, rows, strict=True)
        ]
        assert processed(processor, rows) == expected


def test_a_reordered_beam_costs_one_transition(monkeypatch):
    """It goes on from its parent, wherever in the batch that was, and doesn't start anew."""
    digits, calls = Constraint(Regex("[0-9]{9}"), vocabulary()), []
    next_state = digits.next_state
    monkeypatch.setattr(
        digits, "next_state", lambda state, token: calls.append(token) or next_state(state, token)
    )
    processor = ConstraintLogitsProcessor(digits)
    for rows in (["", ""], ["1", "2"], ["13", "24"], ["245", "246"], ["2467", "2468"]):
        calls.clear()
        processed(processor, [ids(row) for row in rows])
        assert calls == [token for row in rows for token in ids(row)[-1:]]


def test_drafts_of_any_length_are_followed_and_taken_back(new):
    processor, width = new("number"), vocabulary().num_tokens
    for text in ["", "1", "11", "119", "1", "10", "7", "", "11", "110"]:
        assert processed(processor, [ids(text)]) == [allowed("number", ids(text), width)]


def test_a_forbidden_draft_does_not_raise_and_leaves_no_trace(new):
    processor, width = new("answer"), vocabulary().num_tokens
    processed(processor, [[]])
    processed(processor, [ids("x")])
    processed(processor, [ids("xy")])
    assert processed(processor, [ids("ye")]) == [allowed("answer", ids("ye"), width)]


def test_random_histories(rng, new):
    """Beams that reorder, fork and are cut back at random, in prompts with different constraints."""
    width = vocabulary().num_tokens
    for _ in range(20):
        names = rng.choices([*LANGUAGES, None], k=rng.randint(1, 4))
        num_beams = rng.randint(1, 4)
        of_row = [name for name in names for _ in range(num_beams)]
        processor, rows = new(*names), [[] for _ in of_row]
        for _ in range(12):
            kept = processed(processor, rows)
            expected = [allowed(name, row, width) for name, row in zip(of_row, rows, strict=True)]
            assert kept == expected
            length = rng.choice([len(rows[0]), len(rows[0]), len(rows[0]), len(rows[0]) // 2])
            parents = [
                rng.randrange(row // num_beams * num_beams, (row // num_beams + 1) * num_beams)
                for row in range(len(rows))
            ]
            rows = [rows[parent][:length] for parent in parents]
            rows = [
                [*row, rng.choice(sorted(allowed(name, row, width))) if name else rng.randrange(3, width)]
                for name, row in zip(of_row, rows, strict=True)
            ]


def test_reset_allows_another_prompt_and_batch(processor_of):
    processor, width = processor_of(constraint("answer")), vocabulary().num_tokens
    processed(processor, [[], []])
    processor.reset()
    logits = torch.zeros(3, width)
    kept = processor(torch.tensor([[5]] * 3), logits) == 0
    assert [set(row.nonzero().squeeze(1).tolist()) for row in kept] == [allowed("answer", [], width)] * 3


@pytest.mark.parametrize("other", [[[*PROMPT, 3]], [[9, 9, 9, 9]] * 2, [[0]] * 2])
def test_another_generation_without_reset_is_an_error(other, processor_of):
    processor = processor_of(constraint("answer"))
    processed(processor, [[], []])
    with pytest.raises(ValueError, match=r"another generation.*`reset`"):
        processor(torch.tensor(other), torch.zeros(len(other), vocabulary().num_tokens))


def test_rows_must_divide_among_the_prompts(new):
    with pytest.raises(ValueError, match="3 rows don't divide among 2 prompts"):
        processed(new("answer", "number"), [[], [], []])


def test_number_of_prompts_is_checked(new, processor_of):
    assert new("answer", None).prompt_constraints(2) == [constraint("answer"), None]
    assert processor_of(constraint("answer")).prompt_constraints(2) == [constraint("answer")] * 2
    with pytest.raises(ValueError, match="3 prompts for a list of 2 output types"):
        new("answer", None).prompt_constraints(3)


@pytest.fixture
def launches(monkeypatch) -> list[tuple[Any, ...]]:
    """Shape of `words`, and the rows, of each mask that is launched."""
    seen, mask = [], dispatch.mask

    def recorded(logits, words, row, *more):
        seen.append((tuple(words.shape), row.tolist()))
        mask(logits, words, row, *more)

    monkeypatch.setattr(dispatch, "mask", recorded)
    return seen


def test_one_launch_for_the_batch_and_one_row_for_equal_states(launches):
    names = ["answer", None, "number", "answer"]
    processor = ConstraintLogitsProcessor([None if name is None else constraint(name) for name in names])
    processed(processor, [[]] * 4)
    y, n = ids("y"), ids("n")
    processed(processor, [y, y, ids("1"), n])
    num_words = vocabulary().num_words
    assert launches == [((2, num_words), [0, -1, 1, 0]), ((3, num_words), [0, -1, 1, 2])]


def test_nothing_is_launched_where_nothing_is_constrained(launches, new):
    processor = new(None, None)
    assert processed(processor, [[], []]) == [set(range(vocabulary().num_tokens))] * 2
    assert processed(processor, [[3], [4]]) == [set(range(vocabulary().num_tokens))] * 2
    assert launches == []


def test_own_time_adds_up_until_reset(new):
    processor = new("number")
    assert processor.constraint_seconds == 0
    processed(processor, [[]])
    first = processor.constraint_seconds
    processed(processor, [ids("1")])
    assert 0 < first < processor.constraint_seconds
    processor.reset()
    assert processor.constraint_seconds == 0


@pytest.mark.gpu
def test_on_a_gpu_the_result_is_that_of_the_cpu(rng):
    width = vocabulary().num_tokens + 5
    names = ["answer", None, "number", "symbols"]
    constraints = [None if name is None else constraint(name) for name in names]
    on_cpu, on_gpu = ConstraintLogitsProcessor(constraints), ConstraintLogitsProcessor(constraints)
    rows = [[] for _ in names]
    for _ in range(6):
        input_ids, logits = torch.tensor([PROMPT + row for row in rows]), torch.randn(len(rows), width)
        expected = on_cpu(input_ids, logits.clone())
        assert torch.equal(on_gpu(input_ids.cuda(), logits.cuda()).cpu(), expected)
        kept = [sorted((row != -torch.inf).nonzero().squeeze(1).tolist()) for row in expected]
        rows = [[*row, rng.choice(tokens)] for row, tokens in zip(rows, kept, strict=True)]
