"""The official JSON-Schema-Test-Suite against the engine, and the table of its results in the docs.

    python -m tests.official_suite            # print what fails, and why
    python -m tests.official_suite --write    # bring the table in docs/json-schema-suite.md up to date

A valid instance, as `json.dumps` writes it, must be accepted, an invalid one refused; members may come in any order and
integers in all forms. Formats are asserted in the files of `optional/format` alone, as the suite asks for.
"""

from __future__ import annotations

import argparse
import gzip
import json
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from referencing import Registry
from referencing.jsonschema import specification_with

from benchmarks.report import reason_class
from outlines.automaton import END, Automaton
from outlines.constraints.json_schema import schema_symbols
from outlines.exceptions import ConstraintError, EmptyLanguageError
from outlines.types.json_options import JsonOptions

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "json-schema-test-suite.json.gz"
PAGE = ROOT / "docs" / "json-schema-suite.md"

DIALECTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


class Result(NamedTuple):
    """What the engine says to one test: "pass", "valid refused", "invalid accepted" or "schema refused"."""

    draft: str
    file: str
    group: str
    test: str
    outcome: str
    reason: str = ""

    @property
    def place(self) -> str:
        """The file's name without its draft."""
        return self.file.partition("/")[2].removesuffix(".json")


def read() -> tuple[list[dict], dict[str, Any]]:
    """Give the groups of the suite and the documents that they refer to."""
    suite = json.loads(gzip.decompress(DATA.read_bytes()))
    return suite["groups"], suite["remotes"]


def registry(draft: str, remotes: dict[str, Any]) -> Registry:
    """Give the suite's documents, read as those of a draft where they don't say otherwise."""
    default = specification_with(DIALECTS[draft])
    resources = []
    for uri, document in remotes.items():
        dialect = document.get("$schema") if isinstance(document, dict) else None
        specification = default if dialect not in DIALECTS.values() else specification_with(dialect)
        resources.append((uri, specification.create_resource(document)))
    return Registry().with_resources(resources)


def options(group: dict, remotes: Registry) -> JsonOptions:
    """Give the options that a group is judged under."""
    return JsonOptions(
        property_order="any",
        number_forms="all",
        formats="assert" if "/optional/format/" in group["file"] else "annotate",
        registry=remotes,
    )


def build(group: dict, chosen: JsonOptions) -> Automaton | None:
    """Build a group's schema; None if no value satisfies it."""
    schema = group["schema"]
    if isinstance(schema, dict) and "$schema" not in schema:
        schema = {"$schema": DIALECTS[group["draft"]], **schema}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return Automaton(schema_symbols(schema, chosen))
        except EmptyLanguageError:
            return None


def judge(group: dict, remotes: Registry) -> list[Result]:
    """Judge every test of a group."""
    key = (group["draft"], group["file"], group["group"])
    try:
        automaton = build(group, options(group, remotes))
    except ConstraintError as error:
        return [Result(*key, test["description"], "schema refused", str(error)) for test in group["tests"]]
    results = []
    for test in group["tests"]:
        text = json.dumps(test["data"], ensure_ascii=False).encode("utf-8", "surrogatepass")
        accepted = automaton is not None and END in automaton.run(automaton.start, text)
        outcome = (
            "pass" if accepted == test["valid"] else "valid refused" if test["valid"] else "invalid accepted"
        )
        results.append(Result(*key, test["description"], outcome))
    return results


def judge_all() -> list[Result]:
    """Judge the whole suite."""
    groups, remotes = read()
    registries = {draft: registry(draft, remotes) for draft in DIALECTS}
    return [result for group in groups for result in judge(group, registries[group["draft"]])]


def table(results: list[Result]) -> str:
    """Lay out what passes: a row a file, a column a draft, in groups of which every test passes."""
    groups: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for result in results:
        known = groups[result.place, result.draft]
        known[result.group] = known.get(result.group, True) and result.outcome == "pass"
    places = sorted({place for place, _ in groups}, key=lambda place: (place.count("/"), place))
    lines = ["| file | " + " | ".join(DIALECTS) + " |", "|:--|" + "--:|" * len(DIALECTS)]
    for place in places:
        cells = []
        for draft in DIALECTS:
            known = groups.get((place, draft))
            cells.append("" if known is None else f"{sum(known.values())}/{len(known)}")
        lines.append(f"| {place} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def totals(results: list[Result]) -> str:
    """Lay out the totals in tests."""
    kinds = {"required": lambda p: "/" not in p, "optional": lambda p: "/" in p and "/format/" not in p}
    kinds["optional/format"] = lambda p: "/format/" in p
    outcomes = ("pass", "valid refused", "invalid accepted", "schema refused")
    lines = ["| tests | " + " | ".join(outcomes) + " |", "|:--|" + "--:|" * len(outcomes)]
    for kind, is_in in kinds.items():
        for draft in DIALECTS:
            counts = Counter(r.outcome for r in results if r.draft == draft and is_in(r.place))
            lines.append(f"| {kind}, {draft} | " + " | ".join(f"{counts[o]:,}" for o in outcomes) + " |")
    return "\n".join(lines)


def wrong(results: list[Result], page: str) -> str:
    """Lay out the groups with a wrong verdict; the reasons are those that the page has."""
    known = {(row[0], row[1]): row[2] for row in rows(page, "wrong")}
    drafts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for result in results:
        if result.outcome in ("valid refused", "invalid accepted"):
            drafts[result.place, result.group.replace("|", "/")][result.draft] = None
    lines = ["| file | group | reason | drafts |", "|:--|:--|:--|:--|"]
    lines += [
        f"| {p} | {g} | {known.get((p, g), UNKNOWN)} | {' '.join(d)} |"
        for (p, g), d in sorted(drafts.items())
    ]
    return "\n".join(lines)


def refused(results: list[Result]) -> str:
    """Lay out why schemas are refused, and how many tests each reason takes."""
    reasons = Counter(reason_class(result.reason) for result in results if result.outcome == "schema refused")
    lines = ["| tests | reason |", "|--:|:--|"]
    lines += [
        f"| {count} | {reason} |"
        for reason, count in sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
    ]
    return "\n".join(lines)


#: What stands where a wrong verdict has no reason yet.
UNKNOWN = "?"


def rows(page: str, name: str) -> list[list[str]]:
    """Give the cells of a table of the page."""
    text = page.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def replace_tables(page: str, results: list[Result]) -> str:
    """Put the tables between their marks in a page."""
    tables = {
        "totals": totals(results),
        "files": table(results),
        "wrong": wrong(results, page),
        "refused": refused(results),
    }
    for name, text in tables.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = head + begin + text + end + tail
    return page


def main() -> None:
    """Print what fails, or write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.official_suite", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--write", action="store_true", help=f"bring {PAGE.name} up to date")
    chosen = parser.parse_args()
    results = judge_all()
    if chosen.write:
        PAGE.write_text(replace_tables(PAGE.read_text("utf-8"), results), "utf-8")
        return
    for result in results:
        if result.outcome != "pass":
            print(f"{result.outcome}: {result.file}: {result.group}: {result.test}: {result.reason}")
    print(totals(results))
    print(refused(results))


if __name__ == "__main__":
    main()
