"""dottxt."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from typing_extensions import override

from outlines.models.adapters import ProviderTypeAdapter
from outlines.models.blackbox import AsyncBlackBox, BlackBox, Provider
from outlines.models.dialects import schema_text
from outlines.models.sdk import choose_class, import_sdk
from outlines.types.dsl import JsonSchema

__all__ = ["AsyncDottxt", "Dottxt", "from_dottxt"]

PROVIDER = "dottxt"


class DottxtTypeAdapter(ProviderTypeAdapter):
    """Strings as they are, JSON types as the text of their schema."""

    def format_str_model_input(self, model_input: str) -> str:
        """Give a string as it is."""
        return model_input

    @override
    def format_output_type(self, output_type: Any | None = None) -> str:
        """Give the text of the schema; an output type is needed."""
        if output_type is None:
            raise TypeError("You must provide an output type: Dottxt only writes JSON that follows a schema.")
        if not JsonSchema.is_json_schema(output_type):
            raise self.capability.output_refusal(output_type)
        return schema_text(output_type)


class DottxtRequests(Provider):
    """Requests to, and answers of, dottxt."""

    adapter = DottxtTypeAdapter
    provider = PROVIDER

    def __init__(self, client: Any, model: str | None = None):
        super().__init__(client, model)
        self.model = model

    @override
    def _arguments(self, model_input: Any, output_type: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        prompt = self.type_adapter.format_input(model_input)
        schema = self.type_adapter.format_output_type(output_type)
        kwargs = kwargs if "model" in kwargs or self.model is None else {**kwargs, "model": self.model}
        if kwargs.get("model") is None:
            raise ValueError(
                "A model identifier is required: give it to from_dottxt(client, model), or as `model` to the call."
            )
        return dict(input=prompt, response_format=schema, **kwargs)

    @override
    def _complete(self, arguments: dict[str, Any]) -> Any:
        return self.client.generate(**arguments)

    @override
    def _text(self, answer: Any) -> str:
        return json.dumps(answer)


class Dottxt(DottxtRequests, BlackBox):
    """A model of dottxt, waited for."""

    @override
    def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> Iterator[str]:
        """Raise NotImplementedError."""
        raise self.capability.stream_refusal()


class AsyncDottxt(DottxtRequests, AsyncBlackBox):
    """A model of dottxt, awaited."""

    @override
    async def generate_stream(
        self, model_input: Any, output_type: Any | None = None, **kwargs: Any
    ) -> AsyncIterator[str]:
        """Raise NotImplementedError, at the first piece."""
        raise self.capability.stream_refusal()
        yield ""  # what makes it an async generator, as all streams are


def from_dottxt(client: Any, model: str | None = None) -> Dottxt | AsyncDottxt:
    """Make a model of a client of dottxt.

    Raises
    ------
    ValueError
        If the client is neither a `dottxt.DotTxt` nor a `dottxt.AsyncDotTxt`.
    """
    dottxt = import_sdk("dottxt", "dottxt")
    classes: dict[type, type] = {dottxt.DotTxt: Dottxt, dottxt.AsyncDotTxt: AsyncDottxt}
    return choose_class(client, classes, "Invalid client type")(client, model)
