"""The three ways a kernel runs, so that one test covers them all."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import pytest
import triton
import triton.language as tl


class Way(NamedTuple):
    """A module that holds a kernel, the name of the function to call in it, and where its tensors lie."""

    module: ModuleType
    function: str
    device: str

    def __call__(self, *arguments):
        """Call the function."""
        return getattr(self.module, self.function)(*arguments)


def interpreted(name: str) -> ModuleType:
    """Load a kernel file a second time, under Triton's interpreter.

    `triton.jit` looks at the variable when it meets a kernel, so a copy of the module is interpreted while the
    original, which other tests of this process import before or after, isn't. What kernels use of Triton's own library
    was met when Triton was imported, see `interpreted_library`.
    """
    spec = importlib.util.find_spec(f"outlines.kernels.{name}")
    copy = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        spec.loader.exec_module(copy)
    return copy


@contextlib.contextmanager
def interpreted_library() -> Iterator[None]:
    """Have the reductions of Triton's library interpreted as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        for name in ("max", "sum"):
            patch.setattr(tl, name, triton.jit(getattr(tl, name).fn))
        patch.delenv("TRITON_INTERPRET")
        yield


WAYS = ["reference", "interpreter", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=WAYS)
def way(request) -> Iterator[Way]:
    """Give each way to run the kernel that the test file is named for: test_mask.py tests outlines.kernels.mask."""
    name = request.module.__name__.rpartition("test_")[2]
    if request.param == "interpreter":
        with interpreted_library():
            yield Way(interpreted(name), name, "cpu")
        return
    module = importlib.import_module(f"outlines.kernels.{name}")
    if request.param == "reference":
        yield Way(module, f"{name}_reference", "cpu")
    else:
        yield Way(module, name, "cuda")
