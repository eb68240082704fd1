"""Figures from the benchmark's tables and plots; each function takes a data frame."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from penumbra.report import style

ACROSS = 4  # panels of detectors beside one another
SPIKE = 3  # times the greatest density of the second highest group, at which a histogram is cut off
SATURATED = ("neglabel",)  # scores that end in 0 and 1, where most images may be
LEAST = 0.25  # percent of ID rejected at which ROC curves begin
LABELS = {"id": "ID", "near": "near OOD", "far": "far OOD"}
DISTANCES = {"l2": "L2", "cosine": "1 − cosine", "mse": "mean squared", "unit_l2": "L2 of unit vectors"}


def bands(table: pd.DataFrame) -> style.Drawn:
    """FPR95 and AUROC of each detector on near and far OOD, mean and standard deviation over seeds, bars cut off at 0 and 100."""
    names = list(table.detector)
    with style.figure(1, 2, 0.8 + 0.3 * len(names), sharey=True) as (drawn, axes):
        for ax, metric, label in zip(axes, ("fpr95_id_tpr", "auroc"), ("FPR95 (ID positive), %", "AUROC, %"), strict=True):
            for group, shift in (("near", -0.13), ("far", 0.13)):
                mean, std = (100 * table[f"{group}_{metric}_{moment}"] for moment in ("mean", "std"))
                rows = np.arange(len(names)) + shift
                bars = np.minimum(std.fillna(0), [mean, 100 - mean])
                ax.errorbar(mean, rows, xerr=bars, fmt="o", ms=4.5, color=style.GROUPS[group], capsize=2, label=f"{group} OOD")
            ax.set_xlabel(label)
            ax.grid(axis="y", visible=False)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        axes[0].set_title("lower is better", loc="left")
        axes[1].set_title("higher is better", loc="left")
        axes[1].legend(loc="best")
        return style.files(drawn)


def roc(plot: pd.DataFrame) -> style.Drawn:
    """ROC curves on near and far OOD, averaged over seeds, a panel for each detector, the first one dotted in all others.

    The share of ID rejected is on a logarithmic axis: what tells the detectors apart lies in the corner where it is small. The two FPR95
    conventions are read off at the grey lines.
    """
    with _each(plot.detector.unique()) as (axes, first):
        for detector, ax in axes.items():
            for group, curves in plot.groupby("group", sort=False):
                for name, stroke in _beside(first, detector):
                    curve = curves[curves.detector == name]
                    label = _label(LABELS[group], name, first, detector)
                    ax.plot(100 * curve.fpr, 100 * curve.tpr, color=style.GROUPS[group], label=label, **stroke)
            ax.axhline(95, color="#999999", lw=0.7)
            ax.axvline(5, color="#999999", lw=0.7)
            ax.set(xlabel="ID rejected, %", ylabel="OOD caught, %", xscale="log", xlim=(LEAST, 100), ylim=(0, 101))
            ax.set_xticks([1, 5, 20, 100], ["1", "5", "20", "100"])
            ax.minorticks_off()
        return _finished(axes)


def headline(plot: pd.DataFrame) -> style.Drawn:
    """Histograms of the headline score of ID, near and far test images, one panel for each detector; spikes of one group are cut off.

    Args:
        plot: reports/plots/headline.csv; each score has a column, empty for detectors whose headline is another.
    """
    scores = [name for name in plot if name not in ("detector", "group", "density")]
    detectors = list(plot.detector.unique())
    rows = -(-len(detectors) // ACROSS)
    with style.figure(rows, min(ACROSS, len(detectors)), 1.75 * rows + 0.3) as (drawn, axes):
        for ax, detector in zip(axes, detectors, strict=False):
            shown = plot[plot.detector == detector]
            score = next(name for name in scores if shown[name].notna().all())
            for group, curve in shown.groupby("group", sort=False):
                if group == "id":
                    ax.fill_between(curve[score], curve.density, step="mid", color=style.GROUPS[group], alpha=0.3, lw=0)
                ax.step(curve[score], curve.density, where="mid", color=style.GROUPS[group], lw=1.1, label=LABELS.get(group, group))
            *_, second, highest = [0, *sorted(shown.groupby("group").density.max())]
            ax.set(title=detector, xlabel=score, ylim=(0, 1.05 * min(highest, SPIKE * second or highest)))
            if score in SATURATED:
                ax.set(yscale="log", xlabel=f"{score}, logarithmic density", ylim=(0.7 * shown.density[shown.density > 0].min(), None))
            ax.set_yticks([])
            ax.minorticks_off()
            ax.grid(visible=False)
        for ax in axes[len(detectors) :]:
            ax.axis("off")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return style.files(drawn)


def reliability(plot: pd.DataFrame) -> style.Drawn:
    """Reliability diagrams, one panel for each calibrator; the area of a dot is the number of images in its bin."""
    names = list(plot.calibrator.unique())
    with style.figure(1, len(names), 1.9, sharey=True) as (drawn, axes):
        for ax, name in zip(axes, names, strict=True):
            points = plot[plot.calibrator == name]
            ax.plot([0, 1], [0, 1], color="#999999", lw=0.9, ls=":")
            ax.plot(points.confidence, points.frequency, color=style.PALETTE[1], lw=0.9)
            ax.scatter(points.confidence, points.frequency, s=70 * points["count"] / plot["count"].max() + 4, color=style.PALETTE[1])
            ax.set(title=name, xlabel="predicted P(OOD)", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
        axes[0].set_ylabel("share of OOD")
        return style.files(drawn)


def confidence(plot: pd.DataFrame, chosen: str, mid: dict[str, tuple[float, float]]) -> style.Drawn:
    """Histogram of the candidates' calibrated P(OOD) for each method; the chosen calibrator filled, the others as lines, bands shaded.

    Args:
        plot: reports/plots/confidence.csv.
        chosen: the calibrator that filters.
        mid: bounds of the mid band by method.
    """
    methods, colours = list(plot.method.unique()), style.colours(plot.calibrator.unique())
    rows, columns = -(-len(methods) // 3), min(len(methods), 3)
    with style.figure(rows, columns, 0.3 + 1.9 * rows) as (drawn, axes):
        for ax in axes[len(methods) :]:
            ax.axis("off")
        for ax, method in zip(axes, methods, strict=False):
            low, high = mid[method]
            for band, (start, end) in {"low": (0, low), "mid": (low, high), "high": (high, 1)}.items():
                ax.axvspan(start, end, color=style.BANDS[band], alpha=0.13, lw=0)
                ax.text(
                    (start + end) / 2, 0.97, band, transform=ax.get_xaxis_transform(), ha="center", va="top", color="#555555", fontsize=7
                )
            for name, curve in plot[plot.method == method].groupby("calibrator", sort=False):
                if name == chosen:
                    ax.bar(curve.confidence, curve["count"], width=0.045, color="#444444", label=f"{name} (filters)")
                else:
                    ax.step(curve.confidence, curve["count"], where="mid", lw=1, color=colours[name], label=name)
            ax.set(title=method, xlabel="calibrated P(OOD)", xlim=(0, 1), ylabel="candidates")
            ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return style.files(drawn)


def distances(table: pd.DataFrame) -> style.Drawn:
    """Feature distance of candidates from their source image by band, mean and standard deviation of the random draw."""
    table = table[table.drawn == "random"]
    methods = list(table.method.unique())
    colours, step = style.colours(["", *methods]), min(0.14, 0.8 / len(methods))
    with style.figure(1, len(DISTANCES), 2.4) as (drawn, axes):
        for ax, (name, label) in zip(axes, DISTANCES.items(), strict=True):
            for method, rows in table[table.distance == name].groupby("method", sort=False):
                rows = rows[rows["count"] > 0]
                shift = step * (methods.index(method) - (len(methods) - 1) / 2)
                where = [list(style.BANDS).index(band) + shift for band in rows.band]
                ax.errorbar(
                    where, rows["mean"], yerr=rows["std"].fillna(0), fmt="o", ms=4.5, capsize=2, color=colours[method], label=method
                )
            ax.set_xticks(range(3), style.BANDS)
            ax.set(title=label, xlim=(-0.5, 2.5), ylim=(0, None))
        axes[0].set_ylabel("distance in feature space")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return style.files(drawn)


def shift(plot: pd.DataFrame) -> style.Drawn:
    """Mean calibrated P(OOD) of shifted ID test images by strength, a panel for each detector, the first one dotted in all others.

    Strength 0 is unshifted. A set from elsewhere has one strength, which makes no curve: its numbers are in tables/shift.csv.
    """
    several = plot.groupby("kind").strength.transform("nunique") > 2
    plot = plot[several] if several.any() else plot
    colours = dict(zip(plot.kind.unique(), style.PALETTE[1:], strict=False))
    with _each(plot.detector.unique()) as (axes, first):
        for detector, ax in axes.items():
            for kind, curves in plot.groupby("kind", sort=False):
                for name, stroke in _beside(first, detector):
                    curve, label = curves[curves.detector == name], _label(kind, name, first, detector)
                    ax.plot(curve.strength, curve.confidence_mean, color=colours[kind], label=label, **stroke)
            ax.set(xlabel="strength", ylabel="mean P(OOD)", ylim=(0, 1), xticks=range(0, int(plot.strength.max()) + 1, 2))
        return _finished(axes)


@contextmanager
def _each(detectors: Sequence[str]) -> Iterator[tuple[dict[str, Axes], str]]:
    """A panel for each detector, by name, and the first of them."""
    rows, columns = -(-len(detectors) // ACROSS), min(len(detectors), ACROSS)
    with style.figure(rows, columns, 0.6 + 1.5 * rows, sharey=True) as (_, axes):
        for ax in axes[len(detectors) :]:
            ax.axis("off")
        yield dict(zip(detectors, axes, strict=False)), detectors[0]


def _beside(first: str, detector: str) -> list[tuple[str, dict]]:
    """The detectors that a panel shows, with the strokes of their lines."""
    return [(first, {"ls": ":", "lw": 1}), (detector, {})][detector == first :]


def _label(what: str, name: str, first: str, detector: str) -> str:
    """What a line stands for in the legend: there the first detector is named."""
    return f"{what}, {first}" if name == first and detector != first else what


def _finished(axes: dict[str, Axes]) -> style.Drawn:
    """Titles, labels of y at the left alone, and the legend, from the last panel."""
    for place, (detector, ax) in enumerate(axes.items()):
        ax.set_title(detector)
        if place % ACROSS:
            ax.set_ylabel("")
    drawn = ax.figure
    handles, labels = ax.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4)
    return style.files(drawn)
