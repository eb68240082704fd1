"""A CLIP detector for each training seed."""

from pathlib import Path

import torch
from torch import Tensor

from penumbra.artifacts.negatives import TextFeatures, read_negatives
from penumbra.labels import grouped
from penumbra.models.clip import Clip
from penumbra.models.clip_detector import ClipDetector
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.seeds import derive
from penumbra.stage import Stage
from penumbra.train.detectors import Train
from penumbra.train.features import Features
from penumbra.train.inputs import REPAINTING, chosen, selected
from penumbra.train.losses.clip.data import LABELS, Made, id_images, outliers_of, round_trips_of
from penumbra.train.losses.clip.loop import Setting, train_detector
from penumbra.train.pool import draw


def trainer(stage: Stage) -> Train:
    """Load features of images and outliers; what is returned trains a detector of a seed."""
    device = setup()
    detector, p = chosen(stage)
    common_seed = stage.params.common.seed
    labels = read_negatives(stage.read(LABELS))
    id_train, val = id_images(stage, labels)
    setting = Setting(stage.item, detector.recipe, p, common_seed, _to(val, device))
    clip = Clip.load(stage.read("models/clip"), device) if p.trains else None
    chosen_rows, count = selected(stage)
    outliers = outliers_of(stage, clip, device) if clip and count else (id_train.values[:0], torch.zeros(0, dtype=torch.long))
    round_trips = round_trips_of(stage, clip, device) if clip and REPAINTING in stage.reads else None

    def train(folder: Path, seed: int) -> None:
        images, candidates = id_train, None
        if clip:
            draws = generator(common_seed, "train/pool", seed)
            rows = draw(chosen_rows, count, draws)
            rows = rows[pool(len(rows), p.outliers, draws)]
            images, candidates = beside(id_train, outliers[1][rows], round_trips), outliers[0][rows].to(device)
        fresh, checkpoint = build(labels, stage, seed).to(device), stage.scratch / f"seed-{seed}.pt"
        network, history = train_detector(fresh, setting, seed, _to(images, device), candidates, checkpoint)
        network.save_pretrained(folder, stage.provenance)
        history.write(folder / "history.csv")

    return train


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

    Where no outlier was made from an image, or there is none, all ID images stand there.

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
