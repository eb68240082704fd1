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
from penumbra.report import clip_figures, figures, gallery, mosaic
from penumbra.report.content import ImageSet, Results
from penumbra.report.page import render
from penumbra.report.sections import PIPELINES
from penumbra.stage import Stage

TABLES = ("detectors", "scores", "bands", "calibrators", "distances", "shift", "claims", "unified", "strengths", "edits", "probe")
TABLES += ("types", "diversity")
PLOTS = ("roc", "energy", "reliability", "confidence", "shift", "unified", "strengths")
KINDS = ("original", "masked", "repainted", "drawn")  # of samples of an in-painting pipeline, in this order
EXAMPLES = 8  # images shown of each set: as many as a shift has strengths
LARGE = ("image", "cam", "masks", "path", "frames", "representation")  # columns of candidates that are not held in memory


def main(stage: Stage) -> None:
    """Write reports/figures/*.svg and reports/report.html."""
    tables, plots = (
        {name: _csv(stage.read(f"{folder}/{name}")) for name in names} for folder, names in (("tables", TABLES), ("plots", PLOTS))
    )
    candidates = {method: _candidates(stage.read(f"outliers/{method}")) for method in _items(stage, "outliers")}
    selected = [method for method in candidates if f"selections/{method}" in stage.reads]
    galleries = {method: _gallery(stage, method, candidates[method]) for method in selected}
    negatives = read_negative_labels(stage.read("features/negatives")) if "features/negatives" in stage.reads else []
    drawn = _figures(stage, tables, plots, galleries) | _pictures(stage, candidates, [negative.word for negative in negatives])
    cost = "benchmarks/cost" in stage.reads
    results = Results(
        params=stage.params,
        tables=tables,
        plots=plots,
        sets=[shown for name in _items(stage, "images") for shown in _sets(stage.read(f"images/{name}"))],
        histories={name: _csv(path) for name, path in _histories(stage).items() if path.exists()},
        samples={model: _samples(stage.read(f"models/{model}")) for model in PIPELINES if f"models/{model}" in stage.reads},
        negatives=negatives,
        contexts=read_rows(stage.read("features/contexts")) if "features/contexts" in stage.reads else [],
        candidates=candidates,
        galleries=galleries,
        figures=drawn,
        cost=_csv(stage.read("benchmarks/cost")) if cost else None,
        clip_cost=_csv(stage.read("benchmarks/clip_cost")) if "benchmarks/clip_cost" in stage.reads else None,
        machine=read_json(stage.read("benchmarks/machine")) if cost else None,
        versions=_versions(stage),
    )
    with replace(stage.write("figures")) as temporary:
        temporary.mkdir()
        for name, content in drawn.items():
            (temporary / f"{name}.svg").write_bytes(content)
    with replace(stage.write("report")) as temporary:
        temporary.write_text(render(results), encoding="utf-8")
    stage.finish()


def _items(stage: Stage, kind: str) -> list[str]:
    return [name.removeprefix(f"{kind}/") for name in stage.reads if name.startswith(f"{kind}/")]


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "none" and "null" are names


def _candidates(path: Path) -> pd.DataFrame:
    return read_table(path, [name for name in pq.read_schema(path).names if name not in LARGE]).to_pandas()


def _histories(stage: Stage) -> dict[str, Path]:
    """Where each model has its history; an imported one has none."""
    return {name: stage.read(f"models/{name}") / "history.csv" for name in _items(stage, "models")}


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


def _gallery(stage: Stage, method: str, candidates: pd.DataFrame) -> list[gallery.Pair]:
    selection = read_table(stage.read(f"selections/{method}")).to_pandas()
    paths = stage.read(f"outliers/{method}"), stage.read("images/train")
    return gallery.pairs(selection, candidates[["sample_id", "source_id"]], *paths, count=stage.params.report.gallery)


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
        "strength-grid": (figures.strength_grid, tables["strengths"]),
        "edits": (figures.edits, tables["edits"]),
        "unified": (figures.unified, curves[curves.detector == curves.detector.iloc[0]] if len(curves) else curves),
        "scores": (figures.score_histograms, plots["unified"][plots["unified"].detector == plots["unified"].detector.min()]),
    }
    drawn |= {name: draw(frame) for name, (draw, frame) in optional.items() if len(frame)}
    if len(tables["types"]):
        drawn["types"] = clip_figures.types(tables["types"], tables["diversity"])
    if galleries:
        drawn["gallery"] = gallery.figure(next(iter(galleries.values())))
    return drawn


def _pictures(stage: Stage, candidates: dict[str, pd.DataFrame], negatives: list[str]) -> dict[str, bytes]:
    """The figures of images: GOOD's by strength and under Grad-CAM, SONA's and SynOOD's from ID image to outlier."""
    drawn, updated = {}, {}
    for method, frame in candidates.items():
        kind, path = stage.params.synthesize[method].method, stage.read(f"outliers/{method}")
        if kind == "good":
            drawn |= {f"{method}-strengths": mosaic.strengths(frame, path), f"{method}-cams": mosaic.heatmaps(frame, path)}
        elif kind == "sona" and (picture := mosaic.edits(frame, path, stage.read("images/train"))):
            drawn[f"{method}-edits"] = picture
        elif kind == "synood":
            if len(frame.energies.iloc[0]) > 1:
                updated[method] = frame
            shown, features = clip_figures.illustrated(path), f"features/clip-{method}"
            known = shown and negatives and features in stage.reads
            nearest = clip_figures.matched(stage.read(features), stage.read("features/negatives"), negatives, shown) if known else {}
            if shown and (picture := clip_figures.pairs(path, stage.read("images/train"), shown, nearest)):
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


def _versions(stage: Stage) -> dict[str, dict[str, str]]:
    """Versions by stage, from the provenance of every Parquet input."""
    made = [read_provenance(path) for path in stage.reads.values() if path.suffix == ".parquet"]
    found = {content["stage"]: content.get("versions", {}) for content in made if "stage" in content}
    return found | {stage.name: stage.versions}
