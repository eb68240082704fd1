"""What is edited while a stage runs is not recorded as computed."""

import json
import os
import time

import pytest

from penumbra.errors import PenumbraError
from penumbra.experiment import load as params
from penumbra.stage import Params, Stage
from penumbra.workflow import code, contract, receipt

STAGE = "synthesize-sona@sona"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A contract of one stage that reads a file, a folder and parameters."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("train: {x: {bands: [mid], rate: 0.1}, seeds: [0]}\n")
    (tmp_path / "code.json").write_text('{"train": {"x": {"code": "a", "libraries": ""}}}')
    monkeypatch.setattr(code, "checked", lambda *stage: None)  # of real stages: test_contract.py
    (tmp_path / "data/models").mkdir(parents=True)
    for name in ("data/a.parquet", "data/models/config.json"):
        (tmp_path / name).write_text("a")
    entry = contract.Entry("train@x", ("data/a.parquet", "data/models"), ("data/out",), ("train.x",), ("train.x",))
    return contract.Contract([entry], params.load(contract.PARAMETERS), None)


def started(job, part=None):
    """The three things that the command line has of a job."""
    entry = job.entry("train@x")
    stage = Stage("train", "x", Params({}), {}, {}, {}, part=part)
    return job, entry, stage


def edit_parameter(folder):
    (folder / "params.yaml").write_text("train: {x: {bands: [low], rate: 0.1}, seeds: [0]}\n")


def break_parameters(folder):
    (folder / "params.yaml").write_text("train: {x: ")


def edit_digest(folder):
    (folder / "code.json").write_text('{"train": {"x": {"code": "b", "libraries": ""}}}')


def edit_file(folder):
    (folder / "data/models/config.json").write_text("b")


def add_file(folder):
    (folder / "data/models/more.json").write_text("b")


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (edit_parameter, "params.yaml: train.x.bands"),
        (break_parameters, "params.yaml"),
        (edit_digest, "code.json: train.x.code"),
        (edit_file, "data/models/config.json"),
        (add_file, "data/models/more.json"),
    ],
)
def test_a_job_fails_if_what_it_depends_on_changes_and_its_result_does_not_hold_if_it_changes_later(job, tmp_path, edit, named):
    _, entry, stage = began = started(job)
    with receipt.kept(*began):
        pass
    assert receipt.fault(entry) is None
    (stage.scratch / "unit").touch()
    message = f"^train@x: {named} changed while it ran; its result is not recorded. Run again.$"
    with pytest.raises(PenumbraError, match=message), receipt.kept(*began):
        edit(tmp_path)
    assert named in receipt.fault(entry)  # of the earlier run
    receipt.discard("train@x")
    assert "did not come to its end" in receipt.fault(entry)
    assert not stage.scratch.exists()  # its units may be of either


def test_what_is_undeclared_or_only_touched_is_no_change(job, tmp_path):
    with receipt.kept(*started(job)):
        (tmp_path / "params.yaml").write_text("# said better\ntrain: {x: {rate: 0.1, bands: [mid]}, seeds: [0, 1]}\n")
        os.utime(tmp_path / "data/a.parquet", (1, 1))
        (tmp_path / "data/models/.snakemake_timestamp").touch()
    assert receipt.fault(job.stages["train@x"]) is None
    assert receipt.read("train@x")["seconds"] >= 0


def test_a_part_leaves_a_receipt_that_is_not_the_stages(job):
    with receipt.kept(*started(job, (0, 2))):
        pass
    assert receipt.read("train@x", 0) and not receipt.read("train@x")
    receipt.discard("train@x")
    assert not list(receipt.RECEIPTS.iterdir())


def test_a_damaged_receipt_is_none(job):
    receipt.path("train@x").parent.mkdir(parents=True)
    receipt.path("train@x").write_text('{"values"')
    assert "did not come to its end" in receipt.fault(job.stages["train@x"])


@pytest.mark.parametrize("engine", ["dvc", "penumbra"])
def test_a_parameter_that_is_edited_during_a_run_is_not_recorded_as_computed(miniature, engine, tmp_path, monkeypatch):
    miniature.change_param("synthesize.sona.sona.steps", 21)
    gate = tmp_path / "gate"
    process = miniature.start(engine, "repro", STAGE, MINIATURE_GATE=str(gate))
    deadline = time.monotonic() + 120
    while not miniature.counters("waiting"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    miniature.change_param("synthesize.sona.sona.steps", 22)
    gate.touch()
    assert process.wait(120)
    assert "params.yaml" in json.dumps(miniature.status()[STAGE])
    miniature.reset()
    miniature.reproduce(monkeypatch, [STAGE])
    assert miniature.counters() == {STAGE: 1}
