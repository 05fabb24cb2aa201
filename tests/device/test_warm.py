"""A warm step waits for nothing and allocates nothing; a captured one goes on when the tables grow.

What needs a GPU is marked; the rest of each test runs on the CPU as well, where there is nothing to wait for.
"""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch
from outlines.kernels import dispatch

from outlines.device import Arena, BatchMatcher
from outlines.engine import Constraint, Vocabulary
from outlines.rows import unpack
from outlines.types import Regex
from tests.proof import small_vocabulary

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SOURCES = [
    {"enum": ["yes", "no", {"a": [1]}]},
    Regex("[a-z]{1,9}( x)?"),
    {"type": "string", "maxLength": 12},
    None,
]


@pytest.fixture(scope="module")
def vocabulary():
    tokens, eos_ids = small_vocabulary(random.Random(3), [b'"yes" no {"a":[1]} abc x'], 60)
    return Vocabulary(tokens, eos_ids, cache=False)


def new_batch(vocabulary, arena, sources=SOURCES) -> BatchMatcher:
    return BatchMatcher(
        [None if source is None else Constraint(source, vocabulary) for source in sources], arena=arena
    )


def greedy_step(batch, logits, tokens):
    """Make a step of a decode loop, every tensor of it allocated before: mask, choose, advance."""

    def step():
        masked = logits.clone()
        batch.mask_logits(masked)
        tokens.copy_(masked.argmax(1))
        batch.advance(tokens)

    return step


def captured(step, device):
    """Give the replay of a captured graph; on the CPU the step itself."""
    if device == "cpu":
        return step
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()  # compiles; whatever it did is undone by a reset
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def expected_tokens(batch, logits, num_steps: int) -> list[list[int]]:
    """Give what greedy search chooses, by the host's matchers."""
    rows, eos = logits.cpu().tolist(), batch.vocabulary.eos_token_ids
    result = []
    for constraint, scores in zip(batch.constraints, rows, strict=True):
        matcher, chosen = None if constraint is None else constraint.matcher(), []
        for _ in range(num_steps):
            if matcher is not None:
                allowed = unpack(matcher.mask()).tolist()
            else:
                allowed = eos if set(chosen) & set(eos) else range(len(scores))
            chosen.append(max(allowed, key=scores.__getitem__))
            if matcher is not None:
                assert matcher.advance(chosen[-1])
        result.append(chosen)
    return result


