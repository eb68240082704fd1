"""synthesize@good: outliers by guiding a text-to-image model away from what the ID classifier knows (GOOD)."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.captions import concepts
from penumbra.stage import Params, Stage
from penumbra.synthesize import outliers

BLOCK = 64  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "prompt": pa.string(),
    "guidance": pa.string(),
    "rho": pa.float64(),
    "mu": pa.float64(),
    "energy": pa.float32(),
    "knn": pa.float32(),
    "predicted": pa.int64(),
    "cam": pa.list_(pa.float32()),
    "cam_size": pa.int64(),
    "seed": pa.int64(),
}
FEATURES = {"features": pa.list_(pa.float32())}  # where parameters ask for them


@dataclass(frozen=True)
class Candidate:
    """A candidate before it is made.

    Attributes:
        index: its place in the plan.
        guidance: key of params `guidances`.
        rho, mu: strengths of variance and mean guidance.
        label: class of its prompt.
        stream: what its noise belongs to. The first copies of a class share one at all strengths, so that they differ by
            the guidance and nothing else; every other candidate has its own.
    """

    index: int
    guidance: str
    rho: float
    mu: float
    label: int
    stream: str


def strengths(section: Params) -> list[tuple[float, float]]:
    """The pairs (rho, mu) of one guidance: all combinations, or the two lists side by side."""
    return list(product(section.rho, section.mu) if section.grid else zip(section.rho, section.mu, strict=True))


def plan(guidances: dict[str, Params], classes: int) -> list[Candidate]:
    """All candidates in order: guidance, strength, class, copy."""
    found: list[Candidate] = []
    for guidance, section in guidances.items():
        for position, (rho, mu) in enumerate(strengths(section)):
            for label, copy in product(range(classes), range(section.per_class)):
                stream = f"{guidance}-{position}-{label}-{copy}" if copy else f"{label}"
                found.append(Candidate(len(found), guidance, rho, mu, label, stream))
    return found


def _report(stage: Stage) -> None:
    """One line per strength on stderr, and a warning where more strength does not mean further out."""
    frame = pq.read_table(stage.write("outliers"), columns=["guidance", "rho", "mu", "energy", "knn"]).to_pandas()
    for guidance, rows in frame.groupby("guidance", sort=False):
        section = stage.params.synthesize[stage.item].guidances[guidance]
        level, way = "energy" if section.energy or not section.knn else "knn", -1 if section.energy < 0 else 1
        for names in (["rho"], ["mu"]) if section.grid else (["rho", "mu"],):
            means = rows.groupby(names)[["energy", "knn"]].mean()
            for values, mean in means.iterrows():
                strength = ", ".join(f"{name} {value:g}" for name, value in zip(names, np.atleast_1d(values), strict=True))
                print(f"{stage.name}: {guidance}, {strength}: energy {mean.energy:.2f}, knn {mean.knn:.3f}", file=sys.stderr)
            if len(means) > 1 and way * (means[level].iloc[-1] - means[level].iloc[0]) <= 0:
                print(
                    f"warning: {stage.name}: {guidance}: {level} does not {'fall' if way < 0 else 'rise'} with {' and '.join(names)}. "
                    f"Set more weight ({level}) or other strengths in synthesize.{stage.item}.guidances.{guidance}.",
                    file=sys.stderr,
                )


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each candidate."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.good.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    p = stage.params.synthesize[stage.item]
    candidates = plan(p.guidances, len(concepts(stage.read("images/train"))))
    outliers.run(stage, candidates, BLOCK, COLUMNS | (FEATURES if p.features else {}), load, _report)
