"""Blocks of the page about guided candidates and the scores that go with them: Bad-OOD's minority guidance, GOOD, SONA."""

import pandas as pd

from penumbra.report.content import Block, Results
from penumbra.report.format import Table, count, measures, number, percent, plain
from penumbra.report.mosaic import GRIDS, SHOWN

UNIFIED = {
    "fpr95_id_tpr": ("FPR95, ID positive ↓", False),
    "fpr95_ood_tpr": ("FPR95, OOD positive ↓", False),
    "auroc": ("AUROC ↑", True),
}
MODES = {
    "energy": "energy alone",
    "knn": "kNN alone",
    "per-set": "unified, per-set (told the OOD set)",
    "mixture": "unified, mixture (sees the test set)",
    "id-only": "unified, id-only (deployable)",
    "fixed": "unified, fixed w",
}


def drawn(results: Results, figure: str, caption: str) -> list[Block]:
    """A block of a figure; none where the experiment has nothing for it to show."""
    return [Block(caption, figure=figure)] if figure in results.figures else []


def of_kind(results: Results, kind: str) -> dict[str, pd.DataFrame]:
    """Candidates by method, of the methods of one kind (badood | good | sona | synood)."""
    return {method: frame for method, frame in results.candidates.items() if results.params.synthesize[method].method == kind}


def minority(results: Results) -> list[Block]:
    """What minority guidance does to the minority score."""
    methods = of_kind(results, "badood")
    if not methods:
        return []
    rows = []
    for method, frame in methods.items():
        for scale, part in frame.groupby("scale"):
            raised = (part.minority_after > part.minority_before).mean()
            before, after = part.minority_before.mean(), part.minority_after.mean()
            displacement = number(part.displacement.mean(), 2)
            rows.append([method, f"{scale:g}", count(len(part)), displacement, number(before), number(after), percent(raised)])
    setting = results.params.synthesize[next(iter(methods))]
    caption = (
        f"Bad-OOD: means over candidates, t = {setting.t}, s = {setting.s}. "
        "Displacement is the L2 distance from the unguided sample of the same noise; "
        "raised is the share of candidates whose minority score is higher than without guidance."
    )
    header = ["method", "scale", "candidates", "displacement", "minority score before", "after", "raised, %"]
    return [Block(caption, table=Table(header, rows))]


def good(results: Results) -> list[Block]:
    """Samples of GOOD by strength: images, heat maps, energies, numbers."""
    blocks = []
    for method in of_kind(results, "good"):
        setting = results.params.synthesize[method]
        same = (
            "All samples of a class here start from the same noise, so that they differ by the strength alone. "
            f"At most {GRIDS} classes where rho and mu vary apart, at most {SHOWN} where they do not."
        )
        blocks += drawn(
            results,
            f"{method}-strengths",
            f"{method}: samples of “{setting.prompt}” by strength of guidance (GOOD, Fig. 3). {same}",
        )
        cams = (
            "Grad-CAM: where the classifier looks for the class that it predicts, from dark to yellow, each map scaled to its own "
            "greatest value (GOOD, Fig. 5)."
        )
        blocks += drawn(results, f"{method}-cams", f"{method}: samples at the strength in the middle. {cams}")
    known = "ID train" in set(results.tables["strengths"].guidance)
    trained = "grey: ID training images, whose energies are as a rule lower than those of ID images that the classifier has not seen"
    beside = trained if known else "ID energies are not known here"
    blocks += drawn(
        results,
        "strengths",
        "Energy of samples under the classifier that guided them, by rho, by mu and over all strengths (GOOD, Fig. 4), the strongest "
        f"guidance on top; higher energy: more OOD; {beside}.",
    )
    blocks += drawn(
        results, "strength-grid", "Mean energy and mean distance to the k-th neighbour of the samples of each strength (GOOD, Fig. 7)."
    )
    table = results.tables["strengths"]
    diagonal = table[~table.guidance.isin(_grids(table))]
    if len(diagonal):
        rows = [
            [
                row.guidance,
                *("" if pd.isna(value) else f"{value:g}" for value in (row.rho, row.mu)),
                count(row.images),
                plain(row.energy_mean, row.energy_std, 2),
                plain(row.knn_mean, row.knn_std, 3),
            ]
            for row in diagonal.rename(columns={"count": "images"}).itertuples()
        ]
        header = ["guidance", "rho", "mu", "images", "energy", "k-NN distance"]
        caption = "Mean ± standard deviation over samples, where rho and mu go together; where they do not, they are in the figure above."
        blocks.append(Block(caption, table=Table(header, rows)))
    return blocks


def _grids(table: pd.DataFrame) -> list[str]:
    return [name for name, part in table.dropna(subset="rho").groupby("guidance") if part.rho.nunique() < len(part)]


