"""One pass of a network that predicts the noise in latents, and its validation: what in-painting and decoders of representations share."""

from collections.abc import Callable

import torch
from torch import Tensor

from penumbra.stage import Params
from penumbra.training import descend, summed, warmup_cosine

VALIDATION_DRAWS = 4  # noise levels of each validation image

Loss = Callable[[Tensor, Tensor], Tensor]  # rows of the images [B] and steps of the training schedule [B] -> their mean loss


def train_pass(
    loss: Loss,
    count: int,
    levels: int,
    optimizer: torch.optim.Optimizer,
    after: Callable[[], object],
    epoch: int,
    p: Params,
    draws: torch.Generator,
) -> float:
    """One pass over the images in random order, t uniform; returns the mean loss.

    Args:
        count: number of images.
        levels: steps of the training schedule.
        after: called after each step of the optimiser.
        p: epochs, warmup_epochs, batch_size and learning_rate.
        draws: of the order and of t; `loss` may draw from it, too.
    """
    batches = torch.randperm(count, generator=draws).split(p.batch_size)

    def of(rows: Tensor) -> Tensor:
        return loss(rows, torch.randint(levels, (len(rows),), generator=draws))

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / len(batches), p.epochs, p.warmup_epochs)

    losses = descend(batches, of, optimizer, rate=rate, after=after)
    return summed(each * len(rows) for each, rows in zip(losses, batches, strict=True)) / count


def validation_pass(loss: Loss, images: int, levels: int, batch_size: int, draws: torch.Generator) -> float:
    """Mean loss at steps spread evenly over the schedule, VALIDATION_DRAWS for each image; equal draws make epochs comparable."""
    count = VALIDATION_DRAWS * images
    order, total = torch.randperm(count, generator=draws), 0.0
    t = torch.arange(count) * levels // count
    for at in torch.arange(count).split(batch_size):
        total += loss(order[at] % images, t[at]).item() * len(at)
    return total / count
