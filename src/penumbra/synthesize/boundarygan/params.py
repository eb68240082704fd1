"""Parameters of the boundary GAN."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from penumbra.values import Batch, Count, Fault, Natural, NotNegative, OtherNetwork, Positive, ResNetSizes, Section, Width, either

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

    Classifier = Any
else:
    Classifier = either(ResNetSizes, OtherNetwork)


class BoundaryGan(Section):
    """What is not said here is in docs/fidelity.md.

    Attributes:
        count: candidates.
        latent: numbers that an image is drawn from.
        channels: of generator and discriminator at full resolution; each halving doubles them.
        classifier: the network that learns beside.
        beta: weight of the divergence from the uniform distribution.
        learning_rate: of Adam, for all three.
    """

    reads: ClassVar[str] = "images"
    method: Literal["boundarygan"]
    count: Count
    latent: Width
    channels: Width
    classifier: Classifier
    epochs: Count
    batch_size: Batch
    learning_rate: Positive
    beta: NotNegative
    crop_padding: Natural
    flip: bool


def faults(experiment: "Experiment") -> Iterator[Fault]:
    size = experiment.common.image_size
    for name, method in experiment.synthesize.images.items():
        if not isinstance(method, BoundaryGan):
            continue
        if size & (size - 1):
            yield "common.image_size", f"must be a power of two, since synthesize.images.{name} draws images by doubling"
        if method.crop_padding >= size:
            yield f"synthesize.images.{name}.crop_padding", f"must be below {size} (common.image_size)"
