"""Pictures of candidates put together as tiles of one figure."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from matplotlib.axes import Axes
from PIL import Image

SIDE = 96  # pixels of a tile at most
GAP = 2
SHOWN = 8  # of what there is much of, in a figure

Tile = np.ndarray  # uint8 [S, S, 3]


def tile(data: bytes) -> Tile:
    """The pixels of an encoded image, not larger than SIDE."""
    return _shrunk(Image.open(io.BytesIO(data)).convert("RGB"))


def strip(data: bytes, row: int = 0, rows: int = 1) -> list[Tile]:
    """The square tiles of one row of an encoded picture of `rows` rows of tiles."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    side = picture.height // rows
    return [_shrunk(picture.crop((left, row * side, left + side, (row + 1) * side))) for left in range(0, picture.width - side + 1, side)]


def _shrunk(picture: Image.Image) -> Tile:
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX) if picture.width > SIDE else picture)


def joined(rows: Sequence[Sequence[Tile | None]]) -> np.ndarray:
    """Tiles in rows, white between them and where there is none: uint8 [H, W, 3]."""
    side = next(one.shape[0] for row in rows for one in row if one is not None)
    columns = max(len(row) for row in rows)
    canvas = np.full((len(rows) * (side + GAP) - GAP, columns * (side + GAP) - GAP, 3), 255, np.uint8)
    for place, row in enumerate(rows):
        for column, one in enumerate(row):
            if one is not None:
                top, left = place * (side + GAP), column * (side + GAP)
                canvas[top : top + side, left : left + side] = one
    return canvas


def show(ax: Axes, rows: Sequence[Sequence[Tile | None]], down: Sequence[str], across: Sequence[str]) -> None:
    """Draw tiles with a label for each row and each column."""
    canvas = joined(rows)
    ax.imshow(canvas)
    ax.grid(visible=False)
    for axis, labels, length in ((ax.yaxis, down, canvas.shape[0]), (ax.xaxis, across, canvas.shape[1])):
        step = (length + GAP) / max(len(labels), 1)
        axis.set_ticks([(place + 0.5) * step - GAP / 2 - 0.5 for place in range(len(labels))], labels)
        axis.set_tick_params(length=0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    for spine in ax.spines.values():
        spine.set_visible(False)


def samples(path: Path, count: int, by: str = "caption") -> dict[str, list[bytes]]:
    """Encoded samples of a diffusion pipeline by caption ("": unconditional) or by kind, at most `count` of each.

    Args:
        path: data/models/MODEL/samples.parquet.
        count: how many.
        by: caption | kind.
    """
    found: dict[str, list[bytes]] = {}
    for row in ds.dataset(path).to_table([by, "image"]).to_pylist():
        of_caption = found.setdefault(row[by], [])
        if len(of_caption) < count:
            of_caption.append(row["image"]["bytes"])
    return found
