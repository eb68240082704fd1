"""benchmark: scores of test images -> metrics, tables and plots, with spread over seeds."""

from collections.abc import Iterable

import pandas as pd
import pyarrow.parquet as pq

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_csv, write_json
from penumbra.benchmark import bands, calibrators, claims, curves, evaluation, shift
from penumbra.benchmark.metrics import METRICS
from penumbra.errors import PenumbraError
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write reports/metrics.json, reports/tables/ and reports/plots/."""
    score = stage.params.benchmark.score
    scores = _read_scores(stage)
    selections = {name: _read(stage, f"selections/{name}") for name in _items(stage, "selections")}

    metrics = pd.concat(evaluation.evaluate_detector(name, frame) for name, frame in scores.items())
    all_scores = evaluation.spread(metrics, ["detector", "score", "set", "group"], list(METRICS))
    headline = all_scores[all_scores.score == score]
    accuracy = pd.concat(evaluation.id_accuracy(name, frame) for name, frame in scores.items())
    accuracy = evaluation.spread(accuracy, ["detector"], ["id_acc"])
    detectors = bands.detectors_table(stage.params.train.detectors, selections, headline, accuracy)
    shifted = pd.concat(shift.shift_by_seed(name, frame, score) for name, frame in scores.items())
    shift_summary = evaluation.spread(
        shift.shift_summary(shifted), ["detector", "kind"], ["clean", "strongest", "rank_correlation", "auroc", "accuracy"]
    )
    distances = pd.concat(_distances(stage, selections))
    calibration = {name: read_json(stage.read(f"calibration/{name}")) for name in _items(stage, "calibration")}
    calibrator_table = _concat(
        calibrators.calibrators_table(name, content, selections[name], tuple(stage.params.filter[name].mid))
        for name, content in calibration.items()
    )

    write_json(stage.write("metrics"), evaluation.metrics_json(headline, accuracy))
    tables = {
        "detectors": detectors,
        "scores": all_scores,
        "bands": bands.bands_table(detectors),
        "calibrators": calibrator_table,
        "distances": distances,
        "shift": shift_summary,
        "claims": claims.claims_table(headline, distances, calibrator_table, shift_summary),
    }
    plots = {
        "roc": _concat(curves.roc_curve(name, frame, score) for name, frame in scores.items()),
        "energy": _concat(curves.score_histogram(name, frame, score, stage.params.benchmark.bins) for name, frame in scores.items()),
        "reliability": _concat(calibrators.reliability_curves(name, content) for name, content in calibration.items()),
        "confidence": _concat(calibrators.confidence_histogram(name, frame) for name, frame in selections.items()),
        "shift": evaluation.spread(shifted, ["detector", "kind", "strength"], list(shift.VALUES)),
    }
    for folder, frames in {"tables": tables, "plots": plots}.items():
        for name, frame in frames.items():
            write_csv(stage.write(f"{folder}/{name}"), frame)
    stage.finish()


def _items(stage: Stage, kind: str) -> list[str]:
    """The items that the stage reads of data/KIND/, in alphabetical order."""
    return sorted(name.removeprefix(f"{kind}/") for name in stage.reads if name.startswith(f"{kind}/"))


def _read(stage: Stage, name: str) -> pd.DataFrame:
    return read_table(stage.read(name)).to_pandas()


def _read_scores(stage: Stage) -> dict[str, pd.DataFrame]:
    """Scores by detector, in the order of params.yaml; finite."""
    detectors, read = list(stage.params.train.detectors), _items(stage, "scores")
    if set(detectors) != set(read):
        raise PenumbraError(
            f"params.yaml: train.detectors names {sorted(detectors)}, but dvc.yaml gives benchmark the scores of {read}. Make them equal."
        )
    scores = {name: _read(stage, f"scores/{name}") for name in detectors}
    for name, frame in scores.items():
        evaluation.check_finite(name, frame)
    return scores


def _distances(stage: Stage, selections: dict[str, pd.DataFrame]) -> Iterable[pd.DataFrame]:
    samples, seed = stage.params.benchmark.distance_samples, stage.params.common.seed
    for name, selection in selections.items():
        outliers = pq.read_table(stage.read(f"outliers/{name}"), columns=["sample_id", *bands.DISTANCES]).to_pandas()
        yield bands.distances_table(name, outliers, selection, samples, seed)


def _concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)
