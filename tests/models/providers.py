"""Every provider behind HTTP as data: its real client, what is sent for the same prompts and types, the answers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, NamedTuple

import PIL.Image
from pydantic import BaseModel

import outlines
from outlines.inputs import Chat, Image
from outlines.types import CFG, Choice, JsonSchema, Regex
from tests.models.recorder import Answer

__all__ = ["CHAT", "IMAGE", "PROVIDERS", "Animal", "Provider", "image"]


class Animal(BaseModel):
    """A type that every provider takes whole."""

    name: str
    legs: int


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def image(colour: str = "red") -> Image:
    """Make a small PNG."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 2), colour).save(buffer, "PNG")
    return Image(PIL.Image.open(buffer))


IMAGE = image()
DATA = IMAGE.image_str
assert base64.b64decode(DATA)[1:4] == b"PNG"
URL = f"data:image/png;base64,{DATA}"
CHAT = Chat(
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ["What is it?", IMAGE], "ignored": 1},
        {"role": "assistant", "content": "A square."},
        {"role": "user", "content": "Its colour?"},
    ]
)
TEXT_CHAT = Chat([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])

SCHEMA = {
    "description": "A type that every provider takes whole.",
    "properties": {"name": {"title": "Name", "type": "string"}, "legs": {"title": "Legs", "type": "integer"}},
    "required": ["name", "legs"],
    "title": "Animal",
    "type": "object",
}
CLOSED = {**SCHEMA, "additionalProperties": False}
EBNF = 'root ::= "yes" | "no"'
GRAMMAR = 'start: "yes" | "no"'


def sse(*events: Any, names: bool = False) -> Answer:
    """Give a stream of server-sent events."""
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if names else ""
        lines.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return Answer("".join(lines).encode(), content_type="text/event-stream")


class Provider(NamedTuple):
    """One provider's shapes.

    `messages` are what is sent for the string "Hi", for a list with an image and for CHAT, `body` what stands around
    them, `outputs` what each output type adds.
    """

    name: str
    load: Callable[..., Any]
    client: Callable[[str, float], Any]
    async_client: Callable[[str, float], Any] | None
    path: str
    stream_path: str
    body: Callable[[Any], dict[str, Any]]  # of formatted messages
    messages: dict[str, Any]
    outputs: list[tuple[Any, dict[str, Any]]]
    answer: Callable[..., Answer]  # of texts
    stream: Callable[..., Answer]  # of pieces
    stream_body: dict[str, Any]
    kwargs: dict[str, Any] = {}  # noqa: RUF012
    model: str | None = "m"


# OpenAI's protocol


def completion(*texts: str | None, refusal: str | None = None) -> Answer:
    choices = [
        {
            "index": i,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, **({"refusal": refusal} if refusal else {})},
        }
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return Answer(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": choices,
            "usage": usage,
        }
    )


def completion_chunks(*pieces: str | None) -> Answer:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [[{"index": 0, "delta": {"content": piece}, "finish_reason": None}] for piece in pieces]
    last = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return sse(*({**chunk, "choices": each} for each in [*choices, last, []]), "[DONE]")


def openai_client(url: str, timeout: float) -> Any:
    import openai

    return openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=timeout)


def openai_async_client(url: str, timeout: float) -> Any:
    import openai

    return openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=timeout)


def azure_client(url: str, timeout: float) -> Any:
    import openai

    return openai.AzureOpenAI(
        api_key="k", azure_endpoint=url, api_version="1", max_retries=0, timeout=timeout, azure_deployment="m"
    )


OPENAI_MESSAGES = {
    "text": [{"role": "user", "content": "Hi"}],
    "list": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": URL}}],
        }
    ],
    "chat": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": URL}},
            ],
        },
        {"role": "assistant", "content": "A square."},
        {"role": "user", "content": "Its colour?"},
    ],
}
MISTRAL_CHAT = [
    {**each, **({"prefix": False} if each["role"] == "assistant" else {})} for each in OPENAI_MESSAGES["chat"]
]


