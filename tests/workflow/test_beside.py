"""`dvc repro` runs stages side by side, and DVC has each from its cache at its turn."""

import time

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError

from miniature import Miniature, kill
from penumbra.workflow import beside, contract, execute, receipt

SONA, CONTROL = BOTH = "synthesize-sona@sona", "synthesize-control@reconstruction"


@pytest.fixture
def changed(miniature):
    """Two stages are to run that do not need each other; each took ten seconds."""
    (miniature.root / ".penumbra").mkdir(exist_ok=True)
    (miniature.root / ".penumbra/cost.csv").write_text(f"stage,seconds,memory_mib\n{SONA},10,1\n{CONTROL},10,1\n")
    miniature.edit("src/penumbra/synthesize/sona/words.py", "POOL = 0.25", "POOL = 0.2")
    miniature.edit("src/penumbra/synthesize/control/plan.py", "BLOCK = 64 ", "BLOCK = 32 ")
    miniature.dvc("repro", "-s", "code")
    return miniature


def test_each_of_two_stages_runs_once_and_the_bytes_and_dvc_lock_are_those_of_one_after_the_other(changed, monkeypatch, tmp_path):
    undisturbed = changed.copy(tmp_path / "undisturbed")
    undisturbed.reproduce(monkeypatch, [SONA, CONTROL])
    changed.reset()
    said = changed.dvc("repro", "-s", *BOTH).stdout
    assert f"beside it: {CONTROL}\n" in said and f"Stage '{CONTROL}' is cached" in said
    assert changed.counters() == {SONA: 1, CONTROL: 1}
    assert changed.outputs() == undisturbed.outputs()
    assert (changed.root / "dvc.lock").read_text() == (undisturbed.root / "dvc.lock").read_text()


def test_one_that_fails_beside_another_fails_at_its_turn(changed):
    failed = changed.dvc("repro", "-s", *BOTH, check=False, MINIATURE_FAILS="synthesize@reconstruction/block-1")
    assert failed.returncode and f"{CONTROL}: did not come to its end. DVC runs it again at its turn." in failed.stderr
    assert failed.stderr.rstrip().endswith(f"failed to reproduce '{CONTROL}': failed to run: penumbra run, exited with 1")
    assert "up to date" in changed.dvc("status", SONA).stdout
    changed.dvc("repro", "-s", *BOTH)
    assert changed.counters() == {SONA: 1, CONTROL: 1}


def test_what_ran_beside_one_that_fails_is_kept(changed):
    failed = changed.dvc("repro", "-s", *BOTH, check=False, MINIATURE_FAILS="synthesize@sona/block-1")
    assert failed.returncode and f"{SONA}: failed." in failed.stderr
    assert f"Stage '{CONTROL}' is cached" in changed.dvc("repro", "-s", *BOTH).stdout
    assert changed.counters() == {SONA: 1, CONTROL: 1}


@pytest.mark.parametrize(("order", "times"), [(BOTH, 1), (BOTH[::-1], 0)])  # at the end of the second order its turn is over
def test_one_that_has_failed_is_not_tried_again_out_of_its_turn(changed, order, times):
    (changed.root / ".penumbra/cost.csv").write_text(f"stage,seconds,memory_mib\n{SONA},10,1\n{CONTROL},4,1\n")
    failed = changed.dvc("repro", "-k", "-s", *order, check=False, MINIATURE_FAILS="synthesize@reconstruction/block-1")
    assert failed.returncode and failed.stdout.count("beside it: ") == times
    assert changed.counters() == {SONA: 1}


def test_what_cannot_be_kept_now_is_kept_the_next_time(here, monkeypatch, capsys):
    def broken():
        raise YAMLFileCorruptedError("params.yaml")

    kept = beside._Kept(contract.load(), BOTH)
    for name in BOTH:
        receipt.RECEIPTS.mkdir(parents=True, exist_ok=True)
        receipt.path(name).write_text("{}")
    with monkeypatch.context() as patched:
        patched.setattr(beside, "opened", broken)
        kept.update()
    monkeypatch.setattr(beside.commit, "cache", lambda stages, fault: {SONA: f"{SONA}: no space. Free some."})
    kept.finish()
    assert capsys.readouterr().err == f"{SONA}: no space. DVC runs it again at its turn.\n"


