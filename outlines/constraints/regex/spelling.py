"""A tree without assertions into an expression, part by part."""

from __future__ import annotations

from collections.abc import Callable

from outlines.constraints import characters
from outlines.constraints.characters import Characters
from outlines.constraints.expression import EMPTY, EPSILON, Expression, concat, literal, repeat, union
from outlines.constraints.regex.tree import Alternatives, Node, OneOf, Repeat, Text

Encoder = Callable[[Characters], Expression]


class Spelling:
    """Turns characters to bytes, each set of them once."""

    def __init__(self, encode: Encoder):
        self.encode = encode
        self._spelled: dict[Characters, Expression] = {}

    def spell(self, members: Characters) -> Expression:
        """Give the language of one character out of a set."""
        spelled = self._spelled.get(members)
        if spelled is None:
            spelled = self._spelled[members] = self.encode(members) if members else EMPTY
        return spelled

    def text(self, text: str) -> Expression:
        """Give the language of one text."""
        if self.encode is characters.utf8:
            return literal(text.encode())
        return concat(*[self.spell(characters.character(ord(char))) for char in text])

    def read(self, node: Node) -> Expression:
        """Give the language of a node."""
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