def strict_format(schema: dict, name: str = "default") -> dict[str, Any]:
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": name, "strict": True, "schema": schema},
        }
    }


OPENAI = Provider(
    name="OpenAI",
    load=outlines.from_openai,
    client=openai_client,
    async_client=openai_async_client,
    path="/v1/chat/completions",
    stream_path="/v1/chat/completions",
    body=lambda messages: {"model": "m", "messages": messages},
    messages=OPENAI_MESSAGES,
    outputs=[
        (None, {}),
        (dict, {"response_format": {"type": "json_object"}}),
        (Animal, strict_format(CLOSED)),
        (JsonSchema(SCHEMA), strict_format(CLOSED)),
    ],
    answer=completion,
    stream=completion_chunks,
    stream_body={"stream": True},
)
AZURE = OPENAI._replace(
    client=azure_client,
    async_client=None,
    path="/openai/deployments/m/chat/completions?api-version=1",
    stream_path="/openai/deployments/m/chat/completions?api-version=1",
)
VLLM = OPENAI._replace(
    name="VLLM",
    load=outlines.from_vllm,
    outputs=[
        (None, {}),
        (Animal, {"structured_outputs": {"json": SCHEMA}}),
        (
            JsonSchema(SCHEMA, whitespace_pattern=" "),
            {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": " "}},
        ),
        (JsonSchema(SCHEMA, whitespace_pattern=""), {"structured_outputs": {"json": SCHEMA}}),
        (Literal["yes", "no"], {"structured_outputs": {"regex": "(yes|no)"}}),
        (Regex("[0-9]"), {"structured_outputs": {"regex": "([0-9])"}}),
        (CFG(GRAMMAR), {"structured_outputs": {"grammar": GRAMMAR}}),
        (dict, {"structured_outputs": {"grammar": outlines.grammars.json}}),
    ],
)
SGLANG = OPENAI._replace(
    name="SGLang",
    load=outlines.from_sglang,
    outputs=[
        (None, {}),
        (Animal, strict_format(CLOSED)),
        (Regex("[0-9]"), {"regex": "([0-9])"}),
        (int, {"regex": "([+-]?(0|[1-9][0-9]*))"}),
        (CFG(GRAMMAR), {"ebnf": 'root ::= r-start\nr-start ::= "y" "e" "s" | "n" "o"\n'}),
    ],
)
LLAMACPP_SERVER = OPENAI._replace(
    name="LlamaCppServer",
    load=outlines.from_llamacpp_server,
    outputs=[
        (None, {}),
        (Animal, {"json_schema": SCHEMA}),
        (Regex("[0-9]"), {"grammar": "root ::= t\nt ::= [0-9]\n"}),
        (CFG(EBNF), {"grammar": EBNF}),
    ],
)


# The others


def dottxt_client(url: str, timeout: float) -> Any:
    import dottxt

    return dottxt.DotTxt(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=timeout)


def dottxt_async_client(url: str, timeout: float) -> Any:
    import dottxt

    return dottxt.AsyncDotTxt(api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=timeout)


DOTTXT_FORMAT = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}
}
DOTTXT = OPENAI._replace(
    name="Dottxt",
    load=outlines.from_dottxt,
    client=dottxt_client,
    async_client=dottxt_async_client,
    messages={"text": OPENAI_MESSAGES["text"]},
    outputs=[(Animal, DOTTXT_FORMAT), (JsonSchema(SCHEMA), DOTTXT_FORMAT)],
)


def anthropic_client(url: str, timeout: float) -> Any:
    import anthropic

    return anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, timeout=timeout)


def anthropic_message(*texts: str) -> Answer:
    content = [{"type": "text", "text": text} for text in texts]
    usage = {"input_tokens": 1, "output_tokens": 1}
    return Answer(
        {
            "id": "1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": content,
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": usage,
        }
    )


