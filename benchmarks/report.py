"""The report of a MaskBench run: records are counted, compared and laid out as Markdown."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PERCENTILES = (50, 75, 90, 99)
COLUMNS = ("avg", *(f"p{percentile}" for percentile in PERCENTILES), "max")
NUM_LISTED = 15


def reason_class(reason: str) -> str:
    """Reduce an error's text to its class: first line, without the places and values of this one schema."""
    line = reason.strip().partition("\n")[0]
    line = re.sub(r"^(/\S*|the schema): ", "", line)
    line = re.sub(r"(?<![\w<])/[\w$%~.\-]+(/\S*)?", "/…", line)
    line = re.sub(r"'[^']{25,}'|\"[^\"]{25,}\"", "'…'", line)
    line = re.sub(r"\d+(?:[.,]\d+)*", "N", line)
    return line if len(line) <= 120 else line[:119] + "…"


def summarise(nanoseconds: Sequence[int]) -> dict[str, float] | None:
    """Give average, percentiles and maximum in microseconds; None for no values."""
    if not len(nanoseconds):
        return None
    values = np.asarray(nanoseconds) / 1000
    summary = (values.mean(), *np.percentile(values, PERCENTILES), values.max())
    return {column: round(float(value), 3) for column, value in zip(COLUMNS, summary, strict=True)}


def judge(records: list[dict]) -> dict:
    """Count one engine's outcomes and verdicts, and list its refusals and its wrong verdicts."""
    setup = records[-1]["setup"]
    ok = [record for record in records if record["outcome"] == "ok"]
    failed = [record for record in records if record["outcome"] != "ok"]
    tests = [(record["name"], test) for record in ok for test in record["tests"]]
    valid = [(name, test) for name, test in tests if test["valid"]]
    invalid = [(name, test) for name, test in tests if not test["valid"]]

    def names(rows, is_wrong) -> list[str]:
        return [name for name, test in rows if is_wrong(test["verdict"])]

    rejected = names(valid, lambda verdict: verdict in ("rejected", "incomplete"))
    accepted = names(invalid, lambda verdict: verdict == "accepted")
    broken = names(tests, lambda verdict: verdict.startswith("broken"))
    wall_ns = sum(record.get("wall_ns", 0) for record in records)
    step = [ns for _, test in tests for ns in test["cold"]]
    return {
        "counts": {
            "schemas": len(records),
            "compiled, and walked to the end": len(ok),
            "refused": sum(record["outcome"] == "refused" for record in failed),
            "time-outs": sum(record["outcome"] == "time-out" for record in failed),
            "crashes": sum(record["outcome"] == "crash" for record in failed),
            "valid instances": len(valid),
            "invalid instances": len(invalid),
            "valid rejected: instances": len(rejected),
            "valid rejected: schemas": len(set(rejected)),
            "invalid accepted: instances": len(accepted),
            "invalid accepted: schemas": len(set(accepted)),
            "contradicts itself: instances": len(broken),
            "tokens walked, cold": len(step),
        },
        "times": {
            "compile": summarise([record["compile_ns"] for record in ok]),
            "TTFM": summarise([record["ttfm_ns"] for record in ok]),
            "TBM cold": summarise(step),
            "TBM warm": summarise([ns for _, test in tests for ns in test["warm"]]),
        },
        "setup_s": round(setup["setup_s"], 2),
        "setup_mb": setup["setup_bytes"] // 2**20,
        "peak_mb": max(record.get("peak_bytes", setup["setup_bytes"]) for record in records) // 2**20,
        "cpu_per_wall": round(sum(record.get("cpu_ns", 0) for record in records) / max(wall_ns, 1), 3),
        "reasons": Counter(f"{record['outcome']}: {reason_class(record['reason'])}" for record in failed),
        "failed": {record["name"]: f"{record['outcome']}: {record['reason'][:300]}" for record in failed},
        "valid rejected": sorted(set(rejected)),
        "invalid accepted": sorted(set(accepted)),
        "contradicts itself": sorted(set(broken)),
        "slowest first masks": _slowest((record["ttfm_ns"], record["name"], record["name"]) for record in ok),
        "slowest steps": _slowest(
            (
                max(test["cold"]),
                record["name"],
                f"{record['name']}, instance {place}, token {_argmax(test['cold'])}",
            )
            for record in ok
            for place, test in enumerate(record["tests"])
            if test["cold"]
        ),
    }


def _slowest(rows: Iterable[tuple[int, str, str]]) -> dict[str, float]:
    """Give label -> microseconds of the slowest (nanoseconds, schema, label), one for each schema."""
    worst: dict[str, tuple[int, str]] = {}
    for nanoseconds, name, label in sorted(rows, reverse=True):
        worst.setdefault(name, (nanoseconds, label))
    return {label: nanoseconds / 1000 for nanoseconds, label in list(worst.values())[:NUM_LISTED]}


