"""What a head reaches from a place in the vocabulary trie: the work that looks at the whole vocabulary.

It depends on the head alone and not on what follows it, so it's done once a head and vocabulary, for all constraints:
the tokens that stay inside the head or end with it, and the *exits*, the places within tokens where the head ends and
something else must go on. Exits are merged into one trie node, from which a tail goes on.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from outlines.constraints.expression import (
    ALL_BYTES,
    EMPTY,
    Expression,
    alternatives,
    byte_class,
    flags_of,
    mask_of,
    spine,
    split,
    union,
)
from outlines.constraints.expression import counts as repetition
from outlines.constraints.json_schema.text import ANY_TEXT, QUOTE, STRING_REST
from outlines.constraints.loops import (
    bytes_of,
    character_step,
    code_of,
    cut_counts,
    ends_within,
    loop_of,
    shortest,
    without_bytes,
)
from outlines.constraints.strings import TextBounds, TextState
from outlines.rows import Base, bases_and_list, bases_of_nodes, pack
from outlines.spread import CharacterRun, Leaving, Run, Spread, Start, State, StateNumbers, join, spread
from outlines.trie import ROOT, Lazy, Trie
from outlines.vocabulary import Vocabulary

__all__ = ["HeadTables", "Judged", "Reach", "TextReach"]

#: Bytes that a class must have for the walk along it to be kept and shared.
_WIDE_CLASS = 10

#: Key of all tokens in `TextReach.inside`.
_ALL = (-2,)

_FIRST_UTF8_BYTE = 0x80

#: A run along characters is left where fewer nodes than this are left of it: a look at all characters costs more.
_FEW_NODES = 64

#: Stands for None in a table of characters.
NO_CHARACTERS = EMPTY

_QUOTE = ord('"')


class Reach:
    """What an expression reaches from a node: tokens inside (as base rows and a list), and the merged exit."""

    __slots__ = ("bases", "tokens", "_exits", "_trie", "_exit")

    def __init__(
        self, trie: Trie, bases: tuple[Base, ...], tokens: tuple[int, ...], exits: NDArray | Callable[[], NDArray]
    ):
        self.bases = bases
        self.tokens = tokens
        self._exits = exits
        self._trie = trie
        self._exit: int | None = -1  # not merged yet

    @property
    def exits(self) -> NDArray:
        """Places within tokens, or at their ends, where the head may end; looked for when first asked for."""
        if callable(self._exits):
            self._exits = self._exits()
        return self._exits

    @property
    def exit(self) -> int | None:
        """Node from which the tail goes on within a token; None where no token reaches past the head."""
        if self._exit == -1:
            self._exit = self._trie.merge(self.exits)
        return self._exit


class TextReach:
    """What the rest of a JSON string reaches from a node, by the number of characters read.

    A token inside has so many characters begun; a *closer* ends with the closing quote after so many; below the exit,
    `exit_counts_of` tells for each token how many may stand before its quote.
    """

    __slots__ = (
        "closers", "exit", "exit_counts_of", "groups", "exits", "exit_counts", "_num_words", "_inside", "_bounds",
        "_low", "_high",
    )  # fmt: skip

    def __init__(
        self, trie: Trie, groups: list[tuple[State, NDArray, NDArray]], exits: NDArray, exit_counts: NDArray,
        num_words: int,
    ):  # fmt: skip
        self.groups = [(s, t, c) for s, t, c in groups if isinstance(s, TextState) and len(t)]  # tokens by counts
        self.exits, self.exit_counts = exits, exit_counts
        closing, origin = trie.tokens_of(exits)
        self.closers = list(zip(closing.tolist(), exit_counts[origin].tolist(), strict=True))
        self.exit = trie.merge(exits)
        self.exit_counts_of: dict[int, tuple[int, ...]] = {}  # several, where the walk began at a merged node
        nodes, counts = exits, exit_counts
        while len(nodes):
            parent, nodes = trie.expand(nodes)
            counts = counts[parent]
            below, origin = trie.tokens_of(nodes)
            for token, count in zip(below.tolist(), counts[origin].tolist(), strict=True):
                known = self.exit_counts_of.get(token, ())
                self.exit_counts_of[token] = known if count in known else (*known, count)
        self._num_words = num_words
        self._inside: dict[tuple[int, ...], tuple[tuple[Base, ...], tuple[int, ...]]] = {}
        self._bounds: TextBounds | None = None
        self._low = self._high = 0

    def inside(self, low: int, high: int | None, bounds: TextBounds) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens after which `low` to `high` characters in all are still possible."""
        if bounds is not self._bounds:  # between which bounds all tokens are allowed
            self._bounds = bounds
            ends = [(bounds.shortest(state), counts) for state, _, counts in self.groups]
            self._low = min((shortest + int(counts[0]) for shortest, counts in ends), default=0)
            self._high = max((shortest + int(counts[-1]) for shortest, counts in ends), default=0)
        is_all = low <= self._low and (high is None or high >= self._high)
        key = _ALL if is_all else tuple(self._pieces(low, high, bounds))
        found = self._inside.get(key)
        if found is None:
            found = self._inside[key] = self._collect(key)
        return found

    def _pieces(self, low: int, high: int | None, bounds: TextBounds) -> list[int]:
        pieces: list[int] = []  # of each group, the positions from and to which its tokens are allowed
        for state, _, counts in self.groups:
            most = int(counts[-1])
            for count in range(int(counts[0]), most + 1):
                left = None if high is None else high - count
                if left is not None and left < 0:
                    break
                if bounds.allows(state, max(low - count, 0), left):
                    if bounds.is_free and (high is None or high >= most):
                        pieces += (count, most)  # with any length possible, what holds for one holds for the next
                        break
                    pieces += (count, count)
            pieces.append(-1)
        return pieces

    def _collect(self, pieces: tuple[int, ...]) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        if pieces is _ALL:
            every = [tokens for _, tokens, _ in self.groups]
            return bases_and_list(np.concatenate(every) if every else np.zeros(0, np.int64), self._num_words)
        place, chosen = 0, []
        for _, tokens, counts in self.groups:
            while pieces[place] != -1:
                first, last = pieces[place], pieces[place + 1]
                low, high = np.searchsorted(counts, (first, last + 1))
                chosen.append(tokens[low:high])
                place += 2
            place += 1
        return bases_and_list(np.concatenate(chosen) if chosen else np.zeros(0, np.int64), self._num_words)


