"""Draws the candidates of SynOOD: repainted ID images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.images import decode, encode
from penumbra.guidance.diffusion import classifier_free
from penumbra.guidance.skip import Judge, OodLoss, Repainted, denoised, levels_left, repaint, start_latents
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.load import load as load_classifier
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage
from penumbra.synthesize.distances import distances
from penumbra.synthesize.latents import differentiated_at_once, draw_pixels, encoded, images_of, levels_of, resized, to_pixels
from penumbra.synthesize.sources import read_source_pixels
from penumbra.synthesize.synood.plan import BLOCK, Candidate


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
        at_once=differentiated_at_once(models.diffusion),
    )


def repaint_latents(models: Models, clean: Tensor, noise: Tensor, prompts: Sequence[str], p: Params) -> Repainted:
    """Repaint clean latents [B, C, h, w] as a whole: the mask of the in-painting pipeline is 1 everywhere.

    Args:
        noise: standard normal like `clean`. With strength 1 it is all that the result starts from.
        prompts: of the B images.
    """
    model, levels = models.diffusion, levels_left(levels_of(models.diffusion, p), p.steps, p.strength)
    abar = 0.0 if p.strength == 1 else levels.abar[0]
    eps = classifier_free(model.eps, model.embed(prompts), model.embed([""]), p.guidance_scale)

    def denoise(noise: Tensor) -> Tensor:
        z0 = denoised(eps, start_latents(clean, noise, abar), levels, p.sampler)
        return z0 / model.vae.config.scaling_factor

    return repaint(denoise, judge_of(models, p), noise, p.iterations, p.step_size)


@torch.no_grad()
def outliers_of(models: Models, pixels: np.ndarray, candidates: Sequence[Candidate], p: Params, seed: int, grey: bool) -> Outliers:
    """Repaint uint8 pixels [B, S, S, 3] (p: params.yaml, synthesize.METHOD; grey: `toned`).

    Distances are those of the autoencoder's latents.
    """
    model, size, scaling = models.diffusion, pixels.shape[1], models.diffusion.vae.config.scaling_factor

    def noise(purpose: str) -> Tensor:
        """Of a stream that knows neither method nor block: methods then differ by the prompts and the loss and nothing else."""
        ids = [candidate.image.sample_id for candidate in candidates]
        return SampleNoise(seed, f"synthesize/{purpose}", ids).normal(*model.latent_shape).to(model.device)

    source = images_of(pixels, model.device)
    clean = encoded(model, resized(source, model.image_size), noise("posterior") if p.posterior == "sample" else None)
    made = repaint_latents(models, clean, noise("forward"), [candidate.prompt for candidate in candidates], p)
    images = [encode(image, jpeg=p.jpeg) for image in to_pixels(made.last.images, size, model.name, grey)]
    kept = images_of(np.stack([decode(image) for image in images]), model.device)
    measured = {
        "displacement": torch.linalg.vector_norm((scaling * made.inputs[-1] - clean).flatten(1), dim=1),
        **distances(encoded(model, resized(kept, model.image_size), None).flatten(1), clean.flatten(1)),
    }
    shown = [row for row, candidate in enumerate(candidates) if candidate.shown]
    strips = {row: draw_pixels(model, scaling * torch.stack([u[row] for u in made.inputs]), size, grey) for row in shown}
    return Outliers(
        images,
        made.energy.cpu(),
        made.loss.cpu(),
        {name: values.cpu() for name, values in measured.items()},
        {row: encode(np.concatenate(strip, axis=1)) for row, strip in strips.items()},
    )


def _rows(models: Models, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    p, seed, grey = stage.params.synthesize[stage.item], stage.params.common.seed, stage.params.common.grey
    for start in range(0, len(block), size := inference_batch(BLOCK)):
        candidates = block[start : start + size]
        made = outliers_of(models, read_source_pixels(stage, candidates), candidates, p, seed, grey)
        for row, candidate in enumerate(candidates):
            yield {
                "image": made.images[row],
                **candidate.provenance(stage),
                "prompt": candidate.prompt,
                "context": candidate.context,
                "complexity": candidate.complexity,
                "energies": made.energy[row].tolist(),
                "loss": made.loss[row].tolist(),
                "frames": made.frames.get(row),
                **{name: values[row].item() for name, values in made.measured.items()},
            }


def open_blocks(stage: Stage, prompts: Sequence[str]) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block.

    Args:
        prompts: of all candidates.

    Raises:
        PenumbraError: the models do not fit each other, or a prompt is too long.
    """
    device = setup()
    models = Models(
        InpaintingDiffusion.load(stage.read("models/inpainting"), device),
        load_classifier(stage.read("models/classifier")).to(device),
    )
    models.diffusion.tokens(list(dict.fromkeys(prompts)))  # a prompt that is too long is known before the work begins
    return lambda block: _rows(models, block, stage)
