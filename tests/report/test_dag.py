"""The drawing of the DAG follows dvc.yaml."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from penumbra.report import dag
from synthetic_results import DVC


@pytest.fixture
def dvc():
    return YAML(typ="safe", pure=True).load(DVC)


def test_foreach_and_matrix_are_written_out(dvc):
    found = dag.stages(dvc)
    assert {"pretrain@encoder", "pretrain@classifier", "synthesize@badood", "synthesize@badood-gaussian"} <= set(found)
    assert found["train@badood-gaussian-mid"] == (
        {"data/images/train.parquet", "data/outliers/badood-gaussian.parquet"},
        {"data/detectors/badood-gaussian-mid"},
    )
    assert found["benchmark"][1] == {"reports/metrics.json"}


def test_implied_edges_are_left_out(dvc):
    before = dag.edges(dag.stages(dvc))
    assert before["synthesize@badood"] == {"pretrain@encoder"}
    assert before["train@badood-all"] == {"synthesize@badood"}
    assert before["report"] == {"benchmark"}


def test_every_stage_lies_below_what_it_follows(dvc):
    before = dag.edges(dag.stages(dvc))
    rank = {name: level for level, row in enumerate(dag.layout(before)) for name in row}
    assert set(rank) == set(before)
    assert all(rank[parent] < rank[name] for name, parents in before.items() for parent in parents)


def test_the_drawing_is_xml_with_a_box_for_each_stage(dvc):
    root = ElementTree.fromstring(dag.draw(dvc))
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert texts == set(dag.stages(dvc))


def test_stages_of_the_repository_are_those_that_dvc_resolves():
    from dvc.repo import Repo

    root = Path(__file__).parents[2]
    with Repo(root) as repo:
        resolved = {
            stage.addressing.rpartition(":")[2]: (
                {Path(dep.fs_path).relative_to(root).as_posix() for dep in stage.deps if not hasattr(dep, "params")},
                {Path(out.fs_path).relative_to(root).as_posix() for out in stage.outs},
            )
            for stage in repo.index.stages
            if stage.addressing
        }
    assert dag.stages(YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text())) == resolved
