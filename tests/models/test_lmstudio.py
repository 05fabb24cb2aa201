"""LM Studio: its real client over its own websocket protocol, against a stand-in."""

from __future__ import annotations

import asyncio

import pytest

import outlines
from outlines.inputs import Chat
from outlines.models import LMStudio, concurrent
from outlines.types import CFG, JsonSchema, Regex
from tests.models.lmstudio_server import serving
from tests.models.providers import DATA, IMAGE, SCHEMA, Animal

lmstudio = pytest.importorskip("lmstudio", reason="pip install -c constraints.txt -e '.[dev]' brings it")
# The client's sockets are closed by its own thread, after the test.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def model(server):
    with lmstudio.Client(server.address) as client:
        yield outlines.from_lmstudio(client, "m")


def test_prompts_schemas_and_models(server, model):
    server.pieces = ['{"name": "Bo",', ' "legs": 4}']
    assert model("Hi", Animal) == '{"name": "Bo", "legs": 4}'
    assert server.models[-1] in ("m", {"type": "query", "query": {"identifier": "m"}})
    assert server.schema() == SCHEMA
    assert server.history() == [("user", ["Hi"])]
    assert model("Hi", JsonSchema(SCHEMA), model="other") == '{"name": "Bo", "legs": 4}'
    assert "other" in str(server.models[-1])
    model("Hi")
    assert server.schema() is None


def test_a_conversation(server, model):
    chat = Chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ]
    )
    model(chat)
    assert server.history() == [
        ("system", ["Be brief."]),
        ("user", ["Hi"]),
        ("assistant", ["Hello"]),
        ("user", ["Bye"]),
    ]
    with pytest.raises(ValueError, match="Unsupported role: 'system'"):
        model(Chat([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]))


def test_images_are_uploaded_after_all_are_checked(server, model, monkeypatch):
    uploaded = []
    handle = object()
    monkeypatch.setattr(lmstudio, "prepare_image", lambda data: uploaded.append(data) or handle)
    with pytest.raises(ValueError, match="All assets provided must be of type Image"):
        model(["Look", IMAGE, "not an image"])
    assert uploaded == []
    monkeypatch.setattr(
        lmstudio.Chat, "add_user_message", lambda self, text, images: uploaded.append((text, images))
    )
    model.type_adapter.format_input(["Look", IMAGE])
    import base64

    assert uploaded == [base64.b64decode(DATA), ("Look", [handle])]


def test_a_stream(server, model):
    server.pieces = ["a", "", "é"]
    stream = model.stream("Hi", Animal)
    assert "".join(stream) == "aé"


@pytest.mark.parametrize(
    ("output_type", "text"),
    [
        (str, "The type `str` is not supported"),
        (dict, "The type `dict` is not supported"),
        (Regex("a"), "Regex-based structured outputs are not"),
        (CFG("start: 'a'"), "CFG-based structured outputs are not"),
    ],
)
def test_other_types_are_refused(model, output_type, text):
    with pytest.raises(TypeError, match=text):
        model("Hi", output_type)


def test_other_prompts_and_batches_are_refused(model):
    with pytest.raises(TypeError, match="The input type int is not available"):
        model(3)
    with pytest.raises(NotImplementedError, match="does not support"):
        model.batch(["a"])


def test_a_concurrent_batch(server, model):
    server.pieces = ["yes"]
    assert concurrent(model).batch(["a", "b", "c"]) == ["yes"] * 3


def test_awaited(server):
    server.pieces = ["ye", "s"]

    async def run() -> None:
        model = outlines.from_lmstudio(lmstudio.AsyncClient(server.address))
        await model.close()  # nothing yet to close
        assert not model._context_entered
        assert await model("Hi", Animal) == "yes"
        assert model._context_entered
        assert [piece async for piece in model.stream("Hi")] == ["ye", "s"]
        await model.close()
        assert not model._context_entered

    asyncio.run(run())


def test_the_loader_asks_no_server():
    client = lmstudio.Client("127.0.0.1:9")
    assert isinstance(outlines.from_lmstudio(client), LMStudio)
    with pytest.raises(ValueError, match="Invalid client type"):
        outlines.from_lmstudio(object())
