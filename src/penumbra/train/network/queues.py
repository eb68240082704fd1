"""The latest features of each class."""

import torch
from torch import Tensor, nn


class Queues(nn.Module):
    """A ring of the latest features for each class; resumable, as a module of buffers.

    Args:
        classes: number of classes C.
        length: features kept of each, Q.
        width: of a feature, D.

    Attributes:
        rows: features [C, Q, D], in no order of time.
        counts: features that each class has seen [C].
    """

    def __init__(self, classes: int, length: int, width: int):
        super().__init__()
        self.register_buffer("rows", torch.zeros(classes, length, width))
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.int64))

    @property
    def full(self) -> bool:
        """Whether every class has seen as many features as its queue holds."""
        return bool((self.counts >= self.rows.shape[1]).all())

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Put features [B, D] into the queues of their classes [B], in place of the oldest; of more than Q of a class, the last."""
        length = self.rows.shape[1]
        for label in labels.unique().tolist():
            new = features[labels == label]
            places = (self.counts[label] + torch.arange(len(new), device=new.device)) % length
            self.rows[label, places[-length:]] = new[-length:]
            self.counts[label] += len(new)
