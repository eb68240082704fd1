"""Files of scores that were made elsewhere: dependencies of benchmark by content, and told of before it runs."""

import copy
import os
from pathlib import Path

import pytest

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, typed
from penumbra.workflow import code, contract, index, needs, ready

GIVEN = load(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The contract with a file of others, the stage benchmark, and the file."""
    monkeypatch.setattr(index, "INDEX", tmp_path / "index")
    monkeypatch.setattr(index, "RACE", -1e18)
    path = tmp_path / "theirs.csv"
    path.write_text("image,score\n")
    given = copy.deepcopy(GIVEN)
    given["benchmark"]["others"] = {"theirs": {"path": str(path), "higher": "id"}}
    dag = contract.Contract(contract.load().stages.values(), given, typed(given, "params.yaml"))
    return dag, dag.stages["benchmark"], path


def test_its_content_is_a_dependency_of_benchmark_alone(made):
    dag, benchmark, path = made
    first = code._files(dag, benchmark)
    assert list(first) == [str(path)]
    os.utime(path, ns=(10**18, 10**18))
    assert code._files(dag, benchmark) == first
    path.write_text("image,score\ntest/000000,1\n")
    assert code._files(dag, benchmark) != first
    assert not any(code._files(dag, entry) for name, entry in dag.stages.items() if name != "benchmark")


def test_a_file_that_is_not_there_is_told_before_anything_runs(made):
    dag, _, path = made
    (need,) = needs.needs(dag, ["benchmark"])
    assert need.key == "benchmark.others.theirs.path" and need.there
    path.unlink()
    (line,) = ready.faults(dag, ["benchmark"], needs.needs(dag, ["benchmark"]))
    assert line == f"benchmark.others.theirs.path: {path} does not exist. Correct the path or put the file there."
    assert list(needs.needs(dag, ["report"])) == []


def test_it_is_not_named_as_a_detector():
    given = copy.deepcopy(GIVEN)
    given["benchmark"]["others"] = {"none": {"path": "theirs.csv", "higher": "ood"}}
    with pytest.raises(PenumbraError, match=r"benchmark\.others\.none.*must have a name of its own: a detector"):
        typed(given, "params.yaml")
