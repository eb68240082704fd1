"""pretrain@dit: a DiT that paints in the latents of pretrain@diffusion what a representation says (Bad-OOD, Fig. 4 b); or an import."""

from penumbra.models.decoder import DitDecoder, RepresentationDiT
from penumbra.pretrain.decoder.training import run
from penumbra.stage import Params, Stage


def build(p: Params, latents: tuple[int, int, int], dimension: int) -> RepresentationDiT:
    """A fresh DiT of the sizes in the parameters, for latents [C, h, w] and representations of that dimension."""
    return RepresentationDiT(
        representation=dimension,
        num_attention_heads=p.heads,
        attention_head_dim=p.width // p.heads,
        num_layers=p.depth,
        in_channels=latents[0],
        out_channels=latents[0],
        sample_size=latents[1],
        patch_size=p.patch_size,
    )


def main(stage: Stage) -> None:
    """Write data/models/dit: see `run`."""
    run(stage, DitDecoder, build)
