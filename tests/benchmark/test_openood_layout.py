"""OpenOOD's files: their numbers by scikit-learn, from the files themselves as OpenOOD reads them."""

import csv

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from penumbra.benchmark.openood import COLUMNS, measures, write
from synthetic_results import SETS, scores


def by_their_formulas(conf, label):
    """FPR@95, AUROC, AUPR_IN, AUPR_OUT: OOD is positive, its score is -conf; every threshold is kept."""
    ood = label == -1
    fpr, tpr, _ = roc_curve(ood, -conf, drop_intermediate=False)
    inside, outside = (precision_recall_curve(truth, score)[:2] for truth, score in ((~ood, conf), (ood, -conf)))
    return fpr[np.argmax(tpr >= 0.95)], roc_auc_score(ood, -conf), auc(inside[1], inside[0]), auc(outside[1], outside[0])


@pytest.mark.parametrize("digits", [None, 1, 0])
def test_measures_are_those_of_their_formulas_with_ties_too(digits):
    draws = np.random.default_rng(3)
    inside, outside = draws.normal(0, 1, 300), draws.normal(1.0, 1.5, 170)
    if digits is not None:
        inside, outside = inside.round(digits), outside.round(digits)
    conf, label = -np.concatenate([inside, outside]), np.concatenate([np.zeros(300, int), np.full(170, -1)])
    np.testing.assert_allclose(measures(inside, outside), by_their_formulas(conf, label), rtol=1e-12)


def test_where_all_scores_are_tied_the_trapezoid_gives_three_quarters():
    assert measures(np.zeros(10), np.zeros(10))[2:] == (0.75, 0.75)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "none"
    frame = scores(np.random.default_rng(1))
    write(folder, "energy", frame)
    return folder, frame


def test_every_run_has_its_folder_and_every_set_its_arrays(written):
    folder, frame = written
    assert sorted(path.name for path in folder.iterdir()) == ["ood", "s0", "s1", "s2"]
    assert {path.stem for path in (folder / "s1/scores").iterdir()} == {"id-test", *SETS}
    for name in ("id-test", *SETS):
        part = frame[(frame.seed == 1) & (frame.set == name) & frame.group.isin(["id", "near", "far"])]
        with np.load(folder / f"s1/scores/{name}.npz") as arrays:
            assert set(arrays.files) == {"pred", "conf", "label"} and arrays["conf"].shape == (len(part),)
            np.testing.assert_array_equal(arrays["conf"], -part.energy.to_numpy(np.float64))
            np.testing.assert_array_equal(arrays["pred"], part.predicted)
            np.testing.assert_array_equal(arrays["label"], part.label if name == "id-test" else -np.ones(len(part)))


def test_the_csv_follows_from_the_arrays(written):
    folder, _ = written
    for seed in range(3):
        arrays = {name: dict(np.load(folder / f"s{seed}/scores/{name}.npz")) for name in ("id-test", *SETS)}
        inside = arrays.pop("id-test")
        accuracy = (inside["pred"] == inside["label"]).mean()
        expected = {}
        for name, of_set in arrays.items():
            conf, label = (np.concatenate([inside[key], of_set[key]]) for key in ("conf", "label"))
            expected[name] = 100 * np.array([*by_their_formulas(conf, label), accuracy])
        near, far = ([name for name, (group, _) in SETS.items() if group == which] for which in ("near", "far"))
        expected["nearood"], expected["farood"] = (np.mean([expected[name] for name in names], axis=0) for names in (near, far))
        with (folder / f"s{seed}/ood.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["dataset"] for row in rows] == [*near, "nearood", *far, "farood"]
        assert list(rows[0]) == ["dataset", "FPR@95", "AUROC", "AUPR_IN", "AUPR_OUT", "ACC"]
        for row in rows:
            np.testing.assert_allclose([float(row[column]) for column in COLUMNS], expected[row["dataset"]], atol=0.0051)


def test_the_table_over_the_runs_has_mean_and_population_deviation(written):
    folder, _ = written
    runs = [pd.read_csv(folder / f"s{seed}/ood.csv", index_col="dataset") for seed in range(3)]
    table = pd.read_csv(folder / "ood/energy.csv", index_col=0)
    assert list(table.index) == list(runs[0].index) and list(table.columns) == list(COLUMNS)
    for column in COLUMNS:
        for name, cell in table[column].items():
            mean, deviation = map(float, cell.split(" ± "))
            values = [run.loc[name, column] for run in runs]
            assert mean == pytest.approx(np.mean(values), abs=0.011) and deviation == pytest.approx(np.std(values), abs=0.011)


def test_sets_of_one_name_near_and_far_have_files_of_their_own(tmp_path):
    frame = scores(np.random.default_rng(2), images=5)
    frame.loc[frame.set == "mnist-6-9", "set"] = "noise"
    write(tmp_path / "none", "energy", frame)
    assert {path.stem for path in (tmp_path / "none/s0/scores").iterdir()} == {"id-test", "near-noise", "far-noise", "photos", "textures"}
