"""What every score that is asked for does: invariances, extreme logits, other batches; and what it refuses."""

from dataclasses import replace

import pytest
import torch
from banks import PAPER, asked, overlay, random_bank, trained_bank
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.artifacts.outputs import Outputs
from penumbra.errors import PenumbraError
from penumbra.experiment.differences import expand
from penumbra.score.params import Score as Parameters
from penumbra.scores import scores_of

OF_LOGITS = ("temperature", "kl-matching", "gen", "openmax")
FEATURES = [word for word in PAPER if word not in OF_LOGITS]
EITHER = ("temperature", "kl-matching", "mahalanobis", "relative-mahalanobis", "residual", "vim", "gen")


def every(bank, kind="network"):
    """The scores of the overlay, fitted, by name."""
    more = expand({"score": {"more": overlay()}})["score"]["more"]
    found = scores_of(Parameters(knn_k=1, knn_more=[], calibrator="platt", more=more), kind)
    scores = {name: score for name, score in found.items() if name in more}
    for score in scores.values():
        score.fit(bank)
    return scores


def some(outputs, rows):
    return Outputs(outputs.logits[rows], outputs.features[rows])


@pytest.mark.parametrize("bank", [random_bank, trained_bank])
def test_a_score_is_a_number_for_each_image_whoever_else_is_scored_and_leaves_outputs_alone(bank):
    made, test, ood = bank()
    before = [tensor.clone() for tensor in (made.train.features, made.train.logits, test.features, test.logits)]
    for name, score in every(made).items():
        whole = score(test)
        assert whole.shape == (len(test.logits),) and whole.dtype == torch.float64 and whole.isfinite().all(), name
        torch.testing.assert_close(torch.cat([score(some(test, slice(k, k + 7))) for k in range(0, len(whole), 7)]), whole)
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(score(some(test, order)), whole[order])
        assert bank is trained_bank or score(ood).mean() > whole.mean(), name  # higher = more OOD
        assert list(score.columns(test)) == [name]
    after = (made.train.features, made.train.logits, test.features, test.logits)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_blocks_that_images_are_taken_in_change_nothing(monkeypatch):
    from penumbra import gaussians
    from penumbra.scores import residual, shaped

    made, test, _ = random_bank()
    before = {name: score(test) for name, score in every(made).items()}
    for module in (gaussians, residual, shaped):
        monkeypatch.setattr(module, "BLOCK", 3)
    for name, score in every(made).items():
        torch.testing.assert_close(score(test), before[name], rtol=1e-9, atol=1e-9)


def test_a_clip_detector_has_those_that_need_no_relu_from_float32_features():
    made, test, _ = random_bank()
    single = lambda outputs: Outputs(outputs.logits, torch.nn.functional.normalize(outputs.features.float(), dim=1))  # noqa: E731
    made = replace(made, train=single(made.train), val=single(made.val), calibration=single(made.calibration))
    found = every(made, "clip")
    assert {score.parameters.score for score in found.values()} == set(EITHER)
    assert all(score(single(test)).isfinite().all() and score(single(test)).dtype == torch.float64 for score in found.values())


@settings(max_examples=25, deadline=None)
@given(st.floats(-1e3, 1e3), st.integers(0, 50))
def test_a_constant_on_every_logit_changes_no_score_of_the_softmax(constant, seed):
    made, test, _ = random_bank(seed, count=40)
    moved = Outputs(test.logits + constant, test.features)
    for word in ("temperature", "kl-matching", "gen", "gradnorm"):
        score = asked(word, made)
        torch.testing.assert_close(score(moved), score(test), rtol=1e-6, atol=1e-9)
    vim = asked("vim", made)
    torch.testing.assert_close(vim(moved), vim(test) - constant, rtol=1e-9, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_mahalanobis_is_the_same_in_any_coordinates(seed):
    made, test, _ = random_bank(seed % 7)
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.eye(12, dtype=torch.float64) + 0.2 * torch.randn(12, 12, generator=draws, dtype=torch.float64)
    moved = lambda outputs: Outputs(outputs.logits, outputs.features @ mixing + 5)  # noqa: E731
    for word in ("mahalanobis", "relative-mahalanobis"):
        as_it_is, elsewhere = asked(word, made, ridge=0.0), asked(word, replace(made, train=moved(made.train)), ridge=0.0)
        torch.testing.assert_close(elsewhere(moved(test)), as_it_is(test), rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 5))
