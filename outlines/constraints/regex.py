r"""Regular expressions, in Python's syntax or ECMA-262's, read into expressions.

Both readers make the same small tree: text, one character out of a set, sequence, alternatives, repetition, and two
assertions, `Behind` and `Ahead`, into which anchors, word boundaries and lookarounds are all translated. A text is
thought of as BEGIN, its characters, END, so `^` is "behind is BEGIN" and `$` is "ahead is END".

A tree without assertions is read part by part. One with assertions is read together with what follows:
`read(node, context, after)` gives the language of the node *and* what follows it. A context holds what has been
promised about the characters on both sides of the place: how far the lookbehinds of the pattern have got, and which
short lookaheads are still owed. It moves deterministically, a character at a time, so a repetition is a small system
of linear equations over contexts. A lookahead without bound is an intersection with what follows, which is known
everywhere but inside a repetition.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from outlines.constraints import characters
from outlines.constraints.characters import ALL, NONE, Characters
from outlines.constraints.expression import (
    EMPTY,
    EPSILON,
    EVERYTHING,
    Expression,
    complement,
    concat,
    intersection,
    literal,
    repeat,
    star,
    union,
)
from outlines.exceptions import LimitError, PatternError, shorten

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as sre_parser

__all__ = ["Encoder", "read", "search"]

Encoder = Callable[[Characters], Expression]

#: Strings that a lookaround may stand for, and their length, before it counts as without bound.
LOOKAROUND_STRINGS = 256
LOOKAROUND_LENGTH = 64
#: Copies made of a repetition that has an assertion and a body of varying length; others are never unrolled.
UNROLLED_COPIES = 64
#: Contexts that a repetition with assertions may have: its equations are solved by elimination.
REPETITION_CONTEXTS = 64

BEGIN, END = -1, 0x110000
AT_BEGIN: Characters = ((BEGIN, BEGIN),)
AT_END: Characters = ((END, END),)
NEWLINE: Characters = ((10, 10),)

#: Sets of characters (or BEGIN, END), one after another.
Symbols = tuple[Characters, ...]


def read(pattern: str, flags: int = 0, *, encode: Encoder = characters.utf8) -> Expression:
    """Read a pattern of Python's `re`: the language of the texts that `re.fullmatch` accepts.

    Parameters
    ----------
    pattern
        The pattern. Lazy quantifiers and groups are read as what they match; a possessive quantifier or atomic group
        is read where no backtracking into it could matter, or where a lookahead says the same.
    flags
        As for `re.compile`.
    encode
        Gives the strings of bytes that stand for one character of a set. No string of one character may be the
        beginning of another's; UTF-8 and the escapes of JSON are like that.

    Raises
    ------
    PatternError
        If the pattern is wrong, or not regular (back-references), or has a lookaround that can't be expressed.
    LimitError
        If assertions inside a repetition need more than REPETITION_CONTEXTS contexts.
    """
    return _read(_PythonReader, pattern, flags, encode, None)


def search(
    pattern: str, *, dialect: str = "ecma", encode: Encoder = characters.utf8, any_character: Characters = ALL
) -> Expression:
    """Read a pattern that may be found anywhere: the language of the texts in which it occurs, as for JSON Schema.

    Parameters
    ----------
    pattern
        The pattern.
    dialect
        "ecma" for ECMA-262 with the flag `u`, as JSON Schema asks for; "python" for `re.search`.
    encode
        As for `read`.
    any_character
        Characters that may stand before and behind what is found.

    Raises
    ------
    PatternError, LimitError
        As for `read`.
    """
    readers: dict[str, type[_PythonReader] | type[_EcmaReader]] = {
        "ecma": _EcmaReader,
        "python": _PythonReader,
    }
    if dialect not in readers:
        raise ValueError(f"dialect is {dialect!r}, but must be one of {', '.join(map(repr, readers))}")
    return _read(readers[dialect], pattern, 0, encode, any_character)


def _read(
    reader: type[_PythonReader] | type[_EcmaReader],
    pattern: str,
    flags: int,
    encode: Encoder,
    around: Characters | None,
) -> Expression:
    if not isinstance(pattern, str):
        raise TypeError(f"a pattern is a str, got {pattern!r} of type {type(pattern).__name__}")
    try:
        tree = reader(pattern, flags).tree
        if around is not None:
            anything = Repeat(OneOf(around), 0, None)
            tree = sequence([anything, tree, anything])
        spelling = _Spelling(encode)
        return spelling.read(tree) if tree.is_plain else _Assertions(tree, pattern, spelling).language()
    except RecursionError:
        raise PatternError(
            pattern, 0, "groups are nested too deeply. Take out groups that aren't needed."
        ) from None


# The tree


class Node:
    """A part of a pattern.

    Attributes
    ----------
    is_plain : bool
        Whether it has no assertion.
    width : int or None
        Number of characters of every text that it matches, None where they differ.
    """

    is_plain: bool = True
    width: int | None = 0
    parts: tuple[Node, ...] = ()


class Text(Node):
    def __init__(self, text: str):
        self.text = text
        self.width = len(text)


class OneOf(Node):
    width = 1

    def __init__(self, members: Characters):
        self.members = members


class Sequence(Node):
    def __init__(self, parts: tuple[Node, ...]):
        self.parts = parts
        self.is_plain = all(part.is_plain for part in parts)
        widths = [part.width for part in parts]
        self.width = None if None in widths else sum(width for width in widths if width)


class Alternatives(Node):
    def __init__(self, parts: Iterable[Node]):
        self.parts = tuple(parts)
        self.is_plain = all(part.is_plain for part in self.parts)
        widths = {part.width for part in self.parts}
        self.width = widths.pop() if len(widths) == 1 else None


class Repeat(Node):
    def __init__(self, body: Node, low: int, high: int | None):
        self.body, self.low, self.high = body, low, high
        self.parts = (body,)
        self.is_plain = body.is_plain
        self.width = body.width * low if body.width is not None and low == high else None


class Behind(Node):
    """The text so far ends in one of `strings` (or, `negated`, in none)."""

    is_plain = False

    def __init__(self, strings: list[Symbols], negated: bool = False):
        self.strings, self.negated = _positive(strings, negated, BEGIN)


class Ahead(Node):
    """What follows begins with `body` (or, `negated`, doesn't); `strings` are what `body` stands for, if few."""

    is_plain = False

    def __init__(
        self, body: Node | None, strings: list[Symbols] | None, negated: bool = False, position: int = 0
    ):
        self.body, self.strings, self.negated, self.position = body, strings, negated, position
        if strings is not None:
            self.strings, self.negated = _positive(strings, negated, END)
        elif body is not None:
            self.parts = (body,)
        self.is_owed = False  # whether contexts carry it; else it is an intersection


def _positive(strings: list[Symbols], negated: bool, edge: int) -> tuple[list[Symbols], bool]:
    """Turn "not one of these characters" into "one of the others, or the edge of the text"."""
    strings = [symbols for symbols in strings if NONE not in symbols]
    if negated and all(len(symbols) == 1 for symbols in strings):
        return [(_others(characters.union(NONE, *[symbols[0] for symbols in strings]), edge),)], False
    return strings, negated


def _others(members: Characters, edge: int) -> Characters:
    rest = characters.complement(characters.intersection(members, ALL))
    return rest if characters.contains(members, edge) else characters.union(rest, ((edge, edge),))


NOTHING = Sequence(())
NEVER = OneOf(NONE)


def sequence(parts: Iterable[Node]) -> Node:
    """Make a sequence flat, with neighbouring texts joined."""
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Sequence) else (part,))
    joined: list[Node] = []
    for is_text, run in groupby(flat, lambda part: isinstance(part, Text)):
        if is_text:
            run = iter([Text("".join([part.text for part in run]))])  # type: ignore[attr-defined]
        joined.extend(run)
    return joined[0] if len(joined) == 1 else Sequence(tuple(joined))


