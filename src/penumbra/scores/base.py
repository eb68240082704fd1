"""What a score is: a number for each image, higher = more OOD, from what a detector says of it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from penumbra.errors import PenumbraError
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Kind, Outputs


@dataclass(frozen=True)
class Bank:
    """What a score may be fitted on: a detector's last layer, and what it says of images that are in no test set.

    Attributes:
        train: ID training images [N].
        labels: their classes [N].
        val: ID validation images [M].
        val_labels: their classes [M].
        calibration: calibration OOD images.
        weight, bias: of the last layer, see `Pass`; like the labels, for scores that want them.
        mcm_temperature: T of MCM; of CLIP detectors.
    """

    train: "Outputs"
    labels: "Tensor"
    val: "Outputs"
    val_labels: "Tensor"
    calibration: "Outputs"
    weight: "Tensor"
    bias: "Tensor"
    mcm_temperature: float | None


def exact(outputs: "Outputs", kind: "Kind") -> "Outputs":
    """Outputs as scores take them: logits, and the features of networks, in float64; those of CLIP, of length 1, as they are."""
    features = outputs.features.double() if kind == "network" else outputs.features
    return replace(outputs, logits=outputs.logits.double(), features=features)


class Score:
    """A score of one detector: made, fitted once, then called with the outputs for any images.

    A subclass says its name (the column of data/scores, and the word of benchmark.score), of which kinds of detectors it is, and the
    keys of params.yaml's section `score` that it reads. It imports torch where it computes: schema, benchmark and report read the names
    alone.

    Attributes:
        takes: what it needs of `Outputs.beside`; a detector whose pass has not kept that does not have the score.

    Args:
        parameters: the section `score`.
    """

    name: str
    kinds: "ClassVar[tuple[Kind, ...]]" = ("network", "clip")
    takes: ClassVar[tuple[str, ...]] = ()
    Parameters: ClassVar[type[Section] | None] = None

    def __init__(self, parameters: Any):
        self.parameters = parameters

    def fit(self, bank: Bank) -> None:
        """Learn what the score needs; most need nothing."""

    def __call__(self, outputs: "Outputs") -> "Tensor":
        """The score [N] of N images."""
        raise NotImplementedError

    def columns(self, outputs: "Outputs") -> dict[str, "Tensor"]:
        """The score by its name, and what else it gives, [N] each."""
        return {self.name: self(outputs)}


class Asked(Score):
    """A score that a detector has where params.yaml asks for it, as an entry of score.more.

    A subclass's `Parameters` has a key `score`, whose only value is the word by which it is asked for. Features are float64, those of
    CLIP float32.

    Attributes:
        loss: the loss whose detectors alone have the score, because it keeps a module for it; "": all have it.

    Args:
        parameters: the entry.
        name: of the entry, and of the column in data/scores.
    """

    section = "score.more"
    loss: ClassVar[str] = ""

    def __init__(self, parameters: Any, name: str):
        super().__init__(parameters)
        self.name = name

    def refused(self, reason: str, key: str = "") -> PenumbraError:
        """That the score cannot be fitted.

        Args:
            reason: what is wrong and what to do, as a sentence.
            key: of the entry, whose value is to blame.
        """
        where = f"{self.section}.{self.name}"
        return PenumbraError(f"params.yaml: {where}.{key} = {self.parameters[key]}: {reason}" if key else f"params.yaml: {where}: {reason}")
