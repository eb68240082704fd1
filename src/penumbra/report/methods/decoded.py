"""Bad-OOD's representations as other decoders paint them (its Fig. 4 b)."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, drawn
from penumbra.report.gallery import images, places
from penumbra.report.mosaic import SHOWN, show, tile
from penumbra.stage import Stage


def far(candidates: pd.DataFrame) -> list[str]:
    """The scale of the guidance."""
    return [f"scale {scale:g}" for scale in candidates.scale]


def painted(results: Results) -> list[Block]:
    """Some representations, and what each decoder makes of them."""
    blocks = []
    for method in dict.fromkeys(results.params.synthesize[name].of for name in results.of("decoded")):
        blocks += drawn(
            results,
            f"{method}-decoders",
            "What decodes Bad-OOD's guided representations (Fig. 4 b): in each column an ID image, the candidate that MAGE makes of its "
            f"guided representation ({method}), and below it what other decoders make of the same one.",
        )
    return blocks


def figures(stage: Stage, tables: Frames, plots: Frames, candidates: Frames) -> dict[str, style.Drawn]:
    """A figure for each method whose representations others paint."""
    drawn, variants, sources = {}, stage.params.synthesize, stage.read("images") / "train.parquet"
    for method in dict.fromkeys(variants[name].of for name in candidates):
        frames = {name: frame for name, frame in candidates.items() if variants[name].of == method}
        drawn[f"{method}-decoders"] = decoders(method, frames, stage.within("outliers", [method, *frames]), sources)
    return drawn


def decoders(method: str, candidates: Frames, paths: Mapping[str, Path], sources: Path) -> style.Drawn:
    """ID images, and below them what each decoder has made of one representation.

    Args:
        method: whose representations they are.
        candidates: columns sample_id, source_id, of; by variant.
        paths: data/outliers/VARIANT.parquet of `method` and of the others.
        sources: data/images/train.parquet.
    """
    first = next(iter(candidates.values()))
    chosen = first.iloc[places(len(first), SHOWN)]
    named = {method: list(chosen.of)} | {name: list(frame.set_index("of").sample_id[chosen.of]) for name, frame in candidates.items()}
    real = images(sources, list(chosen.source_id))
    rows = [[tile(real[name]) for name in chosen.source_id]]
    for name, samples in named.items():
        made = images(paths[name], samples)
        rows.append([tile(made[sample]) for sample in samples])
    with style.figure(1, 1, 0.2 + 0.9 * style.WIDTH * len(rows) / (SHOWN + 1)) as (drawn, axes):
        show(axes[0], rows, ["ID", *named], [])
        return style.files(drawn)


BLOCKS = {"synthesize": painted}
