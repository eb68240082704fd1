"""Sections -> one self-contained HTML page."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from penumbra.report import style
from penumbra.report.content import Results
from penumbra.report.gallery import uri
from penumbra.report.sections import headline, sections

VERDICTS = ("held", "within spread", "did not hold")


def environment() -> Environment:
    """Templates beside this file; `png` and `svg` turn bytes into data URIs."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"png": uri, "svg": partial(uri, kind="image/svg+xml")}
    made.globals["bands"] = style.BANDS
    return made


def render(results: Results) -> str:
    """The page: everything inside, nothing fetched."""
    claims = results.tables["claims"].verdict.value_counts()
    return (
        environment()
        .get_template("template.html")
        .render(
            sections=sections(results),
            headline=headline(results),
            figures=results.figures,
            claims={verdict: int(claims.get(verdict, 0)) for verdict in VERDICTS},
            score=results.params.benchmark.score,
            seeds=len(results.params.train.seeds),
        )
    )
