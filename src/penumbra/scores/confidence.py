"""Calibrated probability of being OOD (Bad-OOD eq. 7, 20)."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Bank, Score
from penumbra.values import Calibrator, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Confidence(Score):
    """P(OOD) in [0, 1], of this detector's own raw log-odds: of a network its energy (eq. 6), of a CLIP detector NegLabel's.

    The map is fitted on ID validation and calibration OOD images, the classes weighing the same.
    """

    name = "confidence"

    class Parameters(Section):
        calibrator: Calibrator

    def fit(self, bank: Bank) -> None:
        """Fit the map of log-odds.

        Raises:
            PenumbraError: one of the classes has no image; all log-odds are equal.
        """
        import numpy as np

        from penumbra.calibrators import fit

        held_out = [log_odds(outputs).numpy() for outputs in (bank.val, bank.calibration)]
        is_ood = np.repeat([False, True], [len(part) for part in held_out])
        self.calibrator = fit(self.parameters.calibrator, np.concatenate(held_out), is_ood)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        import torch

        return torch.from_numpy(self.calibrator.probability(log_odds(outputs).numpy()))


def log_odds(outputs: "Outputs") -> "Tensor":
    """Raw log-odds of being OOD [N], float64."""
    from penumbra.logits import energy

    return energy(outputs.logits) if outputs.log_odds is None else outputs.log_odds
