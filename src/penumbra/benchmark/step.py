"""benchmark: scores of test images -> metrics, tables and plots, with spread over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from safetensors import safe_open

from penumbra.artifacts.features import read_sample_ids
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_csv, write_json
from penumbra.benchmark import ablations, bands, calibrators, claims, curves, evaluation, guided, recognition, shift, unified
from penumbra.benchmark.metrics import METRICS
from penumbra.dataset import data_set
from penumbra.errors import PenumbraError
from penumbra.stage import Stage

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Found:
    """What the experiment has made, by the names of params.yaml; what else lies on the disk is not looked at.

    Attributes:
        scores: rows of data/scores by detector.
        outliers, selections: measured columns of data/outliers, rows of data/selections, by method.
        calibration: content of data/calibration, by the method whose detector it is of.
        probes: rows of data/probes by control.
    """

    scores: Frames
    outliers: Frames
    selections: Frames
    calibration: dict[str, dict]
    probes: Frames


def main(stage: Stage) -> None:
    """Write reports/headline.json, reports/metrics.json, reports/tables/ and reports/plots/."""
    found = _found(stage)
    metrics = pd.concat(evaluation.evaluate_detector(name, frame) for name, frame in found.scores.items())
    all_scores = evaluation.spread(metrics, ["detector", "score", "set", "group"], list(METRICS))
    chosen = {name: _headline(stage, name) for name in found.scores}
    headline = all_scores[all_scores.score == all_scores.detector.map(chosen)]
    accuracy = pd.concat(evaluation.id_accuracy(name, frame) for name, frame in found.scores.items())
    accuracy = evaluation.spread(accuracy, ["detector"], ["id_acc"])
    sizes = {name: len(frame) for name, frame in found.outliers.items()}
    detectors = bands.detectors_table(dict(stage.params.train.detectors.items()), sizes, found.selections, headline, accuracy)
    tables = {"detectors": detectors, "scores": all_scores, "bands": bands.bands_table(detectors)}
    tables["distances"] = _distances(stage, found.outliers, found.selections)
    plots = {
        "roc": _concat(curves.roc_curve(name, frame, chosen[name]) for name, frame in found.scores.items()),
        "energy": _concat(
            curves.score_histogram(name, frame, chosen[name], stage.params.benchmark.bins) for name, frame in found.scores.items()
        ),
    }
    for results in (_calibration(stage, found), _shift(found, chosen), _unified(stage, found), _guided(stage, found)):
        tables |= results[0]
        plots |= results[1]
    tables |= _recognition(stage, found)
    named = ("distances", "calibrators", "shift", "unified", "strengths")
    tables["claims"] = claims.claims_table(headline, all_scores, _losses(found.outliers), **{name: tables[name] for name in named})
    if len(stage.params.benchmark.ablations):
        tables["ablations"] = ablations.table(stage, found.scores)
    content = evaluation.metrics_json(headline, accuracy, data_set(stage.params.prepare.id))
    write_json(stage.write("metrics"), content)
    write_json(stage.write("headline"), evaluation.headline_json(content))
    for folder, frames in {"tables": tables, "plots": plots}.items():
        with replace(stage.write(folder)) as temporary:
            temporary.mkdir()
            for name, frame in frames.items():
                write_csv(temporary / f"{name}.csv", frame)
    stage.finish()


def _found(stage: Stage) -> Found:
    params, detectors = stage.params, stage.params.train.detectors
    scores = {name: read_table(path).to_pandas() for name, path in stage.within("scores", detectors).items()}
    for name, frame in scores.items():
        evaluation.check_finite(name, frame)
    calibration = {detectors[name].method: read_json(path) for name, path in stage.within("calibration", params.calibrate, ".json").items()}
    return Found(
        scores=scores,
        outliers={name: _outliers(path) for name, path in stage.within("outliers", params.synthesize).items()},
        selections={name: read_table(path).to_pandas() for name, path in stage.within("selections", params.filter).items()},
        calibration=calibration,
        probes={name: read_table(path).to_pandas() for name, path in stage.within("probes", params.controls).items()},
    )


def _calibration(stage: Stage, found: Found) -> tuple[Frames, Frames]:
    """How well scores become probabilities, and what each calibrator would keep of the candidates."""
    judged = {name: content for name, content in found.calibration.items() if name in found.selections}
    table = (
        calibrators.calibrators_table(name, content, found.selections[name], tuple(stage.params.filter[name].mid))
        for name, content in judged.items()
    )
    reliability = (calibrators.reliability_curves(name, content) for name, content in found.calibration.items())
    confidence = (calibrators.confidence_histogram(name, frame) for name, frame in found.selections.items())
    plots = {
        "reliability": _concat(reliability, ["method", "calibrator", "confidence", "frequency", "count"]),
        "confidence": _concat(confidence, ["method", "calibrator", "confidence", "count"]),
    }
    return {"calibrators": _concat(table, ["method", "calibrator", "chosen"])}, plots


def _shift(found: Found, chosen: dict[str, str]) -> tuple[Frames, Frames]:
    """What covariate shift does to each detector."""
    shifted = pd.concat(shift.shift_by_seed(name, frame, chosen[name]) for name, frame in found.scores.items())
    values = ["clean", "strongest", "rank_correlation", "auroc", "accuracy"]
    table = evaluation.spread(shift.shift_summary(shifted), ["detector", "kind"], values)
    return {"shift": table}, {"shift": evaluation.spread(shifted, ["detector", "kind", "strength"], list(shift.VALUES))}


def _unified(stage: Stage, found: Found) -> tuple[Frames, Frames]:
    """The unified score of classifiers: tables and plots. Detectors of GOOD's kind also along k and a, and by test set."""
    scores = {name: frame for name, frame in found.scores.items() if not evaluation.is_clip(stage, name)}
    p, ks = stage.params.benchmark.unified, [stage.params.score.knn_k, *stage.params.score.knn_more]
    setting = unified.Setting(p.mode, p.a, p.bins, p.weight)
    of_good = [name for name in scores if _kind(stage, stage.params.train.detectors[name].method) == "good"]
    by_seed = _concat(
        (unified.by_seed(name, frame, ks, setting, p.a_grid, name in of_good) for name, frame in scores.items()),
        [*unified.KEYS, "seed", "weight", *unified.METRICS],
    )
    table = evaluation.spread(by_seed, list(unified.KEYS), ["weight", *unified.METRICS])
    shown = (unified.histograms(name, scores[name], ks[0], setting, stage.params.benchmark.bins) for name in of_good)
    return {"unified": table}, {"unified": _concat(shown, ["detector", "score", "set", "group", "position", "density"])}