def test_shaped_features_scale_with_the_features_but_not_the_share_that_is_pruned(factor, seed):
    made, test, _ = random_bank(seed)
    for word in ("ash", "scale"):
        score = asked(word, made)
        torch.testing.assert_close(score.shape(factor * test.features), factor * score.shape(test.features))


@pytest.mark.parametrize("size", [1e4, 1e8])
def test_extreme_logits_have_finite_scores(size):
    made, test, _ = random_bank()
    logits = torch.cat([size * torch.eye(5), -size * torch.eye(5), torch.zeros(1, 5), torch.full((1, 5), size)]).double()
    images = Outputs(logits, test.features[: len(logits)])
    extreme = replace(made, train=Outputs(size * made.train.logits, made.train.features), val=Outputs(size * made.val.logits, None))
    for bank in (made, extreme):
        for word in OF_LOGITS:
            assert asked(word, bank)(images).isfinite().all(), word


@pytest.mark.parametrize("word", FEATURES)
def test_features_that_are_zero_or_huge_have_finite_scores(word):
    made, test, _ = random_bank()
    features = torch.cat([torch.zeros(1, 12), torch.full((1, 12), 1e6), 1e6 * torch.eye(12)]).double()
    images = Outputs(features @ made.weight.T + made.bias, features)
    assert asked(word, made)(images).isfinite().all()


def without(bank, label):
    """A bank without a training image of a class."""
    keep = bank.labels != label
    return replace(bank, train=some(bank.train, keep), labels=bank.labels[keep])


def test_a_class_without_training_images_is_none_to_be_near():
    made, test, _ = random_bank()
    bank = without(made, 2)
    for word in ("mahalanobis", "relative-mahalanobis"):
        fewer = replace(bank, labels=torch.where(bank.labels == 4, 2, bank.labels))  # the same groups, by other labels
        torch.testing.assert_close(asked(word, bank)(test), asked(word, fewer)(test))
    called = test.logits.argmax(1) == 2
    assert called.any() and (asked("she", bank)(test)[called] == 0).all() and (asked("she", bank)(test)[~called] < 0).all()
    assert asked("openmax", bank, alpha=1)(test)[called].min() > asked("openmax", made, alpha=1)(test)[called].min()
    for word in PAPER:
        assert asked(word, bank)(test).isfinite().all(), word


def test_fewer_images_than_dimensions_need_a_ridge():
    made, test, _ = random_bank(width=40, count=30)
    for word in ("mahalanobis", "relative-mahalanobis"):
        with pytest.raises(PenumbraError, match=r"^params\.yaml: score\.more\.mine\.ridge = 0\.0: the features .* Use a higher ridge"):
            asked(word, made, ridge=0.0)
        assert asked(word, made, ridge=1e-6)(test).isfinite().all()


@pytest.mark.parametrize("word", list(PAPER))
def test_constant_features_are_refused_or_scored(word):
    made, test, _ = random_bank()
    features = torch.full_like(made.train.features, 0.1)
    bank = replace(made, train=Outputs(features @ made.weight.T + made.bias, features))
    if word in ("mahalanobis", "relative-mahalanobis", "vim"):
        with pytest.raises(PenumbraError, match=r"^params\.yaml: score\.more\.mine\."):
            asked(word, bank)
    else:
        assert asked(word, bank)(test).isfinite().all()


def test_one_image_of_each_class_is_enough_but_for_a_covariance():
    made, test, _ = random_bank()
    rows = torch.stack([(made.labels == label).nonzero()[0, 0] for label in range(5)])
    bank = replace(made, train=some(made.train, rows), labels=made.labels[rows])
    for word in PAPER:
        if word in ("mahalanobis", "relative-mahalanobis"):
            with pytest.raises(PenumbraError, match="have no inverse covariance"):
                asked(word, bank)
        elif word != "vim":
            assert asked(word, bank)(test).isfinite().all(), word


def test_features_of_one_number_have_no_directions():
    made, _, _ = random_bank(width=1)
    for word in ("residual", "vim"):
        with pytest.raises(PenumbraError, match=r"^params\.yaml: score\.more\.mine: needs features of two numbers"):
            asked(word, made)
