"""MaskBench: time and judge the masks of this engine and its peers on real JSON schemas.

    python -m benchmarks.maskbench --sample 250 --seed 0
    python -m benchmarks.maskbench --all --engines ours,llguidance --resume
    python -m benchmarks.maskbench --sample 250 --profile

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
import functools
import gzip
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
import pstats
import random
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks import vocabularies

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "maskbench-dev.jsonl.gz"
RESULTS = ROOT / "benchmarks" / "results"
RECORDS = ROOT / ".benchmarks" / "maskbench"
TIME_LIMIT_S = 10.0
PERCENTILES = (50, 75, 90, 99)
COLUMNS = ("avg", *(f"p{percentile}" for percentile in PERCENTILES), "max")
NUM_LISTED = 15
WORD_BITS = 32


# ------------------------------------------------------------------------------------------------------------
# Engines: each compiles a schema or a pattern, and starts matchers
# ------------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """A peer says that it can't compile this; for engines that say so without raising."""


class Matcher(NamedTuple):
    """The calls of one sequence, bound once so that the clock sees as little of this file as possible."""

    mask: Callable[[], Any]
    advance: Callable[[int], bool]
    is_accepting: Callable[[], bool] | None
    words: np.ndarray | None  # where `mask` writes; None: it returns the words


class Ours:
    """Our own engine, through its front door."""

    package = "outlines"

    def __init__(self, encoding: vocabularies.Encoding):
        from outlines.engine import Constraint, Vocabulary
        from outlines.exceptions import OutlinesError
        from outlines.types import Regex

        self.refusals: tuple[type[Exception], ...] = (OutlinesError,)
        self.vocabulary = Vocabulary(encoding.tokens, eos_token_ids=[encoding.eos_token])
        self.compile = lambda schema: Constraint(schema, self.vocabulary)
        self.compile_regex = lambda pattern: Constraint(Regex(pattern), self.vocabulary)

    def start(self, constraint) -> Matcher:
        matcher = constraint.matcher()
        return Matcher(matcher.mask, matcher.advance, matcher.is_accepting, None)


class LLGuidance:
    """llguidance by its documented NumPy functions."""

    package = "llguidance"
    refusals = (Refused, ValueError)

    def __init__(self, encoding: vocabularies.Encoding):
        from llguidance import LLMatcher
        from llguidance.numpy import allocate_token_bitmask
        from llguidance.tiktoken import lltokenizer_from_encoding

        self.matcher = LLMatcher
        self.tokenizer = lltokenizer_from_encoding(
            encoding.tokenizer, n_vocab=len(encoding.tokens), eos_token=encoding.eos_token
        )
        self.bitmask = allocate_token_bitmask(1, len(encoding.tokens))

    def compile(self, schema):
        return self._compile(self.matcher.grammar_from_json_schema(schema))

    def compile_regex(self, pattern: str):
        return self._compile(self.matcher.grammar_from_regex(pattern))

    def _compile(self, grammar: str):
        matcher = self.matcher(self.tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise Refused(matcher.get_error())
        return matcher

    def start(self, matcher) -> Matcher:
        # Used again, since a new one would compile the grammar again and lose what it has learnt.
        matcher.reset()
        return Matcher(self.filler(matcher), matcher.consume_token, matcher.is_accepting, self.bitmask[0])

    def filler(self, matcher) -> Callable[[], Any]:
        from llguidance.numpy import fill_next_token_bitmask

        return functools.partial(fill_next_token_bitmask, matcher, self.bitmask)


class LLGuidancePointer(LLGuidance):
    """llguidance by the unchecked call below its NumPy functions, some microseconds faster."""

    def filler(self, matcher) -> Callable[[], Any]:
        return functools.partial(
            matcher.unsafe_compute_mask_ptr, self.bitmask.ctypes.data, self.bitmask.nbytes
        )


class XGrammar:
    """xgrammar with any whitespace and undeclared keys allowed, as JSON Schema says."""

    package = "xgrammar"
    refusals = (RuntimeError, ValueError)
    strict = False

    def __init__(self, encoding: vocabularies.Encoding):
        import xgrammar

        self.xgrammar = xgrammar
        info = xgrammar.TokenizerInfo(
            [token or b"" for token in encoding.tokens],
            xgrammar.VocabType.RAW,
            vocab_size=len(encoding.tokens),
            stop_token_ids=[encoding.eos_token],
        )
        # One core, and no grammar is asked for twice.
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.bitmask = xgrammar.allocate_token_bitmask(1, len(encoding.tokens))

    def compile(self, schema):
        return self.compiler.compile_json_schema(
            json.dumps(schema), any_whitespace=True, strict_mode=self.strict
        )

    def compile_regex(self, pattern: str):
        return self.compiler.compile_regex(pattern)

    def start(self, grammar) -> Matcher:
        matcher = self.xgrammar.GrammarMatcher(grammar)
        mask = functools.partial(matcher.fill_next_token_bitmask, self.bitmask)
        return Matcher(mask, matcher.accept_token, None, self.bitmask.numpy()[0])


class XGrammarStrict(XGrammar):
    """xgrammar by its default, which forbids undeclared keys whatever the schema says."""

    strict = True


class OutlinesCore:
    """outlines_core: a schema becomes a regex, and that an index of every state and token."""

    package = "outlines_core"
    refusals = (ValueError,)

    def __init__(self, encoding: vocabularies.Encoding):
        import outlines_core

        self.core = outlines_core
        ids: dict[bytes, list[int]] = {}
        for token, text in enumerate(encoding.tokens):
            if text is not None:
                ids.setdefault(text, []).append(token)
        self.vocabulary = outlines_core.Vocabulary(encoding.eos_token, ids)
        self.bitmask = np.zeros(-(-len(encoding.tokens) // WORD_BITS), np.int32)

    def compile(self, schema):
        return self.compile_regex(self.core.json_schema.build_regex_from_schema(json.dumps(schema)))

    def compile_regex(self, pattern: str):
        return self.core.Index(pattern, self.vocabulary)

    def start(self, index) -> Matcher:
        guide = self.core.Guide(index)

        def advance(token: int) -> bool:
            guide.advance(token, return_tokens=False)  # raises if it's forbidden
            return True

        mask = functools.partial(guide.write_mask_into, self.bitmask.ctypes.data, self.bitmask.size, 4)
        return Matcher(mask, advance, guide.is_finished, self.bitmask)


ENGINES: dict[str, Any] = {
    "ours": Ours,
    "llguidance": LLGuidance,
    "llguidance-pointer": LLGuidancePointer,
    "xgrammar": XGrammar,
    "xgrammar-strict": XGrammarStrict,
    "outlines_core": OutlinesCore,
}


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
    clock = time.perf_counter_ns
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
        One of the classes above, set up.
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
    clock = time.perf_counter_ns
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


def reason_class(reason: str) -> str:
    """Reduce an error's text to its class: first line, without the places and values of this one schema."""
    line = reason.strip().partition("\n")[0]
    line = re.sub(r"^(/\S*|the schema): ", "", line)
    line = re.sub(r"(?<![\w<])/[\w$%~.\-]+(/\S*)?", "/…", line)
    line = re.sub(r"'[^']{25,}'|\"[^\"]{25,}\"", "'…'", line)
    line = re.sub(r"\d+(?:[.,]\d+)*", "N", line)
    return line if len(line) <= 120 else line[:119] + "…"


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
# Report
# ------------------------------------------------------------------------------------------------------------


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
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
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
