"""Parameters of Bad-OOD."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Fault, Natural, NotNegative, Section, Share, distinct, presets

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class BadOod(Section):
    """What is not said here is in docs/fidelity.md.

    Attributes:
        guidance: none is a control: the plain reverse process, whatever `scales` are.
        t: 0, without guidance, is the other control: MAGE decodes the representation of the ID image itself.
    """

    method: ClassVar[str] = "badood"
    represented: ClassVar[bool] = True  # candidates are representations of the encoder before they are images: column representation
    guidance: Literal["minority", "gaussian", "none"]
    per_image: Count
    scales: Annotated[list[NotNegative], MinLen(1), AfterValidator(distinct)]
    t: Natural
    stride: Count
    loop: Literal["guided", "single"]
    eta: Share
    last_alpha: Literal["grid", "one"]
    s: Natural
    distance: Literal["l2", "l1", "l2_squared"]
    space: Literal["prev", "eps", "x0"]
    norm: Literal["linf", "l2", "none"]
    variance: bool
    every: Count
    draws: Count
    score_draws: Count
    stop_gradient: bool
    restandardize: bool
    decode_steps: Count
    decode_temperature: NotNegative
    decode_guidance: NotNegative


def faults(experiment: "Experiment") -> Iterator[Fault]:
    timesteps = [rdm.timesteps for _, rdm in presets(experiment, "pretrain", "rdm")]
    for name, method in experiment.synthesize.badood.items():
        for last in (count - 1 for count in timesteps):
            for key, lowest in (("t", 0 if method.guidance == "none" else 1), ("s", 0)):
                if not lowest <= method[key] <= last:
                    yield f"synthesize.badood.{name}.{key}", f"must be in {lowest}..{last}" + (" (0: guidance none)" if lowest else "")
        if method.stride > method.t > 0:
            yield f"synthesize.badood.{name}.stride", f"must be in 1..{method.t} (synthesize.badood.{name}.t)"
