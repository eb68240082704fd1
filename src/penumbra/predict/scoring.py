"""The scores of one training seed, fitted on its outputs as `score` fits them, of any images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from penumbra.artifacts.outputs import Kind, Outputs
from penumbra.calibrators import Calibrator
from penumbra.errors import PenumbraError
from penumbra.scores import scores_of
from penumbra.scores.base import Bank, Score, exact


class Scorer:
    """Scores by name, each fitted when it is first asked for; higher = more OOD.

    Args:
        parameters: the section `score`.
        kind: of the detector.
        bank: gives what the scores are fitted on, in the precision of the network; asked for once, when a score wants it.
        calibrator: of `confidence`, where it is fitted already.
    """

    def __init__(self, parameters: Any, kind: Kind, bank: Callable[[], Bank], calibrator: Calibrator | None = None):
        self.kind, self._given, self._scores = kind, bank, scores_of(parameters, kind)
        self._fitted: set[str] = set()
        if calibrator is not None:
            self._scores["confidence"].calibrator = calibrator
            self._fitted.add("confidence")

    @cached_property
    def bank(self) -> Bank:
        """What scores are fitted on, in the precision that `score` computes with."""
        given = self._given()
        train, val, calibration = map(self.exact, (given.train, given.val, given.calibration))
        return replace(given, train=train, val=val, calibration=calibration)

    @property
    def calibrator(self) -> Calibrator:
        """The map from log-odds to P(OOD)."""
        return self.score("confidence").calibrator

    def __call__(self, name: str, outputs: Outputs) -> np.ndarray:
        """The score of this name [N] of N images."""
        return self.score(name)(self.exact(outputs)).numpy()

    def columns(self, names: Sequence[str], outputs: Outputs) -> dict[str, np.ndarray]:
        """The scores of these names and what they give beside their own, by the names of the columns of data/scores; [N] each."""
        taken = self.exact(outputs)
        found = (self.score(name).columns(taken) for name in names)
        return {column: values.numpy() for columns in found for column, values in columns.items()}

    def score(self, name: str) -> Score:
        """The fitted score.

        Raises:
            PenumbraError: this Penumbra has none of this name.
        """
        if name not in self._fitted:
            if name not in self._scores:
                known = ", ".join(self._scores)
                raise PenumbraError(f"the score {name} is unknown here; there are {known}. Take the version that exported it.")
            self._scores[name].fit(self.bank)
            self._fitted.add(name)
        return self._scores[name]

    def exact(self, outputs: Outputs) -> Outputs:
        """As scores take them; see `scores.base.exact`."""
        return exact(outputs, self.kind)
