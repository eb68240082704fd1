"""The representation diffusion model (Li et al. 2024, RCG): an MLP that predicts the clean representation.

Architecture and state-dict keys are those of `rdm/` in LTH14/rcg: 12 schedule buffers beside `model.diffusion_model.*`.
"""

import math
import os

import torch
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved
from penumbra.elementary import log, root
from penumbra.errors import PenumbraError
from penumbra.models.published import State, below, load_checkpoint, load_strict, section
from penumbra.schedules import cumulative_alphas, linear_betas

OUT_NORM_EPS = 1e-6  # of the last LayerNorm; those in the blocks keep torch's 1e-5
LONGEST_WAVE = 10_000.0
ENCODER = "pretrained_encoder."
CLASS_EMBEDDING = "cond_stage_model."


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """[cos(t f), sin(t f)] of integer steps t [B], with f_j = 10000^(-j / (width / 2)): [B, width]."""
    half = width // 2
    frequencies = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Residual block: the embedding of t, and that of the context if there is one, is added between two linear layers."""

    def __init__(self, width: int, time_width: int, context_width: int | None):
        super().__init__()
        self.in_layers = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, width))
        if context_width:
            self.context_layers = nn.Sequential(nn.SiLU(), nn.Linear(context_width, width))
        self.out_layers = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Dropout(0.0), nn.Linear(width, width))
        nn.init.zeros_(self.out_layers[3].weight)
        nn.init.zeros_(self.out_layers[3].bias)

    def forward(self, y: Tensor, emb: Tensor, context: Tensor | None) -> Tensor:
        """y [B, width] and its update."""
        h = self.in_layers(y) + self.emb_layers(emb)
        if context is not None:
            h = h + self.context_layers(context)
        return y + self.out_layers(h)


class SimpleMLP(nn.Module):
    """RCG's `SimpleMLP`. A fresh one outputs exactly 0: its last layer starts at zero."""

    def __init__(self, dimension: int, width: int, depth: int, time_width: int, context_width: int | None):
        super().__init__()
        self.width = width
        self.time_embed = nn.Sequential(nn.Linear(width, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        self.input_proj = nn.Linear(dimension, width)
        self.res_blocks = nn.ModuleList([ResBlock(width, time_width, context_width) for _ in range(depth)])
        self.out = nn.Sequential(nn.LayerNorm(width, eps=OUT_NORM_EPS), nn.SiLU(), nn.Linear(width, dimension))
        nn.init.zeros_(self.out[2].weight)
        nn.init.zeros_(self.out[2].bias)

    def forward(self, z_t: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """Predicted clean z0 [B, D] of z_t [B, D] at integer steps t [B], with context [B, C] if the network has one."""
        emb = self.time_embed(timestep_embedding(t, self.width).to(z_t.dtype))
        y = self.input_proj(z_t)
        for block in self.res_blocks:
            y = block(y, emb, context)
        return self.out(y)


class RDM(Saved, nn.Module):
    """The denoiser with its schedule. Published sizes: 256, 1536, 12, 256, 1000, 0.0015, 0.0195.

    Args:
        dimension: of the representation.
        width: of the hidden layers.
        depth: residual blocks.
        time_width: of the embedding of t.
        timesteps: T.
        beta_start, beta_end: ends of the schedule (`schedules.linear_betas`).
        context_width: width of the class embedding (published: 512); None for the unconditional model.
        classes: of a class-conditional model.
    """

    def __init__(
        self,
        dimension: int,
        width: int,
        depth: int,
        time_width: int,
        timesteps: int,
        beta_start: float,
        beta_end: float,
        context_width: int | None = None,
        classes: int = 0,
    ):
        super().__init__()
        self.config = {
            "dimension": dimension,
            "width": width,
            "depth": depth,
            "time_width": time_width,
            "timesteps": timesteps,
            "beta_start": beta_start,
            "beta_end": beta_end,
            "context_width": context_width,
            "classes": classes,
        }
        self.model = nn.ModuleDict({"diffusion_model": SimpleMLP(dimension, width, depth, time_width, context_width)})
        if context_width:
            self.cond_stage_model = nn.ModuleDict({"embedding": nn.Embedding(classes, context_width)})
        for name, values in schedule_buffers(linear_betas(timesteps, beta_start, beta_end)).items():
            self.register_buffer(name, values.float())

    def forward(self, z_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicted clean z0 [B, D] of z_t [B, D] at steps t [B]; labels [B] for a class-conditional model only."""
        context = None if labels is None else self.cond_stage_model["embedding"](labels)
        return self.model["diffusion_model"](z_t, t, context)


def schedule_buffers(betas: Tensor) -> dict[str, Tensor]:
    """The twelve buffers of the published layout, each [T], in the precision of `betas`."""
    abar = cumulative_alphas(betas)
    previous = torch.cat([torch.ones_like(abar[:1]), abar[:-1]])
    variance = betas * (1 - previous) / (1 - abar)
    return {
        "betas": betas,
        "alphas_cumprod": abar,
        "alphas_cumprod_prev": previous,
        "sqrt_alphas_cumprod": root(abar),
        "sqrt_one_minus_alphas_cumprod": root(1 - abar),
        "log_one_minus_alphas_cumprod": log(1 - abar),
        "sqrt_recip_alphas_cumprod": root(1 / abar),
        "sqrt_recipm1_alphas_cumprod": root(1 / abar - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": log(variance.clamp(min=1e-20)),
        "posterior_mean_coef1": betas * root(previous) / (1 - abar),
        "posterior_mean_coef2": (1 - previous) * root(1 - betas) / (1 - abar),
    }


def shadow_name(name: str) -> str:
    """Name of a parameter's average in the published layout: its dots are left out."""
    return name.replace(".", "")


class MovingAverage(nn.Module):
    """Exponential moving average of a module's parameters, in the layout of latent diffusion's `LitEma`.

    The decay of update n is min(decay, (1 + n) / (10 + n)), so the average follows quickly at first.
    """

    def __init__(self, module: nn.Module, decay: float):
        super().__init__()
        self.register_buffer("decay", torch.tensor(decay, dtype=torch.float32))
        self.register_buffer("num_updates", torch.tensor(0, dtype=torch.int32))
        for name, parameter in module.named_parameters():
            self.register_buffer(shadow_name(name), parameter.detach().clone())

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the averages towards the parameters of `module`."""
        self.num_updates += 1
        updates = self.num_updates.item()
        decay = min(self.decay.item(), (1 + updates) / (10 + updates))
        for name, parameter in module.named_parameters():
            getattr(self, shadow_name(name)).lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Overwrite the parameters of `module` with their averages."""
        for name, parameter in module.named_parameters():
            parameter.copy_(getattr(self, shadow_name(name)))


def rdm_state(path: str | os.PathLike, conditional: bool = False) -> State:
    """State dict of `RDM` from an official RCG file, with the averaged weights in place of the live ones if the file has them.

    The encoder that the file carries along is left out (`published.encoder_in_mage` gives it), and so is the class embedding
    unless the model is class-conditional: the unconditional file holds one that the network ignores.

    Raises:
        PenumbraError: not an RDM file, or an average is missing.
    """
    checkpoint = load_checkpoint(path)
    state = section(checkpoint, "state_dict" if "state_dict" in checkpoint else "model", path)
    average = below(state, "model_ema.")
    own = {name: tensor for name, tensor in state.items() if not name.startswith(("model_ema.", ENCODER))}
    if not conditional:
        own = {name: tensor for name, tensor in own.items() if not name.startswith(CLASS_EMBEDDING)}
    if not average:
        return own
    for name in [name for name in own if name.startswith("model.")]:
        shadow = shadow_name(name.removeprefix("model."))
        if shadow not in average:
            raise PenumbraError(f"{path}: the average of {name} is missing (model_ema.{shadow}). Download the file again.")
        own[name] = average[shadow]
    return own


def load_published(network: RDM, path: str | os.PathLike) -> None:
    """Load an official RCG file into a network of its sizes, strictly.

    Raises:
        PenumbraError: a tensor is missing, unknown or of another shape, or the file's schedule is not the network's.
    """
    expected = network.alphas_cumprod.clone()
    load_strict(network, rdm_state(path, conditional=network.config["context_width"] is not None), path)
    if not torch.allclose(network.alphas_cumprod, expected, rtol=1e-4):
        raise PenumbraError(f"{path}: was trained with another noise schedule. Set pretrain.rdm.rcg.beta_start and beta_end to the file's.")
