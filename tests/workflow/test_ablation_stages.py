"""Stages of ablations/dvc.yaml: in the same DAG, and only run when they are asked for."""

import importlib
import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from miniature import ROOT
from penumbra.workflow import closure, contract
from penumbra.workflow.record import record

KEPT = {"synthesize": "good-image", "train": "good-image-all", "score": "good-image-all", "benchmark": "ablations", "report": "ablations"}
STAGES = {f"{step}@{item}" for step, item in KEPT.items()}


@pytest.fixture
def with_ablations(miniature):
    """A built miniature with the ablation stages of one method."""
    yaml = YAML()
    content = yaml.load(ROOT / "ablations/dvc.yaml")
    for step in content["stages"].keys() - KEPT:
        del content["stages"][step]
    for step, stage in content["stages"].items():
        stage["foreach"] = {KEPT[step]: stage["foreach"][KEPT[step]]}
    others = ("data/scores/", "data/outliers/")
    deps = content["stages"]["benchmark"]["do"]["deps"]
    deps[:] = [dep for dep in deps if not dep.startswith(others) or Path(dep).stem in KEPT.values()]
    (miniature.root / "ablations").mkdir()
    yaml.dump(content, miniature.root / "ablations/dvc.yaml")
    shutil.rmtree(miniature.root / ".penumbra", ignore_errors=True)
    return miniature


def test_they_run_when_asked_for_and_not_otherwise(with_ablations, planned, monkeypatch):
    assert planned(with_ablations) == (set(), set())
    with_ablations.reproduce(monkeypatch)
    assert not with_ablations.counters()
    with_ablations.reproduce(monkeypatch, ["ablations/dvc.yaml"])
    assert set(with_ablations.counters()) == STAGES
    with_ablations.reset()
    with_ablations.reproduce(monkeypatch, ["ablations/dvc.yaml"])
    assert not with_ablations.counters()


def test_they_follow_the_parameters_of_the_method_that_they_are_like(with_ablations, monkeypatch):
    with_ablations.reproduce(monkeypatch, ["ablations/dvc.yaml"])
    with_ablations.reset()
    with_ablations.change_param("train.recipes.good.beta", 3.0)
    with_ablations.reproduce(monkeypatch, ["ablations/dvc.yaml"])
    assert set(with_ablations.counters()) == STAGES - {"synthesize@good-image"}


def test_penumbra_plans_them_by_name(with_ablations):
    shown = with_ablations.penumbra("repro", "--dry", "score@good-image-all").stdout
    assert all(f"ablations/dvc.yaml:{name}@good-image" in shown for name in ("synthesize", "train", "score"))
    assert "benchmark" not in shown


def test_an_edited_docstring_is_recorded_for_the_stages_that_are_named(with_ablations, monkeypatch, capsys):
    with_ablations.reproduce(monkeypatch, ["ablations/dvc.yaml"])
    (with_ablations.root / "src/penumbra/score/__init__.py").write_text('"""Said better."""\n')
    record(contract.load(), ["score@good-image-all", "score@none"])
    assert sorted(capsys.readouterr().out.split()[1::2]) == ["ablations/dvc.yaml:score@good-image-all", "score@none"]
    status = with_ablations.dvc("status", "--json", "ablations/dvc.yaml:score@good-image-all", "score@none").stdout
    assert json.loads(status) == {}


def test_the_contract_knows_them_but_does_not_count_them_among_all(monkeypatch):
    monkeypatch.chdir(ROOT)
    dag = contract.load()
    entry = dag.entry("train", "good-image-all")
    assert entry.address == "ablations/dvc.yaml:train@good-image-all" and entry not in dag.standing()
    assert not set(entry.outputs) & set(dag.everything())
    assert dag.stage("synthesize", "good-image").params.synthesize["good-image"].guidances.feature.per_class == 0


def test_each_is_made_by_the_program_of_the_method_that_it_is_like(monkeypatch):
    monkeypatch.chdir(ROOT)
    content = YAML(typ="safe").load(ROOT / "ablations/dvc.yaml")
    for item, slots in content["stages"]["synthesize"]["foreach"].items():
        made, like = (importlib.import_module(closure.entry("synthesize", name)) for name in (item, slots["like"]))
        assert made.main is like.main, item