def anthropic_events(*pieces: str | None) -> Answer:
    message = {**anthropic_message().body, "stop_reason": None}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces
        if piece is not None
    ]
    thought = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "hm"},
    }
    return sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        thought,
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 1},
        },
        {"type": "message_stop"},
        names=True,
    )


def anthropic_user(text: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": DATA}
    return {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}


ANTHROPIC = Provider(
    name="Anthropic",
    load=outlines.from_anthropic,
    client=anthropic_client,
    async_client=None,
    path="/v1/messages",
    stream_path="/v1/messages",
    body=lambda messages: {"model": "m", "messages": messages, "max_tokens": 9},
    messages={
        "text": [{"role": "user", "content": "Hi"}],
        "list": [anthropic_user("Look")],
        "chat": [
            {"role": "system", "content": "Be brief."},
            anthropic_user("What is it?"),
            {"role": "assistant", "content": "A square."},
            {"role": "user", "content": "Its colour?"},
        ],
    },
    outputs=[(None, {})],
    answer=anthropic_message,
    stream=anthropic_events,
    stream_body={"stream": True},
    kwargs={"max_tokens": 9},
)


def gemini_client(url: str, timeout: float) -> Any:
    from google import genai

    options = {"base_url": url, "timeout": int(timeout * 1000), "retry_options": {"attempts": 1}}
    return genai.Client(api_key="k", http_options=options)


def gemini_answer(*texts: str | None) -> dict[str, Any]:
    parts = [{"text": text} for text in texts if text is not None]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}


# Its library spells some of the names in one way and some in the other; the service takes both.
GEMINI_IMAGE = {"inlineData": {"mime_type": "image/png", "data": DATA}}
GEMINI_OBJECT = {
    "type": "OBJECT",
    "properties": {"name": {"title": "Name", "type": "STRING"}, "legs": {"title": "Legs", "type": "INTEGER"}},
    "required": ["name", "legs"],
    "title": "Animal",
    "description": SCHEMA["description"],
    "property_ordering": ["name", "legs"],
}


def gemini_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}


def gemini_enum(name: str) -> dict[str, Any]:
    schema = {"type": "STRING", "enum": ["red", "blue"], "title": name}
    return {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": schema}}


GEMINI = Provider(
    name="Gemini",
    load=outlines.from_gemini,
    client=gemini_client,
    async_client=None,
    path="/v1/models/m:generateContent",
    stream_path="/v1/models/m:streamGenerateContent?alt=sse",
    body=lambda contents: contents,
    messages={
        "text": {"contents": [{"parts": [{"text": "Hi"}], "role": "user"}]},
        "list": {"contents": [{"parts": [{"text": "Look"}, GEMINI_IMAGE], "role": "user"}]},
        "chat": {
            "contents": [
                {"parts": [{"text": "What is it?"}, GEMINI_IMAGE], "role": "user"},
                {"parts": [{"text": "A square."}], "role": "model"},
                {"parts": [{"text": "Its colour?"}], "role": "user"},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "user"},
            "generationConfig": {},
        },
    },
    outputs=[
        (None, {}),
        (Animal, gemini_json(GEMINI_OBJECT)),
        (list[Animal], gemini_json({"type": "ARRAY", "items": GEMINI_OBJECT, "title": "Placeholder"})),
        (Colour, gemini_enum("Colour")),
        (Literal["red", "blue"], gemini_enum("Literal")),
        (Choice(["red", "blue"]), gemini_enum("Choice")),
    ],
    answer=lambda *texts: Answer(gemini_answer(*texts)),
    stream=lambda *pieces: sse(*(gemini_answer(piece) for piece in pieces)),
    stream_body={},
)


def ollama_client(url: str, timeout: float) -> Any:
    import ollama

    return ollama.Client(host=url, timeout=timeout)


def ollama_async_client(url: str, timeout: float) -> Any:
    import ollama

    return ollama.AsyncClient(host=url, timeout=timeout)


def ollama_line(text: str | None, done: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text or ""}
    return {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done}


OLLAMA = Provider(
    name="Ollama",
    load=outlines.from_ollama,
    client=ollama_client,
    async_client=ollama_async_client,
    path="/api/chat",
    stream_path="/api/chat",
    body=lambda messages: {"model": "m", "messages": messages, "stream": False, "tools": []},
    messages={
        "text": [{"role": "user", "content": "Hi"}],
        "list": [{"role": "user", "content": "Look", "images": [DATA]}],
        "chat": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?", "images": [DATA]},
            {"role": "assistant", "content": "A square."},
            {"role": "user", "content": "Its colour?"},
        ],
    },
    outputs=[(None, {}), (Animal, {"format": SCHEMA}), (JsonSchema(SCHEMA), {"format": SCHEMA})],
    answer=lambda *texts: Answer(ollama_line(texts[0], True)),
    stream=lambda *pieces: Answer(
        "".join(json.dumps(ollama_line(piece, False)) + "\n" for piece in pieces).encode()
        + json.dumps(ollama_line("", True)).encode(),
        content_type="application/x-ndjson",
    ),
    stream_body={"stream": True},
)


