"""MaskBench: time and judge the masks of this engine and its peers on real JSON schemas.

    python -m benchmarks.maskbench --sample 250 --seed 0
    python -m benchmarks.maskbench --all --engines ours,llguidance --resume
    python -m benchmarks.maskbench --sample 250 --profile
    python -m benchmarks.maskbench --sample 250 --property-order any --engines ours,llguidance,xgrammar

What is measured, for each engine and schema, in microseconds of wall clock:

    compile   from the schema (a dict) to the compiled constraint
    TTFM      time to first mask: compile, start a matcher, compute its mask
    TBM       time between masks: advance by a token and compute the next mask, for each token; cold is the
              first pass over the schema's instances, warm the second, with the same constraint

An instance is judged as a user would see it: each of its tokens must be allowed by the mask before it, and
at the end the text must be accepting. Its text is `json.dumps(data, ensure_ascii=False)`, cut into tokens by
the real tokenizer before any clock runs. Each engine runs in a process of its own, pinned to one core, one
after the other. A process that dies, or is cut by the time limit, is replaced: the schema is recorded as
such and the run goes on.

Needs a Unix (SIGALRM); the peers and the vocabulary: pip install llguidance tiktoken; pip install --no-deps
llama-models==0.3.0.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import datetime
import gzip
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import pstats
import random
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import vocabularies
from benchmarks.engines import ENGINES, WORD_BITS, Matcher, Ours
from benchmarks.report import compare, describe_commit, describe_machine, judge, render
from benchmarks.report import reason_class as reason_class  # these two are for importers of this module
from benchmarks.report import summarise as summarise

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "maskbench-dev.jsonl.gz"
RESULTS = ROOT / "benchmarks" / "results"
RECORDS = ROOT / ".benchmarks" / "maskbench"
TIME_LIMIT_S = 10.0

#: What is measured: wall clock. Other benchmarks that use this module may set it, in their workers, to CPU time.
clock_ns = time.perf_counter_ns


# ------------------------------------------------------------------------------------------------------------
# Measuring one schema
# ------------------------------------------------------------------------------------------------------------


class OutOfTime(BaseException):
    """The time limit has passed. Not an Exception, so that no engine takes it for an error of its own."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the body after `seconds`; native code is cut only when it returns to Python."""

    def ring(signal_number, frame):
        raise OutOfTime

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def walk(matcher: Matcher, tokens: Sequence[int], eos_token: int) -> tuple[str, list[int]]:
    """Lead a matcher over a text.

    Returns
    -------
    verdict, steps
        "accepted", "rejected" at a token, "incomplete" at the end, or "broken: " and where the engine
        contradicts itself; and the nanoseconds of each step (advance, then the next mask), one for each token
        that was allowed.
    """
    clock = clock_ns
    mask, advance, is_accepting, words = matcher
    steps: list[int] = []
    returned = mask()
    row = returned if words is None else words
    for token in tokens:
        if not _is_allowed(row, token):
            return "rejected", steps
        begin = clock()
        advanced = advance(token)
        returned = mask()
        end = clock()
        if not advanced:
            return "broken: a token that the mask allows is refused", steps
        steps.append(end - begin)
        if words is None:
            row = returned
    allows_end = _is_allowed(row, eos_token)
    if is_accepting is not None and is_accepting() != allows_end:
        return (
            f"broken: is_accepting contradicts the mask, which {['forbids', 'allows'][allows_end]} the end",
            steps,
        )
    return "accepted" if allows_end else "incomplete", steps


