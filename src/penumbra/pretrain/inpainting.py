"""pretrain@inpainting: the pipeline of pretrain@diffusion taught to paint what a mask covers; or the import of a published one."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.captions import concepts, read_captions
from penumbra.artifacts.images import ImageWriter, read_table
from penumbra.errors import PenumbraError
from penumbra.models.inpainting import GREY, InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.pretrain.images import Images, read_images
from penumbra.pretrain.latents import store_latents
from penumbra.pretrain.output import write_model
from penumbra.pretrain.painter import Pictures, train_painter, untrained
from penumbra.pretrain.pictures import draw, png
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.training import History

NAME = "pretrain/inpainting/samples"
DRAWN = 2  # samples of each ID caption with everything masked
SAMPLE_BATCH = 32


def gather(model: InpaintingDiffusion, images: Images, captions: Sequence[str], templates: Sequence[str], path: Path) -> Pictures:
    """Latents of images, stored at `path`, and the conditions of their captions in every template."""
    rows = {caption: index for index, caption in enumerate(dict.fromkeys(captions))}
    conditions = torch.stack([model.embed([template.format(caption) for template in templates]) for caption in rows])
    return Pictures(images, store_latents(path, model, images), torch.tensor([rows[caption] for caption in captions]), conditions)


def train(stage: Stage, device: torch.device) -> tuple[InpaintingDiffusion, History]:
    """Train on the ID train images and the world; validation looks at ID alone, and does not reach the weights.

    Raises:
        PenumbraError: the images are not of the size that the text-to-image pipeline draws.
    """
    p, seed, history = stage.params.pretrain.inpainting, stage.params.common.seed, History()
    files = {name: stage.read(f"images/{name}") for name in ("train", "val", "world")}
    images, val = read_images(stage, device, "images/train", "images/world"), read_images(stage, device, "images/val")
    start = LatentDiffusion.load(stage.read("models/diffusion")).to(device)
    if images.shape[2:] != start.image_size:
        height, width = start.image_size
        raise PenumbraError(
            f"{start.name}: draws images of {height} x {width} pixels, and those of common.image_size have {images.shape[-1]}. "
            "Name an in-painting pipeline in pretrain.inpainting.sd.pipeline; a pipeline of another size is not trained here."
        )
    model = untrained(start)
    captions, names = read_captions(files["train"]) + read_captions(files["world"]), concepts(files["train"])
    val_captions = [names[label] for label in read_table(files["val"], ["label"])["label"].to_pylist()]
    data = gather(model, images, captions, p.templates, stage.scratch / "latents.npy")
    val_data = gather(model, val, val_captions, p.templates, stage.scratch / "val.npy")
    train_painter(model, data, val_data, p, seed, stage.scratch, history)
    return model, history


def middle(size: tuple[int, int]) -> Tensor:
    """The mask [1, 1, H, W] of a box in the middle, half as high and wide as the image."""
    mask = torch.zeros(1, 1, *size)
    mask[:, :, size[0] // 4 : size[0] - size[0] // 4, size[1] // 4 : size[1] - size[1] // 4] = 1
    return mask


def examples(stage: Stage, size: tuple[int, int]) -> tuple[Tensor, list[str], list[str]]:
    """The first validation image of each ID class [K, 3, H, W] in [0, 1], their sample ids and captions."""
    file, names = stage.read("images/val"), concepts(stage.read("images/train"))
    rows = read_table(file, ["sample_id", "label"]).to_pydict()
    first = {label: row for row, label in reversed([*enumerate(rows["label"])])}
    chosen = [first[label] for label in sorted(first)]
    images = read_images(stage, torch.device("cpu"), "images/val")[torch.tensor(chosen)].float() / 255
    if images.shape[2:] != size:
        images = F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
    return images, [rows["sample_id"][row] for row in chosen], [names[label] for label in sorted(first)]


def write_samples(directory: Path, model: InpaintingDiffusion, stage: Stage) -> None:
    """Write what the model paints into the middle of validation images, and what it draws where everything is masked.

    Column `kind`: original, masked and repainted are of the validation image `source_id`; those that are drawn have none.
    """
    p, seed = stage.params.pretrain.inpainting, stage.params.common.seed
    originals, ids, captions = examples(stage, model.image_size)
    drawn = [(caption, str(number)) for caption in captions for number in range(DRAWN)]
    with ImageWriter(
        directory / "samples.parquet", dict.fromkeys(("caption", "kind", "source_id"), pa.string()), stage.provenance
    ) as writer:

        def add(images: Tensor, kind: str, captions: Sequence[str], sources: Sequence[str]) -> None:
            for image, caption, source in zip(images, captions, sources, strict=True):
                writer.add(png(image), caption=caption, kind=kind, source_id=source)

        def paint(captions: Sequence[str], streams: Sequence[str], *shown: Tensor) -> Tensor:
            noise = SampleNoise(seed, NAME, streams).normal(*model.latent_shape)
            return draw(model, captions, noise, p.sample_steps, p.sample_guidance, *shown)

        size = inference_batch(SAMPLE_BATCH)
        for part in (slice(start, start + size) for start in range(0, len(ids), size)):
            images, mask = originals[part].to(model.device), middle(model.image_size).to(model.device)
            mask = mask.expand(len(images), -1, -1, -1)
            add(images, "original", captions[part], ids[part])
            add(torch.where(mask > 0, GREY, images), "masked", captions[part], ids[part])
            add(paint(captions[part], ids[part], *model.cover(images, mask)), "repainted", captions[part], ids[part])
        for start in range(0, len(drawn), size):
            of, numbers = zip(*drawn[start : start + size], strict=True)
            add(paint(of, [f"{caption}/{number}" for caption, number in drawn[start : start + size]]), "drawn", of, [""] * len(of))


def main(stage: Stage) -> None:
    """Write data/models/inpainting: the pipeline, penumbra.json (provenance), samples.parquet, history.csv (none for an imported one)."""
    device = setup()
    p, history = stage.params.pretrain.inpainting, None
    if p.pipeline:
        model = InpaintingDiffusion.load(p.pipeline)
    else:
        model, history = train(stage, device)
    write_model(stage, model, history, lambda directory: write_samples(directory, InpaintingDiffusion.load(directory, device), stage))
