"""filter: candidates judged by a calibrated detector -> confidence and band of each."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_parquet
from penumbra.calibrators import Calibrator
from penumbra.errors import PenumbraError
from penumbra.filter import vetoes
from penumbra.filter.bands import bands, histogram, suggestion, third, upper
from penumbra.filter.judging import judged
from penumbra.filter.params import Filter
from penumbra.models.inference import Judge
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.values import BANDS, READINGS

TOO_MANY = 0.3  # share of candidates that pass as ID, above which a word is due


def main(stage: Stage) -> None:
    """Write data/selections/METHOD.parquet (Bad-OOD eq. 8), and in data/selections/METHOD/ the candidates of each band and reading.

    `class_kept` says whether the judges, on average, see the class that a candidate is made from (its label) in it.
    `kept` lists all, and so does `random`, of which a detector takes as many as the mid band holds. A vetoed candidate is in none of these
    files: how it was judged stands beside the provenance of the first, under `vetoed`.

    Raises:
        PenumbraError: no candidate is in the mid band; a veto is of no candidate, or cannot be read.
    """
    device = setup()
    p, calibration = stage.params.filter[stage.item], read_json(stage.read("calibration"))
    candidates = read_table(stage.read("outliers"), ["sample_id", "label"]).to_pandas()
    kept = _kept(stage, candidates.sample_id)
    judge = Judge(stage.read("detectors"), calibration["judges"], device)
    scores, classes = judged(judge, stage.read("outliers"), calibration["score"], p.sees or "image")
    frame = select(candidates.sample_id[kept].tolist(), scores[kept], calibration, p)
    frame["class_kept"] = (classes == candidates.label.to_numpy())[kept]
    if not (frame.band == "mid").any():
        raise PenumbraError(_empty(stage, frame.confidence.to_numpy()))
    provenance = stage.provenance
    if p.veto:
        vetoed = select(candidates.sample_id[~kept].tolist(), scores[~kept], calibration, p)
        provenance |= {vetoes.VETOED: vetoed[["sample_id", "band", "confidence"]].to_dict("records")}
    write_parquet(stage.write(f"selections/{stage.item}"), frame, provenance)
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
    for name in ("kept", "random"):
        write_parquet(stage.write(f"selections/{stage.item}/{name}"), columns, stage.provenance)
    stage.finish()


def _kept(stage: Stage, sample_ids: pd.Series) -> np.ndarray:
    """Mask [N] of the candidates that nobody has vetoed.

    Raises:
        PenumbraError: a veto is of no candidate, or cannot be read; or all candidates are vetoed.
    """
    if not (veto := stage.params.filter[stage.item].veto):
        return np.ones(len(sample_ids), bool)
    path = Path(veto)
    found = vetoes.read(path)
    vetoes.check(path, found, {sample_id: row for row, sample_id in enumerate(sample_ids)}, stage.read("outliers"))
    if len(found) == len(sample_ids):
        raise PenumbraError(f"{path}: vetoes all of {len(sample_ids)} candidates of {stage.read('outliers')}. Take some lines out.")
    print(f"{stage.name}: {path} vetoes {len(found)} of {len(sample_ids)} candidates")
    return ~sample_ids.isin(found.keys()).to_numpy()


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
    p = stage.params.filter[stage.item]
    left = f" that {p.veto} leaves" if p.veto else ""
    return (
        f"params.yaml: filter.{stage.item}.mid = {list(p.mid)}: none of {len(confidence)} candidates{left} has a confidence in it. "
        f"The middle third of them lies in {suggestion(confidence)}; choose bounds with candidates between them:\n{histogram(confidence)}"
    )