def _argmax(values: Sequence[int]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def compare(one: list[dict], other: list[dict]) -> dict:
    """Compare two engines over the schemas that both compile, and the steps that both took.

    Returns
    -------
    dict
        schemas, steps, and {quantity: [summary of one, summary of the other]}
    """
    others = {record["name"]: record for record in other if record["outcome"] == "ok"}
    pairs = [(a, others[a["name"]]) for a in one if a["outcome"] == "ok" and a["name"] in others]
    columns: dict[str, tuple[list[int], list[int]]] = {
        label: ([a[key] for a, _ in pairs], [b[key] for _, b in pairs])
        for label, key in (("compile", "compile_ns"), ("TTFM", "ttfm_ns"))
    }
    for stage in ("cold", "warm"):
        columns[f"TBM {stage}"] = ([], [])
        for a, b in pairs:
            for mine, theirs in zip(a["tests"], b["tests"], strict=True):
                # Where one rejects earlier, only the tokens that both saw are compared.
                for mine_ns, theirs_ns in zip(mine[stage], theirs[stage], strict=False):
                    columns[f"TBM {stage}"][0].append(mine_ns)
                    columns[f"TBM {stage}"][1].append(theirs_ns)
    return {
        "schemas": len(pairs),
        "steps": len(columns["TBM cold"][0]),
        "times": {label: [summarise(a), summarise(b)] for label, (a, b) in columns.items()},
    }


def describe_machine() -> dict[str, Any]:
    """Say where this runs."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "CPU": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load average at the start": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
    }


def describe_commit() -> str:
    """Give the commit of this tree, and whether it was changed since."""

    def git(*arguments: str) -> str | None:
        result = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "none yet"
    return commit + (" with changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a Markdown table, text to the left and numbers to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def render(report: dict) -> str:
    """Write a report as Markdown."""
    run, engines = report["run"], report["engines"]
    drawn = "" if run["sample"] is None else f" drawn with seed {run['seed']}"
    turns = "taking turns, a schema each" if run["take_turns"] else "one after the other"
    machine = {**report["machine"], "commit": run["commit"]}
    first = next(iter(engines))
    parts = [
        f"# MaskBench, {run['date']}",
        f"{run['schemas']} schemas{drawn} of `{run['data']}`, vocabulary {run['vocabulary']}. "
        f"Made by `python -m benchmarks.maskbench {run['arguments']}`.",
        "\n".join(f"- {key}: {value}" for key, value in machine.items()),
        "Times in µs of wall clock (`perf_counter_ns`). Each engine has a process of its own on the same core, "
        f"{turns}; garbage collector on; time limit {run['limit_s']:g} s a stage. TTFM: schema to first mask. "
        "TBM: advance and the next mask. Cold: first pass over the instances; warm: the same again.",
        *(_render_comparison(first, peer, comparison) for peer, comparison in report["comparisons"].items()),
        "## Each engine on all that it compiles",
        table(
            ["µs", *COLUMNS],
            [
                _time_row(f"{label}, {name}", summary)
                for name, engine in engines.items()
                for label, summary in engine["times"].items()
                if summary is not None
            ],
        ),
        "## Outcomes",
        _render_outcomes(engines),
        *(_render_details(name, engine) for name, engine in engines.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _render_comparison(first: str, peer: str, comparison: dict) -> str:
    rows = []
    for label, (mine, theirs) in comparison["times"].items():
        if mine is not None:
            ratios = [f"**{mine[column] / theirs[column]:.2f}**" for column in COLUMNS]
            rows += [_time_row(f"{label}, {first}", mine), _time_row(f"{label}, {peer}", theirs)]
            rows += [[f"**{label}, ratio**", *ratios]]
    return (
        f"## {first} against {peer}\n\n{comparison['schemas']} schemas that both compile, "
        f"{comparison['steps']:,} steps that both took. Ratio: {first} / {peer}, below 1 is faster.\n\n"
        + table(["µs", *COLUMNS], rows)
    )


def _render_outcomes(engines: dict[str, dict]) -> str:
    measured = {
        "set-up of the vocabulary, s": "setup_s",
        "memory after set-up, MiB": "setup_mb",
        "peak memory, MiB": "peak_mb",
        "CPU time / wall clock": "cpu_per_wall",
    }
    counts = next(iter(engines.values()))["counts"]
    return table(
        ["", *engines],
        [
            ["version", *(engine["version"] for engine in engines.values())],
            *([key, *(f"{engine['counts'][key]:,}" for engine in engines.values())] for key in counts),
            *([label, *(engine[key] for engine in engines.values())] for label, key in measured.items()),
        ],
    )


def _render_details(name: str, engine: dict) -> str:
    parts = [f"## Details of {name}"]
    if engine["reasons"]:
        most = sorted(engine["reasons"].items(), key=lambda item: -item[1])[:NUM_LISTED]
        parts.append(table(["why not, by reason", "schemas"], most))
    for key in ("valid rejected", "invalid accepted", "contradicts itself"):
        if engine[key]:
            parts.append(f"{key} ({len(engine[key])}): " + ", ".join(engine[key][:NUM_LISTED]))
    for key in ("slowest first masks", "slowest steps"):
        if engine[key]:
            parts.append(table([key, "µs"], [[row, _number(us)] for row, us in engine[key].items()]))
    return "\n\n".join(parts)


def _time_row(label: str, summary: dict[str, float]) -> list[str]:
    return [label, *(_number(summary[column]) for column in COLUMNS)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
