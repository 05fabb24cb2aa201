"""The wheel holds what it should, packages export what they say, and imports point one way."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The journey of a constraint: a stage imports only from lines above its own.
STAGES = """
exceptions  _version  sharing
kernels  inputs  caching  grammars
types
templates  results
constraints
trie
vocabulary
rows
spread
reach
automaton
lexemes
races
spelling
tables
device
engine
insight
processors
models
backends
generator
applications  generate
batch
__main__
"""

# Back edges that the public interface asks for, each with its reason.
ALLOWED = {("models", "generator"): "Model.__call__ makes a Generator"}


def python_files() -> Iterator[tuple[str, Path]]:
    """Give every module of ours, by its import name."""
    for folder, package in (("outlines", "outlines"), ("kernels", "outlines.kernels")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *parts]).removesuffix(".__init__"), path


MODULES = dict(python_files())


def imported_names(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and full name of everything that `module` imports, at its top or inside functions."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def stage_of(name: str) -> str | None:
    """Give the part of `name` after "outlines.", or None where it isn't ours or is only the package itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "outlines" and len(parts) > 1 else None


def ranks() -> dict[str, int]:
    return {stage: rank for rank, line in enumerate(STAGES.splitlines()) for stage in line.split()}


def back_edges(files: dict[str, Path]) -> list[str]:
    """Describe each import in `files` that doesn't point to an earlier stage."""
    rank = ranks()
    found = []
    for module, path in files.items():
        here = stage_of(module)
        if here is None:  # outlines/__init__.py re-exports from everywhere
            continue
        for line, name in imported_names(module, path):
            there = stage_of(name)
            if there is None or there == here or (here, there) in ALLOWED:
                continue
            if rank[there] >= rank[here]:
                found.append(f"{path.name}, line {line}: {here} imports {there}, a later stage")
    return found


def test_every_module_has_a_place_in_the_order():
    stages = {stage for module in MODULES if (stage := stage_of(module))}
    assert stages <= ranks().keys(), "new stages: give each a line in STAGES"


def test_imports_point_one_way():
    assert back_edges(MODULES) == []


@pytest.mark.parametrize(
    "source",
    [
        "from outlines.generator import Generator",
        "import outlines.tables",
        "from ..models import base",
        "from .. import engine",
        "def f():\n    from outlines import batch",
    ],
)
def test_a_back_edge_is_found(tmp_path, source):
    path = tmp_path / "regex.py"
    path.write_text(source)
    assert len(back_edges({"outlines.constraints.regex": path})) == 1


def test_kernels_import_only_kernels():
    kernels = {name: path for name, path in MODULES.items() if stage_of(name) == "kernels"}
    ours = {name for module, path in kernels.items() for _, name in imported_names(module, path)}
    assert {stage for name in ours if (stage := stage_of(name))} <= {"kernels"}


@pytest.mark.parametrize("module", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_all_names_what_can_be_imported(module):
    package = importlib.import_module(module)
    names = getattr(package, "__all__", [])
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(package, name)] == []


def test_import_is_light():
    heavy = """
        torch transformers triton tokenizers huggingface_hub numpy pydantic jinja2 jsonschema PIL genson lark openai
        anthropic ollama mistralai google.genai lmstudio dottxt httpx vllm mlx llama_cpp outlines_core xgrammar
        llguidance
        """.split()
    code = f"import outlines, sys; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from a copy: a build in the tree would take along what an earlier one left."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("outlines", "kernels"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_package_and_nothing_else(wheel):
    expected = {
        "outlines/" + ("kernels/" if folder == "kernels" else "") + path.relative_to(ROOT / folder).as_posix()
        for folder in ("outlines", "kernels")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lark"} or path.name == "py.typed"
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"outlines/py.typed", "outlines/kernels/__init__.py"} <= held


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_wheel_carries_the_licence(wheel, metadata):
    assert metadata["License-Expression"] == "Apache-2.0"
    (licence,) = (name for name in wheel.namelist() if name.endswith("/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_what_is_imported_is_declared(metadata):
    requirements = metadata.get_all("Requires-Dist")
    declared = {re.match(r"[\w-]+", requirement)[0].replace("-", "_") for requirement in requirements}
    imported = {
        name.split(".")[0] for module, path in MODULES.items() for _, name in imported_names(module, path)
    }
    other_names = {"PIL": "pillow", "pydantic_core": "pydantic", "llama_cpp": "llama_cpp_python"}
    needed = {other_names.get(name, name) for name in imported - sys.stdlib_module_names - {"outlines"}}
    assert needed <= declared


def test_triton_is_asked_for_only_where_it_exists(metadata):
    assert 'triton; platform_system == "Linux"' in metadata.get_all("Requires-Dist")


@pytest.mark.parametrize("extra", ["", "airports", "bench", "countries", "demo", "dev", "docs"])
def test_constraints_pin_what_the_project_asks_for(metadata, extra):
    pins = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = {re.sub("[-_]", "-", name).lower() for name in re.findall(r"^([\w-]+)==", pins, re.M)}
    marker = f'extra == "{extra}"' if extra else "extra =="
    asked = [r for r in metadata.get_all("Requires-Dist") if (marker in r) == bool(extra)]
    names = {re.sub("[-_]", "-", re.match(r"[\w-]+", r)[0]).lower() for r in asked}
    assert names
    assert names - {"outlines"} <= pinned
