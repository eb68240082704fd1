"""The parts of the training loops, against their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F

from penumbra.models.mage import MAGE
from penumbra.noise import generator
from penumbra.pretrain.encoder import contrastive_loss, momentum_at, neighbour_accuracy
from penumbra.pretrain.mage import corrupt, masked_loss, truncated_normal
from penumbra.pretrain.views import random_view
from penumbra.stage import Params

POLICY = {"crop_area": [0.5, 1.0], "crop_aspect": 1.2, "rotation": 12, "flip": True, "contrast": 0.3, "brightness": 0.1}
POLICY |= {"blur_share": 0.5, "blur_sigma": [0.5, 1.5]}
STILL = POLICY | {
    "crop_area": [1.0, 1.0],
    "crop_aspect": 1.0,
    "rotation": 0,
    "flip": False,
    "contrast": 0.0,
    "brightness": 0.0,
    "blur_share": 0.0,
}
MASKING = Params({"mask_mean": 0.55, "mask_std": 0.25, "mask_min": 0.5})


def test_contrastive_loss_is_info_nce_times_two_tau():
    query, key = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    similarity = F.cosine_similarity(query[:, None], key[None], dim=2) / 0.2
    expected = 0.4 * (similarity.exp().sum(1).log() - similarity.diagonal()).mean()
    torch.testing.assert_close(contrastive_loss(query, key, 0.2), expected)


def test_momentum_grows_from_its_base_to_one():
    assert momentum_at(0, 10, 0.99) == pytest.approx(0.99)
    assert momentum_at(5, 10, 0.99) == pytest.approx(0.995)
    assert momentum_at(10, 10, 0.99) == 1


def test_a_policy_without_change_returns_the_image():
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(random_view(images, STILL, generator(0)), images)


def test_views_are_images_and_follow_their_generator():
    images = torch.rand(3, 3, 16, 16)
    first, second, other = (random_view(images, POLICY, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.allclose(first, other)
    assert first.min() >= 0 and first.max() <= 1


def test_neighbours_vote():
    bank, labels = torch.eye(2).repeat_interleave(3, 0), torch.tensor([0, 0, 0, 1, 1, 1])
    assert neighbour_accuracy(bank, labels, torch.eye(2), torch.tensor([0, 0]), 3) == 0.5


def test_mask_ratio_follows_the_truncated_normal():
    from scipy.stats import kstest, truncnorm

    draws = generator(0)
    sample = [truncated_normal(0.55, 0.25, 0.5, 1.0, draws) for _ in range(2000)]
    assert kstest(sample, truncnorm(-0.2, 1.8, 0.55, 0.25).cdf).pvalue > 0.01


def test_every_unmasked_token_enters_the_encoder():
    ids, kept = corrupt(torch.zeros(5, 16, dtype=torch.long), 99, MASKING, generator(0))
    assert kept.shape == (5, 8)
    for row, positions in zip(ids, kept, strict=True):
        assert set((row != 99).nonzero()[:, 0].tolist()) <= set(positions.tolist())


def test_loss_of_a_uniform_generator_is_the_entropy():
    mage = MAGE(8, 4, 6, 16, 1, 2, 16, 1, 2, 0.0, {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4})
    torch.nn.init.zeros_(mage.token_emb.word_embeddings.weight)
    loss = masked_loss(mage, torch.randint(0, 20, (2, 16)), torch.randn(2, 6), MASKING, 0.1, generator(0))
    assert loss.item() == pytest.approx(math.log(20), rel=1e-5)
