"""The examples of the documentation run, and its links lead somewhere."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

import outlines
from outlines import caching
from tests import tiny_models
from tests.blocks import run_blocks

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


# Pages whose blocks without prompts run too; a `model` is there.
WHOLE = "index output-types dsl batches results templates help engine moving contributing".split()


@pytest.mark.parametrize("name", WHOLE)
def test_all_examples_of_a_page_run(name, monkeypatch, tmp_path):
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path))
    caching.get_cache.cache_clear()
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda _: tiny_models.llama())
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda _: tiny_models.tokenizer())
    model = outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer())
    torch.manual_seed(0)
    assert run_blocks((ROOT / "docs" / f"{name}.md").read_text("utf-8"), f"{name}.md", {"model": model})
    caching.get_cache().close()
    caching.get_cache.cache_clear()


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in WHOLE], ids=lambda page: page.name)
def test_examples_of_a_page_run(page):
    failed, attempted = doctest.testfile(str(page), module_relative=False)
    assert failed == 0
    assert attempted or ">>>" not in page.read_text()


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_files_that_the_architecture_names_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", text):
        places = [ROOT / name, ROOT / "outlines" / name]
        assert any(place.exists() for place in places), name


def test_limits_that_are_documented_exist():
    text = (ROOT / "docs" / "json-schema.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "outlines").rglob("*.py"))
    for name in re.findall(r"`((?:MAX|EXPLORED)_[A-Z_]+)`", text):
        assert f'"{name}"' in source, name


OUTCOMES = ["schemas", "refused", "time-outs", "crashes", "invalid accepted: instances"]


def test_numbers_of_the_readme_are_those_of_the_report_that_it_links():
    readme = (ROOT / "README.md").read_text()
    (report,) = re.findall(r"\]\((benchmarks/results/[^)]*maskbench[^)]*\.md)\)", readme)
    text = (ROOT / report).read_text()
    names = {
        "time to first mask": "TTFM",
        "time between masks, first pass": "TBM cold",
        "time between masks, same text again": "TBM warm",
    }
    for shown, name in names.items():
        (ratios,) = re.findall(rf"\*\*{name}, ratio\*\*(.*)", text)
        average, p50, _, _, p99, _ = ratios.replace("*", "").split("|")[1:-1]
        row = [part.strip() for part in (average, p50, p99)]
        assert f"| {shown} | {' | '.join(row)} |" in readme
    counts = {name: re.search(rf"^\| {name} \| (\S+) \| (\S+) \|$", text, re.M).groups() for name in OUTCOMES}
    prose = readme.replace("\n", " ")
    assert f"is of {counts['schemas'][0]} schemas: {counts['refused'][0]} are refused" in prose
    assert f"(llguidance refuses {counts['refused'][1]}), {counts['time-outs'][0]} take more than 10 s" in prose
    assert counts["invalid accepted: instances"][0] == "0"
    assert counts["crashes"][0] == "0"
    both = re.search(r"^(\d+) schemas that both compile", text, re.M)[1]
    assert f"Over the {int(both):,} that both engines compile" in prose


def test_numbers_of_the_grammars_page_are_those_of_the_report_that_it_links():
    page = (ROOT / "docs" / "grammars.md").read_text()
    (report,) = re.findall(r"\]\(\.\./(benchmarks/results/[^)]*\.md)\)", page)
    stages, together = (ROOT / report).read_text().split("First mask and first pass together:")
    rows = [line for line in together.splitlines() if line.endswith("|")][2:]
    ratios = [float(row.split("|")[-2]) for row in rows]
    low, high = re.search(r"take (\d+) to (\d+) times", page).groups()
    assert (round(min(ratios)), round(max(ratios))) == (int(low), int(high))
    warm = [float(line.split("|")[-2]) for line in stages.splitlines() if "| warm |" in line]
    assert f"from {round(1 / max(warm))} times faster" in page.replace("\n", " ")


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    for page in PAGES:
        assert f'href="{page.stem}.html"' in index or page.stem == "index", page
