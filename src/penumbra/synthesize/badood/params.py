"""Parameters of Bad-OOD."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Fault, Natural, NotNegative, Section, Share, distinct, presets

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class BadOod(Section):
    method: ClassVar[str] = "badood"
    guidance: Literal["minority", "gaussian"]
    per_image: Count
    scales: Annotated[list[NotNegative], MinLen(1), AfterValidator(distinct)]
    t: Count
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
            for key, value in (("t", method.t), ("s", method.s)):
                if value > last:
                    yield f"synthesize.badood.{name}.{key}", f"must be in {1 if key == 't' else 0}..{last}"
        if method.stride > method.t:
            yield f"synthesize.badood.{name}.stride", f"must be in 1..{method.t} (synthesize.badood.{name}.t)"
