"""Parameters of GOOD."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import MinLen
from pydantic import SerializerFunctionWrapHandler, model_serializer

from penumbra.values import Count, Fault, Name, Natural, NotNegative, Number, Pixels, Positive, Section, Share, Template

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


Ramp = Literal["increase", "decrease", "constant"]


class Strengths(Section):
    """One guidance of GOOD and the strengths that it is sampled at; log f = energy * E + knn * D_k.

    A negative energy guides into the classes that the classifier knows (Fig. 9 b).
    """

    energy: Number
    knn: NotNegative
    rho: Annotated[list[NotNegative], MinLen(1)]
    mu: Annotated[list[NotNegative], MinLen(1)]
    grid: bool
    gamma: NotNegative
    per_class: Natural


class Good(Section):
    """GOOD and its guidances.

    `features` alone may be missing, and is in no dump unless it is true: the provenance of who draws no map of features stays as it is.
    It keeps what the classifier sees in each candidate, as a column of data/outliers/METHOD.parquet.
    """

    method: ClassVar[str] = "good"
    prompt: Template
    steps: Count
    guidance_scale: NotNegative
    eta: Share
    recurrences: Count
    iterations: Count
    draws: Count
    rho_schedule: Ramp
    mu_schedule: Ramp
    gamma_schedule: Literal["decrease", "constant"]
    clip: Positive | None
    pndm: bool
    knn_k: Count
    knn_log: bool
    classifier_size: Pixels
    classifier_range: Literal["unit", "symmetric"]
    guidances: Annotated[dict[Name, Strengths], MinLen(1)]
    features: bool = False

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if key != "features" or value}


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for name, method in experiment.synthesize.good.items():
        for guidance, strengths in method.guidances.items():
            key = f"synthesize.good.{name}.guidances.{guidance}"
            if not strengths.grid and len(strengths.rho) != len(strengths.mu):
                yield f"{key}.mu", f"must have {len(strengths.rho)} values, one for each of rho, where grid is false"
            if strengths.energy == strengths.knn == 0 and any(strengths.rho + strengths.mu):
                yield f"{key}.energy", "must not be 0, or knn must be above 0: there is nothing to guide by"
