"""extract@classifier: what the ID classifier sees in every ID training image, the memory bank of k-NN distances."""

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.extract.images import of_train
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.load import load
from penumbra.runtime import setup
from penumbra.stage import Stage


@torch.no_grad()
def penultimate(classifier: Classifier, images: Tensor) -> Tensor:
    """Features [B, D] before the last layer, not normalised, of images [B, 3, H, W] in [0, 1].

    Raises:
        PenumbraError: one is not finite.
    """
    features = classifier.forward_with_features(images)[1]
    if not features.isfinite().all():
        raise PenumbraError(
            "data/models/classifier: its features of ID training images are NaN or infinite. "
            "Lower its learning_rate in pretrain.classifier and train it again."
        )
    return features


def main(stage: Stage) -> None:
    """Write data/features/classifier.safetensors: `features` [N, D] and `label` [N], rows as in images/train."""
    device = setup()
    classifier = load(stage.read("models/classifier")).to(device)
    of_train(stage, "features", lambda images: penultimate(classifier, images), device)
