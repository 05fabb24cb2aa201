"""The examples of the README run, in their order and in one namespace, and its links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_readme_examples_run(smollm2):
    matches = re.finditer(r"```python\n(.*?)```", README, re.S)
    blocks = [(match[1], README[: match.start(1)].count("\n")) for match in matches]
    assert len(blocks) >= 4
    namespace: dict[str, object] = {"__name__": "readme"}
    for code, line in blocks:
        if not code.startswith(">>>"):
            # The newlines in front make errors name the README's own lines.
            exec(compile("\n" * line + code, "README.md", "exec", dont_inherit=True), namespace)
            continue
        example = doctest.DocTestParser().get_doctest(code, namespace, "README.md", "README.md", line)
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append, clear_globs=False)
        assert not report, "".join(report)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_readme_links_lead_to_files(target):
    assert (ROOT / target).exists()


def test_commands_named_in_the_readme_exist():
    commands = set(re.findall(r"^    \./run (\w+)", README, re.M))
    assert {"demo", "test"} <= commands
    script = (ROOT / "run").read_text("utf-8")
    assert [command for command in commands if f"\n{command})\n" not in script] == []
