"""Methods that change ID training images one by one, without a model: so many candidates of each image."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from penumbra.stage import Stage
from penumbra.synthesize.sources import Source, read_images

if TYPE_CHECKING:
    import numpy as np

BLOCK = 256  # candidates in a block of work; fixed, so that parts and restarts compute the same batches


def plan(stage: Stage) -> list[Source]:
    """All candidates in order: `per_image` of each ID training image."""
    count = stage.params.synthesize[stage.item].per_image
    images = [image for image in read_images(stage, ["train"]) for _ in range(count)]
    return [Source(image, index) for index, image in enumerate(images)]


def maker(
    stage: Stage, name: str, vary: "Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, dict[str, Any]]]"
) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """What makes the rows of a block; the noise of a candidate is its own.

    Args:
        name: of the method's room, to which its noise belongs.
        vary: of an image, uint8 [H, W, 3], and noise: a changed image of the same size, and columns that say what was done.
    """
    import numpy as np

    from penumbra.artifacts.images import encode
    from penumbra.seeds import derive
    from penumbra.synthesize.sources import read_source_pixels
    from penumbra.synthesize.tone import toned

    seed, grey = stage.params.common.seed, stage.params.common.grey

    def rows(block: Sequence[Source]) -> Iterator[dict]:
        once = list({source.image: source for source in block}.values())  # an image is read once for all that is made from it
        pixels = dict(zip((source.image for source in once), read_source_pixels(stage, once), strict=True))
        for source in block:
            columns = source.provenance(stage)
            rng = np.random.default_rng(derive(seed, f"synthesize/{name}", columns["sample_id"]))
            image, done = vary(pixels[source.image], rng)
            yield {"image": encode(toned(np.ascontiguousarray(image), grey)), **done, **columns}

    return rows