def one_of(members: Characters) -> Node:
    """Make one character out of a set, surrogates left out."""
    members = characters.intersection(members, ALL)
    if len(members) == 1 and members[0][0] == members[0][1]:
        return Text(chr(members[0][0]))
    return OneOf(members)


def repetition(body: Node, low: int, high: int | None, pattern: str, position: int) -> Node:
    """Make a repetition; one that has assertions is brought to a form that `_Assertions` can do."""
    if body.width == 0 and (high is None or high > 0):
        return body if low else Alternatives([NOTHING, body]) if not body.is_plain else NOTHING
    if body.is_plain or body.width is not None or high == 1 or (high is None and low <= 1):
        return Repeat(body, low, high)
    copies = low if high is None else high
    if copies > UNROLLED_COPIES:
        raise PatternError(
            pattern,
            position,
            f"an assertion is repeated {copies} times in a group whose length varies; {UNROLLED_COPIES} is the limit. "
            "Lower the count, or move the assertion out of the group.",
        )
    rest: Node = Repeat(body, 0, None) if high is None else NOTHING
    for _ in range(copies - low):
        rest = Repeat(sequence([body, rest]), 0, 1)
    return sequence([body] * low + [rest])


def boundary(word: Characters, negated: bool, holds_in_empty_text: bool = True) -> Node:
    r"""Make `\b` or `\B`: word on one side, and the edge or another character on the other (or the same on both)."""
    others = characters.complement(word)
    word_behind, word_ahead = Behind([(word,)]), Ahead(None, [(word,)])
    other_behind, other_ahead = Behind([(word,)], negated=True), Ahead(None, [(word,)], negated=True)
    if not negated:
        return Alternatives([sequence([word_behind, other_ahead]), sequence([other_behind, word_ahead])])
    sides = [sequence([word_behind, word_ahead])]
    if holds_in_empty_text:
        sides.append(sequence([other_behind, other_ahead]))
    else:
        sides.append(sequence([Behind([(others,)]), other_ahead]))
        sides.append(sequence([Behind([(AT_BEGIN,)]), Ahead(None, [(others,)])]))
    return Alternatives(sides)


