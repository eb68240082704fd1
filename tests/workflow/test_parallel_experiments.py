"""Experiments side by side: two workers of DVC's queue, one in a temporary folder, and `penumbra repro` in the working directory."""

import json
import time
from collections import Counter

import pytest

PATIENCE = 1800  # seconds, for machines at work on other things: two idle cores need a minute
GALLERIES = {"first": 6, "second": 7}  # experiments of the queue, which the report alone depends on


@pytest.fixture
def finished(built, tmp_path):
    """A small experiment that has run."""
    return built("sona").copy(tmp_path / "dag")


def experiments(miniature):
    """Their names, as git has them: to ask DVC takes seconds of a core each time."""
    return set(miniature.run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split())


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def test_experiments_disturb_neither_each_other_nor_the_working_directory_and_share_what_they_made(finished):
    for name, pictures in GALLERIES.items():
        finished.dvc("exp", "run", "--queue", "-n", name, "-S", f"report.gallery={pictures}")
    finished.dvc("queue", "start", "-j", "2")
    third = finished.start("dvc", "exp", "run", "--temp", "-n", "third", "-S", "benchmark.score=max_logit")
    copied = finished.root / ".dvc/tmp/exps/standalone"
    until(lambda: third.poll() is not None or list(copied.rglob("params.yaml")), "the third to be copied")
    finished.change_param("report.gallery", 5)
    finished.penumbra("repro")
    try:
        assert third.wait(PATIENCE) == 0
        until(lambda: experiments(finished) == {"third", *GALLERIES}, "the queue to be empty")
        until(lambda: not any(word in finished.dvc("queue", "status").stdout for word in ("Queued", "Running")), "its record of that")
    finally:
        finished.dvc("queue", "stop", "--kill", check=False)

    assert finished.dvc("queue", "status").stdout.count("Success") == len(GALLERIES)
    assert finished.counters() == Counter({"benchmark": 1, "report": 4})  # each change, and nothing twice
    difference = json.loads(finished.dvc("params", "diff", "--json", "HEAD", "third").stdout)
    assert difference["params.yaml"] == {"benchmark.score": {"old": "vim", "new": "max_logit"}}
    changed = finished.run("git", "diff", "--name-only", "--", "params.yaml", "dvc.lock").stdout.split()
    assert changed == ["dvc.lock", "params.yaml"]
    assert finished.status() == {}

    finished.reset()
    finished.change_param("report.gallery", GALLERIES["second"])
    finished.penumbra("repro")
    assert not finished.counters()
