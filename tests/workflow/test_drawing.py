"""The drawing of the DAG follows dvc.yaml."""

from pathlib import Path
from xml.etree import ElementTree

from penumbra.workflow import contract, drawing

ROOT = Path(__file__).parents[2]
STAGES = {
    "prepare": (set(), {"train", "test"}),
    "pretrain@encoder": ({"train"}, {"encoder"}),
    "synthesize@badood": ({"train", "encoder"}, {"outliers"}),
    "train@all": ({"train", "outliers"}, {"detector"}),
    "train@none": ({"train"}, {"baseline"}),
    "benchmark": ({"test", "detector", "baseline"}, {"metrics"}),
    "report": ({"metrics", "classifier"}, {"page"}),
    "pretrain@classifier": ({"train"}, {"classifier"}),
}


def test_implied_edges_are_left_out():
    before = drawing.edges(STAGES)
    assert before["synthesize@badood"] == {"pretrain@encoder"}
    assert before["train@all"] == {"synthesize@badood"}
    assert before["benchmark"] == {"train@all", "train@none"}


def test_every_stage_lies_below_what_it_follows():
    before = drawing.edges(STAGES)
    rank = {name: level for level, row in enumerate(drawing.layout(before)) for name in row}
    assert set(rank) == set(before)
    assert all(rank[parent] < rank[name] for name, parents in before.items() for parent in parents)
    assert rank["train@none"] == rank["train@all"]  # as late as what reads it allows
    assert rank["pretrain@classifier"] == rank["pretrain@encoder"]  # only the report reads it


def test_the_drawing_is_xml_with_a_box_for_each_stage():
    root = ElementTree.fromstring(drawing.draw(STAGES))
    assert {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")} == set(STAGES)


def test_the_drawing_of_the_repository_is_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    contract.load.cache_clear()
    assert drawing.DRAWING.read_bytes() == drawing.draw(drawing.stages()), "run python -m penumbra.workflow.drawing"
