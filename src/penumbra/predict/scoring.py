"""The scores of one training seed, fitted on its outputs as `score` fits them, of any images."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from penumbra.artifacts.outputs import Outputs, Pass
from penumbra.scores import scores_of
from penumbra.scores.base import Bank, Score

if TYPE_CHECKING:
    from penumbra.score.params import Score as Parameters


class Scorer:
    """Scores by name, each fitted when it is first asked for; higher = more OOD.

    Args:
        parameters: the section `score`.
        made: what the seed says of the images of the experiment.
        labels: classes of the ID training images [N].
        val_labels: those of the ID validation images [M].
    """

    def __init__(self, parameters: "Parameters", made: Pass, labels: Tensor, val_labels: Tensor):
        self.kind, self._scores = made.kind, scores_of(parameters, made.kind)
        train, val, calibration = (self._exact(made.outputs[file]) for file in ("train", "val", "calibration"))
        self.bank = Bank(train, labels, val, val_labels, calibration, made.weight, made.bias, mcm_temperature=made.mcm_temperature)
        self._fitted: set[str] = set()

    def __call__(self, name: str, outputs: Outputs) -> np.ndarray:
        """The score of this name [N] of N images."""
        return self._score(name)(self._exact(outputs)).numpy()

    def columns(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Every score of this kind of detector and what it gives beside its own, by the names of the columns of data/scores; [N] each."""
        exact = self._exact(outputs)
        found = (self._score(name).columns(exact) for name in self._scores)
        return {column: values.numpy() for columns in found for column, values in columns.items()}

    def _score(self, name: str) -> Score:
        if name not in self._fitted:
            self._scores[name].fit(self.bank)
            self._fitted.add(name)
        return self._scores[name]

    def _exact(self, outputs: Outputs) -> Outputs:
        """In the precision that `score` computes with: float64, but for the features of CLIP."""
        features = outputs.features.double() if self.kind == "network" else outputs.features
        return Outputs(outputs.logits.double(), features, outputs.concepts, outputs.log_odds)
