"""Hyper-parameters by sweep: where an entry of score.more lists values, the one that tells calibration OOD from ID validation best."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from penumbra.scores.base import Asked, Bank

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


@dataclass(frozen=True)
class Candidate:
    """Values of the keys that are swept, the AUROC of calibration OOD against ID validation images, and whether they were taken."""

    values: dict[str, Any]
    auroc: float
    taken: bool


def lists(parameters: Any, keys: Sequence[str]) -> dict[str, list]:
    """Which of the keys of an entry list values, and the values."""
    return {key: parameters[key] for key in keys if isinstance(parameters[key], list)}


class Swept(Asked):
    """A score whose values are those of the highest AUROC of calibration OOD against ID validation images; of equal ones the first.

    All combinations are tried, the last key's values running fastest. They are fitted without calibration images, which judge them; no
    test image is in a bank.

    Args:
        parameters: an entry of score.more in which keys list values.
        name: of the entry.
        of: the class of the score.
    """

    def __init__(self, parameters: Any, name: str, of: type[Asked]):
        super().__init__(parameters, name)
        self.section = of.section
        self.of, self.grid = of, lists(parameters, list(of.Parameters.model_fields))

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Values of the keys that are swept."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))

    def fit(self, bank: Bank) -> None:
        """Fit every combination, and take the best."""
        from penumbra.ranks import auroc

        without = replace(bank, calibration=None)
        keys, best, found = list(self.of.Parameters.model_fields), -1.0, []
        for values in self.combinations():
            score = self.of(self.of.Parameters(**{key: values.get(key, self.parameters[key]) for key in keys}), self.name)
            score.fit(without)
            found.append((values, auroc(score(bank.calibration).numpy(), score(bank.val).numpy())))
            if found[-1][1] > best:
                best, self.best, first = found[-1][1], score, len(found) - 1
        self.candidates = [Candidate(*candidate, index == first) for index, candidate in enumerate(found)]

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return self.best(outputs)