@pytest.mark.parametrize("device", DEVICES)
def test_a_captured_step_goes_on_when_the_tables_grow(device, vocabulary):
    arena = Arena(device, 2**24, num_words=64, num_states=4, num_entries=4)
    batch = new_batch(vocabulary, arena)
    assert batch.complete()
    logits = torch.randn(len(batch), vocabulary.num_tokens, generator=torch.Generator().manual_seed(0)).to(
        device
    )
    tokens = torch.zeros(len(batch), dtype=torch.int64, device=device)
    replay = captured(greedy_step(batch, logits, tokens), device)
    batch.reset()
    want = expected_tokens(batch, logits, 9)

    def play(num_steps, start):
        for place in range(start, start + num_steps):
            with batch.replaying():
                replay()
            assert tokens.tolist() == [chosen[place] for chosen in want]

    play(3, 0)
    addresses = [arena.memory.header.tolist()[:3]]
    for number in (1, 2):
        memory = arena.memory  # every table grows to more than twice its size
        slot = memory.add_slots(len(memory.records))
        memory.add_words(np.zeros(memory.num_bytes // 4, np.int32))
        for token in range(len(memory._entries)):
            memory.put(slot, token, 0)
        memory.flush()
        addresses.append(arena.memory.header.tolist()[:3])
        play(3, 3 * number)
    assert all(len(set(each)) == 3 for each in zip(*addresses, strict=True))  # each of the three moved, twice
    assert batch.settle() is False


@pytest.mark.gpu
def test_a_warm_step_neither_syncs_nor_waits(vocabulary):
    arena = Arena("cuda", 2**24)
    batch = new_batch(vocabulary, arena)
    assert batch.complete()
    logits = torch.randn(len(batch), vocabulary.num_tokens, device="cuda")
    tokens = torch.zeros(len(batch), dtype=torch.int64, device="cuda")
    step = greedy_step(batch, logits, tokens)
    step()  # compiles
    batch.reset()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")

    # The debug mode doesn't see waiting for an event: with the device held up, the step returns all the same.
    torch.cuda.synchronize()
    torch.cuda._sleep(2 * 10**9)  # about a second
    step()
    done = torch.cuda.Event()
    done.record()
    assert not done.query()
    torch.cuda.synchronize()
    assert batch.settle() is False


@pytest.mark.parametrize("device", DEVICES)
def test_what_began_in_inference_mode_goes_on_outside(device, vocabulary):
    """Tensors that PyTorch makes in that mode can't be written outside, and an arena serves both."""
    with torch.inference_mode():
        arena = Arena(device, 2**20, num_words=64, num_states=4, num_entries=4)
        batch = BatchMatcher([Constraint(SOURCES[0], vocabulary)], arena=arena, rollback_window=2)
        quote = torch.tensor([vocabulary.tokens.index(b'"')], device=device)
        logits = torch.zeros(1, vocabulary.num_tokens, device=device)
        batch.mask_logits(logits)
        batch.advance(quote)
        batch.settle()
    row = batch.mask().clone()
    arena.evict()
    new_batch(vocabulary, arena).complete()
    assert torch.equal(batch.mask(), row)
    batch.rollback(1)
    batch.settle()
    batch.mask_logits(other := torch.zeros(1, vocabulary.num_tokens, device=device))
    assert torch.equal(other, logits)


@pytest.mark.gpu
def test_every_device_has_an_arena_of_its_own():
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        assert Arena.of(device).memory.header.device == device
        with torch.cuda.device(device):
            assert Arena.of("cuda") is Arena.of(device)


@pytest.mark.gpu
def test_tables_are_not_written_during_a_capture(vocabulary):
    arena = Arena("cuda", 2**24)
    batch = new_batch(vocabulary, arena)
    other = Constraint(Regex("ab"), vocabulary)
    batch.mask()  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        batch.mask()
        with (
            arena.lock,
            pytest.raises(RuntimeError, match="while a CUDA graph is captured: call `settle` before"),
        ):
            arena.ids_of([other.tables], [other.start_state])


@pytest.mark.parametrize("device", DEVICES)
def test_batches_of_several_threads_share_an_arena(device, vocabulary):
    """Each on a stream of its own, while the arena grows and is made anew under them."""
    arena = Arena(device, 20_000, num_words=64, num_states=4, num_entries=4)
    errors: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            rng = random.Random(seed)
            stream = torch.cuda.stream(torch.cuda.Stream()) if device == "cuda" else torch.no_grad()
            with stream:
                for _ in range(4):
                    batch = new_batch(vocabulary, arena, SOURCES[:3])
                    matchers = [constraint.matcher() for constraint in batch.constraints]
                    for _ in range(12):
                        rows = batch.mask().cpu().numpy()
                        assert (rows == [matcher.mask() for matcher in matchers]).all()
                        tokens = [rng.choice(unpack(row).tolist()) for row in rows]
                        for matcher, token in zip(matchers, tokens, strict=True):
                            matcher.advance(token)
                        batch.advance(torch.tensor(tokens, device=device))
                        batch.settle()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert arena.epoch > 0


def test_a_step_is_three_launches(vocabulary, monkeypatch):
    called = []
    for name in ("advance", "compose", "mask"):
        original = getattr(dispatch, name)
        monkeypatch.setattr(
            dispatch,
            name,
            lambda *given, name=name, original=original: called.append(name) or original(*given),
        )
    batch = new_batch(vocabulary, Arena("cpu"))
    batch.complete()
    logits, tokens = (
        torch.zeros(len(batch), vocabulary.num_tokens),
        torch.zeros(len(batch), dtype=torch.int64),
    )
    called.clear()
    greedy_step(batch, logits, tokens)()
    assert called == ["compose", "mask", "advance"]
