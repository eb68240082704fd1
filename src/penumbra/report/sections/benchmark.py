"""What the detectors are worth: the section of the results."""

import pandas as pd

from penumbra.report import grid, others, unified
from penumbra.report.columns import METRICS
from penumbra.report.content import Block, Results, Section
from penumbra.report.format import MISSING, Table, count, measures, once, percent, plain
from penumbra.report.own import blocks
from penumbra.report.words import described, sides

STRONGEST = {  # kind of shift -> its greatest strength in words
    "rotation": "{:g} degrees",
    "blur": "by {:g} of the side",
    "contrast": "{:g} of it lost",
    "noise": "{:g} of the range",
}


def section(results: Results) -> Section:
    """The results: bands, test sets, ROC, covariate shift, claims."""
    params = results.params
    seeds, shift = len(params.train.seeds), params.prepare.shift
    strongest = ", ".join(f"{kind} {STRONGEST[kind].format(amount)}" for kind, amount in shift.kinds.items())
    how = described(results)
    shown = [
        Block(
            f"FPR95 and AUROC by detector: {how}; near and far are means over their test sets; error bars end at 0 and 100.", figure="bands"
        ),
        *blocks(results, "benchmark"),
        Block(
            "ROC curves, averaged over seeds and test sets, the share of ID rejected on a logarithmic axis; dotted in every panel: the "
            "first detector. Grey lines: 95% of OOD caught (OpenOOD's FPR95), 5% of ID rejected (the papers').",
            figure="roc",
        ),
        Block(
            f"Every test set: {how}. Two conventions of FPR95 under two names; AUPR is average precision.",
            table=_sets(results),
            name="sets",
        ),
        *others.blocks(results),
        *unified.blocks(results),
        Block(
            f"Mean P(OOD) of shifted ID test images over {seeds} training seeds, by each detector's own calibration; strength 0 is "
            f"unshifted, {shift.strengths} is {strongest}. Dotted in every panel: the first detector.",
            figure="shift",
        ),
        *_elsewhere(results),
        *_spectrum(results),
        *grid.blocks(results),
        *_claims(results.tables["claims"], results.tables["detectors"]),
    ]
    return Section("benchmark", "The results", shown)


def _elsewhere(results: Results) -> list[Block]:
    """ID classes from elsewhere: whether they are still told apart, and still taken for ID."""
    table = results.tables["shift"]
    table = table[table.kind.isin(list(results.params.prepare.shift.sets))]
    if table.empty:
        return []
    rows = [
        [row.kind, row.detector, percent(row.accuracy_mean, row.accuracy_std), percent(row.auroc_mean, row.auroc_std)]
        for row in table.sort_values("kind", kind="stable").itertuples()
    ]
    caption = (
        "ID classes from elsewhere, in percent: accuracy, and AUROC between them and ID test images. A detector of new classes alone "
        "would have 50; far above, it takes another scanner for another class."
    )
    return [Block(caption, table=Table(["set", "detector", "accuracy", "AUROC against ID"], once(rows)))]


def _sets(results: Results) -> Table:
    table = results.tables["scores"]
    chosen = results.tables["detectors"].set_index("detector").score
    table = pd.concat([table[table.score == table.detector.map(chosen)], *others.rows(results)])
    return _stacked(table[table.set != table.group], "set")


def _spectrum(results: Results) -> list[Block]:
    """The full spectrum; nothing where no ID class comes from elsewhere."""
    table = results.tables.get("spectrum")
    if table is None:
        return []
    table = table[table.set == table.group]
    caption = (
        f"Full spectrum: ID classes from elsewhere ({', '.join(results.params.prepare.shift.sets)}) count as ID, beside ID test images, "
        f"{described(results)}. Near and far are means over their test sets."
    )
    return [Block(caption, table=_stacked(table, "group"))]


def _stacked(table: pd.DataFrame, by: str) -> Table:
    """A table for each value of a column, one below the other, each with its own best."""
    parts = [measures(part, [by, "detector"], METRICS) for _, part in table.groupby(by, sort=False)]
    rows, best = [], set()
    for part in parts:
        best |= {(len(rows) + row, column) for row, column in part.best}
        rows += part.rows
    return Table(parts[0].header, once(rows), best)


def claims(table: pd.DataFrame, detectors: pd.DataFrame) -> Table:
    """Every comparison, with the paper's numbers and ours, and how many outliers the two detectors learnt from.

    Args:
        table: reports/tables/claims.csv.
        detectors: reports/tables/detectors.csv.
    """
    rows, compared, sizes = [], sides(), detectors.set_index("detector").outliers
    for row in table.to_dict("records"):
        share = percent if row["spread"] == "seeds" else plain
        digits = [share(row[name]) for name in ("paper_better", "paper_worse")]
        ours = [share(row[name], row[f"{name}_std"]) for name in ("better", "worse")]
        rows.append(
            [
                row["claim"],
                row["source"],
                row["measure"],
                " / ".join(digits) if pd.notna(row["paper_better"]) else MISSING,
                " / ".join(count(sizes.get(name)) for name in compared[row["claim"]][:2]) if row["claim"] in compared else MISSING,
                *ours,
                row["verdict"],
            ]
        )
    header = ["claim", "source", "measure", "in the paper", "outliers", "the one claimed better", "the other", "verdict"]
    return Table(header, once(rows))


def _claims(table: pd.DataFrame, detectors: pd.DataFrame) -> list[Block]:
    if table.empty:
        return []
    caption = (
        "Claims of the papers that this experiment can test, and questions of our own (no paper). The rule was fixed before the first "
        "run: a claim held if the one claimed better is better by more than the pooled spread s = √((s₁² + s₂²) / 2), is contradicted if "
        "it is worse by more than s, and is undecided in between. FPR95, AUROC and confidence, the mean P(OOD), are in percent, "
        "± the sample standard deviation over training seeds; distances, energies and shares are ± the standard error. "
        "Where a measure has no spread, the sign decides. Outliers: from how many each of the two detectors learnt. "
        "First the claims about training: what detectors learn from which outliers."
    )
    return [Block(caption, table=claims(table, detectors), name="claims")]
