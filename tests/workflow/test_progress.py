"""`dvc repro` as a person sees it, and how many parts a stage is done in."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from penumbra.workflow import contract, execute, progress

ANNOUNCE = """\
import sys
from penumbra.workflow import contract, progress
contract.typed = lambda given, name: None
print("then", *(name for name, _ in progress.announce(contract.load(), sys.argv[1])))
"""


@pytest.fixture
def announcing(toy):
    """The toy repository; its stages say what they are within."""
    (toy / "announce.py").write_text(ANNOUNCE)
    text = (toy / "dvc.yaml").read_text()
    for name in ("first", "second"):
        text = text.replace(f"{name}: {{cmd: ", f"{name}: {{cmd: {sys.executable} announce.py {name}; ")
    (toy / "dvc.yaml").write_text(text)
    (toy / ".penumbra").mkdir(exist_ok=True)
    (toy / ".penumbra/cost.csv").write_text("stage,seconds,memory_mib\nfirst,64.6,1\nsecond,3600,1\n")
    return toy


def said(*arguments, line=r"\[.*"):
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return re.findall(f"^{line}", done.stdout, re.MULTILINE)


def test_each_stage_says_its_place_and_what_is_left_and_the_plan_is_made_once(announcing):
    assert said("repro") == ["[1 of 2] first, about 1:01:05 left", "[2 of 2] second, about 1:00:00 left"]
    assert len(list(Path(".penumbra").glob("run-*.json"))) == 1
    assert said("repro") == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["repro"], ["first", "second"]),
        (["repro", "first"], ["first"]),
        (["repro", "-s", "second"], ["second"]),
        (["repro", "-f", "second"], ["first", "second"]),
        (["repro", "-s", "-f", "first"], ["first"]),
    ],
)
def test_targets_of_dvc_are_respected(announcing, words, names):
    assert [name for name, _ in progress._planned(contract.load(), words)] == names


def test_what_dvc_was_called_with_counts_and_plans_of_ended_runs_are_removed(announcing):
    assert said("repro", "first") == ["[1 of 1] first, about 1:05 left"]
    assert [line[1:].partition("]")[0] for line in said("repro", "-f", "second")] == ["1 of 2", "2 of 2"]
    assert len(list(Path(".penumbra").glob("run-*.json"))) == 1


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (["repro"], ["then first second", "then second"]),
        (["repro", "second"], ["then first second", "then second"]),
        (["repro", "-s", "second", "first"], ["then second first", "then first"]),
        (["repro", "-sf", "first"], ["then"]),
        (["repro", "--force-downstream"], ["then", "then"]),
        (["repro", "--no-run-cache"], ["then", "then"]),
        (["repro", "--pull"], ["then", "then"]),
        (["repro", "--downstream", "first"], ["then", "then"]),
        (["repro", "--glob", "firs*"], ["then"]),
    ],
)
def test_a_stage_learns_what_dvc_will_look_for_in_its_cache(announcing, words, then):
    assert said(*words, line="then.*") == then


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("dvc repro", True),
        ("/usr/bin/python /usr/bin/dvc -v repro -k first dvc.yaml", True),
        ("python -m dvc exp run -S first.text=b", True),
        ("dvc exp run --queue", False),
        ("dvc exp exec-run --infofile x", False),  # of a queue: what it runs stands elsewhere
        ("dvc repro group", False),
    ],
)
def test_beside_others_run_only_stages_that_dvc_was_plainly_called_for(toy, monkeypatch, words, plain):
    kept = toy / "run.json"
    kept.write_text('{"taken": ["first"]}')
    monkeypatch.setattr(progress, "_file", lambda dvc: kept)
    run = [("first", 1.0), ("second", 1.0)]
    assert progress._later(contract.load(), SimpleNamespace(cmdline=words.split), run) == [("first", None), ("second", 1.0)] * plain


def test_what_is_unknown_is_not_promised():
    assert progress.left([None, None]) == ""
    assert progress.left([None, 61]) == ", more than 1:01 left"


@pytest.mark.parametrize(
    ("profile", "seconds", "options"),
    [
        ("cores: 4", 100, ["--config", "shards=4"]),
        ("cores: 4", 10, []),
        ("cores: 4", None, ["--config", "shards=4"]),
        ("cores: 1", 100, []),
        ("{cores: 4, config: [shards=2]}", 100, []),
        ("{cores: 4, config: [x=2]}", 100, ["--config", "x=2", "shards=4"]),
        ("executor: slurm", 100, []),
    ],
)
def test_a_long_stage_that_runs_alone_uses_all_cores(tmp_path, monkeypatch, profile, seconds, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENUMBRA_PROFILE", str(tmp_path))
    (tmp_path / "config.yaml").write_text(profile)
    monkeypatch.setattr(execute.cost, "recorded", lambda: {"train@x": (seconds, 1)} if seconds else {})
    assert execute.shards("train@x") == options


def test_a_stage_that_runs_alone_in_dvc_is_done_in_parts_and_is_up_to_date_for_both_engines(miniature):
    stage = "synthesize-sona@sona"
    miniature.change_param("synthesize.sona.sona.steps", 21)
    shown = miniature.dvc("repro", stage).stdout
    assert "[1 of 2] code" in shown and f"[2 of 2] {stage}" in shown
    assert (miniature.root / "logs/synthesize/sona.1.log").exists()
    assert stage not in miniature.status()
