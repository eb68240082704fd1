"""benchmark: scores of test images -> metrics, tables and plots, with spread over seeds."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from safetensors import safe_open

from penumbra.artifacts.features import read_sample_ids
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_csv, write_json
from penumbra.benchmark import bands, calibrators, claims, curves, evaluation, guided, recognition, shift, unified
from penumbra.benchmark.metrics import METRICS
from penumbra.dataset import data_set
from penumbra.errors import PenumbraError
from penumbra.stage import Stage

Frames = dict[str, pd.DataFrame]


def main(stage: Stage) -> None:
    """Write reports/metrics.json, reports/headline.json, reports/tables/ and reports/plots/."""
    scores = _read_scores(stage)
    score = {name: _headline(stage, frame) for name, frame in scores.items()}
    selections = {name: _read(stage, f"selections/{name}") for name in _items(stage, "selections")}
    outliers = {name: _read_outliers(stage, name) for name in _items(stage, "outliers")}

    metrics = pd.concat(evaluation.evaluate_detector(name, frame) for name, frame in scores.items())
    all_scores = evaluation.spread(metrics, ["detector", "score", "set", "group"], list(METRICS))
    headline = all_scores[all_scores.score == all_scores.detector.map(score)]
    accuracy = pd.concat(evaluation.id_accuracy(name, frame) for name, frame in scores.items())
    accuracy = evaluation.spread(accuracy, ["detector"], ["id_acc"])
    sizes = {name: len(frame) for name, frame in outliers.items()}
    scored = {name: stage.params.train.detectors[name] for name in scores}
    detectors = bands.detectors_table(scored, sizes, selections, headline, accuracy)
    shifted = pd.concat(shift.shift_by_seed(name, frame, score[name]) for name, frame in scores.items())
    shift_summary = evaluation.spread(
        shift.shift_summary(shifted), ["detector", "kind"], ["clean", "strongest", "rank_correlation", "auroc", "accuracy"]
    )
    calibration = {name: read_json(stage.read(f"calibration/{name}")) for name in _items(stage, "calibration")}
    tables = {
        "detectors": detectors,
        "scores": all_scores,
        "bands": bands.bands_table(detectors),
        "calibrators": _concat(
            (
                calibrators.calibrators_table(name, content, selections[name], tuple(stage.params.filter[name].mid))
                for name, content in calibration.items()
            ),
            ["method", "calibrator", "chosen"],
        ),
        "distances": _distances(stage, outliers, selections),
        "shift": shift_summary,
    }
    plots = {
        "roc": _concat(curves.roc_curve(name, frame, score[name]) for name, frame in scores.items()),
        "energy": _concat(curves.score_histogram(name, frame, score[name], stage.params.benchmark.bins) for name, frame in scores.items()),
        "reliability": _concat(
            (calibrators.reliability_curves(name, content) for name, content in calibration.items()),
            ["method", "calibrator", "confidence", "frequency", "count"],
        ),
        "confidence": _concat(
            (calibrators.confidence_histogram(name, frame) for name, frame in selections.items()),
            ["method", "calibrator", "confidence", "count"],
        ),
        "shift": evaluation.spread(shifted, ["detector", "kind", "strength"], list(shift.VALUES)),
    }
    for results in (_unified(stage, scores, outliers), _guided(stage, scores, outliers)):
        tables |= results[0]
        plots |= results[1]
    tables |= _recognition(stage, outliers, selections)
    named = ("distances", "calibrators", "shift", "unified", "strengths")
    tables["claims"] = claims.claims_table(headline, all_scores, _losses(outliers), **{name: tables[name] for name in named})
    results = evaluation.metrics_json(headline, accuracy, data_set(stage.params.prepare.id))
    write_json(stage.write("metrics"), results)
    write_json(stage.write("headline"), evaluation.headline_json(results))
    for folder, frames in {"tables": tables, "plots": plots}.items():
        for name, frame in frames.items():
            write_csv(stage.write(f"{folder}/{name}"), frame)
    stage.finish()


def _unified(stage: Stage, scores: Frames, outliers: Frames) -> tuple[Frames, Frames]:
    """The unified score of classifiers: tables and plots. Detectors of GOOD's kind also along k and a, and by test set."""
    scores = {name: frame for name, frame in scores.items() if not evaluation.is_clip(frame)}
    p, ks = stage.params.benchmark.unified, [stage.params.score.knn_k, *stage.params.score.knn_more]
    setting = unified.Setting(p.mode, p.a, p.bins, p.weight)
    of_good = [name for name in scores if set(guided.STRENGTHS) <= set(outliers.get(bands.method_of(name, list(outliers)), ()))]
    by_seed = _concat(
        (unified.by_seed(name, frame, ks, setting, p.a_grid, name in of_good) for name, frame in scores.items()),
        [*unified.KEYS, "seed", "weight", *unified.METRICS],
    )
    table = evaluation.spread(by_seed, list(unified.KEYS), ["weight", *unified.METRICS])
    shown = (unified.histograms(name, scores[name], ks[0], setting, stage.params.benchmark.bins) for name in of_good)
    return {"unified": table}, {"unified": _concat(shown, ["detector", "score", "set", "group", "position", "density"])}


