"""Grammars and patterns in the EBNF that servers read: llama.cpp's GBNF, which SGLang's engine reads too.

These grammars have no lexer: a rule goes down to single characters. So a grammar of Lark is written with each terminal
as rules, and with what it ignores after each terminal. What only a lexer decides is lost: where Lark takes `iffy` for
one name and never for `if` and `fy`, the server may take both. The text still follows every rule and every pattern.

Terminals are written from their automaton, a rule a state, so lookarounds and flags are exact. Left recursion, which
llama.cpp refuses, is turned into right recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from outlines.constraints.expression import EMPTY, Expression, is_empty, literal
from outlines.constraints.regex import read
from outlines.exceptions import ConstraintError, LimitError, shorten
from outlines.sharing import LOCK
from outlines.types.dsl import CFG, Term, python_types_to_terms, to_regex

__all__ = ["MAX_RULES", "Ebnf", "in_ebnf", "in_gbnf"]

#: States of all terminals together; servers read larger grammars slowly or not at all.
MAX_RULES = 5_000

_RULE_OF_EBNF = re.compile(r"^\s*[\w-]+\s*::=", re.MULTILINE)

#: What follows one name on a right side: names of rules, or texts in the syntax of GBNF.
_Sequence = tuple[str, ...]

#: The first and last of some bytes or characters, and the state they lead to.
_Edge = tuple[int, int, Expression]


class Ebnf(CFG):
    """A grammar that is known to be in the servers' syntax."""


def in_ebnf(output_type: Any) -> Any:
    """Give a grammar in the servers' syntax; any other output type, and a grammar that is in it, as it is."""
    term = python_types_to_terms(output_type)
    if not isinstance(term, CFG):
        return output_type
    syntax = getattr(term, "syntax", None)
    if syntax == "gbnf" or (syntax is None and _RULE_OF_EBNF.search(term.definition)):
        return output_type
    with LOCK:
        return Ebnf(_Writer().grammar(term.definition, getattr(term, "start", None) or "start"))


def in_gbnf(term: Term) -> CFG:
    """Give a grammar, or any term that has a regular expression, in GBNF.

    Raises
    ------
    ConstraintError
        If the grammar can't be read or has no text, or its left recursion is hidden behind an empty rule.
    LimitError
        If its terminals have more than MAX_RULES states.
    """
    if isinstance(term, CFG):
        return in_ebnf(term)
    with LOCK:
        writer = _Writer()
        root = writer.terminal("t", read(to_regex(term)))
        return Ebnf(writer.text(root))


