"""A tree with assertions into an expression.

It is read together with what follows: `read(node, context, after)` gives the language of the node *and* what follows
it. A context holds what has been promised about the characters on both sides of the place: how far the lookbehinds of
the pattern have got, and which short lookaheads are still owed. It moves deterministically, a character at a time, so a
repetition is a small system of linear equations over contexts. A lookahead without bound is an intersection with what
follows, which is known everywhere but inside a repetition.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from outlines.constraints import characters
from outlines.constraints.characters import ALL, Characters
from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    EVERYTHING,
    Expression,
    complement,
    concat,
    intersection,
    repeat,
    star,
    union,
)
from outlines.constraints.regex.lookarounds import LOOKAROUND_LENGTH, LOOKAROUND_STRINGS
from outlines.constraints.regex.spelling import Spelling
from outlines.constraints.regex.tree import (
    BEGIN,
    END,
    Ahead,
    Alternatives,
    Behind,
    Node,
    OneOf,
    Repeat,
    Symbols,
    Text,
)
from outlines.exceptions import LimitError, PatternError, shorten

#: Contexts that a repetition with assertions may have: its equations are solved by elimination.
REPETITION_CONTEXTS = 64

_Code = tuple[int, ...]  # Symbols, each by its number


class Context(NamedTuple):
    """What is known and owed at a place in the text."""

    behind: frozenset[tuple[int, int]]  # (lookbehind string, how many of its characters are the last ones)
    forbidden: frozenset[_Code]  # strings with which what follows must not begin
    required: frozenset[frozenset[_Code]]  # with one of each of these it must begin


class Neighbour(NamedTuple):
    """What is known of the text beside a tree, of which it may be asked.

    A text's own edge, or text of which the character at this side is one of `characters`.
    """

    is_edge: bool
    characters: Characters = ALL
    may_be_empty: bool = False


EDGE = Neighbour(is_edge=True)

_After = dict[Context, Expression]


class Assertions:
    """Reads a tree with assertions."""

    def __init__(self, tree: Node, pattern: str, spelling: Spelling):
        self.tree = tree
        self.pattern = pattern
        self.spelling = spelling
        self._numbers: dict[Characters, int] = {}
        self._behind: dict[_Code, int] = {}
        self._is_unbounded = False
        self._ends: dict[tuple[Node, Context], frozenset[Context]] = {}
        self._moves: dict[tuple[Context, int], Context | None] = {}
        self._languages: dict[tuple[Node, Context, frozenset[tuple[Context, Expression]]], Expression] = {}
        self._prepare(tree, is_repeated=False)
        self._behind_codes = list(self._behind)
        self._make_classes()

    def _prepare(self, root: Node, is_repeated: bool) -> None:
        """Number the sets of all assertions, and decide which lookaheads are owed by contexts."""
        stack = [(root, is_repeated)]
        while stack:
            node, is_repeated = stack.pop()
            if isinstance(node, Behind):
                for symbols in node.strings:
                    self._behind.setdefault(self._code(symbols), len(self._behind))
            elif isinstance(node, Ahead):
                strings = node.strings
                is_short = strings is not None and all(len(symbols) <= 2 for symbols in strings)
                if strings is not None and (is_short or is_repeated or node.body is None):
                    node.is_owed = True
                    for symbols in strings:
                        self._code(symbols)
                elif is_repeated:
                    raise PatternError(
                        self.pattern,
                        node.position,
                        f"a lookahead inside a repetition must stand for at most {LOOKAROUND_STRINGS} strings of at "
                        f"most {LOOKAROUND_LENGTH} characters. Move it before the repetition, or bound what it "
                        "looks for.",
                    )
                self._is_unbounded |= not node.is_owed
                if not node.is_owed and node.body is not None:
                    stack.append((node.body, False))
            else:
                is_repeated = is_repeated or (isinstance(node, Repeat) and node.high != 1)
                stack.extend((part, is_repeated) for part in node.parts if not part.is_plain)

    def _code(self, symbols: Symbols) -> _Code:
        return tuple([self._numbers.setdefault(members, len(self._numbers)) for members in symbols])

    def _make_classes(self) -> None:
        """Part all characters, BEGIN and END into classes that no set of an assertion tells apart."""
        cuts = {BEGIN, 0, 0xD800, 0xE000, END, END + 1}
        for members in self._numbers:
            for low, high in members:
                cuts.update((low, high + 1))
        self._starts = sorted(cuts)
        events: dict[int, list[int]] = {}
        for members, number in self._numbers.items():
            for low, high in members:
                events.setdefault(low, []).append(number)
                events.setdefault(high + 1, []).append(number)
        classes: dict[frozenset[int], list[tuple[int, int]]] = {}
        inside: set[int] = set()
        signatures = []
        for start, stop in zip(self._starts, self._starts[1:], strict=False):
            inside.symmetric_difference_update(events.get(start, ()))
            signature = frozenset(inside)
            signatures.append(signature)
            classes.setdefault(signature, []).append((start, stop - 1))
        self._signatures = list(classes)
        self._classes = [
            characters.intersection(characters.normalise(ranges), ALL) for ranges in classes.values()
        ]
        index = {signature: number for number, signature in enumerate(self._signatures)}
        self._class_of_run = [index[signature] for signature in signatures]

    def _class_of(self, code_point: int) -> int:
        return self._class_of_run[bisect_right(self._starts, code_point) - 1]

    # Contexts

    def _move(self, context: Context, class_: int) -> Context | None:
        """Give the context after a character of a class; None where something owed fails."""
        key = (context, class_)
        if key not in self._moves:
            self._moves[key] = self._compute_move(context, self._signatures[class_])
        return self._moves[key]

    def _compute_move(self, context: Context, signature: frozenset[int]) -> Context | None:
        forbidden = {code[1:] for code in context.forbidden if code[0] in signature}
        if () in forbidden:
            return None
        required = set()
        for codes in context.required:
            rest = frozenset(code[1:] for code in codes if code[0] in signature)
            if not rest:
                return None
            if () not in rest:
                required.add(rest)
        progress = context.behind.union((number, 0) for number in range(len(self._behind_codes)))
        behind = {
            (number, done + 1)
            for number, done in progress
            if done < len(self._behind_codes[number]) and self._behind_codes[number][done] in signature
        }
        return Context(frozenset(behind), frozenset(forbidden), frozenset(required))

    def _moves_within(self, context: Context, members: Characters) -> Iterator[tuple[Context, Characters]]:
        """Give the contexts that one character out of a set leads to, with the characters that do."""
        by_target: dict[Context, list[Characters]] = {}
        for class_, ranges in enumerate(self._classes):
            common = characters.intersection(members, ranges)
            target = self._move(context, class_) if common else None
            if target is not None:
                by_target.setdefault(target, []).append(common)
        for target, sets in by_target.items():
            yield target, characters.union(*sets)

    def _pass(self, assertion: Behind | Ahead, context: Context) -> Context | None:
        """Give the context behind an assertion that contexts carry; None where it fails."""
        codes = frozenset(map(self._code, assertion.strings or ()))
        if isinstance(assertion, Behind):
            holds = any(not code or (self._behind[code], len(code)) in context.behind for code in codes)
            return context if holds != assertion.negated else None
        if () in codes or not codes:
            return context if (() in codes) != assertion.negated else None
        if assertion.negated:
            return context._replace(forbidden=context.forbidden | codes)
        return context._replace(required=context.required | {codes})

    def _may_end(self, context: Context) -> bool:
        return self._move(context, self._class_of(END)) is not None  # END is the last symbol of every string

    def ends(self, node: Node, context: Context) -> frozenset[Context]:
        """Give the contexts in which a node may end; perhaps some more."""
        key = (node, context)
        found = self._ends.get(key)
        if found is None:
            found = self._ends[key] = frozenset(self._compute_ends(node, context))
        return found

    def _compute_ends(self, node: Node, context: Context) -> Iterable[Context]:
        if isinstance(node, Text):
            end = self._spell_out(node.text, context)
            return () if end is None else (end,)
        if isinstance(node, OneOf):
            return [target for target, _ in self._moves_within(context, node.members)]
        if isinstance(node, Behind) or (isinstance(node, Ahead) and node.is_owed):
            passed = self._pass(node, context)
            return () if passed is None else (passed,)
        if isinstance(node, Ahead):
            return (context,)
        if isinstance(node, Alternatives):
            return frozenset().union(*[self.ends(part, context) for part in node.parts])
        if isinstance(node, Repeat):
            if node.high == 0:
                return (context,)
            if node.high == 1:
                return self.ends(node.body, context) | ({context} if node.low == 0 else set())
            return self._closure(node.body, context)
        ends = frozenset([context])
        for part in node.parts:
            ends = frozenset().union(*[self.ends(part, end) for end in ends])
        return ends

    def _closure(self, body: Node, context: Context) -> list[Context]:
        """List the contexts that any number of repetitions lead to, in the order of discovery."""
        found = {context}
        queue = [context]
        for start in queue:
            for end in self.ends(body, start):
                if end not in found:
                    found.add(end)
                    queue.append(end)
            if len(queue) > REPETITION_CONTEXTS:
                raise LimitError(
                    "REPETITION_CONTEXTS",
                    f"the assertions in or behind a repetition of {shorten(self.pattern)} tell more than "
                    f"{REPETITION_CONTEXTS} situations apart; shorten the lookarounds",
                )
        return queue

    def _spell_out(self, text: str, context: Context) -> Context | None:
        for char in text:
            moved = self._move(context, self._class_of(ord(char)))
            if moved is None:
                return None
            context = moved
        return context

    # Languages

    def language(self) -> Expression:
        """Give the language of the whole tree."""
        found = self.language_between(EDGE, EDGE)
        assert found is not None, "at its own edges all is known of a text"
        return found

    def language_between(self, before: Neighbour, after: Neighbour) -> Expression | None:
        """Give the language of the tree between two neighbours; None if it depends on more than is known of them."""
        languages = set()
        for start in self._contexts_behind(before):
            outcomes = {end: self._may_go_on(end, after) for end in self.ends(self.tree, start)}
            if None in outcomes.values() or (self._is_unbounded and not after.is_edge):
                return None
            rests = {end: EPSILON if outcome else EMPTY for end, outcome in outcomes.items()}
            languages.add(self.read(self.tree, start, rests))
        return languages.pop() if len(languages) == 1 else None

    def _contexts_behind(self, before: Neighbour) -> set[Context]:
        """Give all that may be known behind a neighbour: of all texts that end in one of its characters."""
        nowhere = Context(frozenset(), frozenset(), frozenset())
        begin = self._move(nowhere, self._class_of(BEGIN))
        assert begin is not None
        if before.is_edge:
            return {begin}
        contexts = [begin]
        for context in contexts:
            contexts += {end for end, _ in self._moves_within(context, ALL)}.difference(contexts)
            if len(contexts) > REPETITION_CONTEXTS:
                raise LimitError(
                    "REPETITION_CONTEXTS",
                    f"the lookbehinds of {shorten(self.pattern)} tell more than {REPETITION_CONTEXTS} situations "
                    "apart; shorten them",
                )
        found = {end for context in contexts for end, _ in self._moves_within(context, before.characters)}
        return found | {begin} if before.may_be_empty else found

    def _may_go_on(self, context: Context, after: Neighbour) -> bool | None:
        """Tell whether what is owed is met by a neighbour: by each of its texts, by none, or (None) by some."""
        outcomes: set[bool | None] = set()
        if after.is_edge or after.may_be_empty:
            outcomes.add(self._may_end(context))
        if not after.is_edge:
            free = context._replace(behind=frozenset())
            for class_, ranges in enumerate(self._classes):
                if characters.intersection(ranges, after.characters):
                    moved = self._move(free, class_)
                    owes = moved is not None and bool(moved.forbidden or moved.required)
                    outcomes.add(None if owes else moved is not None)
        return outcomes.pop() if len(outcomes) == 1 else None

    def read(self, node: Node, context: Context, after: _After) -> Expression:
        """Give the language of a node in a context, each way followed by the language `after` the context it ends in.

        `after` is defined for `ends(node, context)`.
        """
        ends = self.ends(node, context)
        rests = {after[end] for end in ends}
        if not rests or rests == {EMPTY}:
            return EMPTY
        if node.is_plain and len(rests) == 1 and not context.forbidden and not context.required:
            return concat(self.spelling.read(node), rests.pop())
        if isinstance(node, Text):
            return concat(self.spelling.text(node.text), rests.pop())
        if isinstance(node, OneOf):
            by_rest: dict[Expression, list[Characters]] = {}
            for end, members in self._moves_within(context, node.members):
                by_rest.setdefault(after[end], []).append(members)
            return union(
                *[
                    concat(self.spelling.spell(characters.union(*sets)), rest)
                    for rest, sets in by_rest.items()
                ]
            )
        if isinstance(node, Behind) or (isinstance(node, Ahead) and node.is_owed):
            return rests.pop()
        if isinstance(node, Ahead):
            return self._read_unbounded(node, context, after)
        # copies of a repetition are read in each context by several others
        key = (node, context, frozenset([(end, after[end]) for end in ends]))
        found = self._languages.get(key)
        if found is None:
            found = self._languages[key] = self._read_composite(node, context, after)
        return found

    def _read_composite(self, node: Node, context: Context, after: _After) -> Expression:
        if isinstance(node, Alternatives):
            return union(*[self.read(part, context, after) for part in node.parts])
        if isinstance(node, Repeat):
            return self._read_repeat(node, context, after)
        stages = [frozenset([context])]
        for part in node.parts:
            stages.append(frozenset().union(*[self.ends(part, end) for end in stages[-1]]))
        for part, stage in zip(reversed(node.parts), reversed(stages[:-1]), strict=True):
            after = {end: self.read(part, end, after) for end in stage}
        return after[context]

    def _read_unbounded(self, node: Ahead, context: Context, after: _After) -> Expression:
        assert node.body is not None
        free = context._replace(forbidden=frozenset(), required=frozenset())
        seen = self.read(node.body, free, {end: self._anything(end) for end in self.ends(node.body, free)})
        return intersection(after[context], complement(seen) if node.negated else seen)

    def _anything(self, context: Context) -> Expression:
        """Give all that may follow in a context."""
        if not context.forbidden and not context.required:
            return EVERYTHING
        free = context._replace(behind=frozenset())
        ways = [
            concat(self.spelling.spell(members), self._anything(end._replace(behind=frozenset())))
            for end, members in self._moves_within(free, ALL)
        ]
        return union(*ways, EPSILON if self._may_end(free) else EMPTY)

    def _read_repeat(self, node: Repeat, context: Context, after: _After) -> Expression:
        body, low, high = node.body, node.low, node.high
        if high == 0:
            return after[context]
        if high == 1:
            once = self.read(body, context, after)
            return once if low else union(once, after[context])
        closure = self._closure(body, context)
        ways = {start: self._ways(body, start) for start in closure}
        if low == 0 and high is None:
            return _solve(ways, {end: after[end] for end in closure}, context)
        if low == 1 and high is None:
            looped = {
                end: _solve(ways, {e: after[e] for e in closure}, end) for end in self.ends(body, context)
            }
            return self.read(body, context, looped)
        if list(ways[context]) in ([], [context]):
            return concat(repeat(ways[context].get(context, EMPTY), low, high), after[context])
        # A text decides alone in which context it ends, and its length how many times a body of one width stands in it
        one = (
            self.spelling.read(body)
            if body.is_plain
            else repeat(self.spelling.spell(ALL), body.width or 0, body.width)
        )
        counted = repeat(one, low, high)
        by_rest: dict[Expression, set[Context]] = {}
        for end in closure:
            by_rest.setdefault(after[end], set()).add(end)
        alternatives = []
        for rest, ends in by_rest.items():
            if rest is not EMPTY:
                reached = _solve(ways, {end: EPSILON if end in ends else EMPTY for end in closure}, context)
                alternatives.append(concat(intersection(counted, reached), rest))
        return union(*alternatives)

    def _ways(self, body: Node, start: Context) -> _After:
        """Give, for each context in which one repetition may end, the language that leads there."""
        ends = self.ends(body, start)
        ways = {}
        for end in ends:
            way = self.read(body, start, {other: EPSILON if other == end else EMPTY for other in ends})
            if way is not EMPTY:
                ways[end] = way
        return ways


def _solve(ways: dict[Context, _After], after: _After, start: Context) -> Expression:
    """Solve X[c] = after[c] | ways[c][d] X[d] | ... for X[start], one context after another (Arden's rule)."""
    equations = {context: dict(targets) for context, targets in ways.items()}
    after = dict(after)
    for context in [c for c in reversed(equations) if c != start] + [start]:
        targets = equations.pop(context)
        loop = star(targets.pop(context, EMPTY))
        after[context] = concat(loop, after[context])
        for other, onward in equations.items():
            way = onward.pop(context, EMPTY)
            if way is not EMPTY:
                after[other] = union(after[other], concat(way, after[context]))
                for target, further in targets.items():
                    onward[target] = union(onward.get(target, EMPTY), concat(way, loop, further))
    return after[start]
