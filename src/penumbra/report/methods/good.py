"""GOOD: samples by strength of guidance (Fig. 3, 4, 5 and 7), and what overlays ask for (`report/guided.py`)."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from PIL import Image

from penumbra.benchmark.guided import apart
from penumbra.report import guided, style
from penumbra.report.content import Block, Frames, Results, drawn
from penumbra.report.format import Table, count, plain
from penumbra.report.gallery import images
from penumbra.report.mosaic import SHOWN, Tile, show, tile
from penumbra.stage import Stage

GRIDS = 3  # classes in a figure of rho by mu
OVERLAP = 1.6  # height of the greatest density of a panel, in distances of two that lie above one another


def far(candidates: pd.DataFrame) -> list[str]:
    """What guides, and its strengths."""
    return [f"{row.guidance} rho\N{NO-BREAK SPACE}{row.rho:g} mu\N{NO-BREAK SPACE}{row.mu:g}" for row in candidates.itertuples()]


def samples(results: Results) -> list[Block]:
    """Samples of GOOD by strength: images, heat maps, energies, numbers."""
    blocks = []
    for method in results.of("good"):
        blocks += _images(results, method)
    known = "ID train" in set(results.tables["strengths"].guidance)
    trained = "grey: ID training images, whose energies are as a rule lower than those of ID images that the classifier has not seen"
    beside = trained if known else "ID energies are not known here"
    blocks += drawn(
        results,
        "strengths",
        "Energy of samples under the classifier that guided them, by rho, by mu and over all strengths (GOOD, Fig. 4), the strongest "
        f"guidance on top; higher energy: more OOD; {beside}.",
    )
    blocks += drawn(
        results, "strength-grid", "Mean energy and mean distance to the k-th neighbour of the samples of each strength (GOOD, Fig. 7)."
    )
    return blocks + guided.blocks(results) + _numbers(results.tables["strengths"])


def _images(results: Results, method: str) -> list[Block]:
    """Samples of one variant, also under Grad-CAM."""
    same = (
        "All samples of a class here start from the same noise, so that they differ by the strength alone. "
        f"At most {GRIDS} classes where rho and mu vary apart, at most {SHOWN} where they do not."
    )
    prompt = results.params.synthesize[method].prompt
    cams = (
        "Grad-CAM: where the classifier looks for the class that it predicts, from dark to yellow, each map scaled to its own "
        "greatest value (GOOD, Fig. 5)."
    )
    by_strength = f"{method}: samples of “{prompt}” by strength of guidance (GOOD, Fig. 3). {same}"
    return [
        *drawn(results, f"{method}-strengths", by_strength),
        *drawn(results, f"{method}-cams", f"{method}: samples at the strength in the middle. {cams}"),
    ]


def _numbers(table: pd.DataFrame) -> list[Block]:
    """The strengths that are in no grid, in numbers."""
    diagonal = table.drop(index=gridded(table).index)
    if diagonal.empty:
        return []
    several = diagonal.method.nunique() > 1
    rows = [
        [
            f"{row.method}, {row.guidance}" if several else row.guidance,
            *("" if pd.isna(value) else f"{value:g}" for value in (row.rho, row.mu)),
            count(row.images),
            plain(row.energy_mean, row.energy_std, 2),
            plain(row.knn_mean, row.knn_std, 3),
        ]
        for row in diagonal.rename(columns={"count": "images"}).itertuples()
    ]
    header = ["guidance", "rho", "mu", "images", "energy", "k-NN distance"]
    caption = "Mean ± standard deviation over samples, where rho and mu go together; where they do not, they are in the figure above."
    return [Block(caption, table=Table(header, rows))]


def figures(stage: Stage, tables: Frames, plots: Frames, candidates: Frames) -> dict[str, style.Drawn]:
    """Numbers by strength, and the samples themselves, also under Grad-CAM."""
    made = guided.figures(plots, stage.params)
    if len(plots["strengths"]):
        made["strengths"] = densities(plots["strengths"])
    if len(gridded(tables["strengths"])):
        made["strength-grid"] = strength_grid(tables["strengths"])
    for method, path in stage.within("outliers", candidates).items():
        if first_copies(candidates[method]).duplicated(["guidance", "label"]).any():  # else the heat maps show all there is
            made[f"{method}-strengths"] = strengths(candidates[method], path)
        made[f"{method}-cams"] = heatmaps(candidates[method], path)
    return made


def densities(plot: pd.DataFrame) -> style.Drawn:
    """Energy of samples by rho, by mu and over all strengths, against ID training images; a row for each guidance (GOOD, Fig. 4).

    Densities lie above one another, ID training images at the bottom, all of a panel at one scale. Guidances of one strength are left out
    beside others.
    """
    plot = varied(plot)
    rows = {key: list(part.panel.unique()) for key, part in plot.groupby(["method", "guidance"], sort=False)}
    columns = max(len(panels) for panels in rows.values())
    lanes = max(part.strength.nunique() for _, part in plot.groupby(["method", "guidance", "panel"]))
    several = plot.method.nunique() > 1
    with style.figure(len(rows), columns, 0.2 + (0.9 + 0.2 * lanes) * len(rows), sharex=True) as (drawn, axes):
        for place, ax in enumerate(axes):
            method, guidance = key = list(rows)[place // columns]
            if place % columns >= len(rows[key]):
                ax.axis("off")
                continue
            panel = rows[key][place % columns]
            part = plot[(plot.method == method) & (plot.guidance == guidance) & (plot.panel == panel)]
            strengths, height = sorted(part.strength.unique()), part.density.max() / OVERLAP
            ramp = dict(zip([strength for strength in strengths if strength >= 0], style.ramp(part.strength.nunique()), strict=False))
            for lane, strength in reversed([*enumerate(strengths)]):
                curve, colour = part[part.strength == strength], ramp.get(strength, style.GROUPS["id"])
                top = lane + curve.density / height
                ax.fill_between(curve.energy, lane, top, step="mid", color=colour, alpha=0.45, lw=0)
                ax.step(curve.energy, top, where="mid", lw=0.9, color=colour)
            names = {-1: "ID train"} | ({0: "all"} if panel == "balanced" else {})
            ax.set_yticks(range(len(strengths)), [names.get(strength, f"{strength:g}") for strength in strengths])
            over_all = panel == "balanced"
            named = f"{method}, {guidance}" if several else f"{guidance} guidance"
            ax.set(title=f"{named}: {'all' if over_all else panel}", ylabel="" if over_all else panel)
            ax.set(ylim=(0, None), xlabel="energy under the classifier")
            ax.tick_params(axis="x", labelbottom=True)
            ax.tick_params(axis="y", length=0)
            ax.spines["left"].set_visible(False)
            ax.grid(axis="x", visible=False)
        return style.files(drawn)


def varied(plot: pd.DataFrame) -> pd.DataFrame:
    """The rows of plots/strengths.csv of guidances with several strengths; all rows where no guidance has them."""
    strengths = plot.strength.where((plot.strength >= 0) & (plot.panel != "balanced"))
    several = strengths.groupby([plot.method, plot.guidance]).transform("nunique") > 1
    return plot[several] if several.any() else plot


def gridded(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of tables/strengths.csv of guidances whose rho and mu vary apart."""
    return table.dropna(subset="rho").groupby(["method", "guidance"], sort=False).filter(apart)


