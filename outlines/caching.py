"""A cache on disk for the results of functions: yours, as outlines itself keeps nothing in it.

Keys and values are pickled, also functions and classes defined in a script. Whoever can write to the folder can run
code in your process, as with every pickle.
"""

from __future__ import annotations

import functools
import inspect
import os
import pickletools
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import diskcache
from diskcache.core import ENOVAL, UNKNOWN, args_to_key, full_name

from outlines import _version

__all__ = [
    "CloudpickleDisk",
    "cache",
    "cache_disabled",
    "clear_cache",
    "disable_cache",
    "get_cache",
]

_caching_enabled = True


class CloudpickleDisk(diskcache.Disk):
    """Keys and values pickled by cloudpickle and compressed.

    Parameters
    ----------
    directory
        Folder of the cache.
    compress_level
        Of zlib, 0 (none) to 9.
    **kwargs
        For `diskcache.Disk`.
    """

    def __init__(self, directory: str, compress_level: int = 1, **kwargs: Any):
        self.compress_level = compress_level
        super().__init__(directory, **kwargs)

    def _dump(self, value: Any) -> bytes:
        # Optimised, so that equal keys have equal bytes.
        return zlib.compress(pickletools.optimize(cloudpickle.dumps(value)), self.compress_level)

    @staticmethod
    def _load(data: bytes) -> Any:
        return cloudpickle.loads(zlib.decompress(data))

    def put(self, key: Any) -> Any:
        """Give the form of a key in the database."""
        return super().put(self._dump(key))

    def get(self, key: Any, raw: bool) -> Any:
        """Give the key of a form in the database."""
        return self._load(super().get(key, raw))

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        """Give the form of a value; a file that is to be read is kept as it is."""
        return super().store(value if read else self._dump(value), read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """Give the value of a form."""
        data = super().fetch(mode, filename, value, read)
        return data if read else self._load(data)


def _cache_folder() -> Path:
    named = os.environ.get("OUTLINES_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "outlines"
    home = Path(os.path.normpath(os.path.expanduser("~")))
    if home == home.parent:  # the root directory: no home of a user's own, as in some containers
        home = Path(tempfile.gettempdir())
    return home / ".cache" / "outlines"


@functools.cache
def get_cache() -> diskcache.Cache:
    """Give the cache, opened at the first call and emptied if another version of outlines wrote it.

    It lies in the folder `OUTLINES_CACHE_DIR`, else in `outlines` in `XDG_CACHE_HOME` or `~/.cache`. Nothing is ever
    thrown out of it to save room. `get_cache.cache_clear()` makes the next call open it again.
    """
    memory = diskcache.Cache(
        str(_cache_folder()), eviction_policy="none", cull_limit=0, disk=CloudpickleDisk
    )
    if memory.get("__version__") != _version.__version__:
        memory.clear()
        memory["__version__"] = _version.__version__
    return memory


def cache(
    expire: float | None = None, typed: bool = False, ignore: Iterable[int | str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a decorator that keeps a function's results on disk, from one process to the next.

    Parameters
    ----------
    expire
        Seconds after which a result is forgotten; None keeps it.
    typed
        Whether arguments that are equal but of different types, as 1 and 1.0, are told apart.
    ignore
        Positions and names of arguments that don't count.

    Returns
    -------
    callable
        A decorator for a plain or a coroutine function. What it gives has `__cache_key__(*args, **kwargs)`,
        `__memory__` (the cache) and `__wrapped__` (the function).

    Notes
    -----
    A key is the function's full name and the arguments as they are spelt: `f(1)` and `f(a=1)` are two.
    """
    ignored = set(ignore)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        memory = get_cache()
        base = (full_name(function),)

        def key_of(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
            return args_to_key(base, args, kwargs, typed, ignored)

        def known(key: tuple[Any, ...]) -> Any:
            return memory.get(key, default=ENOVAL, retry=True)

        def keep(key: tuple[Any, ...], result: Any) -> None:
            memory.set(key, result, expire=expire, retry=True)

        wrapper: Any
        if inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                if not _caching_enabled:
                    return await function(*args, **kwargs)
                key = key_of(*args, **kwargs)
                result = known(key)
                if result is ENOVAL:
                    result = await function(*args, **kwargs)
                    keep(key, result)
                return result

        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                if not _caching_enabled:
                    return function(*args, **kwargs)
                key = key_of(*args, **kwargs)
                result = known(key)
                if result is ENOVAL:
                    result = function(*args, **kwargs)
                    keep(key, result)
                return result

        wrapper.__cache_key__ = key_of
        wrapper.__memory__ = memory
        wrapper.__wrapped__ = function
        return wrapper

    return decorate


def disable_cache() -> None:
    """Let functions that are decorated by `cache` run each time, for the rest of the process."""
    global _caching_enabled
    _caching_enabled = False


def clear_cache() -> None:
    """Forget everything in the cache."""
    get_cache().clear()


@contextmanager
def cache_disabled() -> Iterator[None]:
    """Let functions that are decorated by `cache` run each time within a block."""
    global _caching_enabled
    before = _caching_enabled
    _caching_enabled = False
    try:
        yield
    finally:
        _caching_enabled = before
