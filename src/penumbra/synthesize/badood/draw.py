"""The units of synthesize@badood: blocks of candidates from the representations of ID images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import encode
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.models.rdm import RDM
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.synthesize.badood.plan import BLOCK, Candidate
from penumbra.synthesize.candidates import Streams, draw_images, guide
from penumbra.synthesize.measures import distances


@dataclass(frozen=True)
class Models:
    """The frozen models, on one device."""

    encoder: MoCoEncoder
    rdm: RDM
    mage: MAGE


@dataclass(frozen=True)
class Features:
    """What is known of the N ID images: representation [N, D] on the models' device, ids and labels."""

    representation: Tensor
    sample_ids: list[str]
    labels: list[int]


def make_block(models: Models, z0: Tensor, ids: list[str], scales: list[float], stage: Stage) -> tuple[Tensor, dict[str, Tensor]]:
    """Candidates of source representations z0 [B, D]: uint8 pixels [B, S, S, 3] and the measured columns [B, ...], on the CPU.

    Args:
        ids: of the B candidates, equal for all methods (`Streams`).
        scales: of the guidance.
    """
    p, seed, size = stage.params.synthesize[stage.item], stage.params.common.seed, stage.params.common.image_size
    guided = guide(models.rdm, models.rdm.alphas_cumprod, z0, scales, Streams(seed, ids), p)
    pixels, representations = [], []
    for rows in torch.arange(len(z0)).split(inference_batch(BLOCK)):
        noise = Streams(seed, [ids[row] for row in rows]).of("decode")
        pixels.append(draw_images(models.mage, guided.representation[rows.to(z0.device)], noise, size, p))
        representations.append(models.encoder.represent(pixels[-1].to(z0.device).permute(0, 3, 1, 2).float() / 255))
    columns = {
        "displacement": guided.displacement,
        "norm": torch.linalg.vector_norm(guided.representation, dim=1),
        "minority_before": guided.minority_before,
        "minority_after": guided.minority_after,
        "representation": guided.representation,
        **distances(torch.cat(representations), z0),
    }
    return torch.cat(pixels), {name: values.cpu() for name, values in columns.items()}


def _rows(models: Models, features: Features, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    ids = [f"{features.sample_ids[c.row]}-{c.copy}" for c in block]
    pixels, measured = make_block(models, features.representation[[c.row for c in block]], ids, [c.scale for c in block], stage)
    for index, c in enumerate(block):
        yield {
            "image": encode(np.ascontiguousarray(pixels[index].numpy())),
            "sample_id": f"{stage.item}/{c.row:06d}-{c.copy}",
            "source_id": features.sample_ids[c.row],
            "label": features.labels[c.row],
            "scale": c.scale,
            "seed": stage.params.common.seed,
            **{name: values[index].tolist() for name, values in measured.items()},
        }


def _inputs(stage: Stage, device: torch.device) -> tuple[Models, Features]:
    loaders = {"encoder": MoCoEncoder, "rdm": RDM, "mage": MAGE}
    models = Models(**{name: kind.from_pretrained(stage.read(f"models/{name}")).to(device) for name, kind in loaders.items()})
    tensors, sample_ids = read_features(stage.read("features/encoder"))
    return models, Features(tensors["representation"].to(device), sample_ids, tensors["label"].tolist())


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block."""
    device = setup()
    models, features = _inputs(stage, device)
    return lambda block: _rows(models, features, block, stage)