def lookahead(body: Node, negated: bool, position: int) -> Node:
    """Make `(?=...)` or `(?!...)`."""
    parts = list(body.parts if isinstance(body, Sequence) else (body,))
    if isinstance(parts[-1] if parts else None, Repeat) and parts[-1].is_plain:
        last = parts.pop()  # what follows is free, so no more than the least count matters
        parts.append(Repeat(last.body, last.low, last.low))  # type: ignore[attr-defined]
        body = sequence(parts)
    strings = _strings(body)
    if strings is not None and any(before for before, _, _ in strings):
        return _look([(before, symbols + after) for before, symbols, after in strings], negated)
    ahead = None if strings is None else [symbols + after for _, symbols, after in strings]
    return Ahead(body, ahead, negated, position)


def lookbehind(body: Node, negated: bool, pattern: str, position: int) -> Node:
    """Make `(?<=...)` or `(?<!...)`."""
    strings = _strings(body)
    if strings is None:
        raise PatternError(
            pattern,
            position,
            f"a lookbehind must stand for at most {LOOKAROUND_STRINGS} strings of at most {LOOKAROUND_LENGTH} "
            "characters, and have no negated lookaround inside. Shorten it, or match that text instead.",
        )
    return _look([(before + symbols, after) for before, symbols, after in strings], negated)


def _look(pairs: list[tuple[Symbols, Symbols]], negated: bool) -> Node:
    """Make the assertion that one of the pairs (or, `negated`, none) stands behind and ahead."""
    if not any(ahead for _, ahead in pairs):
        return Behind([behind for behind, _ in pairs], negated)
    ways = [(Behind([behind], negated), Ahead(None, [ahead], negated)) for behind, ahead in pairs]
    return sequence(map(Alternatives, ways)) if negated else Alternatives(map(sequence, ways))


# Strings of lookarounds: (what stands before, the string, what follows), the outer two from assertions at the edges

_Placed = tuple[Symbols, Symbols, Symbols]


def _strings(node: Node) -> list[_Placed] | None:
    """List the strings of sets that a lookaround's body stands for; None where they are too many or too long."""
    found: list[_Placed] | None
    if isinstance(node, Text):
        found = [((), tuple(map(characters.character, map(ord, node.text))), ())]
    elif isinstance(node, OneOf):
        found = [((), (node.members,), ())] if node.members else []
    elif isinstance(node, Behind):
        found = None if node.negated else [(symbols, (), ()) for symbols in node.strings]
    elif isinstance(node, Ahead):
        found = (
            None if node.negated or node.strings is None else [((), (), symbols) for symbols in node.strings]
        )
    elif isinstance(node, Alternatives):
        found = []
        for part in node.parts:
            strings = _strings(part)
            if strings is None or len(found) + len(strings) > LOOKAROUND_STRINGS:
                return None
            found.extend(strings)
    elif isinstance(node, Repeat):
        if node.high is None or node.high > LOOKAROUND_LENGTH:
            return None
        body = _strings(node.body)
        found = [((), (), ())] if node.low == 0 else []
        power: list[_Placed] | None = [((), (), ())]
        for count in range(1, node.high + 1):
            power = _products(power, body)
            if power is None or len(found) > LOOKAROUND_STRINGS:
                return None
            if count >= node.low:
                found.extend(power)
        if node.high == 0:
            found = [((), (), ())]
    else:
        found = [((), (), ())]
        for part in node.parts:
            found = _products(found, _strings(part))
    if found is None or len(found) > LOOKAROUND_STRINGS or any(len(s[1]) > LOOKAROUND_LENGTH for s in found):
        return None
    return found


