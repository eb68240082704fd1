"""log f of GOOD: gradients by finite differences through a decoder and a classifier, and what guidance by it does to samples."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from penumbra.guidance import ood
from penumbra.guidance.tfg import Guidance, clean_gradient, guided_sample
from penumbra.logits import energy
from penumbra.models.imagenet import MEAN, STD
from penumbra.models.latent import LatentDiffusion
from penumbra.models.resnet import ResNet
from penumbra.noise import SampleNoise
from penumbra.scores.knn import distances
from tiny_pipeline import write_tiny_pipeline

ARCHITECTURE = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3}
SIZE = 16


def make_classifier():
    torch.manual_seed(0)
    network = ResNet(**ARCHITECTURE)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # so that a missing normalisation shows
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
    return network.double().eval().requires_grad_(False)


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return LatentDiffusion.load(write_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "pipeline", image_size=SIZE))


@pytest.fixture(scope="module")
def decode(pipeline):
    return LatentDiffusion(pipeline.vae.double(), pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, pipeline.scheduler).decode


@pytest.fixture(scope="module")
def probe():
    classifier = make_classifier()
    features = classifier.forward_with_features(torch.rand(20, 3, SIZE, SIZE, dtype=torch.float64))[1]
    return ood.Probe(classifier, F.normalize(features, dim=1), k=3, size=SIZE)


WEIGHTS = {"image": (1.0, 0.0), "feature": (0.0, 10.0), "both": (1.0, 10.0), "each": (torch.tensor([1.0, 0.0]), torch.tensor([2.0, 10.0]))}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    "change", [{}, {"size": 11}, {"value_range": "symmetric"}, {"log": True}], ids=["plain", "resized", "symmetric", "log"]
)
def test_gradient_through_resize_and_decoder_is_that_of_finite_differences(probe, decode, weights, change):
    log_f = ood.latent_log_f(replace(probe, **change), decode, *WEIGHTS[weights])
    latents, directions, h = randn(2, 4, 8, 8), randn(3, 2, 4, 8, 8, seed=1), 1e-7  # a larger h meets the kinks of ReLUs
    gradient = clean_gradient(log_f, latents, None)
    for direction in directions:
        slope = (log_f(latents + h * direction) - log_f(latents - h * direction)) / (2 * h)
        torch.testing.assert_close((gradient * direction).sum((1, 2, 3)), slope, rtol=1e-4, atol=1e-6)
    assert gradient.abs().amax() > 1e-4


def test_distance_and_its_gradient_are_those_written_down(probe):
    features = randn(5, 64, seed=2).abs().requires_grad_(True)
    bank = F.normalize(randn(9, 64, seed=3).abs(), dim=1)
    distance = ood.kth_distance(features, bank, 4)
    (gradient,) = torch.autograd.grad(distance.sum(), features)
    for row in range(5):
        length = features[row].norm()
        z = features[row] / length
        order = (z - bank).square().sum(1).argsort()
        neighbour = bank[order[3]]
        torch.testing.assert_close(distance[row], (z - neighbour).norm())
        jacobian = (torch.eye(64, dtype=torch.float64) - torch.outer(z, z)) / length
        torch.testing.assert_close(gradient[row], jacobian.T @ (z - neighbour) / (z - neighbour).norm())


def test_distance_is_the_one_that_detectors_are_scored_by(probe):
    features, bank = randn(6, 64, seed=2), randn(30, 64, seed=3)
    torch.testing.assert_close(
        ood.kth_distance(features, F.normalize(bank, dim=1), 7), distances(features, F.normalize(bank, dim=1), [7])[:, 0]
    )


def test_the_logarithm_of_a_distance_of_zero_has_a_finite_gradient(probe):
    images = torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64)
    features = probe.classifier.forward_with_features(images)[1]
    same = replace(probe, bank=F.normalize(features, dim=1), k=1, log=True)
    assert clean_gradient(lambda x: ood.outlierness(same, x, 0.0, 1.0), images, None).isfinite().all()


def test_log_f_is_the_weighted_sum_of_energy_and_distance(probe):
    images = torch.rand(4, 3, SIZE, SIZE, dtype=torch.float64)
    logits, features = probe.classifier.forward_with_features(images)
    expected = 2 * -logits.exp().sum(1).log() + 5 * ood.kth_distance(features, probe.bank, 3)
    torch.testing.assert_close(ood.outlierness(probe, images, 2.0, 5.0), expected)
    torch.testing.assert_close(ood.outlierness(replace(probe, log=True), images, 0.0, 1.0), ood.kth_distance(features, probe.bank, 3).log())


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_one_pass_of_the_classifier_gives_logits_and_features(probe, weights):
    passes = []
    handle = probe.classifier.conv1.register_forward_hook(lambda *_: passes.append(1))
    ood.outlierness(probe, torch.rand(2, 3, SIZE, SIZE, dtype=torch.float64), *weights)
    handle.remove()
    assert len(passes) == 1


def test_the_classifier_sees_its_own_normalisation_or_the_raw_range(probe):
    images, seen = torch.rand(2, 3, SIZE, SIZE, dtype=torch.float64), []
    handle = probe.classifier.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    ood.outputs(probe, images)
    ood.outputs(replace(probe, value_range="symmetric"), images)
    ood.outputs(replace(probe, size=8), images)
    handle.remove()
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(seen[0], (images - mean) / std)
    torch.testing.assert_close(seen[1], 2 * images - 1)
    halved = F.avg_pool2d(images, 2)  # what bilinear resizing without antialiasing is at half the size
    torch.testing.assert_close(seen[2], (halved - mean) / std)


@pytest.mark.parametrize("weights", [([1.0, 0.0, 2.0], [0.0, 3.0, 1.0]), ([0.0, 0.0, 2.0], [0.0, 0.0, 1.0])], ids=["guided", "some not"])
@pytest.mark.parametrize("slice_size", [1, 2, 3])
def test_slices_change_neither_value_nor_gradient(probe, decode, slice_size, weights):
    weights = [torch.tensor(weight, dtype=torch.float64) for weight in weights]
    latents, upstream, results = randn(3, 4, 8, 8), randn(3), []
    for size in (None, slice_size):
        leaf = latents.clone().requires_grad_(True)
        value = ood.latent_log_f(probe, decode, *weights, slice_size=size)(leaf)
        results.append((value.detach(), torch.autograd.grad((value * upstream).sum(), leaf)[0]))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize(("weights", "column"), [((1.0, 0.0), 0), ((0.0, 10.0), 1)])
def test_samples_go_out_with_guidance_and_in_with_the_sign_turned(probe, pipeline, decode, weights, column):
    """Real sampling: the random UNet and decoder, a random classifier with its own bank."""
    pipeline.unet.double()
    condition, ids = pipeline.embed(["a", "b"] * 4), [str(row) for row in range(8)]
    x, log_f = SampleNoise(0, "start", ids).normal(4, 8, 8).double(), ood.latent_log_f(probe, decode, *weights)

    def eps(z, t):
        return pipeline.unet(z, t, condition.double(), return_dict=False)[0]

    means = []
    for strength in (-1.0, 0.0, 1.0):
        guidance = Guidance(rho=strength, mu=strength, gamma=0.01, eta=1.0)
        noises = (SampleNoise(0, purpose, ids) for purpose in ("sampler", "smoothing"))
        latents = guided_sample(eps, log_f, x, pipeline.levels(6), guidance, *noises)
        logits, features = ood.outputs(probe, decode(latents))
        means.append((energy(logits), ood.kth_distance(features, probe.bank, probe.k))[column].mean())
    assert means[0] < means[1] < means[2]
