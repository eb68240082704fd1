"""Diffusion models that paint an image of a representation: a latent diffusion UNet, and a DiT (Bad-OOD, Fig. 4 b; Li et al. 2024, RCG).

A directory has the layout of diffusers: vae/, scheduler/, and unet/ or transformer/. No pipeline of diffusers reads the whole of it, since
none is conditioned on a vector; each folder is read by its class.
"""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import classifier_free, ddim_sample
from penumbra.models.latent import LOGGERS, AutoencoderKL, DDIMScheduler, LatentDiffusion, UNet2DConditionModel
from penumbra.models.pretrained import load_part, load_weights, locate, quiet, set_origin

from diffusers import DiTTransformer2DModel  # isort: skip
from diffusers.configuration_utils import register_to_config  # isort: skip


class RepresentationDiT(DiTTransformer2DModel):
    """The DiT of Peebles and Xie (2023), conditioned as RCG conditions it: each block's shift, scale and gate are of the sum of an
    embedding of t and a linear map of the representation (adaLN-Zero). A fresh one outputs exactly 0: its gates and last layer are zero.

    diffusers' class looks a class up in a table, and a vector has no number there. So the linear map stands where the table stood. The
    waves of t, the eps of norms and the GELU are RCG's, from which diffusers' differ: with its weights this says what RCG's DiT says.

    Args:
        representation: dimensions D of the condition.
        num_attention_heads, attention_head_dim: of a block; their product is its width.
        num_layers: blocks.
        in_channels: C of the latents.
        out_channels: those of the prediction, whose first C are the noise.
        sample_size: side of the latents.
        patch_size: side of what becomes one token.
    """

    @register_to_config
    def __init__(
        self,
        representation: int,
        num_attention_heads: int,
        attention_head_dim: int,
        num_layers: int,
        in_channels: int,
        out_channels: int,
        sample_size: int,
        patch_size: int,
    ):
        super().__init__(
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            num_layers=num_layers,
            in_channels=in_channels,
            out_channels=out_channels,
            sample_size=sample_size,
            patch_size=patch_size,
            num_embeds_ada_norm=1,
            norm_eps=1e-6,
            activation_fn="gelu",
        )
        for block in self.transformer_blocks:
            block.norm1.emb.class_embedder = nn.Linear(representation, self.inner_dim)
            block.norm1.emb.time_proj.downscale_freq_shift = 0
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in (self.proj_out_1, self.proj_out_2, *(block.norm1.linear for block in self.transformer_blocks)):
            nn.init.zeros_(layer.weight)


