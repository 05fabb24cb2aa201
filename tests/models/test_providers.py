"""One contract for every provider behind HTTP: its real client, and a recorder that it talks to over loopback."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal
from unittest.mock import AsyncMock, Mock

import pytest

import outlines
from outlines import Generator, exceptions
from outlines.inputs import Chat
from outlines.models.base import AsyncModel
from outlines.models.capabilities import CAPABILITIES
from outlines.types import CFG, Regex
from tests.models.providers import CHAT, IMAGE, PROVIDERS, Animal, Provider, completion
from tests.models.recorder import Answer, Recorder, recording

pytest.importorskip(
    "openai", reason="pip install -c constraints.txt -e '.[dev]' brings the providers' clients"
)

#: Each provider waited for, and awaited where it can be.
WAYS = [
    pytest.param((name, is_async), id=f"{name}-async" if is_async else name)
    for name, provider in PROVIDERS.items()
    for is_async in (False, True)
    if not is_async or provider.async_client is not None
]


class Harness:
    """A provider's model on a recorder, called the same way whether it's waited for or awaited."""

    def __init__(self, provider: Provider, recorder: Recorder, is_async: bool):
        self.provider, self.recorder, self.is_async = provider, recorder, is_async
        self.loop = asyncio.new_event_loop()
        self.clients: dict[tuple[str, float], Any] = {}  # made once: each reads all certificates

    def model(self, url: str | None = None, timeout: float = 20.0, named: bool = True) -> Any:
        make = self.provider.async_client if self.is_async else self.provider.client
        key = url or self.recorder.url, timeout
        client = self.clients.get(key) or self.clients.setdefault(key, make(*key))
        arguments = [self.provider.model] if named and self.provider.model else []
        extra = {"async_client": True} if self.is_async and self.provider.name == "Mistral" else {}
        return self.provider.load(client, *arguments, **extra)

    def call(self, model: Any, prompt: Any, output_type: Any = None, /, **kwargs: Any) -> Any:
        if self.provider.name == "Dottxt":  # it must be given a type; ... asks for None itself
            output_type = Animal if output_type is None else None if output_type is ... else output_type
        result = Generator(model, output_type)(prompt, **self.provider.kwargs, **kwargs)
        return self.loop.run_until_complete(result) if self.is_async else result

    def batch(self, model: Any, prompts: list, output_type: Any = None, /, **kwargs: Any) -> Any:
        result = Generator(model, output_type).batch(prompts, **self.provider.kwargs, **kwargs)
        return self.loop.run_until_complete(result) if self.is_async else result

    def stream(self, model: Any, prompt: Any, output_type: Any = None, /, **kwargs: Any) -> list[str]:
        pieces = model.stream(prompt, output_type, **self.provider.kwargs, **kwargs)
        if not self.is_async:
            return list(pieces)

        async def collect() -> list[str]:
            return [piece async for piece in pieces]

        return self.loop.run_until_complete(collect())

    def text(self, text: str) -> str:
        """Give what the provider's answer `text` is as a result: dottxt parses it."""
        return json.dumps({"answer": text}) if self.provider.name == "Dottxt" else text

    def answer(self, *texts: str) -> Answer:
        return self.provider.answer(*map(self.text, texts))

    def close(self) -> None:
        for client in self.clients.values():
            inner = getattr(client, "_client", client)
            for each in {id(client): client, id(inner): inner}.values():
                close = getattr(each, "close", None)
                if close is None:
                    continue
                closing = close()
                if asyncio.iscoroutine(closing):
                    self.loop.run_until_complete(closing)
        if self.provider.name == "Mistral":
            for client in self.clients.values():
                configuration = client.sdk_configuration
                configuration.client.close()
                self.loop.run_until_complete(configuration.async_client.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(scope="module")
def recorder():
    with recording() as recorder, pytest.MonkeyPatch.context() as patch:
        from huggingface_hub import constants

        patch.setattr(constants, "HF_HUB_OFFLINE", False)  # else it refuses loopback too
        yield recorder


@pytest.fixture(scope="module")
def harnesses(recorder):
    made: dict[tuple[str, bool], Harness] = {}
    yield made
    for harness in made.values():
        harness.close()


@pytest.fixture
def harness(request, recorder, harnesses):
    name, is_async = request.param
    recorder.requests.clear()
    recorder.most_at_once = 0
    if request.param not in harnesses:
        harnesses[request.param] = Harness(PROVIDERS[name], recorder, is_async)
    return harnesses[request.param]


every_way = pytest.mark.parametrize("harness", WAYS, indirect=True)


def merged(body: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**body, **more}


# Requests and answers


@every_way
def test_each_kind_of_prompt_is_sent_as_documented_and_nothing_else(harness):
    provider = harness.provider
    harness.recorder.answer(harness.answer("yes"))
    model = harness.model()
    free = provider.outputs[0][1]
    for kind, prompt in (("text", "Hi"), ("list", ["Look", IMAGE]), ("chat", CHAT)):
        if kind not in provider.messages:
            with pytest.raises(
                (TypeError, NotImplementedError), match=f"is not available with {provider.name}"
            ):
                harness.call(model, prompt)
            assert harness.recorder.requests == []
            continue
        assert harness.call(model, prompt) == harness.text("yes")
        (request,) = harness.recorder.requests
        assert (request.method, request.path) == ("POST", provider.path)
        assert request.body == merged(provider.body(provider.messages[kind]), free)
        harness.recorder.requests.clear()


@every_way
def test_each_output_type_is_sent_as_documented(harness):
    provider = harness.provider
    harness.recorder.answer(harness.answer("yes"))
    model = harness.model()
    for output_type, added in provider.outputs:
        assert harness.call(model, "Hi", output_type) == harness.text("yes")
        (body,) = harness.recorder.bodies()
        assert body == merged(provider.body(provider.messages["text"]), added), output_type


@every_way
def test_what_is_not_taken_is_refused_before_any_request(harness):
    row = CAPABILITIES[harness.provider.name]
    model = harness.model()
    types = {
        "json": dict,
        "choice": Literal["a", "b"],
        "regex": Regex("a"),
        "cfg": CFG("start: 'a'"),
        "schema": Animal,
    }
    for kind, output_type in types.items():
        if kind in row.outputs:
            continue
        for output in [output_type, *([str] if kind == "regex" else [])]:
            with pytest.raises(row.output_error, match=f"{row.name}.*outlines.models.checked"):
                harness.call(model, "Hi", output)
    with pytest.raises(row.prompt_error, match="The input type int is not available with"):
        harness.call(model, 3)
    assert harness.recorder.requests == []


@every_way
def test_keywords_go_to_the_client_as_they_are(harness):
    if harness.provider.name == "Gemini":
        pytest.skip("all of its keywords go into one of them: test_gemini_puts_keywords_into_its_config")
    own = {"Ollama": ("keep_alive", "5m"), "Anthropic": ("stop_sequences", ["x"])}
    name, value = own.get(harness.provider.name, ("temperature", 0.5))
    harness.recorder.answer(harness.answer("yes"))
    harness.call(harness.model(), "Hi", **{name: value})
    (body,) = harness.recorder.bodies()
    assert body.get(name, body.get("parameters", {}).get(name)) == value
    with pytest.raises(TypeError, match="nonsense"):
        harness.call(harness.model(), "Hi", nonsense=1)
    assert harness.recorder.requests == []


@every_way
def test_the_model_of_a_call_goes_before_that_of_the_loader(harness):
    if harness.provider.model is None:
        pytest.skip("its server runs one model, which no request names")
    harness.recorder.answer(harness.answer("yes"))
    model = harness.model()
    assert (getattr(model, "model_name", None) or model.model) == "m"
    harness.call(model, "Hi", model="other")
    (request,) = harness.recorder.requests
    assert "other" in (request.path if harness.provider.name == "Gemini" else request.body["model"])
    nameless = harness.model(named=False)
    assert nameless.model_name is None
    harness.call(nameless, "Hi", model="other")


# Streams


@every_way
def test_a_stream_gives_the_pieces(harness):
    provider = harness.provider
    if not CAPABILITIES[provider.name].streams:
        with pytest.raises(NotImplementedError, match="does not support streaming"):
            harness.stream(harness.model(), "Hi")
        return
    harness.recorder.answer(provider.stream("ye", "s", " é🙂"))
    model = harness.model()
    assert "".join(harness.stream(model, "Hi")) == "yes é🙂"
    (request,) = harness.recorder.requests
    assert request.path == provider.stream_path
    sent = merged(provider.body(provider.messages["text"]), provider.outputs[0][1])
    assert request.body == merged(sent, provider.stream_body)


@every_way
def test_a_stream_is_a_generator_and_sends_nothing_before_it_is_read(harness):
    if not CAPABILITIES[harness.provider.name].streams:
        pytest.skip("it has no streams")
    harness.recorder.answer(harness.provider.stream("a", "b"))
    stream = harness.model().stream("Hi", **harness.provider.kwargs)
    assert hasattr(stream, "asend" if harness.is_async else "send")
    assert harness.recorder.requests == []
    if harness.is_async:
        harness.loop.run_until_complete(stream.aclose())
    else:
        assert next(stream) == "a"
        stream.close()  # left early: its connection is given back


# Errors


@every_way
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, exceptions.BadRequestError),
        (401, exceptions.AuthenticationError),
        (403, exceptions.PermissionDeniedError),
        (404, exceptions.NotFoundError),
        (422, exceptions.BadRequestError),
        (429, exceptions.RateLimitError),
        (500, exceptions.ServerError),
        (529, exceptions.ServerError),
    ],
)
def test_an_error_of_the_provider_is_translated(harness, status, error):
    body = {"error": {"message": "no such luck", "code": status, "status": "X"}, "detail": []}
    harness.recorder.answer(Answer(body, status))
    with pytest.raises(error) as raised:
        harness.call(harness.model(), "Hi")
    assert type(raised.value) is error
    assert raised.value.status_code == status
    assert raised.value.provider in (harness.provider.name.lower(), "openai")
    assert raised.value.original_exception is raised.value.__cause__


