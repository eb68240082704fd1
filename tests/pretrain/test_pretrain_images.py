"""Images that a model learns from: on the disk, and in every place what a tensor of them gives, to the layout in memory."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.pretrain.images import read_images
from penumbra.stage import Params, Stage

CPU = torch.device("cpu")


@pytest.fixture
def stage(tmp_path):
    rng, reads = np.random.default_rng(0), {}
    for name, count in {"train": 11, "world": 5, "empty": 0}.items():
        reads[f"images/{name}"] = tmp_path / f"{name}.parquet"
        with ImageWriter(reads[f"images/{name}"], {"label": pa.int64()}, {}) as writer:
            for _ in range(count):
                writer.add(encode(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)), label=0)
    return Stage("pretrain", "encoder", Params({}), {}, reads, {}, tmp_path / "scratch")


@pytest.mark.parametrize("names", [["train"], ["train", "world"], ["train", "empty"]])
def test_they_are_what_a_tensor_of_all_gives(stage, names):
    """Kernels depend on the layout, and so do last bits."""
    held = [torch.from_numpy(read_pixels(stage.read(f"images/{name}"))).permute(0, 3, 1, 2) for name in names]
    held = torch.cat([images for images in held if len(images)])
    images = read_images(stage, CPU, *(f"images/{name}" for name in names))
    assert images.shape == held.shape and len(images) == len(held) and images.device == CPU
    rows = torch.tensor([3, 0, 3, 10])
    pairs = [(images[rows], held[rows]), (images.take(rows)[torch.tensor([2, 1])], held[rows][[2, 1]])]
    pairs += zip(images.split(4), held.split(4), strict=True)
    for streamed, kept in pairs:
        assert torch.equal(streamed, kept) and streamed.stride() == kept.stride()


def test_files_side_by_side_are_stored_side_by_side(stage):
    for names in (["images/train"], ["images/world"], ["images/train", "images/world"]):
        read_images(stage, CPU, *names)
    assert sorted(len(np.load(path, mmap_mode="r")) for path in (stage.scratch / "pixels").iterdir()) == [5, 11, 16]
