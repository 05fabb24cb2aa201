"""Rows and transitions of a constraint under a vocabulary, made as sequences meet them.

A state is one int32. Its row is the packed mask of the tokens that it allows: the base rows of its heads, which are
the vocabulary's, and the few tokens that reach past a head's exit into the tail. A transition is by token. What was
found once is kept, so a warm step is two dictionary lookups.
"""

from __future__ import annotations

import itertools
from collections.abc import Set
from weakref import WeakMethod

import numpy as np

from outlines.automaton import END, Automaton, HeadSymbol, Threads
from outlines.constraints.cfg.machine import Place
from outlines.constraints.expression import Expression
from outlines.constraints.items import Head, Literal, SpecialToken, Symbols, WordNode
from outlines.constraints.names import KeyPlace, Keys
from outlines.constraints.recorded import RecordedHead
from outlines.constraints.strings import Text
from outlines.exceptions import LimitError
from outlines.races import Races
from outlines.reach import HeadTables, Judged, Reach
from outlines.rows import Base, Words, bases_and_list, pack, unpack
from outlines.sharing import LOCK
from outlines.spelling import find_completions
from outlines.trie import ROOT
from outlines.vocabulary import WORD_BITS, Vocabulary

__all__ = ["DEAD", "FINISHED", "UNCONSTRAINED", "Tables"]

DEAD, FINISHED, UNCONSTRAINED = 0, 1, 2
_FIRST_STATE = 3
_LAST_STATE = 2**31 - 1

_QUOTE = ord('"')

#: Bytes of dense rows that one constraint keeps; then it forgets them all and makes again what is asked for.
ROW_BUDGET_BYTES = 32 * 2**20

#: Bytes of what is known of heads under one vocabulary; beyond it a new constraint begins afresh.
HEAD_BUDGET_BYTES = 64 * 2**20

#: What a walk found: base rows, and further tokens.
_Found = tuple[tuple[Base, ...], tuple[int, ...]]

_NOTHING: _Found = ((), ())

_state_numbers = itertools.count(_FIRST_STATE)


