"""The probe of the shortcut, against independent counts."""

import numpy as np

from penumbra.benchmark import probe
from synthetic_results import scores


def round_trips(frame):
    """Rows of data/probes whose scores are those of the ID test images themselves."""
    real = frame[frame.group == "id"]
    return real[["seed", "sample_id", "label", "predicted", "energy", "msp"]].assign(detector="none", mcm=np.nan, neglabel=np.nan)


def test_the_probe_is_half_where_round_trips_score_as_their_images_do():
    frame = scores(np.random.default_rng(0))
    found = probe.probe_by_seed("reconstruction", round_trips(frame), {"none": frame})
    assert set(found.score) == {"energy", "msp"} and set(found.control) == {"reconstruction"}
    np.testing.assert_allclose(found.auroc, 0.5)
    assert (found["count"] == 40).all() and len(found) == 3 * 2
    further = round_trips(frame).assign(energy=1000.0)
    assert (probe.probe_by_seed("reconstruction", further, {"none": frame}).set_index("score").auroc["energy"] == 1).all()


def test_round_trips_of_other_detectors_are_not_probed():
    frame = scores(np.random.default_rng(0))
    assert probe.probe_by_seed("reconstruction", round_trips(frame), {"other": frame}).empty


def test_a_seed_whose_scores_are_not_there_is_not_probed():
    frame = scores(np.random.default_rng(0))
    found = probe.probe_by_seed("reconstruction", round_trips(frame), {"none": frame[frame.seed != 0]})
    assert set(found.seed) == set(frame.seed) - {0} and found.auroc.notna().all()
