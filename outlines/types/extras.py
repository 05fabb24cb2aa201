"""The parts of `outlines.types` that need a library which outlines doesn't bring."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

__all__ = ["MissingLibrary", "load_extra"]

_LIBRARIES = {"airports": "airportsdata", "countries": "iso3166"}


class MissingLibrary:
    """Stands where a module of `outlines.types` would: any use of it says what to install."""

    def __init__(self, extra: str):
        self._extra = extra

    def __getattr__(self, name: str) -> NoReturn:
        """Raise an ImportError that names the extra to install."""
        raise ImportError(
            f"`outlines.types.{self._extra}` needs the library `{_LIBRARIES[self._extra]}`. "
            f"Install it with `pip install outlines[{self._extra}]`."
        )


def load_extra(name: str) -> Any:
    """Import a module of `outlines.types`, or give what stands for it where its library is missing."""
    try:
        return importlib.import_module(f"outlines.types.{name}")
    except ModuleNotFoundError as error:
        if error.name != _LIBRARIES[name]:
            raise
        return MissingLibrary(name)
