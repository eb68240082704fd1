"""Sections -> one self-contained HTML page."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from penumbra.dataset import data_set
from penumbra.report import study, style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Results
from penumbra.report.format import measures
from penumbra.report.sections import sections
from penumbra.report.uris import drawing, picture


def environment() -> Environment:
    """Templates beside this file; `picture` (PNG or JPEG) and `drawing` (SVG) turn bytes into data URIs, `said` shows text."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"picture": picture, "drawing": drawing, "said": said}
    made.globals["bands"] = style.BANDS
    return made


def said(text: str) -> Markup:
    """Text of a caption or a sentence: what stands between backticks is a name or a command."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


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
