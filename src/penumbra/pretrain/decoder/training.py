"""Training of a decoder: the noise in latents of images, predicted by what the encoder sees in them (Li et al. 2024, RCG)."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor, nn

from penumbra.artifacts.images import ImageWriter, read_table
from penumbra.artifacts.rows import StoredRows
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import noise_error
from penumbra.models.decoder import Decoder
from penumbra.models.latent import DDIMScheduler, LatentDiffusion
from penumbra.models.moco import MoCoEncoder
from penumbra.models.rdm import MovingAverage
from penumbra.noise import SampleNoise, generator
from penumbra.pretrain.images import read_images
from penumbra.pretrain.latents import store_latents
from penumbra.pretrain.output import write_model
from penumbra.pretrain.pictures import png
from penumbra.pretrain.prediction import train_pass, validation_pass
from penumbra.pretrain.rdm import represent
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, epochs

SHOWN = 8  # validation images among the samples

Build = Callable[[Params, tuple[int, int, int], int], nn.Module]  # parameters, [C, h, w] of latents, D -> a fresh network


@dataclass(frozen=True)
class Pictures:
    """Latents of images, scaled [N, C, h, w], and what the encoder sees in them, standardised [N, D]."""

    latents: StoredRows
    representations: Tensor

    def __len__(self) -> int:
        return len(self.latents)


def decoding_loss(decoder: Decoder, pictures: Pictures, rows: Tensor, t: Tensor, noise: Tensor, dropped: Tensor) -> Tensor:
    """`noise_error` of a prediction from noisy latents and the representation of the same image.

    Args:
        rows: of the pictures [B].
        t: steps [B] of the training schedule.
        noise: standard normal like the latents.
        dropped: [B], true where nothing is said of the image.
    """
    device = decoder.device
    given = torch.where(dropped[:, None].to(device), decoder.nothing, pictures.representations[rows.to(device)])
    abar = decoder.scheduler.alphas_cumprod[t].to(device)
    return noise_error(lambda z_t: decoder.eps(z_t, t.to(device), given), pictures.latents[rows], abar, noise.to(device))


def train_epoch(
    decoder: Decoder,
    average: MovingAverage,
    pictures: Pictures,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    p: Params,
    draws: torch.Generator,
) -> float:
    """One pass, t uniform, a share `drop_representation` without representation; returns the mean loss."""

    def loss(rows: Tensor, t: Tensor) -> Tensor:
        noise = torch.randn(len(rows), *pictures.latents.shape[1:], generator=draws)
        return decoding_loss(decoder, pictures, rows, t, noise, torch.rand(len(rows), generator=draws) < p.drop_representation)

    levels = len(decoder.scheduler.alphas_cumprod)
    return train_pass(loss, len(pictures), levels, optimizer, lambda: average.update(decoder.network), epoch, p, draws)


@torch.no_grad()
def validation_loss(decoder: Decoder, pictures: Pictures, batch_size: int, draws: torch.Generator) -> float:
    """Loss of `validation_pass`, each image with its representation."""

    def loss(rows: Tensor, t: Tensor) -> Tensor:
        noise = torch.randn(len(rows), *pictures.latents.shape[1:], generator=draws)
        return decoding_loss(decoder, pictures, rows, t, noise, torch.zeros(len(rows), dtype=torch.bool))

    return validation_pass(loss, len(pictures), len(decoder.scheduler.alphas_cumprod), batch_size, draws)


def train_decoder(decoder: Decoder, train: Pictures, val: Pictures, p: Params, seed: int, name: str, scratch: Path) -> History:
    """Train the network of `decoder` in place; it ends with the averaged weights.

    Returns:
        Each epoch's loss, and the validation loss of the averages every `validate_every` epochs.
    """
    history, learner = History(), type(decoder)(decoder.vae, copy.deepcopy(decoder.network), decoder.scheduler)
    learner.network.train().requires_grad_(True)
    average = MovingAverage(learner.network, p.ema_decay).to(decoder.device)
    optimizer = torch.optim.AdamW(learner.network.parameters(), p.learning_rate, weight_decay=p.weight_decay, fused=True)
    stateful = {"network": learner.network, "average": average, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, name, scratch / "network.pt", stateful):
        row = {"epoch": epoch + 1, "loss": train_epoch(learner, average, train, optimizer, epoch, p, generator(seed, name, epoch))}
        if (epoch + 1) % p.validate_every == 0 or epoch + 1 == p.epochs:
            average.copy_to(decoder.network)
            row["val_loss"] = validation_loss(decoder, val, p.batch_size, generator(seed, name, "validation"))
        history.add(**row)
    return history


def train(stage: Stage, kind: type[Decoder], build: Build, encoder: MoCoEncoder, device: torch.device) -> tuple[Decoder, History]:
    """Train on the ID train images and the world; validation looks at ID alone, and does not reach the weights.

    Images are encoded at the size that they have, whatever size the pipeline draws; so large are the decoder's pictures, too.
    """
    p, seed = stage.params.pretrain[stage.item], stage.params.common.seed
    start = LatentDiffusion.load(stage.read("models/diffusion")).to(device)
    data = []
    for place, names in (("train", ["images/train", "images/world"]), ("val", ["images/val"])):
        latents = store_latents(stage.scratch / f"{place}.npy", start, read_images(stage, device, *names))
        data.append(Pictures(latents, represent(stage, names, encoder, device)))
    torch.manual_seed(seed)
    network = build(p, data[0].latents.shape[1:], encoder.config["projection"])
    decoder = kind(start.vae, network, DDIMScheduler.from_config(start.scheduler.config, prediction_type="epsilon"), start.name).to(device)
    return decoder, train_decoder(decoder, *data, p, seed, f"pretrain/{stage.item}", stage.scratch)


def write_samples(directory: Path, decoder: Decoder, encoder: MoCoEncoder, stage: Stage) -> None:
    """Write some validation images (`kind` original), what the decoder makes of their representations, and what of none (drawn)."""
    p, device = stage.params.pretrain[stage.item], decoder.device
    ids = read_table(stage.read("images/val"), ["sample_id"])["sample_id"].to_pylist()
    rows = torch.arange(len(ids))[:: max(len(ids) // SHOWN, 1)][:SHOWN]
    originals = read_images(stage, device, "images/val")[rows].float() / 255
    noise = SampleNoise(stage.params.common.seed, f"pretrain/{stage.item}/samples", [ids[row] for row in rows]).normal(
        *decoder.latent_shape
    )
    with ImageWriter(directory / "samples.parquet", dict.fromkeys(("kind", "source_id"), pa.string()), stage.provenance) as writer:

        def add(kind: str, images: Tensor, sources: Sequence[str]) -> None:
            for image, source in zip(images, sources, strict=True):
                writer.add(png(image), kind=kind, source_id=source)

        def paint(representation: Tensor) -> Tensor:
            return decoder.decode(decoder.latents(representation, noise, p.sample_steps, p.sample_guidance)).clamp(0, 1)

        add("original", originals, [ids[row] for row in rows])
        add("decoded", paint(encoder.represent(originals)), [ids[row] for row in rows])
        add("drawn", paint(decoder.nothing.expand(len(rows), -1)), [""] * len(rows))


def run(stage: Stage, kind: type[Decoder], build: Build) -> None:
    """Write data/models/KIND: the decoder, penumbra.json (provenance), samples.parquet, history.csv (none for an imported one).

    Raises:
        PenumbraError: an imported one is conditioned on representations of another dimension than the encoder's.
    """
    device, p = setup(), stage.params.pretrain[stage.item]
    encoder, history = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device), None
    if p.pipeline:
        decoder = kind.load(p.pipeline)
        if decoder.dimension != encoder.config["projection"]:
            raise PenumbraError(
                f"{p.pipeline}: is conditioned on {decoder.dimension} values, and representations of pretrain.encoder have "
                f"{encoder.config['projection']}. Name the decoder that was trained with this encoder."
            )
    else:
        decoder, history = train(stage, kind, build, encoder, device)
    write_model(stage, decoder, history, lambda folder: write_samples(folder, kind.load(folder, device), encoder, stage))
