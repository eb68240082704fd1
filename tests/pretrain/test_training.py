"""The parts of the training loops, against their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F

from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder, normalise
from penumbra.models.resnet import ResNet
from penumbra.models.vqgan import VQGAN
from penumbra.noise import generator
from penumbra.pretrain import classifier
from penumbra.pretrain.encoder import QUERIES, Pair, contrastive_loss, follow, momentum_at, neighbour_accuracy
from penumbra.pretrain.mage import corrupt, masked_loss, train_epoch, truncated_normal
from penumbra.pretrain.maker import made_by
from penumbra.pretrain.tokenizer import lifted, losses, revive
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
MASKING = {"mask_mean": 0.55, "mask_std": 0.25, "mask_min": 0.5}


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
    many = torch.eye(2).repeat(QUERIES, 1)  # more than are compared at a time
    assert neighbour_accuracy(bank, labels, many, torch.zeros(len(many), dtype=torch.long), 3) == 0.5


def test_mask_ratio_follows_the_truncated_normal():
    from scipy.stats import kstest, truncnorm

    draws = generator(0)
    sample = [truncated_normal(0.55, 0.25, 0.5, 1.0, draws) for _ in range(2000)]
    assert kstest(sample, truncnorm(-0.2, 1.8, 0.55, 0.25).cdf).pvalue > 0.01


def test_every_unmasked_token_enters_the_encoder():
    ids, kept = corrupt(torch.zeros(5, 16, dtype=torch.long), 99, Params(MASKING), generator(0))
    assert kept.shape == (5, 8)
    for row, positions in zip(ids, kept, strict=True):
        assert set((row != 99).nonzero()[:, 0].tolist()) <= set(positions.tolist())


def test_loss_of_a_uniform_generator_is_the_entropy():
    mage = MAGE(8, 4, 6, 16, 1, 2, 16, 1, 2, 0.0, {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4})
    torch.nn.init.zeros_(mage.token_emb.word_embeddings.weight)
    loss = masked_loss(mage, torch.randint(0, 20, (2, 16)), torch.randn(2, 6), Params(MASKING), 0.1, generator(0))
    assert loss.item() == pytest.approx(math.log(20), rel=1e-5)


def test_loss_is_the_smoothed_cross_entropy_of_the_masked_tokens_alone():
    torch.manual_seed(0)
    mage = MAGE(8, 4, 6, 16, 1, 2, 16, 1, 2, 0.0, {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4})
    torch.nn.init.normal_(mage.token_emb.word_embeddings.weight)
    ids, z = torch.randint(0, 20, (2, 16)), torch.randn(2, 6)
    corrupted, kept = corrupt(ids, mage.mask_id, Params(MASKING), generator(0))
    log_probability = mage(corrupted, z, kept).log_softmax(-1)
    terms = []
    for row, position in (corrupted == mage.mask_id).nonzero().tolist():
        code = log_probability[row, position]
        terms.append(-0.9 * code[ids[row, position]] - 0.1 * code.mean())
    loss = masked_loss(mage, ids, z, Params(MASKING), 0.1, generator(0))
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    assert loss > 4  # these logits are far from uniform


def test_views_are_queries_of_each_others_keys_and_only_the_encoder_learns():
    torch.manual_seed(0)
    pair = Pair(MoCoEncoder(8, 4, 16, 1, 2, 16, 6)).double().eval()
    for parameter in pair.momentum.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    first, second = torch.rand(2, 5, 3, 8, 8, dtype=torch.float64)
    a, b = normalise(first), normalise(second)
    expected = contrastive_loss(pair.predictor(pair.encoder(a)), pair.momentum(b), 0.2)
    expected = expected + contrastive_loss(pair.predictor(pair.encoder(b)), pair.momentum(a), 0.2)
    pair.momentum.requires_grad_(True)
    loss = pair(first, second, 0.2)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad is None for parameter in pair.momentum.parameters())
    assert pair.encoder.cls_token.grad.any()


def test_the_momentum_encoder_keeps_its_share():
    slow, fast = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(slow.weight, 1.0)
    torch.nn.init.constant_(fast.weight, 2.0)
    follow(slow, fast, 0.9)
    assert slow.weight.item() == pytest.approx(1.1)


def test_the_code_book_learns_from_latents_and_the_encoder_straight_through():
    torch.manual_seed(0)
    vqgan = VQGAN(8, [1, 2], 20, 4)
    torch.nn.init.normal_(vqgan.codebook)
    images = torch.rand(2, 3, 4, 4)
    loss, latents, ids = losses(vqgan, images, 0.25)
    loss.backward()
    codes = vqgan.lookup(ids).detach().requires_grad_(True)
    output = vqgan.decoder(codes)
    reconstruction = (output - images).abs().mean() + (output - images).square().mean()
    (through,) = torch.autograd.grad(reconstruction, codes)
    gap = codes.detach() - latents
    assert loss.item() == pytest.approx(reconstruction.item() + 1.25 * gap.square().mean().item(), rel=1e-5)
    expected = torch.zeros_like(vqgan.codebook).index_add(0, ids.flatten(), (2 * gap / gap.numel()).permute(0, 2, 3, 1).flatten(0, 2))
    torch.testing.assert_close(vqgan.codebook.grad, expected)
    bias = (through - 0.25 * 2 * gap / gap.numel()).sum((0, 2, 3))  # of the encoder's last layer: its gradient is that of the latents
    torch.testing.assert_close(vqgan.encoder.conv_out.bias.grad, bias)


def test_the_tokenizer_learns_beside_black_pictures_whose_zeros_would_make_its_gradient_infinite():
    torch.manual_seed(0)
    vqgan, images = VQGAN(16, [1, 2, 2], 128, 16), torch.rand(3, 3, 16, 16)
    assert lifted(images) is images
    images[1] = 0
    losses(vqgan, images, 0.25)[0].backward()
    assert all(each.grad.isfinite().all() for each in vqgan.parameters())
    made = lifted(images)
    assert torch.equal(made[[0, 2]], images[[0, 2]]) and torch.equal(made[1], torch.full_like(images[1], 1 / 255))


def test_files_of_a_network_bear_its_weights_so_that_another_finds_none(tmp_path):
    first, second = VQGAN(8, [1, 2], 6, 4), VQGAN(8, [1, 2], 6, 4)
    file = made_by(tmp_path / "tokens.npy", first)
    assert file.parent == tmp_path and file.name.startswith("tokens-") and file.suffix == ".npy"
    assert made_by(tmp_path / "tokens.npy", second) != file
    second.load_state_dict(first.state_dict())
    assert made_by(tmp_path / "tokens.npy", second.to(memory_format=torch.channels_last)) == file
    with torch.no_grad():
        second.decoder.conv_out.bias[0] += 1e-7
    assert made_by(tmp_path / "tokens.npy", second) != file


def test_only_unused_codes_are_revived_and_by_latents():
    vqgan = VQGAN(8, [1, 2], 6, 4)
    before, latents = vqgan.codebook.detach().clone(), torch.randn(2, 4, 2, 2)
    revive(vqgan, torch.tensor([3, 0, 1, 0, 5, 2]), latents, generator(0))
    assert torch.equal(vqgan.codebook[[0, 2, 4, 5]], before[[0, 2, 4, 5]])
    vectors = latents.permute(0, 2, 3, 1).flatten(0, 2)
    assert all((vectors == code).all(1).any() for code in vqgan.codebook[[1, 3]])


def test_mage_learns_its_null_representation_from_the_dropped_ones_alone():
    mage = MAGE(8, 4, 6, 16, 1, 2, 16, 1, 2, 0.0, {"width": 8, "multipliers": [1, 2], "codes": 20, "code_width": 4})
    ids, z = torch.randint(0, 20, (8, 16)), torch.randn(8, 6)
    optimizer = torch.optim.SGD([parameter for parameter in mage.parameters() if parameter.requires_grad], 0.1)
    recipe = MASKING | {"batch_size": 8, "learning_rate": 0.1, "epochs": 1, "warmup_epochs": 0, "label_smoothing": 0.0}
    for share, learns in ((0.0, False), (1.0, True)):
        before = mage.fake_latent.detach().clone()
        train_epoch(mage, ids, z, optimizer, 0, Params(recipe | {"drop_representation": share}), generator(0))
        assert torch.equal(mage.fake_latent, before) is not learns


def test_an_epoch_of_the_classifier_sees_every_image_of_its_whole_batches_once(monkeypatch):
    network = ResNet("resnet18", 4, 3, 1, False, 2)
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    seen, forward = [], ResNet.forward

    def record(self, batch):
        seen.extend((batch[:, 0, 0, 0] * 255).round().int().tolist())
        return forward(self, batch)

    monkeypatch.setattr(ResNet, "forward", record)
    recipe = Params({"batch_size": 4, "learning_rate": 0.1, "epochs": 1, "warmup_epochs": 0})
    classifier.train_epoch(network, images, torch.arange(10) % 2, torch.optim.SGD(network.parameters()), 0, recipe, generator(0))
    assert len(set(seen)) == len(seen) == 8 and network.training
