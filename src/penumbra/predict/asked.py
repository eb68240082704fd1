"""The training seeds of a detector at work: images in, what each seed says of them out, as infer writes it to data/outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from penumbra.artifacts.outputs import Outputs
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import AnyDetector, load_detector


class Asked(Protocol):
    """All training seeds of a detector.

    Attributes:
        networks: that of each seed, by DETECTOR/seed-K.
    """

    networks: dict[str, nn.Module]

    def __call__(self, pixels: Tensor, names: list[str]) -> list[Outputs]:
        """What each seed says of uint8 images [B, S, S, 3], on the CPU.

        Raises:
            PenumbraError: an output is not finite; names the detector and the image.
        """


class Networks:
    """Those of a network; see `Asked`.

    Args:
        name: of the detector.
        seeds: the folder of each.
        device: where to compute.
    """

    def __init__(self, name: str, seeds: Mapping[int, Path], device: torch.device):
        self.device = device
        self.networks: dict[str, AnyDetector] = {f"{name}/seed-{seed}": load_detector(path).to(device) for seed, path in seeds.items()}

    @torch.no_grad()
    def __call__(self, pixels: Tensor, names: list[str]) -> list[Outputs]:
        images, found = scaled(pixels.to(self.device)), []
        for name, network in self.networks.items():
            logits, features = (output.float().cpu() for output in network.forward_with_features(images))
            finite = logits.isfinite().all(1) & features.isfinite().all(1)
            if not finite.all():
                first = names[int(finite.long().argmin())]
                raise PenumbraError(f"detector {name}: output for image {first} is NaN or infinite. Train with a lower learning_rate.")
            found.append(Outputs(logits, features))
        return found


class Clips:
    """Those of a CLIP detector, behind one CLIP image tower; see `Asked`.

    Args:
        name: of the detector.
        seeds: the folder of each.
        model: the folder of the CLIP model, or of its image tower.
        device: where to compute.
    """

    def __init__(self, name: str, seeds: Mapping[int, Path], model: Path, device: torch.device):
        from penumbra.models.clip_detector import ClipDetector
        from penumbra.predict.tower import Tower  # transformers is slow to import, and networks need none

        self.device, self.clip = device, Tower.load(model, device)
        self.networks = {f"{name}/seed-{seed}": ClipDetector.from_pretrained(path).to(device) for seed, path in seeds.items()}

    def __call__(self, pixels: Tensor, names: list[str]) -> list[Outputs]:
        from penumbra.models.clip_detector import outputs_of

        features = self.clip.embed_images(scaled(pixels.to(self.device)))
        return [outputs_of(detector, features, name, names) for name, detector in self.networks.items()]


def scaled(pixels: Tensor) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] of uint8 ones [B, S, S, 3]."""
    return pixels.permute(0, 3, 1, 2).float() / 255
