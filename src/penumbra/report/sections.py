"""The sections of the page, one for each step and one for SynOOD and CLIP; captions quote the parameters that were used."""

import pandas as pd

from penumbra.report import ablations, clip, guided
from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, count, measures, number, percent, plain, yaml

HEADLINE = {
    "near_fpr95_id_tpr": ("near FPR95 ↓", False),
    "near_auroc": ("near AUROC ↑", True),
    "far_fpr95_id_tpr": ("far FPR95 ↓", False),
    "far_auroc": ("far AUROC ↑", True),
    "id_acc": ("ID accuracy ↑", True),
}
METRICS = {
    "fpr95_id_tpr": ("FPR95, ID positive ↓", False),
    "fpr95_ood_tpr": ("FPR95, OOD positive ↓", False),
    "auroc": ("AUROC ↑", True),
    "aupr_in": ("AUPR-in ↑", True),
    "aupr_out": ("AUPR-out ↑", True),
}

SOURCES = {  # what the sources are that come with the libraries
    "digits": "scikit-learn's handwritten digits, 8 × 8 pixels, resized",
    "glyphs": "characters drawn with matplotlib's fonts",
    "photos": "patches of scikit-learn's two photographs, china and flower, so that all of them show two scenes",
}
LAST = {  # columns of data/models/MODEL/history.csv in words
    "vqgan_loss": "loss",
    "codes_used": "share of codes in use",
    "val_loss": "validation loss",
    "val_error": "mean absolute error of decoded validation images",
    "val_accuracy": "validation accuracy",
    "val_knn_accuracy": "k-NN accuracy on validation images",
    "val_perplexity": "validation perplexity",
}
KERNELS = {
    "portable": "Computed with portable kernels: every x86-64 machine with AVX2 gives these bytes.",
    "native": "Computed with the fastest kernels of one machine: the bytes are its own. Other machines differ in last bits, which training "
    "makes large.",
}
STRONGEST = {  # kind of shift -> its greatest strength in words
    "rotation": "{:g} degrees",
    "blur": "by {:g} of the side",
    "contrast": "{:g} of it lost",
    "noise": "{:g} of the range",
}
PIPELINES = {  # what is trained where none is imported, and what its samples are
    "diffusion": ("latent diffusion pipeline", "by caption, and without one (unconditional)"),
    "inpainting": (
        "in-painting pipeline",
        "ID validation images, the same with the middle masked, what it paints there, and images with everything masked",
    ),
}
TABLE_2 = {"fpr95_id_tpr": "FPR95", "auroc": "AUROC", "aupr_out": "AUPR"}


def headline(results: Results) -> Table:
    """Every detector on near and far OOD."""
    return measures(results.tables["detectors"], ["detector", "score"], HEADLINE)


def sections(results: Results) -> list[Section]:
    """The sections in the order of the steps, that of SynOOD and CLIP after the results; none of a step with nothing to show."""
    makers = (prepare, pretrain, extract, synthesize, train, calibrate, filter_, score, benchmark)
    found = [*(maker(results) for maker in makers), *clip.section(results), *ablations.section(results), report(results)]
    return [section for section in found if section.blocks]


def prepare(results: Results) -> Section:
    """Counts and examples of every set of images."""
    size = results.params.common.image_size
    caption = (
        f"Examples of each set, {size} × {size} pixels. Models learn from ID and world; what is chosen is chosen "
        "on validation ID and calibration OOD; near, far and shifted images are only ever scored. "
        f"The strength of a shift grows from left to right.{_sources(results)}"
    )
    return Section("prepare", "The images", [Block(caption, sets=results.sets)])


def _sources(results: Results) -> str:
    """A sentence on the sources of SOURCES that the experiment has; nothing where it has none."""
    setting = results.params.prepare
    specs = [setting.id, *(spec for group in ("near", "far", "calibration", "world") for spec in setting[group].values())]
    used = {spec.source for spec in specs}
    said = [f"{source}: {text}" for source, text in SOURCES.items() if source in used]
    return f" Sources: {'; '.join(said)}." if said else ""


