"""The providers' own libraries, imported when a model of theirs is made."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["choose_class", "import_sdk"]


def import_sdk(name: str, extra: str) -> ModuleType:
    """Import a provider's library.

    Raises
    ------
    ImportError
        If it isn't installed; the message names the extra that brings it.
    """
    try:
        return __import__(name, fromlist=[""])  # as an import statement does, hooks included
    except ImportError as error:
        raise ImportError(
            f"`{name}` can't be imported ({error}). Install it: pip install 'outlines[{extra}]'"
        ) from error


def choose_class(client: Any, classes: dict[type, type], problem: str) -> type:
    """Give the model's class for a client: the first whose client's class it is.

    Raises
    ------
    ValueError
        If it is none; `problem` says so in front.
    """
    for client_class, model_class in classes.items():
        if isinstance(client, client_class):
            return model_class
    names = " or ".join(f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in classes)
    raise ValueError(f"{problem}: {type(client).__name__}. It takes {names}")