class Decoder(nn.Module):
    """A frozen autoencoder and a network that denoises its latents, given a representation.

    Args:
        vae, scheduler: as of a text-to-image pipeline; the scheduler is only asked for its training schedule.
        network: of the class `KIND`.
        name: where they come from, for messages.

    Raises:
        PenumbraError: they do not fit each other, or the network predicts something else than noise.
    """

    PART: ClassVar[str]  # the folder of the network
    KIND: ClassVar[type[nn.Module]]
    decode, levels = LatentDiffusion.decode, LatentDiffusion.levels  # images of latents, and the levels of DDIM, as of a pipeline

    def __init__(self, vae: AutoencoderKL, network: nn.Module, scheduler: DDIMScheduler, name: str = "decoder"):
        super().__init__()
        self.vae, self.network, self.scheduler, self.name = vae, network, scheduler, name
        channels = vae.config.latent_channels
        if network.config.in_channels != channels or network.config.out_channels < channels:
            raise PenumbraError(
                f"{name}/{self.PART}: turns {network.config.in_channels} channels into {network.config.out_channels}, but the latents of "
                f"{name}/vae have {channels}. Take the autoencoder that it was trained with."
            )
        if scheduler.config.prediction_type != "epsilon":
            raise PenumbraError(f"{name}/scheduler: prediction_type = {scheduler.config.prediction_type!r}; must be epsilon.")
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load a directory or a hub id (`name` or `name@revision`); safetensors only.

        On a GPU the network computes in bfloat16 and the autoencoder in float32.

        Raises:
            PenumbraError: a part is missing or cannot be read, or does not fit the others; names it.
        """
        local, (name, options) = Path(source).is_dir(), locate(source)
        networks = {"vae": AutoencoderKL, cls.PART: cls.KIND}
        if local and (absent := [part for part in (*networks, "scheduler") if not (Path(source) / part).is_dir()]):
            raise PenumbraError(f"{source}: has no {absent[0]}/. A decoder of this kind holds {', '.join((*networks, 'scheduler'))}.")
        with quiet(*LOGGERS) if local else nullcontext():  # a download may show its progress
            precision = {"torch_dtype": torch.float32, "low_cpu_mem_usage": False}
            vae, network = (
                load_weights(
                    kind,
                    name,
                    f"{source}/{part}",
                    kind.__name__,
                    Path(source) / part if local else None,
                    subfolder=part,
                    **options,
                    **precision,
                )
                for part, kind in networks.items()
            )
            scheduler = load_part(DDIMScheduler, name, f"{source}/scheduler", "DDIMScheduler", subfolder="scheduler", **options)
        model = cls(vae, network, scheduler, str(source)).to(device)
        if torch.device(device).type == "cuda":
            model.network.to(torch.bfloat16)
        return model

    def save_pretrained(self, directory: str | os.PathLike, provenance: dict | None = None) -> None:
        """Write the three parts into `directory`, and `provenance` as penumbra.json; equal weights give equal bytes."""
        with quiet(*LOGGERS):
            for part, module in (("vae", self.vae), (self.PART, self.network), ("scheduler", self.scheduler)):
                module.save_pretrained(Path(directory) / part)
        set_origin(Path(directory), provenance)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    @property
    def dimension(self) -> int:
        """D of the representations."""
        raise NotImplementedError

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, h, w] of the latents that the network was trained on."""
        size = self.network.config.sample_size
        return self.vae.config.latent_channels, size, size

    @property
    def nothing(self) -> Tensor:
        """The representation [1, D] of no image, for classifier-free guidance: zeros, where one of an image has length sqrt(D - 1)."""
        return torch.zeros(1, self.dimension, device=self.device)

    def eps(self, z: Tensor, t: int | Tensor, representation: Tensor) -> Tensor:
        """Predicted noise [B, C, h, w], float32, of latents z [B, C, h, w].

        Args:
            t: index of the training schedule, one for all or [B].
            representation: [B, D], standardised, or `nothing`.
        """
        dtype = self.network.dtype
        t = torch.as_tensor(t, device=z.device).expand(len(z))
        return self._predicted(z.to(dtype), t, representation.to(dtype))[:, : z.shape[1]].float()

    def _predicted(self, z: Tensor, t: Tensor, representation: Tensor) -> Tensor:
        """What the network says."""
        raise NotImplementedError

    @torch.no_grad()
    def latents(self, representation: Tensor, noise: Tensor, steps: int, guidance: float) -> Tensor:
        """Latents [B, C, h, w] of representations [B, D] by DDIM with classifier-free guidance.

        Args:
            noise: standard normal like the latents.
            steps: of DDIM.
            guidance: s of eps_u + s (eps_c - eps_u).
        """
        eps = classifier_free(self.eps, representation, self.nothing, guidance)
        return ddim_sample(eps, noise.to(self.device), self.levels(steps))


class LatentDecoder(Decoder):
    """Rombach et al. (2022): a UNet that attends to the representation, the one token of its cross-attention, as RCG's LDM-8 does."""

    PART, KIND = "unet", UNet2DConditionModel

    @property
    def dimension(self) -> int:
        return self.network.config.cross_attention_dim

    def _predicted(self, z: Tensor, t: Tensor, representation: Tensor) -> Tensor:
        return self.network(z, t, representation[:, None], return_dict=False)[0]


class DitDecoder(Decoder):
    """Peebles and Xie (2023): see `RepresentationDiT`."""

    PART, KIND = "transformer", RepresentationDiT

    @property
    def dimension(self) -> int:
        return self.network.config.representation

    def _predicted(self, z: Tensor, t: Tensor, representation: Tensor) -> Tensor:
        return self.network(z, t, representation, return_dict=False)[0]