def pretrain(results: Results) -> Section:
    """The last epoch of every frozen model."""
    rows = []
    for model, history in results.histories.items():
        networks = history.groupby("model", sort=False) if "model" in history else [(model, history)]  # MAGE and its tokenizer
        for network, epochs in networks:
            last = epochs.iloc[-1].drop(["epoch", "model"], errors="ignore").dropna()
            rows.append(
                [model, network, count(len(epochs)), ", ".join(f"{LAST.get(name, name)} {value:.4g}" for name, value in last.items())]
            )
    table = Table(["model", "network", "epochs", "the last one"], rows)
    blocks = [Block("Trained here, on this experiment's own images, or imported as published.", table=table)] if rows else []
    for model, (trained, shown) in PIPELINES.items():
        if results.samples.get(model):
            pipeline = results.params.pretrain[model].pipeline
            what = f"the pipeline {pipeline}" if pipeline else f"the {trained} trained here"
            blocks.append(Block(f"Samples of {what}: {shown}.", sets=results.samples[model]))
    return Section("pretrain", "The frozen models", blocks)


def extract(results: Results) -> Section:
    """What the representation is."""
    models, text = results.params.pretrain, ""
    if "encoder" in models:
        encoder = models.encoder
        text += (
            f"Every ID image becomes a representation of {encoder.projection} numbers: the projection head of a MoCo-v3 ViT "
            f"(width {encoder.width}, depth {encoder.depth}, patches of {encoder.patch_size} pixels), standardised for each image. "
            "The guidance of Bad-OOD and the distances of its candidates live in this space; those of SONA and SynOOD are distances of "
            "the autoencoder's latents. "
        )
    if "classifier" in models:
        text += "GOOD measures in the features of the ID classifier before its last layer, the memory bank of its k-NN distance. "
    if results.negatives:
        text += "CLIP detectors live in the features that images and texts share; their negative labels are shown below."
    text = text or "No model's features are used in this experiment: distances are those of an autoencoder's latents."
    return Section("extract", "The representation", [Block(text=text)])


def synthesize(results: Results) -> Section:
    """What each kind of guidance did, and the galleries."""
    blocks = guided.minority(results) + guided.good(results) + guided.sona(results)
    for method, pairs in results.galleries.items():
        text = f"{method}: {len(pairs)} candidates, evenly spaced over the ranks of their severity, the P(OOD) of the bands below."
        blocks.append(Block(text, gallery=pairs))
    if not results.candidates:
        blocks.append(Block(text="Nothing is synthesised in this experiment."))
    return Section("synthesize", "The candidates", blocks)


def train(results: Results) -> Section:
    """What each detector was trained on, and how."""
    table = results.tables["detectors"]
    used = {name: results.params.train.recipes[name] for name in table.recipe.unique()}
    rows = [
        [
            row.detector,
            row.recipe,
            row.bands or ("ID only" if used[row.recipe].trains else "–"),
            count(row.outliers),
            percent(row.id_acc_mean, row.id_acc_std),
        ]
        for row in table.assign(bands=table.bands.astype(object).fillna("")).itertuples()
    ]
    recipes = "; ".join(f"{name}: {recipe.caption}" for name, recipe in used.items())
    caption = f"Seeds {', '.join(map(str, results.params.train.seeds))}. Recipes: {recipes}."
    header = ["detector", "recipe", "bands", "outliers", "ID accuracy, %"]
    return Section("train", "The detectors", [Block(caption, table=Table(header, rows))])


def headline_score(results: Results) -> str:
    """The headline scores in words, each for its detectors."""
    table = results.tables["detectors"]
    names = {score: list(part.detector) for score, part in table.groupby("score", sort=False)}
    first, *others = names
    return f"{first} score" + "".join(f" ({', '.join(names[score])}: {score})" for score in others)


def judges_of(results: Results) -> str:
    """The detectors that judge candidates, in words."""
    return " and ".join(results.params.calibrate)