def _guided(stage: Stage, found: Found) -> tuple[Frames, Frames]:
    """What guidance made of candidates, and whether detectors see the autoencoder: tables and plots."""
    good = {name: frame for name, frame in found.outliers.items() if _kind(stage, name) == "good"}
    edited = {name: frame for name, frame in found.outliers.items() if _kind(stage, name) == "sona"}
    id_energy = (
        guided.energy_of_features(stage.read("features") / "classifier.safetensors", stage.read("models") / "classifier") if good else None
    )
    strengths = (guided.strengths_table(name, frame, id_energy) for name, frame in good.items())
    densities = (guided.strengths_density(name, frame, id_energy, max(stage.params.benchmark.bins // 2, 1)) for name, frame in good.items())
    probe = _concat(
        (guided.probe_by_seed(control, found.probes[control], found.scores) for control in found.probes),
        ["detector", "control", "score", "count", "seed", "auroc", "accuracy"],
    )
    tables = {
        "strengths": _concat(strengths, ["method", "guidance", "rho", "mu", "count", "energy_mean", "energy_std", "knn_mean", "knn_std"]),
        "edits": _concat(
            (guided.edits_table(*item) for item in edited.items()),
            ["method", "stop", "count", "l2_mean", "l2_std", "cosine_mean", "cosine_std"],
        ),
        "probe": evaluation.spread(probe, ["detector", "control", "score", "count"], ["auroc", "accuracy"]),
    }
    return tables, {"strengths": _concat(densities, ["method", "guidance", "panel", "strength", "energy", "density"])}


def _recognition(stage: Stage, found: Found) -> Frames:
    """What CLIP sees in the candidates of each method and in ID training images, where the experiment has CLIP."""
    types, diversity = [], []
    features, negatives = (stage.read("features") / name for name in ("clip.safetensors", "negatives.safetensors"))
    if "clip" in stage.params.pretrain and "negatives" in stage.params.extract:
        setting = stage.params.benchmark.recognition
        texts, classes = recognition.texts_of(negatives, setting.classes)
        threshold = recognition.threshold_of(recognition.blocks_of(features, "val")(), texts, setting.recognised)
        seen = [_seen(stage, name, frame, found.selections.get(name)) for name, frame in found.outliers.items() if len(frame)]
        for images in [_id_images(features), *seen]:
            rows = recognition.rows_of(images, texts, classes, threshold, setting.samples, stage.params.common.seed)
            types += rows[0]
            diversity += rows[1]
    return {
        "types": pd.DataFrame(types, columns=list(recognition.TYPE_COLUMNS)),
        "diversity": pd.DataFrame(diversity, columns=list(recognition.DIVERSITY_COLUMNS)),
    }


def _id_images(path: Path) -> recognition.Images:
    """ID training images, from data/features/clip.safetensors."""
    with safe_open(path, "numpy") as file:
        label = file.get_tensor("train_label").astype(np.int64)
    ids = pd.Series([f"{recognition.REFERENCE}/{row}" for row in range(len(label))])
    return recognition.Images(recognition.REFERENCE, ids, label, np.full(len(label), ""), recognition.blocks_of(path, "train"))


def _seen(stage: Stage, method: str, candidates: pd.DataFrame, selection: pd.DataFrame | None) -> recognition.Images:
    """The candidates of a method, in the order of their CLIP features."""
    path = stage.read("features") / f"candidates/{method}.safetensors"
    ids = pd.Series(read_sample_ids(path))
    of_sample = candidates.set_index("sample_id")
    if set(ids) != set(of_sample.index):
        raise PenumbraError(f"{path}: its images are not those of data/outliers/{method}.parquet. Run `dvc repro` to make it again.")
    label = of_sample.label.reindex(ids).to_numpy(np.int64)
    band = np.full(len(ids), "") if selection is None else selection.set_index("sample_id").band.reindex(ids).fillna("").to_numpy(str)
    return recognition.Images(method, ids, label, band, recognition.blocks_of(path, "features"))


def _losses(outliers: Frames) -> dict[str, np.ndarray]:
    """OOD losses [N, iterations] of the candidates whose noise was updated, by method."""
    found = {name: np.stack(frame.loss.to_numpy()) for name, frame in outliers.items() if "loss" in frame and len(frame)}
    return {name: losses for name, losses in found.items() if losses.shape[1] > 1}


def _kind(stage: Stage, method: str) -> str | None:
    """badood | good | sona | synood; None for no outliers."""
    return stage.params.synthesize[method].method if method in stage.params.synthesize else None


def _headline(stage: Stage, detector: str) -> str:
    """The headline score of a detector."""
    return stage.params.benchmark.clip_score if evaluation.is_clip(stage, detector) else stage.params.benchmark.score


def _outliers(path: Path) -> pd.DataFrame:
    """The measured columns of the candidates, as far as the method has them; no pixels, maps or representations."""
    wanted = ("sample_id", *bands.DISTANCES, *guided.STRENGTHS, "stop", "label", "loss")
    return read_table(path, [column for column in pq.read_schema(path).names if column in wanted]).to_pandas()


def _distances(stage: Stage, outliers: Frames, selections: Frames) -> pd.DataFrame:
    """Feature distances by band, of the methods that have both."""
    samples, seed = stage.params.benchmark.distance_samples, stage.params.common.seed
    both = [name for name in selections if set(bands.DISTANCES) & set(outliers.get(name, ()))]
    frames = (bands.distances_table(name, outliers[name], selections[name], samples, seed) for name in both)
    return _concat(frames, ["method", "band", "drawn", "distance", "count", "mean", "std", "sem"])


def _concat(frames: Iterable[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    """All rows; where there is no frame, an empty one of these columns."""
    found = list(frames)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(columns))
