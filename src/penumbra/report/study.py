"""What a study of several generator seeds says, beside this run: its table, its claims, and their figure."""

from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.benchmark import claims
from penumbra.benchmark.intervals import UNDECIDED, VERDICTS
from penumbra.dataset import data_set
from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, Section, read_csv
from penumbra.report.format import MISSING, Table, number, once
from penumbra.report.words import sides
from penumbra.stage import Stage

FOLDER = "benchmarks/study"
SUBJECTS = {"training": "what detectors learn from which outliers", "other": "scores, calibrators and candidates themselves"}
TRAINING = "training"
MEASURES = ("AUROC near", "FPR95 near", "AUROC far", "FPR95 far")
SHIFTS = {"near": -0.14, "far": 0.14}
FAMILY = "the same paper, or of a question that no paper asks"  # what Holm's correction counts together
TICKS = (-10, -1, 0, 1, 10)


def read(stage: Stage, tested: pd.DataFrame) -> Frames:
    """The tables of the study, as far as they are about this experiment; none where it is of other data or other methods.

    Args:
        tested: claims.csv of this run.
    """
    folder: Path = stage.read(FOLDER)
    tables = {path.stem: read_csv(path) for path in sorted(folder.glob("*.csv"))}
    if "claims" not in tables or set(tables["runs"].data) != {data_set(stage.params.prepare.id)}:
        return {}
    names = set(stage.params.train.detectors)
    about = {text: compared for text, compared in sides().items() if compared[0] in names}
    shown = names.union(*(compared[:2] for compared in about.values()))  # with the controls of what the experiment has
    table, rows = tables["claims"], tables["detectors"]
    table = table[table.claim.isin([*about, *tested.claim])]
    return tables | {"claims": table, "detectors": rows[rows.detector.isin(shown)]} if (table.about == TRAINING).any() else {}


