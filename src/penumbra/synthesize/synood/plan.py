"""synthesize@synood: ID images full of detail, repainted after what stands beside their main object (SynOOD 3.3).

Or after a negative label instead of what stands beside it (SynOOD, Table 4): the stages of kind `negatives`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from penumbra.artifacts.contexts import read_contexts
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.artifacts.negatives import read_negative_labels
from penumbra.complexity import bytes_per_pixel, most_detailed
from penumbra.errors import PenumbraError
from penumbra.seeds import derive
from penumbra.stage import Params, Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.sources import Image, Source, read_images, spread

BLOCK = 64  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "prompt": pa.string(),
    "context": pa.string(),
    "complexity": pa.float32(),
    "energies": pa.list_(pa.float32()),
    "loss": pa.list_(pa.float32()),
    "displacement": pa.float32(),
    "distance_l2": pa.float32(),
    "distance_cosine": pa.float32(),
    "distance_mse": pa.float32(),
    "distance_unit_l2": pa.float32(),
    "frames": pa.binary(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Candidate(Source):
    """A candidate before it is made.

    Attributes:
        complexity: bytes per pixel of the ID image as JPEG.
        context: the labels or the word of the prompt; empty if there are none.
        prompt: what the pipeline is told; empty without a context.
        shown: keep the images of all iterations.
    """

    complexity: float
    context: str
    prompt: str
    shown: bool


def complexities(stage: Stage, split: str) -> np.ndarray:
    """JPEG bytes per pixel [N] of data/images/SPLIT.parquet; counted once for all parts of a job."""
    path = stage.scratch / f"complexity-{split}.npy"
    if not path.exists():
        with replace(path) as temporary, open(temporary, "wb") as file:
            np.save(file, bytes_per_pixel(stage.read(f"images/{split}")))
    return np.load(path, allow_pickle=False)


def context_labels(stage: Stage, images: Sequence[Image], characters: int) -> list[str]:
    """The context labels of each image, cut to so many characters; "" if it has none.

    Raises:
        PenumbraError: there is no row for an image.
    """
    path = stage.read("features/contexts")
    labels = read_contexts(path)
    absent = [image.sample_id for image in images if image.sample_id not in labels]
    if absent:
        raise PenumbraError(
            f"{path}: has no row for image {absent[0]} ({len(absent)} of {len(images)} images lack one). Add it, its labels may be "
            "empty, or run `dvc repro extract@contexts` with an extract.contexts.tags.per_class that is not below this method's."
        )
    return [labels[image.sample_id].strip()[:characters].strip() for image in images]


def negative_labels(stage: Stage, images: Sequence[Image]) -> list[str]:
    """A negative label that is drawn for each image.

    Raises:
        PenumbraError: there is no negative label.
    """
    path = stage.read("features/negatives")
    words = [negative.word for negative in read_negative_labels(path)]
    if not words:
        raise PenumbraError(f"{path}: holds no negative label. Give extract.negatives a larger vocabulary or share.")
    seed = stage.params.common.seed
    return [words[derive(seed, "synthesize/negative", image.sample_id) % len(words)] for image in images]


def plan(stage: Stage, p: Params) -> list[Candidate]:
    """All candidates in order: one of each image of most detail of the splits (p: params.yaml, synthesize.METHOD)."""
    chosen: list[tuple[Image, float]] = []
    for split in p.splits:
        images, detail = read_images(stage, [split]), complexities(stage, split).tolist()
        rows = most_detailed(detail, [image.sample_id for image in images], [image.label for image in images], p.per_class)
        chosen += [(images[row], detail[row]) for row in rows]
    images = [image for image, _ in chosen]
    told = negative_labels(stage, images) if p.prompts == "negatives" else context_labels(stage, images, p.characters)
    shown = spread(len(chosen), p.illustrated)
    return [
        Candidate(image, index, detail, context, p.prompt.format(context) if context else "", index in shown)
        for index, ((image, detail), context) in enumerate(zip(chosen, told, strict=True))
    ]


def _report(stage: Stage) -> None:
    """How the energy went and how far the outliers are from their sources, on stderr; warnings where the loss does not do its work."""
    p = stage.params.synthesize[stage.item]
    frame = read_table(stage.write("outliers"), ["energies", "loss", "displacement", "distance_cosine"]).to_pandas()
    every = np.stack(frame.energies)
    energies, losses = every.mean(0), np.stack(frame.loss).mean(0)
    print(
        f"{stage.name}: {len(frame)} images, energy {' -> '.join(f'{energy:.2f}' for energy in energies)}, "
        f"displacement {frame.displacement.mean():.2f}, cosine distance {frame.distance_cosine.mean():.3f}",
        file=sys.stderr,
    )
    if losses[-1] > losses[0]:
        print(
            f"warning: {stage.name}: the loss rises from {losses[0]:.3g} to {losses[-1]:.3g} over the iterations. "
            f"Set another synthesize.{stage.item}.step_size.",
            file=sys.stderr,
        )
    if p.loss == "energy" and (led_back := (every[:, 0] > p.margin) & (every[:, -1] < every[:, 0])).any():
        print(
            f"warning: {stage.name}: {led_back.sum()} of {len(frame)} images were less ID than margin {p.margin:g} at first, and are led "
            f"back into ID. Raise synthesize.{stage.item}.margin above -temperature log C, the energy of C equal logits.",
            file=sys.stderr,
        )


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each chosen ID image."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.synood.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage, [candidate.prompt for candidate in candidates])

    candidates = plan(stage, stage.params.synthesize[stage.item])
    outliers.run(stage, candidates, BLOCK, COLUMNS, load, _report)
