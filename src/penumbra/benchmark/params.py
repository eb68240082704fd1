"""Parameters of benchmark."""

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import AfterValidator

from penumbra.scores import names
from penumbra.values import Count, Item, NotNegative, Section, Share, ShareAboveZero, Text, distinct

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
    scores: Annotated[list[Literal[(*names(), *MODES)]], MinLen(1), AfterValidator(distinct)]
    variants: Annotated[dict[Item, Text], MinLen(1)]


class Recognition(Section):
    classes: Literal["all", "id"]
    recognised: ShareAboveZero
    samples: Count


class Benchmark(Section):
    score: Literal[names("network")]
    clip_score: Literal[names("clip")]
    bins: Count
    distance_samples: Count
    recognition: Recognition
    unified: Unified
    ablations: dict[Item, Ablation]
