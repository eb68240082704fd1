"""`penumbra.load_detector`: a trained detector with all its training seeds, ready to be asked about pictures."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_provenance
from penumbra.artifacts.outputs import IMAGES, Pass, read_keys, read_pass, saved_passes
from penumbra.errors import PenumbraError
from penumbra.predict.asked import Asked, Clips, Networks
from penumbra.predict.pictures import each, prepared
from penumbra.predict.place import Place, locate
from penumbra.predict.scoring import Scorer
from penumbra.prepare.record import Unusable
from penumbra.runtime import inference_batch, progress, setup

ACCEPT, BATCH = 0.95, 256
COLUMNS = ("image", "predicted", "p_ood", "score", "ood")


class TrainedDetector:
    """A detector of the experiment; `load_detector` makes it.

    Attributes:
        name: in params.yaml.
        classes: names of the ID classes, by label.
        score: name of its headline score, benchmark.score or, of CLIP detectors, benchmark.clip_score.
    """

    def __init__(self, name: str, asked: Asked, scorers: Sequence[Scorer], classes: Sequence[str], size: int, score: str):
        self.name, self.classes, self.score = name, list(classes), score
        self._asked, self._scorers, self._size = asked, scorers, size
        self._of_validation = np.mean([scorer(score, scorer.bank.val) for scorer in scorers], axis=0)

    def threshold(self, accept: float = ACCEPT) -> float:
        """The score above which an image is flagged: the quantile `accept` of the mean score over the ID validation images.

        Args:
            accept: share of ID validation that is not flagged, above 0 and at most 1. In between two images it is interpolated.

        Raises:
            PenumbraError: it is no such share.
        """
        if not 0 < accept <= 1:
            raise PenumbraError(f"accept = {accept:g}: must be a share above 0 and at most 1, such as 0.95.")
        return float(np.quantile(self._of_validation, accept))

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
        for name, pixels in progress(prepared(images, self._size), "predict", total):
            if not isinstance(pixels, Unusable):
                yield name, pixels
            elif unusable is None:
                raise PenumbraError(f"image {name}: {pixels}.")
            else:
                unusable(name, str(pixels))

    def _answers(self, batch: list[tuple[str, np.ndarray]], threshold: float, scores: bool) -> pd.DataFrame:
        names = [name for name, _ in batch]
        outputs = self._asked(torch.from_numpy(np.stack([pixels for _, pixels in batch])), names)
        labels = torch.stack([of_seed.logits.double().softmax(1) for of_seed in outputs]).mean(0).argmax(1)
        asked = list(zip(self._scorers, outputs, strict=True))
        score, p_ood = (np.mean([scorer(name, out) for scorer, out in asked], axis=0) for name in (self.score, "confidence"))
        predicted = [self.classes[label] for label in labels.tolist()]
        frame = pd.DataFrame(dict(zip(COLUMNS, (names, predicted, p_ood, score, score > threshold), strict=True)))
        if not scores:
            return frame
        columns = [scorer.columns(out) for scorer, out in asked]
        return frame.assign(**{name: np.mean([of_seed[name] for of_seed in columns], axis=0) for name in columns[0]})


def load_detector(detector: str | os.PathLike) -> TrainedDetector:
    """A trained detector, to be asked with `predict`.

    It computes on CUDA if there is one (PENUMBRA_DEVICE names another device) and sets torch up as the stages do: one thread,
    deterministic. For the very bytes of data/scores call `penumbra.kernels.use("portable")` before numpy and torch are imported.

    Args:
        detector: its name in params.yaml of the working directory; or the path of its folder, ROOT/data/detectors/NAME, from anywhere.

    Raises:
        PenumbraError: there is no such detector; it has not been trained or asked about the images of the experiment yet, or was
            trained anew since: names the command that does it.
    """
    place = locate(detector)
    seeds, passes = saved_seeds(place.data(f"detectors/{place.name}")), saved_passes(place.data(f"outputs/{place.name}"))
    images = read_provenance(place.data("images/train.parquet"))  # params.yaml may have been edited since
    classes, size = images["classes"], images["params"]["common"]["image_size"]
    made = [read_pass(path) for path in passes.values()]
    asked = _asked(place, seeds, made[0])
    if seeds.keys() != passes.keys() or len(classes) != len(made[0].weight) or not all(map(_same, asked.weights, made)):
        raise PenumbraError(
            f"data/outputs/{place.name}: is of another training than data/detectors/{place.name} or data/images. "
            f"Run `penumbra repro infer@{place.name}`."
        )
    keys = read_keys(place.data(f"outputs/{place.name}/{IMAGES}"))
    labels = [torch.from_numpy(keys[file]["label"].to_numpy().copy()) for file in ("train", "val")]
    scorers = [Scorer(place.experiment.score, of_seed, *labels) for of_seed in made]
    benchmark = place.experiment.benchmark
    score = benchmark.clip_score if made[0].kind == "clip" else benchmark.score
    return TrainedDetector(place.name, asked, scorers, classes, size, score)


def _asked(place: Place, seeds: dict[int, Path], made: Pass) -> Asked:
    device = setup()
    if made.kind == "network":
        return Networks(seeds, device)
    recipe = place.experiment.train.detectors[place.name].recipe
    return Clips(seeds, place.data(f"recipes/{recipe}/models/clip"), device)


def _same(weight: torch.Tensor, made: Pass) -> bool:
    """Whether outputs are those of the network with this last layer: scores are fitted on them."""
    return weight.shape == made.weight.shape and torch.allclose(weight, made.weight)
