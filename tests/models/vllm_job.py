"""What `test_vllm_real.py` runs with the interpreter of vLLM's own environment: it prints one line of JSON.

vllm_job.py offline FOLDER    the engine in this process, with vLLM's own constraints and with our processor
"""

from __future__ import annotations

import json
import sys
from typing import Literal

from pydantic import BaseModel


class Spider(BaseModel):
    """A type for JSON."""

    legs: int


def main(folder: str) -> None:
    from vllm import LLM, SamplingParams

    import outlines
    from outlines.types import Regex

    llm = LLM(
        model=folder,
        dtype="float32",
        enforce_eager=True,
        max_model_len=256,
        max_num_seqs=4,
        logits_processors=["outlines.processors.vllm:ConstraintLogitsProcessor"],
    )
    from outlines.processors.vllm import constraint_args

    model = outlines.from_vllm_offline(llm)
    params = SamplingParams(max_tokens=90, seed=0)
    number, choice = Regex("[0-9]{3}"), Literal["yes", "no"]
    results: dict[str, object] = {
        "regex": model("the quick", number, sampling_params=params),
        "choice": model("the quick", choice, sampling_params=params),
        "json": model("the quick", Spider, sampling_params=params),
        "free": model("the quick", sampling_params=params),
        "batch": model.batch(["yes", "no"], choice, sampling_params=SamplingParams(n=2, max_tokens=9)),
    }
    # More requests than fit the batch, each of another type: they come, go and move.
    types = [Regex("[0-9]{2,9}é"), choice, Spider, None] * 4
    requests = [
        SamplingParams(max_tokens=90, seed=i, extra_args=None if each is None else constraint_args(each))
        for i, each in enumerate(types)
    ]
    results["ours"] = [out.outputs[0].text for out in llm.generate(["the quick"] * len(types), requests)]
    try:
        llm.generate(["x"], SamplingParams(extra_args=constraint_args(Regex("(a"))))
    except Exception as error:  # vLLM wraps our ValueError in a class of its own
        results["refused"] = f"{type(error).__name__}: {error}"
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