def strength_grid(table: pd.DataFrame) -> style.Drawn:
    """Mean energy by rho and mu, and the distance to the k-th neighbour, of each guidance of `gridded` (GOOD, Fig. 7)."""
    table = gridded(table)
    guidances = [key for key, _ in table.groupby(["method", "guidance"], sort=False)]
    measures = {"energy_mean": "mean energy", "knn_mean": "mean k-NN distance"}
    with style.figure(len(guidances), 2, 2.6 * len(guidances)) as (drawn, axes):
        for place, ax in enumerate(axes):
            (method, guidance), (name, label) = guidances[place // 2], list(measures.items())[place % 2]
            cells = table[(table.method == method) & (table.guidance == guidance)].pivot(index="rho", columns="mu", values=name)
            shown = ax.imshow(cells, cmap="cividis", aspect="auto")
            low, high = np.nanmin(cells), np.nanmax(cells)
            for row, values in enumerate(cells.to_numpy()):
                for column, value in enumerate(values):
                    ink = "black" if value > (low + high) / 2 else "white"
                    ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
            ax.set_yticks(range(len(cells.index)), [f"{rho:g}" for rho in cells.index])
            ax.set_xticks(range(len(cells.columns)), [f"{mu:g}" for mu in cells.columns])
            ax.set(title=f"{method}, {guidance} guidance: {label}", xlabel="mu", ylabel="rho")
            ax.grid(visible=False)
            drawn.colorbar(shown, ax=ax, fraction=0.05)
        return style.files(drawn)


def first_copies(candidates: pd.DataFrame) -> pd.DataFrame:
    """The first sample of each class at each strength: these share their noise over all strengths."""
    return candidates.drop_duplicates(["guidance", "rho", "mu", "label"])


def strengths(candidates: pd.DataFrame, path: Path) -> style.Drawn:
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
        if apart(part):
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
            ax.tick_params(labelsize=style.SMALLEST)
            ax.set(xlabel=f"{title}\n{across} →", ylabel=down)
        return style.files(drawn)


def heatmaps(candidates: pd.DataFrame, path: Path) -> style.Drawn:
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
        return style.files(drawn)


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


BLOCKS = {"synthesize": samples}
