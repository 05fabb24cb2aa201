"""A logits processor for vLLM's engine: each request of a batch under its own constraint, without vLLM's own grammars.

    llm = vllm.LLM(model, logits_processors=["outlines.processors.vllm:ConstraintLogitsProcessor"])
    llm.generate(prompts, SamplingParams(extra_args=constraint_args(Animal)))

A server takes it by `--logits-processors`, and a request's constraint as `extra_body={"vllm_xargs": ...}`. It is
written for the interface that vLLM calls V1; engines with the newer model runner need VLLM_USE_V2_MODEL_RUNNER=0.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from typing_extensions import override
from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality

from outlines.device import BatchMatcher
from outlines.engine import DEAD, FINISHED, Constraint, Vocabulary
from outlines.exceptions import ConstraintError, shorten
from outlines.types.dsl import CFG, JsonSchema, Regex, Term, python_types_to_terms, to_regex

__all__ = ["ConstraintLogitsProcessor", "constraint_args"]

_KEY = "outlines"
_NUM_CONSTRAINTS = 256  # kept for requests to come


def constraint_args(output_type: Any) -> dict[str, str]:
    """Give a request's `extra_args` (or a server's `vllm_xargs`) for an output type.

    The one entry is text, as that is what goes through vLLM's processes and its server.
    """
    term = python_types_to_terms(output_type)
    if isinstance(term, JsonSchema):
        value: dict[str, Any] = {
            "json": json.loads(term.schema),
            "white_space": term.whitespace_pattern,
            "is_closed": term.is_closed,
        }
    elif isinstance(term, CFG):
        value = {"grammar": term.definition}
    else:
        value = {"regex": to_regex(term)}
    return {_KEY: json.dumps(value)}


def _term(text: str) -> Term:
    """Read what `constraint_args` wrote."""
    value = json.loads(text)
    if "json" in value:
        term = JsonSchema(value["json"], value.get("white_space"))
        term.is_closed = bool(value.get("is_closed"))
        return term
    return CFG(value["grammar"]) if "grammar" in value else Regex(value["regex"])


class _Request:
    """One request: its constraint, vLLM's own list of its tokens, and how far we have followed it."""

    __slots__ = ("constraint", "num_followed", "state", "tokens")

    def __init__(self, constraint: Constraint, tokens: list[int]):
        self.constraint = constraint
        self.tokens = tokens  # vLLM appends to it
        self.state = constraint.start_state
        self.num_followed = 0

    def follow(self) -> int:
        """Give the state after all tokens that there are."""
        for token in self.tokens[self.num_followed :]:
            if token < 0:
                raise RuntimeError(
                    "vLLM has not filled in its output tokens yet: this needs its synchronous scheduling"
                )
            if self.state not in (FINISHED, DEAD):
                self.state = self.constraint.next_state(self.state, token)
        self.num_followed = len(self.tokens)
        return self.state


class ConstraintLogitsProcessor(LogitsProcessor):
    """Masks, in one launch, the logits of all requests of a batch that bring a constraint.

    vLLM gives the tokens to the host, so states are followed there. Rows lie in the device's tables: each is brought
    there once, and a step brings one number a request.

    Parameters
    ----------
    vllm_config
        vLLM's configuration, whose tokenizer is read.
    device, is_pin_memory
        Where the logits are, and whether host memory for copies there is pinned; as vLLM gives them, not read.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool):
        self._vocabulary = _read_vocabulary(vllm_config.model_config)
        self._requests: dict[int, _Request] = {}  # by place in the batch
        self._batch: BatchMatcher | None = None  # None when the requests are others than those it was made for
        self._compiled = lru_cache(maxsize=_NUM_CONSTRAINTS)(self._compile)

    @classmethod
    @override
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose constraint can't be built, with ValueError, before it reaches the engine."""
        text = (sampling_params.extra_args or {}).get(_KEY)
        if text is None:
            return
        try:
            Constraint(_term(text), _bytes_alone())
        except ConstraintError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"extra_args[{_KEY!r}] is not a constraint ({error}): {shorten(text)}"
            ) from error

    @override
    def is_argmax_invariant(self) -> bool:
        """Say that the most probable token may change."""
        return False

    @override
    def update_state(self, batch_update: Any) -> None:
        """Follow vLLM's changes of the batch: requests removed, added, moved and swapped, in this order."""
        if batch_update is None:
            return
        self._batch = None
        for index in batch_update.removed:
            self._requests.pop(index, None)
        for index, params, _, output_tokens in batch_update.added:
            text = (params.extra_args or {}).get(_KEY)
            if text is None:
                self._requests.pop(index, None)  # it takes the place of another
            else:
                self._requests[index] = _Request(self._compiled(text), output_tokens)
        for first, second, direction in batch_update.moved:
            moved = self._requests.pop(first, None)
            displaced = self._requests.pop(second, None)
            if moved is not None:
                self._requests[second] = moved
            if displaced is not None and direction == MoveDirectionality.SWAP:
                self._requests[first] = displaced

    @override
    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Write -inf over forbidden logits [B, V], in place."""
        if not self._requests:
            return logits
        requests = [self._requests.get(index) for index in range(len(logits))]
        if self._batch is None or len(self._batch) != len(requests):
            constraints = [None if each is None else each.constraint for each in requests]
            self._batch = BatchMatcher(constraints, logits.device)
        self._batch.set_host_states([0 if each is None else each.follow() for each in requests])
        self._batch.mask_logits(logits)
        return logits

    def _compile(self, text: str) -> Constraint:
        return Constraint(_term(text), self._vocabulary)


def _read_vocabulary(model_config: Any) -> Vocabulary:
    """Read the tokens, and all that end a text: the tokenizer's own and those of the generation configuration."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        model_config.tokenizer,
        revision=model_config.tokenizer_revision,
        trust_remote_code=model_config.trust_remote_code,
    )
    ends = (model_config.try_get_generation_config() or {}).get("eos_token_id")
    named = [tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]
    return Vocabulary.from_tokenizer(tokenizer, eos_token_ids=[token for token in named if token is not None])


@lru_cache(maxsize=1)
def _bytes_alone() -> Vocabulary:
    """Give a vocabulary for building a constraint where no model is near."""
    return Vocabulary([*(bytes([byte]) for byte in range(256)), None], eos_token_ids=[256], cache=False)
