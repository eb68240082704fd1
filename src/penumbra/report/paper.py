"""Tables for papers: Markdown, and LaTeX with the rules of booktabs.

Of this run in percent, mean ± sample standard deviation over training seeds; of the study with 95% intervals.
"""

from pathlib import Path

import pandas as pd

from penumbra.report import study
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Frames
from penumbra.report.format import MISSING, Table, measures, once
from penumbra.report.sections.benchmark import claims

SCORES = {name: column for name, column in HEADLINE.items() if name != "id_acc"}
SIGNS = str.maketrans({"<": "$<$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "±": r"$\pm$", "−": "$-$", MISSING: "--"})
LONG = 30  # letters from which on a column of LaTeX breaks its lines


def tables(frames: Frames, studied: Frames) -> dict[str, Table]:
    """The tables by name; none of claims where the experiment can test none, none of the study where there is none of this data.

    Args:
        frames: detectors, scores and claims of reports/tables.
        studied: detectors and claims of the study.
    """
    made = {"headline": headline(frames["detectors"]), "scores": scores(frames["scores"])}
    made |= {"claims": claims(frames["claims"], frames["detectors"])} if len(frames["claims"]) else {}
    if not studied:
        return made
    made |= {"study-detectors": study.detectors(studied, HEADLINE), "study-effects": study.effects(studied["claims"])}
    return made | {"study-claims": study.comparisons(studied["claims"], frames["claims"])}


def headline(detectors: pd.DataFrame) -> Table:
    """A row for each detector. A headline score that is not the first detector's is named beside its detector.

    Args:
        detectors: reports/tables/detectors.csv.
    """
    usual = detectors.score.iloc[0]
    names = [row.detector if row.score == usual else f"{row.detector} ({row.score})" for row in detectors.itertuples()]
    return measures(detectors.assign(detector=names), ["detector"], HEADLINE)


def scores(table: pd.DataFrame) -> Table:
    """A row for each detector and score: means over the near and over the far sets.

    Args:
        table: reports/tables/scores.csv.
    """
    means = table[table.set == table.group]
    columns = [f"{metric}_{moment}" for metric in ("fpr95_id_tpr", "auroc") for moment in ("mean", "std")]
    keys = ["detector", "score"]
    wide = means[keys].drop_duplicates()
    for group in ("near", "far"):
        of_group = means.loc[means.group == group, [*keys, *columns]]
        wide = wide.merge(of_group.rename(columns={name: f"{group}_{name}" for name in columns}), on=keys, how="left")
    made = measures(wide, keys, SCORES)
    return Table(made.header, once(made.rows), made.best)


def markdown(table: Table) -> str:
    """The table in Markdown, the best of a column in bold."""
    rules = ["---:" if numeric else "---" for numeric in _numeric(table)]
    rows = [
        [f"**{cell}**" if (number, column) in table.best else cell for column, cell in enumerate(row)]
        for number, row in enumerate(table.rows)
    ]
    lines = [table.header, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    first, *others = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([first, f"|{'|'.join(rules)}|", *others])


def latex(table: Table) -> str:
    r"""The table as tabular with \toprule, \midrule and \bottomrule (of the package booktabs), the best of a column in bold."""
    frame = pd.DataFrame(table.rows, columns=table.header)
    bold = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for row, column in table.best:
        bold.iloc[row, column] = "textbf:--rwrap;"
    widest = [max(map(len, column)) for column in zip(*table.rows, strict=True)]
    columns = [
        "r" if numeric else r"p{0.3\linewidth}" if wide > LONG else "l" for numeric, wide in zip(_numeric(table), widest, strict=True)
    ]
    style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    return style.apply(lambda _: bold, axis=None).to_latex(hrules=True, column_format="".join(columns)).translate(SIGNS)


def _numeric(table: Table) -> list[bool]:
    """Of each column, whether it holds numbers alone."""
    return [all(cell == MISSING or cell.lstrip("-")[:1].isdigit() for cell in column) for column in zip(*table.rows, strict=True)]


def write(folder: Path, frames: Frames, studied: Frames) -> None:
    """NAME.md and NAME.tex for each of `tables`."""
    for name, table in tables(frames, studied).items():
        (folder / f"{name}.md").write_text(markdown(table) + "\n", encoding="utf-8")
        (folder / f"{name}.tex").write_text(latex(table), encoding="utf-8")
