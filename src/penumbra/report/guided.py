"""GOOD's appendix, where an overlay asks for it: histograms by strength (Fig. 7) and by gamma (Fig. 10), a map of features (Fig. 9 b)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from penumbra.benchmark.guided import ID, apart
from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, drawn
from penumbra.stage import Params

AXES = {"energy": "energy", "knn": "distance to the k-th neighbour"}
LANE = 0.85  # inches that a row of panels is high
ACROSS = 4  # panels beside one another, of strengths that go together
LABELLED = 10  # ID classes that are named in a map, at most
WAYS = {"not guided": "#009e73", "into ID": "#0072b2", "out of ID": "#d55e00"}  # the colours of Fig. 9 b


def figures(plots: Frames, params: Params) -> dict[str, style.Drawn]:
    """What the benchmark has made plots for, by the names of the figures in the report."""
    made = {name: strengths(part, AXES[part.measure.iloc[0]]) for name, part in _histograms(plots).items()}
    if "guided-gammas" in plots:
        made["gammas"] = gammas(plots["guided-gammas"])
    if "guided-features" in plots:
        table = plots["guided-features"]
        made["features"] = features(table, {name: way(params.synthesize[name]) for name in table.method.unique() if name != ID})
    return made


def _histograms(plots: Frames) -> Frames:
    """The rows of each figure of histograms by strength, by its name."""
    plot = plots.get("guided-strengths")
    parts = [] if plot is None else plot.groupby(["method", "guidance", "measure"], sort=False)
    return {f"{'-'.join(key)}-histograms": part for key, part in parts}


def blocks(results: Results) -> list[Block]:
    """The figures with their captions, as far as there are any."""
    shown = []
    for name, part in _histograms(results.plots).items():
        first = part.iloc[0]
        shown += drawn(
            results,
            name,
            f"{first.method}: {AXES[first.measure]} at each strength of {first.guidance} guidance (GOOD, Fig. 7), coloured by rho; grey: "
            "ID training images, the same in every panel. All panels have one scale; further right: more OOD.",
        )
    shown += drawn(
        results, "gammas", "Energy by gamma, the width of the smoothing, at one rho and mu (GOOD, Fig. 10); grey: ID training images."
    )
    return shown + drawn(
        results,
        "features",
        "Map of what the classifier sees (t-SNE of its features; GOOD, Fig. 9 b): ID training images, whose classes have numbers, and "
        "samples that start from equal noise. Neighbours in the map are neighbours in the features; longer distances mean little. One "
        "machine draws the same map again; another may draw another.",
    )


def way(section: Params) -> str:
    """Where the guidances of a variant lead: a key of WAYS."""
    used = [each for each in section.guidances.values() if each.per_class and any([*each.rho, *each.mu])]
    if not used:
        return "not guided"
    return "into ID" if all(each.energy < 0 for each in used) else "out of ID"


def strengths(plot: pd.DataFrame, label: str) -> style.Drawn:
    """A histogram for each strength beside that of ID images: rho to the right and mu down, or one after another where they go together.

    Args:
        plot: plots/guided-strengths.csv, of one method, guidance and measure.
        label: of the measure.
    """
    of_id, guided = plot[plot.rho.isna()], plot.dropna(subset="rho")
    cells, two_ways = dict(list(guided.groupby(["rho", "mu"]))), apart(guided)
    rhos, mus = (sorted({pair[place] for pair in cells}) for place in (0, 1))
    grid, pairs = [[(rho, mu) for rho in rhos] for mu in mus], list(cells)
    grid = grid if two_ways else [pairs[start : start + ACROSS] for start in range(0, len(pairs), ACROSS)]
    columns = max(map(len, grid))
    colours = dict(zip(rhos, style.ramp(len(rhos)), strict=True))
    with style.figure(len(grid), columns, 0.45 + LANE * len(grid), sharex=True, sharey=True) as (figure, axes):
        for place, ax in enumerate(axes):
            row, column = divmod(place, columns)
            strength = grid[row][column] if column < len(grid[row]) else None
            if strength not in cells:
                ax.axis("off")
                continue
            _filled(ax, of_id.value, of_id.density, style.GROUPS["id"])
            _filled(ax, cells[strength].value, cells[strength].density, colours[strength[0]])
            ax.set_yticks([])
            if not two_ways:
                ax.set_title(_named(*strength))
                ax.tick_params(axis="x", labelbottom=place + columns >= len(cells))
            elif row == 0:
                ax.set_title(f"rho {strength[0]:g}")
            if two_ways and column == 0:
                ax.set_ylabel(f"mu {strength[1]:g}")
        axes[0].set_ylim(0, 1.05 * plot.density.max())  # of all of them
        figure.supxlabel(label, fontsize=8)
        return style.files(figure)


def _named(rho: float, mu: float) -> str:
    return f"rho = mu = {rho:g}" if rho == mu else f"rho {rho:g}, mu {mu:g}"


def _filled(ax: Axes, values: pd.Series, density: pd.Series, colour: object, name: str | None = None) -> None:
    """A histogram by the centres of its bins, which are alike."""
    ax.stairs(density, _edges(values), fill=True, color=colour, alpha=0.35, lw=0)
    ax.stairs(density, _edges(values), color=colour, lw=0.9, label=name)


def _edges(centres: pd.Series) -> list[float]:
    half = (centres.max() - centres.min()) / (2 * max(len(centres) - 1, 1))
    return [*(centres - half), centres.max() + half]


def gammas(plot: pd.DataFrame) -> style.Drawn:
    """Histograms of the energy, a line for each gamma, and ID images filled; a panel for each guidance.

    Args:
        plot: plots/guided-gammas.csv.
    """
    guidances = list(plot.guidance.unique())
    with style.figure(1, len(guidances), 2.4) as (figure, axes):
        for ax, guidance in zip(axes, guidances, strict=True):
            part = plot[plot.guidance == guidance]
            of_id, curves = part[part.gamma.isna()], part.dropna(subset="gamma").groupby("gamma")
            _filled(ax, of_id.energy, of_id.density, style.GROUPS["id"], ID)
            for (gamma, curve), colour in zip(curves, style.ramp(curves.ngroups), strict=True):
                ax.stairs(curve.density, _edges(curve.energy), color=colour, lw=1.1, label=f"gamma {gamma:g}")
            ax.set(title=f"{guidance} guidance", xlabel="energy under the classifier", ylabel="density", ylim=(0, None))
        axes[-1].legend()
        return style.files(figure)


def features(plot: pd.DataFrame, ways: Mapping[str, str]) -> style.Drawn:
    """The map: ID images in grey, the samples of each variant in the colour of its way.

    Args:
        plot: plots/guided-features.csv.
        ways: where each variant was led, keys of WAYS.
    """
    of_id = plot[plot.method == ID]
    with style.figure(1, 1, 4.2) as (figure, (ax,)):
        ax.scatter(of_id.x, of_id.y, s=7, color=style.GROUPS["id"], alpha=0.5, lw=0, label=ID)
        for name, part in plot[plot.method != ID].groupby("method", sort=False):
            ax.scatter(part.x, part.y, s=9, color=WAYS[ways[name]], alpha=0.75, lw=0, label=f"{ways[name]} ({name})")
        classes = of_id.groupby("label")[["x", "y"]].median()
        if len(classes) <= LABELLED:
            for label, (x, y) in zip(classes.index, classes.to_numpy(), strict=True):
                ax.text(
                    x, y, label, ha="center", va="center", fontweight="bold", bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}
                )
        ax.set(xticks=[], yticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=4)
        return style.files(figure)
