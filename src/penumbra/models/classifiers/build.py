"""A fresh classifier, whichever the parameters name."""

from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.efficientnet_lite0 import ARCHITECTURE, EfficientNetLite0
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.resnet import ARCHITECTURES, ResNet
from penumbra.stage import Params

SIZES = ("architecture", "width", "stem_kernel", "stem_stride", "stem_pool")  # of a ResNet of ours


def build(p: Params, classes: int) -> Classifier:
    """A classifier of the parameters' architecture, with fresh weights.

    Args:
        p: a section with `architecture`, and with the sizes of one of our ResNets or the `input_size` of another classifier.
        classes: N of its logits.

    Raises:
        PenumbraError: see `LibraryClassifier`.
    """
    if p.architecture == ARCHITECTURE:
        return EfficientNetLite0(classes, p.input_size)
    if p.architecture not in ARCHITECTURES:
        return LibraryClassifier.create(p.architecture, classes, p.input_size)
    return ResNet(**{key: p[key] for key in SIZES}, classes=classes)