class Walk(NamedTuple):
    """A walk that begins along one class of bytes, of which every byte leads on to the same state."""

    run: Run | None  # None if there's no such class: then all is in `others`
    inside: list[tuple[int, int, State]]  # the state that lengths from the first to the second lead to
    others: Spread
    big: list[tuple[int, State, int]]  # nodes with much below, from where what is known is taken; state and count

    @property
    def longest(self) -> int:
        return self.inside[-1][1] if self.inside else 0


class Judged:
    """Tokens that can't be judged by where they leave a head alone, since what they hold may repeat what was written.

    `children` has those children of a node at or below which there's such a token; `below` all such tokens below it.
    """

    __slots__ = ("tokens", "children", "_trie", "_nodes", "_below")

    def __init__(self, trie: Trie, texts: Sequence[bytes | None], pattern: re.Pattern[bytes]):
        self.tokens = frozenset(token for token, text in enumerate(texts) if text and pattern.search(text))
        self._nodes: set[int] = set()
        for token in self.tokens:
            at = int(trie.token_node[token])
            while at not in self._nodes:
                self._nodes.add(at)
                at = int(trie.parent[at])
        self._trie = trie
        self.children: Mapping[int, dict[int, int]] = Lazy(self._find_children)
        self._below: dict[int, frozenset[int]] = {}

    def _find_children(self, node: int) -> dict[int, int]:
        members, nodes = self._trie.members, self._nodes
        if nodes.isdisjoint(members(node)):
            return {}
        found = self._trie.children[node].items()
        return {byte: below for byte, below in found if not nodes.isdisjoint(members(below))}

    def below(self, node: int) -> frozenset[int]:
        """Give the tokens below a node."""
        if node == ROOT:
            return self.tokens
        found = self._below.get(node)
        if found is None:
            tokens: set[int] = set()
            stack = [node]
            while stack:
                for below in self.children[stack.pop()].values():
                    tokens.update(token for token in self._trie.tokens[below] if token in self.tokens)
                    stack.append(below)
            found = self._below[node] = frozenset(tokens)
        return found