def _products(lefts: list[_Placed] | None, rights: list[_Placed] | None) -> list[_Placed] | None:
    if lefts is None or rights is None or len(lefts) * len(rights) > LOOKAROUND_STRINGS:
        return None
    joined = [_join(left, right) for left in lefts for right in rights]
    return [placed for placed in joined if placed is not None]


def _join(left: _Placed, right: _Placed) -> _Placed | None:
    """Write one string behind another; what each asks of its surroundings is met by the other, or passed on."""
    before, start, owed = left
    wanted, end, after = right
    ahead = _overlay(owed, end + after)
    behind = _overlay(wanted[::-1], (before + start)[::-1])
    if ahead is None or behind is None:
        return None
    behind = behind[::-1]
    edge = len(behind) - len(start)
    return behind[:edge], behind[edge:] + ahead[: len(end)], ahead[len(end) :]


def _overlay(left: Symbols, right: Symbols) -> Symbols | None:
    length = min(len(left), len(right))
    common = tuple(map(characters.intersection, left[:length], right[:length]))
    return None if NONE in common else common + left[length:] + right[length:]


# Reading a tree without assertions


class _Spelling:
    """Turns characters to bytes, each set of them once."""

    def __init__(self, encode: Encoder):
        self.encode = encode
        self._spelled: dict[Characters, Expression] = {}

    def spell(self, members: Characters) -> Expression:
        spelled = self._spelled.get(members)
        if spelled is None:
            spelled = self._spelled[members] = self.encode(members) if members else EMPTY
        return spelled

    def text(self, text: str) -> Expression:
        if self.encode is characters.utf8:
            return literal(text.encode())
        return concat(*[self.spell(characters.character(ord(char))) for char in text])

    def read(self, node: Node) -> Expression:
        if isinstance(node, Text):
            return self.text(node.text)
        if isinstance(node, OneOf):
            return self.spell(node.members)
        if isinstance(node, Repeat):
            return repeat(self.read(node.body), node.low, node.high)
        if isinstance(node, Alternatives):
            words = [part.text for part in node.parts if isinstance(part, Text)]
            others = [self.read(part) for part in node.parts if not isinstance(part, Text)]
            return union(self.words(words), *others)
        return concat(*map(self.read, node.parts))

    def words(self, words: list[str]) -> Expression:
        """Give the language of a list of words, their common beginnings shared: thousands are one trie."""
        # `open_` holds the branches of each beginning of the word at hand: (where it ends, what goes on from there)
        open_: list[tuple[int, list[Expression]]] = [(0, [])]
        previous = ""
        for word in [*sorted(set(words)), ""]:
            shared = 0
            while shared < min(len(word), len(previous)) and word[shared] == previous[shared]:
                shared += 1
            while open_[-1][0] > shared:
                end, branches = open_.pop()
                if open_[-1][0] < shared:
                    open_.append((shared, []))
                start = open_[-1][0]
                open_[-1][1].append(concat(self.text(previous[start:end]), union(*branches)))
            if len(word) > open_[-1][0]:
                open_.append((len(word), [EPSILON]))
            previous = word
        root = open_[0][1]
        return union(*root, EPSILON) if "" in words else union(*root)


# Reading a tree with assertions

_Code = tuple[int, ...]  # Symbols, each by its number


class Context(NamedTuple):
    """What is known and owed at a place in the text."""

    behind: frozenset[tuple[int, int]]  # (lookbehind string, how many of its characters are the last ones)
    forbidden: frozenset[_Code]  # strings with which what follows must not begin
    required: frozenset[frozenset[_Code]]  # with one of each of these it must begin


_After = dict[Context, Expression]


class _Assertions:
    """Reads a tree with assertions."""

    def __init__(self, tree: Node, pattern: str, spelling: _Spelling):
        self.tree = tree
        self.pattern = pattern
        self.spelling = spelling
        self._numbers: dict[Characters, int] = {}
        self._behind: dict[_Code, int] = {}
        self._ends: dict[tuple[Node, Context], frozenset[Context]] = {}
        self._moves: dict[tuple[Context, int], Context | None] = {}
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
        nowhere = Context(frozenset(), frozenset(), frozenset())
        start = self._move(nowhere, self._class_of(BEGIN))
        assert start is not None
        ends = self.ends(self.tree, start)
        return self.read(self.tree, start, {end: EPSILON if self._may_end(end) else EMPTY for end in ends})

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


