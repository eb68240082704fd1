"""Draws the candidates of Bad-OOD: from representations of ID images to guided ones, to images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import encode
from penumbra.guidance.diffusion import q_sample
from penumbra.guidance.minority import (
    Denoiser,
    Metric,
    Push,
    Reverse,
    gaussian_push,
    guided_reverse,
    minority_push,
    minority_score,
    reverse_levels,
    unguided,
)
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder, standardise
from penumbra.models.rdm import RDM
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage
from penumbra.synthesize.badood.plan import BLOCK, Candidate
from penumbra.synthesize.distances import distances
from penumbra.synthesize.tone import toned


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


@dataclass(frozen=True)
class Streams:
    """Noise of a batch of candidates, one independent stream per purpose.

    A stream depends on the candidate alone, not on the method or on what other purposes draw: guided and unguided samples,
    and the candidates of two methods, then differ by the guidance and by nothing else.
    """

    seed: int
    candidates: Sequence[str]

    def of(self, purpose: str) -> SampleNoise:
        """A fresh stream of that purpose, from its beginning."""
        return SampleNoise(self.seed, f"synthesize/{purpose}", self.candidates)


@dataclass(frozen=True)
class Guided:
    """Guided representations [B, D], their distance from the unguided ones [B], and the minority scores of both [B]."""

    representation: Tensor
    displacement: Tensor
    minority_before: Tensor
    minority_after: Tensor


def _push(abar: Tensor, metric: Metric, streams: Streams, p: Params) -> Push:
    if p.guidance == "gaussian":
        return gaussian_push(streams.of("guidance"))
    return minority_push(abar, metric, streams.of("guidance"), p.draws, p.stop_gradient)


def guide(denoise: Denoiser, abar: Tensor, z0: Tensor, scales: Sequence[float], streams: Streams, p: Params) -> Guided:
    """Noise representations z0 [B, D] of ID images to p.t and denoise them, once under guidance and once without (Bad-OOD 3.2).

    With p.t = 0 nothing is done to them; without guidance there is one pass, which is both.

    Args:
        denoise: the frozen RDM, with its schedule abar [T].
        scales: of the guidance, one for each sample.
        streams: of the B candidates.
        p: parameters of the method (params.yaml, synthesize.METHOD).
    """
    metric, dimension = Metric(p.s, p.distance), z0.shape[1]
    plain = guided = z0
    if p.t > 0:
        reverse, levels = Reverse(p.eta, p.every, p.space, p.norm, p.variance), reverse_levels(abar, p.t, p.stride, p.loop, p.last_alpha)
        z_t = q_sample(z0, abar[p.t], streams.of("forward").normal(dimension).to(z0))
        plain = guided = guided_reverse(denoise, z_t, levels, reverse, unguided(), scales, streams.of("reverse"))
        if p.guidance != "none":
            guided = guided_reverse(denoise, z_t, levels, reverse, _push(abar, metric, streams, p), scales, streams.of("reverse"))
    if p.restandardize:
        plain, guided = standardise(plain), standardise(guided)
    draws = streams.of("score").normal(p.score_draws, dimension).to(z0)
    before, after = (minority_score(denoise, z, abar, metric, draws) for z in (plain, guided))
    return Guided(guided, torch.linalg.vector_norm(guided - plain, dim=1), before, after)


def draw_images(mage: MAGE, representation: Tensor, noise: SampleNoise, size: int, p: Params) -> Tensor:
    """uint8 pixels [B, size, size, 3] that MAGE makes of representations [B, D]."""
    images = mage.generate(representation, noise, p.decode_steps, p.decode_temperature, p.decode_guidance)
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()


def decoded(models: Models, representation: Tensor, ids: Sequence[str], stage: Stage) -> tuple[Tensor, Tensor]:
    """uint8 pixels [B, S, S, 3], on the CPU, that MAGE makes of representations [B, D], and the encoder's representations of these [B, D].

    Args:
        ids: of the B candidates, equal for all methods (`Streams`).
    """
    p, common = stage.params.synthesize[stage.item], stage.params.common
    pixels, representations = [], []
    for rows in torch.arange(len(representation)).split(inference_batch(BLOCK)):
        noise = Streams(common.seed, [ids[row] for row in rows]).of("decode")
        drawn = draw_images(models.mage, representation[rows.to(representation.device)], noise, common.image_size, p)
        pixels.append(torch.from_numpy(toned(drawn.numpy(), common.grey)))
        representations.append(models.encoder.represent(pixels[-1].to(representation.device).permute(0, 3, 1, 2).float() / 255))
    return torch.cat(pixels), torch.cat(representations)


def make_block(models: Models, z0: Tensor, ids: list[str], scales: list[float], stage: Stage) -> tuple[Tensor, dict[str, Tensor]]:
    """Candidates of source representations z0 [B, D]: uint8 pixels [B, S, S, 3] and the measured columns [B, ...], on the CPU.

    Args:
        ids: of the B candidates, equal for all methods (`Streams`).
        scales: of the guidance.
    """
    p, common = stage.params.synthesize[stage.item], stage.params.common
    guided = guide(models.rdm, models.rdm.alphas_cumprod, z0, scales, Streams(common.seed, ids), p)
    pixels, representations = decoded(models, guided.representation, ids, stage)
    columns = {
        "displacement": guided.displacement,
        "norm": torch.linalg.vector_norm(guided.representation, dim=1),
        "minority_before": guided.minority_before,
        "minority_after": guided.minority_after,
        "representation": guided.representation,
        **distances(representations, z0),
    }
    return pixels, {name: values.cpu() for name, values in columns.items()}


def ids_of(features: Features, block: Sequence[Candidate]) -> list[str]:
    """Of candidates, equal for all methods (`Streams`)."""
    return [f"{features.sample_ids[c.row]}-{c.copy}" for c in block]


def guided_rows(models: Models, features: Features, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    """Rows of candidates, image and provenance."""
    representation, scales = features.representation[[c.row for c in block]], [c.scale for c in block]
    pixels, measured = make_block(models, representation, ids_of(features, block), scales, stage)
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


def read_inputs(stage: Stage, device: torch.device) -> tuple[Models, Features]:
    """The frozen models and what is known of ID images."""
    loaders = {"encoder": MoCoEncoder, "rdm": RDM, "mage": MAGE}
    models = Models(**{name: kind.from_pretrained(stage.read(f"models/{name}")).to(device) for name, kind in loaders.items()})
    tensors, sample_ids = read_features(stage.read("features/encoder"))
    return models, Features(tensors["representation"].to(device), sample_ids, tensors["label"].tolist())


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block."""
    device = setup()
    models, features = read_inputs(stage, device)
    return lambda block: guided_rows(models, features, block, stage)
