"""Draws the candidates of Fake-it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import iter_pixels, read_table
from penumbra.artifacts.rows import StoredRows, store_rows
from penumbra.guidance.diffusion import noise_error
from penumbra.models.latent import LatentDiffusion, UNet2DConditionModel
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.seeds import derive
from penumbra.stage import Params, Stage
from penumbra.synthesize.latents import Eps, drawn, encoded, images_of, resized
from penumbra.synthesize.prompted import BLOCK, Prompted
from penumbra.training import descend, epochs

NAME = "synthesize/fakeit"


def untrained(model: LatentDiffusion, seed: int) -> LatentDiffusion:
    """The pipeline with a fresh UNet of the same kind, float32, in place of its own."""
    torch.manual_seed(derive(seed, NAME))
    unet = UNet2DConditionModel.from_config(model.unet.config).to(model.device)
    return LatentDiffusion(model.vae, unet, model.text_encoder, model.tokenizer, model.scheduler, model.name)


def denoising_loss(model: LatentDiffusion, z0: Tensor, condition: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """`noise_error` of latents z0 [B, C, h, w] at steps t [B] of the training schedule, under text conditions [B, L, D]."""
    return noise_error(lambda z_t: model.eps(z_t, t, condition), z0, model.scheduler.alphas_cumprod.to(z0.device)[t], noise)


def train(
    model: LatentDiffusion, latents: StoredRows | Tensor, labels: Tensor, conditions: Tensor, p: Params, seed: int, scratch: Path
) -> None:
    """Train the UNet of `model` in place; what lies finished in the scratch folder is not trained again.

    Args:
        latents: of ID training images, scaled [N, C, h, w].
        labels: [N].
        conditions: of the prompt of each class [C, L, D].
    """
    finished = scratch / "unet.safetensors"
    if not finished.exists():
        unet = model.unet.train().requires_grad_(True)
        optimizer = torch.optim.AdamW(unet.parameters(), p.learning_rate, weight_decay=p.weight_decay, fused=True)
        for epoch in epochs(p.epochs, seed, NAME, scratch / "unet.pt", {"unet": unet, "optimizer": optimizer}):
            draws = generator(seed, NAME, epoch)

            def loss(rows: Tensor, draws: torch.Generator = draws) -> Tensor:
                t = torch.randint(len(model.scheduler.alphas_cumprod), (len(rows),), generator=draws)
                noise = torch.randn(len(rows), *latents.shape[1:], generator=draws)
                rows = rows.to(latents.device)
                return denoising_loss(model, latents[rows], conditions[labels[rows]], t.to(latents.device), noise.to(latents.device))

            descend(torch.randperm(len(latents), generator=draws).split(p.batch_size), loss, optimizer)
        with replace(finished) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in unet.state_dict().items()}, temporary)
    model.unet.load_state_dict(load_file(finished))
    model.eval().requires_grad_(False)


def open_blocks(stage: Stage) -> Callable[[Sequence[Prompted]], Iterator[dict]]:
    """Load the pipeline and train a UNet of its kind; returns what makes the rows of a block."""
    p, seed, file = stage.params.synthesize[stage.item], stage.params.common.seed, stage.read("images/train")
    model = untrained(LatentDiffusion.load(stage.read("models/diffusion"), setup()), seed)
    conditions = model.embed([p.prompt.format(name) for name in concepts(file)]).float()
    labels = torch.tensor(read_table(file, ["label"])["label"].to_pylist(), device=model.device)
    images = (resized(images_of(pixels, torch.device("cpu")), model.image_size) for pixels in iter_pixels(file, BLOCK))
    batches = (encoded(model, part.to(model.device), None) for part in images)
    latents = store_rows(stage.scratch / "latents.npy", len(labels), batches, model.device)
    train(model, latents, labels, conditions, p, seed, stage.scratch)

    def eps(part: Sequence[Prompted]) -> Eps:
        condition = conditions[[each.label for each in part]]
        return lambda z, t: model.eps(z, t, condition)

    return lambda block: drawn(model, block, stage, NAME, eps)
