"""Parameters of benchmark."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, SerializerFunctionWrapHandler, model_serializer

from penumbra.scores import names
from penumbra.values import Count, Fault, Item, NotNegative, Section, Share, ShareAboveZero, Text, distinct

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

MODES = ("per-set", "mixture", "id-only", "fixed")  # of the unified score


class Unified(Section):
    mode: Literal[MODES]
    a: NotNegative
    bins: Annotated[int, Ge(2)]
    weight: Share
    a_grid: Annotated[list[NotNegative], MinLen(1), AfterValidator(distinct)]


class Ablation(Section):
    """Detectors that differ in one thing, by what it is."""

    title: Text
    source: Text
    scores: Annotated[list[Text], MinLen(1), AfterValidator(distinct)]
    variants: Annotated[dict[Item, Text], MinLen(1)]


class Other(Section):
    """Scores that were made elsewhere.

    Attributes:
        path: of a CSV or Parquet file; its columns: `others.py`.
        higher: what a higher score means.
    """

    path: Text
    higher: Literal["ood", "id"]


class Recognition(Section):
    classes: Literal["all", "id"]
    recognised: ShareAboveZero
    samples: Count


class Guided(Section):
    """Variants of GOOD that figures of its appendix are drawn of (conf/ablations/good-figures.yaml).

    Attributes:
        strengths: a histogram for each strength of their guidances (Fig. 7).
        gammas: a histogram for each variant, by gamma (Fig. 10).
        features: a map of what the classifier sees in their candidates (Fig. 9 b).
        points: candidates of each of these, and ID images, that are in the map at most.
    """

    strengths: Annotated[list[Item], AfterValidator(distinct)]
    gammas: Annotated[list[Item], AfterValidator(distinct)]
    features: Annotated[list[Item], AfterValidator(distinct)]
    points: Count


class Benchmark(Section):
    """What is measured, and compared. `guided` alone may be missing, and is in no dump then."""

    score: Text
    clip_score: Text
    bins: Count
    distance_samples: Count
    recognition: Recognition
    unified: Unified
    ablations: dict[Item, Ablation]
    others: dict[Item, Other]
    guided: Guided | None = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Scores and variants that there are none of, here and in score.more; names that two have."""
    p, more = experiment.benchmark, experiment.score.more
    for key, kind in (("score", "network"), ("clip_score", "clip")):
        if p[key] not in names(kind, more):
            yield f"benchmark.{key}", f"must be one of {', '.join(names(kind, more))}"
    for name in p.others:
        if name in experiment.train.detectors:
            yield f"benchmark.others.{name}", "must have a name of its own: a detector (train.detectors) has it"
    known = (*names(more=more), *MODES)
    for mode in MODES:
        if mode in more:
            yield f"score.more.{mode}", "must have a name of its own: a mode of the unified score has it"
    for family, section in p.ablations.items():
        if unknown := [score for score in section.scores if score not in known]:
            yield f"benchmark.ablations.{family}.scores", f"must be of {', '.join(known)}; there is no {', '.join(unknown)}"
    if p.guided is not None:
        yield from _unguided(p.guided, experiment)


def _unguided(guided: Guided, experiment: "Experiment") -> Iterator[Fault]:
    """Variants of GOOD that there are none of, and maps of features that are not kept."""
    variants = experiment.synthesize.good
    for key in ("strengths", "gammas", "features"):
        if unknown := [name for name in guided[key] if name not in variants]:
            yield f"benchmark.guided.{key}", f"must be of synthesize.good ({', '.join(variants)}); there is no {', '.join(unknown)}"
    if without := [name for name in guided.features if name in variants and not variants[name].features]:
        yield "benchmark.guided.features", f"must be variants with features: true; {', '.join(without)} keeps none"
