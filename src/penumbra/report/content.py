"""What the page holds, without a word of HTML: results that the step loads, and the blocks that sections are made of."""

from dataclasses import dataclass, field

import pandas as pd

from penumbra.artifacts.contexts import Context
from penumbra.artifacts.negatives import Negative
from penumbra.report.format import Table
from penumbra.report.gallery import Pair
from penumbra.stage import Params


@dataclass(frozen=True)
class ImageSet:
    """Example images (PNG bytes) of one set of data/images, in file order or by strength of the shift; or of one caption."""

    name: str
    group: str
    count: int
    examples: list[bytes]


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        params: all sections of params.yaml.
        tables, plots: the benchmark's CSV files, by name.
        sets: example images.
        histories: data/models/MODEL/history.csv by model that was trained here.
        samples: of the pipelines, by caption or kind.
        negatives: the mined negative labels, in their order; none where the stage does not read them.
        contexts: the context labels of ID images.
        candidates: columns of data/outliers/METHOD.parquet (no pixels) by method.
        galleries: pairs of images by method that has a selection.
        figures: SVG bytes by name.
        cost, clip_cost: benchmarks/cost.csv and benchmarks/clip_cost.csv.
        machine: what benchmarks/machine.json says of the machine behind `cost`.
        versions: versions of libraries by the stage that used them.
    """

    params: Params
    tables: dict[str, pd.DataFrame]
    plots: dict[str, pd.DataFrame]
    sets: list[ImageSet]
    histories: dict[str, pd.DataFrame]
    samples: dict[str, list[ImageSet]]
    negatives: list[Negative]
    contexts: list[Context]
    candidates: dict[str, pd.DataFrame]
    galleries: dict[str, list[Pair]]
    figures: dict[str, bytes]
    cost: pd.DataFrame
    clip_cost: pd.DataFrame
    machine: dict
    versions: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Block:
    """One thing on the page with a caption: exactly one of the fields after `caption` is given."""

    caption: str = ""
    text: str | None = None
    table: Table | None = None
    figure: str | None = None
    gallery: list[Pair] | None = None
    sets: list[ImageSet] | None = None
    code: str | None = None


@dataclass(frozen=True)
class Section:
    """One step of the DAG, or what several of them say of one thing."""

    step: str
    title: str
    blocks: list[Block] = field(default_factory=list)
