"""The tables of a study: what several runs, each of other generator seeds, say together.

The folder of a study holds CSV files, to which each finished run adds its rows:

- runs.csv: common_seed, data, state (digest of code and parameters), kernels, processor, seconds.
- seeds.csv: common_seed, and the rows of reports/tables/seeds.csv.
- pairs.csv: common_seed, and the rows of reports/tables/pairs.csv.

and what `merge` makes of them: detectors.csv and claims.csv.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.artifacts.tables import write_csv
from penumbra.benchmark.claims import METRICS, NOT_CLAIMED, read
from penumbra.benchmark.intervals import effect, holm

RUNS, SEEDS, PAIRS, DETECTORS, CLAIMS = "runs", "seeds", "pairs", "detectors", "claims"
RUN = ("common_seed", "data", "state", "kernels", "processor", "seconds")
EFFECT = ("paper", "difference", "low", "high", "p", "p_holm", "detectable", "verdict", "generator_seeds", "training_seeds")


def read_rows(folder: Path, name: str) -> pd.DataFrame:
    """A file of a study; no rows where there is none."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return pd.DataFrame(columns=list(RUN) if name == RUNS else ["common_seed"])
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def add(folder: Path, run: dict, seeds: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Add the rows of a finished run, in place of older ones of the same seed; `run` is a row of runs.csv, which comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    key = run["common_seed"]
    for name, rows in {SEEDS: seeds, PAIRS: pairs, RUNS: pd.DataFrame([run], columns=list(RUN))}.items():
        if name != RUNS:
            rows = rows.assign(common_seed=key)[["common_seed", *rows.columns]]
        before = read_rows(folder, name)
        kept = before[before.common_seed != key]
        joined = pd.concat([kept, rows]) if len(kept) else rows
        write_csv(folder / f"{name}.csv", joined.sort_values("common_seed", kind="stable"))


def merge(folder: Path) -> None:
    """Write detectors.csv and claims.csv, of all the runs that are there."""
    write_csv(folder / f"{DETECTORS}.csv", detectors_table(read_rows(folder, SEEDS)))
    write_csv(folder / f"{CLAIMS}.csv", claims_table(read_rows(folder, PAIRS)))


def detectors_table(seeds: pd.DataFrame) -> pd.DataFrame:
    """Rows detector, score, then MEASURE, MEASURE_low and MEASURE_high: the mean and its 95% interval over generator and training seeds.

    All measures are shares: an interval ends at 0 and at 1.
    """
    measures = [column for column in seeds.columns if column not in ("common_seed", "detector", "score", "seed")]
    rows = []
    for (detector, score), part in seeds.groupby(["detector", "score"], sort=False):
        row = {"detector": detector, "score": score}
        for measure in measures:
            found = effect(_groups(part, measure))
            low, high = np.clip([found.low, found.high], 0, 1)
            row |= {measure: found.value, f"{measure}_low": low, f"{measure}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def claims_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rows claim, about, source, measure, *EFFECT: one for each measure of each claim.

    `paper` is the difference that the paper prints, oriented likewise. `p_holm` is p after Holm's correction for all rows of the same
    paper and subject.
    """
    printed = {claim.text: claim for claim in read()}
    rows = []
    for (claim, about, source, measure), part in pairs.groupby(["claim", "about", "source", "measure"], sort=False, dropna=False):
        groups = _groups(part, "difference")
        found = effect(groups)
        row = {"claim": claim, "about": about, "source": source, "measure": measure, "paper": _paper(printed.get(claim), measure)}
        row |= {"difference": found.value, "low": found.low, "high": found.high, "p": found.p, "detectable": found.detectable}
        rows.append(row | {"verdict": found.verdict, "generator_seeds": len(groups), "training_seeds": max(map(len, groups))})
    table = pd.DataFrame(rows, columns=["claim", "about", "source", "measure", *EFFECT])
    family = table.source.str.partition(", ")[0].where(table.source != NOT_CLAIMED, table.claim)
    for _, index in table.groupby([family, table.about]).groups.items():
        table.loc[index, "p_holm"] = holm(table.loc[index, "p"].to_numpy(float))
    order = {claim: place for place, claim in enumerate(printed)}
    return table.sort_values("claim", key=lambda column: column.map(order).fillna(len(order)), kind="stable", ignore_index=True)


def _groups(rows: pd.DataFrame, value: str) -> list[np.ndarray]:
    """The values of each generator seed."""
    return [part[value].dropna().to_numpy(float) for _, part in rows.groupby("common_seed") if part[value].notna().any()]


def _paper(claim, measure: str) -> float:
    """How much better the paper prints it; NaN where it does not."""
    if claim is None or not claim.paper_better:
        return np.nan
    metric, _, group = measure.partition(" ")
    if metric not in METRICS:
        return np.nan
    numbers = claim.printed(metric, group)
    return METRICS[metric][1] * (numbers["paper_better"] - numbers["paper_worse"])
