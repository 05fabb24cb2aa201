"""The three ways a kernel runs, so that one test covers them all."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import NamedTuple

import pytest


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
    original, which other tests of this process import before or after, isn't. This holds for kernels that call no
    kernel of Triton's own library (`tl.sum`, `tl.sort`): those were met when Triton itself was imported.
    """
    spec = importlib.util.find_spec(f"outlines.kernels.{name}")
    copy = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        spec.loader.exec_module(copy)
    return copy


WAYS = ["reference", "interpreter", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=WAYS)
def way(request) -> Way:
    """Give each way to run the kernel that the test file is named for: test_mask.py tests outlines.kernels.mask."""
    name = request.module.__name__.rpartition("test_")[2]
    if request.param == "interpreter":
        return Way(interpreted(name), name, "cpu")
    module = importlib.import_module(f"outlines.kernels.{name}")
    if request.param == "reference":
        return Way(module, f"{name}_reference", "cpu")
    return Way(module, name, "cuda")
