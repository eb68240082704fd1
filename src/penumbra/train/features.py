"""What frozen models see in images, as detectors learn from it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Raw features of images [N, D], and a label for each [N]."""

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.values)
