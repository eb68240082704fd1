"""Training of the UNet of a latent diffusion pipeline together with its text encoder, until the validation loss stops to fall."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from penumbra.artifacts.rows import StoredRows
from penumbra.guidance.diffusion import noise_error
from penumbra.models.latent import CLIPTextModel, CLIPTokenizer, LatentDiffusion, UNet2DConditionModel
from penumbra.models.rdm import MovingAverage
from penumbra.noise import generator
from penumbra.pretrain.autoencoder import norm_groups
from penumbra.stage import Params
from penumbra.training import History, descend, epochs, summed

NAME = "pretrain/diffusion"
VALIDATION_DRAWS = 4  # noise levels of each validation image


@dataclass(frozen=True)
class Captioned:
    """Scaled latents [N, C, h, w], the number of each one's caption [N], and the token ids [K, V, L] of the K captions' V wordings."""

    latents: StoredRows
    captions: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.latents)


class EarlyStopping:
    """The best weights of a network and how many validations have passed since; resumable like the rest of the training state."""

    def __init__(self, network: nn.Module, patience: int):
        self.patience, self.waited, self.lowest = patience, 0, math.inf
        self.weights = _copied(network)

    def judge(self, loss: float, network: nn.Module) -> None:
        """Keep the weights if the loss is the lowest so far."""
        self.waited += 1
        if loss < self.lowest:
            self.waited, self.lowest, self.weights = 0, loss, _copied(network)

    @property
    def over(self) -> bool:
        """Whether the loss has not fallen for `patience` validations."""
        return self.waited >= self.patience

    def state_dict(self) -> dict:
        return {"waited": self.waited, "lowest": self.lowest, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        self.waited, self.lowest, self.weights = state["waited"], state["lowest"], state["weights"]


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def build_unet(p: Params, latent_size: int) -> UNet2DConditionModel:
    """A fresh UNet of the sizes in the parameters."""
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=p.latent_channels,
        out_channels=p.latent_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in p.unet_attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(p.unet_attention)),
        block_out_channels=tuple(p.unet_channels),
        layers_per_block=p.unet_layers,
        norm_num_groups=norm_groups(p.unet_channels),
        cross_attention_dim=p.text_width,
        attention_head_dim=tuple(channels // p.unet_head_width for channels in p.unet_channels),  # the number of heads, in truth
    )


def build_text_encoder(p: Params, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A fresh text encoder of the sizes in the parameters, for that tokenizer."""
    return CLIPTextModel(
        CLIPTextModel.config_class(
            vocab_size=len(tokenizer),
            hidden_size=p.text_width,
            intermediate_size=4 * p.text_width,
            projection_dim=p.text_width,
            num_hidden_layers=p.text_layers,
            num_attention_heads=p.text_heads,
            max_position_embeddings=p.text_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def denoising_loss(networks: nn.ModuleDict, z0: Tensor, tokens: Tensor, abar: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """`noise_error` of latents z0 [B, C, h, w] at steps t [B], captioned by token ids [B, L]."""
    condition = networks["text_encoder"](tokens).last_hidden_state
    return noise_error(lambda z_t: networks["unet"](z_t, t, condition, return_dict=False)[0], z0, abar[t], noise)


def train_epoch(
    networks: nn.ModuleDict,
    average: MovingAverage,
    data: Captioned,
    empty: Tensor,
    abar: Tensor,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    p: Params,
    draws: torch.Generator,
) -> float:
    """One pass, t uniform, wording of the caption at random; returns the mean loss.

    Args:
        empty: token ids [L] of the prompt "", which takes the place of a share `caption_dropout` of the captions.
        abar: cumulative alphas [T].
    """
    device = data.latents.device
    batches = torch.randperm(len(data), generator=draws).split(p.batch_size)

    def loss(batch: Tensor) -> Tensor:
        t = torch.randint(len(abar), (len(batch),), generator=draws)
        noise = torch.randn(len(batch), *data.latents.shape[1:], generator=draws)
        wording = torch.randint(data.tokens.shape[1], (len(batch),), generator=draws)
        dropped = torch.rand(len(batch), 1, generator=draws) < p.caption_dropout
        tokens = torch.where(dropped.to(device), empty, data.tokens[data.captions[batch], wording])
        return denoising_loss(networks, data.latents[batch], tokens, abar, t.to(device), noise.to(device))

    def rate(step: int) -> float:
        now = epoch + (step + 1) / len(batches)
        return p.learning_rate * (min(now / p.warmup_epochs, 1) if p.warmup_epochs else 1)

    losses = descend(batches, loss, optimizer, rate=rate, after=lambda: average.update(networks))
    return summed(each * len(rows) for each, rows in zip(losses, batches, strict=True)) / len(data)


@torch.no_grad()
def validation_loss(networks: nn.ModuleDict, data: Captioned, abar: Tensor, batch_size: int, draws: torch.Generator) -> float:
    """Loss at steps spread evenly over the schedule; equal draws make epochs comparable."""
    device, count = data.latents.device, VALIDATION_DRAWS * len(data)
    rows = torch.randperm(count, generator=draws)
    t = torch.arange(count) * len(abar) // count
    noise = torch.randn(count, *data.latents.shape[1:], generator=draws)
    wording = torch.randint(data.tokens.shape[1], (count,), generator=draws)
    total = 0.0
    for at in torch.arange(count).split(batch_size):
        row = rows[at] % len(data)
        tokens = data.tokens[data.captions[row], wording[at]]
        loss = denoising_loss(networks, data.latents[row], tokens, abar, t[at].to(device), noise[at].to(device))
        total += loss.item() * len(at)
    return total / count


def train_denoiser(model: LatentDiffusion, train: Captioned, val: Captioned, p: Params, seed: int, scratch: Path, history: History) -> None:
    """Train the UNet and the text encoder of `model` in place; it ends with the averaged weights of the lowest validation loss.

    `history` receives each epoch's loss, and the validation loss of the averages every `validate_every` epochs.
    """
    result = nn.ModuleDict({"unet": model.unet, "text_encoder": model.text_encoder})
    networks = copy.deepcopy(result).train().requires_grad_(True)
    abar = model.scheduler.alphas_cumprod.to(model.device)
    average = MovingAverage(networks, p.ema_decay).to(model.device)
    stopping = EarlyStopping(result, p.patience)
    optimizer = torch.optim.AdamW(networks.parameters(), p.learning_rate, weight_decay=p.weight_decay, fused=True)
    stateful = {"networks": networks, "average": average, "optimizer": optimizer, "stopping": stopping, "history": history}
    empty = model.tokens([""])[0]
    for epoch in epochs(p.epochs, seed, NAME, scratch / "denoiser.pt", stateful):
        loss = train_epoch(networks, average, train, empty, abar, optimizer, epoch, p, generator(seed, NAME, epoch))
        row = {"model": "unet", "epoch": epoch + 1, "loss": loss}
        if (epoch + 1) % p.validate_every == 0 or epoch + 1 == p.epochs:
            average.copy_to(result)
            row["val_loss"] = validation_loss(result, val, abar, p.batch_size, generator(seed, NAME, "validation"))
            stopping.judge(row["val_loss"], result)
        history.add(**row)
        if stopping.over:
            break
    result.load_state_dict(stopping.weights)
