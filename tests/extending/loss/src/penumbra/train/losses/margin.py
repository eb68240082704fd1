"""Cross-entropy, and squared hinges that part the energies of ID images and outliers (Liu et al. 2020, eq. 8)."""

from typing import Literal

from penumbra.stage import Stage
from penumbra.train.detectors import Train, run
from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Number


class Recipe(NetworkRecipe):
    """`beta` times max(0, E - inside)^2 of ID images, and max(0, outside - E)^2 of outliers."""

    loss: Literal["margin"]
    inside: Number
    outside: Number

    @property
    def of_outliers(self) -> str:
        return "hinges on the energy"


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR."""
    run(stage, _trainer)


def _trainer(stage: Stage) -> Train:
    import torch.nn.functional as F

    from penumbra.logits import energy
    from penumbra.train.network.loss import Loss
    from penumbra.train.network.seeds import trainer

    class MarginLoss(Loss):
        def __call__(self, logits, features, batch):
            is_ood = batch.labels < 0
            loss = F.cross_entropy(logits[~is_ood], batch.labels[~is_ood])
            hinges = F.relu(energy(logits[~is_ood]) - self.p.inside).square().mean()
            if is_ood.any():
                hinges = hinges + F.relu(self.p.outside - energy(logits[is_ood])).square().mean()
            return {"loss": loss + self.p.beta * hinges, "cross_entropy": loss, "hinges": hinges}

    return trainer(stage, MarginLoss)