def mistral_client(url: str, timeout: float) -> Any:
    try:
        from mistralai import Mistral
    except ImportError:
        from mistralai.client import Mistral

    return Mistral(api_key="k", server_url=url, timeout_ms=int(timeout * 1000))


MISTRAL = OPENAI._replace(
    name="Mistral",
    load=outlines.from_mistral,
    client=mistral_client,
    async_client=mistral_client,
    body=lambda messages: {"model": "m", "messages": messages, "stream": False, "response_format": {}},
    messages={**OPENAI_MESSAGES, "chat": MISTRAL_CHAT},
    outputs=[
        (None, {}),
        (dict, {"response_format": {"type": "json_object"}}),
        (Animal, strict_format(CLOSED, "animal")),
        (JsonSchema(SCHEMA), strict_format(CLOSED)),
    ],
)


def tgi_client(url: str, timeout: float) -> Any:
    from huggingface_hub import InferenceClient

    return InferenceClient(url, timeout=timeout)


def tgi_async_client(url: str, timeout: float) -> Any:
    from huggingface_hub import AsyncInferenceClient

    return AsyncInferenceClient(url, timeout=timeout)


def tgi_events(*pieces: str | None) -> Answer:
    tokens = [{"id": i, "text": piece, "logprob": 0.0, "special": False} for i, piece in enumerate(pieces)]
    return sse(*({"index": i, "token": token, "generated_text": None} for i, token in enumerate(tokens)))


TGI = Provider(
    name="TGI",
    load=outlines.from_tgi,
    client=tgi_client,
    async_client=tgi_async_client,
    path="/",
    stream_path="/",
    body=lambda prompt: {"inputs": prompt, "parameters": {}},
    messages={"text": "Hi"},
    outputs=[
        (None, {}),
        (Animal, {"parameters": {"grammar": {"type": "json", "value": SCHEMA}}}),
        (Regex("[0-9]"), {"parameters": {"grammar": {"type": "regex", "value": "([0-9])"}}}),
        (Literal["yes", "no"], {"parameters": {"grammar": {"type": "regex", "value": "(yes|no)"}}}),
    ],
    answer=lambda *texts: Answer([{"generated_text": texts[0]}]),
    stream=tgi_events,
    stream_body={"stream": True},
    model=None,
)

PROVIDERS = {
    "openai": OPENAI,
    "azure": AZURE,
    "vllm": VLLM,
    "sglang": SGLANG,
    "llamacpp_server": LLAMACPP_SERVER,
    "dottxt": DOTTXT,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "ollama": OLLAMA,
    "mistral": MISTRAL,
    "tgi": TGI,
}
