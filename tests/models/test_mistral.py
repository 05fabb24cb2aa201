"""Mistral's library moves its names: where each version has them."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

import outlines
from outlines.models import AsyncMistral, Mistral
from outlines.models import mistral as adapter

NAMES = ("Mistral", "UserMessage", "AssistantMessage", "SystemMessage")


def package(place: str) -> dict[str, ModuleType]:
    """Make a library that has its names in one of its modules."""
    modules = {
        name: ModuleType(name) for name in ("mistralai", "mistralai.client", "mistralai.client.models")
    }
    for name in NAMES:
        # From version 2 on the client stands beside its models.
        home = "mistralai.client" if name == "Mistral" and place != "mistralai" else place
        setattr(modules[home], name, type(name, (SimpleNamespace,), {}))
    return modules


@pytest.mark.parametrize("place", ["mistralai", "mistralai.client", "mistralai.client.models"])
def test_names_are_found_wherever_a_version_has_them(monkeypatch, place):
    modules = package(place)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    client = modules["mistralai" if place == "mistralai" else "mistralai.client"].Mistral()
    model = outlines.from_mistral(client, "m")
    assert isinstance(model, Mistral)
    assert isinstance(outlines.from_mistral(client, async_client=True), AsyncMistral)
    (message,) = model.type_adapter.format_input("Hi")
    assert isinstance(message, modules[place].UserMessage)
    assert message.content == "Hi"
    assert adapter.PROVIDER == "mistral"
