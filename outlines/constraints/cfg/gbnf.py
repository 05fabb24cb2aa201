r"""Grammars in GBNF, the dialects of llama.cpp and of XGrammar's EBNF, read into rules.

    root  ::= item ("," ws item)*     # a comment
    item  ::= "\"" [^"\\\x00-\x1f]{1,20} "\"" | number
    ws    ::= [ \t\n]*

There is no lexer: a text is of the grammar if it's derived in any way. What doesn't contain itself is regular, and the
largest such pieces become one part each, an expression.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from outlines.constraints import characters
from outlines.constraints.cfg.loading import Rule
from outlines.constraints.cfg.network import components
from outlines.constraints.characters import ALL
from outlines.constraints.expression import Expression, concat, is_empty, literal, repeat, union
from outlines.exceptions import GrammarError, LimitError

__all__ = ["MAX_DEPTH", "Gbnf", "is_gbnf", "read_gbnf"]

#: Parentheses within parentheses.
MAX_DEPTH = 200

_SPACE = re.compile(r"(?:[ \t]|\#[^\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|\#[^\n]*)*")
_NAME = re.compile(r"[a-zA-Z_][\w.-]*")
_RULE = re.compile(r"([a-zA-Z_][\w.-]*)[ \t\r\n]*::=")
_COUNTS = re.compile(r"\{[ \t]*(\d*)[ \t]*(,)?[ \t]*(\d*)[ \t]*\}")
_ESCAPES = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "b": 8, "a": 7, "e": 27, "0": 0}
_DIGITS = {"x": 2, "u": 4, "U": 8}


class Gbnf(NamedTuple):
    """A grammar as it was read: rules over the names of rules and of parts, and the parts."""

    start: str
    rules: list[Rule]
    parts: dict[str, Expression]


def is_gbnf(text: str) -> bool:
    """Tell whether a grammar is written in GBNF rather than in Lark's language: its rules are."""
    return re.search(r"^[ \t]*[a-zA-Z_][\w.-]*[ \t\r\n]*::=", text, re.MULTILINE) is not None


# Trees: an Expression, or ("rule", name), ("sequence", parts), ("either", parts), ("repeat", part, low, high)
_Tree = tuple


def read_gbnf(text: str, start: str = "root") -> Gbnf:
    """Read a grammar in GBNF.

    Raises
    ------
    GrammarError
        If it can't be read, or uses a rule that it doesn't define.
    """
    reader = _Reader(text)
    if start not in reader.rules:
        raise GrammarError(f'there is no rule "{start}", at which a text begins')
    for name, place in reader.used.items():
        if name not in reader.rules:
            reader.fail(place, f'rule "{name}" is used but not defined')
    return _Writer(reader.rules, start).written()


