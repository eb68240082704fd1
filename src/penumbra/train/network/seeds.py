"""A network for each training seed."""

from pathlib import Path

from penumbra.artifacts.images import read_provenance
from penumbra.models.classifiers.load import load
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.train.detectors import Train
from penumbra.train.inputs import CLASSIFIER, chosen, selected
from penumbra.train.network.images import candidates, id_images, labelled
from penumbra.train.network.loop import Setting, train_detector
from penumbra.train.network.loss import Loss
from penumbra.train.pool import draw


def trainer(stage: Stage, loss: type[Loss]) -> Train:
    """Load images and outliers; what is returned trains a network of a seed by the loss."""
    device = setup()
    detector, recipe = chosen(stage)
    common_seed = stage.params.common.seed
    setting = Setting(
        item=stage.item,
        recipe=detector.recipe,
        p=recipe,
        loss=loss,
        common_seed=common_seed,
        train=id_images(stage, loss.reconstructed(recipe), device),
        val=labelled(stage, "images/val", device),
        classes=len(read_provenance(stage.read("images/train"))["classes"]),
        start=load(stage.read(CLASSIFIER)) if CLASSIFIER in stage.reads else None,
    )
    rows, count = selected(stage)
    pool = candidates(stage, loss.paired(recipe), device) if count else None

    def train(folder: Path, seed: int) -> None:
        outliers = pool.take(draw(rows, count, generator(common_seed, "train/pool", seed))) if pool else None
        network, history = train_detector(setting, seed, outliers, stage.scratch / f"seed-{seed}.pt")
        network.save_pretrained(folder, stage.provenance)
        history.write(folder / "history.csv")

    return train
