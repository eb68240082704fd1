"""The unified score of GOOD: its table, its dependence on a and k, and the scores that it combines."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penumbra.report import style
from penumbra.report.columns import METRICS
from penumbra.report.content import Block, Results, drawn
from penumbra.report.figures import LABELS
from penumbra.report.format import Table, measures

MODES = {
    "energy": "energy alone",
    "knn": "kNN alone",
    "per-set": "unified, per-set (told the OOD set)",
    "mixture": "unified, mixture (sees the test set)",
    "id-only": "unified, id-only (deployable)",
    "fixed": "unified, fixed w",
}


def histograms(results: Results) -> list[Block]:
    """Distributions of the two scores that the unified score combines, and its own."""
    plot, setting = results.plots["unified"], results.params.benchmark.unified
    if plot.empty:
        return []
    return drawn(
        results,
        "scores",
        f"{plot.detector.min()}: energy, k-NN distance and unified score (mode {setting.mode}) of ID test images (grey) and of each OOD "
        "test set, every comparison scaled to [0, 1], all seeds together (GOOD, Fig. 8).",
    )


def blocks(results: Results) -> list[Block]:
    """The unified score by mode, and its dependence on a and k."""
    table, setting = results.tables["unified"], results.params.benchmark.unified
    if table.empty:
        return []
    means = table[table.set == table.group].drop_duplicates(["detector", "mode", "set"])
    wide = means[means.set == "near"].merge(means[means.set == "far"], on=["detector", "mode"], suffixes=("_near", "_far"))
    curved = list(results.plots["unified"].detector.unique())
    parts = []
    for detector in [*curved, *(name for name in wide.detector.unique() if name not in curved)]:
        of_detector = wide[wide.detector == detector]
        parts.append(of_detector if detector in curved else of_detector[of_detector["mode"].isin(["energy", "per-set", "id-only"])])
    wide = pd.concat(parts, ignore_index=True)
    columns = {}
    for group in ("near", "far"):
        for metric in ("fpr95_id_tpr", "auroc"):
            for moment in ("mean", "std"):
                wide[f"{group}_{metric}_{moment}"] = wide[f"{metric}_{moment}_{group}"]
            columns[f"{group}_{metric}"] = (f"{group} {METRICS[metric][0]}", METRICS[metric][1])
    wide["weight"] = [f"{near:.2f} / {far:.2f}" for near, far in zip(wide.weight_mean_near, wide.weight_mean_far, strict=True)]
    shown = [Block(_explanation(results), table=_by_detector(wide.assign(mode=wide["mode"].map(MODES)), columns))]
    caption = (
        f"{', '.join(curved[:1])}: AUROC against a (at k = {results.params.score.knn_k}) and against k (at a = {setting.a:g}), mean over "
        "seeds (GOOD, Fig. 6 b and c). Dashed: the energy alone. Numbers over an arrow: AUROCs below the panel. Where k exceeds the "
        "training images of a class, even an ID image has its k-th neighbour in another class, and the distance tells little."
    )
    return shown + drawn(results, "unified", caption)


def figures(table: pd.DataFrame, plot: pd.DataFrame) -> dict[str, style.Drawn]:
    """Curves along a and k, and histograms, of the first detector that has them.

    Args:
        table: reports/tables/unified.csv.
        plot: reports/plots/unified.csv.
    """
    if plot.empty:
        return {}
    along = table[(table.set == table.group) & table.detector.isin(plot.detector)]
    first = plot[plot.detector == plot.detector.min()]
    return {"unified": curves(along[along.detector == along.detector.iloc[0]]), "scores": score_histograms(first)}


def _explanation(results: Results) -> str:
    setting = results.params.benchmark.unified
    return (
        "The unified score of GOOD, S = w D_k + (1 − w) Ê with w = 1 − exp(−a KL), "
        f"at a = {setting.a:g}, k = {results.params.score.knn_k}, in percent; w: its mean over near and over far sets. "
        "per-set is the paper's mode and no fair comparison: it looks at the whole test set, and it is told which images of it are the "
        "OOD set (labels leak), so that every OOD set gets a w of its own. mixture sees ID and OOD test images together without labels; "
        "it still needs the whole test set. id-only takes bounds and histogram from ID validation and judges each image by itself: "
        "a deployed detector can do that. The paper compares with the energy alone; a gain over it may be no more than that of kNN alone, "
        "so compare with that row too where the table has it. Bold: the best mean of its detector, whatever the mode may look at."
    )


def _by_detector(wide: pd.DataFrame, columns: dict[str, tuple[str, bool]]) -> Table:
    rows, best, header = [], set(), []
    for _, part in wide.groupby("detector", sort=False):
        table = measures(part.reset_index(drop=True), ["detector", "mode", "weight"], columns, {"mode": "score", "weight": "w"})
        best |= {(len(rows) + row, column) for row, column in table.best}
        rows += [[row[0] if place == 0 else "", *row[1:]] for place, row in enumerate(table.rows)]
        header = table.header
    return Table(header, rows, best)


def curves(table: pd.DataFrame) -> style.Drawn:
    """AUROC of the unified score against a and against k, near and far OOD (GOOD, Fig. 6 b and c).

    What falls far below all else in its panel, as distances do once k passes the images of a class, is a number over an arrow at the
    lower edge, below which its line goes on.

    Args:
        table: rows near and far of one detector in tables/unified.csv, with a headline point for each mode first.
    """
    headline = table.drop_duplicates(["mode", "set"]).set_index(["mode", "set"])
    modes = [mode for mode in table["mode"].unique() if mode not in ("energy", "knn")]
    colours = dict(zip(("knn", *modes), style.PALETTE[1:], strict=False))
    with style.figure(1, 4, 2.5) as (drawn, axes):
        for place, ax in enumerate(axes):
            group, along = ("near", "far")[place // 2], ("a", "k")[place % 2]
            part = table[table.set == group]
            lowest = _lowest(100 * part.auroc_mean[part[along].notna()])
            of_energy = 100 * headline.auroc_mean["energy", group]
            points = [(np.nan, of_energy, "")]
            ax.axhline(of_energy, color=style.GROUPS["id"], ls="--", lw=1, label="energy")
            for mode in ["knn", *modes] if along == "k" else [mode for mode in modes if mode != "fixed"]:
                other = "k" if along == "a" else "a"
                fixed = headline[other][mode, group]
                curve = part[(part["mode"] == mode) & ((part[other] == fixed) | (part[other].isna() & pd.isna(fixed)))].sort_values(along)
                values = 100 * curve.auroc_mean
                ax.plot(curve[along], values, marker="o", ms=3, color=colours[mode], label=mode)
                points += [(x, value, colours[mode]) for x, value in zip(curve[along], values, strict=True)]
            ax.set(title=f"{group} OOD", xlabel=along, xscale="log")
            _cut(ax, pd.DataFrame(points, columns=["x", "value", "colour"]), lowest)
            values = sorted(part[along].dropna().unique())
            ax.set_xticks(values, [f"{value:g}" for value in values], rotation=45)
            ax.minorticks_off()
            ax.ticklabel_format(axis="y", useOffset=False)
        axes[0].set_ylabel("AUROC, %")
        drawn.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=6)
        return style.files(drawn)


def _lowest(values: pd.Series) -> float:
    """The value that a panel need not reach below: as far under the median as three times the greatest is above it."""
    return values.median() - 3 * max(values.max() - values.median(), 1)


def _cut(ax: Axes, points: pd.DataFrame, lowest: float) -> None:
    """End a panel a little under the points that it must show, and write at its edge what is below.

    Args:
        ax: the panel, with its scale of x set.
        points: columns x (none: a line across, always shown), value, colour.
        lowest: points below it need not be shown.
    """
    spare = (points.value < lowest) & points.x.notna()
    if not spare.any():
        return
    floor, top = points.value[~spare].min(), points.value.max()
    edge = floor - 0.5 * max(top - floor, 1)
    ax.set_ylim(edge, top + 0.05 * (top - edge))
    for x, below in points[points.value < edge].groupby("x"):
        texts = [("↓", "#555555"), *((f"{row.value:.0f}", row.colour) for row in below.sort_values("value").itertuples())]
        for row, (text, colour) in enumerate(texts):
            ax.annotate(text, (x, 0.01 + 0.08 * row), xycoords=ax.get_xaxis_transform(), color=colour, ha="center", fontsize=style.SMALLEST)


def score_histograms(plot: pd.DataFrame) -> style.Drawn:
    """Energy, kNN and unified score of ID test images and each OOD test set, scaled to [0, 1] (GOOD, Fig. 8)."""
    scores, sets = list(plot.score.unique()), list(plot.set.unique())
    with style.figure(len(scores), len(sets), 0.6 + 1.25 * len(scores), sharex=True) as (drawn, axes):
        for place, ax in enumerate(axes):
            score, name = scores[place // len(sets)], sets[place % len(sets)]
            for group, curve in plot[(plot.score == score) & (plot.set == name)].groupby("group", sort=False):
                ax.fill_between(curve.position, curve.density, step="mid", color=style.GROUPS[group], alpha=0.3, lw=0)
                ax.step(curve.position, curve.density, where="mid", lw=0.9, color=style.GROUPS[group], label=LABELS.get(group, group))
            ax.set(yticks=[], ylim=(0, None), xticks=[0, 0.5, 1])
            ax.grid(visible=False)
            if place < len(sets):
                ax.set_title(name)
            if place % len(sets) == 0:
                ax.set_ylabel(score)
            if place >= len(sets) * (len(scores) - 1):
                ax.set_xlabel("score, scaled")
        found = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
        handles = {label: handle for handle, label in found}
        drawn.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
        return style.files(drawn)
