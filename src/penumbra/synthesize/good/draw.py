"""Draws the candidates of GOOD: images that a text-to-image model is guided to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import encode
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import classifier_free
from penumbra.guidance.ood import Probe, kth_distance, latent_log_f
from penumbra.guidance.tfg import Guidance, guided_sample, repeated
from penumbra.logits import energy
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.load import load as load_classifier
from penumbra.models.gradcam import grad_cam
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.schedules import Levels
from penumbra.stage import Params, Stage
from penumbra.synthesize.good.plan import BLOCK, Candidate
from penumbra.synthesize.latents import differentiated_at_once
from penumbra.synthesize.tone import toned


@dataclass(frozen=True)
class Models:
    """What is frozen, on one device, and the names of the ID classes."""

    diffusion: LatentDiffusion
    probe: Probe
    concepts: list[str]


def levels_of(model: LatentDiffusion, p: Params) -> Levels:
    """The noise levels that the sampler visits."""
    levels = model.levels(p.steps)
    return repeated(levels) if p.pndm else levels


def draw_latents(models: Models, block: Sequence[Candidate], seed: int, p: Params) -> Tensor:
    """Guided latents [B, C, h, w] of candidates, which may mix guidances and strengths.

    Args:
        p: parameters of the method (params.yaml, synthesize.METHOD).
    """
    model, streams = models.diffusion, [candidate.stream for candidate in block]
    sections = [p.guidances[candidate.guidance] for candidate in block]
    noise = {purpose: SampleNoise(seed, f"synthesize/good/{purpose}", streams) for purpose in ("start", "sampler", "smoothing")}
    weights = (torch.tensor([float(section[name]) for section in sections], device=model.device) for name in ("energy", "knn"))
    guidance = Guidance(
        rho=[candidate.rho for candidate in block],
        mu=[candidate.mu for candidate in block],
        gamma=[section.gamma for section in sections],
        rho_schedule=p.rho_schedule,
        mu_schedule=p.mu_schedule,
        gamma_schedule=p.gamma_schedule,
        draws=p.draws,
        iterations=p.iterations,
        recurrences=p.recurrences,
        eta=p.eta,
        clip=p.clip,
    )
    condition = model.embed([p.prompt.format(models.concepts[candidate.label]) for candidate in block])
    eps = classifier_free(model.eps, condition, model.embed([""]), p.guidance_scale)
    log_f = latent_log_f(models.probe, model.decode, *weights, differentiated_at_once(model))
    start = noise["start"].normal(*model.latent_shape).to(model.device)
    return guided_sample(eps, log_f, start, levels_of(model, p), guidance, noise["sampler"], noise["smoothing"])


@torch.no_grad()
def draw_images(model: LatentDiffusion, latents: Tensor, size: int) -> Tensor:
    """uint8 pixels [B, size, size, 3], on the CPU, of latents [B, C, h, w]."""
    images = torch.cat([model.decode(part) for part in latents.split(differentiated_at_once(model) or len(latents))])
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()


def measure(probe: Probe, pixels: Tensor) -> dict[str, Tensor]:
    """Energy, k-NN distance, predicted class [B], Grad-CAM maps [B, h, w] and features [B, D] of uint8 pixels [B, H, W, 3], on the CPU.

    The classifier sees the images as a detector will: in the range of its training, whatever range guided them.
    """
    images = pixels.to(probe.bank.device).permute(0, 3, 1, 2).float() / 255
    cam, logits, features = grad_cam(probe.classifier, images)
    knn = kth_distance(features, probe.bank, probe.k)
    measured = {"energy": energy(logits), "knn": knn, "predicted": logits.argmax(1), "cam": cam, "features": features}
    return {name: values.cpu() for name, values in measured.items()}


def _check_finite(latents: Tensor, block: Sequence[Candidate], stage: Stage) -> None:
    finite = latents.isfinite().flatten(1).all(1).tolist()
    if not all(finite):
        worst = block[finite.index(False)]
        raise PenumbraError(
            f"{stage.name}: {finite.count(False)} of {len(block)} samples are NaN or infinite, the first of guidance {worst.guidance} "
            f"with rho = {worst.rho:g} and mu = {worst.mu:g}. Lower these strengths, or the weights energy and knn of "
            f"synthesize.{stage.item}.guidances.{worst.guidance}."
        )


def _rows(models: Models, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    p, common = stage.params.synthesize[stage.item], stage.params.common
    size = inference_batch(BLOCK)
    for part in (block[start : start + size] for start in range(0, len(block), size)):
        latents = draw_latents(models, part, common.seed, p)
        _check_finite(latents, part, stage)
        drawn = draw_images(models.diffusion, latents, common.image_size)
        pixels = torch.from_numpy(toned(drawn.numpy(), common.grey))
        measured = measure(models.probe, pixels)
        for index, candidate in enumerate(part):
            yield {
                "image": encode(np.ascontiguousarray(pixels[index].numpy())),
                "sample_id": f"{stage.item}/{candidate.index:06d}",
                "source_id": "",
                "label": candidate.label,
                "prompt": p.prompt.format(models.concepts[candidate.label]),
                "guidance": candidate.guidance,
                "rho": candidate.rho,
                "mu": candidate.mu,
                "cam": measured["cam"][index].flatten().tolist(),
                "cam_size": measured["cam"].shape[-1],
                "seed": common.seed,
                **{name: measured[name][index].item() for name in ("energy", "knn", "predicted")},
                **({"features": measured["features"][index].tolist()} if p.features else {}),
            }


def laid_out(diffusion: LatentDiffusion) -> LatentDiffusion:
    """The same model, its memory arranged for passes forward and backward."""
    diffusion.vae.to(memory_format=torch.channels_last)  # the decoder's wide convolutions gain, the small UNet's lose
    if diffusion.device.type == "cuda":
        diffusion.checkpoint_gradients()  # the decoder's graph is that of DIFFERENTIATED images anyway
    return diffusion


def load(stage: Stage, device: torch.device) -> Models:
    """The models that the stage reads.

    Raises:
        PenumbraError: they do not fit each other, or a prompt is too long.
    """
    p = stage.params.synthesize[stage.item]
    diffusion = laid_out(LatentDiffusion.load(stage.read("models/diffusion"), device))
    classifier = load_classifier(stage.read("models/classifier")).to(device)
    features = read_features(stage.read("features/classifier"))[0]["features"].to(device)
    names = concepts(stage.read("images/train"))
    if classifier.config["classes"] != len(names):
        raise PenumbraError(
            f"{stage.read('models/classifier')}: knows {classifier.config['classes']} classes, and {stage.read('images/train')} "
            f"has {len(names)}. Run `dvc repro pretrain@classifier`."
        )
    diffusion.tokens([p.prompt.format(name) for name in names])  # a prompt that is too long is known before the work begins
    return Models(diffusion, probe_of(classifier, features, p), names)


def probe_of(classifier: Classifier, features: Tensor, p: Params) -> Probe:
    """The classifier and what it knows of ID: its features [M, D] of the ID training images.

    Raises:
        PenumbraError: the features are not those of such a classifier, or fewer than p.knn_k (synthesize.METHOD).
    """
    expected = classifier.last_layer.in_features
    if features.shape[1] != expected:
        raise PenumbraError(
            f"data/features/classifier.safetensors: has {features.shape[1]} features for each image, and the classifier "
            f"makes {expected}. Run `dvc repro extract@classifier`."
        )
    if p.knn_k > len(features):
        raise PenumbraError(f"params.yaml: knn_k = {p.knn_k}: must be at most {len(features)}, the number of ID training images.")
    return Probe(classifier, F.normalize(features, dim=1), p.knn_k, p.classifier_size, p.classifier_range, p.knn_log)


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block."""
    models = load(stage, setup())  # its parts run side by side
    return lambda block: _rows(models, block, stage)
