"""`penumbra compare` in real repositories: parameters that differ, one row a detector, and what it says when it cannot."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penumbra.artifacts.tables import write_json
from penumbra.workflow import changes, compare

ROOT = Path(__file__).parents[2]
ENV = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "1"}
ENV |= {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
NAMES = ["none", "badood-all", "badood-random", "badood-mid", "badood-gaussian-mid", "good-none", "good-all"]
NAMES += ["sona-none", "sona-all", "synood-all", "clip", "clip-synood"]


def entry(mean, std=0.01):
    return {"mean": mean, "std": std}


def metrics(auroc=0.9, std=0.01):
    group = {"auroc": entry(auroc, std), "fpr95_id_tpr": entry(0.2, std)}
    result = {"id_acc": entry(0.99, std), "score": "energy", "near": group, "far": copy.deepcopy(group)}
    return {"data": "digits: 0, 1", "detectors": {name: copy.deepcopy(result) for name in NAMES}}


class Project:
    """A git repository with params.yaml and reports/metrics.json; `dvc` makes it one of DVC's."""

    def __init__(self, root):
        self.root = root
        root.mkdir()
        self.run("git", "init", "-q", "-b", "main")
        self.write("filter: {badood: {mid: [0.3, 0.5]}}\ncommon: {seed: 0}\n", metrics())
        self.commit()

    def write(self, params, content):
        (self.root / "params.yaml").write_text(params)
        write_json(self.root / "reports/metrics.json", content)

    def commit(self):
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "run", "--allow-empty")

    def run(self, *command, check=True):
        env = ENV | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def compare(self, *names, **options):
        return self.run(sys.executable, "-c", "from penumbra.cli import main; main()", "compare", *names, **options)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def row(text, detector):
    return next(line for line in text.splitlines() if line.startswith(f"{detector} "))


def test_head_and_workspace_by_default(project):
    changed = metrics()
    changed["detectors"]["badood-mid"]["near"]["auroc"] = entry(0.93, 0.01)
    changed["detectors"]["sona-none"]["far"]["auroc"] = entry(0.91, 0.01)
    project.write("filter: {badood: {mid: [0.35, 0.55]}}\ncommon: {seed: 0}\n", changed)
    text = project.compare().stdout
    assert text.splitlines()[:3] == ["HEAD -> workspace", "  filter.badood.mid  [0.3, 0.5] -> [0.35, 0.55]", ""]
    assert row(text, "badood-mid").split() == ["badood-mid", "20.0", "=", "93.0", "+3.0±1.4*", "20.0", "=", "90.0", "=", "99.0", "="]
    assert "+1.0±1.4" in row(text, "sona-none") and "*" not in row(text, "sona-none")
    assert "in-distribution: digits: 0, 1" in text and "spread" in text


def test_thirteen_detectors_fit_a_hundred_columns(project):
    """The widest cells that numbers of percent can make, all at once."""
    for mean in (0.905, 1.0):
        project.commit()
        group = {"auroc": entry(mean, 0.06), "fpr95_id_tpr": entry(mean, 0.06)}
        result = {"near": group, "far": group, "id_acc": entry(mean, 0.06)}
        project.write(f"common: {{seed: {mean}}}\n", {"detectors": dict.fromkeys(NAMES, result)})
    text = project.compare().stdout
    assert row(text, "badood-gaussian-mid").count("100.0 +9.5±8.5*") == len(compare.COLUMNS)
    assert max(map(len, text.splitlines())) <= 100


def test_two_revisions_by_any_name_of_git(project):
    project.run("git", "tag", "first")
    project.write("common: {seed: 1}\n", metrics(auroc=0.8))
    project.commit()
    text = project.compare("first", "HEAD").stdout
    assert "  filter       {badood: {mid: ...  0.5]}} -> (absent)\n  common.seed  0 -> 1\n" in text
    assert "-10±1*" in row(text, "none")
    assert "+10±1*" in row(project.compare("HEAD", "HEAD~1").stdout, "none")


