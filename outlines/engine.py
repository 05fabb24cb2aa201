"""The front door for harnesses and serving engines: three nouns, and states that are plain integers.

    >>> from outlines.engine import Constraint, Vocabulary
    >>> tokens = [bytes([i]) for i in range(256)] + [b"yes", b"no", None]
    >>> vocabulary = Vocabulary(tokens, eos_token_ids=[258])
    >>> matcher = Constraint({"enum": ["yes", "no"]}, vocabulary).matcher()
    >>> [matcher.advance(token) for token in (ord('"'), 256, ord('"'))]
    [True, True, True]
    >>> matcher.is_accepting()
    True

A constraint may also be used without a matcher, for sequences whose states the caller keeps: `start_state`,
`next_state`, `row` and `is_accepting`. A state is one int32, so rolling back is keeping an old one.

For a batch on a device there is the same by vectors, `BatchMatcher`: each sequence under its own constraint, or None.

    >>> import torch
    >>> from outlines.engine import BatchMatcher
    >>> batch = BatchMatcher([Constraint({"enum": ["yes", "no"]}, vocabulary), None], device="cpu")
    >>> logits = torch.zeros(2, 259)
    >>> batch.mask_logits(logits)
    >>> (logits == 0).sum(1).tolist()  # only the quote may begin; the other sequence is free
    [1, 259]
    >>> batch.advance(torch.tensor([ord('"'), 256]))
    >>> batch.settle(), batch.is_accepting()
    (False, [False, True])

`docs/device.md` says how a decode loop uses it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from outlines.constraints.items import Symbols
from outlines.constraints.json_schema import schema_symbols
from outlines.constraints.terms import special_tokens, term_symbols
from outlines.exceptions import GrammarError, LimitError, shorten
from outlines.rows import Words, unpack
from outlines.sharing import LOCK
from outlines.tables import DEAD, FINISHED, UNCONSTRAINED, Tables
from outlines.types.dsl import python_types_to_terms
from outlines.vocabulary import Vocabulary

if TYPE_CHECKING:
    from outlines.device import BatchMatcher

__all__ = ["DEAD", "FINISHED", "UNCONSTRAINED", "BatchMatcher", "Constraint", "Matcher", "Vocabulary"]


def __getattr__(name: str) -> Any:
    """Give `BatchMatcher` when it's asked for: the rest of the engine needs no torch."""
    if name == "BatchMatcher":
        from outlines.device import BatchMatcher

        return BatchMatcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Constraint:
    """What a text must follow, under one vocabulary; may be shared by threads.

    Parameters
    ----------
    output_type
        Whatever `Generator` takes: a Python type, a term, a Pydantic model. A dict, a bool, or a str that begins with
        "{" is a JSON Schema; any other str is that text itself.
    vocabulary
        The tokens.

    Attributes
    ----------
    vocabulary : Vocabulary
    start_state : int
        State of a sequence with no text yet.
    tables : Tables
        Its states, rows and transitions, as they're met.

    Raises
    ------
    ConstraintError
        If the type can't be built; its subclasses name the place: SchemaError, PatternError, EmptyLanguageError.
    json.JSONDecodeError
        If the text of a schema isn't JSON.
    """

    def __init__(self, output_type: Any, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        with LOCK:
            symbols, names = _symbols(output_type)
            _check_special_tokens(names, vocabulary)
            self.tables = Tables(symbols, vocabulary, owns_symbols=True)
        self.start_state = self.tables.start_state
        self.next_state = self.tables.next_state
        self.row = self.tables.row
        self.is_accepting = self.tables.is_accepting

    def matcher(self) -> Matcher:
        """Give a matcher for a new sequence."""
        return Matcher(self, self.start_state)


class Matcher:
    """One sequence under a constraint, on the host; belongs to one thread."""

    __slots__ = ("constraint", "state", "_history", "_next_state", "_row")

    def __init__(self, constraint: Constraint, state: int):
        self.constraint = constraint
        self.state = state
        self._history: list[int] = []
        self._next_state = constraint.next_state
        self._row = constraint.row

    def mask(self) -> Words:
        """Give the packed row of the tokens that may come next.

        Returns
        -------
        int32 array [W]
            Bit t % 32 of word t // 32 is 1 where token t is allowed. Not to be written; valid until the next call.
        """
        return self._row(self.state)

    def advance(self, token: int) -> bool:
        """Take a token; False if it isn't allowed, and then nothing has changed."""
        state = self._next_state(self.state, token)
        if state == DEAD:
            return False
        self._history.append(self.state)
        self.state = state
        return True

    def is_accepting(self) -> bool:
        """Tell whether the text so far is complete: the end-of-sequence tokens are allowed."""
        return self.constraint.is_accepting(self.state)

    def rollback(self, num_tokens: int) -> None:
        """Take the last tokens back.

        Raises
        ------
        ValueError
            If fewer were taken.
        """
        if not 0 <= num_tokens <= len(self._history):
            raise ValueError(f"can't take back {num_tokens} tokens: {len(self._history)} were taken")
        if num_tokens:
            self.state = self._history[-num_tokens]
            del self._history[-num_tokens:]

    def fork(self) -> Matcher:
        """Give an independent matcher in the same place."""
        twin = Matcher(self.constraint, self.state)
        twin._history = self._history.copy()
        return twin

    def forced_tokens(self) -> list[int]:
        """Give the tokens that are the only way on, up to the first choice or the end; nothing is taken."""
        state, forced = self.state, []
        while state != FINISHED:
            allowed = unpack(self._row(state))
            if len(allowed) != 1:
                break
            forced.append(int(allowed[0]))
            state = self._next_state(state, forced[-1])
        return forced


def _check_special_tokens(names: set[str], vocabulary: Vocabulary) -> None:
    """Refuse a grammar that asks for special tokens which the vocabulary doesn't have by name, or which end texts."""
    for name in sorted(names):
        if name not in vocabulary.special_tokens:
            known = ", ".join(sorted(vocabulary.special_tokens)[:10])
            raise GrammarError(
                f"the special token {name} isn't one of the vocabulary's"
                + (f", which are {known}" if known else ": none of them has a name")
                + ". Give its id by `special_tokens`, where the vocabulary is made"
            )
        if vocabulary.special_tokens[name] in vocabulary.eos_token_ids:
            raise GrammarError(f"the special token {name} ends a sequence, so nothing can stand after it; leave it out")
    if names and vocabulary.lacking:
        raise GrammarError(
            f"the special token {min(names)} needs a vocabulary that spells every text; this one lacks some bytes"
        )


def _symbols(output_type: Any) -> tuple[Symbols, set[str]]:
    """Give the symbols of a type, and the special tokens that it names."""
    try:
        if isinstance(output_type, str) and output_type.lstrip().startswith("{"):
            output_type = json.loads(output_type)
        if isinstance(output_type, dict | bool):
            return schema_symbols(output_type), set()
        term = python_types_to_terms(output_type)
        return term_symbols(term), special_tokens(term)
    except RecursionError:
        raise LimitError(
            "sys.getrecursionlimit()", f"{shorten(output_type)} is nested too deep; give its inner parts names"
        ) from None
