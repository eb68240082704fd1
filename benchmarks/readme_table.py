"""Write into README.md, between their markers, the headline table of the committed run and what the committed study says."""

from pathlib import Path

import pandas as pd

from penumbra.benchmark.intervals import CONTRADICTED, HELD, UNDECIDED
from penumbra.report import study
from penumbra.report.content import read_csv
from penumbra.report.paper import headline, markdown

ROOT = Path(__file__).parents[1]


def effects(claims: pd.DataFrame) -> str:
    """The tally of the claims about training, and a row for each.

    Args:
        claims: benchmarks/study/claims.csv.
    """
    table = claims[claims.about == study.TRAINING]
    count = table.verdict.value_counts()
    held, contradicted, undecided = (int(count.get(verdict, 0)) for verdict in (HELD, CONTRADICTED, UNDECIDED))
    tally = (
        f"The study has {study.sizes({'claims': table})}. Of {len(table)} comparisons about training {held} have held, "
        f"{contradicted} {'is' if contradicted == 1 else 'are'} contradicted, and {undecided} are undecided."
    )
    return f"{tally}\n\n{markdown(study.effects(table))}"


def replaced(readme: str, name: str, text: str) -> str:
    """The text of README.md with another text between the markers of this name."""
    start, end = f"<!-- {name}: python benchmarks/readme_table.py -->", f"<!-- /{name} -->"
    before, rest = readme.split(start)
    return f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"


def written(readme: str) -> str:
    """The text of README.md with what is committed now."""
    readme = replaced(readme, "headline", markdown(headline(read_csv(ROOT / "reports/tables/detectors.csv"))))
    return replaced(readme, "study", effects(read_csv(ROOT / "benchmarks/study/claims.csv")))


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
