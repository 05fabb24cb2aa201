"""Runs the examples of a page: its blocks of Python, in their order and in one namespace."""

from __future__ import annotations

import doctest
import re
from typing import Any

__all__ = ["run_blocks"]


def run_blocks(text: str, name: str, namespace: dict[str, Any]) -> int:
    """Run each block, those with prompts against what they say is printed; give how many there were."""
    found = re.finditer(r"```python\n(.*?)```", text, re.S)
    blocks = [(match[1], text[: match.start(1)].count("\n")) for match in found]
    namespace.setdefault("__name__", "page")
    for code, line in blocks:
        if not code.startswith(">>>"):
            # The newlines in front make errors name the page's own lines.
            exec(compile("\n" * line + code, name, "exec", dont_inherit=True), namespace)
            continue
        example = doctest.DocTestParser().get_doctest(code, namespace, name, name, line)
        report: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append, clear_globs=False)
        namespace.update(example.globs)
        assert not report, "".join(report)
    return len(blocks)