def calibrate(results: Results) -> Section:
    """How well each calibrator turns the score into a probability (the role of Bad-OOD, Table 6)."""
    table = results.tables["calibrators"]
    if table.empty:
        return Section("calibrate", "The calibration", [Block(text="No candidates are judged in this experiment.")])
    scores = [name for name in table if name not in ("method", "calibrator", "chosen", "low", "mid", "high")]
    rows = [
        [
            f"{row['calibrator']}{' (filters)' if row['chosen'] else ''}",
            *(number(row[name], 4) for name in scores),
            *(count(row[b]) for b in ("low", "mid", "high")),
        ]
        for row in table.to_dict("records")
    ]
    header = ["calibrator", *(name.upper() for name in scores), "keeps low", "mid", "high"]
    methods = " and ".join(table.method.unique())
    judges = judges_of(results)
    caption = (
        "Validation ID against calibration OOD, cross-fitted; lower is better. "
        "A calibrator is monotone, so it moves no ROC curve by itself, but for ties where P(OOD) rounds to 0 or 1 or its map is flat: "
        "what it changes is which candidates lie between the bounds of the mid band, in the last three columns"
        f"{f' (candidates of {methods} alone)' if methods else ''}."
    )
    reliability = (
        f"Reliability of {judges}: share of OOD among images of equal predicted P(OOD), cross-fitted; the area of a dot is the number "
        "of images."
    )
    blocks = [Block(caption, table=Table(header, rows)), *guided.drawn(results, "reliability", reliability)]
    return Section("calibrate", "The calibration", blocks)


def filter_(results: Results) -> Section:
    """The bands, and how far from their source the candidates of each lie."""
    bounds = "; ".join(f"{method}: {section.mid[0]:g} to {section.mid[1]:g}" for method, section in results.params.filter.items())
    samples = results.params.benchmark.distance_samples
    distances = (
        f"Feature distance of candidates from their source image, mean and standard deviation of {samples} random candidates of each band "
        "(Bad-OOD, Table 11: high 0.334, mid 0.138, low 0.104). The paper does not say which distance it averages, so all four are shown. "
        "Candidates without a source image have no distance."
    )
    judges = judges_of(results)
    bands = (
        f"P(OOD) of all candidates, whatever their method, by the initial detector {judges} (seed {min(results.params.train.seeds)}) "
        f"and its calibration; in the scores and results below it is each detector's own. Bounds of the mid band: {bounds}."
    )
    if not len(results.params.filter):
        return Section("filter", "The bands", [Block(text="Nothing is filtered in this experiment.")])
    return Section("filter", "The bands", guided.drawn(results, "confidence", bands) + guided.drawn(results, "distances", distances))


def score(results: Results) -> Section:
    """The distribution of the headline score, and every other score."""
    table = results.tables["scores"]
    rows = [[detector] for detector in table.detector.unique()]
    header = ["detector"]
    for group in ("near", "far"):
        for name in table.score.unique():
            header.append(f"{group} {name}")
            part = table[(table.set == group) & (table.score == name)].set_index("detector")
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
        Block(caption, figure="energy"),
        Block(aurocs, table=Table(header, rows)),
        *guided.histograms(results),
        *guided.probe(results),
    ]
    return Section("score", "The scores", blocks)


def benchmark(results: Results) -> Section:
    """The results: bands, test sets, ROC, covariate shift, claims."""
    params = results.params
    seeds, shift = len(params.train.seeds), params.prepare.shift
    strongest = ", ".join(f"{kind} {STRONGEST[kind].format(amount)}" for kind, amount in shift.kinds.items())
    how = f"{headline_score(results)}, mean ± sample standard deviation over {seeds} training seeds, in percent"
    blocks = [
        Block(
            f"FPR95 and AUROC by detector: {how}; near and far are means over their test sets; error bars end at 0 and 100.", figure="bands"
        ),
        *_bands(results, how),
        Block(
            "ROC curves, averaged over seeds and test sets, the share of ID rejected on a logarithmic axis. "
            "Dotted: 95% of OOD caught (OpenOOD's FPR95), 5% of ID rejected (the papers').",
            figure="roc",
        ),
        Block(
            f"Every test set: {how}. Two conventions of FPR95 under two names; AUPR is average precision.",
            table=_sets(results),
        ),
        *guided.unified(results),
        Block(
            f"Mean P(OOD) of shifted ID test images over {seeds} training seeds, by each detector's own calibration; strength 0 is "
            f"unshifted, {shift.strengths} is {strongest}.",
            figure="shift",
        ),
        *_claims(results.tables["claims"]),
    ]
    return Section("benchmark", "The results", blocks)