# Python's syntax

#: What has to be found in the text of a pattern, since the parser of `re` keeps no positions.
_CONSTRUCT = re.compile(
    r"\\. | \[\^?\]?(?:\\.|[^\]\\])*\] | \(\?\#[^)]*\) | \(\?<?[=!] | \(\?P= | \(\?\( | \(\?> | \(\?[a-zA-Z-]+:? | [()]"
    r" | [*+?}]\+ | [\^$#]",
    re.VERBOSE | re.DOTALL,
)
_ASSERTIONS = {"^", "$", r"\b", r"\B", r"\A", r"\Z", "(?=", "(?!", "(?<=", "(?<!"}
_TYPE_FLAGS = re.ASCII | re.LOCALE | re.UNICODE
_NOT_REGULAR = (
    "{} are not regular, so no automaton accepts them. Write the alternatives out, or check the result after "
    "generation."
)
#: Before Python 3.14, `\B` doesn't match in an empty text.
_NOT_BOUNDARY_IN_EMPTY_TEXT = re.fullmatch(r"\B", "") is not None


def _places(pattern: str, is_verbose: bool) -> dict[str, list[int]]:
    """Find the positions of assertions, atomic groups, possessive quantifiers and references to groups."""
    places: dict[str, list[int]] = {kind: [] for kind in ("assertion", "atomic", "possessive", "reference")}
    outer: list[bool] = []
    index = 0
    while found := _CONSTRUCT.search(pattern, index):
        token, index = found.group(), found.end()
        if token in _ASSERTIONS:
            places["assertion"].append(found.start())
        elif token == "(?>":
            places["atomic"].append(found.start())
        elif len(token) == 2 and token[1] == "+" and token[0] in "*+?}":
            places["possessive"].append(found.start())
        elif token in ("(?P=", "(?(") or re.match(r"\\[1-9](?![0-7]{2})", pattern[found.start() : index + 2]):
            places["reference"].append(found.start())
        if token == "#" and is_verbose:
            index = (pattern.find("\n", index) + 1) or len(pattern)
        elif token == ")" and outer:
            is_verbose = outer.pop()
        elif token[0] == "(" and token != "(?P=" and token[:3] != "(?#":
            on, _, off = token[2:].partition("-")
            if token[-1] not in ":(=!>" and len(token) > 1 and token[2] != "P":  # (?x), for all that follows
                is_verbose = is_verbose or "x" in on
            outer.append(is_verbose)
            if token[-1] == ":":
                is_verbose = (is_verbose or "x" in on) and "x" not in off
            if token == "(?(":
                index = pattern.find(")", index) + 1
    return places


