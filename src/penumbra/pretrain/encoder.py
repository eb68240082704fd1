"""pretrain@encoder: MoCo-v3 on the experiment's own images, or the import of a published file."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.images import read_table
from penumbra.models.moco import MoCoEncoder, normalise, projector
from penumbra.models.published import load_strict, moco_state
from penumbra.noise import generator
from penumbra.pretrain.images import Images, read_images
from penumbra.pretrain.output import write_model
from penumbra.pretrain.views import random_view
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, descend, epochs, summed, warmup_cosine

NAME = "pretrain/encoder"
QUERIES = 4096  # validation images that are compared with all training images at a time


def contrastive_loss(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """InfoNCE of queries [B, D] against keys [B, D] of the same images, times 2 tau (MoCo-v3, Alg. 1)."""
    logits = F.normalize(query, dim=1) @ F.normalize(key, dim=1).T / temperature
    return 2 * temperature * F.cross_entropy(logits, torch.arange(len(query), device=query.device))


def momentum_at(epoch: float, total: int, base: float) -> float:
    """Share of itself that the momentum encoder keeps: from `base` to 1 along half a cosine (MoCo-v3, `moco-m-cos`)."""
    return 1 - 0.5 * (1 + math.cos(math.pi * epoch / total)) * (1 - base)


@torch.no_grad()
def follow(momentum: nn.Module, encoder: nn.Module, share: float) -> None:
    """Move the parameters of `momentum` towards those of `encoder`."""
    for slow, fast in zip(momentum.parameters(), encoder.parameters(), strict=True):
        slow.lerp_(fast, 1 - share)


class Pair(nn.Module):
    """The encoder with its predictor, and the momentum encoder that gives the keys."""

    def __init__(self, encoder: MoCoEncoder):
        super().__init__()
        hidden, projection = encoder.config["projection_hidden"], encoder.config["projection"]
        self.encoder = encoder
        self.predictor = projector([projection, hidden, projection])
        self.momentum = copy.deepcopy(encoder).requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor, temperature: float) -> Tensor:
        """Symmetric loss of two views [B, 3, H, W] in [0, 1]."""
        first, second = normalise(first), normalise(second)
        queries = [self.predictor(self.encoder(view)) for view in (first, second)]
        with torch.no_grad():
            keys = [self.momentum(view) for view in (first, second)]
        return contrastive_loss(queries[0], keys[1], temperature) + contrastive_loss(queries[1], keys[0], temperature)


def train_epoch(pair: Pair, images: Images, optimizer: torch.optim.Optimizer, epoch: int, p: Params, draws: torch.Generator) -> float:
    """One pass over images; returns the mean loss."""
    pair.train()
    steps = max(len(images) // p.batch_size, 1)  # the rest waits for another epoch: BatchNorm and InfoNCE want equal batches
    batches = torch.randperm(len(images), generator=draws).split(p.batch_size)[:steps]

    def loss(numbered: tuple[int, Tensor]) -> Tensor:
        step, batch = numbered
        pixels = images[batch].float() / 255
        views = [random_view(pixels, p.augment, draws) for _ in range(2)]
        follow(pair.momentum, pair.encoder, momentum_at(epoch + step / steps, p.epochs, p.momentum))
        return pair(*views, p.temperature)

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs)

    return summed(descend(enumerate(batches), loss, optimizer, rate=rate)) / steps


def represent_all(encoder: MoCoEncoder, images: Images, batch_size: int = 512) -> Tensor:
    """Representations [N, D] of images; leaves the encoder in eval mode."""
    encoder.eval()
    return torch.cat([encoder.represent(batch.float() / 255) for batch in images.split(batch_size)])


def neighbour_accuracy(train: Tensor, labels: Tensor, test: Tensor, truth: Tensor, neighbours: int) -> float:
    """Share of test rows whose nearest training rows (cosine) vote for their class; ties go to the smaller label."""
    bank, queries = F.normalize(train, dim=1).T, F.normalize(test, dim=1).split(QUERIES)
    nearest = torch.cat([(block @ bank).topk(neighbours, dim=1).indices for block in queries])
    votes = F.one_hot(labels[nearest], int(labels.max()) + 1).sum(1)
    return (votes.argmax(1) == truth).float().mean().item()


def build(p: Params) -> MoCoEncoder:
    """A fresh encoder of the sizes in the parameters."""
    sizes = ("image_size", "patch_size", "width", "depth", "heads", "projection_hidden", "projection")
    return MoCoEncoder(**{key: p[key] for key in sizes})


def _pixels(stage: Stage, names: list[str], device: torch.device) -> tuple[Images, Tensor]:
    """Images and labels [N] of some image files."""
    labels = [label for name in names for label in read_table(stage.read(name), ["label"])["label"].to_pylist()]
    return read_images(stage, device, *names), torch.tensor(labels).to(device)


def train(stage: Stage, device: torch.device) -> tuple[MoCoEncoder, History]:
    """Train on the ID train images and the world; validation looks at ID alone and chooses nothing by itself."""
    p, seed = stage.params.pretrain.encoder, stage.params.common.seed
    torch.manual_seed(seed)
    images, labels = _pixels(stage, ["images/train", "images/world"], device)
    val_images, val_labels = _pixels(stage, ["images/val"], device)
    pair, history = Pair(build(p)).to(device), History()
    trained = [parameter for parameter in pair.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, p.learning_rate, weight_decay=p.weight_decay, fused=True)
    stateful = {"pair": pair, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, stage.scratch / "training.pt", stateful):
        row = {"epoch": epoch + 1, "loss": train_epoch(pair, images, optimizer, epoch, p, generator(seed, NAME, epoch))}
        if (epoch + 1) % p.validate_every == 0 or epoch + 1 == p.epochs:
            bank = represent_all(pair.encoder, images.take((labels >= 0).nonzero()[:, 0].cpu()))
            queries = represent_all(pair.encoder, val_images)
            row["val_knn_accuracy"] = neighbour_accuracy(bank, labels[labels >= 0], queries, val_labels, p.validate_neighbours)
        history.add(**row)
    return pair.encoder, history


def main(stage: Stage) -> None:
    """Write data/models/encoder: config.json, model.safetensors, history.csv (none for an imported file)."""
    device = setup()
    p = stage.params.pretrain.encoder
    if p.checkpoint:
        encoder, history = build(p), None
        load_strict(encoder, moco_state(p.checkpoint), p.checkpoint)
    else:
        encoder, history = train(stage, device)
    write_model(stage, encoder, history)
