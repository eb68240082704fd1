"""Blocks of the page about SynOOD and CLIP: repainted images, context and negative labels, zero-shot and tuned detectors, outlier types."""

import pandas as pd

from penumbra.report.content import Block, Results, Section
from penumbra.report.format import MISSING, Table, count, measures, number, percent
from penumbra.report.guided import drawn, of_kind

SHOWN = 10  # rows of long lists
ZERO_SHOT = {
    "near_fpr95_id_tpr": ("near FPR95 ↓", False),
    "near_auroc": ("near AUROC ↑", True),
    "far_fpr95_id_tpr": ("far FPR95 ↓", False),
    "far_auroc": ("far AUROC ↑", True),
}
TYPES = {"own": "own class (I)", "other": "something else (II)", "nothing": "nothing (III)"}
SCORES = {"mcm": "MCM: ID labels alone", "neglabel": "NegLabel: with negative labels"}


def section(results: Results) -> list[Section]:
    """The section; none where the experiment has neither SynOOD nor CLIP."""
    blocks = _repainted(results) + _labels(results) + _detectors(results) + _cost(results) + _types(results)
    return [Section("clip", "SynOOD and CLIP", blocks)] if blocks else []


def _repainted(results: Results) -> list[Block]:
    """From ID image to outlier, and the energy on the way."""
    blocks = []
    for method in of_kind(results, "synood"):
        setting = results.params.synthesize[method]
        blocks += drawn(
            results,
            f"{method}-pairs",
            f"{method}: ID image, the image of each of {setting.iterations} denoising runs at strength {setting.strength:g}, the last of "
            "which is the outlier (SynOOD, Fig. 4). Above: the ID class; below: the labels in the prompt, joined by + "
            f"(“{setting.prompt}”) and, after the arrow, the mined negative label nearest to the outlier.",
        )
    blocks += drawn(
        results,
        "energies",
        "Energy of each image under the ID classifier after each denoising run; the noise is updated between them, "
        "against the OOD loss. "
        "Left: mean and standard deviation, with some images; right: after the first and after the last run.",
    )
    return blocks


