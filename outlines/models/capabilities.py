"""What each model takes and does: the one table that errors, docs and tests read.

A row says which prompts and output types go in, and how a model may be called. To add a provider, add its row.
"""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from outlines.exceptions import shorten
from outlines.types.dsl import CFG, Choice, JsonSchema, Regex
from outlines.types.utils import is_enum, is_literal, is_native_dict, is_typing_list

__all__ = ["CAPABILITIES", "OUTPUTS", "PROMPTS", "Capability", "capability_of", "kind_of"]

#: Kinds of prompts, by the words of the docs' table: "images" are allowed beside the text of a list or a chat.
PROMPTS = ("text", "list", "chat", "images", "audio", "video")

#: Kinds of output types: "schema" is what describes JSON, "list" a `list` of such, "json" is `dict` (any JSON object),
#: "choice" an Enum, a Literal or a Choice, "regex" all other regular types, "cfg" a grammar.
OUTPUTS = ("schema", "list", "json", "choice", "regex", "cfg")

_EVERY_OUTPUT = frozenset(OUTPUTS)
_TEXT = frozenset({"text"})
_CHAT = frozenset({"text", "chat"})
_VISION = frozenset({"text", "list", "chat", "images"})


def kind_of(output_type: Any) -> str:
    """Give the kind of an output type, out of `OUTPUTS`."""
    if is_native_dict(output_type):
        return "json"
    if JsonSchema.is_json_schema(output_type):
        return "schema"
    if is_typing_list(output_type) and all(map(JsonSchema.is_json_schema, get_args(output_type))):
        return "list"
    if isinstance(output_type, CFG):
        return "cfg"
    if is_enum(output_type) or is_literal(output_type) or isinstance(output_type, Choice):
        return "choice"
    return "regex"


class Capability(NamedTuple):
    """What one model takes and does.

    Attributes
    ----------
    name : str
        The class of the model; the awaited one is Async + this name.
    loader : str
        The function that makes one.
    extra : str
        The extra of the package that installs what the model needs.
    prompts : frozenset of str
        Out of `PROMPTS`.
    outputs : frozenset of str
        Out of `OUTPUTS`.
    streams, batches, has_async : bool
        Whether text comes in pieces, several prompts go in one call, and there is a class that is awaited.
    is_steered : bool
        Whether our own engine masks its logits.
    prompt_error, output_error : type
        What a prompt or an output type that isn't taken raises.
    refusal, cfg_refusal, regex_refusal : str
        How a type, a grammar and a pattern are refused, where the usual words don't do.
    """

    name: str
    loader: str
    extra: str
    prompts: frozenset[str]
    outputs: frozenset[str]
    streams: bool = True
    batches: bool = False
    has_async: bool = False
    is_steered: bool = False
    prompt_error: type[Exception] = TypeError
    output_error: type[Exception] = TypeError
    refusal: str = "The type `{type}` is not supported by {name}: it is not available with {name}."
    cfg_refusal: str = "CFG-based structured outputs are not available with {name}."
    regex_refusal: str = "Regex-based structured outputs are not available with {name}."

    def prompt_refusal(self, model_input: Any) -> Exception:
        """Give the error for a prompt that isn't taken."""
        kinds = {"text": "a str", "list": "a list of a str and its assets", "chat": "a Chat"}
        taken = " or ".join(kinds[kind] for kind in kinds if kind in self.prompts)
        return self.prompt_error(
            f"The input type {type(model_input).__name__} is not available with {self.name}. It takes {taken}."
        )

    def output_refusal(self, output_type: Any) -> Exception:
        """Give the error for an output type that isn't taken."""
        words = self.refusal
        if isinstance(output_type, CFG):
            words = self.cfg_refusal
        elif isinstance(output_type, Regex):
            words = self.regex_refusal
        named = getattr(output_type, "__name__", None) or shorten(str(output_type))
        taken = [word for kind, word in _OUTPUT_WORDS.items() if kind in self.outputs]
        return self.output_error(
            f"{words.format(type=named, name=self.name)} It takes {'; '.join(taken) or 'no output type'}. "
            "`outlines.models.checked(model)` takes every type: what the provider doesn't enforce is checked, and "
            "asked for again."
        )

    def batch_refusal(self) -> NotImplementedError:
        """Give the error for a batch, where the provider has none."""
        return NotImplementedError(
            f"{self.name} does not support batches of prompts. "
            + (
                "Call it once a prompt."
                if self.is_steered
                else "`outlines.models.concurrent(model).batch(prompts)` sends them side by side."
            )
        )

    def stream_refusal(self) -> NotImplementedError:
        """Give the error for a stream, where the provider has none."""
        return NotImplementedError(
            f"{self.name} does not support streaming. Streaming is not available with it: call it for the whole text."
        )


