"""Pictures of candidates put together: by strength of guidance, under Grad-CAM, from ID image to outlier; each as one SVG."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from matplotlib.axes import Axes
from PIL import Image

from penumbra.report import style
from penumbra.report.gallery import images

SIDE = 96  # pixels of a tile at most
GAP = 2
TERMS = ("removed", "kept", "added")  # what the masks of SONA are for, in their order
FRAMES = 6  # tiles of a denoising path
GRIDS = 3  # classes in a figure of rho by mu
SHOWN = 8  # classes, heat maps of a guidance, or edits in a figure

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
    ax.imshow(canvas, interpolation="nearest")
    ax.grid(visible=False)
    for axis, labels, length in ((ax.yaxis, down, canvas.shape[0]), (ax.xaxis, across, canvas.shape[1])):
        step = (length + GAP) / max(len(labels), 1)
        axis.set_ticks([(place + 0.5) * step - GAP / 2 - 0.5 for place in range(len(labels))], labels)
        axis.set_tick_params(length=0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    for spine in ax.spines.values():
        spine.set_visible(False)


def first_copies(candidates: pd.DataFrame) -> pd.DataFrame:
    """The first sample of each class at each strength: these share their noise over all strengths."""
    return candidates.drop_duplicates(["guidance", "rho", "mu", "label"])


def is_grid(candidates: pd.DataFrame) -> bool:
    """Whether rho and mu vary apart."""
    return len(candidates[["rho", "mu"]].drop_duplicates()) > max(candidates.rho.nunique(), candidates.mu.nunique())


def strengths(candidates: pd.DataFrame, path: Path) -> bytes:
    """Samples of equal noise by strength (GOOD, Fig. 3), a panel for each guidance.

    Where rho and mu vary apart: rho down, mu across, GRIDS classes beside one another. Where they do not: a class in each row, rho = mu
    across.

    Args:
        candidates: columns sample_id, label, guidance, rho, mu.
        path: data/outliers/METHOD.parquet.
    """
    chosen = first_copies(candidates)
    panels = []
    for guidance, part in chosen.groupby("guidance", sort=False):
        if is_grid(part):
            labels = part.label.unique()
            for place in np.unique(np.linspace(0, len(labels) - 1, GRIDS).round().astype(int)):
                cells = part[part.label == labels[place]].pivot(index="rho", columns="mu", values="sample_id")
                panels.append((f"{guidance} guidance\nclass {labels[place]}", cells, ("rho", "mu")))
        else:
            part = part[part.label.isin(part.label.unique()[:SHOWN])]
            panels.append((f"{guidance} guidance", part.pivot(index="label", columns="rho", values="sample_id"), ("class", "rho = mu")))
    found = images(path, [name for _, table, _ in panels for name in table.stack()])
    widths = [table.shape[1] for _, table, _ in panels]
    height = 0.7 + (0.92 if len(panels) < 3 else 0.7) * style.WIDTH * max(table.shape[0] for _, table, _ in panels) / sum(widths)
    with style.figure(1, len(panels), height, width_ratios=widths) as (drawn, axes):
        for ax, (title, table, (down, across)) in zip(axes, panels, strict=True):
            tiles = [[tile(found[name]) if name in found else None for name in row] for row in table.to_numpy()]
            show(ax, tiles, [f"{value:g}" for value in table.index], [f"{value:g}" for value in table.columns])
            ax.tick_params(labelsize=6.5)
            ax.set(xlabel=f"{title}\n{across} →", ylabel=down)
        return style.svg(drawn)


def heatmaps(candidates: pd.DataFrame, path: Path) -> bytes:
    """Samples above their Grad-CAM, for each guidance (GOOD, Fig. 5), at the strengths in the middle, of as many classes as fit.

    Args:
        candidates: columns sample_id, label, predicted, guidance, rho, mu.
        path: data/outliers/METHOD.parquet; columns cam (values >= 0, row by row) and cam_size.
    """
    picked = {guidance: _middle(part) for guidance, part in first_copies(candidates).groupby("guidance", sort=False)}
    ids = [name for part in picked.values() for name in part.sample_id]
    table = ds.dataset(path).to_table(["sample_id", "cam", "cam_size", "image"], filter=ds.field("sample_id").isin(ids))
    found = {row["sample_id"]: row for row in table.to_pylist()}
    columns = max(len(part) for part in picked.values())
    with style.figure(len(picked), 1, 0.3 + (2 * style.WIDTH * 0.93 / columns + 0.35) * len(picked)) as (drawn, axes):
        for ax, (guidance, part) in zip(axes, picked.items(), strict=True):
            rows = [found[name] for name in part.sample_id]
            plain = [tile(row["image"]["bytes"]) for row in rows]
            heat = [overlay(one, np.reshape(row["cam"], (row["cam_size"], -1))) for one, row in zip(plain, rows, strict=True)]
            across = [f"class {row.label}\npredicted {row.predicted}" for row in part.itertuples()]
            show(ax, [plain, heat], ["sample", "Grad-CAM"], across)
            ax.set_xlabel(f"{guidance} guidance, rho = {part.rho.iloc[0]:g}, mu = {part.mu.iloc[0]:g}")
        return style.svg(drawn)


def _middle(part: pd.DataFrame) -> pd.DataFrame:
    """The samples at the strength in the middle of the list, at most SHOWN."""
    rho = sorted(part.rho.unique())[part.rho.nunique() // 2]
    mus = sorted(part.mu[part.rho == rho].unique())
    return part[(part.rho == rho) & (part.mu == mus[len(mus) // 2])].head(SHOWN)


def overlay(picture: Tile, cam: np.ndarray) -> Tile:
    """A picture under its heat map [h, w], which is scaled to its own greatest value."""
    heat = Image.fromarray((255 * np.clip(cam / max(cam.max(), 1e-12), 0, 1)).astype(np.uint8)).resize(
        picture.shape[1::-1], Image.Resampling.BILINEAR
    )
    colours = matplotlib.colormaps["inferno"](np.asarray(heat))[..., :3]
    return (127.5 * colours + 0.5 * picture).round().astype(np.uint8)


def edits(candidates: pd.DataFrame, path: Path, sources: Path) -> bytes | None:
    """From ID image over the masks of the middle step and the denoising path to the outlier (SONA, Fig. 4), earliest stop first.

    Args:
        candidates: columns sample_id, source_id, stop, word.
        path: data/outliers/METHOD.parquet; columns masks and path, PNG or null.
        sources: data/images/train.parquet.

    Returns:
        None if no candidate kept its path, or none of a training image.
    """
    kept = ds.dataset(path).to_table(["sample_id", "masks", "path", "image"], filter=ds.field("path").is_valid()).to_pylist()
    found = {row["sample_id"]: row for row in kept}
    shown = candidates[candidates.sample_id.isin(list(found))].sort_values(["stop", "sample_id"])
    real = images(sources, list(shown.source_id))
    shown = shown[shown.source_id.isin(list(real))]
    shown = shown.iloc[np.unique(np.linspace(0, len(shown) - 1, min(SHOWN, len(shown))).round().astype(int))]
    if shown.empty:
        return None
    rows = [[[tile(real[row.source_id])], *_way(found[row.sample_id])] for row in shown.itertuples()]
    masks = max(len(row[1]) for row in rows)
    tiles = [[*source, *_filled(mask, masks), *([None] * (FRAMES - len(way))), *way, outlier] for source, mask, way, outlier in rows]
    names = [*(TERMS if masks == len(TERMS) else [""] * masks), "path", *(["→"] * (FRAMES - 1)), "outlier"]
    labels = [f"{row.word}, {row.stop}" for row in shown.itertuples()]
    with style.figure(1, 1, 0.5 + 0.78 * style.WIDTH * len(tiles) / (2 + masks + FRAMES)) as (drawn, axes):
        show(axes[0], tiles, labels, ["ID", *names])
        return style.svg(drawn)


def _way(row: dict) -> tuple[list[Tile], list[Tile], Tile]:
    """Tiles of the masks of the middle step, of the path, and the outlier."""
    picture = tile(row["image"]["bytes"])
    masks: list[Tile] = []
    if row["masks"]:
        size = Image.open(io.BytesIO(row["masks"])).size
        side = Image.open(io.BytesIO(row["path"])).height
        steps = size[1] // side
        masks = strip(row["masks"], row=(steps - 1) // 2, rows=steps)
    return masks, strip(row["path"]), picture


def _filled(tiles: list[Tile], count: int) -> list[Tile | None]:
    return [*tiles, *([None] * (count - len(tiles)))]


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
