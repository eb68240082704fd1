"""The plan of an experiment that has not run."""

import csv
import dataclasses
import inspect
from pathlib import Path

import pytest
import torch

from penumbra.experiment.load import typed
from penumbra.models.classifiers.representation import Perceptron, RepresentationDetector
from penumbra.models.moco import MoCoEncoder
from penumbra.workflow import contract, estimate, work
from penumbra.workflow.composition import compose

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
    ((kind, before),) = work.Work(experiment, counted).of(entry).items()
    change(experiment)
    assert work.Work(experiment, counted).of(entry) == {kind: pytest.approx(2 * before)}


def test_every_stage_that_computes_has_work_and_an_imported_model_none(counted):
    dag = contract.load()
    units = work.Work(dag.experiment, counted)
    idle = {name for name, entry in dag.stages.items() if not sum(units.of(entry).values())}
    assert {name for name in idle if not name.startswith("equip")} == {"code", "synthesize-none", "train@clip"}  # which trains nothing
    experiment = dag.experiment.model_copy(deep=True)
    experiment.pretrain.encoder["moco"].__dict__.update(checkpoint="vitl.pth.tar")
    assert work.Work(experiment, counted).of(dag.entry("pretrain-encoder@moco")) == {"pretrain-encoder": 0}


def stage(name):
    return contract.Entry(name, (), (), (), ())


@pytest.fixture(scope="module")
def unmeasured():
    """An experiment with what no measured run has."""
    return typed(compose(ROOT / "conf", ["experiment=digits", "+ablations=[baselines,grid,badood-latent,badood-decoders]"]), "params.yaml")


@pytest.mark.parametrize(
    "name",
    [
        *(f"synthesize-images@{method}" for method in ("real", "cutpaste", "hardaug", "boundary-gan")),
        *(f"synthesize-diffusion@{method}" for method in ("dream-ood", "fake-it")),
        *(f"synthesize-decoded@badood-{kind}" for kind in ("ldm", "dit")),
        *("pretrain-ldm@rcg", "pretrain-dit@rcg", "rerun@godin", "grid-morphs@noise", "grid-scores@badood-mid"),
        *("train@badood-latent", "infer@badood-latent"),
    ],
)
def test_what_no_measured_run_had_is_counted_as_what_computes_alike(counted, unmeasured, name):
    seconds = estimate._seconds(work.Work(unmeasured, counted).of(stage(name)), estimate._rates())
    assert 0.26 < seconds < 3600


def test_a_decoder_that_is_imported_is_not_trained_and_paints_all_the_same(counted, unmeasured):
    changed = unmeasured.model_copy(deep=True)
    changed.pretrain.dit["rcg"].__dict__.update(pipeline="dit")
    units = work.Work(changed, counted)
    assert units.of(stage("pretrain-dit@rcg")) == {"pretrain-inpainting": 0}
    painting = work.Work(unmeasured, counted).of(stage("synthesize-decoded@badood-dit"))
    assert units.of(stage("synthesize-decoded@badood-dit")) == painting and units.candidates("badood-dit") == counted.train


def test_negative_labels_and_repaintings_cost_what_contexts_and_clip_do(counted, unmeasured):
    changed = unmeasured.model_copy(deep=True)
    changed.synthesize.negatives["text"] = changed.synthesize.synood["synood"]
    units = work.Work(changed, counted)
    assert units.of(stage("synthesize-negatives@text")) == units.of(stage("synthesize-synood@synood"))
    changed.train.recipes.repainting["other"] = changed.train.recipes.clip["synood"]
    changed.train.detectors["other"] = changed.train.detectors["clip-synood"].model_copy(update={"recipe": "other"})
    assert units.of(stage("train@other")) == units.of(stage("train@clip-synood"))


def test_a_sweep_reruns_the_network_for_each_value(counted, unmeasured):
    changed = unmeasured.model_copy(deep=True)
    once = changed.rerun.scores["godin-h-moved"].model_copy(update={"noise": 0.1})
    changed.rerun.__dict__.update(scores={"godin-h": once})
    ((_, before),) = work.Work(changed, counted).of(stage("rerun@godin")).items()
    changed.rerun.__dict__.update(scores={"godin-h": once.model_copy(update={"noise": [0, 0.1, 0.2]})})
    assert work.Work(changed, counted).of(stage("rerun@godin")) == {"infer-network": pytest.approx(3 * before)}


def test_a_detector_of_representations_keeps_its_encoder_and_no_network_trains_on_images(counted, unmeasured):
    units = work.Work(unmeasured, counted)
    assert units.of(stage("train@badood-latent")).keys() == {"train-clip"} and units.networks("badood-latent") == 3 * units.encoder()
    found = {step: estimate._bytes(stage(f"{step}@badood-latent"), units, counted) for step in ("train", "infer")}
    with torch.device("meta"):
        encoder = MoCoEncoder(**{name: units.model["encoder"][name] for name in inspect.signature(MoCoEncoder).parameters})
        weights = sum(
            tensor.numel() for tensor in RepresentationDetector.of(encoder, Perceptron(64, 128, 1, 6, 16, True)).state_dict().values()
        )
    assert 3 * weights * 4 < found["train"] < 1.1 * 3 * weights * 4 and found["infer"] == 3 * counted.scored * (128 + 6) * 4


def test_a_room_that_says_nothing_has_unknown_hours_and_a_candidate_for_each_image(counted, unmeasured, monkeypatch):
    monkeypatch.setattr("penumbra.synthesize.work.room", lambda p: None)
    units = work.Work(unmeasured, counted)
    assert estimate._seconds(units.of(stage("synthesize-images@cutpaste")), estimate._rates()) is None
    assert units.candidates("cutpaste") == counted.train


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
