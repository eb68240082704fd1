"""The images of a grid: of the experiment's own, with both shifts level by level, and on disk in SynIS' layout."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from penumbra.artifacts.images import ImageWriter, encode, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.grid import folder, morphs
from penumbra.grid.params import Folder, Morphs
from penumbra.prepare.pixels import load_pixels, read_file
from penumbra.prepare.record import Record
from penumbra.stage import Params, Stage

COLUMNS = {"sample_id": pa.string(), "set": pa.string()}


def digit(kind: str, number: int) -> np.ndarray:
    """A bar for an ID image, a ring for one of another class, both in places of their own."""
    grey = np.zeros((32, 32), np.uint8)
    at = 8 + number % 6
    if kind == "bar":
        grey[6:26, at : at + 4] = 250
    else:
        grey[6:26, at : at + 14] = 250
        grey[10:22, at + 4 : at + 10] = 0
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.fixture
def images(tmp_path):
    """data/images with ID test images, near OOD, and a far set that no grid asks for."""
    (tmp_path / "images").mkdir()
    for file, rows in {
        "test": [("bar", "id-test", 9)],
        "ood": [("ring", "mnist-6-9", 7), ("bar", "noise", 5)],
    }.items():
        with ImageWriter(tmp_path / f"images/{file}.parquet", COLUMNS, {}) as writer:
            for kind, name, count in rows:
                for i in range(count):
                    writer.add(encode(digit(kind, i)), sample_id=f"{file}/{name}/{i}", set=name)
    return tmp_path


def stage_of(root, kind: str, spec, out: str = "grid.parquet", seed: int = 0) -> Stage:
    params = Params({"common": {"seed": seed, "image_size": 16}, "grid": {kind: {"mine": spec}}})
    reads = {f"images/{file}": root / f"images/{file}.parquet" for file in ("test", "ood")} if kind == "morphs" else {}
    return Stage("grid", "mine", params, {}, reads, {"grids/mine": root / out}, root / "scratch")


def morphed(root, out: str = "grid.parquet", seed: int = 0, **changes):
    spec = Morphs(**{"novel": ["mnist-6-9"], "levels": 3, "shift": "noise", "strongest": 0.4, "per_cell": 5} | changes)
    stage = stage_of(root, "morphs", spec, out, seed)
    morphs.main(stage)
    return read_table(stage.write()).to_pandas(), read_pixels(stage.write()).astype(int)


def cell(rows, pixels, semantic: int, covariate: int) -> np.ndarray:
    return pixels[((rows.semantic == semantic) & (rows.covariate == covariate)).to_numpy()]


def test_every_cell_holds_the_same_pairs_and_the_corner_id_images(images):
    rows, pixels = morphed(images)
    assert rows.groupby(["semantic", "covariate"]).size().tolist() == [5] * 9 and pixels.shape == (45, 32, 32, 3)
    assert rows.sample_id.tolist() == [f"mine/{i:06d}" for i in range(45)]
    pairs = rows.groupby(["semantic", "covariate"]).source_id.agg(tuple)
    assert pairs.nunique() == 1 and all("test/id-test/" in pair and "ood/mnist-6-9/" in pair for pair in pairs.iloc[0])
    for index, pair in enumerate(pairs.iloc[0]):
        first, second = (name.split("/") for name in pair.split(" "))
        for semantic, kind, number in ((0, "bar", first[2]), (2, "ring", second[2])):
            assert np.abs(cell(rows, pixels, semantic, 0)[index] - digit(kind, int(number))).max() == 0


def test_a_row_changes_the_shift_alone_and_a_column_the_shape_alone(images):
    """Along a row the noise of an image is one pattern that grows; at the first level there is none, and grey stays grey."""
    rows, pixels = morphed(images)
    for semantic in range(3):
        clean, half, full = (cell(rows, pixels, semantic, covariate) for covariate in range(3))
        assert (clean[..., 0] == clean[..., 1]).all()
        inner = (full > 5) & (full < 250) & (half > 5) & (half < 250)  # not cut off at black or white
        moved = np.stack([(half - clean)[inner], (full - clean)[inner]]).astype(float)
        assert inner.any() and np.abs(moved[1] - 2 * moved[0]).max() <= 2 and 40 < np.std(full - clean) < 110
    shapes = [cell(rows, pixels, semantic, 0) for semantic in range(3)]
    assert np.abs(shapes[0] - shapes[1]).mean() < np.abs(shapes[0] - shapes[2]).mean()


def test_a_grid_is_equal_from_run_to_run_and_of_other_images_with_another_seed(images):
    rows, _ = morphed(images)
    first = (images / "grid.parquet").read_bytes()
    morphed(images, "again.parquet")
    other, _ = morphed(images, "other.parquet", seed=1)
    assert (images / "again.parquet").read_bytes() == first and set(other.source_id) != set(rows.source_id)
    assert read_provenance(images / "grid.parquet")["params"]["grid"]["morphs"]["mine"]["levels"] == 3


def test_more_images_than_there_are_is_refused(images):
    with pytest.raises(PenumbraError, match=r"grid\.morphs\.mine\.per_cell = 8: there are only 7 images of mnist-6-9\. Lower it"):
        morphed(images, per_cell=8)
    with ImageWriter(images / "images/ood.parquet", COLUMNS, {}) as writer:
        for i in range(5):
            writer.add(encode(np.full((32, 32, 3), 100 + i, np.uint8)), sample_id=f"ood/photos/{i}", set="photos")
    with pytest.raises(PenumbraError, match=r"^grid\.morphs\.mine: test/\S+ or ood/photos/\d has 1024 bright pixels.* leave the"):
        morphed(images, novel=["photos"])
    with pytest.raises(PenumbraError, match="only 9 ID test images"):
        morphed(images, per_cell=10, novel=["photos"])


def synis(root, cells=((0, 0), (0, 1), (1, 0), (1, 1)), count: int = 4):
    rng = np.random.default_rng(0)
    for covariate, semantic in cells:
        (root / f"cov_{covariate}_sem_{semantic}").mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"cov_{covariate}_sem_{semantic}/{i}.png")
    return root


def on_disk(tmp_path, root, per_cell=None, out="grid.parquet"):
    stage = stage_of(tmp_path, "folder", Folder(path=str(root), per_cell=per_cell), out)
    folder.main(stage)
    return read_table(stage.write()).to_pandas(), read_pixels(stage.write())


def test_the_folders_of_synis_are_the_cells_and_their_images_are_taken_as_prepare_takes_them(tmp_path):
    root = synis(tmp_path / "SynIS", cells=((0, 0), (2, 1)))
    (root / "cov_0_sem_0/.hidden").touch()
    (root / "lists").mkdir()
    rows, pixels = on_disk(tmp_path, root)
    assert rows.groupby(["semantic", "covariate"]).size().to_dict() == {(0, 0): 4, (1, 2): 4}
    for row, found in zip(rows.itertuples(), pixels, strict=True):
        record = Record(row.source_id, None, lambda path=root / row.source_id: read_file(path))
        np.testing.assert_array_equal(found, load_pixels(record, 16))


def test_a_limit_takes_the_same_images_of_each_cell_every_time(tmp_path):
    root = synis(tmp_path / "SynIS")
    rows, _ = on_disk(tmp_path, root, per_cell=2)
    assert rows.groupby(["semantic", "covariate"]).size().tolist() == [2] * 4
    on_disk(tmp_path, root, 2, "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "grid.parquet").read_bytes()
    assert set(rows.source_id) < set(on_disk(tmp_path, root, out="all.parquet")[0].source_id)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "cov_1_sem_1/2.png").write_bytes(b"no image"), r"cov_1_sem_1/2\.png: not an image\. Get it again"),
        (lambda root: [path.unlink() for path in (root / "cov_1_sem_0").iterdir()], "cov_1_sem_0: holds no image"),
        (
            lambda root: [path.rename(root / path.name.replace("cov", "c")) for path in list(root.iterdir())],
            r"^grid\.folder\.mine\.path: .*SynIS has no folder cov_C_sem_S\. Name",
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, spoil, said):
    root = synis(tmp_path / "SynIS")
    spoil(root)
    with pytest.raises(PenumbraError, match=said):
        on_disk(tmp_path, root)
    assert not (tmp_path / "grid.parquet").exists()