class _Writer:
    def __init__(self) -> None:
        self.rules: dict[str, list[_Sequence]] = {}

    def grammar(self, definition: str, start: str) -> str:
        """Translate a grammar of Lark, from its rule `start`."""
        import lark

        try:
            loaded = lark.Lark(definition, parser="earley", lexer="dynamic", start=start)
        except lark.exceptions.LarkError as error:
            raise ConstraintError(f"the grammar can't be read: {error}") from error
        patterns = {terminal.name: terminal.pattern for terminal in loaded.terminals}
        names: dict[Any, str] = {}

        def name_of(symbol: Any) -> str:
            if symbol not in names:
                kind = "t" if symbol.is_term else "r"
                plain = re.sub(r"[^a-zA-Z0-9]+", "-", symbol.name).strip("-").lower()
                name = f"{kind}-{plain}"
                names[symbol] = f"{name}-n{len(names)}" if name in names.values() else name
            return names[symbol]

        ignored = [lark.grammar.Terminal(name) for name in loaded.ignore_tokens]
        skip: _Sequence = ("ignored",) if ignored else ()
        for rule in loaded.rules:
            right: list[str] = []
            for symbol in rule.expansion:
                right += (name_of(symbol), *skip) if symbol.is_term else (name_of(symbol),)
            self.rules.setdefault(name_of(rule.origin), []).append(tuple(right))
        if len(self.rules) > MAX_RULES:
            raise LimitError("MAX_RULES", f"the grammar for the server has more than {MAX_RULES} rules")
        first = name_of(lark.grammar.NonTerminal(start))
        _without_left_recursion(self.rules)
        if ignored:
            self.rules["ignored"] = [(name_of(terminal), "ignored") for terminal in ignored] + [()]
        for symbol, name in list(names.items()):
            if symbol.is_term:
                if symbol.name not in patterns:
                    raise ConstraintError(
                        f"terminal {symbol.name} is declared without a pattern, so nothing matches it"
                    )
                self.terminal(name, _expression(patterns[symbol.name]))
        return self.text(*skip, first)

    def terminal(self, name: str, expression: Expression) -> str:
        """Write an expression as rules, one a state of its automaton over characters; give the first one's name."""
        if is_empty(expression):
            raise ConstraintError(f"{name}: no text matches {shorten(expression)}")
        names = {expression: name}
        states = [expression]
        for state in states:
            edges: dict[Expression, list[tuple[int, int]]] = {}
            for low, high, target in _characters(state):
                edges.setdefault(target, []).append((low, high))
            right: list[_Sequence] = [()] if state.nullable else []
            for target, ranges in edges.items():
                if target not in names:
                    names[target] = f"{name}-{len(names)}"
                    states.append(target)
                right.append((_class(ranges), names[target]))
            self.rules[names[state]] = right
            if len(self.rules) > MAX_RULES:
                raise LimitError("MAX_RULES", f"the grammar for the server has more than {MAX_RULES} rules")
        return name

    def text(self, *root: str) -> str:
        """Give the whole grammar as text."""
        self._join_chains(set(root))
        lines = [f"root ::= {' '.join(root)}"]
        for name, right in self.rules.items():
            lines.append(f"{name} ::= " + " | ".join(" ".join(each) or '""' for each in right))
        return "\n".join(lines) + "\n"

    def _join_chains(self, kept: set[str]) -> None:
        """Write rules that have one way and are used once where they are used: literals come out as such."""
        users: dict[str, list[str]] = {}
        for name, right in self.rules.items():
            for each in right:
                for part in filter(self.rules.__contains__, each):
                    users.setdefault(part, []).append(name)
        for name in reversed(list(self.rules)):
            right = self.rules[name]
            if name not in kept and len(right) == 1 and len(users.get(name, ())) == 1 and name not in right[0]:
                (user,) = users[name]
                self.rules[user] = [_put(each, name, right[0]) for each in self.rules[user]]
                for part in filter(self.rules.__contains__, right[0]):
                    users[part] = [user if each == name else each for each in users[part]]
                del self.rules[name]


def _put(each: _Sequence, name: str, parts: _Sequence) -> _Sequence:
    if name not in each:
        return each
    place = each.index(name)  # it stands once
    return each[:place] + parts + each[place + 1 :]


def _expression(pattern: Any) -> Expression:
    """Give the language of a terminal of Lark."""
    flags = 0
    for flag in pattern.flags:
        flags |= getattr(re, flag.upper())
    if pattern.type == "str" and not flags:
        return literal(pattern.value.encode())
    return read(re.escape(pattern.value) if pattern.type == "str" else pattern.value, flags)


def _characters(state: Expression) -> Iterator[_Edge]:
    """Give the characters that may follow, as ranges of code points, and where each leads."""
    yield from _runs(state, 0, 0x7F)
    for first, last, length in ((0xC2, 0xDF, 1), (0xE0, 0xEF, 2), (0xF0, 0xF4, 3)):
        bits = (0x1F, 0x0F, 0x07)[length - 1]
        yield from _below(_runs(state, first, last), bits, length)


def _below(runs: Iterable[_Edge], bits: int, length: int) -> Iterator[_Edge]:
    """Give the characters whose bytes begin with some runs, of which `bits` count, and go on for `length` more."""
    size = 1 << 6 * length
    for low, high, target in runs:
        rest = [(0, 0, target)] if not length else list(_below(_runs(target, 0x80, 0xBF), 0x3F, length - 1))
        if len(rest) == 1 and rest[0][:2] == (0, size - 1):  # whatever follows leads to one state
            yield (low & bits) * size, (high & bits) * size + size - 1, rest[0][2]
            continue
        for byte in range(low, high + 1):
            for first, last, end in rest:
                yield (byte & bits) * size + first, (byte & bits) * size + last, end


def _runs(state: Expression, low: int, high: int) -> Iterator[_Edge]:
    """Give the runs of bytes between two that lead to the same live state."""
    class_of, targets = state.transitions()
    start = low
    for byte in range(low, high + 2):
        if byte > high or class_of[byte] != class_of[start]:
            target = targets[class_of[start]]
            if target is not EMPTY and not is_empty(target):
                yield start, byte - 1, target
            start = byte