class _PythonReader:
    """Reads the syntax of `re` through its own parser."""

    def __init__(self, pattern: str, flags: int):
        self.pattern = pattern
        try:
            parsed = sre_parser.parse(pattern, int(flags) & ~re.DEBUG)
        except re.error as error:
            raise PatternError(pattern, error.pos or 0, f"{error.msg}. Correct the pattern.") from None
        except OverflowError:
            raise PatternError(pattern, 0, "a repetition count is too large. Lower it.") from None
        self._places = _places(pattern, bool(flags & re.VERBOSE))
        self._taken = dict.fromkeys(self._places, 0)
        self.tree = self._sequence(parsed, parsed.state.flags)

    def _place(self, kind: str, take: bool = True) -> int:
        """Give the position of the next construct of a kind; of a near one where the parser has merged some."""
        number = self._taken[kind]
        self._taken[kind] += take
        places = self._places[kind]
        return places[min(number, len(places) - 1)] if places else 0

    def _error(self, position: int, problem: str) -> PatternError:
        return PatternError(self.pattern, position, problem)

    def _sequence(self, items: Iterable[tuple[Any, Any]], flags: int) -> Node:
        return sequence([self._item(operation, argument, flags) for operation, argument in items])

    def _item(self, operation: Any, argument: Any, flags: int) -> Node:
        if operation is sre.LITERAL:
            return one_of(self._character(argument, flags))
        if operation is sre.NOT_LITERAL:
            return OneOf(characters.complement(self._character(argument, flags)))
        if operation is sre.IN:
            return one_of(self._class(argument, flags))
        if operation is sre.ANY:
            return OneOf(ALL if flags & re.DOTALL else characters.complement(NEWLINE))
        if operation is sre.BRANCH:
            return Alternatives([self._sequence(branch, flags) for branch in argument[1]])
        if operation is sre.SUBPATTERN:
            _, added, removed, items = argument
            if added & _TYPE_FLAGS:
                flags &= ~_TYPE_FLAGS
            return self._sequence(items, (flags | added) & ~removed)
        if operation is sre.MAX_REPEAT or operation is sre.MIN_REPEAT:
            return self._repeat(argument, flags)
        if operation is sre.AT:
            return self._anchor(argument, flags)
        if operation is sre.ASSERT or operation is sre.ASSERT_NOT:
            return self._lookaround(argument, flags, negated=operation is sre.ASSERT_NOT)
        if operation is sre.GROUPREF:
            raise self._error(self._place("reference"), _NOT_REGULAR.format("back-references"))
        if operation is sre.GROUPREF_EXISTS:
            raise self._error(self._place("reference"), _NOT_REGULAR.format("conditions on a group"))
        if operation is sre.FAILURE:  # (?!)
            self._place("assertion")
            return NEVER
        if str(operation) == "POSSESSIVE_REPEAT":  # these two are unknown to Python 3.10
            low, high, items = argument
            body = self._sequence(items, flags)
            return self._possessive(body, low, _bound(high), self._place("possessive"))
        if str(operation) == "ATOMIC_GROUP":
            return self._atomic(argument, flags)
        raise self._error(0, f"{str(operation).lower()} isn't supported. Write the pattern without it.")

    def _character(self, code_point: int, flags: int) -> Characters:
        members = characters.character(code_point)
        return characters.fold(members, bool(flags & re.ASCII)) if flags & re.IGNORECASE else members

    def _class(self, items: list[tuple[Any, Any]], flags: int) -> Characters:
        ranges = []
        categories = []
        for operation, argument in items:
            if operation is sre.LITERAL:
                ranges.append((argument, argument))
            elif operation is sre.RANGE:
                ranges.append(argument)
            elif operation is sre.CATEGORY:
                categories.append(_category(argument, bool(flags & re.ASCII)))
        members = characters.normalise(ranges)
        if flags & re.IGNORECASE:
            members = characters.fold(members, bool(flags & re.ASCII))
        members = characters.union(members, *categories)
        return characters.complement(members) if items[0][0] is sre.NEGATE else members

    def _repeat(self, argument: Any, flags: int) -> Node:
        low, high, items = argument
        position = self._place("assertion", take=False)
        return repetition(self._sequence(items, flags), low, _bound(high), self.pattern, position)

    def _anchor(self, code: Any, flags: int) -> Node:
        self._place("assertion")
        if code is sre.AT_BEGINNING and flags & re.MULTILINE:
            return Behind([(characters.union(AT_BEGIN, NEWLINE),)])
        if code is sre.AT_BEGINNING or code is sre.AT_BEGINNING_STRING:
            return Behind([(AT_BEGIN,)])
        if code is sre.AT_END and flags & re.MULTILINE:
            return Ahead(None, [(characters.union(NEWLINE, AT_END),)])
        if code is sre.AT_END:
            return Ahead(None, [(AT_END,), (NEWLINE, AT_END)])
        if code is sre.AT_END_STRING:
            return Ahead(None, [(AT_END,)])
        word = characters.word(bool(flags & re.ASCII))
        return boundary(word, code is sre.AT_NON_BOUNDARY, _NOT_BOUNDARY_IN_EMPTY_TEXT)

    def _lookaround(self, argument: Any, flags: int, negated: bool) -> Node:
        direction, items = argument
        position = self._place("assertion")
        body = self._sequence(items, flags)
        if direction > 0:
            return lookahead(body, negated, position)
        if body.width is None:
            raise self._error(
                position,
                "a lookbehind must have a fixed width in Python. Write one for each width, joined by |.",
            )
        return lookbehind(body, negated, self.pattern, position)

    def _atomic(self, items: Any, flags: int) -> Node:
        position = self._place("atomic")
        if len(items) == 1 and items[0][0] is sre.MAX_REPEAT:
            low, high, repeated = items[0][1]
            return self._possessive(self._sequence(repeated, flags), low, _bound(high), position)
        body = self._sequence(items, flags)
        if body.width is None:
            raise self._error(
                position,
                "an atomic group of varying length forgets some ways to match, which isn't supported. Write (?:...) "
                "if no text needs them.",
            )
        return body  # all ways to match end at one place, so none is forgotten

    def _possessive(self, body: Node, low: int, high: int | None, position: int) -> Node:
        """Make a repetition that stops only where its body can't match again."""
        if body.width is not None and (low == high or body.width == 0):
            return repetition(body, low, high, self.pattern, position)
        if body.width is None:
            raise self._error(
                position,
                "a possessive repetition of what varies in length forgets some ways to match, which isn't supported. "
                "Drop the + behind the quantifier if no text needs them.",
            )
        stop = lookahead(body, True, position)
        if high is None:
            return sequence([repetition(body, low, None, self.pattern, position), stop])
        fewer = repetition(body, low, high - 1, self.pattern, position)
        return Alternatives([sequence([fewer, stop]), repetition(body, high, high, self.pattern, position)])


