"""The disk cache: where it lies, what is kept in it, and when it's forgotten."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import diskcache
import pytest

import outlines
from outlines import _version, caching


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A fresh cache in a folder of its own."""
    monkeypatch.setenv("OUTLINES_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(caching, "_caching_enabled", True)
    caching.get_cache.cache_clear()
    yield tmp_path / "cache"
    caching.get_cache().close()
    caching.get_cache.cache_clear()


def counting(**options):
    calls = []

    @caching.cache(**options)
    def square(x, extra=None):
        calls.append(x)
        return x * x

    return square, calls


def test_cache_is_one_for_the_process_and_evicts_nothing(folder):
    memory = outlines.get_cache()
    assert memory is outlines.get_cache()
    assert isinstance(memory, diskcache.Cache)
    assert Path(memory.directory) == folder
    assert (memory.eviction_policy, memory.cull_limit) == ("none", 0)
    assert isinstance(memory.disk, caching.CloudpickleDisk)
    assert memory["__version__"] == _version.__version__


@pytest.mark.parametrize(
    ("named", "xdg", "home", "expected"),
    [
        ("/a/b", "/x", "/h", "/a/b"),
        ("", "/x", "/h", "/x/outlines"),
        (None, "/x", "/h", "/x/outlines"),
        (None, None, "/h", "/h/.cache/outlines"),
        (None, "", "/", str(Path(tempfile.gettempdir()) / ".cache" / "outlines")),
    ],
)
def test_where_the_cache_lies(monkeypatch, named, xdg, home, expected):
    for name, value in (("OUTLINES_CACHE_DIR", named), ("XDG_CACHE_HOME", xdg), ("HOME", home)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert caching._cache_folder() == Path(expected)


def test_results_are_kept(folder):
    square, calls = counting()
    assert [square(3), square(3), square(x=3), square(x=3)] == [9, 9, 9, 9]
    assert calls == [3, 3]  # by position and by name are two keys
    again, calls_again = counting()
    assert again(3) == 9
    assert calls_again == []
    assert square.__memory__ is outlines.get_cache()
    assert square.__cache_key__(3) in square.__memory__
    assert square.__wrapped__(4) == 16
    assert square.__name__ != "square"


def test_results_outlive_the_process(folder):
    square, _ = counting()
    square(5)
    outlines.get_cache().close()
    caching.get_cache.cache_clear()
    square, calls = counting()
    assert square(5) == 25
    assert calls == []


def test_coroutines(folder):
    calls = []

    @caching.cache()
    async def square(x):
        calls.append(x)
        return x * x

    async def run():
        return await square(2), await square(2)

    assert asyncio.run(run()) == (4, 4)
    assert calls == [2]
    with caching.cache_disabled():
        assert asyncio.run(run()) == (4, 4)
    assert calls == [2, 2, 2]


def test_none_and_functions_are_values_too(folder):
    calls = []

    @caching.cache()
    def make(n):
        calls.append(n)
        return None if n == 0 else (lambda x: x + n)

    assert make(0) is make(0) is None
    assert make(2)(1) == make(2)(1) == 3
    assert calls == [0, 2]


def test_types_are_told_apart_on_request(folder):
    square, calls = counting(typed=True)
    square(1)
    square(1.0)
    assert calls == [1, 1.0]
    assert int in square.__cache_key__(1)
    assert int not in counting()[0].__cache_key__(1)


@pytest.mark.parametrize(("ignored", "arguments"), [("extra", {"extra": 1}), (1, {})])
def test_arguments_that_do_not_count(folder, ignored, arguments):
    square, calls = counting(ignore=(ignored,))
    if arguments:
        square(2, extra=1)
        square(2, extra=2)
    else:
        square(2, 1)
        square(2, 2)
    assert calls == [2]


def test_results_expire(folder):
    square, calls = counting(expire=-1)
    assert square(2) == square(2) == 4
    assert calls == [2, 2]


def test_clear(folder):
    square, calls = counting()
    square(2)
    outlines.clear_cache()
    assert len(outlines.get_cache()) == 0
    square(2)
    assert calls == [2, 2]


def test_disable_takes_effect_on_what_is_decorated_already(folder):
    square, calls = counting()
    square(2)
    with caching.cache_disabled():
        square(2)
        square(3)
    square(3)
    assert calls == [2, 2, 3, 3]  # what ran while it was disabled wasn't kept
    outlines.disable_cache()
    square(2)
    with caching.cache_disabled():
        pass
    square(2)
    assert calls[4:] == [2, 2]


def test_another_version_forgets_everything(folder, monkeypatch):
    square, calls = counting()
    square(2)
    caching.get_cache().close()
    caching.get_cache.cache_clear()
    monkeypatch.setattr("outlines._version.__version__", "another")
    square, calls = counting()
    square(2)
    assert calls == [2]
    assert outlines.get_cache()["__version__"] == "another"


def test_version_file():
    assert _version.version == _version.__version__
    assert _version.version_tuple == _version.__version_tuple__
    assert ".".join(map(str, _version.version_tuple)) == _version.__version__
    assert _version.commit_id is _version.__commit_id__ is None
    assert not hasattr(outlines, "__version__")
