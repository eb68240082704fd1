"""One network and one set of images for our scores and pytorch-ood's detectors; for scores_speed.py."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import penumbra.models.vision  # noqa: F401  # before pytorch-ood, which imports torchvision
from penumbra.artifacts.outputs import Outputs
from penumbra.models.resnet import ResNet
from penumbra.scores.base import Bank, exact

from pytorch_ood import detector  # isort: skip

BATCH, EPOCHS, CLASSES = 100, 3, 6
SIZES = {"train": 600, "val": 200, "test": 283}  # digits 0-5; of 6-9 the first 300 calibrate, the others are OOD


@dataclass(frozen=True)
class Both:
    """A trained network, and images and classes by file."""

    network: ResNet
    images: dict[str, torch.Tensor]
    labels: dict[str, torch.Tensor]

    def outputs(self) -> tuple[Bank, Outputs, Outputs]:
        """One pass over every image: a bank, ID test images, OOD."""
        found = {file: exact(self._pass(images), "network") for file, images in self.images.items()}
        train, val, calibration = (found[file] for file in ("train", "val", "calibration"))
        last = self.network.last_layer
        bank = Bank(train, self.labels["train"], val, self.labels["val"], calibration, last.weight.detach(), last.bias.detach(), None)
        return bank, found["test"], found["ood"]

    @torch.no_grad()
    def _pass(self, images: torch.Tensor) -> Outputs:
        parts = [self.network.forward_with_features(batch) for batch in images.split(BATCH)]
        return Outputs(*(torch.cat(outputs) for outputs in zip(*parts, strict=True)))

    def theirs(self, name: str) -> list[np.ndarray]:
        """Scores of ID test images and of OOD by a detector of theirs, fitted and asked as its documentation does."""
        made = self._made(name)
        fitted_on = "val" if name in ("TemperatureScaling", "KLMatching") else "train"
        made.fit(self._loader(fitted_on))
        with torch.no_grad():
            parts = ([made.predict(batch) for batch in self.images[file].split(BATCH)] for file in ("test", "ood"))
            return [torch.cat(part).double().numpy() for part in parts]

    def _loader(self, file: str) -> DataLoader:
        return DataLoader(TensorDataset(self.images[file], self.labels[file]), batch_size=BATCH)

    def _made(self, name: str) -> detector:
        logits = lambda batch: self.network.forward_with_features(batch)[0]  # noqa: E731
        features = lambda batch: self.network.forward_with_features(batch)[1]  # noqa: E731
        maps = lambda batch: features(batch)[:, :, None, None]  # noqa: E731
        last = self.network.last_layer
        head = torch.nn.Sequential(torch.nn.Flatten(), last)
        width = last.weight.shape[1]
        special = {
            "GEN": lambda: detector.GEN(logits, 0.1, 100),
            "OpenMax": lambda: detector.OpenMax(logits, tailsize=25, alpha=10, euclid_weight=1.0),
            "KNN": lambda: detector.KNN(lambda batch: torch.nn.functional.normalize(features(batch), dim=1), n_neighbors=50),
            "Mahalanobis": lambda: detector.Mahalanobis(features),
            "RMD": lambda: detector.RMD(features),
            "ViM": lambda: detector.ViM(features, width // 2, last.weight.detach(), last.bias.detach()),
            "ReAct": lambda: detector.ReAct(maps, head, percentile=0.9),
            "DICE": lambda: detector.DICE(features, last.weight.detach(), last.bias.detach(), 0.9),
            "ASH": lambda: detector.ASH(maps, head, variant="ash-s", percentile=0.65),
            "SHE": lambda: detector.SHE(features, head),
        }
        return special[name]() if name in special else getattr(detector, name)(logits)


def trained() -> Both:
    """A ResNet-18 of width 16 that has seen the training images a few times."""
    torch.manual_seed(0)
    pixels, digits = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    pixels = torch.nn.functional.interpolate(pixels.float().view(-1, 1, 8, 8) / 16, size=32, mode="bicubic")
    pixels = pixels.clamp(0, 1).expand(-1, 3, -1, -1)
    inside, outside, own = pixels[digits < CLASSES], pixels[digits >= CLASSES], digits[digits < CLASSES].long()
    images = dict(zip(SIZES, inside.split(list(SIZES.values())), strict=True)) | {"calibration": outside[:300], "ood": outside[300:]}
    labels = dict(zip(SIZES, own.split(list(SIZES.values())), strict=True))
    network = ResNet("resnet18", 16, 3, 2, False, CLASSES).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        for batch, of_batch in zip(images["train"].split(BATCH), labels["train"].split(BATCH), strict=True):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network.forward_with_features(batch)[0], of_batch).backward()
            optimiser.step()
    return Both(network.eval(), images, labels)
