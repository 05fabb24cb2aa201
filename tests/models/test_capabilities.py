"""The table of capabilities holds: of the classes, of the package's extras, of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import outlines
from outlines.models.capabilities import CAPABILITIES, OUTPUTS, PROMPTS, kind_of
from outlines.types import CFG, Choice, JsonSchema, Regex

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "models.md").read_text("utf-8")

#: What the loaders import, and the extra that brings it.
SDKS = {
    "from_dottxt": "dottxt",
    "from_llamacpp": "llama_cpp",
    "from_llamacpp_server": "openai",
    "from_lmstudio": "lmstudio",
    "from_mistral": "mistralai",
    "from_ollama": "ollama",
    "from_openai": "openai",
    "from_sglang": "openai",
    "from_tgi": "huggingface_hub",
    "from_vllm": "openai",
}


def test_every_row_is_of_a_class_and_its_loader():
    for name, row in CAPABILITIES.items():
        assert hasattr(outlines.models, name)
        assert hasattr(outlines.models, f"Async{name}") is row.has_async
        assert callable(getattr(outlines, row.loader))
        assert row.prompts <= set(PROMPTS)
        assert row.outputs <= set(OUTPUTS)
        assert issubclass(getattr(outlines.models, name), outlines.SteerableModel) is row.is_steered
    loaders = {name for name in outlines.models.__all__ if name.startswith("from_")}
    assert loaders == {row.loader for row in CAPABILITIES.values()}


def test_every_extra_is_one_of_the_package():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = set(re.findall(r"^(\w+) = \[", text[text.index("[project.optional-dependencies]") :], re.M))
    assert {row.extra for row in CAPABILITIES.values()} <= extras


def test_kinds_of_output_types():
    from tests.models.providers import Animal, Colour

    kinds = {
        "json": [dict],
        "schema": [Animal, JsonSchema({})],
        "list": [list[Animal], __import__("typing").List[Animal]],
        "choice": [Colour, Choice([1]), __import__("typing").Literal["a"]],
        "cfg": [CFG("start: 'a'")],
        "regex": [Regex("a"), int, list[int]],
    }
    for kind, types in kinds.items():
        assert [kind_of(each) for each in types] == [kind] * len(types)


def table_rows() -> dict[str, list[str]]:
    rows = re.findall(r"^\| \[?`(from_\w+)`\S* (?:\(\w+\) )?\|(.*)\|$", PAGE, re.M)
    return {
        name + str(i): [cell.strip() for cell in cells.split("|")] for i, (name, cells) in enumerate(rows)
    }


def expected_row(row) -> list[str]:
    yes = {True: "yes", False: ""}
    prompts = ", ".join(name for name in PROMPTS if name in row.prompts)
    outputs = (
        "all" if row.outputs == set(OUTPUTS) else ", ".join(name for name in OUTPUTS if name in row.outputs)
    )
    return [prompts, outputs or "none", yes[row.streams], yes[row.batches], yes[row.has_async]]


def test_the_documentation_shows_the_table():
    shown = sorted(re.sub(r"\d+$", "", name) + str(cells) for name, cells in table_rows().items())
    assert shown == sorted(row.loader + str(expected_row(row)) for row in CAPABILITIES.values())


def test_every_loader_has_a_section_with_an_example():
    for row in CAPABILITIES.values():
        assert re.search(rf"```python\n(?:(?!```).)*\b{row.loader}\(", PAGE, re.S), row.loader


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_outlines_imports_no_library_of_a_provider():
    names = {
        *SDKS.values(),
        "anthropic",
        "google.genai",
        "mlx",
        "mlx_lm",
        "vllm",
        "torch",
        "transformers",
        "httpx",
    }
    assert (
        run(f"import sys, outlines, outlines.models; print([n for n in {sorted(names)} if n in sys.modules])")
        == "[]"
    )


@pytest.mark.parametrize("loader", SDKS)
def test_a_library_that_is_missing_is_an_error_that_names_the_extra(loader):
    (extra,) = {row.extra for row in CAPABILITIES.values() if row.loader == loader}
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {SDKS[loader]!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import outlines
try:
    outlines.{loader}(object())
except ImportError as error:
    print(error)
"""
    message = run(code)
    assert f"pip install 'outlines[{extra}]'" in message
    assert SDKS[loader] in message
