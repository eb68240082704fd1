"""CLIP: negative labels, zero-shot and tuned detectors, what they cost, and what CLIP sees in candidates."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from penumbra.artifacts.negatives import Negative, read_negative_labels
from penumbra.benchmark import papers
from penumbra.report import recognised, style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Block, Frames, Results, drawn, read_csv
from penumbra.report.format import MISSING, Table, count, measures, number, once, percent
from penumbra.report.mosaic import SHOWN
from penumbra.stage import Stage

ROWS = 10  # of long lists
TYPES = {"own": "own class (I)", "other": "something else (II)", "nothing": "nothing (III)"}
ZERO_SHOT = {name: column for name, column in HEADLINE.items() if name != "id_acc"}
SCORES = {"mcm": "MCM: ID labels alone", "neglabel": "NegLabel: with negative labels"}
COLOURS = {"own": "#6b6b6b", "other": "#e69f00", "nothing": "#0072b2"}
MARKERS = {"all": ("all candidates", "o", "#000000"), "mid": ("mid band", "D", style.BANDS["mid"])}  # before filtering, after it


@dataclass(frozen=True)
class Own:
    """The mined negative labels, in their order (none where none are mined), and benchmarks/clip_cost.csv."""

    negatives: list[Negative]
    cost: pd.DataFrame


def read(stage: Stage) -> Own:
    """What CLIP alone has."""
    mined = "negatives" in stage.params.extract
    negatives = read_negative_labels(stage.read("features") / "negatives.safetensors") if mined else []
    return Own(negatives, read_csv(stage.read("benchmarks/clip_cost")))


def figures(stage: Stage, tables: Frames, plots: Frames, candidates: Frames) -> dict[str, style.Drawn]:
    """The three types of outliers, and single candidates of each."""
    if not len(tables["types"]):
        return {}
    found = recognised.recognised(stage)
    shown = {"types-candidates": recognised.figure(found, TYPES, COLOURS)} if found else {}
    return {"types": types(tables["types"], tables["diversity"])} | shown


def blocks(results: Results) -> list[Block]:
    """Labels, detectors, cost, and what CLIP sees."""
    own = results.own["clip"]
    return [*_labels(own.negatives, results), *_detectors(results), *_cost(own.cost), *_types(results)]


def _labels(negatives: list[Negative], results: Results) -> list[Block]:
    """Mined negative labels: the first of each kind."""
    if not negatives:
        return []
    setting = results.params.extract.negatives
    prompts = {"noun": setting.noun_prompt, "adjective": setting.adjective_prompt}
    kinds = pd.Series([row.kind for row in negatives]).value_counts(sort=False)
    rows = []
    for kind in kinds.index:
        of_kind = [row for row in negatives if row.kind == kind]
        rows += [[row.word, kind, number(row.closeness)] for row in of_kind[: ROWS if len(kinds) == 1 else ROWS // 2]]
    found = " and ".join(f"{count(total)} {kind}s in “{prompts[kind]}”" for kind, total in kinds.items())
    caption = (
        f"Mined negative labels: {found}, the share {setting.share:g} of the vocabulary that is farthest from the ID labels. "
        "The first of each kind, as they stand in its prompt, "
        f"articles and all; closeness is the {setting.quantile:g} quantile of a label's cosines to the ID labels."
    )
    return [Block(caption, table=Table(["label", "kind", "closeness"], rows))]


def _detectors(results: Results) -> list[Block]:
    """Zero-shot CLIP by MCM and by NegLabel, and what SynOOD makes of it."""
    table = results.tables["scores"]
    recipes = {name: results.params.train.recipes[each.recipe] for name, each in results.params.train.detectors.items()}
    names = [name for name, recipe in recipes.items() if recipe.detector == "clip"]
    if not names:
        return []
    rows = []
    for name in names:
        for score, label in SCORES.items():
            part = table[(table.detector == name) & (table.score == score)].set_index("set")
            row = {"detector": name if recipes[name].trains else f"{name} (zero-shot)", "score": label}
            for column in ZERO_SHOT:
                group, metric = column.split("_", 1)
                row |= {f"{column}_{moment}": part[f"{metric}_{moment}"].get(group, float("nan")) for moment in ("mean", "std")}
            rows.append(row)
    caption = (
        f"CLIP detectors: in percent, mean ± sample standard deviation over {len(results.params.train.seeds)} training seeds, "
        "over which the grouping of negative labels varies too. A trained layer is behind both scores, tuned labels are in "
        "NegLabel's alone. Bold: the best mean of its column, whatever the spread."
    )
    return [Block(caption, table=measures(pd.DataFrame(rows), ["detector", "score"], ZERO_SHOT))]


def _cost(cost: pd.DataFrame) -> list[Block]:
    """What SynOOD adds to CLIP."""
    rows, paper = [], papers.printed("SynOOD, 4.1", "SynOOD")
    for networks, part in cost.groupby("networks", sort=False):
        whole = part.parameters.iloc[0]
        for row in part.itertuples():
            rows.append([networks, row.what, count(row.parameters), percent(row.parameters / whole), _short(row.milliseconds)])
    caption = (
        "What SynOOD adds to CLIP: parameters, and milliseconds for each image on one CPU core, measured once "
        "(benchmarks/clip_cost.py). Tuned labels stand in the place of untuned ones. The paper: "
        f"less than {papers.value(paper, 'more parameters than NegLabel'):g}% more parameters, "
        f"under {papers.value(paper, 'milliseconds an image'):g} ms."
    )
    return [Block(caption, table=Table(["networks", "what", "parameters", "% of CLIP's", "milliseconds an image"], once(rows)))]


def _short(value: float) -> str:
    """A number of three digits."""
    return MISSING if pd.isna(value) else f"{value:.3g}"


def _types(results: Results) -> list[Block]:
    """What CLIP recognises in candidates, before and after filtering, and how diverse they are."""
    if results.tables["types"].empty:
        return []
    setting = results.params.benchmark.recognition
    names = "ID classes and mined negative labels" if setting.classes == "all" else "ID classes"
    explained = (
        f"Zero-shot CLIP chooses among {names}. It recognises nothing where the nearest text is farther than it is for "
        f"{100 * setting.recognised:g}% of ID validation images. Band all is before filtering, mid after it."
    )
    shown = drawn(results, "types", f"What CLIP sees in candidates. {explained} Right: diversity, as in the table below.")
    shown += drawn(
        results,
        "types-candidates",
        "Single candidates of each type (Bad-OOD, Fig. 3, 10 and 11) in a frame of its colour: at most three, evenly spaced over the ranks "
        "of their cosine to the nearest text, the nearest first. Below each the class that it was made from, and behind an arrow, of types "
        f"II and III, the text that is nearest to it. Above: how many candidates are of the type. The first {SHOWN} methods at most.",
    )
    return [*shown, _counts(results.tables["types"]), _diversity(results.tables["diversity"], setting.samples)]


def _counts(table: pd.DataFrame) -> Block:
    """The three types by band, beside the paper's shares."""
    rows, whole = [], table[table.band == "all"].set_index("method")
    for row in table.to_dict("records"):
        paper = [percent(row[f"paper_{name}"]) for name in TYPES]
        shares = [f"{count(row[name])} ({percent(row[f'{name}_share'])}%)" for name in TYPES]
        removed = [percent(1 - row[name] / whole[name][row["method"]]) if whole[name][row["method"]] else MISSING for name in TYPES]
        cells = [row["method"], row["band"], count(row["count"]), *shares, count(row["other_id"])]
        cells += [" / ".join(removed) if row["band"] == "mid" else MISSING, " / ".join(paper) if pd.notna(row["paper_own"]) else MISSING]
        rows.append(cells)
    header = ["candidates", "band", "count", *TYPES.values(), "of II another ID class", "removed, % I / II / III", "paper, % I / II / III"]
    return Block(
        "Three types of outliers by band (Bad-OOD, Tables 3 and 8). Removed: the share of each type that is not in the mid band.",
        table=Table(header, once(rows)),
    )


