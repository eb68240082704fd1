"""Scores made elsewhere: what is wrong with a file is named with its place, and what is right is measured as ours are."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from penumbra.benchmark import others
from penumbra.benchmark.params import Other
from penumbra.benchmark.step import main
from penumbra.errors import PenumbraError
from synthetic_results import benchmark_stage

IMAGES = pd.DataFrame(
    {
        "sample_id": ["test/0", "test/1", "test/2", "ood/0", "ood/1"],
        "set": ["id-test"] * 3 + ["letters", "noise"],
        "group": ["id"] * 3 + ["near", "far"],
        "label": [0, 1, 1, -1, -1],
    }
)
LINES = ["image,score,seed,predicted", "ood/0,3,0,1", "test/0,1,0,0", "test/1,2,0,1", "test/2,0.5,0,0", "ood/1,1e1,0,0"]


def written(tmp_path, lines):
    path = tmp_path / "theirs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_are_put_beside_the_images_in_any_order_and_a_higher_score_is_turned(tmp_path):
    path = written(tmp_path, LINES)
    found = others.read(path, "ood", IMAGES)
    assert found.sample_id.tolist() == IMAGES.sample_id.tolist() and found.given.tolist() == [1, 2, 0.5, 3, 10]
    assert found.predicted.tolist() == [0, 1, 0, 1, 0] and found.group.tolist() == IMAGES.group.tolist()
    assert others.read(path, "id", IMAGES).given.tolist() == [-1, -2, -0.5, -3, -10]


def test_a_parquet_file_is_read_as_csv_is(tmp_path):
    frame = pd.read_csv(written(tmp_path, LINES))
    frame.to_parquet(tmp_path / "theirs.parquet")
    pd.testing.assert_frame_equal(
        others.read(tmp_path / "theirs.parquet", "ood", IMAGES), others.read(tmp_path / "theirs.csv", "ood", IMAGES)
    )
    frame.loc[2, "score"] = np.nan
    frame.to_parquet(tmp_path / "theirs.parquet")
    with pytest.raises(PenumbraError, match=r"theirs\.parquet, row 3: score is None\. Give a finite number"):
        others.read(tmp_path / "theirs.parquet", "ood", IMAGES)


def replaced(number, line):
    return [line if place == number else each for place, each in enumerate(LINES)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (replaced(2, "test/0,nan,0,0"), r"theirs\.csv:3: score is 'nan'\. Give a finite number"),
        (replaced(2, "test/0,high,0,0"), r"theirs\.csv:3: score is 'high'"),
        (replaced(2, "test/9,1,0,0"), r"theirs\.csv:3: 'test/9' is no test image\. Score each image of data/images/test"),
        (replaced(2, "test/1,1,0,0"), r"theirs\.csv:4: test/1 has a score already, at .*theirs\.csv:3"),
        (replaced(2, "test/0,1,0,2"), r"theirs\.csv:3: predicted is '2'\. Give a whole number in 0\.\.1"),
        (replaced(2, "test/0,1,-1,0"), r"theirs\.csv:3: seed is '-1'"),
        (replaced(2, "test/0,1,0"), r"theirs\.csv:3: has not 4 values"),
        (replaced(2, "test/0,1,0,0,0"), r"theirs\.csv:3: has not 4 values"),
        (LINES[:3] + LINES[4:], r"theirs\.csv: 1 of 5 test images have no score \(seed 0\), the first is test/1\."),
        ([*LINES, "test/0,1,7,0"], r"theirs\.csv: 4 of 5 test images have no score \(seed 7\), the first is test/1"),
        (LINES[:1], r"theirs\.csv: holds no score"),
        (["image,energy", *LINES[1:]], r"theirs\.csv: has no column score\. It needs image and score, and may have seed and predicted"),
        (replaced(0, "image,score,seed,class"), r"theirs\.csv: has a column 'class'"),
        (replaced(0, "image,score,seed,seed"), r"theirs\.csv: has a column twice"),
        ([], r"theirs\.csv: has no column image"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, lines, message):
    with pytest.raises(PenumbraError, match=message) as error:
        others.read(written(tmp_path, lines), "ood", IMAGES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["theirs.csv", "theirs.parquet", "gone.csv"])
def test_a_file_that_is_no_table_is_named(tmp_path, name):
    if name != "gone.csv":
        (tmp_path / name).write_bytes(b"image,score\n\xff\xfe\x00")
    with pytest.raises(PenumbraError, match=rf"{name}: cannot be read .*Give a CSV file with a heading line, or a Parquet file"):
        others.read(tmp_path / name, "ood", IMAGES)


@pytest.fixture(scope="module")
def brought(results_data, tmp_path_factory):
    """Reports over made-up results with two files of others: `same` has what detector `none` says, `plain` one seed without classes."""
    folder = tmp_path_factory.mktemp("others")
    ours = pd.read_parquet(results_data / "scores/none.parquet")
    tests = ours[ours.group.isin(others.GROUPS)]
    same = pd.DataFrame({"image": tests.sample_id, "score": -tests.energy, "seed": tests.seed, "predicted": tests.predicted})
    same.sample(frac=1, random_state=0).to_parquet(folder / "same.parquet")
    plain = tests[tests.seed == 0]
    pd.DataFrame({"image": plain.sample_id, "score": plain.knn}).to_csv(folder / "plain.csv", index=False)
    entries = {
        "same": Other(path=str(folder / "same.parquet"), higher="id").model_dump(),
        "plain": Other(path=str(folder / "plain.csv"), higher="ood").model_dump(),
    }
    main(benchmark_stage(results_data, folder / "reports", {"benchmark.others": entries}))
    return folder / "reports", tests


def test_equal_scores_have_equal_measures_whoever_made_them(brought):
    reports, tests = brought
    table = pd.read_csv(reports / "tables/others.csv", keep_default_na=False, na_values=[""])
    ours = pd.read_csv(reports / "tables/scores.csv", keep_default_na=False, na_values=[""])
    ours = ours[(ours.detector == "none") & (ours.score == "energy")].reset_index(drop=True)
    theirs = table[table.detector == "same"].reset_index(drop=True)
    shared = ["set", "group", *(name for name in ours if name.endswith(("_mean", "_std")))]
    pd.testing.assert_frame_equal(theirs[shared], ours[shared])
    inside = tests[tests.group == "id"]
    label = inside[inside.seed == 0].set_index("sample_id").label  # made-up labels differ by seed, real ones do not
    right = (inside.predicted == inside.sample_id.map(label)).groupby(inside.seed).mean()
    np.testing.assert_allclose(theirs.id_acc_mean, right.mean(), atol=1e-5)
    np.testing.assert_allclose(theirs.id_acc_std, right.std(), atol=1e-5)
    assert (theirs.seeds == 3).all() and (theirs.score == "given").all()


def test_measures_are_those_of_another_library(brought):
    reports, tests = brought
    table = pd.read_csv(reports / "tables/others.csv").set_index(["detector", "set"]).loc["plain"]
    both = tests[(tests.seed == 0) & ((tests.group == "id") | (tests.set == "photos"))]
    assert table.auroc_mean["photos"] == pytest.approx(roc_auc_score(both.group != "id", both.knn), abs=1e-5)
    assert table.aupr_out_mean["photos"] == pytest.approx(average_precision_score(both.group != "id", both.knn), abs=1e-5)
    assert table.auroc_std.isna().all() and table.id_acc_mean.isna().all() and (table.seeds == 1).all()


def test_nothing_else_counts_them(brought, results_data, tmp_path):
    reports, _ = brought
    main(benchmark_stage(results_data, tmp_path / "reports"))
    without = {
        str(path.relative_to(tmp_path / "reports")): path.read_bytes() for path in (tmp_path / "reports").rglob("*") if path.is_file()
    }
    beside = {str(path.relative_to(reports)): path.read_bytes() for path in reports.rglob("*") if path.is_file()}
    assert beside.pop("tables/others.csv") and beside == without
    assert "same" not in json.loads(beside["metrics.json"])["detectors"]
