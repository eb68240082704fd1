"""README.md shows the numbers of the committed run."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks/readme_table.py"))


def test_the_tables_equal_the_committed_ones():
    if not (ROOT / "reports/tables/detectors.csv").exists():
        pytest.skip("no committed run yet")
    readme = (ROOT / "README.md").read_text()
    assert SCRIPT["written"](readme) == readme


def test_every_link_of_the_readme_leads_to_a_file_of_the_repository_or_of_a_run():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 8
    missing = [link for link in links if not (ROOT / link).exists() and not link.startswith("reports/")]
    assert not missing
