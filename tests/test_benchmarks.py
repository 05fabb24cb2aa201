"""The MaskBench runner runs, judges rightly, survives what engines do, and resumes; reports say what was measured."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import time

import pytest

pytest.importorskip("tiktoken", reason="the benchmarks' tokenizer is missing. Run: pip install tiktoken")

from benchmarks import grammar_report, maskbench, vocabularies
from benchmarks.report import compare, reason_class, summarise

SCHEMAS = [
    {
        "name": "record",
        "schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
            "required": ["a"],
            "additionalProperties": False,
        },
        "tests": [
            {"valid": True, "data": {"a": 1, "b": "é"}},
            {"valid": False, "data": {"b": "é"}},
            {"valid": False, "data": {"a": True}},
        ],
    },
    {
        "name": "list",
        "schema": {"type": "array", "items": {"enum": ["x", "yy"]}, "minItems": 2},
        "tests": [{"valid": True, "data": ["x", "yy", "x"]}, {"valid": False, "data": ["x"]}],
    },
    {"name": "impossible", "schema": {"type": "string", "pattern": r"^(a+)\1$"}, "tests": []},
]


@pytest.fixture(params=["ours", "llguidance"])
def engine_name(request) -> str:
    package = maskbench.ENGINES[request.param].package
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} isn't installed. Run: pip install {package}")
    return request.param


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command line on the schemas above, with a vocabulary of bytes; gives the report."""
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(schema) + "\n" for schema in SCHEMAS))
    fixed = ["--all", "--data", str(data), "--vocabulary", "bytes", "--records", str(tmp_path)]
    return functools.partial(
        _run, [*fixed, "--out", str(tmp_path / "report")], tmp_path / "report.md", capsys
    )


def _run(fixed, markdown, capsys, *arguments):
    report = maskbench.main([*fixed, *arguments])
    assert json.loads(markdown.with_suffix(".json").read_text()) == report
    assert capsys.readouterr().out.strip() == markdown.read_text().strip()
    return report


def test_every_instance_is_judged(run, engine_name):
    engine = run("--engines", engine_name)["engines"][engine_name]
    counts = engine["counts"]
    assert counts["schemas"] == 3
    assert counts["compiled, and walked to the end"] == 2
    assert counts["refused"] == 1
    assert (counts["valid instances"], counts["invalid instances"]) == (2, 3)
    assert counts["valid rejected: instances"] == counts["invalid accepted: instances"] == 0
    assert counts["contradicts itself: instances"] == 0
    assert list(engine["failed"]) == ["impossible"]
    assert "reference" in engine["failed"]["impossible"]  # back-references aren't regular
    # Each token of the valid instances is a step, and some of the invalid ones' are.
    accepted = sum(len(json.dumps(test["data"], ensure_ascii=False).encode()) for test in _valid_tests())
    assert counts["tokens walked, cold"] > accepted
    assert all(engine["times"].values())


def _valid_tests():
    return [test for schema in SCHEMAS for test in schema["tests"] if test["valid"]]


def test_engines_are_compared_over_what_both_compile(run, engine_name, tmp_path):
    pytest.importorskip("llguidance", reason="the peer is missing. Run: pip install llguidance")
    for turns in ([], ["--take-turns"]):
        report = run("--engines", f"{engine_name},llguidance-pointer", *turns)
        comparison = report["comparisons"]["llguidance-pointer"]
        assert comparison["schemas"] == 2
        assert comparison["steps"] == report["engines"][engine_name]["counts"]["tokens walked, cold"]
        markdown = (tmp_path / "report.md").read_text()
        assert f"## {engine_name} against llguidance-pointer" in markdown
        assert "**TTFM, ratio**" in markdown


def test_an_interrupted_run_is_resumed_where_it_stopped(run, engine_name, tmp_path):
    first = run("--engines", engine_name)
    log = tmp_path / f"report.{engine_name}.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    header, record, list_, _ = lines
    log.write_text(header + record + list_[:40])  # cut in the middle of a line
    second = run("--engines", engine_name, "--resume")
    lines = log.read_text().splitlines(keepends=True)
    assert lines[:2] == [header, record]
    assert [json.loads(line)["name"] for line in lines[1:]] == ["record", "list", "impossible"]
    assert second["engines"][engine_name]["counts"] == first["engines"][engine_name]["counts"]