def _guided(stage: Stage, scores: Frames, outliers: Frames) -> tuple[Frames, Frames]:
    """What guidance made of candidates, and whether detectors see the autoencoder: tables and plots."""
    good = {name: frame for name, frame in outliers.items() if set(guided.STRENGTHS) <= set(frame)}
    edited = {name: frame for name, frame in outliers.items() if set(guided.EDITS) <= set(frame)}
    id_energy = _id_energy(stage) if good else None
    strengths = (guided.strengths_table(name, frame, id_energy) for name, frame in good.items())
    densities = (guided.strengths_density(name, frame, id_energy, max(stage.params.benchmark.bins // 2, 1)) for name, frame in good.items())
    probe = _concat(guided.probe_by_seed(name, frame) for name, frame in scores.items())
    tables = {
        "strengths": _concat(strengths, ["method", "guidance", "rho", "mu", "count", "energy_mean", "energy_std", "knn_mean", "knn_std"]),
        "edits": _concat(
            (guided.edits_table(*item) for item in edited.items()),
            ["method", "stop", "count", "l2_mean", "l2_std", "cosine_mean", "cosine_std"],
        ),
        "probe": evaluation.spread(probe, ["detector", "score", "count"], ["auroc", "accuracy"]),
    }
    return tables, {"strengths": _concat(densities, ["method", "guidance", "panel", "strength", "energy", "density"])}


def _recognition(stage: Stage, outliers: Frames, selections: Frames) -> Frames:
    """What CLIP sees in the candidates of each method that it has features of, and in ID training images."""
    types, diversity = [], []
    if {"features/clip", "features/negatives"} <= set(stage.reads):
        setting, features = stage.params.benchmark.recognition, stage.read("features/clip")
        texts, classes = recognition.texts_of(stage.read("features/negatives"), setting.classes)
        threshold = recognition.threshold_of(recognition.blocks_of(features, "val")(), texts, setting.recognised)
        of_methods = [name for name in outliers if f"features/clip-{name}" in stage.reads]
        seen = [_id_images(features), *(_seen(stage, name, outliers[name], selections.get(name)) for name in of_methods)]
        for images in seen:
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
    path = stage.read(f"features/clip-{method}")
    ids = pd.Series(read_sample_ids(path))
    of_sample = candidates.set_index("sample_id")
    if set(ids) != set(of_sample.index):
        raise PenumbraError(f"{path}: its images are not those of data/outliers/{method}.parquet. Run extract@clip-{method} again.")
    label = of_sample.label.reindex(ids).to_numpy(np.int64)
    band = np.full(len(ids), "") if selection is None else selection.set_index("sample_id").band.reindex(ids).fillna("").to_numpy(str)
    return recognition.Images(method, ids, label, band, recognition.blocks_of(path, "features"))


def _losses(outliers: Frames) -> dict[str, np.ndarray]:
    """OOD losses [N, iterations] of the candidates whose noise was updated, by method."""
    found = {name: np.stack(frame.loss.to_numpy()) for name, frame in outliers.items() if "loss" in frame and len(frame)}
    return {name: losses for name, losses in found.items() if losses.shape[1] > 1}


def _headline(stage: Stage, scores: pd.DataFrame) -> str:
    """The headline score of a detector."""
    return stage.params.benchmark.clip_score if evaluation.is_clip(scores) else stage.params.benchmark.score


def _id_energy(stage: Stage) -> np.ndarray | None:
    """Energies of ID training images under the classifier that guided the samples, where the stage reads it."""
    if {"features/classifier", "models/classifier"} <= set(stage.reads):
        return guided.energy_of_features(stage.read("features/classifier"), stage.read("models/classifier"))
    return None


def _items(stage: Stage, kind: str) -> list[str]:
    """The items that the stage reads of data/KIND/, in alphabetical order."""
    return sorted(name.removeprefix(f"{kind}/") for name in stage.reads if name.startswith(f"{kind}/"))


def _read(stage: Stage, name: str) -> pd.DataFrame:
    return read_table(stage.read(name)).to_pandas()


def _read_outliers(stage: Stage, name: str) -> pd.DataFrame:
    """The measured columns of the candidates, as far as the method has them; no pixels, maps or representations."""
    path = stage.read(f"outliers/{name}")
    wanted = ("sample_id", *bands.DISTANCES, *guided.STRENGTHS, "stop", "label", "loss")
    return read_table(path, [column for column in pq.read_schema(path).names if column in wanted]).to_pandas()


def _read_scores(stage: Stage) -> Frames:
    """Scores of the detectors that the stage reads, in the order of params.yaml; finite. The others are ablations."""
    known, read = list(stage.params.train.detectors), _items(stage, "scores")
    if unknown := set(read) - set(known):
        raise PenumbraError(
            f"params.yaml: train.detectors names {sorted(known)}, but dvc.yaml gives benchmark the scores of {sorted(unknown)}. "
            "Add them, or take their stages out."
        )
    scores = {name: _read(stage, f"scores/{name}") for name in known if name in read}
    for name, frame in scores.items():
        evaluation.check_finite(name, frame)
    return scores


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
