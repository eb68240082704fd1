"""The units of train of CLIP detectors: one for each training seed, written into the stage's scratch folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import iter_pixels, read_table
from penumbra.artifacts.negatives import TextFeatures, read_negatives
from penumbra.errors import PenumbraError
from penumbra.labels import grouped
from penumbra.models.clip import Clip
from penumbra.models.clip_detector import ClipDetector
from penumbra.noise import generator
from penumbra.runtime import inference_batch, setup
from penumbra.seeds import derive
from penumbra.stage import Stage
from penumbra.train.clip_loop import Features, Setting, train_detector
from penumbra.train.inputs import REPAINTING, check_trainable, chosen, selected
from penumbra.train.pool import draw

IMAGES, LABELS = "features/clip", "features/negatives"
BATCH = 256
Made = tuple[Tensor, Tensor]  # features [N, D] of synthetic images, and the row of images/train that each was made from [N]; -1 for none


def train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    """Write a folder {config.json, model.safetensors, history.csv} for each unit; `seeds` has the training seed of each."""
    device = setup()
    detector, p = chosen(stage)
    common_seed = stage.params.common.seed
    labels = read_negatives(stage.read(LABELS))
    train, val = _id_images(stage, labels)
    setting = Setting(stage.item, detector.recipe, p, common_seed, _to(val, device))
    clip = Clip.load(stage.read("models/clip"), device) if p.project or p.tune else None
    chosen_rows, count = selected(stage)
    outliers = _outliers(stage, clip, device) if clip else None
    round_trips = _round_trips(stage, clip, device) if clip and REPAINTING in stage.reads else None
    for unit, seed in seeds.items():
        images, candidates = train, None
        if outliers is not None:
            draws = generator(common_seed, "train/pool", seed)
            rows = draw(chosen_rows, count, draws)
            rows = rows[pool(len(rows), p.outliers, draws)]
            images, candidates = beside(train, outliers[1][rows], round_trips), outliers[0][rows].to(device)
        network, history = train_detector(
            build(labels, stage, seed).to(device), setting, seed, _to(images, device), candidates, stage.scratch / f"{unit}.pt"
        )
        with replace(stage.scratch / unit) as folder:
            network.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")


def build(labels: TextFeatures, stage: Stage, seed: int) -> ClipDetector:
    """A detector of which nothing is trained; groups of negative labels and the layer's first weights are the seed's.

    Raises:
        PenumbraError: there are fewer negative labels than groups.
    """
    p, common_seed = chosen(stage)[1], stage.params.common.seed
    order = grouped(len(labels.negatives), p.groups, generator(common_seed, "train/clip/groups", seed))
    torch.manual_seed(derive(common_seed, "train/clip", seed))
    settings = {"project": p.project, "residual": p.residual, "mcm_temperature": p.mcm_temperature}
    return ClipDetector.zero_shot(labels, order, temperature=p.temperature, **settings)


def pool(count: int, limit: int | None, draws: torch.Generator) -> Tensor:
    """Rows of the outliers that are trained on, in the order of the file: all, or the first `limit` of a shuffle.

    So a smaller amount of one seed is part of each larger one, and amounts differ by what is added.
    """
    return torch.arange(count) if limit is None else torch.randperm(count, generator=draws)[:limit].sort().values


def beside(train: Features, sources: Tensor, round_trips: Made | None) -> Features:
    """ID images that stand beside outliers: what these were made from, each image once; then the round trips of the same images.

    Outliers that were made from no image ask for all ID images.

    Args:
        train: all ID images.
        sources: row of `train` that each outlier was made from [N]; -1 for none.
        round_trips: what the autoencoder keeps of ID images; None: none.
    """
    rows = torch.unique(sources[sources >= 0])
    rows = rows if len(rows) else torch.arange(len(train))
    parts = [Features(train.values[rows], train.labels[rows])]
    if round_trips is not None:
        values, made_from = round_trips
        own = torch.isin(made_from, rows)
        parts.append(Features(values[own], train.labels[made_from[own]]))
    return Features(torch.cat([part.values for part in parts]), torch.cat([part.labels for part in parts]))


def _to(images: Features, device: torch.device) -> Features:
    return Features(images.values.to(device), images.labels.to(device))


def _id_images(stage: Stage, labels: TextFeatures) -> tuple[Features, Features]:
    """ID images to train on and to watch.

    Raises:
        PenumbraError: features, images and labels do not belong together.
    """
    tensors, _ = read_features(stage.read(IMAGES))
    label = torch.tensor(read_table(stage.read("images/val"), ["label"])["label"].to_pylist())
    train, val = Features(tensors["train"], tensors["train_label"].long()), Features(tensors["val"], label)
    if len(val.values) != len(label):
        raise PenumbraError(f"{stage.read(IMAGES)}: holds {len(val.values)} rows for {len(label)} images of images/val. Run `dvc repro`.")
    if train.values.shape[1] != labels.id.shape[1] or int(train.labels.max()) >= len(labels.id):
        raise PenumbraError(f"{stage.read(LABELS)}: is not of the model and the classes of {stage.read(IMAGES)}. Run `dvc repro`.")
    return train, val


def _outliers(stage: Stage, clip: Clip, device: torch.device) -> Made:
    """Features of all candidates, and what they were made from.

    Raises:
        PenumbraError: some were made from test images.
    """
    check_trainable(stage)
    path = stage.read(f"outliers/{chosen(stage)[0].method}")
    return _features(path, clip, device), _sources(stage, path)


def _round_trips(stage: Stage, clip: Clip, device: torch.device) -> Made:
    """Features of what the autoencoder keeps of training images, and which these are.

    Raises:
        PenumbraError: there is none.
    """
    path = stage.read(REPAINTING)
    rows = torch.tensor([split == "train" for split in read_table(path, ["split"])["split"].to_pylist()])
    if not rows.any():
        raise PenumbraError(f"{path}: holds no round trip of a training image. Put train into synthesize.control.repainting.splits.")
    return _features(path, clip, device)[rows], _sources(stage, path, rows.tolist())


def _features(path: Path, clip: Clip, device: torch.device) -> Tensor:
    """Raw features [N, D], on the CPU, of the images of a file."""
    images = (torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255 for pixels in iter_pixels(path, inference_batch(BATCH)))
    return torch.cat([clip.embed_images(batch).cpu() for batch in images])


def _sources(stage: Stage, path: Path, wanted: Sequence[bool] | None = None) -> Tensor:
    """Row of images/train that each image was made from [N]; -1 for none.

    Raises:
        PenumbraError: a training image that does not exist is named.
    """
    ids = read_table(path, ["source_id"])["source_id"].to_pylist()
    ids = ids if wanted is None else [source_id for source_id, want in zip(ids, wanted, strict=True) if want]
    row_of = {
        sample_id: row for row, sample_id in enumerate(read_table(stage.read("images/train"), ["sample_id"])["sample_id"].to_pylist())
    }
    if unknown := [source_id for source_id in ids if source_id and source_id not in row_of]:
        raise PenumbraError(f"{path}: source_id {unknown[0]} is no image of images/train. Run `dvc repro` to make it again.")
    return torch.tensor([row_of[source_id] if source_id else -1 for source_id in ids])
