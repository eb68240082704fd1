"""Pictures put together: which samples, where each tile lies, what a heat map does."""

import numpy as np
import pandas as pd
import pytest

from penumbra.artifacts.images import encode
from penumbra.report import mosaic
from penumbra.report.methods import good, sona
from synthetic_candidates import COPIES, STRENGTHS


def plain(value, side=8):
    return np.full((side, side, 3), value, np.uint8)


def test_tiles_lie_in_rows_with_white_between_them():
    canvas = mosaic.joined([[plain(1), None], [plain(3), plain(4)]])
    assert canvas.shape == (18, 18, 3)
    assert (canvas[0, 0] == 1).all() and (canvas[10, 0] == 3).all() and (canvas[17, 17] == 4).all()
    assert (canvas[8:10] == 255).all() and (canvas[:8, 10:] == 255).all()


def test_a_strip_is_cut_into_the_tiles_of_one_row():
    picture = np.concatenate([np.concatenate([plain(10 * row + column) for column in range(3)], axis=1) for row in range(2)])
    assert [int(tile[0, 0, 0]) for tile in mosaic.strip(encode(picture), row=1, rows=2)] == [10, 11, 12]
    assert [int(tile[0, 0, 0]) for tile in mosaic.strip(encode(picture[:8]))] == [0, 1, 2]


def test_large_images_become_small_tiles():
    assert mosaic.tile(encode(plain(7, 512))).shape == (mosaic.SIDE, mosaic.SIDE, 3)
    assert mosaic.tile(encode(plain(7, 32))).shape == (32, 32, 3)


def test_a_heat_map_is_brightest_where_its_value_is_greatest():
    cam = np.zeros((4, 4))
    cam[0, 3] = 0.01
    covered = good.overlay(plain(100, 32), cam).astype(int).sum(axis=2)
    assert np.unravel_index(covered.argmax(), covered.shape)[0] < 8 and np.unravel_index(covered.argmax(), covered.shape)[1] >= 24
    assert np.isfinite(good.overlay(plain(100, 32), np.zeros((4, 4)))).all()


@pytest.fixture(scope="module")
def samples(results_data):
    return pd.read_parquet(results_data / "outliers/good.parquet").drop(columns="image")


def test_the_first_copy_of_each_class_stands_for_a_strength(samples):
    first = good.first_copies(samples)
    assert len(first) == len(samples) / COPIES == 6 * sum(len(cells) for cells in STRENGTHS.values())
    assert not set(first.sample_id) & set(samples.sample_id[1::COPIES])


def test_samples_of_one_rho_stand_side_by_side_a_class_in_each_panel(samples, results_data, drawn):
    fixed = samples[(samples.guidance == "image") & (samples.rho == 0.1)]
    good.strengths(fixed, results_data / "outliers/good.parquet")
    assert [[tick.get_text() for tick in ax.get_xticklabels()] for ax in drawn["axes"]] == [["0.1", "1", "5"]] * good.GRIDS
    assert [[tick.get_text() for tick in ax.get_yticklabels()] for ax in drawn["axes"]] == [["0.1"]] * good.GRIDS


def test_a_method_without_an_autoencoders_path_has_no_picture_of_it(results_data, tmp_path):
    frame = pd.read_parquet(results_data / "outliers/sona.parquet")
    frame["path"] = None
    frame.to_parquet(tmp_path / "sona.parquet")
    shown = sona.edits(frame, tmp_path / "sona.parquet", results_data / "images/train.parquet")
    assert shown is None
