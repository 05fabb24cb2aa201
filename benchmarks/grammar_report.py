"""Lay out a run of benchmarks/test_grammar.py as a dated report.

    pytest benchmarks/test_grammar.py --benchmark-json=run.json
    python -m benchmarks.grammar_report run.json

writes benchmarks/results/DATE-grammars.md, DATE being the day of the run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import describe_machine, table

ENGINES = ("ours", "llguidance", "xgrammar")
STAGES = ("first mask", "cold", "warm")

_MADE_BY = """\
Made by `pytest benchmarks/test_grammar.py --benchmark-json=run.json` and
`python -m benchmarks.grammar_report run.json`. Llama 3's vocabulary; wall clock, medians of three rounds."""

_STAGES_MEAN = """\
First mask: from the grammar's text. Cold: the mask and advance of a token in the first pass over the texts, with the
grammar's own tables empty; those of the vocabulary have been filled, by another grammar and, from the second round on,
by this one. Warm: the same texts again. xgrammar isn't run where a mask takes it half a second."""


def render(run: dict) -> str:
    """Give the Markdown of a run: a row for each grammar and stage, and what the first text costs in all."""
    seconds: dict[tuple[str, str, str], float] = {}
    tokens: dict[str, int] = {}
    for benchmark in run["benchmarks"]:
        stage = benchmark["group"].partition(": ")[2]
        name, engine = benchmark["params"]["case"], benchmark["params"]["engine_name"]
        seconds[name, stage, engine] = benchmark["stats"]["median"]
        tokens[name] = benchmark["extra_info"]["tokens"]
    rows, totals = [], []
    for name, number in tokens.items():
        for stage in STAGES:
            times = [seconds.get((name, stage, engine)) for engine in ENGINES]
            shown = [
                _shown(time if time is None or stage == "first mask" else time / number) for time in times
            ]
            rows.append([name, stage, number, *shown, _ratio(times[0], times[1])])
        whole = [
            sum(seconds[name, stage, engine] for stage in ("first mask", "cold")) for engine in ENGINES[:2]
        ]
        totals.append([name, *map(_shown, whole), _ratio(*whole)])
    commit = run["commit_info"]["id"][:12] + (" with changes" if run["commit_info"]["dirty"] else "")
    facts = {**describe_machine(), "commit": commit}
    return "\n\n".join(
        [
            f"# Grammars beside llguidance and xgrammar, {run['datetime'][:10]}",
            _MADE_BY,
            "\n".join(f"- {key}: {value}" for key, value in facts.items()),
            _STAGES_MEAN,
            table(["grammar", "stage", "tokens", *ENGINES, "ours / llguidance"], rows),
            "First mask and first pass together:",
            table(["grammar", *ENGINES[:2], "ours / llguidance"], totals) + "\n",
        ]
    )


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return "not run"
    return f"{seconds * 1e3:,.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.2f} us"


def _ratio(ours: float | None, peer: float | None) -> str:
    return "" if ours is None or peer is None else f"{ours / peer:.3g}"


def main(arguments: Sequence[str] | None = None) -> Path:
    """Write the report of a run, and give its path."""
    parser = argparse.ArgumentParser(
        description="Lay out a run of benchmarks/test_grammar.py as a dated report."
    )
    parser.add_argument("run", type=Path, help="what --benchmark-json wrote")
    parser.add_argument(
        "--out", type=Path, help="path of the report; default: benchmarks/results/DATE-grammars.md"
    )
    options = parser.parse_args(arguments)
    run = json.loads(options.run.read_text("utf-8"))
    out = options.out or Path(__file__).parent / "results" / f"{run['datetime'][:10]}-grammars.md"
    out.write_text(render(run), "utf-8")
    print(out)
    return out


if __name__ == "__main__":
    main()
