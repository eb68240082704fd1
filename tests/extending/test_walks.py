"""docs/extending.md, walked: what each of its four walks adds works, and nothing else was touched.

A walk is the files below tests/extending/NAME/ and the command of the page; the steps are the real ones, on very little data.
"""

import csv
import re
import shutil
from pathlib import Path

import pytest

from miniature import ROOT, Miniature
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_json

HERE = Path(__file__).parent
PAGE = (ROOT / "docs/extending.md").read_text()


class Workspace(Miniature):
    """A checkout of its own with the real steps."""

    @property
    def env(self):
        """As of a miniature, but with the real `penumbra`."""
        env = super().env
        return env | {"PATH": env["PATH"].partition(":")[2]}

    def walk(self, name: str) -> list[str]:
        """Follow a walk, and commit; returns the files that are new or another."""
        if (HERE / name).exists():
            shutil.copytree(HERE / name, self.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        command = next(block for block in re.findall(r"```\n(penumbra configure .*?)```", PAGE, re.S) if f"# {name}" in block)
        self.run("bash", "-c", command)
        touched = self.run("git", "status", "--porcelain", "--untracked-files=all").stdout
        self.commit(name)
        return sorted(line[3:] for line in touched.splitlines())

    def table(self, name: str) -> list[dict]:
        """A table of the benchmark."""
        with open(self.root / f"reports/tables/{name}.csv") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def walked(once) -> Workspace:
    """A checkout of the smallest experiment after three walks, which has run; `touched` has the files of each walk."""

    def build(folder):
        made = Workspace.create(folder / "checkout")
        shutil.copy(HERE / "walk.yaml", made.root / "conf/experiment/walk.yaml")
        made.run("penumbra", "configure", "experiment=walk")
        made.commit("the smallest experiment")
        write_json(folder / "touched.json", {name: made.walk(name) for name in ("synthesizer", "loss", "source")})
        made.penumbra("repro", "benchmark")
        made.commit("results")

    folder = once("walked", build)
    made = Workspace(folder / "checkout")
    made.touched = read_json(folder / "touched.json")
    return made


def test_another_synthesiser_is_a_room_and_a_section(walked):
    room = "src/penumbra/synthesize/mixed"
    assert walked.touched["synthesizer"] == ["params.yaml", *(f"{room}/{file}.py" for file in ("__init__", "params", "plan"))]
    outliers = read_table(walked.root / "data/outliers/mixed.parquet").to_pandas()
    assert len(outliers) and (outliers.source_id != outliers.other_id).all()
    assert {"none", "mixed-all", "margin"} == {row["detector"] for row in walked.table("detectors")}


def test_another_loss_is_a_file_and_a_section(walked):
    assert walked.touched["loss"] == ["params.yaml", "src/penumbra/train/losses/margin.py"]
    history = (walked.root / "data/detectors/margin/history.csv").read_text()
    assert "hinges" in history.splitlines()[0]


def test_another_test_set_is_a_file_and_a_section(walked):
    assert walked.touched["source"] == ["params.yaml", "src/penumbra/prepare/sources/faces.py"]
    assert "faces" in {row["set"] for row in walked.table("scores")}
    assert read_json(walked.root / "reports/metrics.json")["detectors"]["none"]


def test_another_score_is_a_file_and_a_section_and_no_network_runs(walked, tmp_path):
    workspace = walked.copy(tmp_path / "checkout")
    outputs = {path: path.read_bytes() for path in (workspace.root / "data/outputs").rglob("*.safetensors")}
    began = {path: path.stat().st_mtime_ns for path in outputs}
    assert workspace.walk("score") == ["params.yaml", "src/penumbra/scores/entropy.py"]
    workspace.penumbra("repro", "benchmark")
    assert "entropy" in {row["score"] for row in workspace.table("scores")}
    assert {path: path.stat().st_mtime_ns for path in outputs} == began and outputs
