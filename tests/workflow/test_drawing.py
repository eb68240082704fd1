"""The drawing of the DAG follows dvc.yaml."""

from pathlib import Path
from xml.etree import ElementTree

from penumbra.workflow import contract, drawing

ROOT = Path(__file__).parents[2]
STAGES = {  # and the stages that each follows
    "prepare": set(),
    "pretrain-encoder@moco": {"prepare"},
    "synthesize-badood@badood": {"prepare", "pretrain-encoder@moco"},
    "train@all": {"prepare", "synthesize-badood@badood"},
    "train@none": {"prepare"},
    "benchmark": {"prepare", "train@all", "train@none"},
    "report": {"benchmark", "pretrain-classifier@resnet"},
    "pretrain-classifier@resnet": {"prepare"},
}


def test_implied_edges_are_left_out():
    before = drawing.edges(STAGES)
    assert before["synthesize-badood@badood"] == {"pretrain-encoder@moco"}
    assert before["train@all"] == {"synthesize-badood@badood"}
    assert before["benchmark"] == {"train@all", "train@none"}


def test_every_stage_lies_below_what_it_follows():
    before = drawing.edges(STAGES)
    rank = {name: level for level, row in enumerate(drawing.layout(before)) for name in row}
    assert set(rank) == set(before)
    assert all(rank[parent] < rank[name] for name, parents in before.items() for parent in parents)
    assert rank["train@none"] == rank["train@all"]  # as late as what reads it allows
    assert rank["pretrain-classifier@resnet"] == rank["pretrain-encoder@moco"]  # only the report reads it


def test_the_drawing_is_xml_with_a_box_for_each_stage():
    root = ElementTree.fromstring(drawing.draw(STAGES))
    assert {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")} == set(STAGES)


def test_a_wide_rank_goes_on_in_rows_below_without_overlap():
    count = 2 * drawing.WIDEST + 1
    wide = {f"train@{place}": {"prepare"} for place in range(count)}
    root = ElementTree.fromstring(drawing.draw({"prepare": set()} | wide))
    boxes = [box for box in root.iter("{http://www.w3.org/2000/svg}rect") if box.get("rx")]
    corners = [(float(box.get("x")), float(box.get("y"))) for box in boxes]
    width = float(root.get("width"))
    assert len(corners) == count + 1 and len({y for _, y in corners}) == 1 + 3
    assert all(0 <= x <= width - drawing.NODE_WIDTH and 0 <= y <= float(root.get("height")) - drawing.NODE_HEIGHT for x, y in corners)
    for place, (x, y) in enumerate(corners):
        assert all(abs(x - left) >= drawing.NODE_WIDTH or abs(y - top) >= drawing.NODE_HEIGHT for left, top in corners[:place])


def test_the_drawing_of_the_repository_is_up_to_date(monkeypatch):
    monkeypatch.chdir(ROOT)
    contract.load.cache_clear()
    assert drawing.DRAWING.read_bytes() == drawing.draw(drawing.stages()), "run python -m penumbra.workflow.drawing"
