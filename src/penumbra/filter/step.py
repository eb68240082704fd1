"""filter: candidates judged by a calibrated detector -> confidence and band of each."""

import sys

import numpy as np
import pandas as pd

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_parquet
from penumbra.calibrators import Calibrator
from penumbra.errors import PenumbraError
from penumbra.filter.bands import bands, histogram, suggestion, third, upper
from penumbra.filter.params import Filter
from penumbra.models.inference import Judge
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.values import BANDS, READINGS

TOO_MANY = 0.3  # share of candidates that pass as ID, above which a word is due


def main(stage: Stage) -> None:
    """Write data/selections/METHOD.parquet (Bad-OOD eq. 8), and in data/selections/METHOD/ the candidates of each band and reading.

    `class_kept` says whether the judges, on average, see the class that a candidate is made from (its label) in it.
    `random` lists all, of which a detector takes as many as the mid band holds.

    Raises:
        PenumbraError: no candidate is in the mid band.
    """
    device = setup()
    calibration = read_json(stage.read("calibration"))
    judge = Judge(stage.read("detectors"), calibration["judges"], device)
    scores, classes = (values.numpy() for values in judge.judged(stage.read("outliers"), calibration["score"]))
    candidates = read_table(stage.read("outliers"), ["sample_id", "label"]).to_pandas()
    frame = select(candidates.sample_id.tolist(), scores, calibration, stage.params.filter[stage.item])
    frame["class_kept"] = classes == candidates.label.to_numpy()
    if not (frame.band == "mid").any():
        raise PenumbraError(_empty(stage, frame.confidence.to_numpy()))
    write_parquet(stage.write(f"selections/{stage.item}"), frame, stage.provenance)
    if (share := frame.accepted.mean()) > TOO_MANY:
        print(
            f"warning: {stage.name}: {share:.0%} of the candidates pass as ID, where 95% of ID images do. They teach a detector to reject "
            "ID. Guide more strongly, or train on bands alone.",
            file=sys.stderr,
        )
    columns = frame[["sample_id", "band", "confidence"]]
    chosen = {band: frame.band == band for band in BANDS} | {reading: frame[reading] for reading in READINGS}
    for name, inside in chosen.items():
        write_parquet(stage.write(f"selections/{stage.item}/{name}"), columns[inside].reset_index(drop=True), stage.provenance)
    write_parquet(stage.write(f"selections/{stage.item}/random"), columns, stage.provenance)
    stage.finish()


def select(sample_ids: list[str], scores: np.ndarray, calibration: dict, p: Filter) -> pd.DataFrame:
    """Confidence, band and readings of each candidate.

    Args:
        sample_ids: of the candidates [N].
        scores: raw log-odds of being OOD by each judge [N, judges].
        calibration: content of data/calibration/DETECTOR.json.
        p: bounds of the bands.

    Returns:
        Columns sample_id, score (mean over judges), confidence (by the calibrator that filters), confidence_NAME (by each), band, and
        band_K, the band by judge K alone; upper and third, whether the candidate is in that reading; accepted, whether it passes as ID.
    """
    score = scores.mean(axis=1)
    maps = {name: Calibrator.from_json(name, content) for name, content in calibration["calibrators"].items()}
    confidence = {f"confidence_{name}": calibrator.probability(score) for name, calibrator in maps.items()}
    chosen = confidence[f"confidence_{calibration['calibrator']}"]
    alone = {f"band_{judge}": bands(maps[calibration["calibrator"]].probability(own), p.mid) for judge, own in enumerate(scores.T)}
    columns = {"sample_id": sample_ids, "score": score, "confidence": chosen} | confidence | {"band": bands(chosen, p.mid)} | alone
    columns |= {"upper": upper(chosen, p.upper), "third": third(score)}
    return pd.DataFrame(columns | {"accepted": score <= calibration["accepts"]})


def _empty(stage: Stage, confidence: np.ndarray) -> str:
    mid = stage.params.filter[stage.item].mid
    return (
        f"params.yaml: filter.{stage.item}.mid = {list(mid)}: none of {len(confidence)} candidates has a confidence in it. "
        f"The middle third of them lies in {suggestion(confidence)}; choose bounds with candidates between them:\n{histogram(confidence)}"
    )
