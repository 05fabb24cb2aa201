"""The examples of the README run, in their order and in one namespace, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.blocks import run_blocks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_readme_examples_run(smollm2):
    assert run_blocks(README, "README.md", {"__name__": "readme"}) >= 4


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_readme_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_commands_named_in_the_readme_exist():
    commands = set(re.findall(r"^    \./run (\w+)", README, re.M))
    assert {"demo", "test"} <= commands
    script = (ROOT / "run").read_text("utf-8")
    assert [command for command in commands if f"\n{command})\n" not in script] == []