@every_way
def test_an_error_within_a_stream_is_translated(harness):
    if not CAPABILITIES[harness.provider.name].streams:
        pytest.skip("it has no streams")
    harness.recorder.answer(Answer({"error": {"message": "wait", "code": 429}}, 429))
    with pytest.raises(exceptions.RateLimitError):
        harness.stream(harness.model(), "Hi")


@every_way
def test_no_answer_in_time(harness):
    harness.recorder.answer(harness.answer("late")._replace(delay=0.6))
    with pytest.raises(exceptions.APITimeoutError):
        harness.call(harness.model(timeout=0.2), "Hi")


@every_way
def test_nobody_there(harness):
    with pytest.raises(exceptions.APIConnectionError):
        harness.call(harness.model(url="http://127.0.0.1:9"), "Hi")


# Batches


@every_way
def test_a_batch_is_refused_with_the_way_out(harness):
    with pytest.raises(NotImplementedError, match=r"does not support batches.*outlines\.models\.concurrent"):
        harness.batch(harness.model(), ["Hi", "Ho"])
    assert harness.recorder.requests == []


@every_way
def test_a_concurrent_batch_keeps_the_order(harness):
    from outlines.models import concurrent

    def echo(request: Any) -> Answer:
        text = json.dumps(request.body)
        number = next(n for n in range(12) if f"prompt {n}." in text)
        return harness.answer(str(number))._replace(delay=0.02 * (number % 3))

    harness.recorder.answer(echo)
    model = concurrent(harness.model(), limit=4)
    prompts = [f"prompt {n}." for n in range(12)]
    output_type = Animal if harness.provider.name == "Dottxt" else None
    results = harness.batch(model, prompts, output_type)
    assert results == [harness.text(str(n)) for n in range(12)]
    assert 1 < harness.recorder.most_at_once <= 4


