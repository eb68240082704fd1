"""Parameters of SynOOD."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Fault, Natural, NotNegative, Number, Pixels, Positive, Section, Template, distinct, presets

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class SynOod(Section):
    method: ClassVar[str] = "synood"
    prompts: ClassVar[str] = "contexts"
    prompt: Template
    characters: Count
    per_class: Count | None
    strength: Annotated[float, Gt(0), Le(1)]
    steps: Count
    guidance_scale: NotNegative
    iterations: Count
    step_size: NotNegative
    loss: Literal["energy", "hinge", "uniform"]
    margin: Number
    temperature: Positive
    sampler: Literal["ddim", "pndm"]
    posterior: Literal["mean", "sample"]
    classifier_size: Pixels
    jpeg: Annotated[int, Ge(1), Le(100)] | None
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(distinct)]
    illustrated: Natural


class SynOodNegatives(SynOod):
    """SynOOD prompted by negative labels; with strength 1 and one iteration plain text-to-image."""

    prompts: ClassVar[str] = "negatives"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    kinds = experiment.synthesize
    methods = {f"synthesize.{kind}.{name}": method for kind in ("synood", "negatives") for name, method in kinds[kind].items()}
    for key, method in methods.items():
        if int(method.steps * method.strength) < 1:
            yield f"{key}.strength", f"must leave one of {method.steps} steps ({key}.steps) at least"
        if method.prompts == "contexts":
            for place, contexts in presets(experiment, "extract", "contexts"):
                if contexts.per_class is not None and (method.per_class is None or method.per_class > contexts.per_class):
                    yield f"{key}.per_class", f"must not exceed {contexts.per_class} ({place}.per_class): others have no labels"
            if method.splits != ["train"]:
                yield f"{key}.splits", "must be [train] where prompts are context labels: no other images have any"
