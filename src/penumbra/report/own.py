"""What only one method has, of all the methods of an experiment."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.images import read_table
from penumbra.benchmark.rooms import rooms
from penumbra.report import methods
from penumbra.report.content import Block, Frames, Results
from penumbra.report.style import Drawn
from penumbra.stage import Stage


def candidates(stage: Stage) -> Frames:
    """Candidates by variant: the columns that hold one value a row, and what else their method's module asks for."""
    modules, variants = rooms(methods, stage.params), stage.params.synthesize
    further = {name: getattr(modules.get(variant.method), "COLUMNS", ()) for name, variant in variants.items()}
    return {name: _candidates(path, further[name]) for name, path in stage.within("outliers", variants).items()}


def _candidates(path: Path, further: tuple[str, ...]) -> pd.DataFrame:
    """No pixels, maps or features: they would fill the memory."""
    schema = pq.read_schema(path)
    large = {field.name for field in schema if pa.types.is_nested(field.type) or pa.types.is_binary(field.type)}
    return read_table(path, [name for name in schema.names if name not in large or name in further]).to_pandas()


def read(stage: Stage) -> dict[str, object]:
    """Their further inputs, by name."""
    return {name: module.read(stage) for name, module in rooms(methods, stage.params).items() if hasattr(module, "read")}


def far(stage: Stage, made: Frames) -> dict[str, list[str]]:
    """How far each candidate was led, in a few letters, by variant; nothing where the module of its method does not say.

    Args:
        stage: report.
        made: candidates by variant.
    """
    modules, variants = rooms(methods, stage.params), stage.params.synthesize
    said = {}
    for name, frame in made.items():
        module = modules.get(variants[name].method)
        said[name] = module.far(frame) if hasattr(module, "far") else [""] * len(frame)
    return said


def figures(stage: Stage, tables: Frames, plots: Frames, made: Frames) -> dict[str, Drawn]:
    """Their figures.

    Args:
        stage: report.
        tables, plots: of the benchmark.
        made: candidates by variant.
    """
    drawn: dict[str, Drawn] = {}
    for name, module in rooms(methods, stage.params).items():
        if hasattr(module, "figures"):
            own = {variant: frame for variant, frame in made.items() if stage.params.synthesize[variant].method == name}
            drawn |= module.figures(stage, tables, plots, own)
    return drawn


def blocks(results: Results, section: str) -> list[Block]:
    """Their blocks of a section of the page."""
    makers = (getattr(module, "BLOCKS", {}).get(section) for module in rooms(methods, results.params).values())
    return [block for maker in makers if maker for block in maker(results)]