def _class(ranges: list[tuple[int, int]]) -> str:
    """Write a set of characters; a single one as a text."""
    merged: list[list[int]] = []
    for low, high in sorted(ranges):
        if merged and low == merged[-1][1] + 1:
            merged[-1][1] = high
        else:
            merged.append([low, high])
    if len(merged) == 1 and merged[0][0] == merged[0][1]:
        return f'"{_escaped(merged[0][0])}"'
    return (
        f"[{''.join(_escaped(low) + (f'-{_escaped(high)}' if high > low else '') for low, high in merged)}]"
    )


def _escaped(code: int) -> str:
    character = chr(code)
    if character.isascii() and (character.isalnum() or character == " "):
        return character
    return f"\\x{code:02X}" if code < 0x80 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _without_left_recursion(rules: dict[str, list[_Sequence]]) -> None:
    """Rewrite rules whose right sides begin with themselves, directly or by others (Paull), in place.

    Raises
    ------
    ConstraintError
        If a rule begins with itself behind rules that may be empty.
    LimitError
        If the rewriting multiplies the rules beyond MAX_RULES.
    """
    for names in _circles(_beginnings(rules, set())):
        for i, name in enumerate(names):
            for earlier in names[:i]:
                num_begun = sum(each[:1] == (earlier,) for each in rules[name])
                if num_begun * len(rules[earlier]) > MAX_RULES:
                    raise LimitError(
                        "MAX_RULES", f"the left recursion of {name} takes more than {MAX_RULES} rules"
                    )
                if num_begun:
                    rules[name] = [
                        begun + each[1:] if each[:1] == (earlier,) else each
                        for each in rules[name]
                        for begun in (rules[earlier] if each[:1] == (earlier,) else [()])
                    ]
            again = [each[1:] for each in rules[name] if each[:1] == (name,) and len(each) > 1]
            others = [each for each in rules[name] if each[:1] != (name,)]
            if again:
                rest = f"{name}-rest"
                rules[name] = [(*each, rest) for each in others]
                rules[rest] = [(*each, rest) for each in again] + [()]
            else:
                rules[name] = others
    for names in _circles(_beginnings(rules, _nullable(rules))):
        raise ConstraintError(
            f"rule {names[0]} begins with itself behind parts that may be empty, which the server can't read; "
            "take the empty alternatives out"
        )


def _beginnings(rules: dict[str, list[_Sequence]], empty: set[str]) -> dict[str, set[str]]:
    """Give for each rule those that its texts may begin with, behind what is in `empty`."""
    found: dict[str, set[str]] = {name: set() for name in rules}
    for name, right in rules.items():
        for each in right:
            for part in each:
                if part in rules:
                    found[name].add(part)
                if part not in empty:
                    break
    return found


def _circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Give the groups of names that lead to each other, and those that lead to themselves (Tarjan), in their order."""
    place = {name: i for i, name in enumerate(edges)}
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    circles = []
    for root in edges:
        todo = [] if root in number else [(root, iter(edges[root]))]
        while todo:
            name, following = todo[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                path.append(name)
                on_path.add(name)
            for other in following:
                if other not in number:
                    todo.append((other, iter(edges[other])))
                    break
                if other in on_path:
                    lowest[name] = min(lowest[name], number[other])
            else:
                todo.pop()
                if todo:
                    above = todo[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == number[name]:
                    start = len(path) - 1
                    while path[start] != name:
                        start -= 1
                    group = path[start:]
                    del path[start:]
                    on_path.difference_update(group)
                    if len(group) > 1 or name in edges[name]:
                        circles.append(sorted(group, key=place.__getitem__))
    return circles


def _nullable(rules: dict[str, list[_Sequence]]) -> set[str]:
    """Give the rules that may be empty."""
    waiting: dict[str, list[tuple[str, set[str]]]] = {}  # by a part: the rules that are empty if these parts are
    found = {name for name, right in rules.items() if () in right}
    for name, right in rules.items():
        for each in right:
            if each and all(part in rules for part in each):
                parts = set(each)
                for part in parts:
                    waiting.setdefault(part, []).append((name, parts))
    todo = list(found)
    while todo:
        part = todo.pop()
        for name, parts in waiting.get(part, ()):
            parts.discard(part)
            if not parts and name not in found:
                found.add(name)
                todo.append(name)
    return found
