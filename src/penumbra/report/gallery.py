"""The story of each method: candidates beside their source image, by band, with what the judges say of them (Bad-OOD, Fig. 2)."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from penumbra.report import style
from penumbra.report.mosaic import tile

ACROSS = 3  # candidates of a band in a figure
PITCH, APART, LINE, HEAD = 1.12, 0.3, 0.19, 0.34  # a candidate to the next, between bands, a line, the head; in sides of an image
MARGIN = 0.9  # inches, of the names of rows
LETTERS = 11  # of a line under an image


@dataclass(frozen=True)
class Panel:
    """A candidate and what is known of it.

    Attributes:
        source, outlier: encoded images; no source: it was made from noise.
        made_of: the class of its source, or the one that it was asked for.
        band: low, mid or high.
        confidence: the calibrated P(OOD), mean over judges.
        agreed: how many of how many judges put it into its band alone; empty where one judges.
        far: how far it was led, in a few letters, as its method says; empty where it does not.
        name: its sample_id.
    """

    source: bytes | None
    outlier: bytes
    made_of: str
    band: str
    confidence: float
    agreed: str
    far: str
    name: str


@dataclass(frozen=True)
class Gallery:
    """Some candidates of a method, the least severe first; how many there are in each band; which share of all passes as ID."""

    panels: list[Panel]
    counts: dict[str, int]
    accepted: float

    def of(self, band: str) -> list[Panel]:
        """Those of one band."""
        return [panel for panel in self.panels if panel.band == band]

    def size(self, band: str) -> str:
        """The size of a band, in words."""
        return f"{self.counts[band]:,} of {sum(self.counts.values()):,}"


def images(path: Path, sample_ids: list[str]) -> dict[str, bytes]:
    """Encoded images of the given samples of a Parquet file; no other pixels are held in memory."""
    rows = _read(path, ["sample_id", "image"], sample_ids)
    return {row["sample_id"]: row["image"]["bytes"] for row in rows}


def _read(path: Path, columns: list[str], sample_ids: list[str]) -> list[dict]:
    wanted = ds.field("sample_id").isin(pa.array(sample_ids, pa.string()))  # typed: there may be none
    return ds.dataset(path).scanner(columns=columns, filter=wanted).to_table().to_pylist()


def choose(selection: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` candidates, as many of each band, evenly spaced over the ranks of their confidence, in its order."""
    ordered = selection.sort_values(["confidence", "sample_id"])
    each = max(count // len(style.BANDS), 1)
    parts = [ordered[ordered.band == band] for band in style.BANDS]
    return pd.concat([part.iloc[places(len(part), each)] for part in parts])


def places(total: int, count: int) -> np.ndarray:
    """At most `count` of `total` places, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))


def gallery(selection: pd.DataFrame, candidates: pd.DataFrame, outliers: Path, sources: Path, count: int) -> Gallery:
    """The gallery of one method.

    Args:
        selection: rows of data/selections/METHOD.parquet.
        candidates: columns sample_id, source_id ("" or null: none), label, far.
        outliers: data/outliers/METHOD.parquet.
        sources: data/images/train.parquet.
        count: how many candidates to show.
    """
    chosen = choose(selection, count).merge(candidates, on="sample_id", suffixes=("", "_of_candidate"))
    made = images(outliers, list(chosen.sample_id))
    real = {
        row["sample_id"]: row
        for row in _read(sources, ["sample_id", "class", "image"], [name for name in chosen.source_id.dropna() if name])
    }
    judges = [name for name in selection if name.removeprefix("band_").isdecimal()]
    panels = []
    for row in chosen.to_dict("records"):
        source = real.get(row["source_id"], {})
        alone = sum(row[judge] == row["band"] for judge in judges)
        agreed = f"{alone} of {len(judges)}" if len(judges) > 1 else ""
        made_of = source.get("class") or f"class {row['label']}"
        picture = source["image"]["bytes"] if source else None
        panel = Panel(picture, made[row["sample_id"]], made_of, row["band"], row["confidence"], agreed, row["far"], row["sample_id"])
        panels.append(panel)
    counts = {band: int((selection.band == band).sum()) for band in style.BANDS}
    return Gallery(panels, counts, float(selection.accepted.mean()))


def figure(shown: Gallery) -> style.Drawn:
    """A row of candidates, ACROSS of each band: source, candidate in a frame of the colour of its band, what is known of it below."""
    parts = {band: [panels[place] for place in places(len(panels), ACROSS)] for band in style.BANDS if (panels := shown.of(band))}
    tops = _tops([panel for part in parts.values() for panel in part])
    bottom, block = tops.pop("end"), ACROSS * PITCH + APART
    width = len(parts) * block - APART - PITCH + 1
    with style.figure(1, 1, 0.1 + (style.WIDTH - MARGIN) * bottom / width) as (drawn, (ax,)):
        for place, (band, panels) in enumerate(parts.items()):
            ax.text(place * block, 0.25, f"{band} band: {shown.size(band)}", weight="bold", fontsize=7.5)
            for column, panel in enumerate(panels):
                _draw(ax, panel, place * block + column * PITCH, tops)
        ax.set(xlim=(-0.03, width + 0.03), ylim=(bottom, 0), aspect="equal", xticks=[])
        ax.set_yticks([top + (0.5 if row in ("source", "candidate") else LINE / 2) for row, top in tops.items()], list(tops), fontsize=7)
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_anchor("E")
        return style.files(drawn)


def _tops(panels: list[Panel]) -> dict[str, float]:
    """Where each row begins that some panel has something in, and their end."""
    lines = max(_far(panel).count("\n") + 1 for panel in panels)
    heights = {"class": LINE, "source": PITCH * any(panel.source is not None for panel in panels), "candidate": PITCH, "P(OOD)": LINE}
    heights |= {"judges": LINE * any(panel.agreed for panel in panels), "how far": lines * LINE * any(panel.far for panel in panels)}
    tops, top = {}, HEAD
    for row, height in heights.items():
        if height:
            tops[row] = top
            top += height
    return tops | {"end": top}


def _far(panel: Panel) -> str:
    return textwrap.fill(panel.far, LETTERS, break_long_words=False, break_on_hyphens=False)


def _draw(ax: Axes, panel: Panel, left: float, tops: dict[str, float]) -> None:
    """One column."""
    texts = {"class": panel.made_of, "P(OOD)": f"{panel.confidence:.2f}", "judges": panel.agreed, "how far": _far(panel)}
    frames = {"source": ("#bbbbbb", 0.6), "candidate": (style.BANDS[panel.band], 1.6)}
    pictures = {"source": panel.source, "candidate": panel.outlier}
    for row, top in tops.items():
        if row in texts:
            weight = "bold" if row == "P(OOD)" else "normal"
            ax.text(left + 0.5, top, texts[row], ha="center", va="top", fontsize=style.SMALLEST, weight=weight, linespacing=1.15)
        elif (data := pictures[row]) is not None:
            ax.imshow(tile(data), extent=(left, left + 1, top + 1, top))
            colour, lines = frames[row]
            ax.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=lines))
