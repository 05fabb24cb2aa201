"""What a generator gives to those who ask for more than the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from outlines.types.values import parse

__all__ = ["Details", "FinishReason", "Result"]

T = TypeVar("T")

FinishReason = Literal["stop", "length"]


class Details(NamedTuple):
    """What a model knows of one text that it wrote; see `Result`."""

    text: str
    token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    finish_reason: FinishReason | None = None
    is_complete: bool | None = None


@dataclass(frozen=True)
class Result(Generic[T]):
    """A generated text, the value that it spells, and how it came about.

    Attributes
    ----------
    text : str
        What the generator's call would have given.
    value
        The text as an instance of the output type, see `outlines.types.values.parse`; made when it's asked for.
    token_ids : list of int, or None
        The tokens of the text, the one that ended it included; None if the provider doesn't tell.
    logprobs : list of float, or None
        Natural logarithm of each token's probability among those that were allowed, after the sampler's settings; None
        if they weren't asked for, or the provider doesn't tell.
    finish_reason : "stop", "length" or None
        "stop" if the model or a stop string ended the text, "length" if it was cut off; None if the provider doesn't
        tell.
    is_complete : bool or None
        Whether the text is a whole one of the output type; None if nobody knows.
    """

    text: str
    output_type: Any = field(default=None, repr=False)
    token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    finish_reason: FinishReason | None = None
    is_complete: bool | None = None

    @property
    def value(self) -> T:
        """The value that the text spells.

        Raises
        ------
        ValueError
            If the text isn't a whole one of the output type.
        """
        if self.is_complete is False:
            raise ValueError(
                "the text ended before the output type was complete, so it has no value: raise the limit of its "
                f"length, as `max_new_tokens`, and generate again. It ends in {self.text[-40:]!r}"
            )
        return parse(self.output_type, self.text)
