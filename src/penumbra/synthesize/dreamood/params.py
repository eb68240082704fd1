"""Parameters of Dream-OOD."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from penumbra.values import Count, Fault, Natural, NotNegative, OtherRecipe, Positive, ResNetRecipe, Section, Template, either

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Aligned(Section):
    """How a network learns to see images as embeddings of words (Dream-OOD 3.1), beside what every recipe says.

    Attributes:
        temperature: tau of the cosines.
        crop_padding, flip: see `augmentation.augment`.
    """

    temperature: Positive
    crop_padding: Natural
    flip: bool


class ResNetEmbedding(Aligned, ResNetRecipe):
    """That network, one of our ResNets."""


class OtherEmbedding(Aligned, OtherRecipe):
    """That network, another classifier."""


if TYPE_CHECKING:
    Embedding = Any
else:
    Embedding = either(ResNetEmbedding, OtherEmbedding)


class DreamOod(Section):
    """What is not said here is in docs/fidelity.md.

    Attributes:
        knn_k: which neighbour's distance (an embedding is its own first), at most the images of a class.
        boundary: embeddings of each class with the farthest neighbour, of which `picked` are drawn at a time.
        samples: Gaussian draws around each, of deviation sigma, of which `keep` are taken.
        sphere: whether draws are taken back to length 1, as Dream-OOD's code has it, or stay where they fall, as NPOS's.
        topk: correct takes the farthest; released is the index error of the released code, which takes draws almost at random.
        per_class: candidates of each ID class.
        steps, guidance_scale: of the deterministic DDIM sampler that decodes.
    """

    reads: ClassVar[str] = "diffusion"
    method: Literal["dreamood"]
    embedding: Embedding
    knn_k: Count
    boundary: Count
    picked: Count
    samples: Count
    keep: Count
    sigma: Positive
    sphere: bool
    topk: Literal["correct", "released"]
    per_class: Count
    prompt: Template
    steps: Count
    guidance_scale: NotNegative


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for name, method in experiment.synthesize.diffusion.items():
        key = f"synthesize.diffusion.{name}"
        if not isinstance(method, DreamOod):
            continue
        for fewer, more in (("picked", "boundary"), ("keep", "samples")):
            if method[fewer] > method[more]:
                yield f"{key}.{fewer}", f"must be in 1..{method[more]} ({key}.{more})"
        recipe = method.embedding
        if recipe.warmup_epochs > recipe.epochs:
            yield f"{key}.embedding.warmup_epochs", f"must be in 0..{recipe.epochs} ({key}.embedding.epochs)"
        if recipe.crop_padding >= experiment.common.image_size:
            yield f"{key}.embedding.crop_padding", f"must be below {experiment.common.image_size} (common.image_size)"
