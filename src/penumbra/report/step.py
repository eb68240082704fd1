"""report: tables, plots and candidates -> figures and one page for a person."""

from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.tables import read_json
from penumbra.report import figures, gallery
from penumbra.report.content import ImageSet, Results
from penumbra.report.page import render
from penumbra.stage import Stage

TABLES = ("detectors", "scores", "bands", "calibrators", "distances", "shift", "claims")
PLOTS = ("roc", "energy", "reliability", "confidence", "shift")
EXAMPLES = 8  # images shown of each set: as many as a shift has strengths


def main(stage: Stage) -> None:
    """Write reports/figures/*.svg and reports/report.html."""
    tables, plots = (
        {name: _csv(stage.read(f"{folder}/{name}")) for name in names} for folder, names in (("tables", TABLES), ("plots", PLOTS))
    )
    candidates = {method: read_table(stage.read(f"outliers/{method}"), _columns()).to_pandas() for method in _items(stage, "outliers")}
    galleries = {method: _gallery(stage, method, frame) for method, frame in candidates.items()}
    drawn = _figures(stage, tables, plots, galleries)
    cost = "benchmarks/cost" in stage.reads
    results = Results(
        params=stage.params,
        tables=tables,
        plots=plots,
        sets=[shown for name in _items(stage, "images") for shown in _sets(name, stage.read(f"images/{name}"))],
        histories={name: _csv(stage.read(f"models/{name}") / "history.csv") for name in _items(stage, "models")},
        candidates=candidates,
        galleries=galleries,
        figures=drawn,
        cost=_csv(stage.read("benchmarks/cost")) if cost else None,
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


def _columns() -> list[str]:
    return ["sample_id", "source_id", "scale", "displacement", "minority_before", "minority_after"]


def _gallery(stage: Stage, method: str, candidates: pd.DataFrame) -> list[gallery.Pair]:
    selection = read_table(stage.read(f"selections/{method}")).to_pandas()
    paths = stage.read(f"outliers/{method}"), stage.read("images/train")
    return gallery.pairs(selection, candidates[["sample_id", "source_id", "scale"]], *paths, count=stage.params.report.gallery)


def _figures(stage: Stage, tables: dict, plots: dict, galleries: dict) -> dict[str, bytes]:
    table = tables["calibrators"]
    mid = {method: tuple(section.mid) for method, section in stage.params.filter.items()}
    return {
        "bands": figures.bands(tables["detectors"]),
        "roc": figures.roc(plots["roc"]),
        "energy": figures.energy(plots["energy"]),
        "reliability": figures.reliability(plots["reliability"]),
        "confidence": figures.confidence(plots["confidence"], table.calibrator[table.chosen].iloc[0], mid),
        "distances": figures.distances(tables["distances"]),
        "shift": figures.shift(plots["shift"]),
        "gallery": gallery.figure(next(iter(galleries.values()))),
        "dag": stage.read("docs/dag").read_bytes(),
    }


def _sets(file: str, path: Path) -> list[ImageSet]:
    """Every set of an image file with examples: evenly spaced, or one image in every strength."""
    rows = read_table(path, ["sample_id", "source_id", "set", "group", "strength"]).to_pandas()
    shown = []
    for (group, name), part in rows.groupby(["group", "set"], sort=False):
        chosen = part.iloc[np.unique(np.linspace(0, len(part) - 1, EXAMPLES).astype(int))]
        if part.strength.max() > 0:
            chosen = part[part.source_id == part.source_id.iloc[0]].sort_values("strength")
        found = gallery.images(path, list(chosen.sample_id))
        shown.append(ImageSet(file, name, group, len(part), [found[sample_id] for sample_id in chosen.sample_id[:EXAMPLES]]))
    return shown


def _versions(stage: Stage) -> dict[str, dict[str, str]]:
    """Versions by stage, from the provenance of every Parquet input."""
    made = [read_provenance(path) for path in stage.reads.values() if path.suffix == ".parquet"]
    found = {content["stage"]: content.get("versions", {}) for content in made if "stage" in content}
    return found | {stage.name: stage.versions}
