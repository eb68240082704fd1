"""Write the headline table into README.md, between its markers, from reports/tables/detectors.csv."""

from pathlib import Path

from penumbra.report.content import read_csv
from penumbra.report.paper import headline, markdown

ROOT = Path(__file__).parents[1]
START, END = "<!-- headline: python benchmarks/readme_table.py -->", "<!-- /headline -->"


def replaced(readme: str, table: str) -> str:
    """The text of README.md with another table between the markers."""
    before, rest = readme.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table}\n{END}{after}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    table = markdown(headline(read_csv(ROOT / "reports/tables/detectors.csv")))
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), table), encoding="utf-8")
