"""The device path: every kernel checked against its reference, then timed; steps of a batch beside other drivers.

    python -m benchmarks.device --out benchmarks/results/DATE-device-GPU   on a GPU, all of it; meant for 8 minutes
    python -m benchmarks.device --small                                    anywhere, to see that it runs

Times of kernels are with a cold L2 (Triton's `do_bench` clears it), as a fraction of what a copy of as many bytes
reaches on the same device; where less than 64 MB move, the caches and the launch decide, so there the peer's kernel
is what to compare with. On the CPU the references run, whose times say nothing of a device: then all times are "not
yet measured".

`steps` are those of a decode loop without its model: B sequences that follow one JSON text each, their logits on the
device, from the logits of a step to its tokens' states. A peer advances and fills its masks on the CPU, sequence by
sequence, copies them and applies them with its own kernel, as its driver does; ours stays on the device.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import importlib.metadata
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from outlines.kernels import advance, compose, dispatch, fill, mask

from benchmarks import vocabularies
from benchmarks.maskbench import DATA
from benchmarks.report import describe_commit, describe_machine, table
from outlines.constraints.expression import Expression
from outlines.device import Arena, BatchMatcher
from outlines.device.heads import DeviceVocabulary, head_automaton
from outlines.device.memory import Memory
from outlines.engine import Constraint, Vocabulary
from outlines.exceptions import OutlinesError

NOT_MEASURED = "not yet measured"
COUNTED_BYTES = 64e6  # below this many the time isn't about bandwidth

# What the project wants on an H100 or H200.
GOALS = {
    "mask, nearly all forbidden: part of the copy's bandwidth": 0.85,
    "mask: slowest against xgrammar's kernel, ours / theirs": 1.0,
    "advance, B = 4,096: us": 10.0,
    "fill, 2,000 states x 128k tokens: ms": 10.0,
}

PATTERNS = ["^[a-z]+$", "b", r"^\d{3}-\d{2}$", "^[a-z]*[0-9]{2,4}$", "^(foo|bar)+x?$"]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer"},
        "tags": {"type": "array"},
    },
    "required": ["name", "age"],
}
TEXT = '{"name": "Ada Lovelace", "age": 36, "tags": ["poet", {"born": 1815}, null, "numbers and engines"]}'


def time_us(run: Callable[[], Any], device: str) -> float:
    """Give the median time of a call: on a GPU its own, with a cold L2; else the host's."""
    if device == "cuda":
        from triton.testing import do_bench

        return 1e3 * do_bench(run, warmup=10, rep=40, return_mode="median")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e6 * statistics.median(times)


