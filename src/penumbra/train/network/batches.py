"""Batches of training images: ID and outliers side by side."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from penumbra.augmentation import augment
from penumbra.noise import generator
from penumbra.train.network.images import Batch, Images
from penumbra.train.network.loss import Loss
from penumbra.train.network.params import NetworkRecipe


def batches(train: Images, outliers: Images | None, p: NetworkRecipe, loss: type[Loss], key: tuple[int, ...]) -> Iterator[Batch]:
    """One epoch, its random numbers a function of `key`; outliers do not change those of ID images.

    ID and outliers share each batch, and so its batch-norm statistics. In batches of their own the statistics would tell
    them apart while training, and nothing would when testing.
    """
    id_draws, outlier_draws = generator("train/id", *key), generator("train/outliers", *key)
    id_rows = id_batches(len(train), p.batch_size, id_draws)
    if outliers is None:
        for rows in id_rows:
            images, labels = _augmented(train, rows, p, id_draws)
            yield Batch(images, labels, None, rows)
        return
    for rows, (outlier_rows, paired) in zip(id_rows, _outlier_rows(train, outliers, id_rows, p, loss, outlier_draws), strict=True):
        parts = [_augmented(train, rows, p, id_draws), _augmented(outliers, outlier_rows, p, outlier_draws)]
        images, labels = (torch.cat(pair) for pair in zip(*parts, strict=True))
        yield Batch(images, labels, paired, torch.cat([rows, len(train) + outlier_rows]))


def _augmented(source: Images, rows: Tensor, p: NetworkRecipe, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    pixels, labels = source.batch(rows)
    return augment(pixels, p.crop_padding, p.flip, draws), labels


def _outlier_rows(
    train: Images, outliers: Images, id_rows: list[Tensor], p: NetworkRecipe, loss: type[Loss], draws: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of outliers for each batch of ID images, and which of them make a pair."""
    if loss.paired(p):
        partners = Partners(train.sources, outliers.sources)
        for rows in id_rows:
            yield partners.draw(rows, draws)
        return
    size = loss.outliers(p, len(id_rows[0]))
    for rows in islice(outlier_batches(len(outliers), size, draws), len(id_rows)):
        yield rows, torch.ones(size, dtype=torch.bool)


def id_batches(count: int, batch_size: int, draws: torch.Generator) -> list[Tensor]:
    """A shuffled epoch in batches of equal size (batch norm wants them so); the rest waits for another epoch."""
    order = torch.randperm(count, generator=draws)
    return list(order[: max(count // batch_size, 1) * batch_size].split(batch_size))


def outlier_batches(count: int, batch_size: int, draws: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of rows: shuffled passes, or draws with replacement if the pool is smaller than a batch."""
    queue = torch.zeros(0, dtype=torch.long)
    while True:
        if count < batch_size:
            yield torch.randint(count, (batch_size,), generator=draws)
            continue
        if len(queue) < batch_size:
            queue = torch.cat([queue, torch.randperm(count, generator=draws)])
        yield queue[:batch_size]
        queue = queue[batch_size:]


class Partners:
    """Which outliers were made from the same image as each ID image.

    Args:
        id_sources: number of the image that an ID image is or was made from [N], 0 or more.
        outlier_sources: number of the image that an outlier was made from [M]; -1 for none.
    """

    def __init__(self, id_sources: Tensor, outlier_sources: Tensor):
        ordered, self._order = outlier_sources.sort(stable=True)
        self._first = torch.searchsorted(ordered, id_sources)
        self._count = torch.searchsorted(ordered, id_sources, right=True) - self._first

    def draw(self, rows: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """An outlier for each of some ID images [B]: one of its own, else any.

        Bands may leave an ID image without an outlier of its own. Any other then keeps outliers as many as ID images in each
        batch, for the loss that looks at outliers alone; it is no pair for the loss that looks at both.

        Returns:
            Rows of outliers [B], and which of them are their ID image's own, bool [B].
        """
        first, count = self._first[rows], self._count[rows]
        share = torch.rand(len(rows), generator=draws, dtype=torch.float64)
        own = self._order[(first + (share * count).long()).clamp(max=len(self._order) - 1)]
        return torch.where(count > 0, own, (share * len(self._order)).long()), count > 0
