"""Heat maps of every score over a grid of semantic by covariate shift (Bad-OOD, Fig. 5-8)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penumbra.report import style
from penumbra.report.content import Block, Frames, Results
from penumbra.report.format import Table, once, plain

COLUMNS, HEIGHT = 5, 1.75  # panels side by side, at most; inches of one
COLOURS = "coolwarm"  # red, as in the paper, is the most anomalous; told from blue by all readers
TICKS = 4  # at most so many along an axis
SHIFTS = ("semantic", "covariate")


def figures(tables: Frames) -> dict[str, style.Drawn]:
    """A figure for each grid and detector, by its name in the report; none where nothing scores a grid."""
    table = tables.get("grid")
    if table is None:
        return {}
    return {f"grid-{grid}-{detector}": heat_maps(part) for (grid, detector), part in table.groupby(["grid", "detector"], sort=False)}


def heat_maps(table: pd.DataFrame) -> style.Drawn:
    """A panel for each score: semantic shift grows downwards, covariate shift to the right; each is rescaled to its own range.

    Args:
        table: reports/tables/grid.csv, of one grid and detector.
    """
    scores = list(table.score.unique())
    rows = -(-len(scores) // COLUMNS)
    columns = -(-len(scores) // rows)
    with style.figure(rows, columns, 0.45 + HEIGHT * rows) as (drawn, axes):
        for ax in axes[len(scores) :]:
            ax.axis("off")
        for ax, score in zip(axes, scores, strict=False):
            cells = table[table.score == score].pivot(index="semantic", columns="covariate", values="value_mean")
            cells = cells.reindex(range(cells.index.max() + 1)).reindex(columns=range(cells.columns.max() + 1))
            _panel(ax, score, cells.to_numpy())
        for ax in axes[: len(scores) : columns]:
            ax.set_ylabel("semantic shift")
        for ax in axes[max(len(scores) - columns, 0) : len(scores)]:
            ax.set_xlabel("covariate shift")
        scale = drawn.colorbar(axes[0].collections[0], ax=axes, location="right", shrink=0.8 / rows, aspect=12, pad=0.01, ticks=[0, 1])
        scale.solids.set(rasterized=False, edgecolor="face")
        scale.ax.set_yticklabels(["least OOD", "most OOD"], rotation=90, va="center")
        return style.files(drawn)


def _panel(ax: Axes, score: str, cells: np.ndarray) -> None:
    """Squares, so that the file stays one of lines and letters; what no image is in stays grey."""
    low, high = np.nanmin(cells), np.nanmax(cells)
    scaled = np.ma.masked_invalid((cells - low) / ((high - low) or 1.0))
    ax.pcolormesh(scaled, cmap=COLOURS, vmin=0, vmax=1, edgecolors="face", linewidth=0.2)
    ax.set_facecolor("#d9d9d9")
    ax.set_title(f"{score}\n", fontsize=8)
    ax.text(0.5, 1.03, f"{low:.3g} to {high:.3g}", transform=ax.transAxes, ha="center", fontsize=6.5, color="#555555")
    ax.grid(visible=False)
    ax.set_aspect("equal")
    for axis, count in ((ax.xaxis, cells.shape[1]), (ax.yaxis, cells.shape[0])):
        levels = np.arange(0, count, -(-count // TICKS))
        axis.set_ticks(levels + 0.5, [str(level) for level in levels])
        axis.set_tick_params(length=0)
    ax.invert_yaxis()


def blocks(results: Results) -> list[Block]:
    """The heat maps of each grid, and how far each score follows either shift."""
    table = results.tables.get("sensitivity")
    if table is None:
        return []
    shown = []
    for grid, detector in table[["grid", "detector"]].drop_duplicates().itertuples(index=False):
        caption = (
            f"{detector} on the grid {grid}{_described(results, grid)}: the mean of every score in each cell, over all seeds, each score "
            "rescaled to its own range, which stands above the panel (Bad-OOD, Fig. 5 to 8). Down: semantic shift; to the right: covariate "
            "shift; red: more OOD."
        )
        shown.append(Block(caption, figure=f"grid-{grid}-{detector}"))
    return [*shown, Block(_explained(), table=sensitivity(table))]


def _described(results: Results, grid: str) -> str:
    morphs = results.params.grid.morphs
    if grid not in morphs:
        return ""
    p = morphs[grid]
    return f" (ID test images on their way to {', '.join(p.novel)}, under {p.shift} up to {p.strongest:g}; {p.per_cell} images a cell)"


def _explained() -> str:
    return (
        "How far scores follow the shifts: Spearman's correlation between the mean of a cell and its level of semantic shift, and of "
        "covariate shift; mean ± sample standard deviation over training seeds. 1: every step raises the score. A score that follows only "
        "the first is blind to the second; one that follows only the second takes another camera for another class."
    )


def sensitivity(table: pd.DataFrame) -> Table:
    """A row for each grid, detector and score.

    Args:
        table: reports/tables/sensitivity.csv.
    """
    rows = []
    for row in table.to_dict("records"):
        cells = [plain(row[f"{shift}_mean"], row[f"{shift}_std"], 2) for shift in SHIFTS]
        rows.append([f"{row['detector']} on {row['grid']}", row["score"], *cells])
    return Table(["detector", "score", "semantic shift", "covariate shift"], once(rows))
