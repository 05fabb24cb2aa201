"""All the way from a grammar's text to symbols."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from outlines.constraints.cfg import network
from outlines.constraints.cfg.extensions import EXTENSION, Embedded, take_out
from outlines.constraints.cfg.gbnf import is_gbnf, read_gbnf
from outlines.constraints.cfg.lexing import LEXERS, Lexer
from outlines.constraints.cfg.loading import Rule, Terminal, load_lark, place_of
from outlines.constraints.cfg.machine import Machine
from outlines.constraints.cfg.parse import Parser
from outlines.constraints.cfg.patterns import Scan, scan_of
from outlines.constraints.cfg.usability import Unusable, find_unusable
from outlines.constraints.expression import Expression, byte_class, concat, is_empty, union
from outlines.constraints.items import SpecialToken, Symbols
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.regex import read
from outlines.exceptions import EmptyLanguageError, GrammarError, OutlinesError, PatternError, shorten

__all__ = ["SYNTAXES", "Unusable", "grammar_symbols", "special_names", "unusable"]

SYNTAXES = ("lark", "gbnf")

#: How a grammar may name its lexer itself: a comment on a line of its own.
_LEXER = re.compile(r"^[ \t]*//[ \t]*lexer:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


def grammar_symbols(
    text: str,
    *,
    start: str | None = None,
    lexer: str | None = None,
    syntax: str | None = None,
    import_paths: Sequence[str] = (),
) -> Symbols:
    """Give the symbols whose text is in a grammar's language.

    Parameters
    ----------
    text
        The grammar.
    start
        The rule that a whole text must match; by default "start" in Lark's language and "root" in GBNF.
    lexer
        Which terminal of Lark's wins where several match: "contextual", "basic" or "free". By default what the grammar
        says itself in a line `// lexer: basic`, else "contextual".
    syntax
        "lark" or "gbnf"; by default GBNF if its rules are written with `::=`.
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
    for name, value, allowed in (("lexer", lexer, LEXERS), ("syntax", syntax, SYNTAXES)):
        if value is not None and value not in allowed:
            raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, allowed))}")
    if syntax == "gbnf" or (syntax is None and is_gbnf(text)):
        return _gbnf_symbols(text, start or "root")
    lexer = lexer or _named_lexer(text)
    return _lark_symbols(text, start or "start", lexer, import_paths)


def _named_lexer(text: str) -> str:
    """Give the lexer that a grammar names itself, or the usual one."""
    named = _LEXER.search(text)
    if named is None:
        return "contextual"
    if named[1] not in LEXERS:
        line = text.count("\n", 0, named.start(1)) + 1
        raise GrammarError(f"the lexer is {named[1]!r}, but must be one of {', '.join(map(repr, LEXERS))}", line)
    return named[1]


def special_names(text: str, syntax: str | None = None) -> set[str]:
    """Give the names of the special tokens that a grammar asks for; one in GBNF has none."""
    found: set[str] = set()
    if syntax == "gbnf" or (syntax is None and is_gbnf(text)):
        return found
    stack = [text]
    while stack:
        at = stack.pop()
        if EXTENSION.search(at):  # else nothing is to be read
            for part in take_out(at)[1].values():
                if part.kind == "special":
                    found.add(part.value)
                elif part.kind == "lark":
                    stack.append(part.value)
    return found


def _lark_symbols(
    text: str, start: str, lexer: str, import_paths: Sequence[str], may_be_empty: bool = True
) -> Symbols:
    grammar = _read_lark(text, start, lexer, import_paths)
    return _machine_symbols(start, *grammar, lexer=lexer, may_be_empty=may_be_empty)


class _Grammar(NamedTuple):
    """A grammar as it's run: its parts that are no terminals are those of `parts`."""

    rules: list[Rule]
    terminals: list[Terminal]
    scans: list[Scan]
    ignored: list[str]
    parts: dict[str, Symbols]


def _read_lark(text: str, start: str, lexer: str, import_paths: Sequence[str]) -> _Grammar:
    loaded = load_lark(text, start, import_paths)
    terminals = loaded.terminals
    scans = [_scan(terminal, text) for terminal in terminals]
    rules = list(loaded.rules)
    parts: dict[str, Symbols] = {}
    for name, part in loaded.embedded.items():
        symbols, is_nullable = _part(part, lexer, import_paths)
        parts[f"{name} itself"] = symbols
        rules += [Rule(name, (f"{name} itself",)), *([Rule(name, ())] if is_nullable else [])]
    return _Grammar(rules, terminals, scans, loaded.ignored, parts)


