"""report: tables, plots and candidates -> figures, tables for papers and one page for a person."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.tables import read_json
from penumbra.report import ablations, convergence, figures, gallery, grid, mosaic, own, paper, study, unified
from penumbra.report.content import Frames, ImageSet, Results, read_csv
from penumbra.report.page import render
from penumbra.report.sections.pretrain import PIPELINES
from penumbra.report.style import Drawn
from penumbra.stage import Stage

KINDS = ("original", "masked", "repainted", "decoded", "drawn")  # of samples of what is shown an image, in this order
EXAMPLES = 8  # images shown of each set: as many as a shift has strengths
IMAGES = ("train", "val", "test", "calibration", "world", "ood", "shifted")


def main(stage: Stage) -> None:
    """Write reports/figures/*.{svg,pdf}, reports/paper/*.{md,tex} and reports/report.html."""
    tables, plots = ({path.stem: read_csv(path) for path in sorted(stage.read(folder).glob("*.csv"))} for folder in ("tables", "plots"))
    params = stage.params
    outliers, candidates = stage.within("outliers", params.synthesize), own.candidates(stage)
    selections = {method: path for method, path in stage.within("selections", params.filter).items() if method in candidates}
    far = own.far(stage, candidates)
    galleries = {
        method: _gallery(stage, candidates[method].assign(far=far[method]), outliers[method], path) for method, path in selections.items()
    }
    drawn = _figures(stage, tables, plots, galleries) | own.figures(stage, tables, plots, candidates)
    studied = study.read(stage, tables["claims"])
    drawn |= {"study": study.figure(studied["claims"])} if studied else {}
    images = stage.within("images", IMAGES)
    models = {model: stage.read("models") / model for model in params.pretrain}
    histories = _histories(models)
    drawn |= convergence.figures(histories, _histories(stage.within("detectors", params.train.detectors, suffix="")))
    results = Results(
        params=params,
        tables=tables,
        plots=plots,
        sets=[shown for path in images.values() for shown in _sets(path)],
        histories=histories,
        samples={model: _samples(models[model]) for model in PIPELINES if model in models},
        candidates=candidates,
        own=own.read(stage),
        galleries=galleries,
        study=studied,
        figures=drawn,
        cost=read_csv(stage.read("benchmarks/cost")),
        machine=read_json(stage.read("benchmarks/machine")),
        versions=_versions(stage, [*images.values(), *outliers.values(), *selections.values()]),
    )
    with replace(stage.write("figures")) as temporary:
        temporary.mkdir()
        for name, content in drawn.items():
            for suffix, data in content.files.items():
                (temporary / f"{name}.{suffix}").write_bytes(data)
    with replace(stage.write("paper")) as temporary:
        temporary.mkdir()
        paper.write(temporary, tables, studied)
    with replace(stage.write("report")) as temporary:
        temporary.write_text(render(results), encoding="utf-8")
    stage.finish()


def _histories(folders: dict[str, Path]) -> Frames:
    """history.csv of what was trained here, by the names of its folders."""
    return {name: read_csv(path / "history.csv") for name, path in folders.items() if (path / "history.csv").exists()}


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


def _gallery(stage: Stage, candidates: pd.DataFrame, outliers: Path, selection: Path) -> gallery.Gallery:
    known = candidates[["sample_id", "source_id", "label", "far"]]
    train = stage.read("images") / "train.parquet"
    return gallery.gallery(read_table(selection).to_pandas(), known, outliers, train, count=stage.params.report.gallery)


def _figures(stage: Stage, tables: Frames, plots: Frames, galleries: dict[str, gallery.Gallery]) -> dict[str, Drawn]:
    """The figures that all methods share; those of what is not in the experiment are left out."""
    drawn = {
        "bands": figures.bands(tables["detectors"]),
        "roc": figures.roc(plots["roc"]),
        "headline": figures.headline(plots["headline"]),
        "shift": figures.shift(plots["shift"]),
        "dag": Drawn(stage.read("docs/dag").read_bytes()),
    }
    calibrators = tables["calibrators"]
    if len(calibrators):
        mid = {method: tuple(section.mid) for method, section in stage.params.filter.items()}
        drawn["reliability"] = figures.reliability(plots["reliability"])
        drawn["confidence"] = figures.confidence(plots["confidence"], calibrators.calibrator[calibrators.chosen].iloc[0], mid)
    if len(tables["distances"]):
        drawn["distances"] = figures.distances(tables["distances"])
    drawn |= {f"{method}-gallery": gallery.figure(shown) for method, shown in galleries.items()}
    drawn |= unified.figures(tables["unified"], plots["unified"]) | grid.figures(tables)
    return drawn | (ablations.figures(tables["ablations"]) if "ablations" in tables else {})


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
