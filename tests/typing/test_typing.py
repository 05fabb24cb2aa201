"""A type checker reads users' code as users mean it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="pip install -e '.[dev]'")

ROOT = Path(__file__).parent.parent.parent

CONFIGURATION = """
[mypy]
strict = true
follow_imports = silent
[mypy-torch.*,transformers.*,numpy.*,PIL.*]
follow_imports = skip
"""

MISTAKES = """
from outlines import Generator, Transformers, explain

def f(model: Transformers) -> None:
    Generator(model, int).result("a").value.upper()
    Generator(model, int)("a").keys()
    Generator(model, backend=3)
    explain(int, 3)
"""


def check(tmp_path_factory, path: Path) -> subprocess.CompletedProcess:
    folder = tmp_path_factory.getbasetemp()
    (folder / "mypy.ini").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "mypy", "--config-file", folder / "mypy.ini", "--cache-dir", folder / "mypy"]
    return subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True, env={"MYPYPATH": str(ROOT)})


def test_what_users_write_has_the_types_that_they_mean(tmp_path_factory):
    checked = check(tmp_path_factory, Path(__file__).with_name("user_code.py"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_mistakes_are_found(tmp_path_factory, tmp_path):
    path = tmp_path / "mistakes.py"
    path.write_text(MISTAKES)
    checked = check(tmp_path_factory, path)
    found = {int(line.split(":")[1]) for line in checked.stdout.splitlines() if ": error:" in line}
    assert found == {5, 6, 7, 8}, checked.stdout