def copy_bytes_per_us(num_bytes: int, device: str) -> float:
    """Give the bandwidth of a copy that moves as many bytes, read and written ones counted."""
    source = torch.zeros(max(num_bytes // 2, 1), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return num_bytes / time_us(lambda: target.copy_(source), device)


def random_rows(num_rows: int, num_tokens: int, part: float, seed: int = 0) -> torch.Tensor:
    """Give packed rows in which a token is allowed with a probability."""
    generator = np.random.default_rng(seed)
    flags = generator.random((num_rows, -(-num_tokens // 32) * 32)) < part
    flags[:, num_tokens:] = False
    return torch.from_numpy(np.packbits(flags, axis=1, bitorder="little").view(np.int32).copy())


# ---- Kernels ---------------------------------------------------------------------------------------------------------


def bench_mask(device: str, is_small: bool) -> Iterator[dict]:
    sizes = (
        [(1, 1000), (8, 1000)]
        if is_small
        else [(b, v) for b in (1, 8, 64, 256, 1024) for v in (32_000, 128_256, 151_936, 262_144)]
    )
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    for size, num_tokens in sizes:
        for kind, part in (("few allowed", 3 / num_tokens), ("all allowed", 1.0), ("half allowed", 0.5)):
            host = random_rows(min(size, 32), num_tokens, part)
            row = torch.arange(size, dtype=torch.int32) % len(host)
            logits = torch.randn(size, num_tokens, generator=torch.Generator().manual_seed(0)).to(dtype)
            want = logits.clone()
            mask.mask_reference(want, host, row)
            moved = int(mask.moved_bytes(logits[:1], host, row[:1])) * size
            given = logits.to(device), host.to(device), row.to(device)
            dispatch.mask(*given)
            check(torch.equal(given[0].cpu(), want), "mask")
            found = {"kernel": "mask", "B": size, "V": num_tokens, "case": kind, "bytes": moved}
            found["us"] = time_us(lambda given=given: dispatch.mask(*given), device)
            peers = xgrammar_masks(given, device)
            if peers:
                found["xgrammar us"] = min(time_us(peer, device) for peer in peers)
            if device == "cuda" and moved >= COUNTED_BYTES:
                found["of a copy"] = moved / found["us"] / copy_bytes_per_us(moved, device)
            yield found


def xgrammar_masks(given: tuple[torch.Tensor, ...], device: str) -> list[Callable[[], None]]:
    """Give the calls of xgrammar's kernels that run here."""
    if device != "cuda" or not xgrammar_backends():
        return []
    import xgrammar

    logits, words, row = given
    own = words[row.long()].contiguous()  # it takes a row for each sequence
    return [
        functools.partial(xgrammar.apply_token_bitmask_inplace, logits, own, backend=backend)
        for backend in xgrammar_backends()
    ]


@functools.cache
def xgrammar_backends() -> tuple[str, ...]:
    """Tell which of xgrammar's kernels run on this GPU: the one in CUDA is built here, if there's a compiler."""
    try:
        import xgrammar
    except ImportError:
        return ()
    found = []
    for backend in ("triton", "cuda"):
        try:
            logits, words = torch.zeros(1, 32, device="cuda"), torch.zeros(1, 1, dtype=torch.int32, device="cuda")
            xgrammar.apply_token_bitmask_inplace(logits, words, backend=backend)
            found.append(backend)
        except (ImportError, OSError, RuntimeError) as error:
            print(f"xgrammar's {backend} kernel doesn't run here: {error}")
    return tuple(found)


def random_memory(device: str, num_states: int, num_entries: int, num_words: int) -> Memory:
    """Make an arena of random transitions between states, each with one of 64 base rows and a list of ten tokens."""
    generator = np.random.default_rng(0)
    memory = Memory(
        torch.device(device), 2**32, 2**16, num_states + 3, 2 ** math.ceil(math.log2(2 * num_entries))
    )
    first = memory.add_slots(num_states)
    rows = random_rows(64, 32 * num_words, 0.9).numpy()
    units = [memory.add_words(row) for row in rows]
    lists = [memory.add_words(generator.integers(0, 32 * num_words, 10, dtype=np.int32)) for _ in range(64)]
    for slot in range(first, first + num_states):
        at = slot % 64
        memory.change(slot, BASE=units[at], LIST=lists[at], NUM_SET=8, NUM_CLEAR=2, FLAGS=1)
    for _ in range(num_entries):
        slot, token, after = generator.integers(
            (first, 0, first), (first + num_states, 32 * num_words, first + num_states)
        )
        memory.put(int(slot), int(token), int(after))
    memory.flush()
    return memory


def on_device(host: Memory, device: str) -> Memory:
    """Give the same tables on another device."""
    twin = Memory(
        torch.device(device), host.budget_bytes, host._num_words, len(host.records), len(host._entries)
    )
    twin.records, twin._entries = host.records, host._entries
    twin.num_states, twin._num_used_words = host.num_states, host._num_used_words
    twin._staged_words = [host._words[: host._num_used_words].numpy()]
    twin._changed_slots, twin._is_rehashed = set(range(len(host.records))), True
    twin.flush()
    return twin


def bench_tables(device: str, is_small: bool) -> Iterator[dict]:
    num_tokens, num_states, num_entries = (1024, 100, 500) if is_small else (128_256, 20_000, 100_000)
    num_words = num_tokens // 32
    host = random_memory("cpu", num_states, num_entries, num_words)
    memory = on_device(host, device)
    used = host._entries[host._entries[:, 0] != -1]
    eos = random_rows(1, num_tokens, 2 / num_tokens)[0]
    for size in [1, 40] if is_small else [1, 8, 64, 256, 1024, 4096]:
        lines = torch.zeros(size, 6, dtype=torch.int32)
        chosen = torch.from_numpy(used[np.arange(size) % len(used)])
        lines[:, 0] = chosen[:, 0]  # the first epoch: the ids are the slots
        tokens = chosen[:, 1:2].long().clone()
        given = memory.header, lines.to(device), tokens.to(device), eos.to(device), num_tokens
        want = lines.clone()
        advance.advance_reference(host.header, want, tokens, eos, num_tokens)
        dispatch.advance(*given)
        check(torch.equal(given[1].cpu(), want), "advance")
        fresh = lines.to(device)

        def run(given=given, fresh=fresh) -> None:
            given[1].copy_(fresh)
            dispatch.advance(*given)

        copying = time_us(lambda given=given, fresh=fresh: given[1].copy_(fresh), device)
        moved = advance.moved_bytes(host.header, lines, tokens, eos, num_tokens)
        yield {"kernel": "advance", "B": size, "V": num_tokens, "case": "all found", "bytes": moved,
               "us": max(time_us(run, device) - copying, 0.0)}  # fmt: skip

        if size > 1024:
            continue
        words, row = torch.zeros(size, num_words, dtype=torch.int32), torch.zeros(size, dtype=torch.int32)
        on_host = host.header, lines, words, row, eos, num_tokens
        compose.compose_reference(*on_host)
        given = memory.header, *(x.to(device) for x in (lines, torch.zeros_like(words), row, eos)), num_tokens
        dispatch.compose(*given)
        check(torch.equal(given[2].cpu(), words), "compose")
        moved = compose.moved_bytes(*on_host)
        found = {"kernel": "compose", "B": size, "V": num_tokens, "case": "64 base rows", "bytes": moved}
        found["us"] = time_us(lambda given=given: dispatch.compose(*given), device)
        if device == "cuda" and moved >= COUNTED_BYTES:
            found["of a copy"] = moved / found["us"] / copy_bytes_per_us(moved, device)
        yield found


def pattern_automata(patterns: list[str], vocabulary: Vocabulary, most: int) -> Iterator[np.ndarray]:
    """Give the automata of strings with these patterns, after their opening quote; those that aren't too large."""
    quote = vocabulary.tokens.index(b'"')
    for pattern in patterns:
        try:
            constraint = Constraint({"type": "string", "pattern": pattern}, vocabulary)
            lone = constraint.tables.lone_head(constraint.next_state(constraint.start_state, quote))
        except OutlinesError:
            continue  # what the engine refuses has no automaton
        if lone is not None and isinstance(lone[0], Expression):
            automaton = head_automaton(lone[0], most)
            if automaton is not None:
                yield automaton


def all_patterns(data: Path) -> list[str]:
    """Give every pattern of the schemas of a MaskBench file."""
    patterns: dict[str, None] = {}

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str):
                patterns[value["pattern"]] = None
            for each in value.values():
                visit(each)
        elif isinstance(value, list):
            for each in value:
                visit(each)

    with gzip.open(data, "rt") as lines:
        for line in lines:
            visit(json.loads(line)["schema"])
    return list(patterns)


def bench_fill(device: str, vocabulary: Vocabulary, patterns: list[str], is_small: bool) -> Iterator[dict]:
    known, host = (
        DeviceVocabulary(vocabulary, torch.device(device)),
        DeviceVocabulary(vocabulary, torch.device("cpu")),
    )
    most_states = 64 if is_small else 2000
    kinds: dict[str, list[np.ndarray]] = {"early-dying": [], "always-live": []}
    num_states = dict.fromkeys(kinds, 0)
    for automaton in pattern_automata(patterns, vocabulary, 256):
        # Beside a pattern without anchors any character goes on: nearly every byte of text is alive everywhere.
        is_live = (automaton[1, 0x20:0x7F] != 0).mean() > 0.9
        kind = "always-live" if is_live else "early-dying"
        if min(num_states.values()) >= most_states:
            break
        if num_states[kind] < most_states:
            kinds[kind].append(automaton)
            num_states[kind] += len(automaton) - 1
    for kind, automata in kinds.items():
        if not automata:
            continue
        automaton = joined(automata)[: min(most_states + 1, 2**15 - 1)]
        automaton[np.abs(automaton) >= len(automaton)] = 0  # states that were cut off
        start = torch.arange(1, len(automaton), dtype=torch.int32)
        for size in sorted({min(4, len(start)), len(start)}):
            given = fill_arguments(automaton, start[:size], known, device)
            dispatch.fill(*given)
            if int(given[7]) > len(given[6]):
                given = fill_arguments(automaton, start[:size], known, device, int(given[7]))
                dispatch.fill(*given)
            if size <= 4:
                want = fill_arguments(automaton, start[:size], host, "cpu", len(given[6]))
                fill.fill_reference(*want)
                check(torch.equal(given[4].cpu(), want[4]) and torch.equal(given[5].cpu(), want[5]), "fill")
                check(
                    sorted(given[6][: int(given[7])].tolist()) == sorted(want[6][: int(want[7])].tolist()),
                    "fill",
                )
            found = {
                "kernel": "fill",
                "B": size,
                "V": known.num_tokens,
                "case": kind,
                "bytes": fill.moved_bytes(*given),
            }
            found["us"] = time_us(lambda given=given: (given[7].zero_(), dispatch.fill(*given)), device)
            yield found


def joined(automata: list[np.ndarray]) -> np.ndarray:
    """Give several automata as one."""
    rows, shift = [np.zeros((1, 256), np.int16)], 0
    for automaton in automata:
        moved = automaton[1:].astype(np.int32)
        rows.append((moved + np.sign(moved) * shift).astype(np.int16))
        shift += len(automaton) - 1
        if shift > 2**15 - 1 - 256:
            break
    return np.concatenate(rows)


def fill_arguments(automaton, start, known: DeviceVocabulary, device: str, num_exits: int = 2**16) -> tuple:
    size = len(start)
    words = torch.empty(size, len(known.eos), dtype=torch.int32, device=device)
    ends = torch.empty(size, known.num_tokens, dtype=torch.int16, device=device)
    exits = torch.empty(num_exits, 3, dtype=torch.int32, device=device)
    count = torch.zeros(1, dtype=torch.int32, device=device)
    following = torch.from_numpy(automaton).to(device)
    return following, start.to(device), known.text, known.text_start, words, ends, exits, count


def check(is_equal: bool, kernel: str) -> None:
    if not is_equal:
        raise SystemExit(
            f"{kernel} differs from its reference on this device: run the tests of tests/kernels there"
        )


# ---- Steps -----------------------------------------------------------------------------------------------------------


def bench_steps(device: str, encoding: vocabularies.Encoding, is_small: bool) -> Iterator[dict]:
    from benchmarks.engines import ENGINES

    tokens = [*encoding.tokenizer.encode_ordinary(TEXT), encoding.eos_token]
    num_tokens = len(encoding.tokens)
    for size in [2] if is_small else [1, 8, 64, 256]:
        logits = torch.randn(
            size, num_tokens, device=device, dtype=torch.bfloat16 if device == "cuda" else torch.float32
        )
        vocabulary = Vocabulary(encoding.tokens, [encoding.eos_token])
        batch = BatchMatcher([Constraint(SCHEMA, vocabulary)] * size, arena=Arena(device))
        steps = torch.tensor(tokens, device=device)[:, None].expand(-1, size).contiguous()

        def ours(batch=batch, steps=steps, logits=logits) -> None:
            batch.reset()
            for step in steps:
                batch.mask_logits(logits)
                batch.advance(step)
                batch.settle()

        yield {"engine": "ours", "B": size, **times_of(ours, len(tokens), device)}
        peers = (
            ("xgrammar", "llguidance") if device == "cuda" else ("xgrammar",)
        )  # the other compiles its loop, long
        for name in peers:
            try:
                engine = ENGINES[name](encoding)
                compiled = engine.compile(SCHEMA)
                run = functools.partial(peer_steps, name, engine, compiled, tokens, logits)
                yield {"engine": name, "B": size, **times_of(run, len(tokens), device)}
            except ImportError:
                continue


def times_of(run: Callable[[], None], num_steps: int, device: str) -> dict[str, float]:
    """Give the time of a step, the first time through and afterwards."""
    times = []
    for _ in range(4):
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1e6 * (time.perf_counter() - started) / num_steps)
    return {"first us": times[0], "warm us": statistics.median(times[1:])}


def peer_steps(name: str, engine: Any, compiled: Any, tokens: list[int], logits: torch.Tensor) -> None:
    """Advance and fill on the CPU, copy, apply: what the engines' own drivers do for a batch."""
    size, num_words = len(logits), -(-logits.shape[1] // 32)
    words = torch.zeros(size, num_words, dtype=torch.int32, pin_memory=logits.is_cuda)
    if name == "xgrammar":
        import xgrammar

        matchers = [xgrammar.GrammarMatcher(compiled) for _ in range(size)]

        def fill_row(place: int) -> None:
            matchers[place].fill_next_token_bitmask(words, place)

        def accept(place: int, token: int) -> bool:
            return matchers[place].accept_token(token)

        apply = xgrammar.apply_token_bitmask_inplace
    else:
        from llguidance.numpy import fill_next_token_bitmask
        from llguidance.torch import apply_token_bitmask_inplace as apply

        rows = words.numpy()
        matchers = [compiled.deep_copy() for _ in range(size)]
        for matcher in matchers:
            matcher.reset()

        def fill_row(place: int) -> None:
            fill_next_token_bitmask(matchers[place], rows, place)

        def accept(place: int, token: int) -> bool:
            return matchers[place].consume_token(token)

    sampled = torch.empty(size, dtype=torch.int64, device=logits.device)
    for token in tokens:
        for place in range(size):
            fill_row(place)
        apply(logits, words.to(logits.device, non_blocking=True))
        for place, each in enumerate(
            sampled.fill_(token).tolist()
        ):  # the sampled tokens come from the device
            if not accept(place, each):
                raise SystemExit(f"{name} refuses token {each} of the text that the steps are timed with")


# ---- Report ----------------------------------------------------------------------------------------------------------


def reached(kernels: list[dict], device: str) -> dict[str, float | None]:
    """Give what was measured of each goal; None where there was nothing to measure."""

    def pick(kernel: str, **wanted: Any) -> list[dict]:
        return [
            r
            for r in kernels
            if r["kernel"] == kernel and all(r[name] == value for name, value in wanted.items())
        ]

    if device != "cuda":
        return dict.fromkeys(GOALS)
    copies = [r["of a copy"] for r in pick("mask", case="few allowed") if "of a copy" in r]
    peers = [r["us"] / r["xgrammar us"] for r in pick("mask") if "xgrammar us" in r]
    steps = [r["us"] for r in pick("advance", B=4096)]
    fills = [1e-3 * r["us"] * 2000 / r["B"] for r in pick("fill") if r["B"] >= 1000]
    values = (
        min(copies, default=None),
        max(peers, default=None),
        max(steps, default=None),
        max(fills, default=None),
    )
    return dict(zip(GOALS, values, strict=True))


def render(report: dict) -> str:
    """Give the report in Markdown."""
    is_gpu = report["device"] == "cuda"
    about = [[name, value] for name, value in {**report["machine"], **report["run"]}.items()]
    goals = [
        [name, f"{goal:g}", NOT_MEASURED if (found := report["goals"][name]) is None else f"{found:.3g}"]
        for name, goal in GOALS.items()
    ]
    columns = ["kernel", "B", "V", "case", "bytes", "us", "of a copy", "xgrammar us"]

    def cell(row: dict, name: str) -> str:
        if name not in row:
            return ""
        value = row[name]
        return (
            f"{value:.2f}"
            if name == "of a copy"
            else f"{value:.1f}"
            if isinstance(value, float)
            else str(value)
        )

    steps = ["engine", "B", "first us", "warm us"]
    parts = [
        "# The device path",
        "Each kernel gave its reference's result here before it was timed; `python -m benchmarks.device` says how."
        if is_gpu
        else "No GPU was here: the references ran in the kernels' place, to see that this runs.",
        table(["", ""], about),
        "## Goals on an H100 or H200",
        table(["", "goal", "found"], goals),
        "## Kernels",
        table(columns, [[cell(row, name) for name in columns] for row in report["kernels"]]),
        "## Steps of a batch, without a model",
        table(steps, [[cell(row, name) for name in steps] for row in report["steps"]]),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> dict:
    """Run the command line; give the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--small", action="store_true", help="little of everything, with a vocabulary of bytes"
    )
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="MaskBench file whose patterns are filled")
    parser.add_argument("--out", type=Path, help="write the report to OUT.json and OUT.md")
    options = parser.parse_args(arguments)
    is_small = options.small or options.device == "cpu"
    encoding = vocabularies.ENCODINGS["bytes" if is_small else "llama3"]()
    vocabulary = Vocabulary(encoding.tokens, [encoding.eos_token])
    patterns = all_patterns(options.data) if not is_small and options.data.exists() else PATTERNS
    kernels = [
        *bench_mask(options.device, is_small),
        *bench_tables(options.device, is_small),
        *bench_fill(options.device, vocabulary, patterns, is_small),
    ]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "triton", "numpy")}
    for name in ("xgrammar", "llguidance"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    steps = list(bench_steps(options.device, encoding, is_small))
    goals = reached(kernels, options.device)
    if options.device == "cpu":
        for row in kernels + steps:
            row.update({name: NOT_MEASURED for name in row if name.endswith("us")})
    report = {
        "device": options.device,
        "machine": describe_machine(),
        "run": {
            "commit": describe_commit(),
            "GPU": torch.cuda.get_device_name() if options.device == "cuda" else "none",
            "xgrammar's kernels": ", ".join(xgrammar_backends()) if options.device == "cuda" else "not run",
            "patterns": len(patterns),
            **versions,
        },
        "kernels": kernels,
        "steps": steps,
        "goals": goals,
    }
    text = render(report)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_name(options.out.name + ".json").write_text(json.dumps(report, indent=1) + "\n")
        options.out.with_name(options.out.name + ".md").write_text(text)
    return report


if __name__ == "__main__":
    main()
