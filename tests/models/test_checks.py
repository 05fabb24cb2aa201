"""Answers that are checked by our own automaton, and asked for again."""

from __future__ import annotations

import asyncio
from typing import Literal
from unittest.mock import Mock

import pytest
from pydantic import BaseModel

import outlines
from outlines.exceptions import ConstraintError, GenerationError
from outlines.inputs import Chat
from outlines.models import AsyncCheckedModel, checked, concurrent
from outlines.models.checks import Judge
from outlines.types import JsonSchema, Regex
from tests import tiny_models
from tests.models.providers import OLLAMA, OPENAI, TGI, Animal
from tests.models.recorder import recording


class Folder(BaseModel):
    """A type that has itself as a part."""

    folders: list[Folder]


@pytest.fixture(scope="module")
def recorder():
    with recording() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def client(recorder):
    pytest.importorskip("openai", reason="pip install -c constraints.txt -e '.[dev]' brings it")
    client = OPENAI.client(recorder.url, 20.0)
    yield client
    client.close()


@pytest.fixture
def model(recorder, client):
    recorder.requests.clear()
    return outlines.from_openai(client, "m")


@pytest.mark.parametrize(
    ("output_type", "accepted", "refused"),
    [
        (Regex("[a-c]{2}é?"), ["ab", "abé"], ["", "a", "abd", "ab ", "abéé"]),
        (Literal["yes", "no"], ["yes", "no"], ["Yes", "yes.", "ye"]),
        (int, ["1", "-20"], ["01", "1.0", "one"]),
        (
            Animal,
            ['{"name":"a","legs":1}', '{\n  "name" : "a",\n  "legs" : 1\n}', '{"legs": 1, "name": "a"}'],
            [
                '{"name": "a"}',
                '{"name": "a", "legs": "1"}',
                '{"name": "a", "legs": 1, "x": 1}',
                "{",
                "```json\n{}\n```",
            ],
        ),
        (
            list[Animal],
            ["[]", '[ {"legs": 1,\n"name": "a"} ]'],
            ["{}", '[{"name": "a"}]', '[{"name": "a", "legs": 1, "x": 1}]'],
        ),
        (list[Folder], ['[{"folders": [{"folders":[]}]}]'], ['[{"folders": [{"folders":[1]}]}]']),
        (JsonSchema({"properties": {"a": {}}}), ['{"b": 1,"a":2}'], ['{"b":1,"a":NaN}', '{"b":1,"a":1,"a":1}']),
        (
            JsonSchema({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}),
            ["[1]", '[1, "a"]'],
            ['["a"]'],
        ),
        (JsonSchema({"type": "array", "items": {"minimum": 3}}), ["[3,4]", "[ 5 ]"], ["[2]", "3", "[3"]),
    ],
)
def test_a_judge_takes_what_is_of_the_type_and_nothing_else(output_type, accepted, refused):
    judge = Judge(output_type)
    assert [text for text in accepted if judge.problem(text)] == []
    assert [text for text in refused if judge.problem(text) is None] == []


def test_a_judge_says_what_is_wrong_and_where():
    assert Judge(Regex("[a-z]+")).problem("abcD.") == "character 3, 'D.', can't stand there"
    assert Judge(Regex("[a-z]{3}")).problem("ab") == "it ends too early"
    assert "$.legs: 'four' is not of type 'integer'" in Judge(Animal).problem(
        '{"name": "a", "legs": "four"}'
    ).replace('"', "")
    assert Judge(Animal).problem(None) == "there is no text"


def test_a_judge_reads_what_is_nested_as_deep_as_a_model_may_write_it():
    assert "nested too deep" in Judge(JsonSchema({"enum": [1]})).problem("[" * 200_000)


def test_a_list_is_sent_to_whom_takes_it():
    client = Mock()
    client.models.generate_content.return_value.text = "[]"
    assert checked(outlines.from_gemini(client, "m"))("Hi", list[Animal]) == "[]"
    (call,) = client.models.generate_content.call_args_list
    assert call.kwargs["config"]["response_schema"] == list[Animal]