def _bands(results: Results, how: str) -> list[Block]:
    table = results.tables["bands"]
    if table.empty:
        return []
    columns = {f"{group}_{name}": (f"{group} {label}", METRICS[name][1]) for group in ("near", "far") for name, label in TABLE_2.items()}
    ours = measures(table.assign(bands=table.bands.astype(object).fillna("ID only")), ["detector", "bands", "outliers"], columns)
    paper = [[percent(row.paper_fpr95), percent(row.paper_auroc), percent(row.paper_aupr)] for row in table.itertuples()]
    rows = [cells + numbers for cells, numbers in zip(ours.rows, paper, strict=True)]
    caption = (
        "The bands of Bad-OOD, Table 2, ID alone (Table 1) and the Gaussian row of Table 7, beside the paper's numbers "
        f"(ImageNet-100): {how}. FPR95: ID positive; AUPR: OOD positive."
    )
    return [Block(caption, table=Table([*ours.header, *(f"paper {label}" for label in TABLE_2.values())], rows, ours.best))]


def _sets(results: Results) -> Table:
    table = results.tables["scores"]
    chosen = results.tables["detectors"].set_index("detector").score
    table = table[(table.score == table.detector.map(chosen)) & (table.set != table.group)]
    parts = [measures(part, ["set", "detector"], METRICS) for _, part in table.groupby("set", sort=False)]
    rows, best = [], set()
    for part in parts:
        best |= {(len(rows) + row, column) for row, column in part.best}
        rows += part.rows
    return Table(parts[0].header, _once(rows), best)


def _once(rows: list[list[str]]) -> list[list[str]]:
    """The rows with a first cell that repeats the one above left blank."""
    return [["", *row[1:]] if above is not None and above[0] == row[0] else row for above, row in zip([None, *rows], rows, strict=False)]


def _claims(table: pd.DataFrame) -> list[Block]:
    if table.empty:
        return []
    rows = []
    for row in table.to_dict("records"):
        share = percent if row["spread"] == "seeds" else plain
        digits = [share(row[name]) for name in ("paper_better", "paper_worse")]
        ours = [share(row[name], row[f"{name}_std"]) for name in ("better", "worse")]
        rows.append(
            [
                row["claim"],
                row["source"],
                row["measure"],
                " / ".join(digits) if pd.notna(row["paper_better"]) else "–",
                *ours,
                row["verdict"],
            ]
        )
    caption = (
        "Claims of the papers that this experiment can test, and questions of our own (no paper). The rule was fixed before the first "
        "run: a claim held if the one claimed better is better by more than the pooled spread s = √((s₁² + s₂²) / 2), did not hold if "
        "it is worse by more than s, and is within spread in between. FPR95, AUROC and confidence, the mean P(OOD), are in percent, "
        "± the sample standard deviation over training seeds; distances, energies and shares are ± the standard error. "
        "Where a measure has no spread, the sign decides. First the claims about training: what detectors learn from which outliers."
    )
    header = ["claim", "source", "measure", "in the paper", "the one claimed better", "the other", "verdict"]
    return [Block(caption, table=Table(header, _once(rows)))]


def report(results: Results) -> Section:
    """The DAG, cost, parameters and versions."""
    blocks = [
        Block(text=KERNELS[results.params.common.kernels]),
        Block(
            "The stages of dvc.yaml, a colour for each step; a line runs down from what writes a file to what reads it, implied lines are "
            "left out. Wide ranks go on below, shifted.",
            figure="dag",
        ),
    ]
    rows = [[row.stage, number(row.seconds, 1), number(row.step_seconds, 1), number(row.peak_gib, 2)] for row in results.cost.itertuples()]
    where = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    caption = (
        f"Cost of one measured run ({where}). What this run cost is not here, so that equal results give equal pages: `penumbra cost` "
    )
    caption += "gathers it."
    blocks.append(Block(caption, table=Table(["stage", "wall, s", "of it the step's own work, s", "peak memory, GiB"], rows)))
    versions = [
        [stage, ", ".join(f"{name} {version}" for name, version in sorted(used.items()))]
        for stage, used in results.versions.items()
        if used
    ]
    blocks.append(
        Block(
            "Versions of the libraries that made this page and the Parquet files that it reads.",
            table=Table(["stage", "versions"], versions),
        )
    )
    blocks.append(Block("The parameters of the experiment.", code=yaml(results.params.plain())))
    return Section("report", "How this was made", blocks)
