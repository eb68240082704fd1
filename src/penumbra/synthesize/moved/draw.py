"""Moves guided representations along the first principal direction of their class, and decodes them again (Bad-OOD H.2)."""

from collections.abc import Callable, Iterator, Sequence

import torch

from penumbra.artifacts.images import encode
from penumbra.errors import PenumbraError
from penumbra.guidance.principal import Lines, principal_lines, toward
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.synthesize.badood.draw import Features, Models, decoded, guided_rows, ids_of, read_inputs
from penumbra.synthesize.badood.plan import Candidate
from penumbra.synthesize.distances import distances


def _rows(models: Models, features: Features, lines: Lines, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    """Rows of moved candidates, each with its twin: what Bad-OOD would have made of it."""
    twins = list(guided_rows(models, features, block, stage))
    source = features.representation[[c.row for c in block]]
    guided, labels = torch.tensor([twin["representation"] for twin in twins]), torch.tensor([twin["label"] for twin in twins])
    mean = lines.mean[labels]
    moved = toward(guided, mean, lines.direction[labels], stage.params.synthesize[stage.item].toward)
    pixels, seen = decoded(models, moved.to(source), ids_of(features, block), stage)
    columns = {
        "norm": torch.linalg.vector_norm(moved, dim=1),
        "representation": moved,
        "mean_before": torch.linalg.vector_norm(guided - mean, dim=1),
        "mean_after": torch.linalg.vector_norm(moved - mean, dim=1),
        **{name: values.cpu() for name, values in distances(seen, source).items()},
    }
    for index, twin in enumerate(twins):
        own = {name: values[index].tolist() for name, values in columns.items()}
        image = {"image": encode(pixels[index].numpy()), "twin": {"bytes": twin["image"], "path": None}}
        yield twin | own | image | {"toward": stage.params.synthesize[stage.item].toward}


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models, find the lines of the classes; returns what makes the rows of a block.

    Raises:
        PenumbraError: the ID images of a class are all alike, or there is one only; names the class.
    """
    device = setup()
    models, features = read_inputs(stage, device)
    labels = torch.tensor(features.labels)
    lines = principal_lines(features.representation.cpu(), labels)
    if alike := sorted(set(lines.without) & set(features.labels)):
        count = int((labels == alike[0]).sum())
        raise PenumbraError(
            f"{stage.name}: {count} ID training images of class {alike[0]} have one representation, which has no principal direction. "
            "Take toward out of this variant, or take more images of the class."
        )
    return lambda block: _rows(models, features, lines, block, stage)
