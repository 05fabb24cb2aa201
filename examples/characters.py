"""A small model invents characters for a game, a batch of them at once, and each answer is valid JSON of one type.

./run demo                            in an environment of its own
python -m examples.characters --help  the options, in an environment that has outlines[demo]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
import transformers
from pydantic import BaseModel, Field
from tqdm import tqdm

import outlines
from examples import smollm2


class Character(BaseModel):
    """What each answer is. It's bounded in all parts, so that every answer comes to its end."""

    name: Annotated[str, Field(min_length=2, max_length=24)]
    age: Annotated[int, Field(ge=16, le=99)]
    armour: Literal["leather", "chainmail", "plate"]
    strength: Annotated[int, Field(ge=1, le=100)]
    skills: Annotated[
        list[Annotated[str, Field(min_length=3, max_length=20)]], Field(min_length=1, max_length=3)
    ]


MAX_NEW_TOKENS = 240  # more than a token for each character of the longest answer
ROLES = ["wizard", "knight", "thief", "blacksmith", "bard", "healer", "archer", "queen"]
PROMPT = "Describe a {role} of a fantasy game as JSON with a name, an age, armour, strength and a few skills."


class Report(NamedTuple):
    """What a run gave and what it cost."""

    answers: list[str]
    num_tokens: int
    seconds: float
    constraint_seconds: float

    def __str__(self) -> str:
        return (
            f"{len(self.answers)} sequences, {self.num_tokens} tokens, {self.num_tokens / self.seconds:.1f} tokens/s;"
            f" the constraint took {self.constraint_seconds / self.seconds:.2%} of the time"
        )


class Progress(transformers.StoppingCriteria):
    """Print each answer when it ends, and count tokens. `generate` calls it after each step; it stops nothing."""

    def __init__(self, tokenizer: Any, labels: Sequence[str]):
        self.tokenizer = tokenizer
        self.labels = labels
        self.num_tokens = 0
        layout = "{l_bar}{bar}| {n_fmt}/{total_fmt} answers [{elapsed}{postfix}]"
        self.bar = tqdm(total=len(labels), bar_format=layout, file=sys.stderr)
        self._unfinished = set(range(len(labels)))
        self._prompt_length: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if self._prompt_length is None:
            self._prompt_length = input_ids.shape[1] - 1
        self.num_tokens += len(self._unfinished)
        last_tokens = input_ids[:, -1].tolist()
        for row in sorted(self._unfinished):
            if last_tokens[row] == self.tokenizer.eos_token_id:
                self._unfinished.discard(row)
                answer = self.tokenizer.decode(
                    input_ids[row, self._prompt_length :], skip_special_tokens=True
                )
                self.bar.write(f"{self.labels[row]}: {answer}", file=sys.stdout)
                self.bar.update()
        self.bar.set_postfix_str(f"{self.num_tokens} tokens")
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def invent(model: outlines.models.Transformers, roles: Sequence[str], temperature: float = 0.8) -> Report:
    """Let the model invent a character for each role, all in one batch; print them as they come.

    Returns
    -------
    Report
        Its answers are JSON texts in the order of `roles`; its seconds are those of `generate`.
    """
    generator = outlines.Generator(model, Character)
    progress = Progress(model.hf_tokenizer, roles)
    started = time.perf_counter()
    with progress.bar:
        answers = generator.batch(
            [PROMPT.format(role=role) for role in roles],
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=True,
            temperature=temperature,
            stopping_criteria=transformers.StoppingCriteriaList([progress]),
        )
    seconds = time.perf_counter() - started
    return Report(answers, progress.num_tokens, seconds, generator.logits_processor.constraint_seconds)


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run the demo as the command line has it."""
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="%(default)s here"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.8, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "roles", nargs="*", default=ROLES, metavar="ROLE", help="whom to invent (default: eight)"
    )
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    transformers.utils.logging.disable_progress_bar()

    print(f"Loading SmolLM2-135M-Instruct on {options.device} (the first time it's converted: half a minute)")
    model = outlines.from_transformers(*smollm2.load(options.device))
    print(f"Inventing {len(options.roles)} characters in one batch")
    report = invent(model, options.roles, options.temperature)
    for answer in report.answers:
        Character.model_validate_json(answer)
    print(f"{len(report.answers)} of {len(options.roles)} valid: {report}")
    return report


if __name__ == "__main__":
    main()
