"""ID images that outliers or controls are made from, one of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from penumbra.artifacts.images import read_pixel_rows, read_table
from penumbra.stage import Stage


@dataclass(frozen=True)
class Image:
    """An ID image: its row of data/images/SPLIT.parquet, its sample id and its label."""

    split: str
    row: int
    sample_id: str
    label: int


@dataclass(frozen=True)
class Source:
    """An ID image, and the row of the result that is made from it."""

    image: Image
    index: int

    def provenance(self, stage: Stage) -> dict[str, Any]:
        """Columns of that row: its sample id, and where it comes from."""
        return {
            "sample_id": f"{stage.item}/{self.index:06d}",
            "source_id": self.image.sample_id,
            "label": self.image.label,
            "split": self.image.split,
            "seed": stage.params.common.seed,
        }


def read_images(stage: Stage, splits: Iterable[str]) -> list[Image]:
    """All images of the splits, in the order of their files."""
    found: list[Image] = []
    for split in splits:
        table = read_table(stage.read(f"images/{split}"), ["sample_id", "label"]).to_pydict()
        found += [Image(split, row, *pair) for row, pair in enumerate(zip(table["sample_id"], table["label"], strict=True))]
    return found


def read_source_pixels(stage: Stage, sources: Sequence[Source]) -> np.ndarray:
    """uint8 pixels [B, S, S, 3] of sources in the order of their files."""
    parts = []
    for split, group in groupby((source.image for source in sources), key=lambda image: image.split):
        parts.append(read_pixel_rows(stage.read(f"images/{split}"), [image.row for image in group]))
    return np.concatenate(parts)


def spread(count: int, wanted: int) -> set[int]:
    """At most `wanted` of `count` rows, evenly spaced from the first on: those that a report shows."""
    return {count * place // wanted for place in range(wanted)}