def test_a_folder_of_a_larger_repository(project):
    inner = project.root / "inner"
    inner.mkdir()
    for name in ("params.yaml", "reports"):
        (project.root / name).rename(inner / name)
    project.commit()
    project.root = inner
    assert "no parameter differs" in project.compare().stdout


def test_an_experiment_of_dvc_by_its_name(project):
    project.run("dvc", "init", "-q")
    (project.root / "dvc.yaml").write_text("stages: {}\nparams: [params.yaml]\nmetrics: [reports/metrics.json]\n")
    project.commit()
    project.write("common: {seed: 5}\n", metrics(auroc=0.95))
    project.run("dvc", "exp", "save", "-n", "better")
    project.run("git", "checkout", "-q", "--", ".")
    text = project.compare("HEAD", "better").stdout
    assert "common.seed  0 -> 5" in text and "95.0 +5.0±1.4*" in row(text, "none")
    assert project.compare("workspace", "better").stdout.count("+5.0±1.4*") == 2 * len(NAMES)
    wrong = project.compare("beter", check=False)
    assert wrong.stderr == "penumbra: beter: neither a git revision nor a DVC experiment. Did you mean better?\n" and wrong.returncode == 1


def test_detectors_that_come_and_go_other_data_and_other_scores_are_told(project):
    content = metrics()
    content["detectors"]["badood-far"] = content["detectors"].pop("none")
    content["detectors"]["clip"]["score"] = "mcm"
    content["data"] = "folder birds"
    project.write("common: {seed: 0}\n", content)
    text = project.compare().stdout
    assert "not comparable, another data set: digits: 0, 1 -> folder birds\nadded: badood-far\nremoved: none\n" in text
    assert "clip: by another score, energy -> mcm" in text
    assert row(text, "badood-far").split()[1:3] == ["20.0", "new"]


def test_parameters_without_their_numbers_are_told(project):
    project.write("common: {seed: 1}\n", metrics())
    assert "the same numbers in spite of other parameters: `penumbra repro --dry`" in project.compare().stdout


def test_many_parameters_are_cut_short(project):
    project.write("\n".join(f"key{i}: 1" for i in range(30)), metrics())
    assert "  ... and 12 more" in project.compare().stdout


def test_one_seed_has_no_spread():
    assert compare.cell(entry(0.9, None), entry(0.95, None)) == ("95.0", "+5.0 ")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nowhere"], "nowhere: neither a git revision nor a DVC experiment. `git log` and `dvc exp list` know the names."),
        (["first"], "first: has no reports/metrics.json. Name a revision or an experiment in which it is committed."),
        (["HEAD"], "reports/metrics.json: not there yet. Run `penumbra repro` to make it, or name a revision that has it."),
    ],
)
def test_what_cannot_be_compared_is_one_line(project, names, message):
    project.run("git", "rm", "-q", "reports/metrics.json")
    project.run("git", "commit", "-qm", "without results")
    project.run("git", "tag", "first")
    project.run("git", "revert", "--no-edit", "HEAD")
    (project.root / "reports/metrics.json").unlink()
    done = project.compare(*names, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (1, f"penumbra: {message}\n", "")


def test_outside_of_a_repository(project):
    project.run("rm", "-rf", ".git")
    assert "not a git repository" in project.compare(check=False).stderr


@pytest.mark.parametrize(("content", "reason"), [("{", "is no JSON"), (json.dumps({"digest": 1}), "holds no results of detectors")])
def test_metrics_of_another_shape(project, content, reason):
    (project.root / "reports/metrics.json").write_text(content)
    assert f"penumbra: workspace: reports/metrics.json {reason}" in project.compare(check=False).stderr


def test_only_real_differences_count():
    old = {"a": 1, "b": [1, 2.0], "c": {"d": True}, "e": "1"}
    assert list(changes.changes(old, {"a": 1.0, "b": [1, 2.0], "c": {"d": True}, "e": "1"})) == [("a", 1, 1.0)]
    assert list(changes.changes({"a": None}, {})) == [("a", None, changes.ABSENT)]


def test_a_long_value_is_shortened_in_its_middle():
    assert changes.text(list(range(100))) == "[0, 1, 2, 3, 4 ... 98, 99]"
