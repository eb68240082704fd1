"""`penumbra.load_detector`: a trained detector with all its training seeds, ready to be asked about pictures."""

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch

from penumbra.calibrators import Calibrator
from penumbra.errors import PenumbraError
from penumbra.predict import contents, repository
from penumbra.predict.asked import Asked, Clips, Networks
from penumbra.predict.contents import Contents, mean
from penumbra.predict.folder import Folder
from penumbra.predict.pictures import each, prepared
from penumbra.predict.place import locate
from penumbra.predict.scoring import Scorer
from penumbra.prepare.record import Unusable
from penumbra.runtime import inference_batch, progress, setup
from penumbra.stage import Params

ACCEPT, BATCH = 0.95, 256
COLUMNS = ("image", "predicted", "p_ood", "score", "ood")


class TrainedDetector:
    """A detector with all its training seeds; `load_detector` makes it.

    Attributes:
        name: in params.yaml.
        classes: names of the ID classes, by label.
        score: name of its headline score, benchmark.score or, of CLIP detectors, benchmark.clip_score.
        image_size: pixels of a side of the squares that its networks are shown.
        contents: what it is made of.
        asked: its networks.
        scorers: the scores of each seed.
    """

    def __init__(self, made_of: Contents, device: torch.device):
        config = made_of.config
        self.contents, self.asked = made_of, _asked(made_of, device)
        self.name, self.classes, self.score, self.image_size = (config[key] for key in ("name", "classes", "score", "image_size"))
        self.scorers = [_scorer(made_of, seed) for seed in made_of.networks]

    def threshold(self, accept: float = ACCEPT) -> float:
        """The score above which an image is flagged: the quantile `accept` of the mean score over the ID validation images.

        Args:
            accept: share of ID validation that is not flagged, above 0 and at most 1. In between two images it is interpolated.

        Raises:
            PenumbraError: it is no such share.
        """
        return contents.threshold(self.contents.validation, accept)

    def predict(
        self,
        images: Any,
        *,
        accept: float = ACCEPT,
        scores: bool = False,
        unusable: Callable[[str, str], None] | None = None,
    ) -> pd.DataFrame:
        """What the detector says of pictures: a row for each, in their order.

        A picture is taken as prepare takes it: upright, RGB, transparency on black, its central square resized to common.image_size.
        Neither the other pictures nor the size of a batch (PENUMBRA_INFERENCE_BATCH) matter, but for the last bits.

        Args:
            images: an iterable of paths, PIL images, uint8 arrays [H, W, 3] or [H, W] and float tensors [3, H, W] in [0, 1]; or one of
                them. Of any sizes; a few are in memory at a time.
            accept: share of the ID validation images that the flag `ood` spares; see `threshold`.
            scores: also a column for each score that the detector's kind has, named as in data/scores.
            unusable: called with the name and the reason of each picture that cannot be read, which then has no row. None: raise.

        Returns:
            image: the path, or without one the number of the picture from 0; text.
            predicted: name of the class of the highest probability, mean over the training seeds; one of `classes`.
            p_ood: calibrated probability of being OOD in [0, 1], OOD and ID equally likely beforehand; mean over the seeds.
            score: the headline score, in its own unit, higher = more OOD; mean over the seeds, as further scores are.
            ood: whether the score is above the threshold.

        Raises:
            PenumbraError: a picture cannot be read; `accept` is no share; an output is not finite.
        """
        threshold, frames = self.threshold(accept), []
        usable = self._usable(each(images), unusable)
        while batch := list(islice(usable, inference_batch(BATCH))):
            frames.append(self._answers(batch, threshold, scores))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))

    def _usable(self, images: Iterable, unusable: Callable[[str, str], None] | None) -> Iterator[tuple[str, np.ndarray]]:
        total = len(images) if isinstance(images, Sized) else None
        for name, pixels in progress(prepared(images, self.image_size), "predict", total):
            if not isinstance(pixels, Unusable):
                yield name, pixels
            elif unusable is None:
                raise PenumbraError(f"image {name}: {pixels}.")
            else:
                unusable(name, str(pixels))

    def _answers(self, batch: list[tuple[str, np.ndarray]], threshold: float, scores: bool) -> pd.DataFrame:
        names = [name for name, _ in batch]
        outputs = self.asked(torch.from_numpy(np.stack([pixels for _, pixels in batch])), names)
        labels = torch.stack([of_seed.logits.double().softmax(1) for of_seed in outputs]).mean(0).argmax(1)
        asked = list(zip(self.scorers, outputs, strict=True))
        score, p_ood = (mean(scorer(name, out) for scorer, out in asked) for name in (self.score, "confidence"))
        predicted = [self.classes[label] for label in labels.tolist()]
        frame = pd.DataFrame(dict(zip(COLUMNS, (names, predicted, p_ood, score, score > threshold), strict=True)))
        if not scores:
            return frame
        columns = [scorer.columns(self.contents.config["scores"], out) for scorer, out in asked]
        return frame.assign(**{name: mean(of_seed[name] for of_seed in columns) for name in columns[0]})


def load_detector(detector: str | os.PathLike) -> TrainedDetector:
    """A trained detector, to be asked with `predict`.

    It computes on CUDA if there is one (PENUMBRA_DEVICE names another device) and sets torch up as the stages do: one thread,
    deterministic. For the very bytes of data/scores call `penumbra.kernels.use("portable")` before numpy and torch are imported.

    Args:
        detector: its name in params.yaml of the working directory; or the path of its folder, from anywhere: ROOT/data/detectors/NAME,
            or what `penumbra export` wrote.

    Raises:
        PenumbraError: there is no such detector; it has not been trained or asked about the images of the experiment yet, or was
            trained anew since (names the command that does it); a file of an exported one is missing or changed.
    """
    return TrainedDetector(opened(detector), setup())


def opened(detector: str | os.PathLike) -> Contents:
    """What a detector is made of; see `load_detector`."""
    place = locate(detector)
    return contents.read(place) if isinstance(place, Folder) else repository.gather(place)


def _asked(made_of: Contents, device: torch.device) -> Asked:
    name = made_of.config["name"]
    return Clips(name, made_of.networks, made_of.clip, device) if made_of.clip else Networks(name, made_of.networks, device)


def _scorer(made_of: Contents, seed: int) -> Scorer:
    config = made_of.config
    fitted = config["calibrators"][str(seed)]
    calibrator = Calibrator.from_json(fitted["name"], fitted["parameters"])
    return Scorer(Params(config["parameters"]), config["kind"], lambda: made_of.bank(seed), calibrator)
