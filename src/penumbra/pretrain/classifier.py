"""pretrain@classifier: a network on the ID train images by cross-entropy, or the import of published weights."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.images import read_provenance, read_table
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers import efficientnet_lite0
from penumbra.models.classifiers.build import build
from penumbra.models.published import load_checkpoint, load_strict
from penumbra.noise import generator
from penumbra.pretrain.images import Images, read_images
from penumbra.pretrain.output import write_model
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, descend, epochs, summed, warmup_cosine

NAME = "pretrain/classifier"


def train_epoch(
    network: Classifier, images: Images, labels: Tensor, optimizer: torch.optim.Optimizer, epoch: int, p: Params, draws: torch.Generator
) -> float:
    """One pass over images and their labels [N]; returns the mean loss."""
    network.train()
    steps = max(len(images) // p.batch_size, 1)  # the rest waits for another epoch: BatchNorm cannot take a batch of one
    batches = torch.randperm(len(images), generator=draws).split(p.batch_size)[:steps]

    def loss(batch: Tensor) -> Tensor:
        return F.cross_entropy(network(images[batch].contiguous().float() / 255), labels[batch])

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs)

    return summed(each / steps for each in descend(batches, loss, optimizer, rate=rate))


@torch.no_grad()
def accuracy(network: Classifier, images: Images, labels: Tensor) -> float:
    """Share of images that are classified as labelled; leaves the network in eval mode."""
    network.eval()
    predicted = torch.cat([network(batch.contiguous().float() / 255).argmax(1) for batch in images.split(512)])
    return (predicted == labels).float().mean().item()


def _load(stage: Stage, name: str, device: torch.device) -> tuple[Images, Tensor]:
    return read_images(stage, device, name), torch.tensor(read_table(stage.read(name), ["label"])["label"].to_pylist(), device=device)


def train(stage: Stage, network: Classifier, device: torch.device) -> History:
    """Train in place; the accuracy on ID validation images is only reported."""
    p, seed = stage.params.pretrain.classifier, stage.params.common.seed
    images, labels = _load(stage, "images/train", device)
    val_images, val_labels = _load(stage, "images/val", device)
    optimizer = torch.optim.SGD(network.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay, nesterov=True)
    history = History()
    stateful = {"network": network, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, stage.scratch / "training.pt", stateful):
        loss = train_epoch(network, images, labels, optimizer, epoch, p, generator(seed, NAME, epoch))
        history.add(epoch=epoch + 1, loss=loss, val_accuracy=accuracy(network, val_images, val_labels))
    return history


def main(stage: Stage) -> None:
    """Write data/models/classifier: config.json, model.safetensors, history.csv (none for an imported file)."""
    device = setup()
    p, history = stage.params.pretrain.classifier, None
    torch.manual_seed(stage.params.common.seed)
    network = build(p, len(read_provenance(stage.read("images/train"))["classes"])).to(device)
    if p.checkpoint:
        path = efficientnet_lite0.weights_file() if p.checkpoint == efficientnet_lite0.PACKAGE else p.checkpoint
        load_strict(network.published, load_checkpoint(path), path)
    else:
        history = train(stage, network, device)
    write_model(stage, network, history)
