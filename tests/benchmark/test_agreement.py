"""How far judges agree: known overlaps, and chance."""

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark.bands import agreement_row


def test_overlap_is_intersection_over_union_and_chance_that_of_independent_sets():
    first = ["mid", "mid", "low", "high"]
    row = agreement_row(
        "x",
        pd.DataFrame(
            {
                "band_0": first,
                "band_1": ["mid", "low", "low", "high"],
                "accepted": [True, False, False, False],
                "class_kept": [True, True, True, False],
            }
        ),
    )
    assert (row["accepted"], row["class_kept"], row["judges"], row["same_band"], row["overlap"]) == (0.25, 0.75, 2, 0.75, 0.5)
    assert row["overlap_by_chance"] == pytest.approx(0.125 / (0.5 + 0.25 - 0.125))
    same = agreement_row("x", pd.DataFrame({f"band_{judge}": first for judge in range(3)} | {"accepted": False, "class_kept": True}))
    assert (same["judges"], same["same_band"], same["overlap"]) == (3, 1.0, 1.0)


def test_random_bands_overlap_by_chance():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"band_{judge}": rng.choice(["low", "mid", "high"], 20_000, p=[0.3, 0.1, 0.6]) for judge in range(2)}
        | {"accepted": False, "class_kept": True}
    )
    row = agreement_row("x", frame)
    assert row["overlap"] == pytest.approx(row["overlap_by_chance"], abs=0.01)


def test_one_judge_agrees_with_nobody():
    row = agreement_row("x", pd.DataFrame({"band_0": ["mid"], "accepted": True, "class_kept": True}))
    assert row["judges"] == 1 and np.isnan(row["overlap"])
