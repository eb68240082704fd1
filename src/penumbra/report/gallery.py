"""Candidates beside their source image, where they have one, in order of severity (Bad-OOD, Fig. 2)."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from matplotlib.patches import Patch
from PIL import Image

from penumbra.report import style


@dataclass(frozen=True)
class Pair:
    """A candidate and its source (None if it was made from noise), as encoded bytes; `confidence` is the calibrated P(OOD)."""

    source: bytes | None
    outlier: bytes
    confidence: float
    band: str
    name: str


def images(path: Path, sample_ids: list[str]) -> dict[str, bytes]:
    """Encoded images of the given samples of a Parquet file; no other pixels are held in memory."""
    wanted = ds.field("sample_id").isin(pa.array(sample_ids, pa.string()))  # typed: there may be none
    rows = ds.dataset(path).scanner(columns=["sample_id", "image"], filter=wanted).to_table().to_pylist()
    return {row["sample_id"]: row["image"]["bytes"] for row in rows}


def choose(selection: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` candidates, evenly spaced over the ranks of their confidence, in its order."""
    ordered = selection.sort_values(["confidence", "sample_id"])
    places = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int))
    return ordered.iloc[places]


def pairs(selection: pd.DataFrame, candidates: pd.DataFrame, outliers: Path, sources: Path, count: int) -> list[Pair]:
    """The gallery of one method.

    Args:
        selection: rows of data/selections/METHOD.parquet.
        candidates: columns sample_id, source_id of data/outliers/METHOD.parquet; no source: "" or null.
        outliers: data/outliers/METHOD.parquet.
        sources: data/images/train.parquet.
        count: how many candidates to show.
    """
    chosen = choose(selection, count).merge(candidates, on="sample_id", suffixes=("", "_of_candidate"))
    made, real = images(outliers, list(chosen.sample_id)), images(sources, [source for source in chosen.source_id if source])
    return [Pair(real.get(row.source_id), made[row.sample_id], row.confidence, row.band, row.sample_id) for row in chosen.itertuples()]


def figure(shown: list[Pair], columns: int = 12) -> style.Drawn:
    """The gallery: source above, candidate below it with its severity, framed in the colour of its band."""
    rows = -(-len(shown) // columns)
    with style.figure(2 * rows, columns, 0.45 + 1.35 * rows) as (drawn, axes):
        for ax in axes:
            ax.axis("off")
        for place, pair in enumerate(shown):
            row, column = divmod(place, columns)
            for level, data in enumerate((pair.source, pair.outlier)):
                ax = axes[(2 * row + level) * columns + column]
                if data is None:
                    continue
                ax.imshow(np.asarray(Image.open(io.BytesIO(data))), cmap="gray")
                ax.axis("on")
                ax.grid(visible=False)
                ax.set(xticks=[], yticks=[])
                for spine in ax.spines.values():
                    spine.set(visible=True, color=style.BANDS[pair.band] if level else "#bbbbbb", linewidth=1.6 if level else 0.6)
            ax.set_title(f"{pair.confidence:.2f}", pad=2, fontsize=7)
        frames = [Patch(facecolor="none", edgecolor=colour, linewidth=1.6, label=f"{band} band") for band, colour in style.BANDS.items()]
        drawn.legend(handles=frames, loc="outside lower center", ncols=len(frames), title="number: severity, the calibrated P(OOD)")
        return style.files(drawn)