def _bound(high: Any) -> int | None:
    return None if high is sre.MAXREPEAT else int(high)


def _category(code: Any, ascii_only: bool) -> Characters:
    name = str(code).removeprefix("CATEGORY_")
    make = {"DIGIT": characters.digit, "SPACE": characters.space, "WORD": characters.word}
    members = make[name.removeprefix("NOT_")](ascii_only)
    return characters.complement(members) if name.startswith("NOT_") else members


# ECMA-262's syntax

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<low>[0-9]+)(?P<comma>,(?P<high>[0-9]*))?\})\??")
_HEX = {"x": re.compile(r"x([0-9a-fA-F]{2})"), "u": re.compile(r"u(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{4}))")}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_ECMA_CLASSES = {"d": characters.ECMA_DIGIT, "w": characters.ECMA_WORD, "s": characters.ECMA_SPACE}
_ECMA_GROUP = re.compile(r"\((?:\?(?:(?P<look><?[=!])|:|<(?P<name>[\w$]+)>))?")


class _EcmaReader:
    r"""Reads ECMA-262 with the flag `u`, and what the wild has that only its absence allows: `\-`, a lone `{`."""

    def __init__(self, pattern: str, flags: int = 0):
        self.pattern = pattern
        self.index = 0
        self.tree = self._disjunction()
        if self.index < len(pattern):
            raise self._error(self.index, r"this parenthesis closes nothing. Write \) for the character.")

    def _error(self, position: int, problem: str) -> PatternError:
        return PatternError(self.pattern, position, problem)

    def _next(self) -> str:
        return self.pattern[self.index : self.index + 1]

    def _disjunction(self) -> Node:
        branches = [self._alternative()]
        while self._next() == "|":
            self.index += 1
            branches.append(self._alternative())
        return branches[0] if len(branches) == 1 else Alternatives(branches)

    def _alternative(self) -> Node:
        parts = []
        while self._next() not in ("", "|", ")"):
            start = self.index
            part = self._term()
            if quantifier := _QUANTIFIER.match(self.pattern, self.index):
                self.index = quantifier.end()
                part = self._quantified(part, quantifier, start)
            parts.append(part)
        return sequence(parts)

    def _quantified(self, body: Node, quantifier: re.Match[str], start: int) -> Node:
        sign = quantifier.group()[0]
        low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign, (0, None))
        if sign == "{":
            low = int(quantifier["low"])
            high = (
                low
                if quantifier["comma"] is None
                else int(quantifier["high"])
                if quantifier["high"]
                else None
            )
            if high is not None and high < low:
                raise self._error(quantifier.start(), "the least count is above the greatest. Swap them.")
        return repetition(body, low, high, self.pattern, start)

    def _term(self) -> Node:
        start = self.index
        if _QUANTIFIER.match(self.pattern, start):
            raise self._error(start, rf"there is nothing to repeat. Write \{self._next()} for the character.")
        char = self._next()
        if char == "(":
            return self._group()
        self.index += 1
        if char == "[":
            return self._class(start)
        if char == "\\":
            if self._next() in ("b", "B"):
                self.index += 1
                return boundary(characters.ECMA_WORD, negated=self.pattern[start + 1] == "B")
            return one_of(self._escape(start, in_class=False))
        if char == ".":
            return OneOf(characters.complement(characters.ECMA_NEWLINE))
        if char == "^":
            return Behind([(AT_BEGIN,)])
        if char == "$":
            return Ahead(None, [(AT_END,)])
        return one_of(characters.character(ord(char)))

    def _group(self) -> Node:
        start = self.index
        opened = _ECMA_GROUP.match(self.pattern, start)
        assert opened is not None
        self.index = opened.end()
        if self._next() == "?":
            raise self._error(
                start,
                "no group of ECMA-262 begins so. There are (?:...), (?<name>...), (?=...), (?!...), (?<=...) and "
                "(?<!...); flags such as (?i) can't be set inside a pattern.",
            )
        body = self._disjunction()
        if self._next() != ")":
            raise self._error(
                start, r"this parenthesis is never closed. Add ), or write \( for the character."
            )
        self.index += 1
        look = opened["look"]
        if look is None:
            return body
        if look[0] == "<":
            return lookbehind(body, look == "<!", self.pattern, start)
        return lookahead(body, look == "!", start)

    def _class(self, start: int) -> Node:
        is_negated = self._next() == "^"
        self.index += is_negated
        ranges: list[tuple[int, int]] = []
        while (char := self._next()) != "]":
            if not char:
                raise self._error(start, r"this class is never closed. Add ], or write \[ for the character.")
            position = self.index
            low = self._class_atom()
            if self._next() == "-" and self.pattern[self.index + 1 : self.index + 2] not in ("", "]"):
                self.index += 1
                high = self._class_atom()
                if len(low) == len(high) == 1 and low[0][0] == low[0][1] and high[0][0] == high[0][1]:
                    if low[0][0] > high[0][0]:
                        raise self._error(position, "this range is out of order. Swap its ends.")
                    ranges.append((low[0][0], high[0][0]))
                    continue
                ranges.append((0x2D, 0x2D))  # as in [\w-.], which means a hyphen
                ranges.extend(high)
            ranges.extend(low)
        self.index += 1
        members = characters.normalise(ranges)
        return one_of(characters.complement(members) if is_negated else members)

    def _class_atom(self) -> Characters:
        start = self.index
        self.index += 1
        char = self.pattern[start]
        return self._escape(start, in_class=True) if char == "\\" else characters.character(ord(char))

    def _escape(self, start: int, in_class: bool) -> Characters:
        """Read what follows a backslash, as the set of characters that it stands for."""
        char = self._next()
        self.index += 1
        if not char:
            raise self._error(start, r"the pattern ends in a backslash. Write \\ for the character.")
        if char.lower() in _ECMA_CLASSES:
            members = _ECMA_CLASSES[char.lower()]
            return members if char.islower() else characters.complement(members)
        if char in _CONTROLS:
            return characters.character(_CONTROLS[char])
        if char in "pP":
            return self._property(start)
        if char in "xu":
            return characters.character(self._hex(start, char))
        if char == "c" and (letter := self._next()).isascii() and letter.isalpha():
            self.index += 1
            return characters.character(ord(letter) % 32)
        if char == "0" and self._next() not in tuple("0123456789"):
            return characters.character(0)
        if char == "b" and in_class:
            return characters.character(8)
        if not in_class and (char in tuple("123456789") or (char == "k" and self._next() == "<")):
            raise self._error(start, _NOT_REGULAR.format("back-references"))
        if char.isascii() and char.isalnum():
            raise self._error(
                start, rf"\{char} isn't an escape of ECMA-262 here. Write {char} for the character."
            )
        return characters.character(ord(char))

    def _hex(self, start: int, kind: str) -> int:
        found = _HEX[kind].match(self.pattern, start + 1)
        if found is None or int(found[found.lastindex or 1], 16) > 0x10FFFF:
            form = (
                r"two hexadecimal digits, as in \x41"
                if kind == "x"
                else r"a code point, as in \u0041 or \u{1F600}"
            )
            raise self._error(start, rf"\{kind} must be followed by {form}.")
        self.index = found.end()
        code_point = int(found[found.lastindex or 1], 16)
        if 0xD800 <= code_point < 0xDC00 and found.lastindex == 2:  # two escapes may spell one character
            low = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self.pattern, self.index)
            if low:
                self.index = low.end()
                return 0x10000 + ((code_point - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return code_point

    def _property(self, start: int) -> Characters:
        found = re.compile(r"\{(?:(?:General_Category|gc)=)?([\w=]+)\}").match(self.pattern, self.index)
        known = {"Any": ALL, "ASCII": characters.ASCII}
        name = found[1] if found else ""
        try:
            if name == "Assigned":
                members = characters.complement(characters.general_category("Cn"))
            else:
                members = known[name] if name in known else characters.general_category(name)
        except KeyError:
            shown = self.pattern[start : found.end() if found else self.index]
            raise self._error(
                start,
                rf"{shown} isn't a property that is known here: general categories are (\p{{L}}, \p{{Lu}}), and Any, "
                r"ASCII and Assigned. Write its ranges out, as in [\u0370-\u03ff].",
            ) from None
        assert found is not None
        self.index = found.end()
        return members if self.pattern[start + 1] == "p" else characters.complement(members)
