"""The plan of an experiment that has not run."""

import csv
import dataclasses
from pathlib import Path

import pytest

from penumbra.workflow import contract, estimate, work

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def counted() -> work.Images:
    return work.images(contract.load().experiment)


def test_images_are_counted_as_prepare_writes_them(counted):
    # of 500 digits of each of six classes 15% validate and 25% test; sets are cut at their limits
    assert (counted.train, counted.val, counted.test, counted.classes) == (1800, 450, 750, 6)
    assert (counted.calibration, counted.world, counted.clip_world) == (400 + 250 + 250 + 150, 1500, 400)
    assert counted.ood > 1500 + 4 * 400 and counted.shifted > 8 * 4 * 100


def test_the_plan_of_the_measured_run_is_what_it_took(counted, monkeypatch):
    monkeypatch.setattr(estimate, "images", lambda experiment: counted)
    found = {each.name: each for each in estimate.estimates(contract.load())}
    with (ROOT / "benchmarks/cost.csv").open() as file:
        measured = {row["stage"]: float(row["step_seconds"]) for row in csv.DictReader(file)}
    assert sum(each.seconds or 0 for each in found.values()) == pytest.approx(sum(measured.values()), rel=0.02)
    off = {name: found[name].seconds / seconds for name, seconds in measured.items() if seconds > 30}
    assert all(0.5 < ratio < 2 for ratio in off.values()), off


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("pretrain-encoder@moco", lambda e: e.pretrain.encoder["moco"].__dict__.update(epochs=20)),
        ("train@badood-mid", lambda e: e.train.recipes.scratch["energy"].__dict__.update(epochs=14)),
        ("synthesize-badood@badood", lambda e: e.synthesize.badood["badood"].__dict__.update(per_image=2)),
        ("synthesize-good@good", lambda e: e.synthesize.good["good"].__dict__.update(steps=40)),
    ],
)
def test_twice_the_epochs_candidates_or_steps_are_twice_the_work(counted, stage, change):
    entry, experiment = contract.load().entry(stage), contract.load().experiment.model_copy(deep=True)
    before = work.Work(experiment, counted).of(entry)
    change(experiment)
    assert work.Work(experiment, counted).of(entry) == pytest.approx(2 * before)


def test_every_stage_that_computes_has_work_and_an_imported_model_none(counted):
    dag = contract.load()
    units = work.Work(dag.experiment, counted)
    idle = {name for name, entry in dag.stages.items() if not units.of(entry)}
    assert {name for name in idle if not name.startswith("equip")} == {"code", "synthesize-none", "train@clip"}  # which trains nothing
    experiment = dag.experiment.model_copy(deep=True)
    experiment.pretrain.encoder["moco"].__dict__.update(checkpoint="vitl.pth.tar")
    assert work.Work(experiment, counted).of(dag.entry("pretrain-encoder@moco")) == 0


def test_the_table_sums_and_names_what_is_unknown(counted, monkeypatch):
    monkeypatch.setattr(estimate, "images", lambda experiment: dataclasses.replace(counted, train=18000))
    rates = estimate._rates()
    rates.pop("report")
    monkeypatch.setattr(estimate, "_rates", lambda: rates)
    lines = estimate.table(contract.load()).splitlines()
    assert next(line for line in lines if line.startswith("report")).split()[1] == "unknown"
    assert "CPU hours, without report; at most" in next(line for line in lines if line.startswith("All: "))


def test_an_imported_model_takes_its_own_size(counted, tmp_path):
    dag = contract.load()
    experiment = dag.experiment.model_copy(deep=True)
    (tmp_path / "vitl.pth.tar").write_bytes(b"x" * 1000)
    experiment.pretrain.encoder["moco"].__dict__.update(checkpoint=str(tmp_path / "vitl.pth.tar"))
    assert estimate._bytes(dag.entry("pretrain-encoder@moco"), work.Work(experiment, counted), counted) == 1000
