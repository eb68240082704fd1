"""Decoders of random weights, of both kinds, made in a moment; their latents are half as wide as their images."""

from pathlib import Path

import torch

from penumbra.models.decoder import Decoder, DitDecoder, LatentDecoder
from penumbra.models.latent import LatentDiffusion
from penumbra.pretrain import dit, ldm
from penumbra.stage import Params
from tiny_pipeline import write_tiny_pipeline

KINDS = {"ldm": (LatentDecoder, ldm.build), "dit": (DitDecoder, dit.build)}
SIZES = {
    "ldm": {"channels": [8, 16], "layers": 1, "head_width": 4},
    "dit": {"patch_size": 2, "width": 16, "depth": 2, "heads": 2},
}


def tiny_decoder(folder: Path, kind: str, dimension: int = 6, image_size: int = 16) -> Decoder:
    """A decoder all of whose weights are random, the zeros of a fresh DiT among them.

    Args:
        folder: of the pipeline whose autoencoder it has; written if it is not there.
    """
    if not folder.exists():
        write_tiny_pipeline(folder, image_size)
    start = LatentDiffusion.load(folder)
    made, build = KINDS[kind]
    torch.manual_seed(1)
    decoder = made(start.vae, build(Params(SIZES[kind]), start.latent_shape, dimension), start.scheduler)
    for parameter in decoder.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder
