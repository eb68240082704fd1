"""The units of train of CLIP detectors: one for each training seed, written into the stage's scratch folder."""

from collections.abc import Mapping

import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.artifacts.negatives import TextFeatures, read_negatives
from penumbra.errors import PenumbraError
from penumbra.models.clip_detector import ClipDetector
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.scores import grouped
from penumbra.seeds import derive
from penumbra.stage import Stage
from penumbra.train.clip_inputs import CONTROL, IMAGES, LABELS, outliers_name
from penumbra.train.clip_loop import Features, Setting, train_detector

Made = tuple[Tensor, Tensor]  # features [N, D] of synthetic images, and the row of images/train that each was made from [N]; -1 for none


def train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    """Write a folder {config.json, model.safetensors, history.csv} for each unit; `seeds` has the training seed of each."""
    device = setup()
    chosen = stage.params.train.detectors[stage.item]
    p, common_seed = stage.params.train.recipes[chosen.recipe], stage.params.common.seed
    labels = read_negatives(stage.read(LABELS))
    train, val = _id_images(stage, labels)
    setting = Setting(stage.item, chosen.recipe, p, common_seed, _to(val, device))
    outliers = _outliers(stage, len(train)) if p.project or p.tune else None
    round_trips = _round_trips(stage, len(train)) if outliers is not None and p.control else None
    for unit, seed in seeds.items():
        images, candidates = train, None
        if outliers is not None:
            rows = pool(len(outliers[0]), p.outliers, generator(common_seed, "train/pool", seed))
            images, candidates = beside(train, outliers[1][rows], round_trips), outliers[0][rows].to(device)
        detector = build(labels, stage, seed).to(device)
        detector, history = train_detector(detector, setting, seed, _to(images, device), candidates, stage.scratch / f"{unit}.pt")
        with replace(stage.scratch / unit) as folder:
            detector.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")


def build(labels: TextFeatures, stage: Stage, seed: int) -> ClipDetector:
    """A detector of which nothing is trained; groups of negative labels and the layer's first weights are the seed's.

    Raises:
        PenumbraError: there are fewer negative labels than groups.
    """
    p, common_seed = stage.params.train.recipes[stage.params.train.detectors[stage.item].recipe], stage.params.common.seed
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


def _outliers(stage: Stage, train: int) -> Made:
    """Features of the outliers, and what they were made from.

    Raises:
        PenumbraError: there is none; some were made from test images.
    """
    path = stage.read(outliers_name(stage))
    tensors, _ = read_features(path)
    if not len(tensors["features"]):
        raise PenumbraError(f"{path}: holds no outlier. See synthesize.{path.stem.removeprefix('clip-')}.")
    if tensors["test"].any():
        method = path.stem.removeprefix("clip-")
        raise PenumbraError(
            f"{path}: holds edited test images, on which no detector may train. Take test out of synthesize.{method}.splits."
        )
    return tensors["features"], _sources(path, tensors["source"], train)


def _round_trips(stage: Stage, train: int) -> Made:
    """Features of what the autoencoder keeps of training images, and which these are.

    Raises:
        PenumbraError: there is none.
    """
    path = stage.read(CONTROL)
    tensors, _ = read_features(path)
    rows = tensors["test"] == 0
    if not rows.any():
        raise PenumbraError(f"{path}: holds no round trip of a training image. Put train into synthesize.control.splits.")
    return tensors["features"][rows], _sources(path, tensors["source"][rows], train)


def _sources(path: object, sources: Tensor, train: int) -> Tensor:
    if int(sources.max()) >= train:
        raise PenumbraError(f"{path}: names row {int(sources.max())} of images/train, which has {train}. Run `dvc repro`.")
    return sources.long()