#: A comma, and after it a name from quote to quote, which may be one that was written before.
_REPEATING = re.compile(rb',.*".*"', re.DOTALL)
#: The same after the colon of the name before: for the name being read; and where its beginning alone may be wrong.
_RENAMING = re.compile(rb':.*,.*".*"', re.DOTALL)
_RESUMING = re.compile(rb':.*,.*"', re.DOTALL)
_SEPARATING = re.compile(rb",")
#: The same by the first byte of the element, where that tells its last one.
_CLOSING = {
    begin: re.compile(b"".join((re.escape(end), b".*,")), re.DOTALL)
    for begin, end in ((b'"', b'"'), (b"{", b"}"), (b"[", b"]"))
}


class HeadTables:
    """All that is known of heads under one vocabulary, shared by its constraints.

    Attributes
    ----------
    num_bytes : int
        Memory of what is kept, as an upper estimate: what only freed patterns needed is gone but still counted.
    """

    def __init__(self, vocabulary: Vocabulary):
        self._tokens = vocabulary.tokens
        self._judged: dict[re.Pattern[bytes], Judged] = {}
        self.trie = vocabulary.trie
        self.num_tokens = vocabulary.num_tokens
        self.num_words = vocabulary.num_words
        self._reaches: weakref.WeakKeyDictionary[Expression, dict[int, Reach]] = weakref.WeakKeyDictionary()
        self._classes: weakref.WeakKeyDictionary[State, bytes] = weakref.WeakKeyDictionary()
        self._loops: weakref.WeakKeyDictionary[Expression, bytearray] = weakref.WeakKeyDictionary()
        self._runs: dict[tuple[int, bytes], Run] = {}
        self._character_runs: weakref.WeakKeyDictionary[Expression, dict[int, Run]] = weakref.WeakKeyDictionary()
        self._cuts: weakref.WeakKeyDictionary[Expression, Expression] = weakref.WeakKeyDictionary()
        self._longest_of: weakref.WeakKeyDictionary[Expression, int] = weakref.WeakKeyDictionary()
        self._characters: weakref.WeakKeyDictionary[Expression, Expression] = weakref.WeakKeyDictionary()
        self._starts_of: dict[tuple[int, int, int], int] = {}
        self._any_texts: dict[int, tuple[tuple[Base, ...], tuple[int, ...]]] = {}
        self.num_bytes = 0

    @property
    def repeating(self) -> Judged:
        """Tokens that go on from one member to the next, and hold its name."""
        return self._judge(_REPEATING)

    @property
    def renaming(self) -> Judged:
        """Tokens that end a name, go on to the next member, and hold its name."""
        return self._judge(_RENAMING)

    @property
    def resuming(self) -> Judged:
        """Tokens that end a name, go on to the next member, and begin its name."""
        return self._judge(_RESUMING)

    def separating(self, begin: bytes) -> Judged:
        """Tokens that may end an element, of which the first byte is given where known, and begin another one."""
        return self._judge(_CLOSING.get(begin, _SEPARATING))

    def _judge(self, pattern: re.Pattern[bytes]) -> Judged:
        found = self._judged.get(pattern)
        if found is None:
            found = self._judged[pattern] = Judged(self.trie, self._tokens, pattern)
        return found

    def reach(self, node: int, expression: Expression) -> Reach:
        """Give what an expression reaches from a node, the node itself excluded."""
        cut = self._cut(expression)
        if cut is not expression:
            return self.reach(node, cut)
        by_node = self._reaches.get(expression)
        if by_node is None:
            by_node = self._reaches[expression] = {}
        found = by_node.get(node)
        if found is None:
            found = by_node[node] = self._find_reach(node, expression)
            self.num_bytes += 4 * self.num_words * len(found.bases)
        return found

    def _cut(self, expression: Expression) -> Expression:
        """Give the expression with its counts cut at what tokens can reach."""
        found = self._cuts.get(expression)
        if found is None:
            found = cut_counts(expression, self._longest)
            # a table must not keep what it's about: EMPTY, which nobody asks for, stands for the expression itself
            self._cuts[expression] = EMPTY if found is expression else found
            return found
        return expression if found is EMPTY else found

    def _longest(self, body: Expression, enough: int) -> int:
        """Give the most times that texts of a language stand one after another within a token, or up to `enough`."""
        found = self._longest_of.get(body)
        if found is None:
            at_most = (len(self.trie.levels) - 1) // max(shortest(body), 1) + 1
            if at_most <= enough:
                return at_most
            found = self._longest_of[body] = self._find_longest(body)
        return found

    def _find_longest(self, body: Expression) -> int:
        inside = bytes_of(body)
        _, targets = body.transitions()
        first, second = body.first_bytes(), 0
        for target in targets:
            if target is not EMPTY:
                second |= ALL_BYTES if target.nullable else target.first_bytes()
        num_starts = self._most_starts(inside, first, second)
        fewest = 1 if any(target.nullable for target in targets) else shortest(body)
        if fewest == 1:  # one byte may be all of it
            return num_starts
        return min(self._most_starts(inside, ALL_BYTES, ALL_BYTES) // max(fewest, 1) + 1, num_starts)

    def _most_starts(self, inside: int, first: int, second: int) -> int:
        key = (inside, first & inside, second & inside)
        found = self._starts_of.get(key)
        if found is None:
            found = self._starts_of[key] = self.trie.most_starts(*map(_flags, key))
        return found

    def text_reach(self, node: int, state: TextState) -> TextReach:
        """Give what the rest of a JSON string reaches from a node, with its characters counted."""
        by_node = state.reached.get(self)
        if by_node is None:
            by_node = state.reached[self] = {}
        found: TextReach | None = by_node.get(node)
        if found is None:
            found = by_node[node] = self._find_text_reach(node, state)
            self.num_bytes += sum(8 * len(tokens) for _, tokens, _ in found.groups)
        return found

    def may_close(self, node: int) -> bool:
        """Tell whether a token has a quote below a node: elsewhere no name can end."""
        flags = self.trie.above_quotes
        return any(flags[n] for n in self.trie.members(node))

    def staying(self, expression: Expression) -> bytearray | None:
        """Give a flag a token: whether the expression certainly is the same after it. None where not known."""
        return self._loops.get(expression)

    def _find_reach(self, node: int, expression: Expression) -> Reach:
        if _is_unanchored_string(expression):
            return self._find_unanchored(node, expression)
        for way in alternatives(expression):
            loop = loop_of(way)
            if loop is not None and loop is not expression and ends_within(way, loop) is not None:
                return self._find_around(node, expression, loop)
        return self._find_plain(node, expression)

    def _find_around(self, node: int, expression: Expression, loop: Expression) -> Reach:
        """Any text of a loop keeps an expression alive: what adds nothing to the loop need not be walked."""
        inside = self.reach(node, loop)
        bases, tokens = inside.bases, inside.tokens
        others = [way for way in alternatives(expression) if ends_within(way, loop) is None]
        if others:
            beside = self.reach(node, union(*others))
            bases, tokens = bases + beside.bases, tokens + beside.tokens
        reference = weakref.ref(expression)  # the table must not keep what it's about

        def exits() -> NDArray:
            alive = reference()
            assert alive is not None, "only who holds a head asks for its exits"
            return self._find_plain(node, alive).exits

        return Reach(self.trie, bases, tokens, exits)

    def _find_plain(self, node: int, expression: Expression) -> Reach:
        trie = self.trie
        walk = self.walk(node, expression, StateNumbers())
        reached = walk.others.nodes
        bases, tokens = bases_of_nodes(trie, reached, self.num_words)
        exits = [reached[walk.others.is_exit]]
        if walk.run is not None:
            run_bases, run_tokens = walk.run.upto(walk.longest)
            bases, tokens = run_bases + bases, run_tokens + tokens
            exits += [walk.run.nodes_at(first, last) for first, last, state in walk.inside if state.nullable]
            if node == ROOT and walk.inside and walk.inside[0][2] is expression:
                self._loops[expression] = walk.run.staying
        for big, state, _ in walk.big:
            assert isinstance(state, Expression)
            below = self.reach(big, state)
            bases, tokens = bases + below.bases, tokens + below.tokens
            exits.append(below.exits)
        return Reach(trie, bases, tokens, np.concatenate(exits))

    def _find_unanchored(self, node: int, expression: Expression) -> Reach:
        """Any text keeps such a string alive: tokens inside are those of any string, and only ends are looked for."""
        trie = self.trie
        exits: list[int] = []
        stack: list[tuple[int, Expression]] = [(node, expression)]
        while stack:
            at, state = stack.pop()
            for byte, child in trie.children[at].items():
                if byte == _QUOTE or self.may_close(child):
                    target = state.step(byte)
                    if target is EMPTY:
                        continue
                    if target.nullable:
                        exits.extend(trie.members(child))
                    else:
                        stack.append((child, target))
        places = np.asarray(exits, np.int64)
        bases, tokens = self._any_text(node)
        return Reach(trie, bases, tokens + tuple(trie.tokens_of(places)[0].tolist()), places)

    def _any_text(self, node: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give the tokens below a node that stay inside a JSON string."""
        found = self._any_texts.get(node)
        if found is None:
            reach = self.reach(node, STRING_REST)
            closing = self.trie.tokens_of(reach.exits)[0]
            taken = set(closing.tolist())
            cleared = pack(closing, self.num_words)
            bases = tuple(Base(base.words & ~cleared) for base in reach.bases)
            found = self._any_texts[node] = bases, tuple(token for token in reach.tokens if token not in taken)
        return found

    def _find_text_reach(self, node: int, state: TextState) -> TextReach:
        numbers = StateNumbers()
        trie = self.trie
        walk = self.walk(node, state, numbers)
        groups: list[tuple[State, NDArray, NDArray]] = []
        if walk.run is not None:
            run_tokens, lengths = walk.run.tokens_and_lengths
            for first, last, at in walk.inside:
                low, high = np.searchsorted(lengths, (first, last + 1))
                groups.append((at, run_tokens[low:high], lengths[low:high]))
        nodes, counts, states, is_exit = walk.others
        exits, exit_counts = [nodes[is_exit]], [counts[is_exit]]
        tokens, origin = trie.tokens_of(nodes[~is_exit])
        counts, states = counts[~is_exit][origin], states[~is_exit][origin]
        order = np.lexsort((counts, states))
        cuts = np.flatnonzero(np.diff(states[order])) + 1
        for group in np.split(order, cuts) if len(order) else []:
            groups.append((numbers.states[int(states[group[0]])], tokens[group], counts[group]))
        for big, at, count in walk.big:
            assert isinstance(at, TextState)
            below = self.text_reach(big, at)
            groups += [(end, tokens, counts + count) for end, tokens, counts in below.groups]
            exits.append(below.exits)
            exit_counts.append(below.exit_counts + count)
        return TextReach(trie, groups, np.concatenate(exits), np.concatenate(exit_counts), self.num_words)

    # Walks

    def walk(self, node: int, start: State, numbers: StateNumbers) -> Walk:
        """Walk along the class of bytes that leads on to one state, and on to one from there, for as long as it does.

        Where a text is counted, the bytes of the class must be whole characters.
        """
        members = np.asarray(self.trie.members(node))
        body = self._first_characters(start)
        byte_flags = b"" if body is not None else self._first_class(start)
        if body is None and not byte_flags:
            begin = [Start(members, start, np.zeros(len(members), np.int64))]
            kept: list[tuple[int, State, int]] = []
            return Walk(None, [], spread(self.trie, begin, numbers, self._is_counted, kept), kept)
        along = byte_flags if body is None else body
        run = self._run(node, along)
        counted = _counted(start, along)
        if counted is None:
            inside, left, onward = self._go_along(run, members, start, along, numbers)
        else:  # nothing but the class until it has been read often enough, and then only what follows
            low, high, rest = counted
            most = run.at_most if high is None else min(high, run.at_most)
            inside = [(1, min(low - 1, most), EMPTY)] if low > 1 and most else []
            if max(low, 1) <= most:
                inside.append((max(low, 1), most, start if low == 0 and high is None else rest))
            left, onward = [], []
            self._leave(run.leaving, run.outside, rest, low, most, numbers, left, onward)
        big = self._take_big(onward)
        left.append(spread(self.trie, onward, numbers, self._is_counted, big))
        return Walk(run, inside, join(left), big)

    def _go_along(
        self, run: Run, members: NDArray, start: State, along: bytes | Expression, numbers: StateNumbers
    ) -> tuple[list[tuple[int, int, State]], list[Spread], list[Start]]:
        """Go on along a class from state to state.

        Gives the states that lengths lead to, the places where tokens leave, and from where to walk on.
        """
        inside: list[tuple[int, int, State]] = []
        left: list[Spread] = []
        onward: list[Start] = []
        state, length = start, 0
        while True:
            parting = 0
            if isinstance(along, bytes):
                following = _common_target(state, along)
            else:
                assert isinstance(state, Expression), "only expressions begin with characters"
                step = character_step(state, along)
                following = None if step is None or step.exceptions else step.target
                parting = 0 if step is None else step.parting
            is_loop = following is state
            if length > 0 and not is_loop and run.num_from(length) < _FEW_NODES:
                following = None
            if following is None:  # the class parts, or few are left: go on from here node by node
                nodes = run.nodes_at(length, length) if length else members
                onward.append(Start(nodes, state, np.full(len(nodes), length)))
                return inside, left, onward
            last = run.longest if is_loop else length
            self._leave(run.leaving, run.outside, state, length, last, numbers, left, onward)
            if parting:
                self._leave(run.leads, parting, state, length, last, numbers, left, onward)
            if is_loop and run.longest > length:
                inside.append((length + 1, run.longest, state))
            if is_loop or following is EMPTY or length == run.longest:
                return inside, left, onward
            state, length = following, length + 1
            inside.append((length, length, state))

    def _is_counted(self, state: State) -> bool:
        """Tell whether a walk from a state is that along one class of bytes or characters, and what follows."""
        along = self._first_characters(state) or self._first_class(state)
        return bool(along) and _counted(state, along) is not None

    def _take_big(self, onward: list[Start]) -> list[tuple[int, State, int]]:
        """Take the nodes with much below out of what is walked."""
        found: list[tuple[int, State, int]] = []
        big_nodes = self.trie.big_nodes
        for i, (nodes, state, counts) in enumerate(onward):
            listed = nodes.tolist()
            places = [place for place, node in enumerate(listed) if node in big_nodes]
            if places and self._first_class(state):
                found += [(listed[place], state, int(counts[place])) for place in places]
                onward[i] = Start(np.delete(nodes, places), state, np.delete(counts, places))
        return found

    def _run(self, node: int, along: bytes | Expression) -> Run:
        """Give the run from a node along a class of bytes, or a set of characters, made once."""
        runs: dict[Any, Run]
        key: Any
        make: Any
        if isinstance(along, bytes):
            runs, key, make = self._runs, (node, along), Run
        else:
            runs, key, make = self._character_runs.setdefault(along, {}), node, CharacterRun
        run = runs.get(key)
        if run is None:
            run = runs[key] = make(self.trie, node, along, self.num_words)
            self.num_bytes += run.num_bytes
        return run

    def _leave(
        self, leaving: Mapping[int, Leaving], among: int, state: State, shortest: int, longest: int,
        numbers: StateNumbers, left: list[Spread], onward: list[Start],
    ) -> None:  # fmt: skip
        """Take the nodes where tokens leave the class after `shortest` to `longest` bytes of it, all in one state.

        They leave with a byte of the class `among`.
        """
        class_of, targets = state.transitions()
        is_counted = isinstance(state, TextState)
        live = mask_of(class_of, [i for i, target in enumerate(targets) if target is not EMPTY]) & among
        while live:
            byte = live.bit_length() - 1
            live ^= 1 << byte
            found = leaving.get(byte)
            if found is None:
                continue
            nodes, lengths, starts = found
            target = targets[class_of[byte]]
            most = len(starts) - 1
            first, last = starts[min(shortest, most)], starts[min(longest + 1, most)]
            if first >= last:
                continue
            nodes, lengths = nodes[first:last], lengths[first:last]
            counts = lengths + 1 if is_counted and not target.nullable else lengths
            size = len(nodes)
            left.append(Spread(nodes, counts, np.full(size, numbers.of(target)), np.full(size, target.nullable)))
            onward.append(Start(nodes, target, counts))

    def _first_characters(self, state: State) -> Expression | None:
        """Give the characters that lead on to one state, if an expression begins with repetitions of such."""
        if not isinstance(state, Expression):
            return None
        found = self._characters.get(state)
        if found is None:
            body = code_of(state)
            found = NO_CHARACTERS if body is None else _common_characters(state, body)
            self._characters[state] = found
        return None if found is NO_CHARACTERS else found

    def _first_class(self, state: State) -> bytes:
        """Give the largest class of bytes that leads on to one state, as 256 flags; b"" if none is wide."""
        found = self._classes.get(state)
        if found is None:
            found = b""
            class_of, targets = state.transitions()
            if not isinstance(state, TextState) or state.is_start:
                sizes = [
                    0 if target is EMPTY or (target.nullable and isinstance(state, TextState)) else class_of.count(i)
                    for i, target in enumerate(targets)
                ]
                largest = max(range(len(sizes)), key=sizes.__getitem__)
                target = targets[largest]
                if sizes[largest] >= _WIDE_CLASS and not (isinstance(target, TextState) and not target.is_start):
                    flags = bytearray(256)
                    flags[largest] = 1
                    found = class_of.translate(flags)
                    if 1 not in found[:_FIRST_UTF8_BYTE]:  # continuations within a character: each state has its own
                        found = b""
            self._classes[state] = found
        return found


def _flags(mask: int) -> NDArray:
    """Give a class of bytes as 256 flags."""
    return np.frombuffer(flags_of(mask), bool)


def _is_unanchored_string(expression: Expression) -> bool:
    """Tell whether this is the rest of a JSON string that any text keeps alive.

    Only strings are spelt with ANY_TEXT; beside one, whatever else ends with its closing quote is a string too.
    """
    if expression is STRING_REST:
        return False
    spines = [spine(part) for part in alternatives(expression)]
    return any(parts[0] is ANY_TEXT for parts in spines) and all(parts[-1] is QUOTE for parts in spines)


def _common_characters(expression: Expression, body: Expression) -> Expression:
    """Give the characters of a set that lead on to one state, if all of several bytes are among them."""
    step = character_step(expression, body)
    if step is None or step.target is EMPTY:
        return NO_CHARACTERS
    return without_bytes(body, step.exceptions) if step.exceptions else body


def _counted(state: State, along: bytes | Expression) -> tuple[int, int | None, Expression] | None:
    """Give the bounds and the rest of `x{2,9}y` where x is the class of a run, and y begins otherwise; else None."""
    if not isinstance(state, Expression):
        return None
    lead, rest = split(state)
    repeated = repetition(lead)
    if repeated is None:
        return None
    body, low, high = repeated
    if isinstance(along, bytes):
        mask = mask_of(along, [1])
        return (low, high, rest) if body is byte_class(mask) and not rest.first_bytes() & mask else None
    if body is not along:
        return None
    return (low, high, rest) if character_step(rest, along) == (EMPTY, 0, 0) else None


def _common_target(state: State, byte_flags: bytes) -> State | None:
    """Give the state that all bytes of a class lead to, EMPTY included; None if they part."""
    class_of, targets = state.transitions()
    first = class_of[byte_flags.index(1)]
    if isinstance(state, TextState) and not state.is_start:
        return None
    flags = bytearray(256)
    flags[first] = 1
    reached = class_of.translate(flags)
    if int.from_bytes(byte_flags, "big") & ~int.from_bytes(reached, "big"):
        return None
    target = targets[first]
    if isinstance(target, TextState) and not target.is_start:
        return None
    return target
