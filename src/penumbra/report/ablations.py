"""report@ablations: the tables and curves of benchmark@ablations as one page, reports/ablations.html."""

from dataclasses import dataclass

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.report import style
from penumbra.report.format import Table, measures, number, percent
from penumbra.report.page import environment
from penumbra.stage import Stage

COLUMNS = {
    "near_fpr95_id_tpr": ("near FPR95 ↓", False),
    "near_auroc": ("near AUROC ↑", True),
    "far_fpr95_id_tpr": ("far FPR95 ↓", False),
    "far_auroc": ("far AUROC ↑", True),
    "id_acc": ("ID accuracy ↑", True),
}
PAPER = {
    "paper_fpr95": "paper FPR95",
    "paper_auroc": "paper AUROC",
    "paper_near_auroc": "paper near AUROC",
    "paper_far_auroc": "paper far AUROC",
    "paper_id_acc": "paper ID accuracy",
}
CAPTION = "Mean and standard deviation over seeds. Dashed: variants without a number."


@dataclass(frozen=True)
class Family:
    """One ablation on the page; `figure` is SVG, None where no label holds a number."""

    name: str
    title: str
    source: str
    table: Table
    figure: bytes | None
    caption: str


def family_table(rows: pd.DataFrame) -> Table:
    """Every variant, with the columns that some variant has a number for."""
    index = ["variant", "score"] if rows.score.nunique() > 1 else ["variant"]
    ours = measures(rows, index, COLUMNS)
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


def curves(rows: pd.DataFrame) -> bytes:
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
        return style.svg(drawn)


def _family_of(line: str) -> str:
    """What a curve and a variant without a number have in common: "SONA" and "SONA, random"."""
    return line.partition(",")[0]


def main(stage: Stage) -> None:
    """Write reports/ablations.html and reports/figures-ablations/*.svg."""
    table = pd.read_csv(stage.read("tables/ablations"), keep_default_na=False, na_values=[""]).assign(
        curve=lambda frame: frame.curve.fillna("")
    )
    families = []
    for name, rows in table.groupby("family", sort=False):
        section = stage.params.benchmark.ablations[name]
        figure = curves(rows.reset_index(drop=True)) if rows.value.notna().any() else None
        families.append(Family(name, section.title, section.source, family_table(rows.reset_index(drop=True)), figure, CAPTION))
    with replace(stage.write("figures-ablations")) as temporary:
        temporary.mkdir()
        for family in families:
            if family.figure:
                (temporary / f"{family.name}.svg").write_bytes(family.figure)
    page = environment().get_template("ablations.html").render(families=families)
    with replace(stage.write("ablations")) as temporary:
        temporary.write_text(page, encoding="utf-8")
    stage.finish()
