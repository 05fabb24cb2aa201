"""All the way from a grammar's text to symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from outlines.constraints.cfg import network
from outlines.constraints.cfg.extensions import Embedded
from outlines.constraints.cfg.lexing import LEXERS, Lexer
from outlines.constraints.cfg.loading import Loaded, load_lark, place_of
from outlines.constraints.cfg.machine import Machine
from outlines.constraints.cfg.parse import Parser
from outlines.constraints.cfg.patterns import Scan, scan_of
from outlines.constraints.expression import is_empty
from outlines.constraints.items import Symbols
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.regex import read
from outlines.exceptions import EmptyLanguageError, GrammarError, OutlinesError, PatternError, shorten

__all__ = ["grammar_symbols"]


def grammar_symbols(
    text: str, *, start: str = "start", lexer: str = "contextual", import_paths: Sequence[str] = ()
) -> Symbols:
    """Give the symbols whose text is in a grammar's language.

    Parameters
    ----------
    text
        The grammar, in Lark's language and its extensions.
    start
        The rule that a whole text must match.
    lexer
        Which terminal wins where several match: "contextual", "basic" or "free".
    import_paths
        Folders that `%import` looks in, before lark's own library.

    Raises
    ------
    GrammarError
        If the grammar can't be read, or has a terminal that isn't regular; it names line and column.
    EmptyLanguageError
        If it has no text.
    LimitError
        If it's too large.
    """
    if lexer not in LEXERS:
        raise ValueError(f"lexer is {lexer!r}, but must be one of {', '.join(map(repr, LEXERS))}")
    return loaded_symbols(load_lark(text, start, import_paths), text, lexer, import_paths)


def loaded_symbols(loaded: Loaded, text: str, lexer: str, import_paths: Sequence[str] = ()) -> Symbols:
    """Give the symbols of a grammar that is read."""
    terminals = loaded.terminals
    names = [terminal.name for terminal in terminals]
    scans = [_scan(terminal.name, terminal.pattern, text) for terminal in terminals]
    numbers = {name: number for number, name in enumerate([*names, *loaded.embedded])}
    made = network.build(loaded.start, [(rule.origin, rule.symbols) for rule in loaded.rules], list(numbers))
    if made is None:
        raise EmptyLanguageError(f'the grammar has no text: rule "{loaded.start}" can never be finished')
    parts = {numbers[name]: _part(part, lexer, import_paths) for name, part in loaded.embedded.items()}
    machine = Machine(
        Parser(made), Lexer(terminals, scans, [numbers[name] for name in loaded.ignored], lexer), parts
    )
    begin = machine.parser.start
    if not machine.is_live_between(None, begin):
        raise EmptyLanguageError(
            f'the grammar has no text: from rule "{loaded.start}" on, no terminals can win against others to its end'
        )
    return (machine.resume(begin),)


def _scan(name: str, pattern: str, text: str) -> Scan:
    try:
        return scan_of(pattern)
    except PatternError as error:
        raise GrammarError(f"terminal {name}: {error}", *place_of(text, name)) from None


def _part(part: Embedded, lexer: str, import_paths: Sequence[str]) -> Callable[[], Symbols]:
    """Give what makes the symbols of a part that is no terminal; errors in it are raised at once."""
    try:
        if part.kind == "json":
            symbols = schema_symbols(part.value)
        elif part.kind == "regex":
            expression = read(part.value)
            if is_empty(expression):
                raise EmptyLanguageError(f"the pattern {shorten(part.value)} has no text")
            symbols = (expression,)
        elif part.kind == "lark":
            symbols = grammar_symbols(part.value, lexer=lexer, import_paths=import_paths)
        else:
            raise GrammarError(f"special tokens such as {part.value} are not supported yet")
    except GrammarError as error:
        line = part.line if error.line is None else part.line + error.line - 1
        raise GrammarError(f"%{part.kind}: {error}", line, part.column) from error
    except OutlinesError as error:
        raise GrammarError(f"%{part.kind}: {error}", part.line, part.column) from error
    return lambda: symbols
