"""The representation diffusion model: predicts the clean representation of noisy ones (Li et al. 2024, RCG)."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.images import iter_pixels
from penumbra.guidance.diffusion import q_sample
from penumbra.models.moco import MoCoEncoder
from penumbra.models.published import check_encoder
from penumbra.models.rdm import RDM, MovingAverage, load_published
from penumbra.noise import generator
from penumbra.pretrain.output import write_model
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, descend, epochs, summed

NAME = "pretrain/rdm"
ENCODE_BATCH = 256
SIZES = ("width", "depth", "time_width", "timesteps", "beta_start", "beta_end")


def build(p: Params, dimension: int) -> RDM:
    """A fresh unconditional RDM of the sizes in the parameters, for representations of that dimension."""
    return RDM(dimension=dimension, **{key: p[key] for key in SIZES})


def denoising_loss(rdm: RDM, z0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the clean z0 [B, D] predicted from its noisy version at steps t [B] (Ho et al. 2020, x0 form)."""
    return F.mse_loss(rdm(q_sample(z0, rdm.alphas_cumprod[t, None], noise), t), z0)


def train_epoch(
    rdm: RDM, average: MovingAverage, z0: Tensor, optimizer: torch.optim.Optimizer, batch_size: int, draws: torch.Generator
) -> float:
    """One pass over representations [N, D], t uniform; returns the mean loss."""
    rdm.train()
    batches = torch.randperm(len(z0), generator=draws).split(batch_size)

    def loss(rows: Tensor) -> Tensor:
        t = torch.randint(len(rdm.betas), (len(rows),), generator=draws).to(z0.device)
        noise = torch.randn(len(rows), z0.shape[1], generator=draws).to(z0)
        return denoising_loss(rdm, z0[rows.to(z0.device)], t, noise)

    losses = descend(batches, loss, optimizer, after=lambda: average.update(rdm.model))
    return summed(each * len(rows) for each, rows in zip(losses, batches, strict=True)) / len(z0)


@torch.no_grad()
def validation_loss(rdm: RDM, z0: Tensor, draws: torch.Generator) -> float:
    """Loss on representations [N, D] at steps spread evenly over the schedule; equal draws make epochs comparable."""
    t = (torch.arange(len(z0)) * len(rdm.betas) // len(z0))[torch.randperm(len(z0), generator=draws)].to(z0.device)
    noise = torch.randn(z0.shape, generator=draws).to(z0)
    return denoising_loss(rdm, z0, t, noise).item()


def represent(stage: Stage, names: list[str], encoder: MoCoEncoder, device: torch.device) -> Tensor:
    """Standardised representations [N, D] of the images of some files."""
    rows = [
        encoder.represent(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device).float() / 255)
        for name in names
        for pixels in iter_pixels(stage.read(name), ENCODE_BATCH)
    ]
    return torch.cat(rows)


def train(stage: Stage, encoder: MoCoEncoder, device: torch.device) -> tuple[RDM, History]:
    """Train on the ID train images and the world; the averaged weights are the result, validation looks at ID alone."""
    p, seed = stage.params.pretrain.rdm, stage.params.common.seed
    torch.manual_seed(seed)
    z0 = represent(stage, ["images/train", "images/world"], encoder.to(device), device)
    val = represent(stage, ["images/val"], encoder, device)
    rdm, history = build(p, z0.shape[1]).to(device), History()
    average = MovingAverage(rdm.model, p.ema_decay).to(device)
    result = copy.deepcopy(rdm).eval()
    optimizer = torch.optim.AdamW(rdm.parameters(), p.learning_rate, weight_decay=p.weight_decay, fused=True)
    stateful = {"rdm": rdm, "average": average, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, stage.scratch / "training.pt", stateful):
        loss = train_epoch(rdm, average, z0, optimizer, p.batch_size, generator(seed, NAME, epoch))
        average.copy_to(result.model)
        history.add(epoch=epoch + 1, loss=loss, val_loss=validation_loss(result, val, generator(seed, NAME, "validation")))
    return result, history


def main(stage: Stage) -> None:
    """Write data/models/rdm: config.json, model.safetensors (averaged weights), history.csv (none for an imported file)."""
    device = setup()
    p = stage.params.pretrain.rdm
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder"))
    if p.checkpoint:
        rdm, history = build(p, encoder.config["projection"]), None
        load_published(rdm, p.checkpoint)
        check_encoder(encoder, p.checkpoint)
    else:
        rdm, history = train(stage, encoder, device)
    write_model(stage, rdm, history)