def test_it_asks_again_and_says_what_was_wrong(recorder, model):
    recorder.answer(OPENAI.answer("maybe"), OPENAI.answer("yes"))
    assert checked(model)("Is water wet?", Literal["yes", "no"]) == "yes"
    first, second = recorder.bodies()
    assert first == {
        "model": "m",
        "messages": [{"role": "user", "content": "Is water wet?"}],
    }  # nothing it can't take
    assert second["messages"][:2] == [*first["messages"], {"role": "assistant", "content": "maybe"}]
    assert "character 0, 'maybe', can't stand there" in second["messages"][2]["content"]


def test_what_the_provider_takes_is_still_sent(recorder, model):
    recorder.answer(OPENAI.answer('{"name": "a", "legs": 1}'))
    assert checked(model)("Hi", Animal) == '{"name": "a", "legs": 1}'
    assert recorder.bodies()[0]["response_format"]["type"] == "json_schema"


def test_after_the_last_attempt_it_is_an_error(recorder, model):
    recorder.answer(OPENAI.answer("maybe"))
    with pytest.raises(
        GenerationError, match=r"OpenAI gave no text of the output type in 2 attempts.*'maybe'"
    ) as raised:
        checked(model, attempts=2)("Hi", Literal["yes", "no"])
    assert raised.value.provider == "openai"
    assert len(recorder.bodies()) == 2


def test_no_type_no_check(recorder, model):
    recorder.answer(OPENAI.answer("anything"))
    assert checked(model)("Hi") == "anything"


def test_every_sample_is_checked(recorder, model):
    recorder.answer(OPENAI.answer("yes", "maybe"), OPENAI.answer("yes", "no"))
    assert checked(model)("Hi", Literal["yes", "no"], n=2) == ["yes", "no"]


def test_a_conversation_is_not_changed(recorder, model):
    recorder.answer(OPENAI.answer("maybe"), OPENAI.answer("yes"))
    chat = Chat([{"role": "user", "content": "Hi"}])
    checked(model)(chat, Literal["yes", "no"])
    assert chat.messages == [{"role": "user", "content": "Hi"}]


def test_without_conversations_it_asks_the_same_again(recorder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    recorder.requests.clear()
    recorder.answer(TGI.answer("maybe"), TGI.answer("yes"))
    model = checked(outlines.from_tgi(hub.InferenceClient(recorder.url)))
    assert model("Hi", Literal["yes", "no"]) == "yes"
    first, second = recorder.bodies()
    assert first == second


def test_a_type_that_cannot_be_built_is_an_error_before_any_request(recorder, model):
    with pytest.raises(ConstraintError):
        checked(model)("Hi", Regex("(a"))
    assert recorder.requests == []


def test_a_stream_is_checked_at_its_end(recorder, model):
    recorder.answer(OPENAI.stream("ye", "s"))
    assert list(checked(model).stream("Hi", Literal["yes"])) == ["ye", "s"]
    stream = checked(model).stream("Hi", Literal["no"])
    assert [next(stream), next(stream)] == ["ye", "s"]
    with pytest.raises(GenerationError, match="1 attempts"):
        next(stream)


def test_a_checked_model_may_be_concurrent(recorder, model):
    recorder.answer(OPENAI.answer("maybe"), OPENAI.answer("yes"))
    assert concurrent(checked(model)).batch(["a", "b", "c"], Literal["yes"]) == ["yes"] * 3


def test_awaited(recorder):
    pytest.importorskip("ollama")

    async def run() -> None:
        client = OLLAMA.async_client(recorder.url, 20.0)
        model = checked(outlines.from_ollama(client, "m"))
        assert isinstance(model, AsyncCheckedModel)
        recorder.answer(OLLAMA.answer("maybe"), OLLAMA.answer("yes"))
        assert await model("Hi", Literal["yes"]) == "yes"
        recorder.answer(OLLAMA.stream("n", "o"))
        assert [piece async for piece in model.stream("Hi", Literal["no"])] == ["n", "o", ""]
        with pytest.raises(GenerationError):
            [piece async for piece in model.stream("Hi", Literal["yes"])]
        recorder.answer(OLLAMA.answer("maybe"))
        with pytest.raises(GenerationError):
            await model("Hi", Literal["yes"])
        await client._client.aclose()

    asyncio.run(run())


def test_a_steered_model_needs_no_check():
    with pytest.raises(ValueError, match="Transformers is steered by our own engine"):
        checked(outlines.from_transformers(tiny_models.llama(), tiny_models.tokenizer()))


def test_attempts_are_counted_from_one(model):
    with pytest.raises(ValueError, match="attempts is 0"):
        checked(model, attempts=0)
