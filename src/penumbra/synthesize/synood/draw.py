"""The units of synthesize@synood: blocks of repainted ID images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.images import decode, encode, read_pixel_rows
from penumbra.guidance.diffusion import classifier_free
from penumbra.guidance.skip import Judge, OodLoss, Repainted, denoised, repaint, start_latents, timesteps_left
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.load import load as load_classifier
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage
from penumbra.synthesize.levels import levels_of
from penumbra.synthesize.measures import distances
from penumbra.synthesize.pipeline import draw_pixels, encoded, resized, to_pixels
from penumbra.synthesize.synood.plan import BLOCK, Source

DECODED = 2  # images that a GPU decodes and differentiates at a time: a 512 x 512 one takes gigabytes


@dataclass(frozen=True)
class Models:
    """The frozen models, on one device."""

    diffusion: InpaintingDiffusion
    classifier: Classifier


@dataclass(frozen=True)
class Outliers:
    """What became of B images.

    Attributes:
        images: encoded.
        energy, loss: [B, K], after each run.
        measured: further columns [B].
        frames: PNG of the images of all runs side by side, of the rows that are shown.
    """

    images: list[bytes]
    energy: Tensor
    loss: Tensor
    measured: dict[str, Tensor]
    frames: dict[int, bytes]


def judge_of(models: Models, p: Params) -> Judge:
    """The classifier behind the decoder (p: params.yaml, synthesize.METHOD)."""
    scaling, size = models.diffusion.vae.config.scaling_factor, (p.classifier_size, p.classifier_size)
    return Judge(
        decode=lambda u: models.diffusion.decode(scaling * u),
        classify=lambda images: models.classifier(resized(images, size)),
        loss=OodLoss(p.loss, p.margin, p.temperature),
        at_once=DECODED if models.diffusion.device.type == "cuda" else None,
    )


def repaint_latents(models: Models, clean: Tensor, noise: Tensor, prompts: Sequence[str], p: Params) -> Repainted:
    """Repaint clean latents [B, C, h, w] as a whole: the mask of the in-painting pipeline is 1 everywhere.

    Args:
        noise: standard normal like `clean`. With strength 1 it is all that the result starts from.
        prompts: of the B images.
    """
    model, levels = models.diffusion, levels_of(models.diffusion, p)
    timesteps = timesteps_left(levels, p.steps, p.strength)
    abar = 0.0 if p.strength == 1 else levels.at(timesteps[:1]).item()
    eps = classifier_free(model.eps, model.embed(prompts), model.embed([""]), p.guidance_scale)

    def denoise(noise: Tensor) -> Tensor:
        z0 = denoised(eps, start_latents(clean, noise, abar), timesteps, levels, p.sampler)
        return z0 / model.vae.config.scaling_factor

    return repaint(denoise, judge_of(models, p), noise, p.iterations, p.step_size)


@torch.no_grad()
def outliers_of(models: Models, pixels: np.ndarray, sources: Sequence[Source], p: Params, seed: int) -> Outliers:
    """Repaint uint8 pixels [B, S, S, 3] (p: params.yaml, synthesize.METHOD). Distances are those of the autoencoder's latents."""
    model, size, scaling = models.diffusion, pixels.shape[1], models.diffusion.vae.config.scaling_factor

    def noise(purpose: str) -> Tensor:
        """Of a stream that knows neither method nor block: methods then differ by the prompts and the loss and nothing else."""
        ids = [source.image.sample_id for source in sources]
        return SampleNoise(seed, f"synthesize/{purpose}", ids).normal(*model.latent_shape).to(model.device)

    source = images_of(pixels, model.device)
    clean = encoded(model, resized(source, model.image_size), noise("posterior") if p.posterior == "sample" else None)
    made = repaint_latents(models, clean, noise("forward"), [source.prompt for source in sources], p)
    images = [encode(image, jpeg=p.jpeg) for image in to_pixels(made.last.images, size, model.name)]
    kept = images_of(np.stack([decode(image) for image in images]), model.device)
    measured = {
        "displacement": torch.linalg.vector_norm((scaling * made.inputs[-1] - clean).flatten(1), dim=1),
        **distances(encoded(model, resized(kept, model.image_size), None).flatten(1), clean.flatten(1)),
    }
    shown = [row for row, source in enumerate(sources) if source.shown]
    strips = {row: draw_pixels(model, scaling * torch.stack([u[row] for u in made.inputs]), size) for row in shown}
    return Outliers(
        images,
        made.energy.cpu(),
        made.loss.cpu(),
        {name: values.cpu() for name, values in measured.items()},
        {row: encode(np.concatenate(strip, axis=1)) for row, strip in strips.items()},
    )


def images_of(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] of uint8 pixels [B, S, S, 3]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255


def _pixels(stage: Stage, sources: Sequence[Source]) -> np.ndarray:
    """uint8 [B, S, S, 3] of sources in the order of their files."""
    parts = []
    for split, group in groupby(sources, key=lambda source: source.image.split):
        parts.append(read_pixel_rows(stage.read(f"images/{split}"), [source.image.row for source in group]))
    return np.concatenate(parts)


def _rows(models: Models, block: Sequence[Source], stage: Stage) -> Iterator[dict]:
    p, seed = stage.params.synthesize[stage.item], stage.params.common.seed
    for start in range(0, len(block), size := inference_batch(BLOCK)):
        sources = block[start : start + size]
        made = outliers_of(models, _pixels(stage, sources), sources, p, seed)
        for row, source in enumerate(sources):
            yield {
                "image": made.images[row],
                "sample_id": f"{stage.item}/{source.index:06d}",
                "source_id": source.image.sample_id,
                "label": source.image.label,
                "split": source.image.split,
                "prompt": source.prompt,
                "context": source.context,
                "complexity": source.image.complexity,
                "energies": made.energy[row].tolist(),
                "loss": made.loss[row].tolist(),
                "frames": made.frames.get(row),
                "seed": seed,
                **{name: values[row].item() for name, values in made.measured.items()},
            }


def open_blocks(stage: Stage, sources: Sequence[Source]) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block.

    Args:
        sources: of all blocks.

    Raises:
        PenumbraError: the models do not fit each other, or a prompt is too long.
    """
    device = setup()
    models = Models(
        InpaintingDiffusion.load(stage.read("models/inpainting"), device),
        load_classifier(stage.read("models/classifier")).to(device),
    )
    models.diffusion.tokens(
        list(dict.fromkeys(source.prompt for source in sources))
    )  # a prompt that is too long is known before the work begins
    return lambda block: _rows(models, block, stage)
