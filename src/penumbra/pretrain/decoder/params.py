"""Parameters of the decoders of representations that are diffusion models, and what their keys must satisfy together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from annotated_types import MaxLen, MinLen

from penumbra.values import Count, Fault, Layers, Natural, NotNegative, Optimised, ShareBelowOne, Text, Width, divides, presets

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Decoder(Optimised):
    """What both have in common; `pipeline` is a directory of a decoder."""

    pipeline: Text | None
    drop_representation: ShareBelowOne
    ema_decay: ShareBelowOne
    warmup_epochs: Natural
    validate_every: Count
    sample_steps: Count
    sample_guidance: NotNegative


class Ldm(Decoder):
    """A UNet, each level of which attends to the representation."""

    channels: Annotated[list[Width], MinLen(1), MaxLen(12)]
    layers: Layers
    head_width: Width


class Dit(Decoder):
    """A transformer of patches of the latents."""

    patch_size: Width
    width: Width
    depth: Layers
    heads: Width


def faults(experiment: "Experiment") -> Iterator[Fault]:
    pipelines = (preset for _, preset in presets(experiment, "pretrain", "diffusion") if preset.pipeline is None)
    sides = [experiment.common.image_size // 2 ** (len(preset.vae_channels) - 1) for preset in pipelines]
    for key, ldm in presets(experiment, "pretrain", "ldm"):
        for channels in ldm.channels:
            yield from divides(f"{key}.head_width", ldm.head_width, f"{key}.channels", channels)
        if any(side % 2 ** (len(ldm.channels) - 1) for side in sides):
            yield f"{key}.channels", f"must halve the side of the latents, {sides[0]}, without a rest between two levels"
    for key, dit in presets(experiment, "pretrain", "dit"):
        yield from divides(f"{key}.heads", dit.heads, f"{key}.width", dit.width)
        yield from divides("sine and cosine of rows and columns", 4, f"{key}.width", dit.width)
        if any(side % dit.patch_size for side in sides):
            yield f"{key}.patch_size", f"must divide {sides[0]}, the side of the latents"
