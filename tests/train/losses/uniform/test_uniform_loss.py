"""The objective of SONA written out, where its gradients go, and what q does meanwhile."""

import copy
import math

import pytest
import torch
from training_files import UNIFORM

from penumbra.train.losses.uniform.information import club_bound
from penumbra.train.losses.uniform.loss import Information, uniform_losses, uniformity_loss
from penumbra.train.losses.uniform.params import Recipe

P = Recipe(**UNIFORM | {"beta": 0.5, "information_weight": 0.7, "club_steps": 3, "club_learning_rate": 0.05})
CPU = torch.device("cpu")
LABELS = torch.tensor([2, 0, 3, 1, -1, -1, -1, -1])


def batch(seed=0):
    draws = torch.Generator().manual_seed(seed)
    logits, features = (torch.randn(8, width, generator=draws, requires_grad=True) for width in (4, 5))
    return logits, features


def losses(p=P, paired=(True,) * 4, seed=0):
    torch.manual_seed(0)
    logits, features = batch(seed)
    information = Information(5, p, CPU)
    return uniform_losses(logits, features, LABELS, torch.tensor(paired), information, p), information, features


def test_outliers_are_compared_with_the_uniform_distribution():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    expected = -sum(math.log(p) / 4 for row in torch.softmax(logits, 1).tolist() for p in row) / 3
    assert uniformity_loss(logits).item() == pytest.approx(expected, rel=1e-5)
    assert uniformity_loss(torch.full((2, 4), 7.0)).item() == pytest.approx(math.log(4))  # its least value
    assert uniformity_loss(logits).item() > math.log(4)


def test_the_objective_is_the_weighted_sum_of_its_parts():
    found, information, features = losses()
    logits, _ = batch()
    torch.testing.assert_close(found["cross_entropy"], -torch.log_softmax(logits[:4], 1)[torch.arange(4), LABELS[:4]].mean())
    torch.testing.assert_close(found["uniformity"], uniformity_loss(logits[4:]))
    torch.testing.assert_close(found["information"], club_bound(*information.club(features[:4]), features[4:]))
    expected = found["cross_entropy"] + 0.5 * found["uniformity"] + 0.7 * found["information"]
    torch.testing.assert_close(found["loss"], expected)


@pytest.mark.parametrize("kind", ["club", "outer_product"])
def test_information_reaches_the_features_of_pairs_alone_on_both_sides(kind):
    torch.manual_seed(0)
    features = torch.rand(8, 5, requires_grad=True)
    p = P.model_copy(update={"information": kind})
    paired = torch.tensor([True, False, True, True])
    uniform_losses(torch.zeros(8, 4), features, LABELS, paired, Information(5, p, CPU), p)["loss"].backward()
    moved = features.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, False, True, True] * 2


def test_q_learns_its_steps_before_the_estimate_and_is_not_moved_by_the_objective():
    torch.manual_seed(0)
    _, features = batch()
    information = Information(5, P, CPU)
    fresh = copy.deepcopy(information.club.state_dict())
    estimate = information(features[:4], features[4:])
    after = copy.deepcopy(information.club.state_dict())
    assert any(not torch.equal(fresh[name], after[name]) for name in fresh)
    assert {int(state["step"]) for state in information.optimizer.state.values()} == {3}
    before = [None if parameter.grad is None else parameter.grad.clone() for parameter in information.club.parameters()]
    estimate.backward()
    assert all(torch.equal(parameter.grad, gradient) for parameter, gradient in zip(information.club.parameters(), before, strict=True))
    assert features.grad.abs().sum() > 0
    information(features[:4].detach(), features[4:].detach())
    assert {int(state["step"]) for state in information.optimizer.state.values()} == {6}


def test_q_comes_to_predict_the_outlier_from_its_image():
    draws = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    information = Information(5, P, CPU)
    x = torch.randn(128, 5, generator=draws)
    y = x + 0.5 * torch.randn(128, 5, generator=draws)
    estimates = [information(x, y).item() for _ in range(60)]
    assert estimates[0] < 1 < estimates[-1]


def test_without_information_or_pairs_two_terms_are_left():
    for found in (losses(P.model_copy(update={"information": "none"}))[0], losses(paired=(False,) * 4)[0]):
        assert found["information"].item() == 0
        torch.testing.assert_close(found["loss"], found["cross_entropy"] + 0.5 * found["uniformity"])


def test_without_outliers_it_is_the_cross_entropy():
    logits, features = batch()
    found = uniform_losses(logits[:4], features[:4], LABELS[:4], None, Information(5, P, CPU), P)
    assert list(found) == ["loss", "cross_entropy"] and torch.equal(found["loss"], found["cross_entropy"])
