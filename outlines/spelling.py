"""Masks under a vocabulary that can't spell every text: a token is allowed iff tokens can complete what it begins.

By bytes every thread can be finished; by tokens only if some text that finishes it is a concatenation of tokens. That
is asked here of the automaton's threads, against the language of all concatenations. Most constraints never need more
than the bytes that are tokens by themselves; `needs_look` tells which, and these take the usual, faster way.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from outlines.automaton import END, Automaton, Threads
from outlines.constraints.expression import EMPTY, EPSILON, Expression
from outlines.constraints.items import Head, Item, Literal, Repeated, Symbol, WordNode
from outlines.constraints.json_schema.decimals import Decimal
from outlines.constraints.lacking import Remaining
from outlines.constraints.names import FreeNames, Keys, NameTable
from outlines.constraints.recorded import RecordedHead
from outlines.constraints.strings import Text
from outlines.exceptions import EmptyLanguageError, LimitError, shorten
from outlines.trie import ROOT, Trie
from outlines.vocabulary import Vocabulary

__all__ = ["Completions", "Spelling", "find_completions"]

#: Symbols of a constraint that are looked at before it's taken for one that needs a closer look.
_MANY_SYMBOLS = 10_000

#: Steps that one search for a completion may take; some 10 us each.
MAX_SPELLING_STEPS = 150_000

#: Bytes of a text that is remembered, whose copying counts as a step.
_TEXT_STEP = 8

#: What a number may be made of.
_NUMBER_BYTES = b"0123456789.eE+-"

#: Derivatives that are looked at to say which bytes are lacking.
_SHOWN_STATES = 64

#: States of a walk that are kept (1 KB each) before all are forgotten.
_MANY_STATES = 16_384

_UNKNOWN, _NOWHERE = -2, -1


class Spelling:
    """What the tokens of a vocabulary spell when they are put together, as an automaton.

    Its places are the nodes of a trie of the *generators*, the tokens that aren't themselves put together from others;
    at the root a text may end.

    Attributes
    ----------
    single : int
        The class of bytes that are tokens by themselves.
    occurring : int
        The class of bytes that are in some token.
    has_whole_characters : bool
        Whether every token is whole characters in UTF-8.
    """

    def __init__(self, vocabulary: Vocabulary):
        texts = {text for text in vocabulary.tokens if text}
        self.single = sum(1 << text[0] for text in texts if len(text) == 1)
        self.has_whole_characters = all(map(_is_text, texts))
        self.occurring = sum(1 << byte for byte in set(b"".join(texts)))
        self._texts = texts
        self._moves: dict[int, dict[int, tuple[int, ...]]] = {}
        self._many: WeakKeyDictionary[Expression, bool] = WeakKeyDictionary()
        self._remaining = Remaining(self.single, self.has_whole_characters)

    @cached_property
    def _trie(self) -> Trie:
        return Trie.build(sorted(generators(self._texts)))

    def moves(self, place: int) -> dict[int, tuple[int, ...]]:
        """Give the places after each byte that may be read at a place."""
        found = self._moves.get(place)
        if found is None:
            trie = self._trie
            found = self._moves[place] = {
                byte: (*((node,) if trie.children[node] else ()), *((ROOT,) if trie.tokens[node] else ()))
                for byte, node in trie.children[place].items()
            }
        return found

    def needs_look(self, automaton: Automaton) -> bool:
        """Tell whether in a constraint there may be a state that is alive by bytes and not by tokens.

        If not, the bytes that are tokens by themselves complete whatever tokens begin. All symbols are looked at, so
        that a False is certain; a True may be no more than caution.
        """
        seen: set[int] = set()
        looked_at: dict[int, tuple[NameTable, range]] = {}  # declared names, of each table
        stack: list[Symbol] = [automaton.symbols[thread] for thread in automaton.start if thread != END]
        for thread in automaton.start:
            while thread != END:
                stack.append(automaton.symbols[thread])
                thread = automaton.rests[thread]
        while stack:
            symbol = stack.pop()
            if id(symbol) in seen:
                continue
            seen.add(id(symbol))
            if len(seen) > _MANY_SYMBOLS:
                return True
            if isinstance(symbol, Repeated):
                stack.extend(symbol.body)
            elif isinstance(symbol, Item):
                for alternative in automaton.expand(symbol):
                    stack.extend(alternative)
            elif isinstance(symbol, Expression):
                if not self._remaining.is_stuck_free(symbol):
                    return True
            elif isinstance(symbol, Literal):
                if not self._are_single(symbol.text):
                    return True
            elif isinstance(symbol, WordNode):
                if not self._are_single(b"".join(symbol.texts)):
                    return True
            elif isinstance(symbol, Decimal):
                if not self._are_single(_NUMBER_BYTES):
                    return True
            elif isinstance(symbol, Text):
                pattern = symbol.state.pattern
                is_easy = symbol.bounds.is_free and self._remaining.is_stuck_free(pattern)
                if not is_easy and not self._remaining.is_renewable(pattern):
                    return True
            elif isinstance(symbol, Keys):
                if symbol.free is not None and not self._are_easy_names(symbol.free):
                    return True
                if symbol.place is not None and symbol.first <= symbol.last:
                    table = symbol.place.table
                    last = symbol.last
                    known = looked_at.setdefault(id(table), (table, range(last + 1, last + 1)))[1]
                    if not (known.start <= symbol.first and last < known.stop):
                        names = range(min(symbol.first, known.start), max(last + 1, known.stop))
                        looked_at[id(table)] = table, names
                        for name in names:
                            if name in known:
                                continue
                            if not self._are_single(table.literal(name).text):
                                return True
                            stack.extend(table.member(name))
                stack.extend(symbol.free.otherwise() if symbol.free is not None else ())
            else:
                return True
        return False

    def _are_easy_names(self, free: FreeNames) -> bool:
        """Tell whether free names can be completed by single bytes, whichever names are in the way."""
        language = free.language
        return (
            free.is_open
            and any(self.single >> byte & 1 and language.step(byte) is language for byte in range(256))
            and self._remaining.is_stuck_free(language)
        )

    def has_many(self, language: Expression) -> bool:
        """Tell whether tokens spell ever more names: some token may come any number of times, and a quote be written.

        Then the names written before are taken for no hindrance. (They may still be one where a comma or an opening
        quote is only in tokens that have the whole name too.)
        """
        found = self._many.get(language) if self.single >> ord('"') & 1 else False
        if found is None:
            texts = sorted(self._texts, key=len)
            order, known = [language], {language}
            for state in order:
                found = any(_run(state, text) is state for text in texts)
                onward = {_run(state, text) for text in texts} - known - {EMPTY}
                if found or len(order) + len(onward) > _SHOWN_STATES:
                    break
                known |= onward
                order += onward
            self._many[language] = found = bool(found)
        return found

    def _are_single(self, text: bytes) -> bool:
        return all(self.single >> byte & 1 for byte in set(text))


def _run(expression: Expression, text: bytes) -> Expression:
    for byte in text:
        expression = expression.step(byte)
    return expression


def _is_free_end(keys: Keys, byte: int) -> bool:
    """Tell whether a byte ends a free name."""
    return keys.rest.step(byte) is EPSILON and not (
        keys.place is not None and isinstance(keys.place.step(byte), int)
    )


def _first_bytes(symbol: Any) -> set[int]:
    """Give the bytes that a head may read."""
    if isinstance(symbol, Item):
        return set()
    if isinstance(symbol, Expression):
        class_of, targets = symbol.transitions()
        return {byte for byte in range(256) if targets[class_of[byte]] is not EMPTY}
    return {byte for byte in range(256) if symbol.step(byte) is not None}


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def generators(texts: set[bytes]) -> set[bytes]:
    """Give the strings among some that can't be put together from shorter ones of them."""
    kept: set[bytes] = set()
    lengths: list[int] = []
    single = b"".join(text for text in texts if len(text) == 1)
    for text in sorted(texts, key=len):
        size = len(text)
        if size > 1 and not text.translate(None, single):
            continue
        ends = bytearray(size + 1)  # up to which bytes what is kept spells the text
        ends[0] = 1
        for start in range(size):
            if ends[start]:
                for length in lengths:
                    if start + length <= size and text[start : start + length] in kept:
                        ends[start + length] = 1
        if not ends[size]:
            kept.add(text)
            if not lengths or lengths[-1] != size:
                lengths.append(size)
    return kept


