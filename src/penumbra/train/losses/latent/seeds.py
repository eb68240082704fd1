"""A detector of representations for each training seed."""

from pathlib import Path

import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import iter_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.representation import RepresentationDetector
from penumbra.models.moco import MoCoEncoder
from penumbra.noise import generator
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.train.detectors import Train
from penumbra.train.features import Features
from penumbra.train.inputs import check_trainable, chosen, selected
from penumbra.train.losses.latent.loop import Setting, train_detector
from penumbra.train.pool import draw

BATCH = 256


def trainer(stage: Stage) -> Train:
    """Load representations of images and outliers; what is returned trains a detector of a seed."""
    device = setup()
    detector, p = chosen(stage)
    common_seed = stage.params.common.seed
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device)
    tensors, _ = read_features(stage.read("features/encoder"))
    setting = Setting(
        item=stage.item,
        recipe=detector.recipe,
        p=p,
        common_seed=common_seed,
        train=Features(tensors["representation"].to(device), tensors["label"].to(device)),
        val=watched(stage, encoder, device),
        classes=len(read_provenance(stage.read("images/train"))["classes"]),
    )
    rows, count = selected(stage)
    pool = candidates(stage, encoder.config["projection"]) if count else tensors["representation"][:0]

    def train(folder: Path, seed: int) -> None:
        outliers = pool[draw(rows, count, generator(common_seed, "train/pool", seed))].to(device)
        head, history = train_detector(setting, seed, outliers, stage.scratch / f"seed-{seed}.pt")
        RepresentationDetector.of(encoder, head).save_pretrained(folder, stage.provenance)
        history.write(folder / "history.csv")

    return train


def watched(stage: Stage, encoder: MoCoEncoder, device: torch.device) -> Features:
    """ID validation images as the encoder represents them."""
    path = stage.read("images/val")
    images = (torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255 for pixels in iter_pixels(path, inference_batch(BATCH)))
    labels = torch.tensor(read_table(path, ["label"])["label"].to_pylist(), device=device)
    return Features(torch.cat([encoder.represent(batch) for batch in images]), labels)


def candidates(stage: Stage, width: int) -> Tensor:
    """Representations [N, D] of all candidates of the method before they are decoded, on the CPU.

    Raises:
        PenumbraError: they are not of the recipe's encoder.
    """
    check_trainable(stage)
    path = stage.read(f"outliers/{chosen(stage)[0].method}")
    column = read_table(path, ["representation"])["representation"].combine_chunks()
    found = torch.from_numpy(column.flatten().to_numpy().copy()).reshape(len(column), -1)
    if found.shape[1] != width:
        raise PenumbraError(f"{path}: its representations have {found.shape[1]} numbers, those of the encoder {width}. Run `dvc repro`.")
    return found
