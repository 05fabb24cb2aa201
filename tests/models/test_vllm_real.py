"""The real vLLM on the CPU, in an environment of its own: `./run vllm` makes it (2 minutes, 2.5 GB) and runs this."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Literal

import pytest
import torch
import transformers

import outlines
from outlines.types import CFG, Regex
from tests import tiny_models
from tests.models.providers import openai_client

PYTHON = os.environ.get("OUTLINES_VLLM_PYTHON")
pytestmark = pytest.mark.skipif(
    PYTHON is None,
    reason="vLLM wants an environment of its own: `./run vllm` makes one and runs this (3 minutes)",
)
ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A random model with heads as wide as vLLM's attention on the CPU wants them."""
    folder = str(tmp_path_factory.mktemp("vllm"))
    torch.manual_seed(0)
    tokenizer = tiny_models.tokenizer(chat_template=tiny_models.CHAT_TEMPLATE)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        **tiny_models.SPECIAL,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_engine_in_its_process(folder):
    script = Path(__file__).with_name("vllm_job.py")
    done = subprocess.run([PYTHON, script, folder], env=ENVIRONMENT, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads(done.stdout.strip().splitlines()[-1])
    assert re.fullmatch("[0-9]{3}", results["regex"])
    assert results["choice"] in {"yes", "no"}
    assert set(json.loads(results["json"])) == {"legs"}
    assert [len(samples) for samples in results["batch"]] == [2, 2]
    assert {text for samples in results["batch"] for text in samples} <= {"yes", "no"}
    assert "'((a)'" in results["refused"]
    for i, text in enumerate(results["ours"]):
        if i % 4 == 0:
            assert re.fullmatch("[0-9]{2,9}é", text)
        elif i % 4 == 1:
            assert text in {"yes", "no"}
        elif i % 4 == 2:
            assert set(json.loads(text)) == {"legs"}


def test_the_server(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        PYTHON,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        folder,
        "--served-model-name",
        "m",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "256", "--max-num-seqs", "4"]
    command += ["--logits-processors", "outlines.processors.vllm:ConstraintLogitsProcessor"]
    environment = {**ENVIRONMENT, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    with subprocess.Popen(
        command, env=environment, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(240):
                assert server.poll() is None
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(1)
            client = openai_client(url, 60.0)
            model = outlines.from_vllm(client, "m")
            assert re.fullmatch("[0-9]{3}", model("Hi", Regex("[0-9]{3}"), max_tokens=9))
            assert model("Hi", Literal["yes", "no"], max_tokens=9) in {"yes", "no"}
            assert model("Hi", CFG('root ::= "yes" | "no"'), max_tokens=9) in {"yes", "no"}
            assert "".join(model.stream("Hi", Literal["yes", "no"], max_tokens=9)) in {"yes", "no"}
            # Our own processor within it, asked for by an argument of the request.
            constraint = {"outlines": json.dumps({"regex": "[0-9]{2}é"})}
            assert re.fullmatch(
                "[0-9]{2}é", model("Hi", extra_body={"vllm_xargs": constraint}, max_tokens=20)
            )
            client.close()
        finally:
            server.terminate()
