"""Sections -> one self-contained HTML page."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penumbra.dataset import data_set
from penumbra.report import study, style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Results
from penumbra.report.format import measures
from penumbra.report.gallery import uri
from penumbra.report.sections import sections


def environment() -> Environment:
    """Templates beside this file; `picture` (PNG or JPEG) and `svg` turn bytes into data URIs."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"picture": uri, "svg": partial(uri, kind="image/svg+xml")}
    made.globals["bands"] = style.BANDS
    return made


def render(results: Results) -> str:
    """The page: everything inside, nothing fetched."""
    return (
        environment()
        .get_template("template.html")
        .render(
            sections=sections(results),
            headline=measures(results.tables["detectors"], ["detector", "score"], HEADLINE),
            figures=results.figures,
            tallies=study.tallies(results.study["claims"] if results.study else results.tables["claims"]),
            studied=study.detectors(results.study, HEADLINE) if results.study else None,
            sizes=study.sizes(results.study) if results.study else "",
            seeds=len(results.params.train.seeds),
            data=data_set(results.params.prepare.id),
        )
    )
