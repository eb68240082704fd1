"""A step sees what its stage declares, and finished blocks survive."""

from dataclasses import replace

import pytest

from penumbra.errors import PenumbraError
from penumbra.filter.params import Filter
from penumbra.stage import Params, Stage


@pytest.fixture
def stage(tmp_path):
    source = tmp_path / "images.parquet"
    source.write_bytes(b"pixels")
    return Stage("train", "mid", Params({"common": {"seed": 0}}), reads={"images/train": source}, scratch_root=tmp_path / "scratch")


def test_an_undeclared_parameter_does_not_exist(stage):
    assert stage.params.common.seed == 0
    with pytest.raises(PenumbraError, match=r"common\.image_size is read but this stage does not declare it"):
        _ = stage.params.common.image_size


def test_an_undeclared_file_does_not_exist(stage):
    with pytest.raises(PenumbraError, match=r"train@mid reads 0 files named 'outliers'"):
        stage.read("outliers")


def test_a_folder_name_stands_for_its_only_file(stage, tmp_path):
    assert stage.read("images") == tmp_path / "images.parquet"
    two = replace(stage, reads={"images/train": tmp_path / "a", "images/val": tmp_path / "b"})
    with pytest.raises(PenumbraError, match="reads 2 files named 'images'"):
        two.read("images")


def test_parts_share_the_blocks_without_overlap(stage):
    blocks = [f"block-{i}" for i in range(7)]
    parts = [replace(stage, part=(i, 3)).todo(blocks) for i in range(3)]
    assert sorted(sum(parts, [])) == blocks
    (stage.scratch / "block-4").write_text("done")
    assert stage.todo(blocks) == [block for block in blocks if block != "block-4"]


@pytest.mark.parametrize("change", ["data", "params", "code", "versions"])
def test_finished_blocks_count_only_for_what_made_them(stage, change):
    stage = replace(stage, code="one")
    (stage.scratch / "block").write_text("done")
    assert replace(stage).todo(["block"]) == []
    if change == "data":
        stage.read("images").write_bytes(b"pixelt")
    changes = {"params": {"params": Params({"common": {"seed": 1}})}, "versions": {"versions": {"torch": "2"}}, "code": {"code": "two"}}
    assert replace(stage, **changes.get(change, {})).todo(["block"]) == ["block"]


def test_parameters_of_the_schemas_types_are_read_and_recorded_like_nested_mappings():
    section = Filter(judge="all", mid=[0.3, 0.5], upper=[0.5, 0.7])
    params = Params({"common": {"seed": 0}, "filter": {"badood": section}})
    assert params.filter.badood.mid == params["filter"]["badood"]["mid"] == [0.3, 0.5]
    assert dict(params.filter.items()) == {"badood": section} and "sona" not in params.filter and list(params) == ["common", "filter"]
    plain = {"common": {"seed": 0}, "filter": {"badood": {"judge": "all", "mid": [0.3, 0.5], "upper": [0.5, 0.7]}}}
    assert params.plain() == plain and params == Params(plain) != Params({"common": {"seed": 0}})
    with pytest.raises(PenumbraError, match=r"filter\.sona is read but this stage does not declare it"):
        _ = params.filter.sona


def test_further_sections_stand_beside_those_of_the_same_name():
    params = Params({"train": {"seeds": [0], "detectors": {"mid": {"recipe": "own"}}}})
    both = params.beside(train={"recipes": {"own": {"epochs": 3}}})
    assert both.plain() == {"train": {"seeds": [0], "detectors": {"mid": {"recipe": "own"}}, "recipes": {"own": {"epochs": 3}}}}
    assert "recipes" not in params.train


def test_of_a_folder_only_what_is_named_and_lies_there_is_read(stage, tmp_path):
    (tmp_path / "outliers").mkdir()
    for name in ("badood", "left-over"):
        (tmp_path / f"outliers/{name}.parquet").touch()
    stage = replace(stage, reads={"outliers": tmp_path / "outliers"})
    assert stage.within("outliers", ["badood", "sona"]) == {"badood": tmp_path / "outliers/badood.parquet"}


def test_finish_forgets_every_key_of_the_stage(stage, tmp_path):
    (stage.scratch / "block").write_text("done")
    other = replace(stage, params=Params({}))
    (other.scratch / "block").write_text("done")
    stage.finish()
    assert not (tmp_path / "scratch" / "train@mid").exists()
