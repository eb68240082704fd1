"""The section about ablations: detectors that differ in one thing, beside the papers' numbers."""

from collections.abc import Iterator

import pandas as pd

from penumbra.report import style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, measures, number, percent

PAPER = {
    "paper_fpr95": "paper FPR95",
    "paper_auroc": "paper AUROC",
    "paper_near_auroc": "paper near AUROC",
    "paper_far_auroc": "paper far AUROC",
    "paper_id_acc": "paper ID accuracy",
}
LEAD = (
    "What each part is worth: detectors that differ in one thing, beside the numbers that the papers print for theirs (GOOD: ImageNet-100, "
    "SONA: ImageNet-200; the text of SynOOD prints none). In percent, mean ± sample standard deviation over training seeds. Distance: mean "
    "L2 distance of the outliers from their ID images. The score per-set looks at the whole test set and is told which images are OOD: no "
    "fair comparison."
)
CAPTION = "Mean and standard deviation over seeds. Dashed: variants without a number."


def family_table(rows: pd.DataFrame) -> Table:
    """Every variant, with the columns that some variant has a number for."""
    index = ["variant", "score"] if rows.score.nunique() > 1 else ["variant"]
    ours = measures(rows, index, HEADLINE)
    header, cells = list(ours.header), [list(row) for row in ours.rows]
    if rows.distance_mean.notna().any():
        header.append("distance")
        for row, mean, std in zip(cells, rows.distance_mean, rows.distance_std, strict=True):
            row.append(number(mean, 2) if pd.isna(mean) else f"{mean:.2f} ± {std:.2f}")
    for name, label in PAPER.items():
        if rows[name].notna().any():
            header.append(label)
            for row, value in zip(cells, rows[name], strict=True):
                row.append(percent(value))
    return Table(header, cells, ours.best)


def curves(rows: pd.DataFrame) -> style.Drawn:
    """AUROC on near and far OOD, and the outliers' distance, or the ID accuracy where that is the same for all, against the labels' number.

    Args:
        rows: of one family, with at least one `value`; a line for each curve and score, a dashed one for a variant without a number.
    """
    far_out = rows.distance_mean.nunique() > 1
    panels = {"near_auroc": "near AUROC, %", "far_auroc": "far AUROC, %"}
    panels |= {"distance": "feature distance"} if far_out else {"id_acc": "ID accuracy, %"}
    rows = rows.assign(line=[f"{row.curve} {row.score if rows.score.nunique() > 1 else ''}".strip() for row in rows.itertuples()])
    numeric, names = rows[rows.value.notna()], list(dict.fromkeys(rows.line))
    colours = style.colours(["", *dict.fromkeys(map(_family_of, names))])
    with style.figure(1, len(panels), 2.5) as (drawn, axes):
        for ax, (name, label) in zip(axes, panels.items(), strict=True):
            unit = 1 if name == "distance" else 100
            for line, part in rows.groupby("line", sort=False):
                mean, std = unit * part[f"{name}_mean"], unit * part[f"{name}_std"].fillna(0)
                if part.value.notna().all():
                    part = part.sort_values("value")
                    mean, std = mean[part.index], std[part.index]
                    ax.errorbar(part.value, mean, yerr=std, marker="o", ms=3.5, capsize=2, color=colours[_family_of(line)], label=line)
                else:
                    ax.axhline(mean.iloc[0], ls="--", lw=1, color=colours[_family_of(line)], label=line)
            ax.set(xlabel="", title=label)
            values = sorted(numeric.value.unique())
            ax.set_xticks(values, [f"{value:g}" for value in values])
            ax.ticklabel_format(axis="y", useOffset=False)
        if names != [""]:
            drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return style.files(drawn)


def _family_of(line: str) -> str:
    """What a curve and a variant without a number have in common: "SONA" and "SONA, random"."""
    return line.partition(",")[0]


def figures(table: pd.DataFrame) -> dict[str, style.Drawn]:
    """A figure for each family with a label that holds a number, by its name in the report."""
    drawn = {}
    for name, rows in _families(table):
        if rows.value.notna().any():
            drawn[f"ablation-{name}"] = curves(rows)
    return drawn


def section(results: Results) -> list[Section]:
    """The section; none where the experiment compares no families of detectors."""
    if "ablations" not in results.tables:
        return []
    blocks = [Block(text=LEAD)]
    for name, rows in _families(results.tables["ablations"]):
        family = results.params.benchmark.ablations[name]
        blocks.append(Block(f"{family.title} ({family.source}).", table=family_table(rows)))
        if f"ablation-{name}" in results.figures:
            blocks.append(Block(f"{family.title}. {CAPTION}", figure=f"ablation-{name}"))
    return [Section("ablations", "The ablations", blocks)]


def _families(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    filled = table.assign(curve=table.curve.astype(object).fillna(""))
    for name, rows in filled.groupby("family", sort=False):
        yield name, rows.reset_index(drop=True)
