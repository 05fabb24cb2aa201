"""The order of the pages of the site, for mkdocs. A page that isn't named here comes last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECTIONS: dict[str, list[str]] = {
    "": ["index.md"],
    "Use": [
        "output-types.md",
        "regex.md",
        "json-schema.md",
        "json-text.md",
        "json-schema-suite.md",
        "grammars.md",
        "dsl.md",
        "models.md",
        "batches.md",
        "results.md",
        "templates.md",
        "help.md",
    ],
    "Understand": ["how-it-works.md", "architecture.md", "vocabularies.md", "device.md"],
    "Build on it": ["engine.md", "moving.md", "contributing.md"],
}


def on_config(config: Any) -> Any:
    """Give the contents, of the pages that exist."""
    folder = Path(config["docs_dir"])
    named = {page for pages in SECTIONS.values() for page in pages}
    others = sorted(path.name for path in folder.glob("*.md") if path.name not in named)
    nav: list[Any] = []
    for section, pages in {**SECTIONS, "More": others}.items():
        here: list[Any] = [page for page in pages if (folder / page).exists()]
        nav += here if not section else [{section: here}] if here else []
    config["nav"] = nav
    return config
