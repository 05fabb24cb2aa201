"""The processor for vLLM's engine, driven by a stand-in of its scheduler: adds, removes, moves, swaps."""

from __future__ import annotations

import importlib
import random
import sys
from dataclasses import dataclass, field
from enum import Enum, auto
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import PatternError
from outlines.rows import unpack
from outlines.types import JsonSchema, Regex
from tests import tiny_models


class MoveDirectionality(Enum):
    """As vLLM's."""

    UNIDIRECTIONAL = auto()
    SWAP = auto()


@dataclass
class BatchUpdate:
    """As vLLM's: to be followed in the order removed, added, moved."""

    batch_size: int
    removed: list = field(default_factory=list)
    added: list = field(default_factory=list)
    moved: list = field(default_factory=list)


@pytest.fixture(scope="module")
def vllm_processor():
    """Our module, over a stand-in of the interface that it derives from."""
    interface = ModuleType("vllm.v1.sample.logits_processor")
    interface.LogitsProcessor = type("LogitsProcessor", (), {})  # type: ignore[attr-defined]
    interface.MoveDirectionality = MoveDirectionality  # type: ignore[attr-defined]
    names = ["vllm", "vllm.v1", "vllm.v1.sample"]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setitem(sys.modules, interface.__name__, interface)
        patch.delitem(sys.modules, "outlines.processors.vllm", raising=False)
        yield importlib.import_module("outlines.processors.vllm")
        sys.modules.pop("outlines.processors.vllm", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_models.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def processor(request, vllm_processor, folder):
    config = SimpleNamespace(
        tokenizer=folder,
        tokenizer_revision=None,
        trust_remote_code=False,
        try_get_generation_config=lambda: {"eos_token_id": [1, 2]},
    )
    return vllm_processor.ConstraintLogitsProcessor(
        SimpleNamespace(model_config=config),
        torch.device(request.param),
        is_pin_memory=request.param == "cuda",
    )


V = 300
TYPES = [
    Regex("[0-9]{2,5}"),
    Regex("(yes|no) ?"),
    JsonSchema({"type": "array", "items": {"type": "integer"}}),
    None,
]


def params(vllm_processor: Any, output_type: Any) -> Any:
    return SimpleNamespace(
        extra_args=None if output_type is None else vllm_processor.constraint_args(output_type)
    )


def allowed(logits: torch.Tensor) -> list[set[int]]:
    return [set(torch.isfinite(row).nonzero().flatten().tolist()) for row in logits]


class Scheduler:
    """vLLM's persistent batch, in short: rows come and go, the last ones fill the gaps, rows are swapped.

    It keeps an own account of each request's state, which is what the processor's masks are compared with.
    """

    def __init__(self, vllm_processor: Any, processor: Any, rng: random.Random, device: str):
        self.module, self.processor, self.rng, self.device = vllm_processor, processor, rng, device
        self.vocabulary = Vocabulary.from_tokenizer(tiny_models.tokenizer(), eos_token_ids=[1, 2])
        self.constraints = [None if t is None else Constraint(t, self.vocabulary) for t in TYPES]
        self.rows: list[
            tuple[int, list[int]]
        ] = []  # type of each request, and its tokens, as vLLM shares them

    def expected(self) -> list[set[int]]:
        masks = []
        for kind, tokens in self.rows:
            constraint = self.constraints[kind]
            if constraint is None:
                masks.append(set(range(V)))
                continue
            state = constraint.start_state
            for token in tokens:
                state = constraint.next_state(state, token)
            masks.append(set(unpack(constraint.row(state)).tolist()))
        return masks

    def change(self) -> BatchUpdate | None:
        update = BatchUpdate(0)
        rng = self.rng
        removed = sorted(i for i in range(len(self.rows)) if rng.random() < 0.15)
        update.removed = list(removed)
        free = list(removed)
        for _ in range(rng.randrange(3)):
            request = (rng.randrange(len(TYPES)), [])
            if rng.random() < 0.2 and request[0] == 0:
                request[1].extend(
                    [tiny_models.tokenizer().convert_tokens_to_ids("1")]
                )  # resumed after a preemption
            place = free.pop(0) if free else len(self.rows)
            if place == len(self.rows):
                self.rows.append(request)
            else:
                self.rows[place] = request
                update.removed.remove(place)  # replaced, as vLLM reports it
            update.added.append((place, params(self.module, TYPES[request[0]]), [5], request[1]))
        for gap in sorted(free, reverse=True):  # the last row moves into the gap
            last = len(self.rows) - 1
            if gap != last:
                self.rows[gap] = self.rows[last]
                update.moved.append((last, gap, MoveDirectionality.UNIDIRECTIONAL))
            self.rows.pop()
        if len(self.rows) > 1 and rng.random() < 0.3:
            first, second = rng.sample(range(len(self.rows)), 2)
            self.rows[first], self.rows[second] = self.rows[second], self.rows[first]
            update.moved.append((first, second, MoveDirectionality.SWAP))
        update.batch_size = len(self.rows)
        return update if update.removed or update.added or update.moved else None

    def step(self) -> None:
        self.processor.update_state(self.change())
        logits = torch.randn(len(self.rows), V, device=self.device)
        before = logits.clone()
        result = self.processor.apply(logits)
        assert result is logits
        masks = self.expected()
        assert allowed(logits) == masks
        for row, mask in enumerate(masks):
            kept = sorted(mask)
            assert torch.equal(logits[row, kept], before[row, kept])
            self.rows[row][1].append(self.rng.choice(kept))


@pytest.mark.parametrize("round", range(8))
def test_masks_follow_the_batch(request, vllm_processor, processor, rng, round):
    scheduler = Scheduler(vllm_processor, processor, rng, request.node.callspec.params["processor"])
    for _ in range(40):
        scheduler.step()


def test_a_constraint_is_compiled_once(vllm_processor, processor):
    same = params(vllm_processor, TYPES[0])
    processor.update_state(BatchUpdate(2, added=[(0, same, None, []), (1, same, None, [])]))
    first, second = processor._requests.values()
    assert first.constraint is second.constraint


def test_a_row_is_brought_to_the_device_once(vllm_processor, processor, monkeypatch, request):
    from outlines.device import Arena

    device = request.node.callspec.params["processor"]
    arena = Arena.of(device)
    brought = []
    add_words = arena.memory.add_words
    monkeypatch.setattr(arena.memory, "add_words", lambda words: (brought.append(1), add_words(words))[1])
    pattern = params(vllm_processor, Regex("[a-f]{3}[0-9]{2}(no|yes)"))
    ids = [tiny_models.tokenizer().convert_tokens_to_ids(each) for each in "abc12"]
    for turn in range(2):
        tokens: list[int] = []
        processor.update_state(BatchUpdate(1, added=[(0, pattern, None, tokens)]))
        for token in ids:
            processor.apply(torch.zeros(1, V, device=device))
            tokens.append(token)
        if not turn:
            assert brought
            brought.clear()
    assert not brought


def test_a_request_that_went_wrong_allows_what_its_state_does(vllm_processor, processor, request):
    device = request.node.callspec.params["processor"]
    wrong = tiny_models.tokenizer().convert_tokens_to_ids("z")
    processor.update_state(
        BatchUpdate(
            2,
            added=[
                (0, params(vllm_processor, TYPES[0]), None, [wrong]),
                (1, params(vllm_processor, None), None, []),
            ],
        )
    )
    logits = torch.zeros(2, V, device=device)
    processor.apply(logits)
    constraint = processor._requests[0].constraint
    assert allowed(logits)[0] == set(
        unpack(constraint.row(constraint.next_state(constraint.start_state, wrong))).tolist()
    )
    assert allowed(logits)[1] == set(range(V))


def test_nothing_happens_to_a_batch_without_constraints(vllm_processor, processor):
    processor.update_state(None)
    processor.update_state(BatchUpdate(1, added=[(0, params(vllm_processor, None), None, [])]))
    logits = torch.zeros(1, V)
    assert processor.apply(logits) is logits
    assert torch.equal(logits, torch.zeros(1, V))
    assert not processor.is_argmax_invariant()


def test_a_class_stays_closed_on_its_way(vllm_processor):
    from tests.models.providers import Animal

    text = vllm_processor.constraint_args(Animal)["outlines"]
    assert isinstance(text, str)  # what the server's vllm_xargs may hold
    assert vllm_processor._term(text).is_closed
    assert vllm_processor._term(vllm_processor.constraint_args(TYPES[2])["outlines"]) == TYPES[2]


def test_wrong_constraints_are_refused_when_a_request_comes(vllm_processor, processor):
    processor.validate_params(params(vllm_processor, None))
    processor.validate_params(params(vllm_processor, TYPES[2]))
    with pytest.raises(PatternError):
        processor.validate_params(params(vllm_processor, Regex("(a")))
    with pytest.raises(ValueError, match="is not a constraint"):
        processor.validate_params(SimpleNamespace(extra_args={"outlines": '{"nonsense": 1}'}))
    with pytest.raises(ValueError, match="is not a constraint"):
        processor.validate_params(SimpleNamespace(extra_args={"outlines": "not JSON"}))


def test_tokens_that_vllm_has_not_filled_in_are_an_error(vllm_processor, processor):
    processor.update_state(BatchUpdate(1, added=[(0, params(vllm_processor, TYPES[0]), None, [-1])]))
    with pytest.raises(RuntimeError, match="not filled in"):
        processor.apply(torch.zeros(1, V))
