"""Ablations: one row for each family, variant and score, equal to what the main run says of the same detector."""

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark import ablations, step
from penumbra.errors import PenumbraError
from synthetic_results import ABLATIONS, benchmark_stage, benchmarked, experiment, scores


@pytest.fixture(scope="module")
def table(results_data):
    return pd.read_csv(benchmarked(results_data) / "tables/ablations.csv", keep_default_na=False, na_values=[""])


def test_a_row_for_each_family_variant_and_score(table):
    expected = [
        (name, label, score) for name, family in ABLATIONS.items() for label in family["variants"].values() for score in family["scores"]
    ]
    assert list(zip(table.family, table.variant, table.score, strict=True)) == expected


def test_numbers_are_those_of_the_main_run(table, results_data):
    reports = benchmarked(results_data)
    detectors = pd.read_csv(reports / "tables/detectors.csv", keep_default_na=False).set_index("detector")
    unified = pd.read_csv(reports / "tables/unified.csv", keep_default_na=False)
    energy = table[table.score == "energy"]
    for column in ("near_auroc_mean", "far_fpr95_id_tpr_std", "id_acc_mean"):
        np.testing.assert_allclose(energy[column], detectors[column][energy.detector].astype(float), rtol=1e-5)
    mine = table[(table.detector == "good-all") & (table.score == "per-set")].far_auroc_mean.iloc[0]
    chosen = unified[(unified.detector == "good-all") & (unified["mode"] == "per-set") & (unified.set == "far")]
    assert mine == pytest.approx(float(chosen.auroc_mean.iloc[0]), rel=1e-5)


def test_distances_are_of_the_detectors_own_outliers(table, results_data):
    edits = pd.read_parquet(results_data / "outliers/sona.parquet").distance_l2
    found = table[table.detector == "sona-all"].iloc[0]
    assert found.distance_mean == pytest.approx(edits.mean(), rel=1e-4)
    assert table[table.detector.isin(["good-all", "none"])].distance_mean.isna().all()


@pytest.mark.parametrize(
    ("label", "expected"),
    [("0.25", ("", 0.25)), ("SONA 5", ("SONA", 5)), ("10", ("", 10)), ("close", None), ("SONA, random", None), ("v2", None)],
)
def test_a_label_that_ends_in_a_number_lies_on_a_curve(label, expected):
    curve, value = ablations.label_of(label)
    assert (curve, value) == expected if expected else (curve == label and np.isnan(value))


def test_the_papers_numbers_stand_beside_their_own_source(table):
    good = table[(table.detector == "good-all") & (table.family == "weight")].set_index("score")
    assert good.paper_auroc.tolist() == [0.9281, 0.9628] and good.paper_near_auroc.isna().all()
    sona = table[table.family == "stop"].set_index("detector")
    assert sona.paper_near_auroc["sona-all"] == 0.8838 and np.isnan(sona.paper_auroc["sona-all"])
    assert sona.paper_near_auroc["sona-none"] == 0.825
    assert np.isnan(sona.paper_near_auroc["good-none"])  # GOOD prints it, and SONA does not


def test_a_score_that_a_detector_lacks_is_named(results_data, tmp_path):
    family = {"title": "Words", "source": "SONA", "scores": ["mcm"], "variants": {"none": "none"}}
    with pytest.raises(PenumbraError, match=r"benchmark\.ablations\.words\.scores names mcm, but the detector none has only energy, "):
        step.main(benchmark_stage(results_data, tmp_path / "reports", {"benchmark.ablations": {"words": family}}))


@pytest.mark.parametrize("clip", [False, True])
def test_a_score_that_is_asked_for_is_measured_beside_the_others(clip):
    more = {"vim": {"score": "vim", "share": 0.5}, "ash-s": {"score": "ash", "variant": "s", "pruned": 0.9}}
    asked = experiment({"score.more": more})
    frame = scores(np.random.default_rng(0), clip=clip)
    before = ablations.measured(
        "none", frame, clip, experiment({"score.more": {}, "benchmark.score": "energy"}).score, asked.benchmark.unified
    )
    found = ablations.measured("none", frame.assign(vim=2 * frame.energy), clip, asked.score, asked.benchmark.unified)
    assert list(found) == [*before, "vim"] and found["vim"] == pytest.approx(found["energy"])
    assert {name: found[name] for name in before} == before