def unusable(
    text: str, *, start: str | None = None, lexer: str | None = None, import_paths: Sequence[str] = ()
) -> Unusable:
    """Give the rules and terminals of a grammar in Lark's language that none of its texts use.

    A terminal is listed if it never wins against others, or stands only in rules that are listed; a rule, if it can't
    be finished, or only such rules use it. What is listed is never used. The reverse doesn't hold: a terminal whose
    texts another one takes only where they stand in this grammar isn't found. Rules that none names are dropped by lark
    and not listed. Parameters and errors are those of `grammar_symbols`.
    """
    start, lexer = start or "start", lexer or _named_lexer(text)
    grammar = _read_lark(text, start, lexer, import_paths)
    names = [terminal.name for terminal in grammar.terminals]
    numbers = {name: number for number, name in enumerate(names)}
    race = Lexer(grammar.terminals, grammar.scans, [numbers[name] for name in grammar.ignored], lexer)
    losers = {name for name, number in numbers.items() if not race.may_ever_win(number)}
    rules, terminals = find_unusable(start, grammar.rules, names, losers)
    shown = {
        terminal.name: repr(terminal.text) if terminal.name.startswith("__") else terminal.name
        for terminal in grammar.terminals
        if terminal.name not in grammar.ignored
    }
    return Unusable(
        tuple(sorted(rule for rule in rules if not rule.startswith(("__", "OUT_")))),
        tuple(sorted(shown[name] for name in terminals if name in shown)),
    )


def _gbnf_symbols(text: str, start: str) -> Symbols:
    grammar = read_gbnf(text, start)
    rules = list(grammar.rules)
    parts: dict[str, Symbols] = {}
    for name, expression in grammar.parts.items():
        some = _without_empty(expression)
        if not is_empty(some):
            parts[f"{name} itself"] = (some,)
            rules.append(Rule(name, (f"{name} itself",)))
        if expression.nullable:
            rules.append(Rule(name, ()))
    return _machine_symbols(start, rules, [], [], [], parts, lexer="free")


def _machine_symbols(
    start: str, rules: list[Rule], terminals: list[Terminal], scans: list[Scan], ignored: list[str],
    parts: dict[str, Symbols], *, lexer: str, may_be_empty: bool = True,
) -> Symbols:  # fmt: skip
    numbers = {
        name: number for number, name in enumerate([*[terminal.name for terminal in terminals], *parts])
    }
    made = network.build(start, rules, list(numbers))
    if made is None:
        raise EmptyLanguageError(f'the grammar has no text: rule "{start}" can never be finished')
    machine = Machine(
        Parser(made),
        Lexer(terminals, scans, [numbers[name] for name in ignored], lexer),
        {numbers[name]: symbols for name, symbols in parts.items()},
    )
    begin = machine.parser.start if may_be_empty else machine.parser.start_of_some
    if not machine.is_live_between(None, begin):
        raise EmptyLanguageError(
            f'the grammar has no text: from rule "{start}" on, no terminals can win against others to its end'
        )
    return (machine.resume(begin),)


def _scan(terminal: Terminal, text: str) -> Scan:
    try:
        return scan_of(terminal.pattern)
    except PatternError as error:
        raise GrammarError(f"terminal {terminal.name}: {error}", *place_of(text, terminal.name)) from None


def _part(part: Embedded, lexer: str, import_paths: Sequence[str]) -> tuple[Symbols, bool]:
    """Give the symbols of a part that is no terminal, never with an empty text, and whether it may be empty."""
    try:
        if part.kind == "json":
            return schema_symbols(part.value), False
        if part.kind == "regex":
            expression = read(part.value)
            some = _without_empty(expression)
            if is_empty(some):
                raise EmptyLanguageError(
                    f"the pattern {shorten(part.value)} has no text, or only the empty one"
                )
            return (some,), expression.nullable
        if part.kind == "lark":
            symbols = _lark_symbols(part.value, "start", lexer, import_paths)
            is_nullable = symbols[0].is_nullable()  # type: ignore[union-attr]
            if is_nullable:
                symbols = _lark_symbols(part.value, "start", lexer, import_paths, may_be_empty=False)
            return symbols, is_nullable
        assert part.kind == "special"
        return (SpecialToken(part.value),), False
    except GrammarError as error:
        line = part.line if error.line is None else part.line + error.line - 1
        raise GrammarError(f"%{part.kind}: {error}", line, part.column) from error
    except OutlinesError as error:
        raise GrammarError(f"%{part.kind}: {error}", part.line, part.column) from error


def _without_empty(expression: Expression) -> Expression:
    """Give the language without the empty text."""
    if not expression.nullable:
        return expression
    class_of, targets = expression.transitions()
    masks = [0] * len(targets)
    for byte, number in enumerate(class_of):
        masks[number] |= 1 << byte
    return union(*[concat(byte_class(mask), target) for mask, target in zip(masks, targets, strict=True)])
