"""The network that sees images as embeddings of words (Dream-OOD 3.1), and outliers among what it sees (3.2)."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.pixels import StoredPixels
from penumbra.augmentation import augment
from penumbra.errors import PenumbraError
from penumbra.guidance.boundary import around, boundary, farthest, scrambled
from penumbra.guidance.ood import kth_distance
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.build import build
from penumbra.models.classifiers.load import load
from penumbra.noise import generator
from penumbra.seeds import derive
from penumbra.stage import Params
from penumbra.training import descend, epochs, warmup_cosine

KEPT = {"correct": farthest, "released": scrambled}
NAME = "synthesize/dreamood"
BATCH = 256  # images whose embeddings are taken at a time


def alignment_loss(embeddings: Tensor, labels: Tensor, anchors: Tensor, tau: float) -> Tensor:
    """Mean of -log (exp(cos(h(x), T(y)) / tau) / sum_j exp(cos(h(x), T(y_j)) / tau)) (Dream-OOD 3.1).

    Args:
        embeddings: h(x) [B, D] of any length.
        labels: [B].
        anchors: T [C, D], frozen.
    """
    return F.cross_entropy(F.normalize(embeddings, dim=1) @ F.normalize(anchors, dim=1).T / tau, labels)


def trained(pixels: StoredPixels, labels: Tensor, anchors: Tensor, p: Params, seed: int, scratch: Path) -> Classifier:
    """The network, in eval mode; what lies finished in the scratch folder is not trained again.

    Args:
        pixels: of ID training images, uint8 [N, H, W, 3].
        labels: [N], on the device.
        anchors: [C, D].
        p: synthesize.METHOD.embedding.
    """
    finished = scratch / "embedding"
    if not finished.exists():
        torch.manual_seed(derive(seed, NAME))
        network = build(p, anchors.shape[1]).to(labels.device).train()  # its logits are embeddings
        optimizer = torch.optim.SGD(network.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay)
        stateful = {"network": network, "optimizer": optimizer}
        for epoch in epochs(p.epochs, seed, NAME, scratch / "embedding.pt", stateful):
            draws = generator(seed, NAME, epoch)
            rows = torch.randperm(len(pixels), generator=draws)
            batches = rows[: max(len(rows) // p.batch_size, 1) * p.batch_size].split(p.batch_size)

            def loss(batch: Tensor, draws: torch.Generator = draws) -> Tensor:
                images = augment(pixels[batch].to(labels.device), p.crop_padding, p.flip, draws)
                seen = network.forward_with_features(images)[0]
                return alignment_loss(seen, labels[batch.to(labels.device)], anchors, p.temperature)

            def rate(step: int, epoch: int = epoch, steps: int = len(batches)) -> float:
                return p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs)

            descend(batches, loss, optimizer, rate=rate)
        network.save_pretrained(finished)
    return load(finished).to(labels.device)


@torch.no_grad()
def embeddings_of(network: Classifier, pixels: StoredPixels, device: torch.device) -> Tensor:
    """h(x) / |h(x)| [N, D] of uint8 pixels [N, H, W, 3].

    Raises:
        PenumbraError: one is not finite.
    """
    batches = (pixels[rows].to(device).permute(0, 3, 1, 2) for rows in torch.arange(len(pixels)).split(BATCH))
    found = F.normalize(torch.cat([network.forward_with_features(batch.float() / 255)[0] for batch in batches]), dim=1)
    if not found.isfinite().all():
        raise PenumbraError(f"{NAME}: embeddings of ID images are NaN or infinite. Lower embedding.learning_rate.")
    return found


def outliers(bank: Tensor, p: Params, key: Sequence[object]) -> tuple[Tensor, Tensor]:
    """Outlier embeddings of a class [per_class, D], and the distance of each, at length 1, to its k-th neighbour [per_class].

    Gaussian draws around boundary embeddings, of which the farthest are kept (Dream-OOD 3.2; NPOS 3.1); round after round, until
    there are enough. With `sphere` they are of length 1, else of any length: those of NPOS.

    Args:
        bank: embeddings of the class's ID training images [N, D], of length 1.
        p: synthesize.METHOD.
        key: what the random numbers belong to.
    """
    edge, found = boundary(bank, p.knn_k, p.boundary), []
    for turn in range(-(-p.per_class // (p.picked * p.keep))):
        draws = generator(*key, turn)
        picked = edge[torch.randperm(p.boundary, generator=draws)[: p.picked].to(edge.device)]
        noise = torch.randn(p.samples, bank.shape[1], generator=draws).to(bank)
        drawn = around(bank[picked], noise, p.sigma)
        found.append(KEPT[p.topk](F.normalize(drawn, dim=2) if p.sphere else drawn, bank, p.knn_k, p.keep))
    kept = torch.cat(found)[: p.per_class]
    return kept, kth_distance(kept, bank, p.knn_k)