def test_another_run_is_not_resumed(run, engine_name):
    run("--engines", engine_name)
    with pytest.raises(SystemExit, match="differs in limit_s"):
        run("--engines", engine_name, "--resume", "--limit-s", "9")


def test_profile_names_the_functions_of_our_engine(tmp_path, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(SCHEMAS[0]) + "\n")
    arguments = ["--all", "--data", str(data), "--vocabulary", "bytes", "--profile"]
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        assert maskbench.main(arguments) is None
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
    printed = capsys.readouterr().out
    assert printed.startswith("{'ok': 1}")
    assert "=== cold pass, by tottime" in printed
    assert "advance" in printed


# ---- What engines do to the process they are in ---------------------------------------------------------------------


class Dying:
    """Does to its process what the schema says."""

    refusals = ()

    def __init__(self, encoding):
        pass

    def compile(self, schema):
        if schema == "die":
            os._exit(3)
        if schema == "sleep":
            time.sleep(60)
        raise KeyError(schema)


def test_a_worker_outlives_its_engine():
    worker = maskbench.Worker(Dying, "bytes", limit_s=0.2)
    try:
        records = [
            worker.measure({"name": name, "schema": name, "tests": []}) for name in ("die", "sleep", "raise")
        ]
    finally:
        worker.close()
    died, slept, raised = records
    assert (died["outcome"], died["reason"]) == ("crash", "the process died with exit code 3")
    assert (slept["outcome"], slept["reason"]) == ("time-out", "compile: more than 0.2 s")
    assert raised["outcome"] == "crash"
    assert raised["reason"].startswith("KeyError: 'raise' (test_benchmarks.py:")
    assert [record["name"] for record in records] == ["die", "sleep", "raise"]


def test_a_process_that_does_not_come_back_is_killed():
    worker = maskbench.Worker(Dying, "bytes", limit_s=60)
    worker.patience_s = 0.2
    sleeping = worker.process
    try:
        record = worker.measure({"name": "sleep", "schema": "sleep", "tests": []})
        assert not sleeping.is_alive()
        assert worker.process.is_alive()
    finally:
        worker.close()
    assert record["outcome"] == "time-out"
    assert "killed" in record["reason"]


class Scripted:
    """A matcher over two tokens, 0 and 1, that does what it's told."""

    def __init__(self, rows, advances=True, accepting=False):
        self.rows = iter(rows)
        self.matcher = maskbench.Matcher(
            lambda: [next(self.rows)], lambda _: advances, lambda: accepting, None
        )


@pytest.mark.parametrize(
    ("scripted", "verdict", "steps"),
    [
        (Scripted([0b001, 0b010, 0b100], accepting=True), "accepted", 2),
        (Scripted([0b001, 0b010, 0b001]), "incomplete", 2),
        (Scripted([0b001, 0b001]), "rejected", 1),
        (Scripted([0b110]), "rejected", 0),
        (Scripted([0b001, 0b010], advances=False), "broken: a token that the mask allows is refused", 0),
        (Scripted([1, 2, 4]), "broken: is_accepting contradicts the mask, which allows the end", 2),
        (
            Scripted([1, 2, 1], accepting=True),
            "broken: is_accepting contradicts the mask, which forbids the end",
            2,
        ),
    ],
)
def test_a_walk_is_judged_by_its_masks(scripted, verdict, steps):
    found, nanoseconds = maskbench.walk(scripted.matcher, [0, 1], eos_token=2)
    assert (found, len(nanoseconds)) == (verdict, steps)


# ---- Numbers and texts ----------------------------------------------------------------------------------------------


def test_percentiles_are_in_microseconds():
    summary = summarise([1000 * n for n in range(101)])
    assert summary == {"avg": 50, "p50": 50, "p75": 75, "p90": 90, "p99": 99, "max": 100}
    assert summarise([]) is None


