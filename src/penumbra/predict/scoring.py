"""The scores of one training seed, fitted on its outputs as `score` fits them, of any images."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from penumbra.artifacts.outputs import Outputs, Pass
from penumbra.scores import SCORES, names
from penumbra.scores.base import Bank, Score

if TYPE_CHECKING:
    from penumbra.score.params import Score as Parameters


class Scorer:
    """Scores by name, each fitted when it is first asked for; higher = more OOD.

    Args:
        parameters: the section `score`.
        made: what the seed says of the images of the experiment.
        labels: classes of the ID training images [N].
    """

    def __init__(self, parameters: "Parameters", made: Pass, labels: Tensor):
        self.parameters, self.kind = parameters, made.kind
        train, val, calibration = (self._exact(made.outputs[file]) for file in ("train", "val", "calibration"))
        self.bank = Bank(train, labels, val, calibration, made.weight, made.bias, mcm_temperature=made.mcm_temperature)
        self._fitted: dict[str, Score] = {}

    def __call__(self, name: str, outputs: Outputs) -> np.ndarray:
        """The score of this name [N] of N images."""
        return self._score(name)(self._exact(outputs)).numpy()

    def columns(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Every score of this kind of detector and what it gives beside its own, by the names of the columns of data/scores; [N] each."""
        exact = self._exact(outputs)
        found = (self._score(name).columns(exact) for name in names(self.kind))
        return {column: values.numpy() for columns in found for column, values in columns.items()}

    def _score(self, name: str) -> Score:
        if name not in self._fitted:
            score = SCORES[name](self.parameters)
            score.fit(self.bank)
            self._fitted[name] = score
        return self._fitted[name]

    def _exact(self, outputs: Outputs) -> Outputs:
        """In the precision that `score` computes with: float64, but for the features of CLIP."""
        features = outputs.features.double() if self.kind == "network" else outputs.features
        return Outputs(outputs.logits.double(), features, outputs.concepts, outputs.log_odds)