def find_completions(automaton: Automaton, vocabulary: Vocabulary) -> Completions | None:
    """Give what tells the states of a constraint that tokens can complete; None where those are all of them.

    Raises
    ------
    EmptyLanguageError
        If tokens spell no text of the constraint at all.
    """
    if not vocabulary.lacking:
        return None
    if vocabulary.spelling is None:
        vocabulary.spelling = Spelling(vocabulary)
    if not vocabulary.spelling.needs_look(automaton):
        return None
    completions = Completions(automaton, vocabulary.spelling, vocabulary.trie)
    if not completions.is_live(automaton.start):
        stuck_at = completions.stuck_at()
        needed = f": no token begins with, or has, any of the bytes {shorten(stuck_at)} where it's needed"
        raise EmptyLanguageError(
            f"this vocabulary's tokens spell no text that satisfies the constraint{needed if stuck_at else ''}. Take a "
            f"type that does without, or a model with a token for every byte; this one lacks {len(vocabulary.lacking)}"
        )
    return completions


class Completions:
    """Which states of a constraint tokens can complete, and the rows of these states.

    Parameters
    ----------
    automaton
        The constraint.
    spelling, trie
        What the vocabulary spells, and the trie of all its tokens.
    """

    def __init__(self, automaton: Automaton, spelling: Spelling, trie: Trie):
        self._automaton = automaton
        self._trie = trie
        self._search = _Search(automaton, spelling)
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[Threads, int] = {}
        self._states: list[Threads] = []
        self._table = np.empty((0, 256), np.int32)
        self._live: list[bool | None] = []

    def is_live(self, threads: Threads) -> bool:
        """Tell whether some sequence of tokens completes the text; each thread is asked for until one can be."""
        return any(thread == END or self._search.has_end(thread, ROOT) for thread in threads)

    def stuck_at(self) -> bytes:
        """Give bytes that the texts looked at so far would go on with, where no token does."""
        return self._search.stuck_at()

    def tokens(self, threads: Threads) -> NDArray:
        """Give the tokens that a state allows: a walk of the trie, with the state after each byte of each token."""
        if len(self._states) > _MANY_STATES:
            self._forget()
        trie = self._trie
        nodes, states = np.zeros(1, np.int64), np.asarray([self._number(threads)])
        allowed: list[NDArray] = []
        while len(nodes):
            parent, child = trie.expand(nodes)
            place = (states[parent], trie.byte[child])
            target = self._table[place]
            unknown = np.flatnonzero(target == _UNKNOWN)
            if len(unknown):
                self._fill(np.unique(place[0][unknown] * 256 + place[1][unknown]))
                target = self._table[place]
            alive = target != _NOWHERE
            child, target = child[alive], target[alive]
            ends = trie.token_start[child] < trie.token_start[child + 1]
            live = np.zeros(len(self._states), bool)
            for number in np.flatnonzero(np.bincount(target[ends])).tolist():
                live[number] = self._is_live_number(number)
            allowed.append(trie.tokens_of(child[ends & live[target]])[0])
            inner = trie.num_children[child] > 0
            nodes, states = child[inner], target[inner]
        return np.concatenate(allowed)

    def _number(self, threads: Threads) -> int:
        threads = tuple(sorted(threads))
        found = self._numbers.get(threads)
        if found is None:
            found = self._numbers[threads] = len(self._states)
            self._states.append(threads)
            self._live.append(None)
            if found >= len(self._table):
                more = np.full((max(16, found), 256), _UNKNOWN, np.int32)
                self._table = np.concatenate((self._table, more))
        return found

    def _fill(self, keys: NDArray) -> None:
        """Find the transitions that a walk has met: state * 256 + byte."""
        step = self._automaton.step
        for key in keys.tolist():
            state, byte = divmod(key, 256)
            threads = step(self._states[state], byte)
            number = self._number(threads) if threads else _NOWHERE  # may make the table anew
            self._table[state, byte] = number

    def _is_live_number(self, number: int) -> bool:
        found = self._live[number]
        if found is None:
            found = self._live[number] = self.is_live(self._states[number])
        return found


