"""Blocks of work: made whole or not at all, once, by whoever has the part; put together in their order."""

from dataclasses import replace

import pytest

from penumbra import blocks
from penumbra.stage import Params, Stage


@pytest.fixture
def stage(tmp_path):
    return Stage("train", "mid", Params({}), writes={"detectors/mid": tmp_path / "made.txt"}, scratch_root=tmp_path / "scratch")


def work(stage, made, found, fails=None):
    """Blocks that say what they are made of; `made` notes each."""

    def write(path, block):
        path.write_text(block[: len(block) // 2])
        if block == fails:
            raise KeyboardInterrupt
        path.write_text(block)
        made.append(block)

    blocks.run(stage, found, lambda: write, lambda paths: stage.write().write_text(" ".join(path.read_text() for path in paths)))


FOUND = {f"block-{name}": name for name in ("zero", "one", "two", "three", "four")}


def test_they_are_put_together_in_their_order_and_forgotten(stage):
    made = []
    work(stage, made, FOUND)
    assert stage.write().read_text() == "zero one two three four" and made == list(FOUND.values())
    assert not (stage.scratch_root / stage.name).exists()


def test_each_part_makes_its_own_and_the_last_process_what_is_left(stage):
    made = []
    for part in ((2, 3), (0, 3)):
        work(replace(stage, part=part), made, FOUND)
        assert not stage.write().exists()
    assert made == ["two", "zero", "three"]
    work(stage, made, FOUND)
    assert made[3:] == ["one", "four"] and stage.write().read_text() == "zero one two three four"


def test_a_killed_process_goes_on_after_the_last_whole_block(stage):
    made = []
    with pytest.raises(KeyboardInterrupt):
        work(stage, made, FOUND, fails="two")
    assert sorted(path.name for path in stage.scratch.iterdir()) == ["block-one", "block-zero"]
    work(stage, made, FOUND)
    assert made == list(FOUND.values())


def test_nothing_is_loaded_where_nothing_is_left_to_make(stage):
    work(replace(stage, part=(0, 1)), [], FOUND)
    loads = []
    paths = blocks.made(stage, FOUND, lambda: loads.append(1))
    assert [path.read_text() for path in paths] == list(FOUND.values()) and not loads


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_boundaries_depend_on_the_size_alone(count, sizes):
    found = blocks.cut(range(count), 4, ".parquet")
    assert [len(block) for block in found.values()] == sizes and [i for block in found.values() for i in block] == list(range(count))
    assert list(found) == [f"block-{index:06d}.parquet" for index in range(len(sizes))]
