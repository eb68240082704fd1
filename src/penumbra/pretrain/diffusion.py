"""pretrain@diffusion: a small text-to-image latent diffusion pipeline in diffusers' layout; or the import of a published one."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch

from penumbra.artifacts.captions import concepts, read_captions
from penumbra.artifacts.images import ImageWriter, read_table
from penumbra.artifacts.rows import StoredRows
from penumbra.models.latent import DDIMScheduler, LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.pretrain.autoencoder import train_autoencoder
from penumbra.pretrain.captions import build_tokenizer
from penumbra.pretrain.denoiser import Captioned, build_text_encoder, build_unet, train_denoiser
from penumbra.pretrain.images import read_images
from penumbra.pretrain.latents import store_latents
from penumbra.pretrain.maker import made_by
from penumbra.pretrain.output import write_model
from penumbra.pretrain.pictures import draw, png
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage
from penumbra.training import History

SAMPLES = 4  # of each ID caption, and twice as many unconditional ones
WORLD_SAMPLES = 16
SAMPLE_BATCH = 32
NAME = "pretrain/diffusion/samples"


def build_scheduler(p: Params) -> DDIMScheduler:
    """The schedule of Stable Diffusion with the ends in the parameters."""
    return DDIMScheduler(
        num_train_timesteps=p.timesteps,
        beta_start=p.beta_start,
        beta_end=p.beta_end,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )


def captioned(model: LatentDiffusion, latents: StoredRows, captions: Sequence[str], templates: Sequence[str]) -> Captioned:
    """Latents of images with the tokens of their captions in every template."""
    rows = {caption: index for index, caption in enumerate(dict.fromkeys(captions))}
    tokens = torch.stack([model.tokens([template.format(caption) for template in templates]) for caption in rows])
    return Captioned(latents, torch.tensor([rows[caption] for caption in captions]), tokens)


def train(stage: Stage, device: torch.device) -> tuple[LatentDiffusion, History]:
    """Train on the ID train images and the world; validation looks at ID alone, and does not reach the weights."""
    p, seed, history = stage.params.pretrain.diffusion, stage.params.common.seed, History()
    train_file, val_file, world_file = (stage.read(f"images/{name}") for name in ("train", "val", "world"))
    images, val = read_images(stage, device, "images/train", "images/world"), read_images(stage, device, "images/val")
    captions = read_captions(train_file) + read_captions(world_file)
    vae = train_autoencoder(images, val, p, seed, stage.scratch, history)
    torch.manual_seed(seed)
    tokenizer = build_tokenizer((template.format(caption) for caption in captions for template in p.templates), p.text_length)
    latent_size = images.shape[-1] // 2 ** (len(p.vae_channels) - 1)
    unet, text_encoder = build_unet(p, latent_size), build_text_encoder(p, tokenizer)
    model = LatentDiffusion(vae, unet, text_encoder, tokenizer, build_scheduler(p), "pretrain.diffusion").to(device)
    names = concepts(train_file)
    val_captions = [names[label] for label in read_table(val_file, ["label"])["label"].to_pylist()]
    files = [made_by(stage.scratch / name, vae) for name in ("latents.npy", "val.npy")]
    latents, val_latents = (store_latents(path, model, x) for path, x in zip(files, (images, val), strict=True))
    data = captioned(model, latents, captions, p.templates), captioned(model, val_latents, val_captions, p.templates)
    train_denoiser(model, *data, p, seed, stage.scratch, history)
    return model, history


def write_samples(directory: Path, model: LatentDiffusion, stage: Stage) -> None:
    """Samples of every ID caption, of world captions spread over the world, and unconditional ones (caption "")."""
    p, seed = stage.params.pretrain.diffusion, stage.params.common.seed
    id_captions, world = (list(dict.fromkeys(read_captions(stage.read(f"images/{name}")))) for name in ("train", "world"))
    some = sorted(world)[:: max(len(world) // WORLD_SAMPLES, 1)][:WORLD_SAMPLES]
    captions = [caption for caption in id_captions for _ in range(SAMPLES)] + some + [""] * (2 * SAMPLES)
    with ImageWriter(directory / "samples.parquet", {"caption": pa.string(), "seed": pa.int64()}, stage.provenance) as writer:
        for rows in torch.arange(len(captions)).split(inference_batch(SAMPLE_BATCH)):
            noise = SampleNoise(seed, NAME, [str(row.item()) for row in rows]).normal(*model.latent_shape)
            images = draw(model, [captions[row] for row in rows], noise, p.sample_steps, p.sample_guidance)
            for row, image in zip(rows, images, strict=True):
                writer.add(png(image), caption=captions[row], seed=seed)


def main(stage: Stage) -> None:
    """Write data/models/diffusion: the pipeline, penumbra.json (provenance), samples.parquet, history.csv (none for an imported one)."""
    device = setup()
    p, history = stage.params.pretrain.diffusion, None
    if p.pipeline:
        model = LatentDiffusion.load(p.pipeline)
    else:
        model, history = train(stage, device)
    write_model(stage, model, history, lambda directory: write_samples(directory, LatentDiffusion.load(directory, device), stage))
