"""Running in a container: its recipes install what `make` does, its digest is part of what stages depend on, jobs are started in it."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from penumbra.errors import PenumbraError
from penumbra.workflow import code, contract

ROOT = Path(__file__).parents[2]
OCI, APPTAINER = ROOT / "container/Containerfile", ROOT / "container/penumbra.def"
DIGEST = "sha256:" + "0f" * 32
APPTAINER_STAND_IN = """#!/bin/sh
# Takes the command line of apptainer and runs the command, here. What it was called with is in a log.
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
echo "$@" | head -n 1 >> {log}
while [ "$1" != bash ]; do shift; done
exec "$@"
"""


def lines(recipe):
    """The lines of a recipe, continued ones as one, without comments."""
    text = recipe.read_text().replace("\\\n", "")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_both_recipes_do_the_same():
    found = []
    for recipe in (OCI, APPTAINER):
        text = "\n".join(lines(recipe))
        base = re.search(r"(?:ARG BASE=|From: )(\S+)", text)[1]
        packages = re.search(r"apt-get install \S+ \S+ ([^&\n]*)", text)[1].split()
        pip = re.search(r"\.venv/bin/python -m pip install .*", text)[0]
        found.append((base, packages, pip))
    assert found[0] == found[1]
    copied = [line.split()[1:-1] for line in lines(OCI) if line.startswith("COPY")]
    files = APPTAINER.read_text().partition("%files")[2].partition("%post")[0].split()
    assert sorted(sum(copied, [])) == sorted(name for name in files if not name.startswith("/opt"))


def test_what_is_copied_suffices_for_make_setup_and_is_not_ignored(tmp_path):
    patterns = [name for line in lines(OCI) if line.startswith("COPY") for name in line.split()[1:-1]]
    for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    kept = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == set(patterns)
    steps = subprocess.run(["make", "-n", "setup", "TORCH=cuda"], cwd=tmp_path, capture_output=True, text=True)
    assert steps.returncode == 0, steps.stderr
    named = re.findall(r"-r (requirements\S*\.lock)", steps.stdout + OCI.read_text())
    assert {"requirements.lock", "requirements-torch.lock", "requirements-slurm.lock"} < set(named)
    assert all((tmp_path / name).exists() for name in named)
    project = (tmp_path / "pyproject.toml").read_text()
    assert 'readme = "README.md"' in project and (tmp_path / "README.md").exists() and (tmp_path / "LICENSE").exists()


def test_without_a_name_nothing_changes_and_with_one_every_stage_has_it(monkeypatch):
    dag = contract.load()
    monkeypatch.delenv(code.IMAGE, raising=False)
    before = json.loads((ROOT / code.CODE).read_text())
    without = code.entries(dag)
    assert without.keys() == before.keys()
    monkeypatch.setenv(code.IMAGE, "")
    assert code.entries(dag) == without
    monkeypatch.setenv(code.IMAGE, DIGEST)
    within = code.entries(dag)
    for entry in (each for each in dag.stages.values() if each.code):
        was, now = (contract.dig(each, entry.key) for each in (without, within))
        assert contract.versions(now) == contract.versions(was) | {"image": DIGEST}
        assert now.pop("libraries").startswith(was.pop("libraries")) and now == was


def test_a_job_in_another_image_than_recorded_is_refused(tmp_path, monkeypatch):
    dag, entry = contract.load(), contract.load().entry("synthesize-none")
    monkeypatch.setattr(code, "CODE", tmp_path / "code.json")
    monkeypatch.setenv(code.IMAGE, DIGEST)
    code.write(code.entries(dag))
    assert code.checked(dag, entry)["libraries"].endswith(f", image {DIGEST}")
    monkeypatch.setenv(code.IMAGE, "sha256:1")
    with pytest.raises(PenumbraError, match=f"the container image is sha256:1 instead of {DIGEST}. Set PENUMBRA_IMAGE to that one"):
        code.checked(dag, entry)
    monkeypatch.delenv(code.IMAGE)
    with pytest.raises(PenumbraError, match=f"the container image is none instead of {DIGEST}"):
        code.checked(dag, entry)
    monkeypatch.setenv(code.IMAGE, "my image")
    with pytest.raises(PenumbraError, match="PENUMBRA_IMAGE: 'my image' must have neither spaces nor commas"):
        code.checked(dag, entry)


def test_with_an_image_in_the_profile_every_job_is_started_in_it(miniature, tmp_path, monkeypatch):
    log, programs = tmp_path / "log", tmp_path / "bin"
    programs.mkdir()
    (programs / "apptainer").write_text(APPTAINER_STAND_IN.format(log=shlex.quote(str(log))))
    (programs / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    profile = YAML(typ="safe").load(miniature.root / "profiles/local/config.yaml")
    profile |= {"software-deployment-method": ["apptainer"], "apptainer-args": "--nv", "config": ["image=penumbra.sif", "shards=1"]}
    (miniature.root / "profiles/mine").mkdir()
    YAML().dump(profile, miniature.root / "profiles/mine/config.yaml")
    miniature.penumbra("run", "benchmark", PENUMBRA_PROFILE="mine")
    assert miniature.counters() == {"benchmark": 1}
    (call,) = log.read_text().splitlines()
    assert re.match(rf"exec --home {miniature.root} .*--nv.* penumbra\.sif bash -c ", call), call
