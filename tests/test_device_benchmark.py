"""The benchmark of the device path runs, small and on the CPU, and says nothing of times that it has no right to."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("tiktoken", reason="the benchmarks' tokenizer is missing. Run: pip install tiktoken")

from benchmarks import device


def test_small_run_checks_every_kernel_and_claims_no_time(tmp_path, capsys):
    report = device.main(["--small", "--device", "cpu", "--out", str(tmp_path / "report")])
    text = (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert capsys.readouterr().out.strip() == text.strip()
    assert {row["kernel"] for row in report["kernels"]} == {"mask", "advance", "compose", "fill"}
    assert report["steps"][0]["engine"] == "ours"
    assert report["goals"] == dict.fromkeys(device.GOALS)
    assert text.count(device.NOT_MEASURED) >= len(device.GOALS) + len(report["kernels"])


def test_a_kernel_that_differs_ends_the_run(monkeypatch):
    monkeypatch.setattr(device.dispatch, "mask", lambda logits, words, row: None)
    with pytest.raises(SystemExit, match="mask differs from its reference on this device"):
        next(device.bench_mask("cpu", True))


def test_goals_are_taken_from_what_was_measured():
    rows = [
        {
            "kernel": "mask",
            "B": 256,
            "case": "few allowed",
            "us": 10.0,
            "xgrammar us": 20.0,
            "of a copy": 0.9,
        },
        {"kernel": "mask", "B": 8, "case": "half allowed", "us": 3.0, "xgrammar us": 2.0},
        {"kernel": "advance", "B": 4096, "case": "all found", "us": 8.0},
        {"kernel": "fill", "B": 1000, "case": "always-live", "us": 4000.0},
    ]
    assert list(device.reached(rows, "cuda").values()) == [0.9, 1.5, 8.0, 8.0]


@pytest.mark.gpu
def test_small_run_on_a_gpu(tmp_path):
    report = device.main(["--small", "--device", "cuda"])
    assert report["run"]["GPU"] == torch.cuda.get_device_name()
    assert all(row["us"] > 0 for row in report["kernels"] if row["kernel"] != "advance")
