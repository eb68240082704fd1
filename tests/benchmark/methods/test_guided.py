"""What an overlay draws of GOOD's candidates: against counts and neighbours found one by one, and a map of what is known to lie apart."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark import guided
from penumbra.benchmark.methods import good
from synthetic_results import benchmark_stage

BINS = 7


@pytest.fixture
def of():
    """ID training images of three classes, each about an axis of its own."""
    rng, label = np.random.default_rng(0), np.repeat([0, 1, 2], 20)
    return guided.Known(rng.normal(-8, 1, 60), guided.unit(np.eye(8)[label] + rng.normal(0, 0.05, (60, 8))), label)


@pytest.fixture
def candidates():
    """Two strengths of one guidance and one of another; features about two further axes."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"guidance": ["image"] * 40 + ["feature"] * 20, "rho": [0.1] * 20 + [5.0] * 20 + [1.0] * 20, "label": 0})
    axis = np.repeat([3, 4, 4], 20)
    features = list((9 * np.eye(8)[axis] + rng.normal(0, 0.3, (60, 8))).astype(np.float32))
    return frame.assign(mu=frame.rho, energy=rng.normal(-4, 1, 60) + frame.rho, knn=rng.uniform(0.2, 1, 60), features=features)


def test_each_strength_has_its_histogram_beside_that_of_id(candidates, of):
    plot = guided.strengths("good", candidates, of, k=3, bins=BINS)
    image = plot[(plot.guidance == "image") & (plot.measure == "energy")]
    cells = list(image.groupby(["rho", "mu"], dropna=False, sort=False))
    assert [key[0] for key, _ in cells if key[0] == key[0]] == [0.1, 5.0] and len(cells) == 3
    centres = cells[0][1].value.to_numpy()
    edges = np.append(centres - np.diff(centres)[0] / 2, centres[-1] + np.diff(centres)[0] / 2)
    everything = np.concatenate([candidates.energy[:40], of.energy])
    assert edges[[0, -1]] == pytest.approx(np.quantile(everything, [0.005, 0.995]))
    for (_, cell), values in zip(cells, (of.energy, candidates.energy[:20], candidates.energy[20:40]), strict=True):
        inside = [sum(low <= value < high for value in values) for low, high in zip(edges[:-1], edges[1:], strict=True)]
        assert cell.density.to_numpy() * len(values) * np.diff(edges)[0] == pytest.approx(inside)
    assert set(plot.guidance) == {"image", "feature"} and set(plot.measure) == {"energy", "knn"}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([(1, 1)], False),
        ([(1, 1), (2, 2), (2, 2)], False),
        ([(1, 3), (2, 1)], False),
        ([(1, 1), (1, 2), (2, 1)], True),
        ([(0, 1), (0, 2)], True),
        ([(1, 0), (2, 0)], True),
    ],
)
def test_rho_and_mu_vary_apart_where_one_has_several_values_beside_one_of_the_other(cells, expected):
    assert guided.apart(pd.DataFrame(cells, columns=["rho", "mu"])) is expected


def test_an_id_image_is_no_neighbour_of_itself(of):
    for k in (1, 5):
        expected = []
        for place, row in enumerate(of.features):
            others = np.delete(of.features, place, axis=0)
            expected.append(sorted(np.sqrt(((others - row) ** 2).sum(1)))[k - 1])
        np.testing.assert_allclose(guided.id_distances(of.features, k), expected, atol=1e-7)


def test_of_many_id_images_some_are_measured_against_all(of, monkeypatch):
    monkeypatch.setattr(guided, "MEASURED", 4)
    monkeypatch.setattr(guided, "BLOCK", 3)
    measured = guided.id_distances(of.features, 2)
    monkeypatch.setattr(guided, "MEASURED", 60)
    np.testing.assert_allclose(measured, guided.id_distances(of.features, 2)[[0, 20, 39, 59]])


def test_variants_are_told_apart_by_gamma(candidates, of):
    image = candidates[candidates.guidance == "image"]
    variants = {"wide": image[:20], "narrow": image[20:]}
    gamma = {"wide": {"image": 1.0, "feature": 9.0}, "narrow": {"image": 0.01}}
    plot = pd.concat(guided.gammas(variants, gamma, of, BINS))
    means = plot.groupby("gamma", dropna=False).apply(lambda curve: np.average(curve.energy, weights=curve.density), include_groups=False)
    assert list(means.index[:2]) == [0.01, 1.0] and np.isnan(means.index[2])
    assert means.to_numpy() == pytest.approx([image.energy[20:].mean(), image.energy[:20].mean(), of.energy.mean()], abs=0.5)


def test_neighbours_in_the_map_are_of_one_group(candidates, of):
    """Five groups that lie apart in the features lie apart in the map, which is the same again."""
    variants = {"one": candidates[:20], "two": candidates[20:40]}
    found = guided.features(variants, of, points=20)
    assert found.method.value_counts().to_dict() == {guided.ID: 20, "one": 20, "two": 20}
    group = found.method + found.label.astype(str)
    apart = np.linalg.norm(found[["x", "y"]].to_numpy()[:, None] - found[["x", "y"]].to_numpy(), axis=2) + np.diag([np.inf] * len(found))
    assert (group.to_numpy()[apart.argmin(axis=1)] == group).mean() > 0.95
    assert found.equals(guided.features(variants, of, points=20))


def test_only_what_is_asked_for_is_drawn(results_data, tmp_path, candidates):
    stage = benchmark_stage(results_data, tmp_path)
    assert guided.plots(stage, {"good": candidates}, np.zeros(60)) == {}
    asked = {"strengths": ["good"], "gammas": [], "features": [], "points": 10}
    stage = benchmark_stage(results_data, tmp_path, {"benchmark.guided": asked})
    energy = good.energy_of_features(results_data / "features/classifier.safetensors", results_data / "models/classifier")
    assert list(guided.plots(stage, {"good": candidates}, energy)) == ["guided-strengths"]
    assert guided.plots(dataclasses.replace(stage), {}, energy) == {}
