"""How far a text is valid for an output type, what is wrong there, and what may come next."""

from __future__ import annotations

from dataclasses import dataclass, field
from string import digits
from typing import TYPE_CHECKING, Any

from outlines.insight.letters import END, allowed, byte_constraint, one_of, readable, spelt

if TYPE_CHECKING:
    from outlines.engine import Matcher

__all__ = ["Explanation", "explain"]

#: Ways to go on up to which each is shown with all that must follow it: 'true' and not 't'.
_FEW_WAYS = 24


@dataclass(frozen=True)
class Explanation:
    """What can be said of a text; as a string, in a sentence.

    Attributes
    ----------
    text : str
    valid_length : int
        Characters of the text that are the beginning of a whole one.
    is_complete : bool
        Whether the text is a whole one.
    may_end : bool
        Whether its valid beginning is a whole one.
    expected : list of str
        What may follow the valid beginning, in words: "a digit", "','", "the end of the text".
    """

    text: str = field(repr=False)
    valid_length: int
    is_complete: bool
    may_end: bool
    expected: list[str]

    @property
    def is_valid_so_far(self) -> bool:
        """Whether the text is the beginning of a whole one."""
        return self.valid_length == len(self.text)

    def __str__(self) -> str:
        if self.is_complete:
            return "This is a whole text of the output type."
        expected = one_of(self.expected)
        if self.is_valid_so_far:
            return f"Valid so far, but not complete: the text must go on with {expected}."
        before, wrong = self.text[: self.valid_length], self.text[self.valid_length]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        place = f"Line {line}, column {column}" if "\n" in self.text else f"Character {self.valid_length}"
        after = f" after {before[-30:]!r}" if before else ""
        return f"{place}: {spelt(wrong)} can't stand{after or ' at the start'}; expected {expected}."


def explain(output_type: Any, text: str) -> Explanation:
    """Say how far a text is valid for an output type.

    Parameters
    ----------
    output_type
        Whatever `Generator` takes, or a JSON Schema as a dict.
    text
        The text.

    Examples
    --------
    >>> print(explain(list[int], "[1, 2; 3]"))
    Character 5: ';' can't stand after '[1, 2'; expected a digit, ']' or ', '.
    >>> print(explain(list[int], "[1"))
    Valid so far, but not complete: the text must go on with a digit, ']' or ', '.
    """
    matcher = byte_constraint(output_type).matcher()
    valid_length = 0
    for character in text:
        taken = 0
        data = character.encode("utf-8", "surrogatepass")
        for byte in data:
            if not matcher.advance(byte):
                break
            taken += 1
        if taken < len(data):
            matcher.rollback(taken)
            break
        valid_length += 1
    may_end = matcher.is_accepting()
    return Explanation(
        text, valid_length, may_end and valid_length == len(text), may_end, _expected(matcher)
    )


def _expected(matcher: Matcher) -> list[str]:
    ways = allowed(matcher.constraint, matcher.state)
    names: list[str] = []
    if len(ways) <= _FEW_WAYS:  # some may go on for long without a choice
        runs = {byte: _run(matcher, byte) for byte in ways if byte != END and chr(byte) not in digits}
        shown = {byte for byte, run in runs.items() if len(run) > 1 or (run and byte >= 0x80)}
        names = [spelt(runs[byte]) for byte in sorted(shown)]
        ways = [byte for byte in ways if byte not in shown]
    names = readable(chr(byte) for byte in ways if byte < 0x80) + names
    if any(0x80 <= byte < END for byte in ways):
        names.append("a character beyond ASCII")
    return [*names, "the end of the text"] if END in ways else names


def _run(matcher: Matcher, byte: int) -> str:
    """Give the text that must follow if a byte does, that byte included; "" if it isn't of whole characters."""
    fork = matcher.fork()
    fork.advance(byte)
    data = bytes([byte, *(token for token in fork.forced_tokens() if token != END)])
    return data.decode("utf-8", "ignore")
