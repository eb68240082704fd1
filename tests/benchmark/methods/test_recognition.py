"""What CLIP sees in candidates, against counts over all pairs and by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from penumbra.benchmark.methods import clip
from penumbra.benchmark.methods.clip import Images, class_sums, nearest, rows_of, spread, type_of, unit

TEXTS = np.eye(4, dtype=np.float32)  # two ID classes, two negative labels


def images(features, label, band=None, method="badood"):
    features = unit(np.array(features, np.float32))
    ids = pd.Series([f"{method}/{row}" for row in range(len(features))])
    bands = np.full(len(features), "") if band is None else np.array(band)
    return Images(method, ids, np.array(label), bands, lambda: [features[:2], features[2:]])


@pytest.fixture
def five():
    """Of class 0: itself, class 1, a negative label, halfway between all texts; of class 1: itself."""
    rows = [[9, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0.1], [1, 1, 1, 1.1], [0, 5, 1, 0]]
    return images(rows, [0, 0, 0, 0, 1], ["low", "mid", "mid", "high", "low"])


def test_the_three_types_by_hand(five):
    types, _ = rows_of(five, TEXTS, 2, threshold=0.8, samples=100, seed=0)
    by_band = pd.DataFrame(types).set_index("band")
    assert by_band.other_id.to_dict() == {"all": 1, "low": 0, "mid": 1, "high": 0}  # the other one is a negative label
    counts = by_band[["own", "other", "nothing"]]
    assert counts.T.to_dict("list") == {"all": [2, 2, 1], "low": [2, 0, 0], "mid": [0, 2, 0], "high": [0, 0, 1]}


def test_shares_are_of_the_band_and_stand_beside_the_papers(five):
    types, _ = rows_of(five, TEXTS, 2, 0.8, 100, 0)
    by_band = pd.DataFrame(types).set_index("band")
    assert by_band.own_share["all"] == 0.4 and by_band.other_share["mid"] == 1
    assert by_band.paper_nothing["all"] == 0.334 and np.isnan(by_band.paper_own["low"])
    assert pd.DataFrame(rows_of(replace(five, method="good"), TEXTS, 2, 0.8, 100, 0)[0]).paper_own.isna().all()


def test_an_image_of_no_class_is_never_its_own():
    place, cosine = np.array([0, 1]), np.array([0.9, 0.9])
    assert type_of(place, cosine, np.array([-1, 1]), 0.5).tolist() == [1, 0]


def test_without_bands_there_is_one_row():
    assert [row["band"] for row in rows_of(images(np.eye(4), [0, 0, 1, 1]), TEXTS, 2, 0.8, 100, 0)[0]] == ["all"]


def test_the_threshold_recognises_the_share_that_it_is_for():
    rng = np.random.default_rng(0)
    validation = unit(rng.normal(0, 1, (400, 4)))
    threshold = clip.threshold_of([validation], TEXTS, 0.95)
    assert np.mean(nearest([validation], TEXTS)[1] >= threshold) == pytest.approx(0.95, abs=0.005)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4))
def test_diversity_from_sums_equals_that_of_all_pairs(seed, count, classes):
    rng = np.random.default_rng(seed)
    features, label = unit(rng.normal(0.5, 1, (count, 3))), rng.integers(-1, classes, count)
    across, within = spread(*class_sums([features[:5], features[5:]], label, classes))
    distance = 1 - features.astype(float) @ features.astype(float).T
    of_class = [np.flatnonzero(label == name) for name in range(classes)]
    inside = [np.mean([distance[a, b] for a in rows for b in rows if a != b]) for rows in of_class if len(rows) > 1]
    outside = [
        distance[np.ix_(one, other)].mean() for one in of_class for other in of_class if one is not other and len(one) and len(other)
    ]
    for found, expected in ((across, outside), (within, inside)):
        assert found == pytest.approx(np.mean(expected), abs=1e-5) if expected else np.isnan(found)


def test_equal_images_have_no_diversity():
    across, within = spread(*class_sums([unit(np.ones((6, 3)))], np.array([0, 0, 0, 1, 1, 1]), 2))
    assert across == pytest.approx(0, abs=1e-6) and within == pytest.approx(0, abs=1e-6)


def test_categories_are_those_of_a_drawn_part_of_each_class():
    everything = images(np.tile(np.eye(4), (50, 1)), np.tile([0, 0, 1, 1], 50))
    assert rows_of(everything, TEXTS, 2, 0.8, 100, 0)[1][0]["categories"] == 2  # four texts seen, two ID classes
    assert rows_of(everything, TEXTS, 2, 0.8, 1, 0)[1][0]["categories"] <= 1


def test_blocks_of_a_file_are_its_rows_whatever_the_block(tmp_path, monkeypatch):
    features = np.random.default_rng(0).normal(0, 5, (10, 3)).astype(np.float16)
    save_file({"features": features}, tmp_path / "some.safetensors")
    read = clip.blocks_of(tmp_path / "some.safetensors", "features")
    whole = np.concatenate(list(read()))
    monkeypatch.setattr(clip, "BLOCK", 4)
    assert [len(block) for block in read()] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(list(read())), whole)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-5)


def test_texts_are_id_classes_first(tmp_path):
    save_file({"id": 3 * TEXTS[:2], "mcm": TEXTS[:2], "negative": TEXTS[2:]}, tmp_path / "texts.safetensors")
    for choice, expected in (("all", TEXTS), ("id", TEXTS[:2])):
        texts, classes = clip.texts_of(tmp_path / "texts.safetensors", choice)
        assert classes == 2
        np.testing.assert_array_equal(texts, expected)