def tallies(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many comparisons have each verdict, by what they are about."""
    counts = {subject: rows.verdict.value_counts() for subject, rows in table.groupby("about", sort=False)}
    return {SUBJECTS[subject]: {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS} for subject, found in counts.items()}


def detectors(study: Frames, columns: dict[str, tuple[str, bool]]) -> Table:
    """Every detector of the study, each number with its interval, in percent."""
    table = study["detectors"]
    rows = [
        [row["detector"], row["score"], *(interval(*(100 * row[f"{name}{end}"] for end in ("", "_low", "_high")), 1) for name in columns)]
        for row in table.to_dict("records")
    ]
    best = set()
    for place, (name, (_, higher)) in enumerate(columns.items()):
        means = table[name].round(3)
        best |= {(row, 2 + place) for row in np.flatnonzero(means == (means.max() if higher else means.min()))}
    return Table(["detector", "score", *(heading for heading, _ in columns.values())], rows, best)


def effects(table: pd.DataFrame) -> Table:
    """A row for each claim about training: its effects in percentage points with their intervals, decided ones in bold.

    Args:
        table: claims.csv of the study.
    """
    table = table[table.about == TRAINING]
    compared = sides()
    cells = table.set_index(["claim", "measure"])
    rows, best = [], set()
    for text in table.claim.unique():
        rows.append([*compared.get(text, (text, MISSING, MISSING))])
        for measure in MEASURES:
            found = cells.loc[(text, measure)] if (text, measure) in cells.index else None
            rows[-1].append(MISSING if found is None else _points(found))
            if found is not None and found.verdict != UNDECIDED:
                best.add((len(rows) - 1, len(rows[-1]) - 1))
    return Table(["trained on", "against", "score", *MEASURES], rows, best)


def _points(row: pd.Series) -> str:
    return interval(*(100 * row[name] for name in ("difference", "low", "high")), 1)


def interval(value: float, low: float, high: float, digits: int) -> str:
    """A number and its interval; the number alone where it has none."""
    return number(value, digits) if pd.isna(low) else f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def figure(table: pd.DataFrame) -> style.Drawn:
    """Effects of the claims about training, with intervals and the papers' effects, in percentage points; more is better.

    Args:
        table: claims.csv of the study.
    """
    table = table[table.about == TRAINING]
    labels = {text: f"{better}\nover {worse}, {score}" for text, (better, worse, score) in sides().items()}
    rows = list(table.claim.unique())
    with style.figure(1, 2, 0.9 + 0.42 * len(rows), sharey=True) as (drawn, axes):
        for ax, metric in zip(axes, ("FPR95", "AUROC"), strict=True):
            for group, shift in SHIFTS.items():
                found = table[table.measure == f"{metric} {group}"]
                places = found.claim.map(rows.index) + shift
                bars = 100 * np.array([found.difference - found.low, found.high - found.difference])
                style_of = {"color": style.GROUPS[group], "ms": 4}
                ax.errorbar(100 * found.difference, places, xerr=bars, fmt="o", capsize=2, label=f"{group} OOD", **style_of)
                ax.plot(100 * found.paper, places, "D", mfc="none", label=f"{group} OOD in the paper", **style_of)
            ax.axvline(0, color="black", lw=0.8)
            ax.set_xscale("symlog", linthresh=1)
            ax.set_xticks(TICKS, [f"{tick:+d}" if tick else "0" for tick in TICKS])
            ax.minorticks_off()
            ax.set(title=metric, xlabel="percentage points better")
            ax.grid(axis="y", visible=False)
        axes[0].set_yticks(range(len(rows)), [labels.get(row, row) for row in rows])
        axes[0].invert_yaxis()
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return style.files(drawn)


def sizes(study: Frames) -> str:
    """How large the study is, in words."""
    table = study["claims"]
    return f"{table.generator_seeds.max()} generator seeds with {table.training_seeds.max()} training seeds each"


def sections(results: Results) -> list[Section]:
    """The study's section: none where there is no study of this data."""
    if not results.study:
        return []
    caption = (
        f"Every claim, over {sizes(results.study)}. An effect is how much better the thing claimed better is, in percentage points where "
        "its measure is a share. Interval: Student's, of the means of the generator seeds. Held: it lies above 0. Contradicted: below. "
        "Undecided: it holds 0; an effect as large as the column `detectable` would have been seen four times in five. Holm: corrected "
        f"for all comparisons of {FAMILY}."
    )
    drawn = (
        "Effects of the claims about training, ● with 95% intervals, and ◇ what the papers print on their data; to the right is better. "
        "The axis is linear up to one point, logarithmic beyond."
    )
    table = comparisons(results.study["claims"], results.tables["claims"])
    shown = [Block(drawn, figure="study"), Block(caption, table=table, name="study-claims")]
    return [Section("study", "What holds for other seeds", shown)]


def comparisons(table: pd.DataFrame, tested: pd.DataFrame) -> Table:
    """Every comparison of the study, beside what one run and the papers have.

    Args:
        table: claims.csv of the study.
        tested: claims.csv of the run.
    """
    own, rows = tested.set_index(["claim", "measure"]).difference, []
    for row in table.to_dict("records"):
        scale, digits = (100, 1) if row["measure"].partition(" ")[0] in claims.METRICS else (1, 3)
        here = own.get((row["claim"], row["measure"]), np.nan)
        effect = interval(*(scale * row[name] for name in ("difference", "low", "high")), digits)
        others = [number(scale * value, digits) for value in (row["paper"], here, row["detectable"])]
        rows.append([row["claim"], row["source"], row["measure"], others[0], effect, others[1], _p(row["p"]), _p(row["p_holm"]), others[2]])
        rows[-1].append(row["verdict"])
    header = ["claim", "source", "measure", "paper", "effect [95% interval]", "this run", "p", "p, Holm", "detectable", "verdict"]
    return Table(header, once(rows))


def _p(value: float) -> str:
    if pd.isna(value):
        return MISSING
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
