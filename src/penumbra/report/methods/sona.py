"""SONA: edits from ID image to outlier (Fig. 4), and how far each stop step leads (Fig. 6 b)."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from PIL import Image

from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, drawn
from penumbra.report.gallery import images
from penumbra.report.mosaic import SHOWN, Tile, show, strip, tile
from penumbra.stage import Stage

TERMS = ("removed", "kept", "added")  # what the masks of SONA are for, in their order
FRAMES = 6  # tiles of a denoising path


def far(candidates: pd.DataFrame) -> list[str]:
    """The OOD word, and how many steps were undone and redone towards it."""
    return [f"{row.word.removeprefix('the ')}, {row.stop}\N{NO-BREAK SPACE}steps" for row in candidates.itertuples()]


def edited(results: Results) -> list[Block]:
    """Edits of SONA: the way from ID image to outlier, and how far each stop step leads."""
    blocks = []
    for method in results.of("sona"):
        setting = results.params.synthesize[method]
        blocks += drawn(
            results,
            f"{method}-edits",
            f"{method}: from ID image to outlier, with the OOD word and the stop step on the left (SONA, Fig. 4). "
            "Masks of the middle step: where ID semantics are removed, where ID nuisance is kept, where OOD semantics are added; "
            f"a pixel is as bright as the share of latent channels that its mask holds (lambda = {setting.share:g}). "
            "Path: predicted clean images, from the first step to the last.",
        )
    blocks += drawn(
        results,
        "edits",
        "Feature distance of edits from their ID image against the stop step, mean and standard deviation (SONA, Fig. 6 b, "
        "which has LPIPS, a network trained on photographs, in place of the autoencoder's latents).",
    )
    return blocks


def figures(stage: Stage, tables: Frames, plots: Frames, candidates: Frames) -> dict[str, style.Drawn]:
    """Distances by stop step, and some edits of each variant."""
    made = {"edits": distances(tables["edits"])} if len(tables["edits"]) else {}
    train = stage.read("images") / "train.parquet"
    for method, path in stage.within("outliers", candidates).items():
        if picture := edits(candidates[method], path, train):
            made[f"{method}-edits"] = picture
    return made


def distances(table: pd.DataFrame) -> style.Drawn:
    """Feature distance of edits from their ID image against the stop step, mean and standard deviation (SONA, Fig. 6 b)."""
    labels = {"l2": "L2", "cosine": "1 − cosine"}
    colours = style.colours(["", *table.method.unique()])
    with style.figure(1, len(labels), 2.2) as (drawn, axes):
        for ax, (name, label) in zip(axes, labels.items(), strict=True):
            for method, part in table.groupby("method", sort=False):
                mean, std = part[f"{name}_mean"], part[f"{name}_std"].fillna(0)
                ax.plot(part.stop, mean, marker="o", ms=3, color=colours[method], label=method)
                ax.fill_between(part.stop, mean - std, mean + std, color=colours[method], alpha=0.15, lw=0)
            ax.set(title=label, xlabel="stop step: steps that are undone and redone", ylim=(0, None))
            ax.xaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("distance in feature space")
        axes[0].legend(loc="lower right")
        return style.files(drawn)


def edits(candidates: pd.DataFrame, path: Path, sources: Path) -> style.Drawn | None:
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
        return style.files(drawn)


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


BLOCKS = {"synthesize": edited}