# What only some have


OPENAI_WAYS = [way for way in WAYS if way.id.split("-")[0] in {"openai", "vllm", "sglang"}]


@pytest.mark.parametrize("harness", OPENAI_WAYS, indirect=True)
class TestOpenAIProtocol:
    def test_several_samples_are_a_list(self, harness):
        harness.recorder.answer(completion("a", "b"))
        assert harness.call(harness.model(), "Hi", n=2) == ["a", "b"]

    def test_a_refusal_is_an_error(self, harness):
        harness.recorder.answer(completion(None, refusal="I won't"))
        with pytest.raises(
            exceptions.GenerationError, match="refused to answer the request: I won't"
        ) as raised:
            harness.call(harness.model(), "Hi")
        assert raised.value.provider == harness.provider.name.lower()

    def test_chunks_without_text_are_passed_over_but_empty_ones_are_not(self, harness):
        harness.recorder.answer(harness.provider.stream("a", None, "", "b"))
        assert harness.stream(harness.model(), "Hi") == ["a", "", "b"]

    def test_extra_body_is_merged_and_never_changed(self, harness):
        harness.recorder.answer(completion("a"))
        extra = {"top_k": 3, "regex": "old", "structured_outputs": "old"}
        model = harness.model()
        harness.call(model, "Hi", Regex("a") if harness.provider.name != "OpenAI" else None, extra_body=extra)
        assert extra == {"top_k": 3, "regex": "old", "structured_outputs": "old"}
        harness.call(model, "Hi", extra_body={"top_k": 3})
        first, second = harness.recorder.bodies()
        assert first["top_k"] == second["top_k"] == 3
        ours = {"VLLM": ("structured_outputs", {"regex": "(a)"}), "SGLang": ("regex", "(a)")}
        if harness.provider.name in ours:
            name, value = ours[harness.provider.name]
            assert first[name] == value
        assert "regex" not in second
        assert "structured_outputs" not in second

    def test_a_second_response_format_is_an_error(self, harness):
        harness.recorder.answer(completion("a"))
        given = {"response_format": {"type": "text"}}
        if harness.provider.name == "OpenAI":
            with pytest.raises(TypeError, match="response_format"):
                harness.call(harness.model(), "Hi", Animal, **given)
            assert harness.recorder.requests == []
        else:
            harness.call(harness.model(), "Hi", Animal, **given)
            (body,) = harness.recorder.bodies()
            expected = {"VLLM": "text", "SGLang": "json_schema"}[harness.provider.name]
            assert body["response_format"]["type"] == expected