class _Reader:
    def __init__(self, text: str):
        self.text = text
        self.place = 0
        self.rules: dict[str, _Tree | Expression] = {}
        self.used: dict[str, int] = {}
        self._depth = 0
        self._skip(_LINES)
        while self.place < len(text):
            rule = _RULE.match(text, self.place)
            if rule is None:
                self.fail(self.place, "a rule must begin here, as in `name ::= ...`")
            name = rule[1]
            if name in self.rules:
                self.fail(self.place, f'rule "{name}" is defined twice')
            self.place = rule.end()
            self._skip(_LINES)
            self.rules[name] = self._either()
            self._skip(_LINES)

    def fail(self, place: int, problem: str) -> NoReturn:
        line = self.text.count("\n", 0, place) + 1
        raise GrammarError(problem, line, place - self.text.rfind("\n", 0, place))

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self.text, self.place)
        assert match is not None
        self.place = match.end()

    def _next(self) -> str:
        """Give the next character on the line, or on a later one within parentheses."""
        self._skip(_LINES if self._depth else _SPACE)
        return self.text[self.place : self.place + 1]

    def _either(self) -> _Tree | Expression:
        ways = [self._sequence()]
        while True:
            before = self.place
            self._skip(_LINES)  # a bar may begin the next line
            if self.text[self.place : self.place + 1] != "|":
                self.place = before
                return ways[0] if len(ways) == 1 else ("either", ways)
            self.place += 1
            self._skip(_LINES)
            ways.append(self._sequence())

    def _sequence(self) -> _Tree | Expression:
        parts = []
        while True:
            char = self._next()
            if char in ("", "\n", "\r", "|", ")") or (not self._depth and _RULE.match(self.text, self.place)):
                break
            parts.append(self._repeated(self._item(char)))
        return parts[0] if len(parts) == 1 else ("sequence", parts)

    def _item(self, char: str) -> _Tree | Expression:
        start = self.place
        if char == '"':
            self.place += 1
            codes = []
            while self._char_at(start) != '"':
                codes.append(self._character(start))
            self.place += 1
            return literal("".join(map(chr, codes)).encode("utf-8", "surrogatepass"))
        if char == "[":
            return self._class(start)
        if char == ".":
            self.place += 1
            return characters.utf8(ALL)
        if char == "(":
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise LimitError(
                    "MAX_DEPTH", f"parentheses are nested more than {MAX_DEPTH} deep; give parts names"
                )
            self.place += 1
            if self.text[self.place : self.place + 1] == "=":
                self.fail(start, "lookahead assertions aren't supported; take it out")
            self._skip(_LINES)
            tree = self._either()
            if self._next() != ")":
                self.fail(start, "this parenthesis is never closed")
            self.place += 1
            self._depth -= 1
            return tree
        name = _NAME.match(self.text, self.place)
        if name is None:
            what = (
                "tokens by name or number aren't supported" if char == "<" else f"{char!r} can't stand here"
            )
            self.fail(start, what)
        self.place = name.end()
        self.used.setdefault(name[0], start)
        return ("rule", name[0])

    def _class(self, start: int) -> Expression:
        self.place += 1
        negated = self._char_at(start) == "^"
        self.place += negated
        ranges = []
        while self._char_at(start) != "]":
            low = high = self._character(start)
            if self._char_at(start) == "-" and self.text[self.place + 1 : self.place + 2] not in ("]", ""):
                self.place += 1
                high = self._character(start)
                if high < low:
                    self.fail(start, f"the range {chr(low)}-{chr(high)} is the wrong way round")
            ranges.append((low, high))
        self.place += 1
        members = characters.intersection(characters.normalise(ranges), ALL)
        if negated:
            members = characters.complement(members)
        if not members:
            self.fail(start, "no character is in this class")
        return characters.utf8(members)

    def _char_at(self, start: int) -> str:
        if self.place >= len(self.text):
            self.fail(start, "what begins here is never closed")
        return self.text[self.place]

    def _character(self, start: int) -> int:
        char = self._char_at(start)
        self.place += 1
        if char != "\\":
            return ord(char)
        escaped = self._char_at(start)
        self.place += 1
        count = _DIGITS.get(escaped)
        if count is None:
            if escaped in _ESCAPES:
                return _ESCAPES[escaped]
            if escaped.isalnum():
                self.fail(self.place - 2, f"\\{escaped} is no escape")
            return ord(escaped)
        digits = self.text[self.place : self.place + count]
        if not re.fullmatch(f"[0-9a-fA-F]{{{count}}}", digits) or int(digits, 16) > 0x10FFFF:
            self.fail(self.place - 2, f"\\{escaped} needs {count} hexadecimal digits of a character")
        self.place += count
        return int(digits, 16)

    def _repeated(self, tree: _Tree | Expression) -> _Tree | Expression:
        while True:
            char = self._next()
            if char in ("*", "+", "?"):
                low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
                self.place += 1
            elif char == "{":
                counts = _COUNTS.match(self.text, self.place)
                if counts is None or not (counts[1] or counts[3]):
                    self.fail(self.place, "counts must follow, as in {2,5}")
                low = int(counts[1] or 0)
                high = int(counts[3]) if counts[3] else None if counts[2] else low
                if high is not None and high < low:
                    self.fail(self.place, f"{low} is more than {high}")
                self.place = counts.end()
            else:
                return tree
            tree = ("repeat", tree, low, high)


