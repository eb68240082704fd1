"""Experiments side by side: two workers of DVC's queue, one in a temporary folder, and `penumbra repro` in the working directory."""

import time
from collections import Counter

import pytest

from miniature import Miniature

PATIENCE = 1800  # seconds, for machines at work on other things: two idle cores need a minute
GATHER = {"first": "benchmark.score=msp", "second": "report.gallery=7"}  # experiments of the queue


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A small experiment that has run."""
    made = Miniature.create(tmp_path / "dag", "sona")
    made.reproduce(monkeypatch)
    made.commit("finished")
    made.reset()
    return made


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def test_experiments_disturb_neither_each_other_nor_the_working_directory_and_share_what_they_made(finished):
    for name, change in GATHER.items():
        finished.dvc("exp", "run", "--queue", "-n", name, "-S", change)
    finished.dvc("queue", "start", "-j", "2")
    third = finished.start("dvc", "exp", "run", "--temp", "-n", "third", "-S", "benchmark.score=max_logit")
    copied = finished.root / ".dvc/tmp/exps/standalone"
    until(lambda: third.poll() is not None or list(copied.rglob("params.yaml")), "the third to be copied")
    finished.change_param("report.gallery", 5)
    finished.penumbra("repro")
    try:
        assert third.wait(PATIENCE) == 0
        until(lambda: not any(word in finished.dvc("queue", "status").stdout for word in ("Queued", "Running")), "the queue to be empty")
    finally:
        finished.dvc("queue", "stop", "--kill", check=False)

    assert finished.dvc("queue", "status").stdout.count("Success") == len(GATHER)
    assert set(finished.dvc("exp", "list", "--name-only").stdout.split()) == {"third", *GATHER}
    assert finished.counters() == Counter({"benchmark": 2, "report": 4})  # each change, and nothing twice
    changed = finished.run("git", "diff", "--name-only", "--", "params.yaml", "dvc.lock").stdout.split()
    assert changed == ["dvc.lock", "params.yaml"]
    assert "up to date" in finished.dvc("status", "dvc.yaml").stdout

    finished.reset()
    finished.change_param("report.gallery", 7)  # what the second was
    finished.penumbra("repro")
    assert not finished.counters()
