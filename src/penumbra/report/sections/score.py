"""The scores."""

import pandas as pd

from penumbra.report import unified
from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, count, once, percent
from penumbra.report.words import headline_score


def section(results: Results) -> Section:
    """The distribution of the headline score, and every other score."""
    table, more = results.tables["scores"], [*results.params.score.more, *results.params.rerun.scores]
    usual = table[~table.score.isin(more)]
    rows = [[detector] for detector in usual.detector.unique()]
    header = ["detector"]
    for group in ("near", "far"):
        for name in usual.score.unique():
            header.append(f"{group} {name}")
            part = usual[(usual.set == group) & (usual.score == name)].set_index("detector")
            for row in rows:
                row.append(percent(part.auroc_mean.get(row[0], float("nan"))))
    caption = (
        f"Distribution of the {headline_score(results)} of test images, all seeds together; one half percent is cut off on each side, "
        "and so are the tops of spikes. Grey fill: ID; further right: more OOD."
    )
    aurocs = (
        f"AUROC in percent by score, mean over seeds. k = {results.params.score.knn_k} for knn; "
        "confidence is P(OOD) by each detector's own calibration."
    )
    blocks = [
        Block(caption, figure="headline"),
        Block(aurocs, table=Table(header, rows)),
        *asked(table[table.score.isin(more)]),
        *sweeps(results.tables.get("sweeps")),
        *unified.histograms(results),
        *probe(results),
    ]
    return Section("score", "The scores", blocks)


def asked(table: pd.DataFrame) -> list[Block]:
    """Near and far AUROC by the scores of score.more and rerun.scores, a row for each of them: they may be many."""
    blocks = []
    for group in ("near", "far") if len(table) else ():
        part = table[table.set == group]
        wide = part.pivot(index="score", columns="detector", values="auroc_mean")
        wide = wide.loc[list(part.score.unique()), list(part.detector.unique())]
        rows = [[score, *(percent(value) for value in values)] for score, values in zip(wide.index, wide.to_numpy(), strict=True)]
        caption = f"AUROC in percent on {group} OOD by scores that are asked for, mean over seeds. A dash: it is of other detectors."
        blocks.append(Block(caption, table=Table(["score", *wide.columns], rows)))
    return blocks


def sweeps(table: pd.DataFrame | None) -> list[Block]:
    """Which values were taken of those that score.more lists.

    Args:
        table: reports/tables/sweeps.csv; None where nothing is swept.
    """
    if table is None:
        return []
    rows = []
    for (score, detector), part in table.groupby(["score", "detector"], sort=False):
        taken = part[part.taken]
        often = taken["values"].value_counts(sort=False)
        shown = often.index[0] if len(often) == 1 else "; ".join(f"{values} ({times}x)" for values, times in often.items())
        spread = part.groupby("seed").auroc.agg(["min", "max"])
        rows.append([score, detector, shown, count(len(part) // len(taken)), *(percent(spread[end].mean()) for end in ("min", "max"))])
    caption = (
        "Values that sweeps took, for each training seed by the AUROC of calibration OOD against ID validation images; in percent that of "
        "the worst and of the best combination, mean over seeds. No test image is looked at."
    )
    return [Block(caption, table=Table(["score", "detector", "taken", "tried", "worst", "best"], once(rows)))]


def probe(results: Results) -> list[Block]:
    """Whether detectors see the autoencoder."""
    table = results.tables["probe"]
    if table.empty:
        return []
    names = list(table.score.unique())
    rows = []
    for (detector, control), part in table.groupby(["detector", "control"], sort=False):
        by_score = part.set_index("score")
        cells = [percent(by_score.auroc_mean.get(name), by_score.auroc_std.get(name)) for name in names]
        first = part.iloc[0]
        rows.append([detector, control, *cells, percent(first.accuracy_mean, first.accuracy_std), count(first["count"])])
    caption = (
        "The shortcut probe: AUROC in percent between ID test images and their round trip through an autoencoder, unedited "
        "(reconstruction: of the text-to-image pipeline; repainting: of the in-painting pipeline, and JPEG). "
        "50: the detector does not see the autoencoder. Far above: it has learnt that what the autoencoder decodes is OOD, "
        "which tells synthetic outliers from ID images but no real OOD image from anything. "
        "A blurry autoencoder moves the probe too, so compare with the detector trained on ID images alone."
    )
    header = ["detector", "control", *names, "ID accuracy on round trips, %", "images"]
    return [Block(caption, table=Table(header, rows))]
