"""Bands and what is said when nobody is in one; calibrate and filter on real files."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import expit

from data_columns import rows, typed
from penumbra.artifacts.images import IMAGE, ImageWriter, encode, read_pixels, read_provenance, read_table
from penumbra.artifacts.tables import write_json
from penumbra.calibrators import CALIBRATORS, Calibrator
from penumbra.errors import PenumbraError
from penumbra.filter import step
from penumbra.filter.bands import bands, histogram, suggestion, third, upper
from penumbra.filter.params import Filter
from penumbra.filter.vetoes import VETOED
from penumbra.logits import energy
from penumbra.models.resnet import Detector
from penumbra.stage import Params, Stage

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}
MEMBERS = ("low", "mid", "high", "upper", "third", "kept", "random")
CALIBRATION = {
    "accepts": -1.2,
    "judges": "first",
    "score": "energy",
    "calibrator": "platt",
    "calibrators": {
        "beta": {"a": 1.0, "b": 1.0, "c": 0.0},
        "temperature": {"inverse_temperature": 0.5},
        "platt": {"slope": 1.0, "intercept": 1.0},
        "isotonic": {"log_odds": [-3.0, 3.0], "probability": [0.0, 1.0]},
    },
}


@pytest.fixture
def stage(tmp_path):
    for seed in (2, 10):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(tmp_path / f"detectors/badood-all/seed-{seed}")
    (tmp_path / "outliers").mkdir()
    rng = np.random.default_rng(0)
    with ImageWriter(tmp_path / "outliers/badood.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
        for i in range(30):
            pixels = rng.integers(0, 1 + 8 * i, (16, 16, 3)).astype(np.uint8)
            writer.add(encode(pixels), sample_id=f"badood/{i:06d}", label=i % 3)
    write_json(tmp_path / "calibration/badood-all.json", CALIBRATION)
    reads = {"outliers/badood": tmp_path / "outliers/badood.parquet", "detectors/badood-all": tmp_path / "detectors/badood-all"}
    reads["calibration/badood-all"] = tmp_path / "calibration/badood-all.json"
    names = ["badood", *(f"badood/{band}" for band in MEMBERS)]
    writes = {f"selections/{name}": tmp_path / f"selections/{name}.parquet" for name in names}
    params = Params({"filter": {"badood": Filter(judge="badood-all", mid=[0.3, 0.5], upper=[0.5, 0.7])}})
    return Stage("filter", "badood", params, {}, reads, writes, tmp_path / "scratch")


def test_the_lower_bound_of_a_band_belongs_to_it():
    assert bands(np.array([0.0, 0.29, 0.3, 0.4, 0.5, 1.0]), [0.3, 0.5]).tolist() == ["low", "low", "mid", "mid", "high", "high"]


def test_another_reading_of_mid_lies_between_its_own_bounds():
    assert upper(np.array([0.49, 0.5, 0.69, 0.7]), [0.5, 0.7]).tolist() == [False, True, True, False]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_the_middle_third_is_of_ranks_and_takes_as_many_above_as_below(count):
    score = np.random.default_rng(count).permutation(count).astype(float)
    inside = third(score)
    assert sorted(score[inside]) == list(range(count // 3, count - count // 3))
    assert (third(np.exp(score)) == inside).all() and third(np.zeros(count)).sum() == inside.sum()


def test_candidates_are_judged_by_the_first_seed_and_the_chosen_calibrator(stage):
    step.main(stage)
    table = read_table(stage.write("selections/badood")).to_pandas()
    detector = Detector.from_pretrained(stage.read("detectors") / "seed-2")
    images = torch.from_numpy(read_pixels(stage.read("outliers"))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        logits = detector(images)
        expected = energy(logits).numpy()
    np.testing.assert_allclose(table.score, expected, rtol=1e-4)
    np.testing.assert_allclose(table.confidence, expit(table.score + 1))
    for name in CALIBRATORS:
        probability = Calibrator.from_json(name, CALIBRATION["calibrators"][name]).probability(table.score)
        np.testing.assert_array_equal(table[f"confidence_{name}"], probability)
    assert table.band.tolist() == bands(table.confidence.to_numpy(), [0.3, 0.5]).tolist()
    assert table.accepted.tolist() == (table.score <= -1.2).tolist()
    assert table.class_kept.tolist() == (logits.argmax(1) == torch.arange(30) % 3).tolist() and table.class_kept.nunique() == 2
    assert read_provenance(stage.write("selections/badood"))["stage"] == "filter@badood"


def test_its_files_have_the_columns_of_the_page(stage):
    """data/README.md; the selection of all candidates is of synthesize."""
    step.main(stage)
    said = rows("tests/filter/test_filter.py")
    for file, written in {"METHOD": ["badood"], "bands": [f"badood/{band}" for band in MEMBERS]}.items():
        for name in written:
            assert typed(pq.read_schema(stage.write(f"selections/{name}"))) == {column: kind for column, kind, cell in said if file in cell}
    assert [column for column, _, cell in said if "all" in cell] == ["sample_id"]


def test_the_mean_of_all_seeds_judges_where_the_calibration_says_so(stage):
    write_json(stage.read("calibration"), CALIBRATION | {"judges": "mean"})
    step.main(stage)
    table = read_table(stage.write("selections/badood")).to_pandas()
    images = torch.from_numpy(read_pixels(stage.read("outliers"))).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        logits = [Detector.from_pretrained(stage.read("detectors") / f"seed-{seed}")(images) for seed in (2, 10)]
    alone = [energy(own).numpy() for own in logits]
    mean = torch.stack(logits).softmax(2).mean(0)
    assert table.class_kept.tolist() == (mean.argmax(1) == torch.arange(30) % 3).tolist()
    np.testing.assert_allclose(table.score, np.mean(alone, axis=0), rtol=1e-4)
    for judge, score in enumerate(alone):
        confident = np.abs(expit(score + 1)[:, None] - [0.3, 0.5]).min(axis=1) > 1e-3  # rounding moves no band
        assert (table[f"band_{judge}"] == bands(expit(score + 1), [0.3, 0.5]))[confident].all()


def test_each_band_and_reading_lists_its_candidates_and_others_list_all_with_their_bands(stage):
    step.main(stage)
    table = read_table(stage.write("selections/badood")).to_pandas()
    assert table.band.nunique() > 1
    members = {band: table.band == band for band in ("low", "mid", "high")}
    members |= {
        "upper": table.confidence.between(0.5, 0.7, inclusive="left"),
        "third": third(table.score.to_numpy()),
        "kept": [True] * 30,
        "random": [True] * 30,
    }
    for name, inside in members.items():
        found = read_table(stage.write(f"selections/badood/{name}")).to_pandas()
        assert found.to_dict("list") == table[inside][["sample_id", "band", "confidence"]].to_dict("list")


def test_an_empty_mid_band_shows_the_confidences_and_suggests_bounds_that_work(stage):
    content = CALIBRATION | {"calibrators": CALIBRATION["calibrators"] | {"platt": {"slope": 0.2, "intercept": 9.0}}}
    write_json(stage.read("calibration"), content)
    with pytest.raises(PenumbraError, match=r"filter.badood.mid = \[0.3, 0.5\]: none of 30 candidates") as caught:
        step.main(stage)
    assert "0.95-1.00      30 ########" in str(caught.value)
    assert not any(path.exists() for path in stage.writes.values())


def test_an_empty_reading_is_no_error_here(stage):
    section = Filter(judge="badood-all", mid=[0.0, 1.0], upper=[0.999999, 1.0])
    step.main(replace(stage, params=Params({"filter": {"badood": section}})))
    assert len(read_table(stage.write("selections/badood/upper"))) == 0 < len(read_table(stage.write("selections/badood/third")))


def test_the_suggested_bounds_hold_the_middle_third():
    confidence = np.random.default_rng(0).beta(0.2, 8, 600)
    lower, upper = suggestion(confidence)
    assert 0.3 < np.mean(bands(confidence, [lower, upper]) == "mid") < 0.37


def test_the_histogram_counts_every_candidate():
    confidence = np.array([0.0, 0.01, 0.31, 1.0])
    assert [int(line.split()[1]) for line in histogram(confidence).splitlines()] == [2, 1, 1]


def test_phi_judges_where_the_calibration_says_so(stage):
    write_json(stage.read("calibration"), CALIBRATION | {"score": "phi"})
    stage = replace(stage, params=Params({"filter": {"badood": Filter(judge="badood-all", mid=[0.0, 1.0], upper=[0.5, 0.7])}}))
    step.main(stage)
    table = read_table(stage.write("selections/badood")).to_pandas()
    detector = Detector.from_pretrained(stage.read("detectors") / "seed-2").double()
    images = torch.from_numpy(read_pixels(stage.read("outliers"))).permute(0, 3, 1, 2).double() / 255
    with torch.no_grad():
        expected = detector.phi(energy(detector(images))).numpy()
    np.testing.assert_allclose(table.score, expected, rtol=1e-4)
    np.testing.assert_allclose(table.confidence, expit(table.score + 1))


def test_of_moved_candidates_the_unmoved_twins_are_judged(stage, tmp_path):
    """The twins say what is chosen, whatever the images look like that a detector is to learn from."""
    step.main(stage)
    before = {name: read_table(path) for name, path in stage.writes.items()}
    twins, path = read_pixels(stage.read("outliers")), tmp_path / "outliers/moved.parquet"
    with ImageWriter(path, {"sample_id": pa.string(), "label": pa.int64(), "twin": IMAGE}, {}) as writer:
        for i, twin in enumerate(twins):
            writer.add(encode(255 - twin), sample_id=f"badood/{i:06d}", label=i % 3, twin={"bytes": encode(twin), "path": None})
    stage = replace(stage, reads=stage.reads | {"outliers/badood": path})
    section = stage.params.filter["badood"].model_copy(update={"sees": "twin"})
    step.main(replace(stage, params=Params({"filter": {"badood": section}})))
    assert all(read_table(path).equals(before[name]) for name, path in stage.writes.items())
    step.main(stage)
    assert not read_table(stage.write("selections/badood/mid")).equals(before["selections/badood/mid"])


def vetoing(stage, path, *lines):
    path.write_text("\n".join(["sample_id,image,reason", *lines, ""]))
    section = stage.params.filter["badood"].model_copy(update={"veto": str(path)})
    return replace(stage, params=Params({"filter": {"badood": section}}))


def test_a_vetoed_candidate_is_in_no_file_and_stands_beside_the_provenance(stage, tmp_path):
    step.main(stage)
    before = {name: read_table(path).to_pandas() for name, path in stage.writes.items()}
    whole = before["selections/badood"]
    out = [band.sample_id.iloc[0] for _, band in whole.groupby("band")]
    assert len(out) > 1 and (whole.band == "mid").sum() > 1
    reviewed = vetoing(stage, tmp_path / "v.csv", *(f"{sample_id},," for sample_id in out))
    step.main(reviewed)
    for name, path in stage.writes.items():
        after = read_table(path).to_pandas()
        assert not after.sample_id.isin(out).any()
        if not name.endswith("third"):  # which is of the ranks that are left
            left = before[name][~before[name].sample_id.isin(out)].reset_index(drop=True)
            assert after.drop(columns="third", errors="ignore").equals(left.drop(columns="third", errors="ignore")), name
    kept = read_table(stage.write("selections/badood")).to_pandas()
    assert kept.third.tolist() == third(kept.score.to_numpy()).tolist()
    expected = whole[whole.sample_id.isin(out)][["sample_id", "band", "confidence"]].to_dict("records")
    provenance = read_provenance(stage.write("selections/badood"))
    assert provenance[VETOED] == expected and provenance["params"]["filter"]["badood"]["veto"] == str(tmp_path / "v.csv")


def test_vetoes_that_are_none_change_no_row(stage, tmp_path):
    step.main(stage)
    before = read_table(stage.write("selections/badood"))
    step.main(vetoing(stage, tmp_path / "v.csv"))
    assert read_table(stage.write("selections/badood")).equals(before)
    assert read_provenance(stage.write("selections/badood"))[VETOED] == []


def test_vetoes_that_leave_nobody_or_no_mid_band_say_so(stage, tmp_path):
    with pytest.raises(PenumbraError, match=r"v.csv: vetoes all of 30 candidates of .*badood.parquet. Take some lines out."):
        step.main(vetoing(stage, tmp_path / "v.csv", *(f"badood/{i:06d},," for i in range(30))))
    step.main(stage)
    mid = read_table(stage.write("selections/badood/mid"))["sample_id"].to_pylist()
    with pytest.raises(PenumbraError, match=rf"none of {30 - len(mid)} candidates that .*v.csv leaves has a confidence in it"):
        step.main(vetoing(stage, tmp_path / "v.csv", *(f"{sample_id},," for sample_id in mid)))


def test_a_veto_of_nobody_is_refused_before_anything_is_computed(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "Judge", None)
    with pytest.raises(PenumbraError, match=r"v.csv line 2: badood/000030 is no candidate in .*badood.parquet. Take the line out"):
        step.main(vetoing(stage, tmp_path / "v.csv", "badood/000030,,"))
