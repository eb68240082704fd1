"""Parameters of benchmark."""

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Item, NotNegative, Section, Share, ShareAboveZero, Text, distinct


class Unified(Section):
    mode: Literal["per-set", "mixture", "id-only", "fixed"]
    a: NotNegative
    bins: Annotated[int, Ge(2)]
    weight: Share
    a_grid: Annotated[list[NotNegative], MinLen(1), AfterValidator(distinct)]


class Ablation(Section):
    """Detectors that differ in one thing, by what it is."""

    title: Text
    source: Text
    scores: Annotated[
        list[Literal["energy", "knn", "mcm", "neglabel", "per-set", "mixture", "id-only", "fixed"]], MinLen(1), AfterValidator(distinct)
    ]
    variants: Annotated[dict[Item, Text], MinLen(1)]


class Recognition(Section):
    classes: Literal["all", "id"]
    recognised: ShareAboveZero
    samples: Count


class Benchmark(Section):
    score: Literal["msp", "max_logit", "energy", "knn", "confidence"]
    clip_score: Literal["msp", "max_logit", "energy", "knn", "confidence", "mcm", "neglabel"]
    bins: Count
    distance_samples: Count
    recognition: Recognition
    unified: Unified
    ablations: dict[Item, Ablation]
