"""What guidance made of GOOD's candidates by strength, and SONA's edits by stop step, against independent counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from penumbra.benchmark import claims
from penumbra.benchmark.methods import good, sona


def compared(table):
    """The rows of the claim about strengths."""
    (claim,) = (claim for claim in claims.read() if claim.measure == "strength")
    return good.strength(claim, claims.Measured({"strengths": table}, None))


@pytest.fixture
def candidates():
    rng = np.random.default_rng(0)
    cells = [(rho, mu) for rho in (0.1, 5.0) for mu in (0.1, 5.0)]
    rows = [{"guidance": "image", "rho": rho, "mu": mu} for rho, mu in cells for _ in range(8)]
    rows += [{"guidance": "feature", "rho": 1.0, "mu": 1.0} for _ in range(5)]
    frame = pd.DataFrame(rows)
    return frame.assign(energy=frame.rho + rng.normal(0, 0.2, len(frame)), knn=rng.random(len(frame)))


def test_strengths_are_means_over_their_candidates(candidates):
    table = good.strengths_table("good", candidates, np.array([-3.0, -1.0]))
    assert table["count"].sum() == len(candidates) + 2
    cell = table[(table.guidance == "image") & (table.rho == 5) & (table.mu == 0.1)].iloc[0]
    mine = candidates[8 * 2 : 8 * 3]
    assert cell.energy_mean == pytest.approx(np.mean(mine.energy)) and cell.knn_std == pytest.approx(np.std(mine.knn, ddof=1))
    known = table[table.guidance == "ID train"].iloc[0]
    assert known.energy_mean == -2 and known.energy_std == pytest.approx(np.sqrt(2))


def test_densities_by_strength_are_of_their_candidates(candidates):
    plot = good.strengths_density("good", candidates, np.array([0.0, 0.1, 0.2]), 200)
    image = plot[plot.guidance == "image"]
    assert set(image.strength[image.panel == "rho"]) == {-1, 0.1, 5.0} and set(image.strength[image.panel == "balanced"]) == {-1, 0.0}
    width = np.diff(image.energy[:2]).item()
    strong = image[(image.panel == "rho") & (image.strength == 5)]
    mine = candidates[(candidates.guidance == "image") & (candidates.rho == 5)].energy
    assert (strong.density * strong.energy * width).sum() == pytest.approx(mine.mean(), abs=0.5)  # cut off half a percent on each side
    known = image[(image.panel == "mu") & (image.strength == -1)]
    assert (known.density * width).sum() == pytest.approx(1, abs=0.4)


def test_a_guidance_whose_rho_is_fixed_has_panels_of_both(candidates):
    plot = good.strengths_density("good", candidates[candidates.rho == 0.1], None, 20)
    assert plot.groupby("panel").strength.unique().map(sorted).to_dict() == {"balanced": [0], "mu": [0.1, 5.0], "rho": [0.1]}


def test_energy_of_saved_features_is_that_of_their_logits(results_data):
    from safetensors.numpy import load_file

    features = load_file(results_data / "features/classifier.safetensors")["features"]
    last = load_file(results_data / "models/classifier/model.safetensors")
    expected = [
        -logsumexp([row @ weights + bias for weights, bias in zip(last["fc.weight"], last["fc.bias"], strict=True)]) for row in features
    ]
    found = good.energy_of_features(results_data / "features/classifier.safetensors", results_data / "models/classifier")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_stronger_guidance_that_stays_behind_is_said_so(candidates):
    table = good.strengths_table("good", candidates, None)
    verdicts = {row["claim"].split(" of ")[0]: row for row in compared(table)}
    assert verdicts["good: the greatest rho"]["verdict"] == "held"
    strong = candidates[(candidates.guidance == "image") & (candidates.rho == 5)].energy
    assert verdicts["good: the greatest rho"]["better"] == pytest.approx(strong.mean())
    assert verdicts["good: the greatest rho"]["better_std"] == pytest.approx(strong.std() / np.sqrt(len(strong)))
    assert verdicts["good: the greatest mu"]["verdict"] != "held" or abs(verdicts["good: the greatest mu"]["difference"]) < 0.3
    turned = good.strengths_table("good", candidates.assign(energy=-candidates.energy), None)
    assert {row["claim"].split(" of ")[0]: row["verdict"] for row in compared(turned)}["good: the greatest rho"] == "contradicted"


@pytest.mark.parametrize("guidance", ["image", "feature"])
def test_strengths_that_go_together_are_named_and_claimed_once(guidance):
    table = pd.DataFrame({"method": "good", "guidance": guidance, "rho": [0.1, 5.0], "mu": [0.1, 5.0], "count": 10})
    for name in ("energy", "knn"):
        table[f"{name}_mean"], table[f"{name}_std"] = [0.0, 1.0], 0.1
    (row,) = compared(table)
    assert row["claim"].startswith(f"good: the greatest rho = mu of {guidance} guidance") and row["verdict"] == "held"


def test_variants_are_compared_by_their_candidates(candidates):
    """By energy and distance, whatever their strengths; by nothing where one of them is not there."""
    claim = next(claim for claim in claims.read() if claim.measure == "candidates")
    variants = {claim.better: candidates, claim.worse: candidates.assign(energy=candidates.energy - 1, knn=candidates.knn + 1)}
    tables = [good.strengths_table(name, frame, np.array([99.0, 98.0])) for name, frame in variants.items()]
    energy, knn = good.of_candidates(claim, claims.Measured({"strengths": pd.concat(tables)}, None))
    assert (energy["measure"], energy["verdict"], knn["measure"], knn["verdict"]) == ("energy", "held", "k-NN distance", "contradicted")
    assert energy["better"] == pytest.approx(candidates.energy.mean()) and energy["difference"] == pytest.approx(1)
    assert energy["better_std"] == pytest.approx(candidates.energy.std() / np.sqrt(len(candidates)))
    assert good.of_candidates(claim, claims.Measured({"strengths": tables[0]}, None)) == []


def test_edits_by_stop_step():
    frame = pd.DataFrame({"stop": [3, 1, 3], "distance_l2": [1.0, 5.0, 2.0], "distance_cosine": [0.1, 0.5, 0.3]})
    table = sona.edits_table("sona", frame).set_index("stop")
    assert table["count"].tolist() == [1, 2] and table.l2_mean.tolist() == [5.0, 1.5]
    assert table.cosine_std[3] == pytest.approx(0.2 / np.sqrt(2)) and np.isnan(table.l2_std[1])
