"""pretrain@mage: the tokenizer, then MAGE conditioned on the encoder's representation; or the import of published files."""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.rows import StoredRows, store_rows
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.models.published import check_encoder, load_strict, mage_state, vqgan_state
from penumbra.models.vqgan import VQGAN
from penumbra.noise import generator
from penumbra.pretrain.images import Images, read_images
from penumbra.pretrain.maker import made_by
from penumbra.pretrain.output import write_model
from penumbra.pretrain.tokenizer import train_tokenizer
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, descend, epochs, summed, warmup_cosine

NAME = "pretrain/mage"


def truncated_normal(mean: float, std: float, low: float, high: float, draws: torch.Generator) -> float:
    """One draw of a normal distribution truncated to [low, high], by inversion."""
    below, above = (0.5 * (1 + math.erf((bound - mean) / (std * math.sqrt(2)))) for bound in (low, high))
    u = below + (above - below) * torch.rand((), generator=draws, dtype=torch.float64)
    return float(mean + std * math.sqrt(2) * torch.erfinv(2 * u - 1))


def corrupt(ids: Tensor, mask_id: int, p: Params, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mask tokens [B, T]: one ratio for the batch; the least ratio of tokens does not even enter the encoder.

    Returns:
        ids with `mask_id` at the masked positions, and the sorted positions [B, K] that enter the encoder.
    """
    batch, tokens = ids.shape
    masked = math.ceil(tokens * truncated_normal(p.mask_mean, p.mask_std, p.mask_min, 1.0, draws))
    order = torch.rand(batch, tokens, generator=draws).argsort(1).to(ids.device)
    ids = ids.scatter(1, order[:, :masked], mask_id)
    return ids, order[:, math.ceil(tokens * p.mask_min) :].sort(1).values


def masked_loss(mage: MAGE, ids: Tensor, z: Tensor, p: Params, smoothing: float, draws: torch.Generator) -> Tensor:
    """Mean cross-entropy at the masked positions of tokens [B, T] given representations [B, D]."""
    corrupted, kept = corrupt(ids, mage.mask_id, p, draws)
    logits = mage(corrupted, z, kept)
    unknown = corrupted == mage.mask_id
    return F.cross_entropy(logits[unknown], ids[unknown], label_smoothing=smoothing)


def train_epoch(
    mage: MAGE,
    ids: StoredRows | Tensor,
    z: StoredRows | Tensor,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    p: Params,
    draws: torch.Generator,
) -> float:
    """One pass over tokens [N, T] and representations [N, D]; returns the mean loss."""
    mage.train()
    batches = torch.randperm(len(ids), generator=draws).split(p.batch_size)

    def loss(batch: Tensor) -> Tensor:
        dropped = (torch.rand(len(batch), 1, generator=draws) < p.drop_representation).to(z.device)
        return masked_loss(mage, ids[batch], torch.where(dropped, mage.fake_latent, z[batch]), p, p.label_smoothing, draws)

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / len(batches), p.epochs, p.warmup_epochs)

    return summed(each / len(batches) for each in descend(batches, loss, optimizer, rate=rate))


def build(p: Params, representation: int) -> MAGE:
    """A fresh MAGE with its tokenizer, of the sizes in the parameters."""
    sizes = ("image_size", "patch_size", "width", "depth", "heads", "decoder_width", "decoder_depth", "decoder_heads", "dropout")
    vqgan = {"width": p.vqgan_width, "multipliers": p.vqgan_multipliers, "codes": p.codes, "code_width": p.code_width}
    return MAGE(**{key: p[key] for key in sizes}, representation=representation, vqgan=vqgan)


def _resized(folder: Path, images: Images, size: int) -> Images | StoredRows:
    """uint8 images [N, 3, S, S] at the size that MAGE paints; stored in `folder` where that is another one."""
    if images.shape[-1] == size:
        return images
    resized = (F.interpolate(batch.float(), (size, size), mode="bicubic", antialias=True) for batch in images.split(512))
    batches = (batch.round().clamp(0, 255) for batch in resized)
    return store_rows(folder / "resized.npy", len(images), batches, images.device, torch.uint8)


def _represented(folder: Path, encoder: MoCoEncoder, images: Images) -> StoredRows:
    """Representations [N, D], stored in `folder`."""
    batches = (encoder.represent(batch.float() / 255) for batch in images.split(512))
    return store_rows(folder / "representations.npy", len(images), batches, images.device)


def _tokenized(folder: Path, vqgan: VQGAN, images: Images | StoredRows) -> StoredRows:
    """Tokens [N, T], stored in `folder`."""
    batches = (vqgan.tokenize(batch.float() / 255) for batch in images.split(256))
    return store_rows(made_by(folder / "tokens.npy", vqgan), len(images), batches, images.device, torch.int64)


def train(stage: Stage, mage: MAGE, encoder: MoCoEncoder, device: torch.device) -> History:
    """Train in place on ID train images and the world; the perplexity and error on ID validation images are only reported."""
    p, seed = stage.params.pretrain.mage, stage.params.common.seed
    images, val = read_images(stage, device, "images/train", "images/world"), read_images(stage, device, "images/val")
    of_train, of_val = stage.scratch / "train", stage.scratch / "val"
    z, val_z = _represented(of_train, encoder, images), _represented(of_val, encoder, val)
    images, val = _resized(of_train, images, p.image_size), _resized(of_val, val, p.image_size)
    history = History()
    if p.vqgan_checkpoint:
        load_strict(mage.vqgan, vqgan_state(p.vqgan_checkpoint), p.vqgan_checkpoint)
    else:
        train_tokenizer(mage.vqgan, images, val, p, seed, stage.scratch, history)
    ids, val_ids = _tokenized(of_train, mage.vqgan, images), _tokenized(of_val, mage.vqgan, val)
    every = torch.arange(len(val))
    trained = [parameter for parameter in mage.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, p.learning_rate, betas=(0.9, 0.95), weight_decay=p.weight_decay, fused=True)
    stateful = {"mage": mage, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, stage.scratch / "mage.pt", stateful):
        loss = train_epoch(mage, ids, z, optimizer, epoch, p, generator(seed, NAME, epoch))
        mage.eval()
        with torch.no_grad():
            val_loss = masked_loss(mage, val_ids[every], val_z[every], p, 0.0, generator(seed, NAME, "validation"))
        history.add(model="mage", epoch=epoch + 1, loss=loss, val_perplexity=val_loss.exp().item())
    return history


def main(stage: Stage) -> None:
    """Write data/models/mage: config.json, model.safetensors (the tokenizer included), history.csv (none for an imported file)."""
    device = setup()
    p, history = stage.params.pretrain.mage, None
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device)
    torch.manual_seed(stage.params.common.seed)
    mage = build(p, encoder.config["projection"]).to(device)
    if p.checkpoint:
        load_strict(mage, mage_state(p.checkpoint), p.checkpoint)
        check_encoder(encoder, p.checkpoint)
    else:
        history = train(stage, mage, encoder, device)
    write_model(stage, mage, history)
