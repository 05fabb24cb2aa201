"""Grammars through lark: what a text in Lark's language says, as rules over numbered symbols.

Reading the language (templates, imports, `%extend`, `~n..m`, terminals made of terminals) is lark's job. Before it come
the extensions, which are taken out of the text (extensions.py); after it nothing is left but plain rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from outlines.constraints.cfg.extensions import Embedded, take_out
from outlines.exceptions import GrammarError, LimitError

__all__ = ["MAX_RULES", "Loaded", "Rule", "Terminal", "load_lark", "place_of"]

#: Rules that a grammar may have once its optional parts and repetitions are written out.
MAX_RULES = 50_000

#: Ways to write one right side before its optional parts become rules of their own. Lark multiplies them out.
_MANY_WAYS = 64


class Terminal(NamedTuple):
    """A terminal: the pattern of `re` that it matches, and what decides its place among others."""

    name: str
    pattern: str
    is_string: bool
    text: str  # of a string; of a pattern, as it was written
    flags: frozenset[str]
    priority: int
    max_width: int


class Rule(NamedTuple):
    """A production: its name, and the names of its symbols."""

    origin: str
    symbols: tuple[str, ...]


class Loaded(NamedTuple):
    """A grammar as it was read."""

    start: str
    rules: list[Rule]
    terminals: list[Terminal]
    ignored: list[str]
    embedded: dict[str, Embedded]


def load_lark(text: str, start: str = "start", import_paths: Sequence[str] = ()) -> Loaded:
    """Read a grammar in Lark's language.

    Raises
    ------
    GrammarError
        If it can't be read; the place is given where lark tells it or a name can be found.
    LimitError
        If it has more than MAX_RULES rules once it's written out.
    """
    import lark
    from lark import load_grammar

    plain, embedded = take_out(text)
    try:
        grammar, _ = load_grammar.load_grammar(plain, "<grammar>", list(import_paths), True)
        _hoist(grammar)
        loaded = lark.Lark(grammar, parser=None, lexer="basic", keep_all_tokens=True, start=start)
    except (lark.exceptions.LarkError, re.error, FileNotFoundError, KeyError, AssertionError) as error:
        raise _located(error, text) from None
    declared = {name for name, (tree, _) in grammar.term_defs if tree is None} - embedded.keys()
    if declared:
        name = min(declared)
        raise GrammarError(
            f"terminal {name} is declared but has no pattern, so it has no text. Define it",
            *place_of(text, name),
        )
    rules = [
        Rule(str(rule.origin.name), tuple(str(symbol.name) for symbol in rule.expansion))
        for rule in loaded.rules
    ]
    _check_size(len(rules), "the grammar")
    known = (
        {rule.origin for rule in rules}
        | {str(terminal.name) for terminal in loaded.terminals}
        | embedded.keys()
    )
    for rule in rules:
        for name in rule.symbols:
            if name not in known:
                problem = f'"{name}" is used in rule "{rule.origin}" but not defined; a template needs its arguments'
                raise GrammarError(problem, *place_of(text, name))
    used = {name for rule in rules for name in rule.symbols} | set(loaded.ignore_tokens)
    terminals = []
    for terminal in loaded.terminals:
        if terminal.name in used:
            pattern = terminal.pattern
            terminals.append(
                Terminal(
                    str(terminal.name),
                    pattern.to_regexp(),
                    pattern.type == "str",
                    str(pattern.value),
                    frozenset(pattern.flags),
                    int(terminal.priority),
                    int(pattern.max_width),
                )
            )
    return Loaded(start, rules, terminals, [str(name) for name in loaded.ignore_tokens], embedded)


def _check_size(count: int, what: str) -> None:
    if count > MAX_RULES:
        raise LimitError(
            "MAX_RULES", f"{what} is {count} rules when written out, and {MAX_RULES} is the most"
        )


# Optional parts


def _hoist(grammar: Any) -> None:
    """Give groups of right sides that lark would multiply out to thousands a rule of their own."""
    from lark import Tree
    from lark.grammar import NonTerminal

    made: list[tuple] = []

    def part(tree: Any, name: str) -> Any:
        new = f"__{name}_part_{len(made)}"
        made.append((new, (), Tree("expansions", [Tree("expansion", [tree])]), None))
        return Tree("value", [NonTerminal(new)])

    def hoist(tree: Any, name: str) -> Any:
        """Give a tree with few ways, the parts with several of it taken out."""
        tree.children = [hoist(child, name) if isinstance(child, Tree) else child for child in tree.children]
        if _ways(tree) > _MANY_WAYS and tree.data in ("expansion", "expr"):
            for place, child in enumerate(tree.children):
                if isinstance(child, Tree) and _ways(child) > 1:
                    tree.children[place] = part(child, name)
        return tree

    for name, parameters, tree, _options in grammar.rule_defs:
        if not parameters:  # of a template's parts, none could name what it's given
            hoist(tree, str(name))
        _check_size(_ways(tree), f'rule "{name}"')
    grammar.rule_defs.extend(made)


def _ways(tree: Any) -> int:
    """Count the right sides that a tree stands for."""
    if not hasattr(tree, "data"):
        return 1
    children = [child for child in tree.children if hasattr(child, "data")]
    if tree.data == "expansions":
        return sum(map(_ways, children))
    if tree.data == "maybe":
        return _ways(children[0]) + 1
    if tree.data == "expr":
        body, operator = _ways(children[0]) if children else 1, str(tree.children[1])
        if operator == "?":
            return body + 1
        if operator == "*":
            return 2
        if operator == "~":
            low, high = int(tree.children[2]), int(tree.children[-1])
            if high >= 50:  # from there on lark makes rules of their own
                return 1
            return min(sum(body**count for count in range(low, high + 1)), MAX_RULES + 1)
        return 1
    ways = 1
    for child in children if tree.data != "template_usage" else ():
        ways = min(ways * _ways(child), MAX_RULES + 1)
    return ways


# Errors


def _located(error: Exception, text: str) -> GrammarError:
    """Tell an error of lark as ours, with its place."""
    message = str(error).strip()
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    if not isinstance(line, int) or line < 1:
        line = column = None
    if line is None:
        found = re.search(r"at line (\d+),? col(?:umn)? (\d+)", message)
        if found:
            line, column = int(found[1]), int(found[2])
    if line is None:
        named = re.search(r"(?:Rule|Rules?|Terminal|Token|token|rule|terminal)\s*'?\(?'?([\w.]+)'?", message)
        quoted = re.search(r"'([\w.]+)'", message)
        for match in (quoted, named):
            if match:
                line, column = place_of(text, match[1])
                if line is not None:
                    break
    if isinstance(error, FileNotFoundError):
        problem = f"the grammar imports a file that isn't there: {error.filename or message}"
    else:
        problem = f"{message.splitlines()[0] if message else type(error).__name__}. Correct the grammar"
        rest = "\n".join(message.splitlines()[1:])
        problem += f"\n{rest}" if rest else ""
    return GrammarError(problem, line, column)


def place_of(text: str, name: str) -> tuple[int | None, int | None]:
    """Give line and column of the first place where a name stands."""
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    if found is None:
        return None, None
    return text.count("\n", 0, found.start()) + 1, found.start() - (
        text.rfind("\n", 0, found.start()) + 1
    ) + 1
