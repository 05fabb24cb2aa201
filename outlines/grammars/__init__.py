"""The grammars that ship with outlines, as text in Lark's language that starts at the rule `start`.

    arithmetic      sums and products of unsigned numbers
    json            JSON to the letter (RFC 8259), so `json.loads` reads every text of it
    sql             one SELECT statement
    python          one Python expression
    xml, html       an XML element; a fragment of HTML
    yaml            a YAML document of one mapping
    regex           a regular expression of Python's `re`
    markdown_table  a table in GitHub's Markdown
    function_call   calls as Python writes them, with keyword arguments
    tool_call       calls as chat models write them, JSON between tags
    csv(columns)    a table of comma-separated values with so many columns

`common.lark` is a library of terminals for grammars of one's own; Lark has one with the same names.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "GRAMMAR_PATH",
    "arithmetic",
    "csv",
    "function_call",
    "html",
    "json",
    "markdown_table",
    "python",
    "read_grammar",
    "regex",
    "sql",
    "tool_call",
    "xml",
    "yaml",
]

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
function_call = read_grammar("function_call.lark")
html = read_grammar("html.lark")
json = read_grammar("json.lark")
markdown_table = read_grammar("markdown_table.lark")
python = read_grammar("python.lark")
regex = read_grammar("regex.lark")
sql = read_grammar("sql.lark")
tool_call = read_grammar("tool_call.lark")
xml = read_grammar("xml.lark")
yaml = read_grammar("yaml.lark")


def csv(columns: int, delimiter: str = ",") -> str:
    """Give the grammar of a table of comma-separated values (RFC 4180): one or more rows of so many fields.

    Parameters
    ----------
    columns
        Fields of each row, at least one.
    delimiter
        What stands between two fields: one character, no quote and no line end.

    Raises
    ------
    ValueError
        If either is something else.
    """
    if columns < 1:
        raise ValueError(f"columns is {columns!r}, but a row has at least one field")
    if len(delimiter) != 1 or delimiter in '"\\r\n\\/':
        raise ValueError(f"delimiter is {delimiter!r}, but must be one character that is no quote, slash or line end")
    fields = " DELIMITER ".join(["field"] * columns)
    escaped = re.escape(delimiter)
    return rf"""// lexer: free
start: row (NEWLINE row)* NEWLINE?
row: {fields}
field: PLAIN | QUOTED
DELIMITER: /{escaped}/
NEWLINE: "\n"
PLAIN: /[^"\r\n\0{escaped}]+/
QUOTED: /"(?:[^"\r\0]|"")*"/
"""
