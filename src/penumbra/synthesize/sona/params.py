"""Parameters of SONA."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Fault, Natural, NotNegative, Section, Share, ShareBelowOne, Template, Text, distinct, ordered, require

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Sona(Section):
    method: ClassVar[str] = "sona"
    edit: Literal["sona", "sega", "sdedit", "diffedit"]
    prompt: Template
    words: Literal["random", "close", "far"]
    word_file: Text | None
    steps: Count
    stop: Annotated[list[Natural], AfterValidator(ordered)]
    scale: NotNegative
    share: Share
    remove: bool
    keep: bool
    add: bool
    spare: bool
    granularity: Literal["channel", "tensor", "position"]
    warmup: Annotated[list[Natural], AfterValidator(lambda value: require(len(value) == 3, value, "three numbers of steps"))]
    momentum_scale: NotNegative
    momentum_beta: ShareBelowOne
    text_guidance: NotNegative
    posterior: Literal["mean", "sample"]
    sampler: Literal["ddim", "pndm"]
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(distinct)]
    illustrated: Natural


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for name, method in experiment.synthesize.sona.items():
        key = f"synthesize.sona.{name}"
        if method.stop[1] > method.steps:
            yield f"{key}.stop", f"must lie in 0..{method.steps} ({key}.steps)"
        if method.edit == "diffedit" and not method.text_guidance:
            yield f"{key}.text_guidance", "must be above 0 where edit is diffedit, which has no other guidance"
        if method.edit == "diffedit" and method.sampler != "ddim":
            yield f"{key}.sampler", "must be ddim where edit is diffedit, whose way back is that of DDIM"
        if method.share > 0.5:
            yield f"{key}.share", "must be at most 0.5: the semantic and the nuisance mask would overlap"
