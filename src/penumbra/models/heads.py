"""Further heads on the features of a network, which scores need and logits do not tell."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved


class SecondHead(Saved, nn.Module):
    """Another last layer beside that of a network: features [B, D] -> logits [B, C] (Yu and Aizawa 2019).

    Args:
        features: D.
        classes: C.
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.config = {"features": features, "classes": classes}
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)


class Likeness(nn.Module):
    """h of the decomposed confidence: how like features [B, D] are to each class [B, C] (Hsu et al. 2020).

    inner: w_i z + b_i; euclidean: -||z - w_i||^2; cosine: w_i z / (||w_i|| ||z||). Fresh weights are of He et al., biases 0.
    """

    def __init__(self, features: int, classes: int, similarity: str):
        super().__init__()
        self.similarity = similarity
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.register_parameter("bias", nn.Parameter(torch.zeros(classes)) if similarity == "inner" else None)

    def forward(self, features: Tensor) -> Tensor:
        if self.similarity == "euclidean":
            return 2 * features @ self.weight.T - features.square().sum(1, keepdim=True) - self.weight.square().sum(1)
        if self.similarity == "cosine":
            return F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T
        return F.linear(features, self.weight, self.bias)

    def linear(self) -> tuple[Tensor, Tensor]:
        """Weight [C, D] and bias [C] of the linear layer that puts classes in the order of h, whatever the features.

        Its values are h for inner, h + ||z||^2 for euclidean, ||z|| h for cosine.
        """
        weight, bias = self.weight.detach(), None if self.bias is None else self.bias.detach()
        if self.similarity == "euclidean":
            return 2 * weight, -weight.square().sum(1)
        weight = F.normalize(weight, dim=1) if self.similarity == "cosine" else weight
        return weight, torch.zeros_like(weight[:, 0]) if bias is None else bias


class DecomposedConfidence(Saved, nn.Module):
    """f_i(x) = h_i(x) / g(x) of features, g(x) = sigmoid(BN(w_g z + b_g)) (Hsu et al. 2020).

    Args:
        features: D.
        classes: C.
        similarity: of h, inner | euclidean | cosine: DeConf-I, -E, -C.
    """

    def __init__(self, features: int, classes: int, similarity: str):
        super().__init__()
        self.config = {"features": features, "classes": classes, "similarity": similarity}
        self.likeness = Likeness(features, classes, similarity)
        self.domain = nn.Sequential(nn.Linear(features, 1), nn.BatchNorm1d(1), nn.Sigmoid())

    def h(self, features: Tensor) -> Tensor:
        """[B, C]."""
        return self.likeness(features)

    def g(self, features: Tensor) -> Tensor:
        """[B], in (0, 1)."""
        return self.domain(features)[:, 0]

    def forward(self, features: Tensor) -> Tensor:
        """f [B, C]."""
        return self.h(features) / self.g(features)[:, None]


def beside(directory: Path, like: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """What the heads that a loss has kept beside a saved network make of its features [B, D], by name.

    second: logits [B, C] of the second classifier (loss mcd). h [B, C] and g [B]: of the decomposed confidence (loss godin).

    Args:
        directory: of the network; a head lies in the folder that is named as its loss.
        like: has the device and the precision of the features.
    """
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    if (directory / "mcd").is_dir():
        found["second"] = SecondHead.from_pretrained(directory / "mcd").to(like.device, like.dtype)
    if (directory / "godin").is_dir():
        confidence = DecomposedConfidence.from_pretrained(directory / "godin").to(like.device, like.dtype)
        found |= {"h": confidence.h, "g": confidence.g}
    return found