_OUTPUT_WORDS = {
    "schema": "a pydantic model, dataclass, TypedDict, genson builder or JsonSchema (wrap a raw schema in it)",
    "list": "a list of such a type",
    "json": "dict, for any JSON object",
    "choice": "an Enum, a Literal or a Choice",
    "regex": "any type that has a regular expression",
    "cfg": "a CFG",
}

_ROWS = (
    Capability(
        "Anthropic",
        "from_anthropic",
        "anthropic",
        _VISION,
        frozenset(),
        output_error=NotImplementedError,
        refusal="The output type `{type}` is not available with {name}.",
        cfg_refusal="A grammar as output type is not available with {name}.",
        regex_refusal="A regex as output type is not available with {name}.",
    ),
    Capability(
        "Dottxt",
        "from_dottxt",
        "dottxt",
        _TEXT,
        frozenset({"schema"}),
        streams=False,
        has_async=True,
        cfg_refusal="CFG-based structured outputs will soon be available with {name}.",
        regex_refusal="Regex-based structured outputs will soon be available with {name}.",
    ),
    Capability(
        "Gemini",
        "from_gemini",
        "gemini",
        _VISION,
        frozenset({"schema", "list", "choice"}),
        regex_refusal="Neither regex-based structured outputs nor other patterns are available with {name}.",
    ),
    Capability("LMStudio", "from_lmstudio", "lmstudio", _VISION, frozenset({"schema"}), has_async=True),
    Capability(
        "LlamaCpp",
        "from_llamacpp",
        "llamacpp",
        _CHAT,
        _EVERY_OUTPUT,
        is_steered=True,
        prompt_error=NotImplementedError,
    ),
    Capability(
        "LlamaCppServer",
        "from_llamacpp_server",
        "openai",
        _VISION,
        _EVERY_OUTPUT,
        has_async=True,
    ),
    Capability(
        "MLXLM",
        "from_mlxlm",
        "mlxlm",
        _CHAT,
        _EVERY_OUTPUT,
        batches=True,
        is_steered=True,
        prompt_error=NotImplementedError,
    ),
    Capability(
        "Mistral",
        "from_mistral",
        "mistral",
        _VISION,
        frozenset({"schema", "json"}),
        has_async=True,
        refusal="The type `{type}` is not available with {name}.",
    ),
    Capability("Ollama", "from_ollama", "ollama", _VISION, frozenset({"schema"}), has_async=True),
    Capability(
        "OpenAI",
        "from_openai",
        "openai",
        _VISION,
        frozenset({"schema", "json"}),
        has_async=True,
        refusal="The type `{type}` is not available with {name}.",
        regex_refusal="Neither regex-based structured outputs nor other patterns are available with {name}.",
    ),
    Capability("SGLang", "from_sglang", "sglang", _VISION, _EVERY_OUTPUT, has_async=True),
    Capability(
        "TGI",
        "from_tgi",
        "tgi",
        _TEXT,
        _EVERY_OUTPUT - {"json", "cfg"},
        has_async=True,
        prompt_error=NotImplementedError,
        output_error=NotImplementedError,
        cfg_refusal="{name} does not support CFG-based structured outputs.",
    ),
    Capability(
        "Transformers",
        "from_transformers",
        "transformers",
        _CHAT,
        _EVERY_OUTPUT,
        batches=True,
        is_steered=True,
    ),
    Capability(
        "TransformersMultiModal",
        "from_transformers",
        "transformers",
        frozenset({"list", "chat", "images", "audio", "video"}),
        _EVERY_OUTPUT,
        batches=True,
        is_steered=True,
    ),
    Capability("VLLM", "from_vllm", "vllm", _VISION, _EVERY_OUTPUT, has_async=True),
    Capability("VLLMOffline", "from_vllm_offline", "vllm", _CHAT, _EVERY_OUTPUT, streams=False, batches=True),
)

#: By the name of the model's class.
CAPABILITIES: dict[str, Capability] = {row.name: row for row in _ROWS}


def capability_of(model: Any) -> Capability:
    """Give the row of a model, or of the first of its classes that has one.

    Raises
    ------
    ValueError
        If it is no model of ours.
    """
    row = getattr(model, "capability", None)
    if row is not None:
        return row
    for each in type(model).__mro__:
        if each.__name__ in CAPABILITIES:
            return CAPABILITIES[each.__name__]
    raise ValueError(f"{type(model).__name__} is not a model of outlines: make one, as with `from_openai`")