def _diversity(table: pd.DataFrame, samples: int) -> Block:
    """Diversity by band; `samples`: random candidates of each class whose categories are counted."""
    rows = [
        [row["method"], row["band"], count(row["count"]), *(number(row[name]) for name in ("categories", "across", "within"))]
        for row in table.to_dict("records")
    ]
    caption = (
        "Diversity of candidates in CLIP's features (Bad-OOD, Fig. 4 a, which has a ResNet-50 and the size of JPEG files in its place). "
        f"Categories: how many different texts are nearest to some of at most {samples} random candidates of each class, for "
        "each ID class; it grows with their number. Across: mean cosine distance of candidates of two classes; within: of one class."
    )
    return Block(caption, table=Table(["candidates", "band", "count", "categories", "across", "within"], once(rows)))


def types(table: pd.DataFrame, diversity: pd.DataFrame) -> style.Drawn:
    """Shares of the three outlier types (Bad-OOD, Tables 3 and 8) and diversity (Fig. 4 a), before and after filtering.

    Args:
        table: reports/tables/types.csv.
        diversity: reports/tables/diversity.csv.
    """
    table = table[table.band.isin(MARKERS)].reset_index(drop=True)
    diversity = table[["method", "band"]].merge(diversity, on=["method", "band"], how="left")
    names = [row.method if row.band == "all" else f"{row.method}, {row.band}" for row in table.itertuples()]
    rows = np.arange(len(table))
    with style.figure(1, 3, 0.9 + 0.25 * len(table), sharey=True, width_ratios=(3, 1.2, 1.2)) as (drawn, axes):
        start = np.zeros(len(table))
        for kind, label in TYPES.items():
            share = 100 * table[f"{kind}_share"]
            axes[0].barh(rows, share, left=start, height=0.75, color=COLOURS[kind], label=label, alpha=0.85)
            for row, (value, left) in enumerate(zip(share, start, strict=True)):
                if value >= 6:
                    axes[0].text(left + value / 2, row, f"{value:.0f}", ha="center", va="center", color="white", fontsize=style.SMALLEST)
            start = start + share.to_numpy()
        axes[0].set_yticks(rows, names)
        axes[0].invert_yaxis()
        axes[0].set(xlim=(0, 100), xlabel="share of candidates, %", title="recognised by CLIP as")
        for ax, name in zip(axes[1:], ("across", "within"), strict=True):
            for band, (label, marker, colour) in MARKERS.items():
                chosen = (table.band == band).to_numpy()
                ax.plot(diversity[name][chosen], rows[chosen], marker, ms=4, color=colour, label=label)
            ax.set(title=f"{name} classes", xlabel="diversity (cosine)")
            ax.margins(x=0.15)
        for ax in axes:
            ax.grid(axis="y", visible=False)
        found = [ax.get_legend_handles_labels() for ax in axes[:2]]
        drawn.legend(*(left + right for left, right in zip(*found, strict=True)), loc="outside lower center", ncols=5)
        return style.files(drawn)


BLOCKS = {"clip": blocks}