@pytest.mark.parametrize("harness", [("gemini", False)], indirect=True)
def test_gemini_puts_keywords_into_its_config(harness):
    harness.recorder.answer(harness.answer("yes"))
    harness.call(harness.model(), "Hi", Animal, temperature=0.5, response_mime_type="text/plain")
    (body,) = harness.recorder.bodies()
    assert body["generationConfig"]["temperature"] == 0.5
    assert body["generationConfig"]["responseMimeType"] == "text/plain"


@pytest.mark.parametrize("harness", [way for way in WAYS if "dottxt" in way.id], indirect=True)
def test_dottxt_needs_a_type_and_a_model(harness):
    model = harness.model(named=False)
    with pytest.raises(TypeError, match="You must provide an output type"):
        harness.call(model, "Hi", ...)
    with pytest.raises(ValueError, match="A model identifier is required"):
        harness.call(model, "Hi", Animal)
    assert harness.recorder.requests == []


CONTENT_PROVIDERS = ["openai", "vllm", "sglang", "anthropic", "gemini", "ollama"]


@pytest.mark.parametrize("harness", [(name, False) for name in CONTENT_PROVIDERS], indirect=True)
def test_contents_that_are_wrong_are_named(harness):
    model = harness.model()
    for prompt, error, text in [
        (["Look", "not an image"], ValueError, "All assets provided must be of type Image"),
        (
            Chat([{"role": "user", "content": ["Look", 1]}]),
            ValueError,
            "All assets provided must be of type Image",
        ),
        (
            Chat([{"role": "user", "content": {"a": 1}}]),
            ValueError,
            "Invalid content type.*must be a string or a list",
        ),
        ([], IndexError, "range"),
        (Chat([{"content": "a"}]), KeyError, "role"),
        (Chat([{"role": "user"}]), KeyError, "content"),
    ]:
        with pytest.raises(error, match=text):
            harness.call(model, prompt)
    assert harness.recorder.requests == []