class _Search:
    """Completes texts symbol by symbol: which places a text of a symbol leads to, from each place where it begins.

    This is the least fixpoint of Bar-Hillel, Perles and Shamir's construction (1961), on demand: a *node* is a symbol
    (or a whole tail, as its number) at a place, its *tasks* are what it may still be replaced by, and its *ends* the
    places that were found. A node waits for the nodes that its tasks begin with. A search runs the tasks below its goal
    depth first, until the goal has an end or nothing is left to do; what was done is kept for the searches after it.
    """

    def __init__(self, automaton: Automaton, spelling: Spelling):
        self._automaton = automaton
        self._spelling = spelling
        self._nodes: dict[tuple[int, int], int] = {}
        self._symbols: list[Symbol | int] = []  # kept, so that ids stay their own
        self._tasks: list[list[tuple[tuple, int]]] = []
        self._ends: list[dict[int, None]] = []
        self._asked: list[list[int]] = []
        self._waiting: list[list[tuple[int, tuple]]] = []
        self._exhausted: set[int] = set()
        self._hopeless: dict[int, tuple[Symbol | int, bool]] = {}
        self._num_made = 0
        self._occurring = Remaining(spelling.occurring)

    def has_end(self, tail: int, place: int) -> bool:
        """Tell whether what a tail stands for can be spelt from a place on.

        Raises
        ------
        LimitError
            If that takes more than MAX_SPELLING_STEPS.
        """
        goal = self._node(tail, place)
        ends, tasks = self._ends, self._tasks
        seen, stack = {goal}, [goal]
        limit = self._num_made + MAX_SPELLING_STEPS
        while not ends[goal]:
            if not stack:
                self._exhausted |= seen  # all below is done
                return False
            node = stack[-1]
            if not tasks[node]:
                stack.pop()
                for asked in self._asked[node]:  # in an earlier search, which may have left it work
                    if asked not in seen and asked not in self._exhausted:
                        seen.add(asked)
                        stack.append(asked)
                continue
            if self._num_made > limit:
                raise LimitError(
                    "MAX_SPELLING_STEPS",
                    f"whether this vocabulary's tokens can spell a text takes more than {MAX_SPELLING_STEPS} steps; "
                    "bound the counts of the type lower, or use a vocabulary with a token for every byte",
                )
            symbols, at = tasks[node].pop()
            if not symbols:
                if at not in ends[node]:
                    ends[node][at] = None
                    for owner, rest in self._waiting[node]:
                        tasks[owner].append((rest, at))
                        if owner in seen:
                            stack.append(owner)
                continue
            asked = self._node(symbols[0], at)
            rest = symbols[1:]
            self._waiting[asked].append((node, rest))
            self._asked[node].append(asked)
            tasks[node] += [(rest, end) for end in ends[asked]]
            if asked not in seen:
                seen.add(asked)
                if ends[asked]:
                    stack.insert(-1, asked)  # its other ends only where these don't help
                else:
                    stack.append(asked)
        return True

    def _is_hopeless(self, symbol: Symbol | int) -> bool:
        """Tell, at little cost, of a symbol or a tail that each of its texts has a byte that is in no token.

        Else large counts before it would all be gone through.
        """
        chain = []
        tail = symbol
        while isinstance(tail, int) and tail != END and ~tail not in self._hopeless:
            chain.append(tail)
            tail = self._automaton.rests[tail]
        for tail in reversed(chain):
            symbols, rests = self._automaton.symbols, self._automaton.rests
            self._hopeless[~tail] = tail, self._is_hopeless(symbols[tail]) or self._is_hopeless(rests[tail])
        if isinstance(symbol, int):
            return symbol != END and self._hopeless[~symbol][1]
        known = self._hopeless.get(id(symbol))
        if known is None:
            known = self._hopeless[id(symbol)] = symbol, self._find_hopeless(symbol)
        return known[1]

    def _find_hopeless(self, symbol: Symbol) -> bool:
        occurring = self._spelling.occurring
        if isinstance(symbol, Text):
            symbol = symbol.state.pattern
        if isinstance(symbol, Expression):
            return symbol.positive and not self._occurring.completes(symbol)
        if isinstance(symbol, Literal):
            return not all(occurring >> byte & 1 for byte in set(symbol.text[symbol.offset :]))
        return False

    def stuck_at(self) -> bytes:
        """Give bytes that must come somewhere and are in no token, or come between two and begin none."""
        begins = self._spelling.moves(ROOT).keys()
        found: set[int] = set()
        for (_, place), node in self._nodes.items():
            if place == ROOT and not isinstance(self._symbols[node], int):
                found.update(_first_bytes(self._symbols[node]) - begins)
        occurring = {byte for byte in range(256) if self._spelling.occurring >> byte & 1}
        for symbol, is_hopeless in self._hopeless.values():
            if is_hopeless and isinstance(symbol, Literal):
                found.update(set(symbol.text) - occurring)
            elif is_hopeless and isinstance(symbol, Expression):
                order = [symbol]
                for state in order:
                    found.update(_first_bytes(state) - occurring)
                    onward = {state.step(byte) for byte in _first_bytes(state) & occurring} - set(order)
                    order += sorted(onward, key=lambda each: each.serial)[: max(_SHOWN_STATES - len(order), 0)]
        return bytes(sorted(found))

    def _node(self, symbol: Symbol | int, place: int) -> int:
        key = (~symbol if isinstance(symbol, int) else id(symbol), place)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = len(self._symbols)
            self._symbols.append(symbol)
            made = list(self._begin(symbol, place))
            self._num_made += 1 + len(made)
            if isinstance(symbol, Keys | RecordedHead):
                self._num_made += len(symbol.text) // _TEXT_STEP
            self._tasks.append([task for task in made if not any(map(self._is_hopeless, task[0]))])
            self._ends.append({})
            self._asked.append([])
            self._waiting.append([])
        return found

    def _begin(self, symbol: Symbol | int, place: int) -> Iterator[tuple[tuple, int]]:
        """Give what a symbol at a place may be replaced by, what is likely to end soonest last: it's tried first."""
        if isinstance(symbol, int):
            if symbol != END:
                yield (self._automaton.symbols[symbol], self._automaton.rests[symbol]), place
            elif place == ROOT:
                yield (), place
        elif isinstance(symbol, Item):
            for alternative in sorted(self._automaton.expand(symbol), key=len, reverse=True):
                yield alternative, place
        elif isinstance(symbol, Keys) and symbol.free is not None and symbol.place is symbol.seen is None:
            if self._spelling.has_many(symbol.rest):  # then those written before never lack another one
                yield (symbol.rest, *symbol.free.otherwise()), place
            else:
                yield from self._read_head(symbol, place)
        elif isinstance(symbol, Expression):
            yield from self._read_expression(symbol, place)
            if symbol.nullable:
                yield (), place
        else:
            yield from self._read_head(symbol, place)
            if symbol.ended is not None:
                yield symbol.ended, place

    def _read_head(self, symbol: Head, place: int) -> Iterator[tuple[tuple, int]]:
        ended = []
        for byte, places in self._bytes_of(symbol, place):
            outcome = symbol.step(byte)
            if outcome is None:
                continue
            following, under = outcome
            if following is None and isinstance(symbol, Keys) and _is_free_end(symbol, byte):
                assert symbol.free is not None
                under = under if not self._spelling.has_many(symbol.free.language) else symbol.free.otherwise()
            if following is None:
                ended += [(under, after) for after in places]
            else:
                yield from (((following, *under), after) for after in places)
        yield from ended

    def _read_expression(self, expression: Expression, place: int) -> Iterator[tuple[tuple, int]]:
        class_of, targets = expression.transitions()
        nullable = []
        for number, places in {(class_of[byte], places) for byte, places in self._spelling.moves(place).items()}:
            target = targets[number]
            if target is EMPTY:
                continue
            for after in places:
                if target.nullable:
                    nullable.append((() if target is EPSILON else (target,), after))
                else:
                    yield (target,), after
        yield from nullable

    def _bytes_of(self, head: Head, place: int) -> list[tuple[int, tuple[int, ...]]]:
        """Give bytes that a head may read at a place and where they lead: one for all that it treats alike."""
        moves = self._spelling.moves(place)
        if isinstance(head, Literal):
            byte = head.text[head.offset] if head.is_open else -1
            return [(byte, moves[byte])] if byte in moves else []
        if isinstance(head, WordNode):
            return [(byte, moves[byte]) for byte in head.children().keys() & moves.keys()]
        if isinstance(head, Text):
            class_of, _ = head.state.transitions()
            alike = {(class_of[byte], places): byte for byte, places in moves.items()}
            return [(byte, places) for (_, places), byte in alike.items()]
        return list(moves.items())
