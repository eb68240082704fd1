"""The joint training of classifier, generator and discriminator (Lee et al. 2018, eq. 4 and Algorithm 1)."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.pixels import StoredPixels
from penumbra.augmentation import augment
from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.build import build
from penumbra.noise import generator
from penumbra.seeds import derive
from penumbra.stage import Params
from penumbra.synthesize.boundarygan.networks import Discriminator, Generator
from penumbra.training import epochs

NAME = "synthesize/boundarygan"
BETAS = (0.5, 0.999)  # of Adam, as in the paper's code


@dataclass(frozen=True)
class Players:
    """The three networks, on one device."""

    classifier: Classifier
    generator: Generator
    discriminator: Discriminator

    def modules(self) -> dict[str, nn.Module]:
        """By name."""
        return {"classifier": self.classifier, "generator": self.generator, "discriminator": self.discriminator}


def players(p: Params, classes: int, size: int, seed: int, device: torch.device) -> Players:
    """Fresh ones (p: params.yaml, synthesize.METHOD)."""
    torch.manual_seed(derive(seed, NAME))
    made = build(p.classifier, classes), Generator(p.latent, p.channels, size), Discriminator(p.channels, size)
    return Players(*(network.to(device) for network in made))


def divergence(logits: Tensor) -> Tensor:
    """Mean of KL(U || P(y|x)), U uniform over the K classes: -log K - 1/K sum_k log p_k (eq. 1); of logits [B, K]."""
    return -math.log(logits.shape[1]) - torch.log_softmax(logits, 1).mean()


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """-E_in[log D(x)] - E_G[log(1 - D(x))] (terms e and f of eq. 4), of log-odds [B]."""
    return F.softplus(-real).mean() + F.softplus(drawn).mean()


def generator_loss(drawn: Tensor, logits: Tensor, beta: float) -> Tensor:
    """-E_G[log D(x)] + beta E_G[KL(U || P(y|x))] (terms d and f of eq. 4; the first as generators are trained, not saturating)."""
    return F.softplus(-drawn).mean() + beta * divergence(logits)


def classifier_loss(logits: Tensor, labels: Tensor, of_drawn: Tensor, beta: float) -> Tensor:
    """E_in[-log P(y|x)] + beta E_G[KL(U || P(y|x))] (terms c and d of eq. 4)."""
    return F.cross_entropy(logits, labels) + beta * divergence(of_drawn)


def play(made: Players, optimizers: dict[str, torch.optim.Optimizer], images: Tensor, labels: Tensor, z: Tensor, beta: float) -> None:
    """One step of each: discriminator, generator, classifier.

    Args:
        images: ID images [B, 3, S, S] in [0, 1], with their labels [B].
        z: what images are drawn from [B, Z].
    """
    drawn = made.generator(z)
    losses = {
        "discriminator": lambda: discriminator_loss(made.discriminator(images), made.discriminator(drawn.detach())),
        "generator": lambda: generator_loss(made.discriminator(drawn), made.classifier(drawn), beta),
        "classifier": lambda: classifier_loss(made.classifier(images), labels, made.classifier(drawn.detach()), beta),
    }
    for name, loss in losses.items():
        value = loss()
        if not value.isfinite():
            raise PenumbraError(f"{NAME}: the loss of the {name} is not finite. Lower learning_rate or beta (params.yaml, synthesize).")
        optimizers[name].zero_grad()
        value.backward()
        optimizers[name].step()


def train(made: Players, pixels: StoredPixels | Tensor, labels: Tensor, p: Params, seed: int, checkpoint: Path) -> None:
    """Train all in place, on uint8 images [N, S, S, 3] and their labels [N], which are on the device; they end in eval mode."""
    for network in made.modules().values():
        network.train()
    optimizers = {name: torch.optim.Adam(each.parameters(), p.learning_rate, BETAS, fused=True) for name, each in made.modules().items()}
    stateful = made.modules() | {f"{name}_optimizer": each for name, each in optimizers.items()}
    for epoch in epochs(p.epochs, seed, NAME, checkpoint, stateful):
        draws = generator(seed, NAME, epoch)
        order = torch.randperm(len(pixels), generator=draws)
        for rows in order[: max(len(order) // p.batch_size, 1) * p.batch_size].split(p.batch_size):
            images = augment(pixels[rows].to(labels.device), p.crop_padding, p.flip, draws)
            z = torch.randn(len(rows), p.latent, generator=draws)
            play(made, optimizers, images, labels[rows.to(labels.device)], z.to(images.device), p.beta)
    for network in made.modules().values():
        network.eval().requires_grad_(False)
