"""What DVC prints of the headline metrics, with the commands of docs/comparing.md, in a repository with experiments."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DETECTORS = ["none", "badood-all", "badood-random", "badood-mid", "badood-gaussian-mid", "good-all", "clip-synood"]
DVC_YAML = """\
stages:
  benchmark:
    cmd: python make.py
    params: [filter, common.seed, code.json: [benchmark, train.badood-mid]]
    metrics: [reports/headline.json: {cache: false}]
    outs: [reports/metrics.json: {cache: false}]
"""
PARAMS = (
    "common: {seed: 0}\nfilter: {badood: {mid: [0.3, 0.5]}}\ntrain: {seeds: [0, 1, 2], recipes: {energy: {epochs: 12, batch_size: 64}}}\n"
)
MAKE = f"""\
import json, os
shift = float(open("params.yaml").read().split("mid: [")[1].split(",")[0])
values = {{name: round(90 + 10 * shift * name.startswith("badood"), 1) for name in {DETECTORS!r}}}
os.makedirs("reports", exist_ok=True)
headline = {{"data": "digits: 0, 1", "near_auroc": values, "far_auroc": values, "near_fpr95": values}}
json.dump(headline, open("reports/headline.json", "w"))
json.dump({{"detectors": {{name: {{"near": {{"auroc": {{"mean": value, "std": 0.1}}}}}} for name, value in values.items()}}}},
          open("reports/metrics.json", "w"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository whose workspace has other code than its commits, and two experiments."""
    folder = tmp_path_factory.mktemp("views")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "make.py").write_text(MAKE)
    write_digests(folder, "before")
    shell(folder, "git init -q -b main && dvc init -q && dvc repro -q && git add -A && git commit -qm start")
    write_digests(folder, "after")
    for name, mid in {"wider": "[0.35,0.55]", "high": "[0.5,0.9]"}.items():
        shell(folder, f"dvc exp run -q -n {name} -S 'filter.badood.mid={mid}'")
    return folder


def write_digests(folder, digest):
    entry = {"code": digest * 8, "libraries": {"torch": digest}, "inherited": {"beta": digest}}
    (folder / "code.json").write_text(json.dumps({"benchmark": entry, "train": {"badood-mid": entry}}))


def shell(folder, command):
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100", "GIT_CONFIG_GLOBAL": os.devnull}
    env |= {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_documented_table_of_experiments_fits_a_terminal(project):
    command = re.search(r"^    (dvc exp show .*)$", (ROOT / "docs/comparing.md").read_text(), re.MULTILINE)[1]
    lines = shell(project, command).splitlines()
    assert max(map(len, lines)) <= 100 and not any("…" in line for line in lines)
    assert lines[1].split() == ["Experiment", "near_auroc.badood-mid", "far_auroc.badood-mid", "filter.badood.mid"]
    rows = {name: next(line for line in lines if name in line) for name in ("wider", "high", "main")}
    assert "93.5" in rows["wider"] and "0.35" in rows["wider"] and "95" in rows["high"] and "93" in rows["main"]


def test_a_difference_of_metrics_is_the_headline_and_nothing_more(project):
    lines = shell(project, "dvc metrics diff HEAD").splitlines()
    changed = [name for name in DETECTORS if name.startswith("badood")]
    assert len(lines) == 1 + 3 * len(changed)
    assert all(line.startswith("reports/headline.json") for line in lines[1:])


def test_metrics_of_dvc_are_at_most_forty_numbers(project):
    found = json.loads(shell(project, "dvc metrics show --json"))[""]["data"]
    assert list(found) == ["reports/headline.json"]
    assert sum(len(values) for values in found["reports/headline.json"]["data"].values() if isinstance(values, dict)) <= 40


def test_the_narrow_view_of_the_dag(project):
    assert "benchmark" in shell(project, "dvc dag --mermaid --collapse-foreach-matrix")
    assert max(map(len, shell(project, "dvc stage list").splitlines())) <= 100


def test_a_difference_of_params_says_whose_code_and_which_library_changed(project):
    changed = [line.split() for line in shell(project, "dvc params diff HEAD").splitlines()]
    for whose in ("benchmark", "train.badood-mid"):
        assert ["code.json", f"{whose}.libraries.torch", "before", "after"] in changed
        assert ["code.json", f"{whose}.code", "before" * 8, "after" * 8] in changed
