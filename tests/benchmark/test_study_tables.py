"""The tables of a study: rows are added for each seed, replaced when a seed is run again, and merged."""

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark import claims, study
from penumbra.benchmark.evaluation import evaluate_detector, id_accuracy
from penumbra.benchmark.pairs import pairs_table, seeds_table
from synthetic_results import scores

CHOSEN = {"badood-mid": "energy", "none": "energy", "clip": "neglabel"}
CLAIM = "Training on mid-confidence outliers is better than on ID alone"


@pytest.fixture(scope="module")
def by_seed():
    gains = {"badood-mid": 1.3, "none": 1.0, "clip": 1.0}
    made = {name: scores(np.random.default_rng(place), gains[name], clip=name == "clip") for place, name in enumerate(CHOSEN)}
    metrics = pd.concat(evaluate_detector(name, frame) for name, frame in made.items())
    return metrics, pd.concat(id_accuracy(name, frame) for name, frame in made.items())


@pytest.fixture(scope="module")
def rows(by_seed):
    table = pd.DataFrame([{"claim": "an aggregate", "about": "other", "source": "A, Table 1", "measure": "NLL", "difference": 0.25}])
    return seeds_table(*by_seed, CHOSEN), pairs_table(table, by_seed[0])


def run(seed):
    return {"common_seed": seed, "data": "mnist", "state": "a", "kernels": "native", "processor": "one", "seconds": 5}


def test_pairs_are_differences_of_the_same_training_seed(rows, by_seed):
    metrics, pairs = by_seed[0], rows[1]
    found = pairs[(pairs.claim == CLAIM) & (pairs.measure == "FPR95 far")].set_index("seed").difference
    assert sorted(found.index) == [0, 1, 2]
    chosen = metrics[(metrics.set == "far") & (metrics.seed == 1) & (metrics.score == "energy")].set_index("detector").fpr95_id_tpr
    assert found[1] == pytest.approx(chosen["none"] - chosen["badood-mid"])
    whole = pairs[pairs.claim == "an aggregate"]
    assert list(whole.difference) == [0.25] and whole.seed.isna().all()


def test_scores_of_one_detector_are_compared_likewise(rows):
    (claim,) = (claim for claim in claims.read() if claim.measure == "scores")
    assert set(rows[1][rows[1].claim == claim.text].measure) == {f"{m} {g}" for m in ("FPR95", "AUROC") for g in ("near", "far")}


def test_each_training_seed_has_its_headline_numbers(rows):
    seeds = rows[0]
    assert list(seeds.detector.unique()) == list(CHOSEN) and set(seeds.seed) == {0, 1, 2} and len(seeds) == 9
    assert {"near_fpr95_id_tpr", "far_auroc", "id_acc"} < set(seeds.columns)


def test_a_seed_that_is_run_again_replaces_its_rows(tmp_path, rows):
    seeds, pairs = rows
    for seed in (1, 0, 1):
        study.add(tmp_path, run(seed), seeds, pairs)
    assert list(study.read_rows(tmp_path, "runs").common_seed) == [0, 1]
    assert len(study.read_rows(tmp_path, "pairs")) == 2 * len(pairs)


def test_merged_tables_hold_the_mean_over_generator_seeds_and_its_interval(tmp_path, rows):
    seeds, pairs = rows
    for seed in range(3):
        moved = pairs.assign(difference=pairs.difference + 0.01 * seed)
        study.add(tmp_path, run(seed), seeds.assign(near_auroc=0.9 + 0.01 * seed), moved)
    study.merge(tmp_path)
    table = study.read_rows(tmp_path, "claims").set_index(["claim", "measure"])
    assert list(table.index.get_level_values(0))[0] == CLAIM  # in the order of claims.csv
    row, own = table.loc[(CLAIM, "AUROC near")], pairs[(pairs.claim == CLAIM) & (pairs.measure == "AUROC near")]
    assert row.difference == pytest.approx(own.difference.mean() + 0.01, abs=1e-5)
    assert row.low < row.difference < row.high and (row.generator_seeds, row.training_seeds) == (3, 3)
    assert row.p_holm >= row.p and row.paper == pytest.approx(0.922 - 0.8946, abs=1e-5)
    assert table.loc[("an aggregate", "NLL")].training_seeds == 1
    detectors = study.read_rows(tmp_path, "detectors").set_index("detector")
    assert detectors.near_auroc["none"] == pytest.approx(0.91) and detectors.near_auroc_low["none"] < 0.91


def test_the_interval_of_a_share_ends_where_shares_end():
    rows = pd.DataFrame({"common_seed": [0, 1], "detector": "none", "score": "energy", "seed": 0, "far_auroc": [0.6, 0.99]})
    (row,) = study.detectors_table(rows).to_dict("records")
    assert (row["far_auroc_low"], row["far_auroc_high"]) == (0, 1) and row["far_auroc"] == pytest.approx(0.795)
    (alone,) = study.detectors_table(rows[:1]).to_dict("records")
    assert np.isnan(alone["far_auroc_low"]) and np.isnan(alone["far_auroc_high"])
