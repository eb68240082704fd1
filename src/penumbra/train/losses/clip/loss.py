"""Losses of SynOOD on features: images to ID and negative labels (eq. 12), and negative labels to outliers (eq. 14)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import logsumexp


def image_loss(features: Tensor, targets: Tensor, texts: Tensor, negatives: Tensor, temperature: float, classes: str) -> Tensor:
    """L^P, which trains the layer behind the image encoder (SynOOD eq. 12); scalar.

    The paper's sum runs over the negative labels alone. An ID image has none of them, so its own label stands above the
    fraction there, and it is pushed away from all that stand below.

    Args:
        features: of ID images and outliers [B, D].
        targets: their labels [B]: 0..C-1 of an ID image, C + k of an outlier that was matched to negative label k.
        texts: of the ID labels [C, D].
        negatives: of the matched negative labels [M', D].
        temperature: tau.
        classes: of the sum below the fraction: all (ID and matched negative labels, a cross-entropy; official code) |
            matched (the negative labels alone; paper).
    """
    logits = _logits(features, torch.cat([texts, negatives]), temperature)
    if classes == "all":
        return F.cross_entropy(logits, targets)
    return (logsumexp(logits[:, len(texts) :], dim=1) - logits.gather(1, targets[:, None])[:, 0]).mean()


def label_loss(features: Tensor, targets: Tensor, negatives: Tensor, temperature: float, orientation: str) -> Tensor:
    """L^T, which tunes the text features of the matched negative labels (SynOOD eq. 14); scalar.

    Args:
        features: of outliers [B, D].
        targets: the negative label of each [B], 0..M'-1.
        negatives: [M', D].
        temperature: tau.
        orientation: image (each outlier over the labels, a cross-entropy; official code) | text (the label of each outlier over
            the outliers of the batch; paper).
    """
    logits = _logits(features, negatives, temperature)
    if orientation == "image":
        return F.cross_entropy(logits, targets)
    return (logsumexp(logits[:, targets], dim=0) - logits.gather(1, targets[:, None])[:, 0]).mean()


def _logits(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """cos/tau [B, K] of features [B, D] and labels [K, D]."""
    return F.normalize(features, dim=1) @ F.normalize(labels, dim=1).T / temperature