def _is_allowed(row: np.ndarray, token: int) -> bool:
    return bool(row[token // WORD_BITS] >> (token % WORD_BITS) & 1)


def measure(engine, task: dict, eos_token: int, limit_s: float) -> dict:
    """Measure and judge one schema; every failure of the engine is an outcome in the record.

    Parameters
    ----------
    engine
        One of the classes in engines.py, set up.
    task
        {"name", "schema", "tests": [{"valid", "tokens"}]}
    limit_s
        Limit of each stage: to the first mask, the cold pass, the warm pass.

    Returns
    -------
    dict
        name, outcome ("ok", "refused", "time-out", "crash") with stage and reason, compile_ns, ttfm_ns,
        tests: [{"valid", "verdict", "cold": [ns], "warm": [ns]}], wall_ns and cpu_ns.
    """
    clock = clock_ns
    record: dict[str, Any] = {"name": task["name"], "outcome": "ok", "stage": "compile"}
    wall, cpu = clock(), time.process_time_ns()
    try:
        with time_limit(limit_s):
            begin = clock()
            constraint = engine.compile(task["schema"])
            compiled = clock()
            engine.start(constraint).mask()
            masked = clock()
        record |= {"compile_ns": compiled - begin, "ttfm_ns": masked - begin}
        record["tests"] = [{"valid": test["valid"]} for test in task["tests"]]
        for record["stage"] in ("cold", "warm"):
            with time_limit(limit_s):
                for test, result in zip(task["tests"], record["tests"], strict=True):
                    verdict, steps = walk(engine.start(constraint), test["tokens"], eos_token)
                    if result.setdefault("verdict", verdict) != verdict:
                        result["verdict"] = f"broken: {result['verdict']} at first, then {verdict}"
                    result[record["stage"]] = steps
    except OutOfTime:
        record |= {"outcome": "time-out", "reason": f"{record['stage']}: more than {limit_s:g} s"}
    except Exception as error:  # any error of an engine is a result of this benchmark
        refused = record["stage"] == "compile" and isinstance(error, engine.refusals)
        record |= {"outcome": "refused" if refused else "crash", "reason": describe(error, refused)}
    record |= {"wall_ns": clock() - wall, "cpu_ns": time.process_time_ns() - cpu}
    return record


def describe(error: Exception, refused: bool) -> str:
    """Give an error as one text: a refusal by its message, a crash also by its type and place."""
    if refused:
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"


# ------------------------------------------------------------------------------------------------------------
# Processes
# ------------------------------------------------------------------------------------------------------------


def peak_memory_bytes() -> int:
    """Give this process's peak resident memory."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's peak, inherited when the process was started
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def pin(core: int | None) -> None:
    """Keep this process on one core, where the system can."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def _serve(connection, factory, encoding_name: str, core: int | None, limit_s: float) -> None:
    """Answer tasks with records until the connection closes; the body of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    warnings.simplefilter("ignore")  # thousands of schemas, each with its own
    pin(core)
    encoding = vocabularies.ENCODINGS[encoding_name]()
    begin = time.perf_counter()
    engine = factory(encoding)
    connection.send({"setup_s": time.perf_counter() - begin, "setup_bytes": peak_memory_bytes()})
    with contextlib.suppress(EOFError):
        while True:
            record = measure(engine, connection.recv(), encoding.eos_token, limit_s)
            connection.send(record | {"peak_bytes": peak_memory_bytes()})


class Worker:
    """An engine in a process of its own, replaced when it dies, hangs, or is cut in the middle of something.

    Parameters
    ----------
    factory
        Class of the engine; importable, since the process imports it.
    encoding_name
        Key of `vocabularies.ENCODINGS`.
    core
        Core to run on; None leaves it to the system.
    limit_s
        Time limit of each stage.
    """

    def __init__(self, factory, encoding_name: str, core: int | None = None, limit_s: float = TIME_LIMIT_S):
        self.arguments = (factory, encoding_name, core, limit_s)
        # Three stages that may each reach their limit; native code that doesn't come back is killed then.
        self.patience_s = 3 * limit_s + 5
        self.setup: dict = {}
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a clean process, whatever this one has loaded
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()
        try:
            self.setup = self.connection.recv()
        except EOFError:
            name = self.arguments[0].__name__
            raise RuntimeError(f"{name} couldn't be set up; its error stands above") from None

    def measure(self, task: dict) -> dict:
        """Give the record of one schema, come what may."""
        setup = self.setup
        try:
            self.connection.send(task)
            if self.connection.poll(self.patience_s):
                record = self.connection.recv()
            else:
                record = {"outcome": "time-out", "reason": "native code didn't return and was killed"}
        except (EOFError, ConnectionError):
            self.process.join()
            record = {
                "outcome": "crash",
                "reason": f"the process died with exit code {self.process.exitcode}",
            }
        if record["outcome"] in ("crash", "time-out"):
            self.close()
            self._start()
        return {"name": task["name"]} | record | {"setup": setup}

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.join()


class Log:
    """The records of one engine in a file of JSON lines, so that an interrupted run can go on.

    Parameters
    ----------
    path
        The file; replaced, unless `resume`.
    header
        What the run is of; an earlier run is only resumed where its header is equal.
    resume
        Keep the records that the file has.
    """

    def __init__(self, path: Path, header: dict, resume: bool):
        self.path = path
        headers, self.records = read_records(path) if resume and path.exists() else ([], [])
        if headers and headers[0] != header:
            differing = ", ".join(sorted(key for key in header if header[key] != headers[0].get(key)))
            raise SystemExit(f"{path} is of another run (it differs in {differing}): leave out --resume")
        self.names = {record["name"] for record in self.records}
        if not headers:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"header": header}) + "\n")

    def add(self, record: dict) -> None:
        """Write a record down."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)
        self.names.add(record["name"])


def read_records(path: Path) -> tuple[list[dict], list[dict]]:
    """Give the headers and the records of a log; a last line that was cut short is removed from the file."""
    lines = path.read_text().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        path.write_text("".join(lines[:-1]))
        del lines[-1]
    rows = [json.loads(line) for line in lines]
    return [row["header"] for row in rows if "header" in row], [row for row in rows if "name" in row]


# ------------------------------------------------------------------------------------------------------------
# Tasks
# ------------------------------------------------------------------------------------------------------------


def read_schemas(path: Path, sample: int | None, seed: int) -> list[dict]:
    """Give the schemas of a MaskBench file (JSON lines, gzip or not), or `sample` of them drawn by `seed`."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        schemas = [json.loads(line) for line in file]
    if sample is None or sample >= len(schemas):
        return schemas
    chosen = set(random.Random(seed).sample(range(len(schemas)), sample))
    return [schema for place, schema in enumerate(schemas) if place in chosen]


def tokenise(schemas: list[dict], encoding: vocabularies.Encoding) -> list[dict]:
    """Turn MaskBench's lines into tasks, whose instances are token ids."""
    encode = encoding.tokenizer.encode_ordinary
    return [
        {
            "name": schema["name"],
            "schema": schema["schema"],
            "tests": [
                {"valid": test["valid"], "tokens": encode(json.dumps(test["data"], ensure_ascii=False))}
                for test in schema["tests"]
            ],
        }
        for schema in schemas
    ]


# ------------------------------------------------------------------------------------------------------------
# Command line
# ------------------------------------------------------------------------------------------------------------


def profile(tasks: list[dict], encoding: vocabularies.Encoding, limit_s: float) -> None:
    """Print where our own engine spends its time: compiling to the first mask, and the cold pass apart."""
    engine = Ours(encoding)
    compiling, walking = cProfile.Profile(), cProfile.Profile()
    outcomes: Counter[str] = Counter()
    for task in tqdm(tasks, desc="profile", unit="schema"):
        try:
            with time_limit(10 * limit_s):  # the profiler makes everything several times slower
                with compiling:
                    constraint = engine.compile(task["schema"])
                    engine.start(constraint).mask()
                with walking:
                    for test in task["tests"]:
                        walk(engine.start(constraint), test["tokens"], encoding.eos_token)
            outcomes["ok"] += 1
        except OutOfTime:
            outcomes["time-out"] += 1
        except Exception as error:  # counted here, and told apart in a run without --profile
            outcomes[type(error).__name__] += 1
    print(dict(outcomes))
    for title, profiler in (("schema to first mask", compiling), ("cold pass", walking)):
        for order in ("tottime", "cumulative"):
            print(f"\n=== {title}, by {order}")
            pstats.Stats(profiler).strip_dirs().sort_stats(order).print_stats(30)


def run(tasks: list[dict], logs: dict[str, Log], options: argparse.Namespace) -> None:
    """Measure every task that isn't in the logs yet, with every engine."""
    if options.take_turns:
        turns = [(name, task) for task in tasks for name in logs]
    else:
        turns = [(name, task) for name in logs for task in tasks]
    turns = [(name, task) for name, task in turns if task["name"] not in logs[name].names]
    workers: dict[str, Worker] = {}
    outcomes: Counter[str] = Counter()
    try:
        with tqdm(turns, unit="schema", mininterval=1) as progress:
            for name, task in progress:
                if name not in workers:
                    workers[name] = Worker(ENGINES[name], options.vocabulary, options.core, options.limit_s)
                record = workers[name].measure(task)
                logs[name].add(record)
                outcomes[f"{name} {record['outcome']}"] += 1
                progress.set_postfix(outcomes, refresh=False)
    finally:
        for worker in workers.values():
            worker.close()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.maskbench", description=__doc__.partition("\n")[0]
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--sample", type=int, default=250, metavar="N", help="number of schemas drawn (250)")
    size.add_argument("--all", action="store_true", help="every schema")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (0)")
    parser.add_argument(
        "--engines",
        default="ours,llguidance",
        help=f"of {', '.join(ENGINES)}; comma-separated, the first is compared with each other (ours,llguidance)",
    )
    parser.add_argument(
        "--property-order",
        choices=("declared", "any"),
        default="declared",
        help="order of members in ours; any: the engine ours-any stands for ours (declared)",
    )
    parser.add_argument(
        "--take-turns",
        action="store_true",
        help="change the engine after each schema, so that a change in the machine's load meets all of them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="path of the report without its suffix (benchmarks/results/DATE-maskbench-dev)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run of the same --out"
    )
    parser.add_argument(
        "--records", type=Path, default=RECORDS, help="folder of the logs (.benchmarks/maskbench)"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="MaskBench file, JSON lines")
    parser.add_argument("--vocabulary", choices=vocabularies.ENCODINGS, default="llama3")
    parser.add_argument("--limit-s", type=float, default=TIME_LIMIT_S, help="time limit of a stage (10)")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]
    parser.add_argument("--core", type=int, default=cores[-1], help="core that the engines run on (the last)")
    parser.add_argument("--profile", action="store_true", help="profile ours instead of measuring")
    options = parser.parse_args(arguments)
    options.engines = options.engines.split(",")
    if options.property_order == "any":
        options.engines = ["ours-any" if name == "ours" else name for name in options.engines]
    if unknown := [name for name in options.engines if name not in ENGINES]:
        parser.error(f"--engines: {', '.join(unknown)}: expected some of {', '.join(ENGINES)}")
    if not options.data.exists():
        parser.error(f"--data: {options.data} isn't there. Give the path of a MaskBench file.")
    return options


def main(arguments: Sequence[str] | None = None) -> dict | None:
    """Run the command line; give the report (None for --profile)."""
    options = parse(arguments)
    encoding = vocabularies.ENCODINGS[options.vocabulary]()
    sample = None if options.all else options.sample
    tasks = tokenise(read_schemas(options.data, sample, options.seed), encoding)
    if options.profile:
        pin(options.core)
        profile(tasks, encoding, options.limit_s)
        return None

    date = datetime.date.today().isoformat()
    out = options.out or RESULTS / f"{date}-maskbench-dev"
    machine, commit = describe_machine(), describe_commit()
    names_hash = hashlib.sha256("\n".join(task["name"] for task in tasks).encode()).hexdigest()[:16]
    logs = {}
    for name in options.engines:
        header = {
            "engine": name,
            "version": importlib.metadata.version(ENGINES[name].package),
            "commit": commit,
        }
        header |= {"schemas": names_hash, "vocabulary": options.vocabulary, "limit_s": options.limit_s}
        logs[name] = Log(options.records / f"{out.name}.{name}.jsonl", header, options.resume)
    try:
        run(tasks, logs, options)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; go on with the same command and --resume") from None

    records = {name: log.records for name, log in logs.items()}
    first = options.engines[0]
    report = {
        "machine": machine,
        "run": {
            "date": date,
            "commit": commit,
            "arguments": " ".join(sys.argv[1:] if arguments is None else arguments),
            "data": options.data.name,
            "schemas": len(tasks),
            "sample": sample,
            "seed": options.seed,
            "vocabulary": options.vocabulary,
            "limit_s": options.limit_s,
            "take_turns": options.take_turns,
        },
        "comparisons": {peer: compare(records[first], records[peer]) for peer in options.engines[1:]},
        "engines": {
            name: {"version": importlib.metadata.version(ENGINES[name].package), **judge(records[name])}
            for name in records
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_name(out.name + ".json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    out.with_name(out.name + ".md").write_text(render(report))
    print(render(report))
    return report


if __name__ == "__main__":
    main()
