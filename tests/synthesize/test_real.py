"""Real outliers are images of the world, pixel by pixel, and of its sets alone that are named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from outlier_files import outliers_of, selection_of

from penumbra.artifacts.images import ImageWriter, decode, encode
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage
from penumbra.synthesize.real import plan
from penumbra.synthesize.real.params import Real

SETS = ["glyphs", "photos", "glyphs"]


def make_stage(folder, sets, world=SETS):
    rng, images = np.random.default_rng(0), []
    columns = {name: pa.string() for name in ("sample_id", "set", "caption")}
    with ImageWriter(folder / "world.parquet", columns, {}) as writer:
        for row, name in enumerate(world):
            images.append(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            writer.add(encode(images[-1]), sample_id=f"world/{row}", set=name, caption=f"a {name} {row}")
    params = Params({"common": {"seed": 0, "grey": False}, "synthesize": {"real": Real(method="real", sets=sets)}})
    reads = {"images/world": folder / "world.parquet"}
    return Stage("synthesize", "real", params, {}, reads, outliers_of(folder, "real"), folder / "scratch"), images


@pytest.mark.parametrize(("sets", "rows"), [(None, [0, 1, 2]), (["glyphs"], [0, 2]), (["photos"], [1])])
def test_the_images_of_the_named_sets_are_taken_as_they_are(tmp_path, sets, rows):
    stage, images = make_stage(tmp_path, sets)
    plan.main(stage)
    found = pq.read_table(stage.write("outliers")).to_pylist()
    assert [row["world_id"] for row in found] == [f"world/{row}" for row in rows]
    assert [row["set"] for row in found] == [SETS[row] for row in rows] and {row["label"] for row in found} == {-1}
    for row, place in zip(found, rows, strict=True):
        np.testing.assert_array_equal(decode(row["image"]["bytes"]), images[place])
    assert selection_of(stage) == [f"real/{index:06d}" for index in range(len(rows))]


def test_a_world_without_such_images_is_named(tmp_path):
    stage, _ = make_stage(tmp_path, None, world=[])
    with pytest.raises(PenumbraError, match="holds no real outlier"):
        plan.main(stage)
