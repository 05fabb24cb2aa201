"""What users write, as a type checker is to see it. Checked by mypy, never run."""

from typing import Any, Literal

from pydantic import BaseModel
from typing_extensions import assert_type

import outlines
from outlines import Generator, Result, Template
from outlines.generator import AsyncBlackBoxGenerator, BlackBoxGenerator, SteerableGenerator
from outlines.models.base import AsyncModel, Model
from outlines.types import Regex, either
from outlines.types.dsl import Alternatives


class Character(BaseModel):
    name: str
    age: int


def local(model: outlines.Transformers) -> None:
    generator = Generator(model, Character)
    assert_type(generator, SteerableGenerator[Character])
    assert_type(generator("prompt"), str)
    assert_type(generator("prompt", max_new_tokens=20), str)
    Character.model_validate_json(generator("prompt"))
    assert_type(generator.batch(["prompt"]), list[str])
    assert_type(generator.result("prompt"), Result[Character])
    assert_type(generator.result("prompt").value, Character)
    assert_type([result.value.age for result in generator.results(["a", "b"])], list[int])
    for piece in generator.stream("prompt"):
        assert_type(piece, str)

    assert_type(Generator(model, int).result("prompt").value, int)
    assert_type(Generator(model, list[int]).result("prompt").value, list[int])
    assert_type(Generator(model, Regex("a")).result("prompt").value, str)
    assert_type(Generator(model).result("prompt").value, str)
    assert_type(Generator(model, Literal["a", "b"]).result("prompt").value, Any)
    assert_type(Generator(model, [int, None]), SteerableGenerator[Any])


def remote(model: Model) -> None:
    generator = Generator(model, Character)
    assert_type(generator, BlackBoxGenerator[Character])
    assert_type(generator("prompt"), str)
    assert_type(generator.result("prompt").value, Character)


async def awaited(model: AsyncModel) -> None:
    generator = Generator(model, Character)
    assert_type(generator, AsyncBlackBoxGenerator[Character])
    assert_type(await generator("prompt"), str)
    assert_type((await generator.result("prompt")).value, Character)
    async for piece in generator.stream("prompt"):
        assert_type(piece, str)


def terms() -> None:
    assert_type(either("a", Regex("b")), Alternatives)
    assert_type(Template.from_string("{{ a }}")(a=1), str)
    assert_type(outlines.explain(int, "1").expected, list[str])
    assert_type(outlines.examples(int), list[str])
