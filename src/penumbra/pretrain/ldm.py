"""pretrain@ldm: a UNet that paints in the latents of pretrain@diffusion what a representation says (Bad-OOD, Fig. 4 b); or an import."""

from penumbra.models.decoder import LatentDecoder
from penumbra.models.latent import UNet2DConditionModel
from penumbra.pretrain.autoencoder import norm_groups
from penumbra.pretrain.decoder.training import run
from penumbra.stage import Params, Stage


def build(p: Params, latents: tuple[int, int, int], dimension: int) -> UNet2DConditionModel:
    """A fresh UNet of the sizes in the parameters, for latents [C, h, w], that attends to representations of that dimension."""
    return UNet2DConditionModel(
        sample_size=latents[1],
        in_channels=latents[0],
        out_channels=latents[0],
        down_block_types=("CrossAttnDownBlock2D",) * len(p.channels),
        up_block_types=("CrossAttnUpBlock2D",) * len(p.channels),
        block_out_channels=tuple(p.channels),
        layers_per_block=p.layers,
        norm_num_groups=norm_groups(p.channels),
        cross_attention_dim=dimension,
        attention_head_dim=tuple(channels // p.head_width for channels in p.channels),  # the number of heads, in truth
    )


def main(stage: Stage) -> None:
    """Write data/models/ldm: see `run`."""
    run(stage, LatentDecoder, build)
