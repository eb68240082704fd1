"""The mean of every score in every cell, and how far scores follow either shift."""

import numpy as np
import pandas as pd
import pytest

from penumbra.artifacts.tables import write_parquet
from penumbra.benchmark.grid import cells_by_seed, sensitivity_by_seed, tables
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage


def scored(seeds=(0, 1), images=3, **columns) -> pd.DataFrame:
    """Images of a grid of 4 x 3 cells; columns are functions of semantic level, covariate level and image."""
    cells = [(seed, s, c, i) for seed in seeds for s in range(4) for c in range(3) for i in range(images)]
    frame = pd.DataFrame(cells, columns=["seed", "semantic", "covariate", "image"])
    made = {name: function(frame.semantic, frame.covariate, frame.image) for name, function in columns.items()}
    frame = frame.assign(grid="mine", sample_id=[f"mine/{i}" for i in range(len(frame))], **made)
    return frame.drop(columns="image")


def test_a_cell_is_the_mean_over_its_images_and_the_spread_is_over_seeds(tmp_path):
    (tmp_path / "scores").mkdir()
    frame = scored(msp=lambda s, c, i: 10 * s + c + i - 1.0).assign(msp=lambda frame: frame.msp + 0.5 * frame.seed)
    write_parquet(tmp_path / "scores/grid/none.parquet", frame, {})
    write_parquet(tmp_path / "scores/grid/left-over.parquet", frame, {})
    params = Params({"grid": {"detectors": ["none", "missing"]}, "score": {"more": {}}})
    found = tables(Stage("benchmark", None, params, reads={"scores": tmp_path / "scores"}))
    table = found["grid"].set_index(["grid", "detector", "score", "semantic", "covariate"])
    assert len(table) == 12 and set(table.images) == {3}
    row = table.loc["mine", "none", "msp", 2, 1]
    assert row.value_mean == pytest.approx(21.25) and row.value_std == pytest.approx(0.5 / np.sqrt(2))
    assert found["sensitivity"].detector.tolist() == ["none"]


def test_without_a_detector_there_is_no_table(tmp_path):
    params = Params({"grid": {"detectors": []}, "score": {"more": {}}})
    assert tables(Stage("benchmark", None, params, reads={"scores": tmp_path})) == {}


def test_a_score_that_is_no_number_is_named(tmp_path):
    write_parquet(tmp_path / "grid/none.parquet", scored(msp=lambda s, c, i: 1.0 + 0 * s).assign(msp=np.nan), {})
    params = Params({"grid": {"detectors": ["none"]}, "score": {"more": {}}})
    with pytest.raises(PenumbraError, match=r"data/scores/grid/none\.parquet: msp is nan for mine/0"):
        tables(Stage("benchmark", None, params, reads={"scores": tmp_path}))


@pytest.mark.parametrize(
    ("score", "semantic", "covariate"),
    [
        (lambda s, c, i: s**2 + i, 1, 0),  # follows what is shown, and nothing of the light
        (lambda s, c, i: -np.exp(c) + i, 0, -1),
        (lambda s, c, i: 0 * s + 3.0, 0, 0),
    ],
)
def test_a_score_follows_the_shift_that_it_rises_with(score, semantic, covariate):
    found = sensitivity_by_seed(cells_by_seed("none", scored(energy=score), []))
    assert found.seed.tolist() == [0, 1]
    np.testing.assert_allclose(found[["semantic", "covariate"]], [[semantic, covariate]] * 2, atol=1e-12)


def test_only_scores_are_evaluated_and_those_that_are_asked_for_come_last():
    frame = scored(vim=lambda s, c, i: s, energy=lambda s, c, i: c, knn_10=lambda s, c, i: i)
    assert list(dict.fromkeys(cells_by_seed("none", frame, ["vim"]).score)) == ["energy", "vim"]
