"""How far a candidate is from the ID image that it is made from."""

import torch
import torch.nn.functional as F
from torch import Tensor


def distances(representation: Tensor, source: Tensor) -> dict[str, Tensor]:
    """Four readings of the "feature distance" [B] of Bad-OOD H.1 between representations [B, D] of images and of their sources."""
    difference = representation - source
    unit = F.normalize(representation, dim=1) - F.normalize(source, dim=1)
    return {
        "distance_l2": torch.linalg.vector_norm(difference, dim=1),
        "distance_cosine": 1 - F.cosine_similarity(representation, source, dim=1),
        "distance_mse": difference.square().mean(1),
        "distance_unit_l2": torch.linalg.vector_norm(unit, dim=1),
    }