def _labels(results: Results) -> list[Block]:
    """Context labels of ID images and mined negative labels: the first of each."""
    blocks = []
    if results.contexts:
        rows = [[row.sample_id, row.name, row.labels or MISSING, row.answer] for row in _spaced(results.contexts)]
        said = sum(bool(row.labels) for row in results.contexts)
        captioner = results.params.extract.contexts.captioner
        blocks.append(
            Block(
                f"Context labels of ID images by the captioner {captioner}: {count(said)} of {count(len(results.contexts))} images have "
                "some. Answer: what the captioner said, before labels were taken from it. All are in data/features/contexts.csv, which may "
                "be edited.",
                table=Table(["image", "class", "labels in the prompt", "answer"], rows),
            )
        )
    if results.negatives:
        setting = results.params.extract.negatives
        kinds = pd.Series([row.kind for row in results.negatives]).value_counts(sort=False)
        rows = []
        for kind in kinds.index:
            of_kind_ = [row for row in results.negatives if row.kind == kind]
            rows += [[row.word, kind, row.prompt, number(row.closeness)] for row in of_kind_[: SHOWN if len(kinds) == 1 else SHOWN // 2]]
        blocks.append(
            Block(
                f"Mined negative labels: {' and '.join(f'{count(total)} {kind}s' for kind, total in kinds.items())}, the share "
                f"{setting.share:g} of the vocabulary that is farthest from the ID labels. The first of each kind; closeness is the "
                f"{setting.quantile:g} quantile of a label's cosines to the ID labels.",
                table=Table(["label", "kind", "prompt", "closeness"], rows),
            )
        )
    return blocks


def _spaced(rows: list) -> list:
    """At most SHOWN rows, evenly spaced."""
    return [rows[place] for place in range(0, len(rows), max(-(-len(rows) // SHOWN), 1))]


def _detectors(results: Results) -> list[Block]:
    """Zero-shot CLIP by MCM and by NegLabel, and what SynOOD makes of it."""
    table = results.tables["scores"]
    names = [name for name, part in table.groupby("detector", sort=False) if set(SCORES) <= set(part.score)]
    if not names:
        return []
    recipes = results.tables["detectors"].set_index("detector").recipe
    zero_shot = [name for name in names if not _trained(results, recipes[name])]
    rows = []
    for name in names:
        for score, label in SCORES.items():
            part = table[(table.detector == name) & (table.score == score)].set_index("set")
            row = {"detector": f"{name} (zero-shot)" if name in zero_shot else name, "score": label}
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


def _trained(results: Results, recipe: str) -> bool:
    setting = results.params.train.recipes[recipe]
    return setting.project or setting.tune


def _cost(results: Results) -> list[Block]:
    """What SynOOD adds to CLIP."""
    if "clip" not in results.params.pretrain:
        return []
    rows = []
    for networks, part in results.clip_cost.groupby("networks", sort=False):
        whole = part.parameters.iloc[0]
        for row in part.itertuples():
            rows.append([networks, row.what, count(row.parameters), percent(row.parameters / whole), _short(row.milliseconds)])
    caption = (
        "What SynOOD adds to CLIP: parameters, and milliseconds for each image on one CPU core, measured once "
        "(benchmarks/clip_cost.py). Tuned labels stand in the place of untuned ones. The paper: less than 1% more parameters, under 2 ms."
    )
    return [Block(caption, table=Table(["networks", "what", "parameters", "% of CLIP's", "milliseconds an image"], _once(rows)))]


def _short(value: float) -> str:
    """A number of three digits."""
    return MISSING if pd.isna(value) else f"{value:.3g}"


def _types(results: Results) -> list[Block]:
    """What CLIP recognises in candidates, before and after filtering, and how diverse they are."""
    types, diversity = results.tables["types"], results.tables["diversity"]
    if types.empty:
        return []
    setting = results.params.benchmark.recognition
    names = "ID classes and mined negative labels" if setting.classes == "all" else "ID classes"
    rows, whole = [], types[types.band == "all"].set_index("method")
    for row in types.to_dict("records"):
        paper = [percent(row[f"paper_{name}"]) for name in TYPES]
        shares = [f"{count(row[name])} ({percent(row[f'{name}_share'])}%)" for name in TYPES]
        removed = [percent(1 - row[name] / whole[name][row["method"]]) if whole[name][row["method"]] else MISSING for name in TYPES]
        cells = [row["method"], row["band"], count(row["count"]), *shares]
        cells += [" / ".join(removed) if row["band"] == "mid" else MISSING, " / ".join(paper) if pd.notna(row["paper_own"]) else MISSING]
        rows.append(cells)
    explained = (
        f"Zero-shot CLIP chooses among {names}. It recognises nothing where the nearest text is farther than it is for "
        f"{100 * setting.recognised:g}% of ID validation images. Band all is before filtering, mid after it."
    )
    header = ["candidates", "band", "count", *TYPES.values(), "removed, % I / II / III", "paper, % I / II / III"]
    blocks = drawn(results, "types", f"What CLIP sees in candidates. {explained} Right: diversity, as in the table below.")
    blocks.append(
        Block(
            "Three types of outliers by band (Bad-OOD, Tables 3 and 8). Removed: the share of each type that is not in the mid band.",
            table=Table(header, _once(rows)),
        ),
    )
    numbers = [
        [row["method"], row["band"], count(row["count"]), *(number(row[name]) for name in ("categories", "across", "within"))]
        for row in diversity.to_dict("records")
    ]
    caption = (
        "Diversity of candidates in CLIP's features (Bad-OOD, Fig. 4 a, which has a ResNet-50 and the size of JPEG files in its place). "
        f"Categories: how many different texts are nearest to some of at most {setting.samples} random candidates of each class, for "
        "each ID class; it grows with their number. Across: mean cosine distance of candidates of two classes; within: of one class."
    )
    header = ["candidates", "band", "count", "categories", "across", "within"]
    return [*blocks, Block(caption, table=Table(header, _once(numbers)))]


def _once(rows: list[list[str]]) -> list[list[str]]:
    """The rows with a first cell that repeats the one above left blank."""
    return [["", *row[1:]] if above is not None and above[0] == row[0] else row for above, row in zip([None, *rows], rows, strict=False)]
