"""Time to mask a batch, ours and the peers' in the same run: `pytest benchmarks/test_mask_kernel.py`.

On a machine with a CUDA device the batch lies there, and ours is printed as a fraction of what a copy of the logits
reaches on it. Every candidate must give the same logits before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from outlines.kernels import dispatch
from outlines.kernels.mask import WORD_BITS, moved_bytes

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32  # what models give on each
NUM_TOKENS = 128_256  # Llama-3's
NUM_WORDS = NUM_TOKENS // WORD_BITS
NUM_SEQUENCES = [1, 8, 64, 256] if DEVICE == "cuda" else [1, 8, 64]


def few(generator: torch.Generator) -> torch.Tensor:
    """Allow three tokens, as between the parts of a JSON text."""
    return torch.randint(NUM_TOKENS, (3,), generator=generator)


def most(generator: torch.Generator) -> torch.Tensor:
    """Allow 19 of 20 tokens, as within a JSON string."""
    return (torch.rand(NUM_TOKENS, generator=generator) < 0.95).nonzero().squeeze(1)


def half(generator: torch.Generator) -> torch.Tensor:
    """Allow every token with probability 1/2, the worst case for whatever branches."""
    return (torch.rand(NUM_TOKENS, generator=generator) < 0.5).nonzero().squeeze(1)


def packed(allowed: list[torch.Tensor]) -> torch.Tensor:
    """Pack lists of allowed tokens, one a row, into bitmask words."""
    words = torch.zeros(len(allowed), NUM_WORDS, WORD_BITS, dtype=torch.int64)
    for line, tokens in zip(words, allowed, strict=True):
        line.view(-1)[tokens] = 1
    return (words << torch.arange(WORD_BITS)).sum(2).to(torch.int32)


def ours(logits: torch.Tensor, words: torch.Tensor) -> Callable[[], None]:
    """Mask by `dispatch.mask`, a row of words for each sequence."""
    row = torch.arange(len(logits), dtype=torch.int32, device=logits.device)
    return lambda: dispatch.mask(logits, words, row)


def xgrammar(logits: torch.Tensor, words: torch.Tensor) -> Callable[[], None]:
    """Mask by XGrammar's public function, which has a CPU and a CUDA path."""
    peer = pytest.importorskip("xgrammar", reason="needs the peer: pip install xgrammar")
    return lambda: peer.apply_token_bitmask_inplace(logits, words)


def llguidance(logits: torch.Tensor, words: torch.Tensor) -> Callable[[], None]:
    """Mask by llguidance's public function, which is compiled at its first call."""
    peer = pytest.importorskip("llguidance.torch", reason="needs the peer: pip install llguidance")
    return lambda: peer.apply_token_bitmask_inplace(logits, words)


@pytest.mark.parametrize("candidate", [ours, xgrammar, llguidance])
@pytest.mark.parametrize("allow", [few, most, half])
@pytest.mark.parametrize("num_sequences", NUM_SEQUENCES)
@pytest.mark.filterwarnings("default")  # a peer's warnings are its own
def test_mask(benchmark, num_sequences, allow, candidate):
    """Time one batch in which each sequence has a row of its own."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    words = packed([allow(generator) for _ in range(num_sequences)])
    logits = torch.randn(num_sequences, NUM_TOKENS, generator=generator).to(DTYPE)
    bits = (words[:, :, None] >> torch.arange(WORD_BITS) & 1).view(num_sequences, NUM_TOKENS)
    want = logits.masked_fill(bits == 0, -torch.inf).to(DEVICE)
    logits, words = logits.to(DEVICE), words.to(DEVICE)

    run = candidate(logits, words)
    run()
    assert torch.equal(logits, want)

    benchmark.group = f"{num_sequences} sequences, {allow.__name__}, {DTYPE} on {DEVICE}"
    benchmark.extra_info["torch"] = torch.__version__
    if DEVICE == "cpu":
        benchmark.pedantic(run, rounds=30, warmup_rounds=3)
        return
    benchmark.extra_info["device"] = torch.cuda.get_device_name()
    benchmark.pedantic(lambda: (run(), torch.cuda.synchronize()), rounds=50, warmup_rounds=5)
    if candidate is ours:
        report_bandwidth(benchmark, run, logits, words)


def report_bandwidth(benchmark, run: Callable[[], None], logits: torch.Tensor, words: torch.Tensor) -> None:
    """Print the bytes a second of a mask as a fraction of those of a copy of the same logits."""
    from triton.testing import do_bench  # it clears the L2 before each run

    copy = torch.empty_like(logits)
    row = torch.arange(len(logits), dtype=torch.int32)
    moved = moved_bytes(logits.cpu(), words.cpu(), row)
    rate = moved / do_bench(run)
    copy_rate = 2 * logits.numel() * logits.element_size() / do_bench(lambda: copy.copy_(logits))
    benchmark.extra_info["fraction_of_copy"] = rate / copy_rate
    print(
        f"\n{benchmark.group}, {torch.cuda.get_device_name()}: {moved} bytes at {rate / 1e6:.0f} GB/s, "
        f"{rate / copy_rate:.2f} of a copy"
    )
