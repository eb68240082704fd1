"""The stages of a grid: none by default, and with one the rest of the experiment stays as it is."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from penumbra.experiment.load import load
from penumbra.grid import work
from penumbra.workflow import contract, needs
from penumbra.workflow.composition import compose

ROOT = Path(__file__).parents[2]


@pytest.fixture
def resolved(tmp_path, monkeypatch):
    """The contract of an experiment, resolved by DVC in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    Repo.init(str(tmp_path), no_scm=True).close()

    def resolve(*overrides: str) -> contract.Contract:
        with open("params.yaml", "w") as file:
            YAML().dump(compose(ROOT / "conf", ["experiment=digits", *overrides]), file)
        contract.load.cache_clear()
        return contract.load()

    yield resolve
    contract.load.cache_clear()


def test_a_grid_adds_stages_and_changes_no_other_but_those_that_gather(resolved, monkeypatch):
    before = resolved()
    assert not before.of_step("grid")
    after = resolved("+ablations=grid", "~score.more.gradnorm")
    images, asked = {"grid-morphs@noise", "grid-morphs@blur"}, {f"grid-scores@{name}" for name in ("none", "badood-all", "badood-mid")}
    assert set(after.stages) - set(before.stages) == images | asked
    assert {name for name in before.stages if after.stages[name] != before.stages[name]} == set()
    given = {name: after.params(after.entry(name)).plain() for name in before.stages}
    assert {name for name, entry in before.stages.items() if given[name] != before.params(entry).plain()} == {"benchmark", "report"}
    asked_of = after.entry("grid-scores@none")
    assert set(after.inputs(asked_of)) == {
        "data/grids/noise.parquet",
        "data/grids/blur.parquet",
        "data/outputs/none",
        "data/detectors/none",
    }
    monkeypatch.chdir(ROOT)  # where the programs lie
    assert [after.program(after.entry(name)) for name in ("grid-morphs@noise", "grid-scores@none")] == [
        "penumbra.grid.morphs",
        "penumbra.grid.scores",
    ]
    units = SimpleNamespace(e=after.experiment, size=32)
    assert [work.images(units, name) for name in ("noise", "none")] == [64 * 60, 0]
    assert "data/scores/grid/none.parquet" in after.inputs(after.entry("benchmark"))


def test_synis_is_named_with_its_licence_and_its_files_are_dependencies(resolved, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNIS", str(tmp_path / "SynIS"))
    dag = resolved("+ablations=synis")
    (need,) = needs.needs(dag, dag.stages)
    assert need.key == "grid.folder.synis.path" and need.what == "SynIS" and not need.there and "does not exist" in need.found
    (tmp_path / "SynIS/cov_0_sem_0").mkdir(parents=True)
    (tmp_path / "SynIS/cov_0_sem_0/a.png").touch()
    (need,) = needs.needs(dag, dag.stages)
    assert need.there and need.found.startswith("1 file")
    monkeypatch.chdir(ROOT)
    assert dag.program(dag.entry("grid-folder@synis")) == "penumbra.grid.folder"
    assert load(ROOT / "params.yaml")["grid"] == {"morphs": {}, "folder": {}, "detectors": []}
