"""Answers that are checked by our own automaton, and asked for again where they don't hold.

For providers that enforce an output type in part or not at all. What the provider takes is still sent along.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

from outlines.exceptions import GenerationError, shorten
from outlines.inputs import Chat
from outlines.models.base import AsyncModel, Model
from outlines.models.capabilities import capability_of, kind_of
from outlines.models.utils import set_additional_properties_false_json_schema
from outlines.types.dsl import JsonSchema, python_types_to_terms

__all__ = ["AsyncCheckedModel", "CheckedModel", "Judge", "checked"]

_JSON_WHITE_SPACE = r"[ \t\n\r]*"


class Judge:
    """Says whether a text is of an output type, and if not, what is wrong.

    JSON may have any white space. Where the automaton, which writes members in their declared order, doesn't take it,
    the value is what counts: another order and other spellings are as good.

    Parameters
    ----------
    output_type
        Whatever `Generator` takes.

    Raises
    ------
    ConstraintError
        If the type can't be built.
    """

    def __init__(self, output_type: Any):
        from outlines.insight import byte_constraint  # it needs NumPy

        term = python_types_to_terms(output_type)
        schema = term if isinstance(term, JsonSchema) else None
        self._schema = _list_schema(output_type) if kind_of(output_type) == "list" else _value_schema(schema)
        self._constraint = byte_constraint(_with_any_white_space(schema) if schema else term)

    def problem(self, text: str | None) -> str | None:
        """Give what is wrong with a text, None if nothing is."""
        if text is None:
            return "there is no text"
        state = self._constraint.start_state
        for position, character in enumerate(text):
            for byte in character.encode("utf-8", errors="surrogatepass"):
                state = self._constraint.next_state(state, byte)
            if not state:  # dead
                found = f"character {position}, {shorten(text[position : position + 20])}, can't stand there"
                return self._value_problem(text, found)
        return (
            None if self._constraint.is_accepting(state) else self._value_problem(text, "it ends too early")
        )

    def _value_problem(self, text: str, found: str) -> str | None:
        if self._schema is None:
            return found
        import jsonschema

        try:
            value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
        except ValueError as error:
            return f"it is not JSON: {error}"
        except RecursionError:
            return "it is nested too deep"
        kind = jsonschema.validators.validator_for(self._schema, default=jsonschema.Draft202012Validator)
        validator = kind(self._schema, format_checker=jsonschema.FormatChecker())
        try:
            first = next(iter(validator.iter_errors(value)), None)
        except RecursionError:
            return "it is nested too deep"
        return None if first is None else f"at {first.json_path}: {shorten(first.message, 200)}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return value


def _value_schema(schema: JsonSchema | None) -> Any:
    """Give a schema for its values, closed where it's a class that is."""
    if schema is None:
        return None
    value = json.loads(schema.schema)
    return set_additional_properties_false_json_schema(value) if schema.is_closed else value


def _list_schema(output_type: Any) -> dict[str, Any]:
    """Give the schema of a list of a JSON-like type."""
    (item,) = get_args(output_type)
    schema = _value_schema(item if isinstance(item, JsonSchema) else JsonSchema(item))
    if isinstance(schema, dict):
        schema = {"$id": "urn:outlines:item", **schema}  # its references are within itself
    return {"type": "array", "items": schema}


def _with_any_white_space(term: JsonSchema) -> JsonSchema:
    if term.whitespace_pattern is not None:
        return term
    schema = JsonSchema(term.schema, _JSON_WHITE_SPACE)
    schema.is_closed = term.is_closed
    return schema


