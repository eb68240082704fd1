"""NegLabel's grouped score (Jiang et al. 2024), of CLIP detectors."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Score

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class NegLabel(Score):
    """Share in (0, 1) of the negative labels in a softmax over ID and negative labels, mean over groups of these.

    One minus the paper's score, which is the ID labels' share. Labels, groups and temperature are the detector's; see
    `labels.neglabel_log_odds`.
    """

    name = "neglabel"
    kinds = ("clip",)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.labels import neglabel_share

        return neglabel_share(outputs.log_odds)