def test_what_ran_beside_one_that_is_killed_is_kept(changed):
    slow = {"MINIATURE_SLOW": "synthesize@sona", "MINIATURE_UNIT_SECONDS": "15", "MINIATURE_RECORD_SECONDS": "0.5"}
    process = changed.start("dvc", "repro", "-s", *BOTH, **slow)
    deadline, plans = time.monotonic() + 60, changed.root / ".penumbra"
    while not any(f'"{CONTROL}", 0.0' in plan.read_text() for plan in plans.glob("run-*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert time.monotonic() < deadline
    kill(process)
    assert changed.counters() == {CONTROL: 1}
    assert f"Stage '{CONTROL}' is cached" in changed.dvc("repro", "-s", *BOTH).stdout
    assert changed.counters() == {SONA: 1, CONTROL: 1}


FITTING = [  # seconds of both, stages that the machine runs at a time, whether the second runs with the first
    ((10, 12), 2, True),
    ((10, 13), 2, False),  # it would be waited for
    ((10, 13), 8, False),
    ((10, None), 2, False),
    ((None, 10), 2, False),
    ((4, 4), 2, False),  # looking takes as long
    ((10, 10), 1, False),
    ((10, 10), 0, False),  # a cluster's
    ((100, 10), 2, False),  # in two parts it takes half as long
    ((100, 60), 2, True),
]


def test_what_ends_with_a_stage_and_fills_the_other_cores_is_run_with_it(changed, monkeypatch):
    monkeypatch.chdir(changed.root)
    contract.load.cache_clear()
    for seconds, at_once, fits in FITTING:
        monkeypatch.setattr(execute, "at_once", lambda count=at_once: count)
        monkeypatch.setattr(execute, "shards", lambda stage, long=seconds[0] == 100: ["--config", "shards=2"] * long)
        found = beside._others(contract.load(), SONA, list(zip(BOTH, seconds, strict=True)))
        assert found == [CONTROL] * fits, (seconds, at_once)


def test_what_is_as_recorded_or_in_the_cache_is_not_run(miniature, monkeypatch):
    monkeypatch.chdir(miniature.root)
    monkeypatch.setattr(execute, "at_once", lambda: 2)
    contract.load.cache_clear()
    rest = [(SONA, 10.0), (CONTROL, 10.0)]
    assert beside._others(contract.load(), SONA, rest) == []
    (miniature.root / "data/controls/reconstruction.parquet").write_text("damaged")  # the cache has it
    assert beside._others(contract.load(), SONA, rest) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("cores: 3", 3),
        ("{cores: 3, resources: {gpu: 2}}", 2),
        ("{cores: 3, resources: [mem_mb=9, gpu=1]}", 1),
        ("jobs: 9", 0),
        ("{cores: 3, config: [shards=3]}", 0),
    ],
)
def test_a_profile_says_how_many_stages_run_at_a_time(tmp_path, monkeypatch, text, count):
    monkeypatch.setenv("PENUMBRA_PROFILE", str(tmp_path))
    (tmp_path / "config.yaml").write_text(text)
    assert execute.at_once() == count


@pytest.mark.parametrize(("seconds", "count"), [(40, 5), (30, 3)])
def test_in_a_first_run_what_follows_on_what_runs_beside_runs_too(tmp_path, monkeypatch, seconds, count):
    fresh = Miniature.create(tmp_path / "fresh", "sona", "~train.detectors.sona-none")
    fresh.reproduce(monkeypatch, ["prepare"])
    monkeypatch.chdir(fresh.root)
    monkeypatch.setattr(execute, "at_once", lambda: 2)
    contract.load.cache_clear()
    chain = ["synthesize-none", "equip-scratch@energy", "train@none", "infer@none", "score@none"]
    due = [("pretrain-diffusion@sd", seconds), (SONA, 0.0), *((name, 10.0) for name in chain)]
    assert beside._others(contract.load(), "pretrain-diffusion@sd", due) == chain[:count]
    recorded = (fresh.root / "dvc.lock").read_text()
    fresh.reproduce(monkeypatch, chain[:2])
    (fresh.root / "dvc.lock").write_text(recorded)  # as after these have run beside another
    due[2:4] = [(name, None) for name in chain[:2]]
    assert beside._others(contract.load(), "pretrain-diffusion@sd", due) == chain[2 : count + 2]
