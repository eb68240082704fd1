"""What the page holds, without a word of HTML: results that the step loads, and the blocks that sections are made of."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from penumbra.report.format import Table
from penumbra.report.gallery import Gallery
from penumbra.report.style import Drawn
from penumbra.stage import Params

Frames = dict[str, pd.DataFrame]


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
        candidates: columns of data/outliers/VARIANT.parquet (no pixels) by variant of a method.
        own: what the modules of `methods` have read, by their names.
        galleries: some candidates of each variant that has a selection.
        study: tables of benchmarks/study by name; none where no study is of this data.
        figures: by name.
        cost: benchmarks/cost.csv.
        machine: what benchmarks/machine.json says of the machine behind `cost`.
        versions: versions of libraries by the stage that used them.
    """

    params: Params
    tables: Frames
    plots: Frames
    sets: list[ImageSet]
    histories: Frames
    samples: dict[str, list[ImageSet]]
    candidates: Frames
    own: dict[str, Any]
    galleries: dict[str, Gallery]
    study: Frames
    figures: dict[str, Drawn]
    cost: pd.DataFrame
    machine: dict
    versions: dict[str, dict[str, str]]

    def of(self, method: str) -> Frames:
        """Candidates of one method (badood, good, ...), by variant."""
        return {name: frame for name, frame in self.candidates.items() if self.params.synthesize[name].method == method}


@dataclass(frozen=True)
class Block:
    """One thing on the page with a caption: exactly one of the fields after `caption` is given, and a name where others link to it."""

    caption: str = ""
    text: str | None = None
    table: Table | None = None
    figure: str | None = None
    gallery: Gallery | None = None
    sets: list[ImageSet] | None = None
    code: str | None = None
    name: str = ""


@dataclass(frozen=True)
class Section:
    """One step of the DAG, or what several of them say of one thing."""

    step: str
    title: str
    blocks: list[Block] = field(default_factory=list)


def drawn(results: Results, figure: str, caption: str) -> list[Block]:
    """A block of a figure; none where the experiment has nothing for it to show."""
    return [Block(caption, figure=figure)] if figure in results.figures else []


def read_csv(path: Path) -> pd.DataFrame:
    """A table of ours: "none" and "null" are names in it."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
