"""Time the engines on patterns, side by side, and write a dated report.

    python -m benchmarks.regexbench --core 1
    python -m benchmarks.regexbench --engines ours,llguidance --only e-mail,date

Each engine has a process of its own, in which it takes all patterns one after the other, each once; what it keeps for a
vocabulary is kept from one to the next, as in a server. For each pattern: `build`, `first mask` (built, and the mask of
the start), `cold` (a step of the first walk along a text that the pattern matches: an advance and the next mask) and
`warm` (the same again). An engine that takes more than the limit for a stage is cut.

Times are CPU time of the engine's process, so that a busy machine matters less; each engine uses one thread.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import engines, maskbench, vocabularies
from benchmarks.patterns import PATTERNS
from benchmarks.report import describe_commit, describe_machine, table

RESULTS = Path(__file__).resolve().parent / "results"
TIME_LIMIT_S = 10.0
COLUMNS = ("build", "first mask", "cold", "warm")


def use_cpu_time() -> None:
    """Let this process measure its own CPU time."""
    maskbench.clock_ns = time.process_time_ns


class Ours(engines.Ours):
    """Our engine on patterns."""

    def __init__(self, encoding):
        super().__init__(encoding)
        use_cpu_time()
        self.compile = self.compile_regex


class LLGuidance(engines.LLGuidance):
    """llguidance on patterns."""

    compile = engines.LLGuidance.compile_regex

    def __init__(self, encoding):
        super().__init__(encoding)
        use_cpu_time()


class XGrammar(engines.XGrammar):
    """xgrammar on patterns."""

    compile = engines.XGrammar.compile_regex

    def __init__(self, encoding):
        super().__init__(encoding)
        use_cpu_time()


class OutlinesCore(engines.OutlinesCore):
    """outlines_core on patterns."""

    compile = engines.OutlinesCore.compile_regex

    def __init__(self, encoding):
        super().__init__(encoding)
        use_cpu_time()


ENGINES = {"ours": Ours, "llguidance": LLGuidance, "xgrammar": XGrammar, "outlines_core": OutlinesCore}


def take(
    engine: str, names: Sequence[str], encoding: str, core: int | None, limit_s: float
) -> dict[str, dict]:
    """Give the record of each pattern for one engine."""
    tokenizer = vocabularies.ENCODINGS[encoding]().tokenizer
    worker = maskbench.Worker(ENGINES[engine], encoding, core, limit_s)
    records = {}
    try:
        for name in names:
            pattern, text = PATTERNS[name]
            tests = [{"valid": True, "tokens": tokenizer.encode_ordinary(text)}]
            records[name] = worker.measure({"name": name, "schema": pattern, "tests": tests})
    finally:
        worker.close()
    return records


def figures(record: dict) -> dict[str, float] | str:
    """Give the microseconds of each column, or why there are none."""
    if record["outcome"] != "ok":
        return record["outcome"]
    test = record["tests"][0]
    if test["verdict"] != "accepted":
        return test["verdict"]
    return {
        "build": record["compile_ns"] / 1000,
        "first mask": record["ttfm_ns"] / 1000,
        "cold": sum(test["cold"]) / len(test["cold"]) / 1000,
        "warm": sum(test["warm"]) / len(test["warm"]) / 1000,
    }


def render(report: dict) -> str:
    """Write a report as Markdown."""
    names, results = list(report["patterns"]), report["results"]
    ours, *peers = results
    machine = {**report["machine"], "commit": report["commit"], "versions": ", ".join(report["versions"])}
    parts = [
        f"# Patterns, {report['date']}",
        f"{len(names)} patterns of our own (`benchmarks/patterns.py`), vocabulary {report['vocabulary']}. "
        f"Made by `python -m benchmarks.regexbench {report['arguments']}`.",
        "\n".join(f"- {key}: {value}" for key, value in machine.items()),
        "Times in µs of CPU time; cold and warm are the mean of a walk's steps. Each engine has a process of its own "
        f"on the same core, one after the other; limit {report['limit_s']:g} s a stage. Ratio: {ours} / the fastest "
        "peer that did the pattern, below 1 is faster; \\* marks patterns that no peer did.",
    ]
    for column in COLUMNS:
        rows, ratios = [], []
        for name in names:
            cells = [results[engine][name] for engine in results]
            times = [cell if isinstance(cell, str) else cell[column] for cell in cells]
            others = [time for time in times[1:] if not isinstance(time, str)]
            ratio = None if isinstance(times[0], str) or not others else times[0] / min(others)
            ratios += [] if ratio is None else [ratio]
            shown = [time if isinstance(time, str) else f"{time:,.1f}" for time in times]
            rows.append([name, *shown, "*" if ratio is None else f"{ratio:.2f}"])
        ratios.sort()
        slower = sum(ratio > 1 for ratio in ratios)
        parts.append(
            f"## {column}\n\nRatio: median {ratios[len(ratios) // 2]:.2f}, worst {ratios[-1]:.2f}; "
            f"slower than the fastest peer on {slower} of {len(ratios)}.\n\n"
            if ratios
            else f"## {column}\n\n"
        )
        parts[-1] += table(["pattern", ours, *peers, "ratio"], rows)
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> dict:
    """Run as `python -m benchmarks.regexbench`."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], prog="python -m benchmarks.regexbench"
    )
    parser.add_argument(
        "--engines", default=",".join(ENGINES), help="comma-separated, ours first; default: %(default)s"
    )
    parser.add_argument("--only", help="comma-separated names of patterns; default: all")
    parser.add_argument("--vocabulary", default="llama3", choices=vocabularies.ENCODINGS)
    parser.add_argument("--core", type=int, help="core that the engines run on; default: left to the system")
    parser.add_argument(
        "--limit",
        type=float,
        default=TIME_LIMIT_S,
        metavar="S",
        help="limit of a stage; default: %(default)s s",
    )
    parser.add_argument(
        "--out", type=Path, help="report without its ending; default: benchmarks/results/DATE-patterns"
    )
    options = parser.parse_args(arguments)
    chosen = options.engines.split(",")
    names = options.only.split(",") if options.only else list(PATTERNS)
    for given, known, what in ((chosen, ENGINES, "engine"), (names, PATTERNS, "pattern")):
        for name in given:
            if name not in known:
                parser.error(f"no {what} is called {name!r}; there are {', '.join(known)}")
    results = {}
    for engine in chosen:
        records = take(engine, names, options.vocabulary, options.core, options.limit)
        results[engine] = {name: figures(record) for name, record in records.items()}
    report = {
        "date": datetime.date.today().isoformat(),
        "arguments": " ".join(sys.argv[1:] if arguments is None else arguments),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "versions": [
            f"{ENGINES[name].package} {importlib.metadata.version(ENGINES[name].package)}" for name in chosen
        ],
        "vocabulary": options.vocabulary,
        "limit_s": options.limit,
        "patterns": {name: PATTERNS[name][0] for name in names},
        "results": results,
    }
    path = options.out or RESULTS / f"{report['date']}-patterns"
    path.with_suffix(".json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(render(report))
    print(render(report))
    return report


if __name__ == "__main__":
    main()
