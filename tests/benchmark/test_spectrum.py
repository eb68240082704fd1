"""The full spectrum: ID classes from elsewhere stand on the side of ID; rendered shifts stand nowhere."""

import pandas as pd
import pytest

from penumbra.benchmark.spectrum import full_spectrum

ROWS = [  # group, set, energies
    ("id", "id-test", [0.0, 1.0]),
    ("shift", "uci-0-5", [4.0, 5.0]),
    ("shift", "noise", [9.0, 9.0]),
    ("near", "mnist-6-9", [3.0, 6.0]),
    ("far", "photos", [8.0, 8.0]),
]


@pytest.fixture
def scores():
    frames = [pd.DataFrame({"group": group, "set": name, "energy": energies}) for group, name, energies in ROWS]
    return pd.concat([pd.concat(frames).assign(seed=seed) for seed in (0, 1)], ignore_index=True)


def test_a_detector_that_rejects_id_classes_from_elsewhere_pays(scores):
    found = full_spectrum("none", scores, ["uci-0-5"], []).set_index(["set", "seed"])
    # of the pairs of {0, 1, 4, 5} with {3, 6} are 2 + 4 in order
    assert found.loc[("mnist-6-9", 0), "auroc"] == pytest.approx(6 / 8) and found.loc[("far", 1), "auroc"] == 1
    assert set(found.score) == {"energy"} and {"near", "far", "mnist-6-9", "photos"} == {name for name, _ in found.index}
    assert (scores.group == "shift").sum() == 8  # the caller's own rows are as they were


def test_without_id_classes_from_elsewhere_there_is_no_row(scores):
    assert full_spectrum("none", scores, [], []).empty
    assert full_spectrum("none", scores[scores.set != "uci-0-5"], ["uci-0-5"], []).empty