def test_only_steps_that_both_took_are_compared():
    def record(outcome, steps):
        tests = [{"valid": False, "verdict": "rejected", "cold": steps, "warm": steps}]
        return {"name": "a", "outcome": outcome, "compile_ns": 1, "ttfm_ns": 2, "tests": tests}

    comparison = compare([record("ok", [1000, 2000, 9000])], [record("ok", [500, 1000])])
    assert comparison["steps"] == 2
    assert [side["max"] for side in comparison["times"]["TBM cold"]] == [2, 1]
    assert compare([record("ok", [1])], [record("crash", [])])["schemas"] == 0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("/properties/a/format: unknown\nmore", "unknown"),
        ("the schema: no text satisfies it", "no text satisfies it"),
        ('Unimplemented keys: ["if", "then"]', 'Unimplemented keys: ["if", "then"]'),
        ("the tables need 3.1 GiB, the budget is 2.0 GiB", "the tables need N GiB, the budget is N GiB"),
        ("position 6 of '" + "x" * 40 + "': no", "position N of '…': no"),
        ("cycle through #/$defs/tree/items here", "cycle through #/… here"),
    ],
)
def test_reasons_lose_the_values_of_one_schema(reason, expected):
    assert reason_class(reason) == expected


def test_a_sample_is_drawn_by_its_seed(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"name": str(n)}) + "\n" for n in range(50)))
    drawn = [row["name"] for row in maskbench.read_schemas(data, 10, seed=1)]
    assert len(drawn) == 10
    assert drawn == sorted(drawn, key=int)
    assert drawn == [row["name"] for row in maskbench.read_schemas(data, 10, seed=1)]
    assert drawn != [row["name"] for row in maskbench.read_schemas(data, 10, seed=2)]
    assert len(maskbench.read_schemas(data, None, seed=1)) == 50


def test_bytes_are_tokens():
    encoding = vocabularies.bytes_encoding()
    text = 'é{"<|end|>'
    assert bytes(encoding.tokenizer.encode_ordinary(text)) == text.encode()
    assert encoding.tokens[encoding.eos_token] is None


def test_llama3_texts_round_trip_through_its_tokens():
    try:
        encoding = vocabularies.llama3_encoding()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    text = '{"naïve": "日本語 😀", "n": -1.5e10, "special": "<|eot_id|>"}\r\n\t'
    ids = encoding.tokenizer.encode_ordinary(text)
    assert b"".join(encoding.tokens[token] for token in ids) == text.encode()
    assert (len(encoding.tokens), encoding.eos_token) == (128_256, 128_009)
    assert encoding.tokenizer.decode([encoding.eos_token]) == "<|eot_id|>"


def test_report_of_grammars_has_each_stage_and_what_they_cost_together(tmp_path):
    def timed(stage, engine, seconds):
        return {
            "group": f"json: {stage}",
            "params": {"case": "json", "engine_name": engine},
            "extra_info": {"tokens": 10},
            "stats": {"median": seconds},
        }

    run = {
        "datetime": "2030-01-02T03:04:05",
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": [
            timed(stage, engine, seconds)
            for engine, times in {"ours": (0.002, 0.01, 1e-5), "llguidance": (0.001, 0.005, 0.004)}.items()
            for stage, seconds in zip(grammar_report.STAGES, times, strict=True)
        ],
    }
    source, out = tmp_path / "run.json", tmp_path / "report.md"
    source.write_text(json.dumps(run))
    assert grammar_report.main([str(source), "--out", str(out)]) == out
    text = out.read_text()
    assert "2030-01-02" in text
    assert "| json | first mask | 10 | 2.0 ms | 1.0 ms | not run | 2 |" in text
    assert "| json | cold | 10 | 1.0 ms | 500.00 us | not run | 2 |" in text
    assert "| json | warm | 10 | 1.00 us | 400.00 us | not run | 0.0025 |" in text
    assert "| json | 12.0 ms | 6.0 ms | 2 |" in text
