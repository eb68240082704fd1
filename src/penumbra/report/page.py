"""Sections -> one self-contained HTML page."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from penumbra.dataset import data_set
from penumbra.report import learnt, study, style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Results
from penumbra.report.format import MISSING, Table, measures
from penumbra.report.sections import sections
from penumbra.report.uris import drawing, picture
from penumbra.stage import Params


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


def trained_on(detector: str, params: Params) -> str:
    """What a detector learnt from, and by which recipe."""
    if detector not in params.train.detectors:
        return MISSING  # a control of the study, which this run has not
    setting = params.train.detectors[detector]
    if setting.method != "none":
        return f"{setting.method} {'+'.join(setting.bands)} ({setting.recipe})"
    recipe = params.train.recipes[setting.recipe]
    if not recipe.trains:
        return "nothing" if recipe.detector == "clip" else "ID alone (pretrain.classifier)"
    return f"ID alone ({setting.recipe})"


def described(table: Table, params: Params) -> Table:
    """A table with columns detector and score, and after them what each detector was trained on."""
    rows = [[*row[:2], trained_on(row[0], params), *row[2:]] for row in table.rows]
    return Table([*table.header[:2], "trained on (recipe)", *table.header[2:]], rows, {(row, column + 1) for row, column in table.best})


def render(results: Results) -> str:
    """The page: everything inside, nothing fetched."""
    seeds = len(results.params.train.seeds)
    return (
        environment()
        .get_template("template.html")
        .render(
            sections=sections(results),
            learnt=learnt.of_study(results.study) if results.study else learnt.of_run(results.tables, seeds),
            headline=described(measures(results.tables["detectors"], ["detector", "score"], HEADLINE), results.params),
            figures=results.figures,
            tallies=study.tallies(results.study["claims"] if results.study else results.tables["claims"]),
            studied=described(study.detectors(results.study, HEADLINE), results.params) if results.study else None,
            sizes=study.sizes(results.study) if results.study else "",
            seeds=seeds,
            data=data_set(results.params.prepare.id),
        )
    )