class Tables:
    """States, rows and transitions of one constraint.

    Parameters
    ----------
    start
        The symbols that a whole text must match.
    vocabulary
        The tokens.
    owns_symbols
        Whether nobody else uses the symbols, so that they may be let go with this.
    """

    def __init__(self, start: Symbols, vocabulary: Vocabulary, *, owns_symbols: bool = False):
        self._owns_symbols = False  # until all is well
        self.vocabulary = vocabulary
        with LOCK:
            heads = vocabulary.head_tables
            if heads is None or heads.num_bytes > HEAD_BUDGET_BYTES:  # constraints that use the old ones keep them
                vocabulary.head_tables = HeadTables(vocabulary)
            self._heads: HeadTables = vocabulary.head_tables
            self._trie = vocabulary.trie
            self._num_tokens = vocabulary.num_tokens
            self._eos = frozenset(vocabulary.eos_token_ids)
            self._automaton = Automaton(start)
            self._states: dict[Threads, int] = {}
            self._threads: dict[int, Threads] = {}
            self._transitions: dict[int, int] = {}
            self._rows: dict[int, Words] = {}
            self._distinct_rows: dict[tuple, Words] = {}
            self._reaches: dict[tuple[int, HeadSymbol], Reach] = {}
            self._cleared_bases: dict[tuple[Base, frozenset[int]], Base] = {}
            self._walks: dict[int, _Found] = {}
            self._names: dict[tuple[int, KeyPlace], list[tuple[int, KeyPlace, int]]] = {}
            self._declared: dict[tuple[int, WordNode], list[tuple[int, WordNode]]] = {}
            self._races = Races(self._heads, self._automaton.push, WeakMethod(self._walk))
            self._row_limit = max(64, ROW_BUDGET_BYTES // (4 * vocabulary.num_words))
            self._stays: dict[int, bytearray] = {}  # of states that many tokens don't change: a flag a token
            self._completions = find_completions(self._automaton, vocabulary)
            self.start_state = self._state(self._automaton.start)
        self._owns_symbols = owns_symbols

    def __del__(self) -> None:
        """Free the symbols at once: they lead back to each other."""
        if self._owns_symbols:
            for symbol in self._automaton.symbols:
                if not isinstance(symbol, Expression):
                    symbol.release()

    @property
    def num_states(self) -> int:
        """States met so far."""
        return len(self._threads)

    # Transitions

    def next_state(self, state: int, token: int) -> int:
        """Give the state after a token; DEAD if it's forbidden.

        Raises
        ------
        ValueError
            If the token is no id of the vocabulary, or the state isn't one of this constraint.
        """
        if type(token) is not int or type(state) is not int:  # NumPy's would overflow in the key
            state, token = int(state), int(token)
        found = self._transitions.get(state * self._num_tokens + token)
        if found is not None and 0 <= token < self._num_tokens:
            return found
        stays = self._stays.get(state)
        if stays is not None and 0 <= token < self._num_tokens and stays[token]:
            return state
        with LOCK:
            return self._find_next(state, token)

    def _find_next(self, state: int, token: int) -> int:
        if not 0 <= token < self._num_tokens:
            raise ValueError(f"token {token} is not an id; the vocabulary has {self._num_tokens} tokens")
        if state < _FIRST_STATE:
            return self._next_reserved(state, token)
        threads = self._threads_of(state)
        if token in self._eos:
            following = FINISHED if END in threads else DEAD
        else:
            text = self.vocabulary.tokens[token]
            if text is None:
                after = self._automaton.after_special(threads, self.vocabulary.names_of(token))
            else:
                after = self._automaton.run(threads, text)
            following = self._state(self._alive(after))
        self._transitions[state * self._num_tokens + token] = following
        return following

    def _alive(self, threads: Threads) -> Threads:
        """Give the threads of a state; none where no tokens complete its text."""
        return threads if self._completions is None or self._completions.is_live(threads) else ()

    def _next_reserved(self, state: int, token: int) -> int:
        if state < DEAD:
            raise ValueError(f"state {state} is not one of this constraint")
        if state == UNCONSTRAINED:
            return FINISHED if token in self._eos else UNCONSTRAINED
        return FINISHED if state == FINISHED and token in self._eos else DEAD

    def _threads_of(self, state: int) -> Threads:
        try:
            return self._threads[state]
        except KeyError:
            raise ValueError(f"state {state} is not one of this constraint") from None

    def _state(self, threads: Threads) -> int:
        """Intern a set of threads."""
        if not threads:
            return DEAD
        if len(threads) > 1:
            threads = tuple(sorted(threads))
        found = self._states.get(threads)
        if found is None:
            found = next(_state_numbers)
            if found > _LAST_STATE:
                raise LimitError("states", "2,147,483,645 states were made in this process; start a new one")
            self._states[threads] = found
            self._threads[found] = threads
        return found

    def is_accepting(self, state: int) -> bool:
        """Tell whether the text may end in a state."""
        return state == FINISHED or state == UNCONSTRAINED or (state != DEAD and END in self._threads_of(state))

    # Rows

    def row(self, state: int) -> Words:
        """Give a state's row: int32 [W], not to be written; bits from num_tokens on are 0."""
        found = self._rows.get(state)
        if found is None:
            with LOCK:
                found = self._make_row(state)
                found.flags.writeable = False
                if len(self._distinct_rows) > self._row_limit:
                    self._rows.clear()
                    self._distinct_rows.clear()
                self._rows[state] = found
        return found

    def row_parts(self, state: int) -> tuple[tuple[Base, ...], tuple[int, ...]]:
        """Give what the row of a state made here is joined from: base rows and further tokens; as `row` in all else."""
        with LOCK:
            bases, tokens, is_accepting = self._find_row(state)
            return bases, tuple(dict.fromkeys((*tokens, *self._eos))) if is_accepting else tokens

    @property
    def heads(self) -> HeadTables:
        """What is known of heads under this vocabulary."""
        return self._heads

    def lone_head(self, state: int) -> tuple[HeadSymbol, bool] | None:
        """Give the head of a state that has one thread, and whether it accepts as well; None if it has more or none."""
        with LOCK:
            threads = self._threads_of(state)
            reading = [thread for thread in threads if thread != END]
            if len(reading) != 1:
                return None
            return self._automaton.symbols[reading[0]], len(threads) == 2  # type: ignore[return-value]

    def _make_row(self, state: int) -> Words:
        if state == UNCONSTRAINED:
            return pack(np.arange(self._num_tokens), self.vocabulary.num_words)
        if DEAD <= state < _FIRST_STATE:
            return pack(self.vocabulary.eos_token_ids, self.vocabulary.num_words)
        bases, tokens, is_accepting = self._find_row(state)
        key = (bases, frozenset(tokens), is_accepting)
        row = self._distinct_rows.get(key)
        if row is None:
            row = self._compose(bases, tokens, is_accepting)
            self._distinct_rows[key] = row
        return row

    def _find_row(self, state: int) -> tuple[tuple[Base, ...], tuple[int, ...], bool]:
        """Give what the row of a state is joined from, and whether the text may end there."""
        threads = self._threads_of(state)
        is_accepting = threads[0] == END  # they are sorted
        if is_accepting:
            threads = threads[1:]
        if self._completions is not None:
            bases, tokens = bases_and_list(self._completions.tokens(threads), self.vocabulary.num_words)
        elif len(threads) == 1:
            bases, tokens = self._walk_thread(ROOT, threads[0])
            head = self._automaton.symbols[threads[0]]
            # where the text may end but not after one more token of the head, that token leads to another state
            if isinstance(head, Expression) and (head.nullable or not is_accepting):
                stays = self._heads.staying(head)
                if stays is not None:
                    self._stays[state] = stays
        else:
            bases, tokens = _join([self._walk_thread(ROOT, thread) for thread in threads])
        return bases, tokens, is_accepting

    def _compose(self, bases: tuple[Base, ...], tokens: tuple[int, ...], is_accepting: bool) -> Words:
        """Join base rows and tokens to a dense row."""
        if bases:
            row = bases[0].words.copy()
            for base in bases[1:]:
                row |= base.words
        else:
            row = np.zeros(self.vocabulary.num_words, np.int32)
        words = memoryview(row).cast("B").cast("I")
        for token in tokens:
            words[token >> 5] |= 1 << (token & 31)
        if is_accepting:
            for token in self._eos:
                words[token >> 5] |= 1 << (token & 31)
        return row

    # Walks: which tokens lead on from a node of the trie. A token that ends where a thread is alive is allowed.

    def _walk(self, node: int, tail: int) -> _Found:
        """Give the tokens below a node that a tail allows."""
        key = node << 32 | tail
        found = self._walks.get(key)
        if found is None:
            without_names = self._automaton.without_names(tail)
            if without_names != tail:  # few tokens hold a whole name: all others don't tell which were written
                found = self._walk(node, without_names)
                if self._heads.repeating.children[node]:
                    found = self._judge(node, self._automaton.closure(tail), found, self._heads.repeating)
            else:
                threads = self._automaton.closure(tail)
                if len(threads) == 1:
                    found = self._walk_thread(node, threads[0])
                else:
                    found = _join([self._walk_thread(node, thread) for thread in threads])
            self._walks[key] = found
        return found

    def _walk_thread(self, node: int, thread: int) -> _Found:
        if thread == END:
            return _NOTHING
        head, tail = self._automaton.symbols[thread], self._automaton.rests[thread]
        kind = type(head)
        if kind is Literal:
            return self._walk_literal(node, head, tail)  # type: ignore[arg-type]
        if kind is Expression:
            key = (node, head)
            reach = self._reaches.get(key)  # type: ignore[arg-type]
            if reach is None:
                reach = self._reaches[key] = self._heads.reach(node, head)  # type: ignore[index, arg-type]
            exit_node = reach.exit if tail else None
            if exit_node is None:
                return reach.bases, reach.tokens
            bases, tokens = self._walk(exit_node, tail)
            return reach.bases + bases, reach.tokens + tokens
        if kind is Keys:
            return self._walk_keys(node, head, tail)  # type: ignore[arg-type]
        if kind is Text:
            return self._walk_text(node, head, tail)  # type: ignore[arg-type]
        if kind is Place:
            return self._races.walk(node, head, tail)  # type: ignore[arg-type]
        if kind is SpecialToken:
            special = self.vocabulary.special_tokens.get(head.name)  # type: ignore[union-attr]
            return _NOTHING if special is None or node != ROOT else ((), (special,))
        if kind is RecordedHead:
            return self._walk_recorded(node, head, tail)  # type: ignore[arg-type]
        if kind is WordNode:
            return self._walk_words(node, head, tail)  # type: ignore[arg-type]
        assert isinstance(head, Head)
        return self._walk_steps(node, head, tail)

    def _walk_literal(self, node: int, head: Literal, tail: int) -> _Found:
        trie = self._trie
        tokens: list[int] = []
        text = head.text
        for place in range(head.offset, len(text)):
            following = trie.children[node].get(text[place])
            if following is None:
                return (), tuple(tokens)
            node = following
            tokens += trie.tokens[node]
        if not trie.children[node]:
            return (), tuple(tokens)
        bases, more = self._walk(node, tail)
        return bases, (*tokens, *more)

    def _walk_words(self, node: int, head: WordNode, tail: int) -> _Found:
        trie = self._trie
        tokens: list[int] = []
        parts: list[_Found] = []
        stack = [(node, head)]
        while stack:
            at, word = stack.pop()
            children, branches = trie.children[at], word.children()
            for byte in children.keys() & branches.keys():
                below, branch = children[byte], branches[byte]
                tokens += trie.tokens[below]
                if branch.ended is not None and trie.children[below]:
                    parts.append(self._walk(below, tail))
                stack.append((below, branch))
        return _join([((), tuple(tokens)), *parts]) if parts else ((), tuple(tokens))

    def _walk_steps(self, node: int, head: Head, tail: int) -> _Found:
        """Step any other head along the trie, byte by byte."""
        trie, push = self._trie, self._automaton.push
        tokens: list[int] = []
        parts: list[_Found] = []
        stack = [(node, head, tail)]
        while stack:
            at, head, tail = stack.pop()
            for byte, below in trie.children[at].items():
                outcome = head.step(byte)
                if outcome is None:
                    continue
                successor, under = outcome
                assert successor is None or isinstance(successor, Head)
                rest = push(under, tail) if under else tail
                tokens += trie.tokens[below]
                if not trie.children[below]:
                    continue
                if successor is None:
                    parts.append(self._walk(below, rest))
                    continue
                if successor.ended is not None:
                    parts.append(self._walk(below, push(successor.ended, rest)))
                if successor.is_open:
                    stack.append((below, successor, rest))
        return _join([((), tuple(tokens)), *parts]) if parts else ((), tuple(tokens))

    def _walk_text(self, node: int, head: Text, tail: int) -> _Found:
        """Counts are filters: on the tokens inside, on those that end with the quote, and on those that reach past."""
        reach = self._heads.text_reach(node, head.state)
        low, high = head.low, head.high
        bases, tokens = reach.inside(low, high, head.bounds)
        more = [token for token, count in reach.closers if low <= count and (high is None or count <= high)]
        if reach.exit is not None:
            counts_of = reach.exit_counts_of

            def fits(token: int) -> bool:
                return any(low <= count and (high is None or count <= high) for count in counts_of[token])

            past_bases, past = self._walk(reach.exit, tail)
            more += [token for token in past if fits(token)]
            for base in past_bases:
                kept = [token for token in unpack(base.words).tolist() if fits(token)]
                part = bases_and_list(np.asarray(kept, np.int64), self.vocabulary.num_words)
                bases, more = bases + part[0], [*more, *part[1]]
        return bases, (*tokens, *more)

    def _walk_keys(self, node: int, head: Keys, tail: int) -> _Found:
        if head.free is None:
            return self._walk_declared(node, head, tail)
        push, trie = self._automaton.push, self._trie
        free_tail = push(head.free.otherwise(), tail)
        reach = self._heads.reach(node, head.rest)
        bases, tokens = reach.bases, reach.tokens
        if reach.exit is not None:
            past = self._walk(reach.exit, free_tail)
            bases, tokens = bases + past[0], tokens + past[1]
        taken: set[int] = set()  # tokens in which a declared name ends, or one written before: not free ones
        given: list[_Found] = []
        for start in (head.place, head.seen):
            if start is None:
                continue
            for below, place, name in self._names_within(node, start):
                taken.update(trie.tokens[below])
                free_bases, free_tokens = self._walk(below, free_tail)
                taken.update(free_tokens)
                for base in free_bases:
                    taken.update(unpack(base.words).tolist())
                if start is head.place and head.allows(name, place):
                    given.append(((), trie.tokens[below]))
                    given.append(self._walk(below, push(place.table.member(name), tail)))
        if not head.free.is_open:
            taken |= self._dead_ends(node, head)
        if taken:
            given.append(self._without(bases, tokens, taken))
        else:
            given.append((bases, tokens))
        judged = self._heads.renaming if head.free.is_open else self._heads.resuming
        return self._judge(node, (self._automaton.put(head, tail),), _join(given), judged)

    def _dead_ends(self, node: int, head: Keys) -> set[int]:
        """Give the tokens after which a name could only become one that is declared, or was written before."""
        trie = self._trie
        found: set[int] = set()
        stack = [(node, head)]
        while stack:
            at, keys = stack.pop()
            trees = [tree for tree in (keys.place, keys.seen) if tree is not None]
            in_the_way = {byte for tree in trees for byte in tree.bytes_on_tree()}
            for byte in trie.children[at].keys() & in_the_way:
                below = trie.children[at][byte]
                outcome = keys.step(byte)
                if outcome is None:
                    found.update(trie.tokens[below])
                    found.update(trie.tokens_below(below))
                elif isinstance(outcome[0], Keys) and (outcome[0].place or outcome[0].seen):
                    stack.append((below, outcome[0]))
        return found

    def _walk_recorded(self, node: int, head: RecordedHead, tail: int) -> _Found:
        """Walk as if nothing were remembered, and judge the tokens that reach past what is."""
        first, *rest = head.as_any()
        found = self._walk_thread(node, self._automaton.put(first, self._automaton.push(tuple(rest), tail)))
        heads = self._heads
        begin = head.first_byte
        judged = heads.repeating if begin == b'"' and head.sink.has_open_strings else heads.separating(begin)
        return self._judge(node, (self._automaton.put(head, tail),), found, judged)

    def _judge(self, node: int, threads: Threads, found: _Found, judged: Judged) -> _Found:
        """Correct what a walk found for the tokens that depend on the text itself, one by one."""
        children = judged.children
        if not children[node]:
            return found
        allowed: list[int] = []
        stack: list[tuple[int, Threads]] = [(node, threads)]
        while stack:
            at, threads = stack.pop()
            for byte, below in children[at].items():
                after = self._automaton.step(threads, byte)
                if after:
                    allowed += [token for token in self._trie.tokens[below] if token in judged.tokens]
                    stack.append((below, after))
        bases, tokens = self._without(*found, judged.below(node))
        return bases, (*tokens, *allowed)

    def _without(self, bases: tuple[Base, ...], tokens: tuple[int, ...], taken: Set[int]) -> _Found:
        """Take some tokens out of what was found."""
        kept: list[Base] = []
        for base in bases:
            words = memoryview(base.words)
            gone = frozenset(token for token in taken if words[token >> 5] >> (token & 31) & 1)
            kept.append(self._cleared(base, gone) if gone else base)
        return tuple(kept), tuple(token for token in tokens if token not in taken)

    def _cleared(self, base: Base, gone: frozenset[int]) -> Base:
        """Give a base row without some of its tokens, the same one for the same tokens."""
        key = (base, gone)
        found = self._cleared_bases.get(key)
        if found is None:
            if len(self._cleared_bases) > self._row_limit:
                self._cleared_bases.clear()
            words = base.words & ~pack(list(gone), self.vocabulary.num_words)
            found = self._cleared_bases[key] = Base(words, base.origin or base)
        return found

    def _names_within(self, node: int, place: KeyPlace) -> list[tuple[int, KeyPlace, int]]:
        """Give where declared names end below a node: the node after the quote, the place before it, the name."""
        key = (node, place)
        found = self._names.get(key)
        if found is None:
            found = []
            stack = [(node, place)]
            may_close = self._heads.may_close
            while stack:
                at, here = stack.pop()
                children = self._trie.children[at]
                for byte in children.keys() & here.bytes_on_tree():
                    below = children[byte]
                    goes_on = may_close(below)
                    if byte != _QUOTE and not goes_on:
                        continue
                    outcome = here.step(byte)
                    if isinstance(outcome, KeyPlace):
                        if goes_on:
                            stack.append((below, outcome))
                    elif isinstance(outcome, int):
                        found.append((below, here, outcome))
            self._names[key] = found
        return found

    def _walk_declared(self, node: int, head: Keys, tail: int) -> _Found:
        """Follow the tree of declared names; each node of it knows whether a name in range lies below."""
        trie = self._trie
        first, last = head.first, head.last
        assert head.place is not None and isinstance(head.place.node, WordNode)
        member = head.place.table.member
        tokens: list[int] = []
        parts: list[_Found] = []
        for below, word in self._declared_within(node, head.place.node):
            if word.between(first, last) is None:
                continue
            tokens += trie.tokens[below]
            if word.word is not None and trie.children[below]:
                parts.append(self._walk(below, self._automaton.push(member(word.word), tail)))
        return _join([((), tuple(tokens)), *parts]) if parts else ((), tuple(tokens))

    def _declared_within(self, node: int, word: WordNode) -> list[tuple[int, WordNode]]:
        """Give the nodes below a node that spell on in the tree of declared names, as they're declared."""
        key = (node, word)
        found = self._declared.get(key)
        if found is None:
            found = self._declared[key] = []
            stack = [key]
            while stack:
                at, word = stack.pop()
                children, branches = self._trie.children[at], word.children()
                for byte in children.keys() & branches.keys():
                    found.append((children[byte], branches[byte]))
                    stack.append((children[byte], branches[byte]))
        return found


def _join(parts: list[_Found]) -> _Found:
    bases = tuple(dict.fromkeys(base for part in parts for base in part[0]))
    return bases, tuple(dict.fromkeys(token for part in parts for token in part[1]))


assert WORD_BITS == 32  # the shifts of _compose
