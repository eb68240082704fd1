"""Any method alone: its experiment in conf/ is valid, has its own stages and no other, and runs in both engines to the same bytes."""

import pytest
from ruamel.yaml import YAML

from miniature import ROOT, SMALL, Miniature
from penumbra.experiment.load import load
from penumbra.workflow import contract

ALWAYS = {"code", "prepare", "synthesize-none", "benchmark", "report"}
MODELS = {  # experiment: presets of frozen models, and what else is there beside methods and detectors
    "badood": {"encoder", "rdm", "mage"},
    "good": {"classifier", "diffusion"},
    "sona": {"diffusion"},
    "synood": {"classifier", "diffusion", "inpainting", "clip"},
    "clip": {"clip"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_method_alone_runs_without_the_stages_of_others(tmp_path, monkeypatch, planned, name):
    alone = Miniature.create(tmp_path / "dag", name)
    monkeypatch.chdir(alone.root)
    contract.load.cache_clear()
    dag, params = contract.load(), load("params.yaml")
    stages = {step: {entry.item for entry in dag.of_step(step)} for step in ("pretrain", "synthesize", "train", "infer", "score")}
    assert stages["pretrain"] == MODELS[name] and set(dag.stages) >= ALWAYS
    assert stages["synthesize"] - {"none", "reconstruction"} == {
        method for method in load(ROOT / "params.yaml")["synthesize"].get(name, {})
    }
    assert stages["train"] == set(params["train"]["detectors"]) and stages["train"] == stages["infer"] <= stages["score"]
    assert planned(alone)[0] == set(dag.stages)
    alone.reproduce(monkeypatch)
    assert set(alone.counters()) == set(dag.stages) - {"code"}
    assert planned(alone) == (set(), set())


def test_the_engines_make_the_same_bytes_of_a_method_alone(tmp_path, monkeypatch):
    first, second = (Miniature.create(tmp_path / engine, *SMALL) for engine in ("dvc", "penumbra"))
    first.reproduce(monkeypatch)
    second.penumbra("repro")
    assert first.outputs() == second.outputs() and first.counters() == second.counters()
    assert second.status() == {}
    assert (first.root / "code.json").read_bytes() == (second.root / "code.json").read_bytes()
    stages = [YAML(typ="safe").load(each.root / "dvc.lock")["stages"] for each in (first, second)]
    assert stages[0] == stages[1]
