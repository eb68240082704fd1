"""Training of the VQGAN tokenizer, before MAGE.

The loss is reconstruction (L1 + L2), codebook and commitment. The perceptual and adversarial losses of the published
tokenizer sharpen textures of large photographs and need networks trained elsewhere; small images do without.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.rows import StoredRows
from penumbra.models.vqgan import VQGAN
from penumbra.noise import generator
from penumbra.pretrain.images import Images
from penumbra.stage import Params
from penumbra.training import History, descend, epochs, summed, warmup_cosine


def lifted(images: Tensor) -> Tensor:
    """Images [B, 3, S, S] in [0, 1], black ones by one level of grey.

    Convolutions without bias make zeros of black, which have no variance. Then one group norm after another multiplies the gradient by
    a thousand, until it is infinite.
    """
    black = ~images.flatten(1).any(1)
    return torch.where(black[:, None, None, None], 1 / 255, images) if black.any() else images


def losses(vqgan: VQGAN, images: Tensor, commitment: float) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of images [B, 3, S, S] in [0, 1], their latents [B, C, h, w] and ids [B, h, w].

    Gradients pass the quantisation straight through (van den Oord et al. 2017, eq. 3).
    """
    images = lifted(images)
    latents = vqgan.encoder(images)
    ids = vqgan.nearest(latents)
    codes = vqgan.lookup(ids)
    output = vqgan.decoder(latents + (codes - latents).detach())
    reconstruction = F.l1_loss(output, images) + F.mse_loss(output, images)
    quantisation = F.mse_loss(codes, latents.detach()) + commitment * F.mse_loss(latents, codes.detach())
    return reconstruction + quantisation, latents.detach(), ids


@torch.no_grad()
def revive(vqgan: VQGAN, used: Tensor, latents: Tensor, draws: torch.Generator) -> None:
    """Move the codes that `used` [codes] does not count onto random latents [B, C, h, w]."""
    vectors = latents.permute(0, 2, 3, 1).flatten(0, 2)
    dead = (used == 0).nonzero()[:, 0]
    vqgan.codebook[dead] = vectors[torch.randint(len(vectors), (len(dead),), generator=draws)]


def train_epoch(
    vqgan: VQGAN, images: Images | StoredRows, optimizer: torch.optim.Optimizer, epoch: int, p: Params, draws: torch.Generator
) -> dict:
    """One pass over uint8 images [N, 3, S, S]; returns loss and share of the codes in use."""
    batches = torch.randperm(len(images), generator=draws).split(p.batch_size)
    used, latents = torch.zeros(p.codes, dtype=torch.long), torch.zeros(0)

    def loss(batch: Tensor) -> Tensor:
        nonlocal latents
        total, latents, ids = losses(vqgan, images[batch].float() / 255, p.vqgan_commitment)
        used.add_(torch.bincount(ids.flatten().cpu(), minlength=p.codes))
        return total

    def rate(step: int) -> float:
        return p.vqgan_learning_rate * warmup_cosine(epoch + step / len(batches), p.vqgan_epochs, 0)

    mean = summed(each / len(batches) for each in descend(batches, loss, optimizer, rate=rate))
    if epoch < p.vqgan_epochs / 2:  # later the code book must settle
        revive(vqgan, used, latents, draws)
    return {"vqgan_loss": mean, "codes_used": (used > 0).float().mean().item()}


@torch.no_grad()
def reconstruction_error(vqgan: VQGAN, images: Images | StoredRows) -> float:
    """Mean absolute error (pixels in [0, 1]) of decoded tokens of uint8 images [N, 3, S, S]."""
    errors = [F.l1_loss(vqgan.decode(vqgan.tokenize(x)), x).item() * len(x) for x in (batch.float() / 255 for batch in images.split(256))]
    return sum(errors) / len(images)


def train_tokenizer(
    vqgan: VQGAN, images: Images | StoredRows, val: Images | StoredRows, p: Params, seed: int, scratch: Path, history: History
) -> None:
    """Train in place; `history` receives an epoch's loss, use of the codes and reconstruction error on `val`."""
    name = "pretrain/mage/vqgan"
    vqgan.requires_grad_(True)
    optimizer = torch.optim.Adam(vqgan.parameters(), p.vqgan_learning_rate, betas=(0.5, 0.9), fused=True)
    stateful = {"vqgan": vqgan, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.vqgan_epochs, seed, name, scratch / "vqgan.pt", stateful):
        row = train_epoch(vqgan, images, optimizer, epoch, p, generator(seed, name, epoch))
        history.add(model="vqgan", epoch=epoch + 1, **row, val_error=reconstruction_error(vqgan, val))
    vqgan.requires_grad_(False)