class _Writer:
    """Writes trees as rules: what is regular as one part, all else symbol by symbol."""

    def __init__(self, trees: dict[str, _Tree | Expression], start: str):
        self.trees = trees
        self.start = start
        self.rules: list[Rule] = []
        self.parts: dict[str, Expression] = {}
        self._names: dict[Expression, str] = {}
        self._regular: dict[str, Expression | None] = {}
        self._count = 0

    def written(self) -> Gbnf:
        recursive = self._recursive()
        for name in self._order(recursive):
            self._regular[name] = None if name in recursive else self._expression(self.trees[name])
        for name, tree in self.trees.items():
            expression = self._regular.get(name)
            symbols = self._part(expression) if expression is not None else self._symbols(tree, name)
            self.rules.append(Rule(name, tuple(symbols)))
        return Gbnf(self.start, self.rules, self.parts)

    def _uses(self, tree: _Tree | Expression) -> set[str]:
        found, stack = set(), [tree]
        while stack:
            node = stack.pop()
            if isinstance(node, Expression):
                continue
            if node[0] == "rule":
                found.add(node[1])
            elif node[0] == "repeat":
                stack.append(node[1])
            else:
                stack.extend(node[1])
        return found

    def _recursive(self) -> set[str]:
        """Give the rules that contain themselves, directly or not."""
        names = {name: number for number, name in enumerate(self.trees)}
        graph = {names[name]: {names[used] for used in self._uses(tree)} for name, tree in self.trees.items()}
        listed = list(self.trees)
        found = set()
        for component in components(graph):
            for number in component:
                if len(component) > 1 or number in graph[number]:
                    found.add(listed[number])
        return found

    def _order(self, recursive: set[str]) -> list[str]:
        """Give all rules, used ones first; recursive ones at once."""
        order = dict.fromkeys(recursive)
        for root in self.trees:
            stack = [root]
            while stack:
                name = stack[-1]
                waiting = [used for used in sorted(self._uses(self.trees[name])) if used not in order]
                if name in order or not waiting:
                    order.setdefault(stack.pop())
                else:
                    stack.extend(waiting)
        return list(order)

    def _expression(self, tree: _Tree | Expression) -> Expression | None:
        """Give the expression of a tree; None if it uses a rule that contains itself."""
        if isinstance(tree, Expression):
            return tree
        if tree[0] == "rule":
            return self._regular.get(tree[1])
        if tree[0] == "repeat":
            body = self._expression(tree[1])
            return None if body is None else repeat(body, tree[2], tree[3])
        parts = [self._expression(part) for part in tree[1]]
        if any(part is None for part in parts):
            return None
        return (concat if tree[0] == "sequence" else union)(*parts)  # type: ignore[arg-type]

    def _part(self, expression: Expression) -> list[str]:
        name = self._names.get(expression)
        if name is None:
            name = self._names[expression] = f"part {len(self._names)}"
            if not is_empty(expression):
                self.parts[name] = expression
        return [name]

    def _symbols(self, tree: _Tree | Expression, owner: str) -> list[str]:
        """Give the symbols that stand for a tree, with rules of their own where needed."""
        expression = self._expression(tree)
        if expression is not None:
            return self._part(expression)
        assert not isinstance(tree, Expression)
        if tree[0] == "rule":
            return [tree[1]]
        if tree[0] == "sequence":
            symbols: list[str] = []
            run: list[Expression] = []  # neighbours that are regular are one part
            for part in tree[1]:
                expression = self._expression(part)
                if expression is not None:
                    run.append(expression)
                    continue
                if run:
                    symbols += self._part(concat(*run))
                    run = []
                symbols += self._symbols(part, owner)
            return symbols + (self._part(concat(*run)) if run else [])
        if tree[0] == "either":
            name = self._new(owner)
            for part in tree[1]:
                self.rules.append(Rule(name, tuple(self._symbols(part, owner))))
            return [name]
        body, low, high = self._symbols(tree[1], owner), tree[2], tree[3]
        if max(low, high or 0) * len(body) > 10_000:
            raise LimitError(
                "MAX_RULES", f'rule "{owner}" repeats a part {max(low, high or 0)} times; lower the count'
            )
        symbols = body * low
        if high is None:
            name = self._new(owner)
            self.rules += [Rule(name, (name, *body)), Rule(name, ())]
            return [*symbols, name]
        after: list[str] = []
        for _ in range(high - low):
            name = self._new(owner)
            self.rules += [Rule(name, (*body, *after)), Rule(name, ())]
            after = [name]
        return symbols + after

    def _new(self, owner: str) -> str:
        self._count += 1
        return f"{owner} ({self._count})"
