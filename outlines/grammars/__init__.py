"""The grammars that ship with outlines, as text in Lark's syntax that starts at the rule `start`.

`arithmetic` is sums and products of unsigned numbers. `json` is JSON to the letter (RFC 8259), so
`json.loads` reads every text of it. `common.lark` is a library of terminals for grammars of one's own; Lark
has one with the same names.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["GRAMMAR_PATH", "arithmetic", "json", "read_grammar"]

GRAMMAR_PATH = Path(__file__).parent


def read_grammar(grammar_file_name: str, base_grammar_path: Path = GRAMMAR_PATH) -> str:
    """Read a grammar from a file.

    Parameters
    ----------
    grammar_file_name
        Name of the file, with its ending.
    base_grammar_path
        Folder of the file; that of the grammars which ship by default.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    return (Path(base_grammar_path) / grammar_file_name).read_text(encoding="utf-8")


arithmetic = read_grammar("arithmetic.lark")
json = read_grammar("json.lark")
