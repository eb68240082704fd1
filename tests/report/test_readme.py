"""README.md shows the numbers of the committed run."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks/readme_table.py"))


def test_the_table_equals_the_committed_metrics():
    if not (ROOT / "reports/metrics.json").exists():
        pytest.skip("no committed run yet")
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert SCRIPT["replaced"](readme, SCRIPT["headline"](metrics)) == readme


def test_the_table_has_a_row_for_each_detector():
    entry = {"mean": 0.1234, "std": 0.05}
    group = {"fpr95_id_tpr": entry, "auroc": {"mean": 0.9, "std": None}}
    table = SCRIPT["headline"]({"detectors": {"none": {"near": group, "far": group, "id_acc": entry}}})
    assert table.splitlines()[2] == "| none | 12.3 ± 5.0 | 90.0 | 12.3 ± 5.0 | 90.0 | 12.3 ± 5.0 |"


def test_another_headline_score_is_named():
    entry = {"mean": 0.5, "std": None}
    results = {"near": {"fpr95_id_tpr": entry, "auroc": entry}, "far": {"fpr95_id_tpr": entry, "auroc": entry}, "id_acc": entry}
    scores = {"none": "energy", "sona-all": "energy", "clip": "neglabel"}
    table = SCRIPT["headline"]({"detectors": {name: results | {"score": score} for name, score in scores.items()}})
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| none", "| sona-all", "| clip (neglabel)"]


def test_every_link_of_the_readme_leads_to_a_file_of_the_repository_or_of_a_run():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 8
    missing = [link for link in links if not (ROOT / link).exists() and not link.startswith("reports/")]
    assert not missing
