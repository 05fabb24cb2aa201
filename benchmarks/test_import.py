"""How long `import outlines` takes, in a fresh interpreter, beside an interpreter that imports nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("code", ["pass", "import outlines", "import outlines.engine"])
def test_import(benchmark, code):
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", code],), {"check": True}, rounds=5, warmup_rounds=1)