@pytest.mark.parametrize("harness", [("mistral", False)], indirect=True)
def test_contents_that_are_wrong_are_named_by_mistral_in_its_own_way(harness):
    model = harness.model()
    for prompt, error, text in [
        ([], ValueError, "Content list cannot be empty."),
        ([1], ValueError, "The first item in the list should be a string."),
        (["Look", "x"], ValueError, "Expected Image objects after the first string"),
        (Chat([{"role": "user", "content": 3}]), TypeError, "Invalid content type"),
        (Chat([{"role": "tool", "content": "x"}]), ValueError, "Unsupported role"),
    ]:
        with pytest.raises(error, match=text):
            harness.call(model, prompt)
    harness.recorder.answer(harness.answer("a"))
    harness.call(model, ["Look"])  # a list of one is that one
    assert harness.recorder.bodies()[0]["messages"] == [{"role": "user", "content": "Look"}]


# Loaders


@pytest.mark.parametrize("name", [n for n in PROVIDERS if n not in {"anthropic", "gemini", "azure"}])
def test_a_loader_names_a_client_that_is_not_its_own(name):
    with pytest.raises(ValueError, match=r"(Invalid|Unsupported) client type: object"):
        PROVIDERS[name].load(object())


def test_the_loader_tells_the_two_kinds_of_client_apart():
    for name, provider in PROVIDERS.items():
        if provider.async_client is not None and name != "mistral":
            awaited = provider.load(provider.async_client("http://127.0.0.1:9", 1.0))
            assert isinstance(awaited, AsyncModel)
            assert type(awaited).__name__ == f"Async{provider.name}"


# Streams that are left early


class Stream:
    """A stream with both ways to close, as a response of httpx has them."""

    def __init__(self, *methods: str):
        self.closed: list[str] = []
        for name in methods:
            setattr(self, name, self.awaited if name == "aclose" else lambda: self.closed.append("close"))

    async def awaited(self) -> None:
        self.closed.append("aclose")

    def __iter__(self):
        yield from ("a", "b")

    async def __aiter__(self):
        for piece in ("a", "b"):
            yield piece


@pytest.mark.parametrize("methods", [(), ("close",), ("aclose",), ("close", "aclose")])
def test_a_stream_is_closed_by_the_method_that_suits(methods):
    stream = Stream(*methods)
    client = Mock()
    client.text_generation.return_value = stream
    pieces = outlines.models.TGI(client).stream("Hi")
    assert next(pieces) == "a"
    pieces.close()
    assert stream.closed == (["close"] if "close" in methods else [])

    async def leave() -> None:
        client.text_generation = AsyncMock(return_value=stream)
        pieces = outlines.models.AsyncTGI(client).stream("Hi")
        assert await anext(pieces) == "a"
        await pieces.aclose()

    stream.closed.clear()
    asyncio.run(leave())
    assert stream.closed == list(sorted(methods)[:1])
