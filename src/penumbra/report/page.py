"""Sections -> one self-contained HTML page."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penumbra.dataset import data_set
from penumbra.report import style
from penumbra.report.columns import HEADLINE
from penumbra.report.content import Results
from penumbra.report.format import measures
from penumbra.report.gallery import uri
from penumbra.report.sections import sections

VERDICTS = ("held", "within spread", "did not hold")
SUBJECTS = {"training": "what detectors learn from which outliers", "other": "scores, calibrators and candidates themselves"}


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
    claims = results.tables["claims"]
    tallies = {}
    for subject, rows in claims.groupby("about", sort=False):
        counts = rows.verdict.value_counts()
        tallies[SUBJECTS[subject]] = {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}
    return (
        environment()
        .get_template("template.html")
        .render(
            sections=sections(results),
            headline=measures(results.tables["detectors"], ["detector", "score"], HEADLINE),
            figures=results.figures,
            tallies=tallies,
            seeds=len(results.params.train.seeds),
            data=data_set(results.params.prepare.id),
        )
    )
