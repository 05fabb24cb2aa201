"""Moves: by how many slots a token moves a state whose head it doesn't leave.

Text within a string needs no entry of the transition table. Where a token leaves the head as it is, the state stays;
where it only counts characters, the states of consecutive counts have consecutive slots, and it moves by its
characters.
"""

from __future__ import annotations

import weakref

import numpy as np
import torch
from numpy.typing import NDArray

from outlines.constraints.expression import EMPTY, Expression
from outlines.constraints.strings import Text, TextState
from outlines.kernels import dispatch, layout
from outlines.reach import HeadTables
from outlines.sharing import LOCK
from outlines.trie import ROOT
from outlines.vocabulary import Vocabulary

__all__ = ["DeviceVocabulary", "head_automaton"]

#: States of a head's automaton up to which its tokens are all looked at; beyond, only its loop on a class of bytes is.
MOST_HEAD_STATES = 64

_MOST_MOVE = 127
_FIRST_EXITS = 4096


class DeviceVocabulary:
    """A vocabulary's tokens on a device, and what they do within heads.

    Attributes
    ----------
    eos : int32 tensor [W]
        Row of the tokens that end a sequence.
    """

    def __init__(self, vocabulary: Vocabulary, device: torch.device):
        self.num_tokens = vocabulary.num_tokens
        tokens = vocabulary.tokens
        lengths = [0 if text is None else len(text) for text in tokens]
        start = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        text = np.frombuffer(b"".join(text for text in tokens if text is not None), np.uint8).copy()
        self.text = torch.from_numpy(text).to(device)
        self.text_start = torch.from_numpy(start).to(device)
        eos = np.zeros(32 * vocabulary.num_words, np.uint8)
        eos[list(vocabulary.eos_token_ids)] = 1
        self.eos = torch.from_numpy(np.packbits(eos, bitorder="little").view(np.int32).copy()).to(device)
        self._staying: weakref.WeakKeyDictionary[Expression, NDArray] = weakref.WeakKeyDictionary()
        self._counting: weakref.WeakKeyDictionary[TextState, NDArray] = weakref.WeakKeyDictionary()

    def staying(self, head: Expression, heads: HeadTables) -> NDArray | None:
        """Give the moves of a head's tokens after which it is as before: int8 [V], 0 there and else -1.

        None where there are hardly any: where no class of bytes loops, and the head isn't small.
        """
        found = self._staying.get(head)
        if found is None:
            automaton = head_automaton(head)
            if automaton is not None:
                found = self._find_staying(automaton, head.nullable)
            else:
                flags = heads.staying(head)
                if flags is None:
                    return None
                found = np.frombuffer(flags, np.int8)[: self.num_tokens] - np.int8(1)
            self._staying[head] = found
        return found

    def counting(self, head: Text, heads: HeadTables) -> NDArray:
        """Give the moves of a counted string's tokens, int8 [V]: the characters of those that lead back there."""
        found = self._counting.get(head.state)
        if found is None:
            found = np.full(self.num_tokens, layout.MOVES_NOWHERE.value, np.int8)
            for state, tokens, counts in heads.text_reach(ROOT, head.state).groups:
                if state is head.state:
                    is_near = counts <= _MOST_MOVE
                    found[tokens[is_near]] = counts[is_near]
            self._counting[head.state] = found
        return found

    def _find_staying(self, automaton: NDArray, is_nullable: bool) -> NDArray:
        """Run all tokens from state 1 of an automaton, on the device.

        Where the head isn't nullable, a token that reaches it again past an end may be in the tail as well.
        """
        device = self.text.device
        words = torch.empty(1, len(self.eos), dtype=torch.int32, device=device)
        ends = torch.empty(1, self.num_tokens, dtype=torch.int16, device=device)
        start, num_exits = (torch.tensor([n], dtype=torch.int32, device=device) for n in (1, 0))
        following = torch.from_numpy(automaton).to(device)
        exits = torch.empty(_FIRST_EXITS, 3, dtype=torch.int32, device=device)
        arguments = (following, start, self.text, self.text_start, words, ends)
        dispatch.fill(*arguments, exits, num_exits)
        if (found := int(num_exits)) > len(exits):
            exits = torch.empty(found, 3, dtype=torch.int32, device=device)
            dispatch.fill(*arguments, exits, num_exits.zero_())
        moves = np.where(ends[0].cpu().numpy() == 1, 0, -1).astype(np.int8)
        if not is_nullable:
            moves[exits[:found, 1].cpu().numpy()] = -1
        return moves


def head_automaton(head: Expression, most_states: int = MOST_HEAD_STATES) -> NDArray | None:
    """Give a head's automaton as `fill` takes it: int16 [S, 256], the head is state 1; None if it has more states."""
    with LOCK:
        numbers: dict[Expression, int] = {head: 1}
        order = [head]
        rows = [np.zeros(256, np.int16)]
        for expression in order:
            class_of, targets = expression.transitions()
            for target in targets:
                if target is not EMPTY and target not in numbers:
                    if len(order) >= most_states:
                        return None
                    numbers[target] = len(order) + 1
                    order.append(target)
            signed = [
                0 if target is EMPTY else -numbers[target] if target.nullable else numbers[target]
                for target in targets
            ]
            rows.append(np.asarray(signed, np.int16)[np.frombuffer(class_of, np.uint8)])
    return np.stack(rows)