def sona(results: Results) -> list[Block]:
    """Edits of SONA: the way from ID image to outlier, and how far each stop step leads."""
    blocks = []
    for method in of_kind(results, "sona"):
        setting = results.params.synthesize[method]
        blocks += drawn(
            results,
            f"{method}-edits",
            f"{method}: from ID image to outlier, with the OOD word and the stop step on the left (SONA, Fig. 4). "
            "Masks of the middle step: where ID semantics are removed, where ID nuisance is kept, where OOD semantics are added; "
            f"a pixel is as bright as the share of latent channels that its mask holds (lambda = {setting.share:g}). "
            "Path: predicted clean images, from the first step to the last.",
        )
    blocks += drawn(
        results,
        "edits",
        "Feature distance of edits from their ID image against the stop step, mean and standard deviation (SONA, Fig. 6 b, "
        "which has LPIPS, a network trained on photographs, in place of the autoencoder's latents).",
    )
    return blocks


def histograms(results: Results) -> list[Block]:
    """Distributions of the two scores that the unified score combines, and its own."""
    plot, setting = results.plots["unified"], results.params.benchmark.unified
    if plot.empty:
        return []
    return drawn(
        results,
        "scores",
        f"{plot.detector.min()}: energy, k-NN distance and unified score (mode {setting.mode}) of ID test images (grey) and of each OOD "
        "test set, every comparison scaled to [0, 1], all seeds together (GOOD, Fig. 8).",
    )


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


def unified(results: Results) -> list[Block]:
    """The unified score by mode, and its dependence on a and k."""
    table, setting = results.tables["unified"], results.params.benchmark.unified
    if table.empty:
        return []
    means = table[table.set == table.group].drop_duplicates(["detector", "mode", "set"])
    wide = means[means.set == "near"].merge(means[means.set == "far"], on=["detector", "mode"], suffixes=("_near", "_far"))
    curved = list(results.plots["unified"].detector.unique())
    parts = []
    for detector in [*curved, *(name for name in wide.detector.unique() if name not in curved)]:
        of_detector = wide[wide.detector == detector]
        parts.append(of_detector if detector in curved else of_detector[of_detector["mode"].isin(["energy", "per-set", "id-only"])])
    wide = pd.concat(parts, ignore_index=True)
    columns = {}
    for group in ("near", "far"):
        for metric in ("fpr95_id_tpr", "auroc"):
            for moment in ("mean", "std"):
                wide[f"{group}_{metric}_{moment}"] = wide[f"{metric}_{moment}_{group}"]
            columns[f"{group}_{metric}"] = (f"{group} {UNIFIED[metric][0]}", UNIFIED[metric][1])
    wide["weight"] = [f"{near:.2f} / {far:.2f}" for near, far in zip(wide.weight_mean_near, wide.weight_mean_far, strict=True)]
    blocks = [Block(_explanation(results), table=_by_detector(wide.assign(mode=wide["mode"].map(MODES)), columns))]
    caption = (
        f"{', '.join(curved[:1])}: AUROC against a (at k = {results.params.score.knn_k}) and against k (at a = {setting.a:g}), mean over "
        "seeds (GOOD, Fig. 6 b and c). Dashed: the energy alone. Numbers over an arrow: AUROCs below the panel. Where k exceeds the "
        "training images of a class, even an ID image has its k-th neighbour in another class, and the distance tells little."
    )
    return blocks + drawn(results, "unified", caption)


def _explanation(results: Results) -> str:
    setting = results.params.benchmark.unified
    return (
        "The unified score of GOOD, S = w D_k + (1 − w) Ê with w = 1 − exp(−a KL), "
        f"at a = {setting.a:g}, k = {results.params.score.knn_k}, in percent; w: its mean over near and over far sets. "
        "per-set is the paper's mode and no fair comparison: it looks at the whole test set, and it is told which images of it are the "
        "OOD set (labels leak), so that every OOD set gets a w of its own. mixture sees ID and OOD test images together without labels; "
        "it still needs the whole test set. id-only takes bounds and histogram from ID validation and judges each image by itself: "
        "a deployed detector can do that. The paper compares with the energy alone; a gain over it may be no more than that of kNN alone, "
        "so compare with that row too where the table has it. Bold: the best mean of its detector, whatever the mode may look at."
    )


def _by_detector(wide: pd.DataFrame, columns: dict[str, tuple[str, bool]]) -> Table:
    rows, best, header = [], set(), []
    for _, part in wide.groupby("detector", sort=False):
        table = measures(part.reset_index(drop=True), ["detector", "mode", "weight"], columns, {"mode": "score", "weight": "w"})
        best |= {(len(rows) + row, column) for row, column in table.best}
        rows += [[row[0] if place == 0 else "", *row[1:]] for place, row in enumerate(table.rows)]
        header = table.header
    return Table(header, rows, best)
