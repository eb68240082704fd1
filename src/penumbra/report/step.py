"""report: tables, plots and candidates -> figures and one page for a person."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from penumbra.artifacts.contexts import read_rows
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.negatives import read_negative_labels
from penumbra.artifacts.tables import read_json
from penumbra.report import ablations, clip_figures, figures, gallery, mosaic
from penumbra.report.content import ImageSet, Results
from penumbra.report.page import render
from penumbra.report.sections import PIPELINES
from penumbra.stage import Stage

KINDS = ("original", "masked", "repainted", "drawn")  # of samples of an in-painting pipeline, in this order
EXAMPLES = 8  # images shown of each set: as many as a shift has strengths
LARGE = ("image", "cam", "masks", "path", "frames", "representation")  # columns of candidates that are not held in memory


IMAGES = ("train", "val", "test", "calibration", "world", "ood", "shifted")


def main(stage: Stage) -> None:
    """Write reports/figures/*.svg and reports/report.html."""
    tables, plots = ({path.stem: _csv(path) for path in sorted(stage.read(folder).glob("*.csv"))} for folder in ("tables", "plots"))
    params, features = stage.params, stage.read("features")
    outliers = stage.within("outliers", params.synthesize)
    candidates = {method: _candidates(path) for method, path in outliers.items()}
    selections = {method: path for method, path in stage.within("selections", params.filter).items() if method in candidates}
    galleries = {method: _gallery(stage, outliers[method], path) for method, path in selections.items()}
    negatives = read_negative_labels(features / "negatives.safetensors") if "negatives" in params.extract else []
    drawn = _figures(stage, tables, plots, galleries) | _pictures(stage, outliers, candidates, [negative.word for negative in negatives])
    images = stage.within("images", IMAGES)
    models = {model: stage.read("models") / model for model in params.pretrain}
    results = Results(
        params=params,
        tables=tables,
        plots=plots,
        sets=[shown for path in images.values() for shown in _sets(path)],
        histories={name: _csv(path / "history.csv") for name, path in models.items() if (path / "history.csv").exists()},
        samples={model: _samples(models[model]) for model in PIPELINES if model in models},
        negatives=negatives,
        contexts=read_rows(features / "contexts.csv") if "contexts" in params.extract else [],
        candidates=candidates,
        galleries=galleries,
        figures=drawn,
        cost=_csv(stage.read("benchmarks/cost")),
        clip_cost=_csv(stage.read("benchmarks/clip_cost")),
        machine=read_json(stage.read("benchmarks/machine")),
        versions=_versions(stage, [*images.values(), *outliers.values(), *selections.values()]),
    )
    with replace(stage.write("figures")) as temporary:
        temporary.mkdir()
        for name, content in drawn.items():
            (temporary / f"{name}.svg").write_bytes(content)
    with replace(stage.write("report")) as temporary:
        temporary.write_text(render(results), encoding="utf-8")
    stage.finish()


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "none" and "null" are names


def _candidates(path: Path) -> pd.DataFrame:
    return read_table(path, [name for name in pq.read_schema(path).names if name not in LARGE]).to_pandas()


def _samples(model: Path) -> list[ImageSet]:
    """Samples of a pipeline: a set for each kind, or for each caption that was drawn often, one of all others, one without caption."""
    path = model / "samples.parquet"
    if "kind" in pq.read_schema(path).names:
        found = mosaic.samples(path, EXAMPLES, "kind")
        return [ImageSet(kind, "samples", len(found[kind]), found[kind]) for kind in KINDS if kind in found]
    found = mosaic.samples(path, EXAMPLES)
    often = {caption: shown for caption, shown in found.items() if caption and len(shown) > 1}
    once = {caption: shown[0] for caption, shown in found.items() if caption and len(shown) == 1}
    sets = [ImageSet(caption, "conditional", len(shown), shown) for caption, shown in often.items()]
    for start in range(0, len(once), EXAMPLES):
        part = list(once)[start : start + EXAMPLES]
        sets.append(ImageSet(" · ".join(part), "conditional", len(part), [once[caption] for caption in part]))
    return sets + ([ImageSet("no caption", "unconditional", len(found[""]), found[""])] if found.get("") else [])


def _gallery(stage: Stage, outliers: Path, selection: Path) -> list[gallery.Pair]:
    made_from = read_table(outliers, ["sample_id", "source_id"]).to_pandas()
    train = stage.read("images") / "train.parquet"
    return gallery.pairs(read_table(selection).to_pandas(), made_from, outliers, train, count=stage.params.report.gallery)


def _figures(stage: Stage, tables: dict, plots: dict, galleries: dict) -> dict[str, bytes]:
    """The figures of numbers; those whose methods are not in the experiment are left out."""
    drawn = {
        "bands": figures.bands(tables["detectors"]),
        "roc": figures.roc(plots["roc"]),
        "energy": figures.energy(plots["energy"]),
        "shift": figures.shift(plots["shift"]),
        "dag": stage.read("docs/dag").read_bytes(),
    }
    calibrators = tables["calibrators"]
    if len(calibrators):
        mid = {method: tuple(section.mid) for method, section in stage.params.filter.items()}
        drawn["reliability"] = figures.reliability(plots["reliability"])
        drawn["confidence"] = figures.confidence(plots["confidence"], calibrators.calibrator[calibrators.chosen].iloc[0], mid)
    unified = tables["unified"]
    curves = unified[(unified.set == unified.group) & unified.detector.isin(plots["unified"].detector)]
    optional = {
        "distances": (figures.distances, tables["distances"]),
        "strengths": (figures.strengths, plots["strengths"]),
        "strength-grid": (figures.strength_grid, figures.gridded(tables["strengths"])),
        "edits": (figures.edits, tables["edits"]),
        "unified": (figures.unified, curves[curves.detector == curves.detector.iloc[0]] if len(curves) else curves),
        "scores": (figures.score_histograms, plots["unified"][plots["unified"].detector == plots["unified"].detector.min()]),
    }
    drawn |= {name: draw(frame) for name, (draw, frame) in optional.items() if len(frame)}
    if len(tables["types"]):
        drawn["types"] = clip_figures.types(tables["types"], tables["diversity"])
    if galleries:
        drawn["gallery"] = gallery.figure(next(iter(galleries.values())))
    return drawn | (ablations.figures(tables["ablations"]) if "ablations" in tables else {})


def _pictures(stage: Stage, outliers: dict[str, Path], candidates: dict[str, pd.DataFrame], negatives: list[str]) -> dict[str, bytes]:
    """The figures of images: GOOD's by strength and under Grad-CAM, SONA's and SynOOD's from ID image to outlier."""
    drawn, updated = {}, {}
    train, features = stage.read("images") / "train.parquet", stage.read("features")
    for method, frame in candidates.items():
        kind, path = stage.params.synthesize[method].method, outliers[method]
        if kind == "good":
            drawn |= {f"{method}-strengths": mosaic.strengths(frame, path), f"{method}-cams": mosaic.heatmaps(frame, path)}
        elif kind == "sona" and (picture := mosaic.edits(frame, path, train)):
            drawn[f"{method}-edits"] = picture
        elif kind == "synood":
            if len(frame.energies.iloc[0]) > 1:
                updated[method] = frame
            shown, known = clip_figures.illustrated(path), bool(negatives) and "clip" in stage.params.pretrain
            of_method, labels = features / f"candidates/{method}.safetensors", features / "negatives.safetensors"
            nearest = clip_figures.matched(of_method, labels, negatives, shown) if shown and known else {}
            if shown and (picture := clip_figures.pairs(path, train, shown, nearest)):
                drawn[f"{method}-pairs"] = picture
    return drawn | ({"energies": clip_figures.energies(updated)} if updated else {})


def _sets(path: Path) -> list[ImageSet]:
    """Every set of an image file with examples: evenly spaced, or one image in every strength."""
    rows = read_table(path, ["sample_id", "source_id", "set", "group", "strength"]).to_pandas()
    shown = []
    for (group, name), part in rows.groupby(["group", "set"], sort=False):
        chosen = part.iloc[np.unique(np.linspace(0, len(part) - 1, EXAMPLES).astype(int))]
        if part.strength.max() > 0:
            chosen = part[part.source_id == part.source_id.iloc[0]].sort_values("strength")
        found = gallery.images(path, list(chosen.sample_id))
        shown.append(ImageSet(name, group, len(part), [found[sample_id] for sample_id in chosen.sample_id[:EXAMPLES]]))
    return shown


def _versions(stage: Stage, files: list[Path]) -> dict[str, dict[str, str]]:
    """Versions by stage, from the provenance of Parquet files."""
    made = [read_provenance(path) for path in files]
    found = {content["stage"]: content.get("versions", {}) for content in made if "stage" in content}
    return found | {stage.name: stage.versions}
