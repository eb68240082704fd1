"""What several tests of CLIP detectors make."""

import torch

from clip_features import WORDS, label_features
from penumbra.labels import grouped
from penumbra.models.clip_detector import ClipDetector

KIT = ("features/clip", "features/negatives", "models/clip")


def zero_shot(project=True, residual=True):
    torch.manual_seed(0)
    order = grouped(len(WORDS), 4, torch.Generator().manual_seed(0))
    return ClipDetector.zero_shot(
        label_features(), order, temperature=None, mcm_temperature=1.0, project=project, residual=residual
    ).requires_grad_(False)


def raw(count, seed=0):
    return 3 * torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
