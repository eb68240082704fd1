"""Write into README.md, between their markers, the headline table of the committed run, what the committed study says, and the controls."""

from pathlib import Path
from textwrap import fill

from penumbra.benchmark.intervals import UNDECIDED
from penumbra.report import learnt, study
from penumbra.report.content import read_csv
from penumbra.report.format import Table
from penumbra.report.paper import headline, markdown
from penumbra.report.words import sides

ROOT = Path(__file__).parents[1]
WIDTH = 140


def studied(folder: Path) -> str:
    """What was learnt, a sentence in each line of a list, and a row of effects for each claim about training.

    Args:
        folder: benchmarks/study.
    """
    tables = {name: read_csv(folder / f"{name}.csv") for name in ("claims", "detectors")}
    lines = [fill(said, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for said in learnt.of_study(tables)]
    return "\n".join([*lines, "", markdown(study.effects(tables["claims"]))])


def controlled(folder: Path) -> str:
    """A row for each claim about training that only the run with more controls has; decided by its spread are bold.

    Args:
        folder: benchmarks/controls.
    """
    table, known = (read_csv(each / "claims.csv") for each in (folder, ROOT / "benchmarks/study"))
    table = table[(table.about == study.TRAINING) & ~table.claim.isin(known.claim)]
    rows, best = [], set()
    for place, (claim, part) in enumerate(table.groupby("claim", sort=False)):
        found = part.set_index("measure").loc[list(study.MEASURES)]
        cells = [f"{100 * row.difference:.1f} ± {100 * row.pooled_std:.1f}" for row in found.itertuples()]
        best |= {(place, 3 + column) for column, verdict in enumerate(found.verdict) if verdict != UNDECIDED}
        rows.append([*sides()[claim], *cells])
    return markdown(Table(["trained on", "against", "score", *study.MEASURES], rows, best))


def replaced(readme: str, name: str, text: str) -> str:
    """The text of README.md with another text between the markers of this name."""
    start, end = f"<!-- {name}: python benchmarks/readme_table.py -->", f"<!-- /{name} -->"
    before, rest = readme.split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"


def written(readme: str) -> str:
    """The text of README.md with what is committed now."""
    readme = replaced(readme, "headline", markdown(headline(read_csv(ROOT / "reports/tables/detectors.csv"))))
    readme = replaced(readme, "study", studied(ROOT / "benchmarks/study"))
    return replaced(readme, "controls", controlled(ROOT / "benchmarks/controls"))


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