class _Checks:
    """What both kinds of checked models know."""

    def __init__(self, model: Any, attempts: int):
        if attempts < 1:
            raise ValueError(f"attempts is {attempts}; at least one is needed")
        self.model = model
        self.attempts = attempts
        self.type_adapter = model.type_adapter
        self.capability = capability_of(model)

    def _judge(self, output_type: Any) -> tuple[Judge | None, Any]:
        """Give the judge, and what the provider is to enforce: nothing, if it doesn't take the type."""
        if output_type is None:
            return None, None
        return Judge(output_type), output_type if kind_of(output_type) in self.capability.outputs else None

    def _again(self, prompt: Any, answer: Any, problem: str) -> Any:
        """Give the prompt to ask again: with the answer and what was wrong, where the provider takes conversations."""
        if "chat" not in self.capability.prompts or not isinstance(answer, str):
            return prompt
        messages = prompt.messages if isinstance(prompt, Chat) else [{"role": "user", "content": prompt}]
        complaint = (
            f"This answer is not of the required form: {problem}. Answer again, with nothing but text of that form."
        )
        return Chat(
            [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": complaint}]
        )

    def _failed(self, answer: Any, problem: str | None, attempts: int) -> GenerationError:
        return GenerationError(
            f"{self.capability.name} gave no text of the output type in {attempts} attempts; of the last one, "
            f"{shorten(answer)}: {problem}",
            provider=getattr(self.model, "provider", None),
        )


def _problem(judge: Judge, answer: Any) -> str | None:
    answers = answer if isinstance(answer, list) else [answer]
    return next((problem for each in answers if (problem := judge.problem(each)) is not None), None)


class CheckedModel(_Checks, Model):
    """A model whose answers are checked; see `checked`."""

    def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Ask until an answer holds; GenerationError after the last attempt."""
        judge, enforced = self._judge(output_type)
        prompt = model_input
        for _ in range(self.attempts):
            answer = self.model.generate(prompt, enforced, **kwargs)
            problem = None if judge is None else _problem(judge, answer)
            if problem is None:
                return answer
            prompt = self._again(model_input, answer, problem)
        raise self._failed(answer, problem, self.attempts)

    def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Send the batch where the provider takes one, and ask again for each answer that doesn't hold."""
        judge, enforced = self._judge(output_type)
        answers = self.model.generate_batch(model_input, enforced, **kwargs)
        if judge is None:
            return answers
        return [
            answer if _problem(judge, answer) is None else self.generate(prompt, output_type, **kwargs)
            for prompt, answer in zip(model_input, answers, strict=True)
        ]

    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Give the pieces as they come; a text that doesn't hold is a GenerationError at its end."""
        judge, enforced = self._judge(output_type)
        pieces = []
        for piece in self.model.generate_stream(model_input, enforced, **kwargs):
            pieces.append(piece)
            yield piece
        problem = None if judge is None else judge.problem("".join(pieces))
        if problem is not None:
            raise self._failed("".join(pieces), problem, 1)


class AsyncCheckedModel(_Checks, AsyncModel):
    """As `CheckedModel`, for a model that is awaited."""

    async def generate(self, model_input: Any, output_type: Any | None = None, **kwargs: Any) -> Any:
        """Ask until an answer holds; GenerationError after the last attempt."""
        judge, enforced = self._judge(output_type)
        prompt = model_input
        for _ in range(self.attempts):
            answer = await self.model.generate(prompt, enforced, **kwargs)
            problem = None if judge is None else _problem(judge, answer)
            if problem is None:
                return answer
            prompt = self._again(model_input, answer, problem)
        raise self._failed(answer, problem, self.attempts)

    async def generate_batch(self, model_input: list, output_type: Any | None = None, **kwargs: Any) -> list:
        """Send the batch where the provider takes one, and ask again for each answer that doesn't hold."""
        judge, enforced = self._judge(output_type)
        answers = await self.model.generate_batch(model_input, enforced, **kwargs)
        if judge is None:
            return answers
        return [
            answer if _problem(judge, answer) is None else await self.generate(prompt, output_type, **kwargs)
            for prompt, answer in zip(model_input, answers, strict=True)
        ]

    async def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Give the pieces as they come; a text that doesn't hold is a GenerationError at its end."""
        judge, enforced = self._judge(output_type)
        pieces = []
        async for piece in self.model.generate_stream(model_input, enforced, **kwargs):
            pieces.append(piece)
            yield piece
        problem = None if judge is None else judge.problem("".join(pieces))
        if problem is not None:
            raise self._failed("".join(pieces), problem, 1)


def checked(model: Any, attempts: int = 3) -> CheckedModel | AsyncCheckedModel:
    """Make a model whose answers are checked, and asked for again where they don't hold.

    It takes every output type: what the provider doesn't take isn't sent, only checked, so say in the prompt what you
    want. Where the provider takes conversations, it's told what was wrong with its last answer.

    Parameters
    ----------
    model
        A black-box model, waited for or awaited.
    attempts
        How often to ask at most.

    Raises
    ------
    ValueError
        If `attempts` is below 1, or the model is steered by our own engine, so that there is nothing to check.
    """
    row = capability_of(model)
    if row.is_steered:
        raise ValueError(f"{row.name} is steered by our own engine: its texts need no check")
    return (AsyncCheckedModel if isinstance(model, AsyncModel) else CheckedModel)(model, attempts)
