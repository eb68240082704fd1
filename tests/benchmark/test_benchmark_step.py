"""The benchmark step on made-up results of the real layout."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from penumbra.artifacts.tables import write_parquet
from penumbra.benchmark.bands import draw, pool_size
from penumbra.benchmark.claims import compare, verdict
from penumbra.benchmark.step import main
from penumbra.errors import PenumbraError
from synthetic_candidates import COPIES, STRENGTHS
from synthetic_results import CLIP, DETECTORS, GIVEN, PLOTS, SETS, TABLES, benchmark_stage, benchmarked


@pytest.fixture(scope="module")
def reports(results_data):
    return benchmarked(results_data)


def table(reports, name):
    return pd.read_csv(reports / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_metrics_have_the_promised_shape(reports):
    detectors = json.loads((reports / "metrics.json").read_text())["detectors"]
    assert list(detectors) == list(DETECTORS)
    for result in detectors.values():
        assert set(result) == {"near", "far", "id_acc", "score", *SETS}
        assert set(result["far"]) == {"fpr95_id_tpr", "fpr95_ood_tpr", "auroc", "aupr_in", "aupr_out"}
        assert all(set(entry) == {"mean", "std"} for entry in result["near"].values())


def test_the_headline_has_three_numbers_a_detector_and_names_the_data_set(reports):
    content = json.loads((reports / "headline.json").read_text())
    detectors = json.loads((reports / "metrics.json").read_text())["detectors"]
    assert list(content) == ["data", "near_auroc", "far_auroc", "near_fpr95"]
    assert content["data"] == "mnist: 0, 1, 2, 3, 4, 5"
    assert all(list(content[measure]) == list(DETECTORS) for measure in ("near_auroc", "far_auroc", "near_fpr95"))
    assert sum(len(values) for values in content.values() if isinstance(values, dict)) <= 40
    assert content["near_fpr95"]["none"] == round(100 * detectors["none"]["near"]["fpr95_id_tpr"]["mean"], 1)


def test_mean_and_sample_std_over_seeds_equal_an_independent_count(reports, results_data):
    scores = pd.read_parquet(results_data / "scores/badood-mid.parquet")
    by_seed = []
    for _, frame in scores.groupby("seed"):
        areas = []
        for name in ("photos", "textures", "noise"):
            both = frame[frame.set.isin(["id-test"]) | ((frame.set == name) & (frame.group == "far"))]
            areas.append(roc_auc_score(both.group == "far", both.energy))
        by_seed.append(np.mean(areas))
    entry = json.loads((reports / "metrics.json").read_text())["detectors"]["badood-mid"]["far"]["auroc"]
    assert entry["mean"] == pytest.approx(np.mean(by_seed), abs=1e-6)
    assert entry["std"] == pytest.approx(np.std(by_seed, ddof=1), abs=1e-6)


def test_a_shift_and_a_test_set_of_the_same_name_stay_apart(reports):
    """Both are called `noise` here; shifted ID images are no OOD."""
    sets = table(reports, "tables/scores")
    assert set(sets.set[sets.group == "far"]) == {"far", "photos", "textures", "noise"}
    shift = table(reports, "plots/shift")
    assert set(shift.strength[shift.kind == "noise"]) == set(range(9))


def test_every_score_detector_and_set_is_in_the_long_table(reports):
    assert len(table(reports, "tables/scores")) == (len(DETECTORS) * 6 + len(CLIP) * 2) * (len(SETS) + 2)
    assert set(table(reports, "tables/scores").set) == {*SETS, "near", "far"}


def test_band_sizes_follow_the_selections(reports, results_data):
    counts = pd.read_parquet(results_data / "selections/badood.parquet").band.value_counts()
    outliers = table(reports, "tables/bands").set_index("detector").outliers
    assert outliers["badood-all"] == counts.sum()
    assert outliers["badood-random"] == outliers["badood-mid"] == counts["mid"]
    assert outliers["none"] == 0


def test_a_calibrator_keeps_what_its_own_confidence_says(reports, results_data):
    kept = table(reports, "tables/calibrators").set_index("calibrator")
    selection = pd.read_parquet(results_data / "selections/badood.parquet")
    assert kept.mid["beta"] == (selection.band == "mid").sum()
    assert kept.high["isotonic"] == (selection.confidence_isotonic >= 0.5).sum()
    assert np.isnan(kept.mid["uncalibrated"])


def with_files(data, folder, **files):
    """A copy of made-up results by links, some of its files replaced by data frames."""
    shutil.copytree(data, folder / "data", copy_function=os.link)
    for name, frame in files.items():
        path = folder / "data" / name
        path.unlink(missing_ok=True)
        write_parquet(path, frame, {})
    return folder / "data"


def test_two_runs_give_equal_bytes_whatever_else_lies_in_the_folders(reports, results_data, tmp_path):
    """What stages left that are no more is not read: not even if it is no table."""
    data = with_files(results_data, tmp_path)
    for folder in ("scores", "outliers", "selections", "probes"):
        (data / folder / "gone.parquet").write_text("no table")
    (data / "calibration/gone.json").write_text("{")
    main(benchmark_stage(data, tmp_path / "again"))
    files = sorted(path.relative_to(reports) for path in reports.rglob("*") if path.is_file())
    assert len(files) == 2 + len(TABLES) + len(PLOTS)
    for file in files:
        assert (reports / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_names_detector_score_and_image(results_data, tmp_path, value):
    frame = pd.read_parquet(results_data / "scores/none.parquet")
    frame.loc[17, "knn"] = value
    data = with_files(results_data, tmp_path, **{"scores/none.parquet": frame})
    with pytest.raises(PenumbraError, match=rf"none\.parquet: knn is {value} for {frame.sample_id[17]} \(seed 0\)"):
        main(benchmark_stage(data, tmp_path / "reports"))
    assert not (tmp_path / "reports").exists()


def test_one_seed_has_no_spread(results_data, tmp_path):
    frames = {f"scores/{name}.parquet": pd.read_parquet(results_data / f"scores/{name}.parquet") for name in DETECTORS}
    main(benchmark_stage(with_files(results_data, tmp_path, **{name: f[f.seed == 0] for name, f in frames.items()}), tmp_path / "reports"))
    detectors = json.loads((tmp_path / "reports/metrics.json").read_text())["detectors"]
    assert detectors["none"]["near"]["auroc"]["std"] is None


def test_pool_size_of_each_kind_of_selection():
    selection = pd.DataFrame(
        {"band": ["low"] * 3 + ["mid"] * 2 + ["high"], "upper": [False] * 5 + [True], "third": [False, False, True, True, False, False]}
    )
    kinds = (["all"], ["kept"], ["random"], ["mid", "high"], ["upper"], ["third"])
    assert [pool_size(bands, 9, selection) for bands in kinds] == [9, 6, 2, 3, 1, 2]  # three are vetoed
    assert [pool_size(bands, 9, None) for bands in (["all"], ["mid"])] == [9, 0]


def test_the_random_draw_belongs_to_the_sample():
    ids = pd.Series([f"badood/{i}" for i in range(500)])
    drawn = set(ids[draw(ids, 100, seed=0)])
    assert len(drawn) == 100
    assert drawn == set(ids[::-1][draw(ids[::-1], 100, seed=0)])
    assert drawn != set(ids[draw(ids, 100, seed=1)])


def test_a_claim_needs_more_than_the_spread():
    assert [verdict(difference, 0.1) for difference in (0.11, 0.1, -0.05, -0.2)] == [
        "held",
        "undecided",
        "undecided",
        "contradicted",
    ]
    lower_is_better = compare((0.2, 0.03), (0.5, 0.04), sign=-1)
    assert lower_is_better["difference"] == pytest.approx(0.3)
    assert lower_is_better["pooled_std"] == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2))
    assert compare((0.2, np.nan), (0.5, np.nan))["verdict"] == "contradicted"


ALONE = {"calibrate": {"none": GIVEN["calibrate"]["none"]}, "benchmark.ablations": {}}


def test_an_experiment_of_other_detectors_tests_no_claim_about_these(results_data, tmp_path):
    data = with_files(results_data, tmp_path, **{"scores/other.parquet": pd.read_parquet(results_data / "scores/badood-mid.parquet")})
    main(benchmark_stage(data, tmp_path / "reports", ALONE | {"train.detectors": {"other": DETECTORS["none"]}}))
    claims = pd.read_csv(tmp_path / "reports/tables/claims.csv")
    assert set(claims.source) == {"Bad-OOD, Table 6", "Bad-OOD, Table 11", "(no paper)", "GOOD, Fig. 4", "SynOOD, 3.3"}
    assert set(claims.about) == {"other"}
    assert len(pd.read_csv(tmp_path / "reports/tables/bands.csv")) == 0


def test_guided_candidates_edits_and_probe_have_their_tables(reports):
    strengths = table(reports, "tables/strengths")
    assert len(strengths) == 1 + sum(len(cells) for cells in STRENGTHS.values())
    assert set(strengths["count"][strengths.guidance != "ID train"]) == {6 * COPIES}
    assert table(reports, "tables/edits").stop.tolist() == list(range(1, 21))
    assert set(table(reports, "tables/probe").detector) == set(DETECTORS)


def test_the_unified_score_goes_along_k_and_a_for_good_only(reports):
    unified = table(reports, "tables/unified")
    curves = unified[unified.duplicated(["detector", "mode", "set"], keep=False)]
    assert set(curves.detector) == {"good-all"}
    assert set(unified.set[unified.detector == "good-all"]) == {*SETS, "near", "far"}
    assert set(unified.set[unified.detector != "good-all"]) == {"near", "far"}
    alone = unified[(unified["mode"] == "energy") & (unified.set == "far")].set_index("detector").auroc_mean
    everywhere = table(reports, "tables/detectors").set_index("detector").far_auroc_mean
    assert set(everywhere.index) - set(alone.index) == set(CLIP)
    np.testing.assert_allclose(alone, everywhere[alone.index], rtol=1e-5)


def test_detectors_name_their_recipe_and_count_their_candidates(reports):
    detectors = table(reports, "tables/detectors").set_index("detector")
    assert detectors.recipe["sona-all"] == "sona" and detectors.recipe["none"] == "energy"
    assert detectors.outliers["good-all"] == 6 * COPIES * sum(len(cells) for cells in STRENGTHS.values())
    assert detectors.method["good-all"] == "good"


def test_without_any_outlier_method_there_are_still_results(results_data, tmp_path):
    nothing = {f"synthesize.{kind}": {} for kind in GIVEN["synthesize"]}
    detectors = {"none": DETECTORS["none"]}
    changes = nothing | {"train.detectors": detectors, "calibrate": {}, "filter": {}, "benchmark.ablations": {}}
    main(benchmark_stage(results_data, tmp_path / "reports", changes))
    assert len(pd.read_csv(tmp_path / "reports/tables/distances.csv")) == 0
    assert len(pd.read_csv(tmp_path / "reports/tables/unified.csv")) == 2 * 6
    assert not pd.read_csv(tmp_path / "reports/tables/claims.csv").claim.str.contains("unified").any()


def test_every_detector_is_judged_by_the_headline_score_of_its_kind(reports, results_data):
    """Also where the other kind of detectors has a score of that name."""
    metrics = json.loads((reports / "metrics.json").read_text())["detectors"]
    assert {name: result["score"] for name, result in metrics.items()} == {
        name: "neglabel" if name in CLIP else "vim" for name in DETECTORS
    }
    scores = pd.read_parquet(results_data / "scores/clip.parquet")
    both = scores[(scores.group == "id") | (scores.set == "mnist-6-9")]
    areas = [roc_auc_score(of_seed.group == "near", of_seed.neglabel) for _, of_seed in both.groupby("seed")]
    assert metrics["clip"]["near"]["auroc"]["mean"] == pytest.approx(np.mean(areas), abs=1e-6)
    detectors = table(reports, "tables/detectors").set_index("detector")
    assert detectors.near_auroc_mean["clip"] == pytest.approx(np.mean(areas), rel=1e-5)
    assert detectors.score["clip"] == "neglabel" and detectors.score["none"] == "vim"
    roc = table(reports, "plots/roc")
    curve = roc[(roc.detector == "clip") & (roc.group == "near")]
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(np.mean(areas), abs=0.01)
    shift = table(reports, "plots/shift")
    clean = shift[(shift.detector == "clip") & (shift.kind == "blur") & (shift.strength == 0)].score_mean.iloc[0]
    assert clean == pytest.approx(scores.neglabel[scores.group == "id"].mean(), rel=1e-4)


def test_histograms_of_two_headline_scores_do_not_share_an_axis(reports):
    plot = table(reports, "plots/headline")
    clip = plot.detector.isin(CLIP)
    assert plot[clip].vim.isna().all() and plot[~clip].neglabel.isna().all()
    assert plot[clip].neglabel.between(-1, 0).all() and plot[~clip].vim.notna().all()


def test_claims_about_training_are_told_from_the_others(reports):
    claims = table(reports, "tables/claims").drop_duplicates("claim").set_index("claim")
    about = claims.about.groupby(claims.source).first()
    assert about["SynOOD, Table 2"] == about["SONA, Table 4"] == about["(no paper)"] == "training"
    assert about["SynOOD, Table 1"] == about["SynOOD, 3.3"] == about["GOOD, Fig. 4"] == "other"
    assert claims.index.str.contains("rho = mu of feature guidance").sum() == 1
    assert claims.index.str.contains("greatest rho of image guidance").sum() == 1


def test_features_of_other_candidates_are_no_features_of_these(results_data, tmp_path):
    data = with_files(results_data, tmp_path)
    shutil.move(data / "features/candidates/synood.safetensors", data / "features/candidates/sona.safetensors")
    with pytest.raises(PenumbraError, match=r"candidates/sona\.safetensors: its images are not those of data/outliers/sona\.parquet"):
        main(benchmark_stage(data, tmp_path / "reports"))


@pytest.mark.parametrize("score", ["mcm", "neglabel"])
def test_a_further_score_that_is_no_number_is_refused(results_data, tmp_path, score):
    frame = pd.read_parquet(results_data / "scores/clip.parquet")
    frame.loc[3, score] = np.nan
    data = with_files(results_data, tmp_path, **{"scores/clip.parquet": frame})
    with pytest.raises(PenumbraError, match=rf"clip\.parquet: {score} is nan"):
        main(benchmark_stage(data, tmp_path / "reports"))
