"""What a CLIP detector is made of, which images it learns from, and in which order."""

import pytest
import torch
import torch.nn.functional as F
from clip_stages import raw, zero_shot

from clip_features import LOGIT_SCALE, RECIPE, label_features, near
from penumbra.labels import grouped
from penumbra.models.clip_detector import ClipDetector
from penumbra.train.features import Features
from penumbra.train.losses.clip import exposure, loop
from penumbra.train.losses.clip.exposure import Exposure, Phase, Schedule, matched
from penumbra.train.losses.clip.loss import image_loss, label_loss
from penumbra.train.losses.clip.params import Recipe
from penumbra.train.losses.clip.seeds import beside, pool


def test_rates_are_the_official_ones():
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], 1.0)

    def rates(schedule, total):
        for epoch in range(total):
            schedule.set_rate(epoch, total)
            yield sgd.param_groups[0]["lr"]

    assert list(rates(Schedule(sgd, 1e-3, 1e-5), 3)) == pytest.approx([1e-3, 7.525e-4, 2.575e-4])
    assert list(rates(Schedule(sgd, 2e-2), 5)) == pytest.approx([2e-2, 1.81e-2, 1.31e-2, 6.9e-3, 1.9e-3], rel=0.01)


def test_with_a_zeroed_layer_norm_the_residual_layer_returns_plain_clip_features():
    detector, plain, features = zero_shot(), zero_shot(project=False), raw(9)
    assert (detector.image_features(features) - F.normalize(features, dim=1)).abs().max() > 0.1
    torch.nn.init.zeros_(detector.delta[1].weight)
    torch.nn.init.zeros_(detector.delta[1].bias)
    torch.testing.assert_close(detector.image_features(features), F.normalize(features, dim=1), rtol=0, atol=0)
    for ours, theirs in zip(detector(features), plain(features), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_without_the_residual_features_are_the_layers_alone():
    detector, features = zero_shot(residual=False), raw(9)
    torch.testing.assert_close(detector.image_features(features), F.normalize(detector.delta(features), dim=1))


def test_the_layer_has_the_published_number_of_parameters():
    detector = ClipDetector(
        names=["a"], words=["b"], width=512, groups=1, temperature=0.01, mcm_temperature=1.0, project=True, residual=True
    )
    assert sum(parameter.numel() for parameter in detector.parameters()) == 263_680


def test_the_temperature_is_the_models_own_unless_it_is_given():
    assert zero_shot().temperature == pytest.approx(1 / LOGIT_SCALE)
    order = grouped(17, 4, torch.Generator())
    assert (
        ClipDetector.zero_shot(label_features(), order, temperature=0.5, mcm_temperature=1.0, project=False, residual=True).temperature
        == 0.5
    )


def test_outliers_are_matched_to_the_nearest_negative_label_and_to_no_class(monkeypatch):
    monkeypatch.setattr(exposure, "BLOCK", 4)
    labels, features = label_features(), raw(11)
    cosines = F.normalize(features, dim=1) @ F.normalize(labels.negative, dim=1).T
    assert matched(features, labels.negative).tolist() == [max(range(17), key=row.tolist().__getitem__) for row in cosines]
    assert matched(5 * labels.negative.flip(0), labels.negative).tolist() == list(range(17))[::-1]
    assert matched(labels.id, labels.negative).max() < 17


def test_a_smaller_amount_of_outliers_is_part_of_a_larger_one_and_in_the_files_order():
    draws = lambda: torch.Generator().manual_seed(7)  # noqa: E731
    few, many = pool(100, 10, draws()), pool(100, 30, draws())
    assert len(few) == 10 and set(few.tolist()) < set(many.tolist()) and many.tolist() == sorted(many.tolist())
    assert few.tolist() != list(range(10))
    assert pool(100, None, draws()).tolist() == pool(100, 200, draws()).tolist() == list(range(100))


def test_id_images_are_the_sources_each_once_and_round_trips_those_of_the_same_images():
    train = Features(torch.arange(6.0)[:, None], torch.tensor([0, 1, 2, 0, 1, 2]))
    sources = torch.tensor([4, 1, 4, -1])
    images = beside(train, sources, None)
    assert images.values[:, 0].tolist() == [1, 4] and images.labels.tolist() == [1, 1]
    round_trips = (torch.tensor([[20.0], [10.0], [-1.0], [40.0]]), torch.tensor([2, 1, -1, 4]))
    images = beside(train, sources, round_trips)
    assert images.values[:, 0].tolist() == [1, 4, 10, 40] and images.labels.tolist() == [1, 1, 1, 1]
    assert len(beside(train, torch.tensor([-1, -1]), None)) == 6


def exposure_of(detector, **recipe):
    labels, draws = label_features(), torch.Generator().manual_seed(1)
    images = Features(near(labels.id, torch.arange(9) % 3, draws), torch.arange(9) % 3)
    return Exposure(detector, Recipe(**RECIPE | recipe), images, near(labels.negative, torch.tensor([2, 2, 9, 5]), draws))


def test_outliers_follow_id_images_with_the_place_of_their_label_among_the_matched():
    exposure = exposure_of(zero_shot())
    matches = matched(exposure.outliers.values, label_features().negative)
    assert exposure.rows.tolist() == sorted(set(matches.tolist()))
    assert exposure.images.labels.tolist() == [0, 1, 2] * 3 + [3 + exposure.rows.tolist().index(row) for row in matches.tolist()]
    assert torch.equal(exposure.rows[exposure.outliers.labels], matches)


@pytest.mark.parametrize("strategy", ["separate", "projected"])
def test_labels_are_tuned_with_or_without_the_layer(strategy):
    detector = zero_shot()
    exposure = exposure_of(detector, strategy=strategy)
    phases = {phase.name: phase for phase in exposure.phases()}
    assert list(phases) == ["project", "tune"]
    features = exposure.outliers.values if strategy == "separate" else detector.image_features(exposure.outliers.values)
    expected = label_loss(features, exposure.outliers.labels, label_features().negative[exposure.rows], 1 / LOGIT_SCALE, "image")
    assert phases["tune"].loss(torch.arange(4)).item() == pytest.approx(expected.item())
    assert phases["tune"].parts.keys() == {"labels"} and phases["project"].parts.keys() == {"delta"}


def test_together_they_are_trained_on_the_sum_of_both_losses_behind_the_layer():
    detector = zero_shot()
    exposure = exposure_of(detector, strategy="joint")
    (phase,) = exposure.phases()
    batch, rows = torch.tensor([0, 11, 5, 9]), label_features().negative[exposure.rows]
    features, labels = detector.image_features(exposure.images.values[batch]), exposure.images.labels[batch]
    expected = image_loss(features, labels, label_features().id, rows, 1 / LOGIT_SCALE, "all")
    expected = expected + label_loss(features[[1, 3]], labels[[1, 3]] - 3, rows, 1 / LOGIT_SCALE, "image")
    assert phase.loss(batch).item() == pytest.approx(expected.item())
    assert (phase.name, phase.epochs, phase.parts.keys()) == ("joint", 3, {"delta", "labels"})
    assert torch.isfinite(phase.loss(torch.tensor([0, 1])))  # a batch without an outlier


def test_the_order_of_images_belongs_to_the_seed_and_the_epoch_whatever_else_was_drawn():
    setting = loop.Setting("own", "own", Recipe(**RECIPE), 0, None)

    def batches(key, drawn):
        seen, weight = [], torch.nn.Parameter(torch.zeros(()))
        torch.manual_seed(drawn)
        phase = Phase("tune", 2, 20, lambda rows: seen.append(rows.tolist()) or weight * 0, {}, {})
        loop.train_epoch(phase, setting, key)
        return seen

    first = batches((0, 1, 1), drawn=3)
    assert first == batches((0, 1, 1), drawn=4) != batches((0, 2, 1), drawn=3)
    assert [len(rows) for rows in first] == [8, 8, 4] and sorted(sum(first, [])) == list(range(20))
