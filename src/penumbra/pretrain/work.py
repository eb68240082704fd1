"""How much pretrain has to do: images, times epochs, times what the network computes for one. What is imported is not trained."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Images times millions of multiplications."""
    return {f"pretrain-{ALIKE.get(entry.kind, entry.kind)}": LEARNT[entry.kind](work.model[entry.kind], work)}


def encoder(p: Any, work: "Work") -> float:
    return 0.0 if p.checkpoint else work.learnt * p.epochs * work.encoder()


def rdm(p: Any, work: "Work") -> float:
    return 0.0 if p.checkpoint else work.learnt * p.epochs * p.depth * p.width**2 / 1e6


def mage(p: Any, work: "Work") -> float:
    channels = [p.vqgan_width * factor for factor in p.vqgan_multipliers]
    tokenizer = 0 if p.vqgan_checkpoint else p.vqgan_epochs * work.pyramid(channels, p.image_size, 2)
    return 0.0 if p.checkpoint else work.learnt * (p.epochs * work.mage() + tokenizer)


def classifier(p: Any, work: "Work") -> float:
    return 0.0 if p.checkpoint else work.n.train * p.epochs * work.classifier(p)


def diffusion(p: Any, work: "Work") -> float:
    return 0.0 if p.pipeline else work.learnt * (p.epochs * work.unet() + p.vae_epochs * work.vae())


def inpainting(p: Any, work: "Work") -> float:
    return 0.0 if p.pipeline else work.learnt * p.epochs * work.unet()


def clip(p: Any, work: "Work") -> float:
    texts = work.transformer(p.text_width, p.text_layers, p.text_length)
    return 0.0 if p.model else (work.learnt + work.n.clip_world) * p.epochs * (work.clip() + texts)


def ldm(p: Any, work: "Work") -> float:
    return 0.0 if p.pipeline else work.learnt * p.epochs * work.decoder("ldm")


def dit(p: Any, work: "Work") -> float:
    return 0.0 if p.pipeline else work.learnt * p.epochs * work.decoder("dit")


ALIKE = {"ldm": "inpainting", "dit": "inpainting"}  # no measured run has them; they learn from latents, too
LEARNT: dict[str | None, Callable[[Any, "Work"], float]] = {
    each.__name__: each for each in (encoder, rdm, mage, classifier, diffusion, inpainting, clip, ldm, dit)
}
