"""Outliers of each class stay around its own boundary, the risk is written out, and outliers begin with their epoch."""

import pandas as pd
import torch
import torch.nn.functional as F
from training_files import NPOS, SIZES, train

from penumbra.guidance.boundary import around, boundary, farthest
from penumbra.models.resnet import Detector
from penumbra.train.losses.npos.loss import NposLoss, boundary_outliers
from penumbra.train.losses.npos.params import Recipe
from penumbra.train.network.images import Batch

P = Recipe(**NPOS)


def test_outliers_of_each_class_are_the_farthest_draws_around_some_of_its_boundary():
    bank = F.normalize(torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0)), dim=2)
    torch.manual_seed(1)
    found = boundary_outliers(bank, P).view(3, P.picked * P.keep, 6)
    torch.manual_seed(1)
    noise = torch.randn(P.samples, 6)
    for rows, of_class in zip(bank, found, strict=True):
        edge = boundary(rows, P.knn_k, P.boundary)[torch.randperm(P.boundary)[: P.picked]]
        assert torch.equal(of_class, farthest(around(rows[edge], noise, P.sigma), rows, P.knn_k, P.keep))
        assert (torch.cdist(of_class, rows[edge]).amin(1) < P.sigma * noise.norm(dim=1).max() + 1e-6).all()


def made(**more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2)
    loss = type("Timed", (NposLoss,), {"steps": 2})(detector, Recipe(**NPOS | more))
    draws = torch.Generator().manual_seed(1)

    def step():
        features, labels = torch.rand(8, 64, generator=draws).requires_grad_(), torch.arange(8) % 2
        return loss(detector.last_layer(features), features, Batch(torch.zeros(8), labels, None)), features

    return loss, step


def test_outliers_begin_with_their_epoch_and_not_before_the_queues_are_full():
    _, step = made(start_epoch=1)
    assert ["open_risk" in step()[0] for _ in range(4)] == [False, False, True, True]
    _, step = made(start_epoch=0)
    assert ["open_risk" in step()[0] for _ in range(3)] == [False, True, True]  # four of each class at a step, five in a queue


def test_the_risk_is_that_of_a_head_on_unit_features_and_reaches_them():
    loss, step = made(start_epoch=0, queue=4, beta=0.7)
    torch.manual_seed(5)
    found, features = step()
    torch.manual_seed(5)
    outliers = boundary_outliers(loss.queues.rows, loss.p)
    p_id, p_ood = (torch.sigmoid(loss.phi(each))[:, 0] for each in (F.normalize(features, dim=1), outliers))
    risk = -torch.log(p_ood).mean() - torch.log(1 - p_id).mean()
    torch.testing.assert_close(found["open_risk"], risk)
    total = found["compactness"] + 0.5 * found["dispersion"] + found["cross_entropy"] + 0.7 * risk
    torch.testing.assert_close(found["loss"], total)
    assert torch.autograd.grad(found["open_risk"], features)[0].abs().sum() > 0
    assert len(outliers) == 2 * P.picked * P.keep


def test_a_detector_is_trained_without_outliers_that_are_given(make_stage):
    stage = make_stage(["all"], method="none", loss="npos")
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert history.groupby("seed").open_risk.apply(lambda column: column.notna().tolist()).tolist() == [[False, True]] * 2
