"""`penumbra study`: real clones of a real repository; the experiment itself is made up."""

import subprocess
import sys
import time

import pandas as pd
import pytest
from ruamel.yaml import YAML

from penumbra.benchmark import study as tables
from penumbra.errors import PenumbraError
from penumbra.workflow import study as module

PARAMS = "common: {seed: 7, kernels: native}\nprepare: {id: {source: mnist, path: null, classes: null}}\nreport: {gallery: 1}\n"
ORIGINAL = module._call


@pytest.fixture
def called(tmp_path, monkeypatch):
    """A repository with a DVC cache; returns the commands that clones are asked to run, of which only those of git do what they say."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "code.json").write_text('{"benchmark": {"code": "a"}, "report": {"code": "b"}}')
    (tmp_path / "conf/ablations").mkdir(parents=True)
    (tmp_path / "conf/ablations/study.yaml").write_text("common: {kernels: native}\n")
    (tmp_path / ".gitignore").write_text("/.penumbra/\n/reports/\n")
    for command in ("git init --quiet .", "dvc init --quiet", "git add .", "git -c user.name=a -c user.email=b commit --quiet -m one"):
        subprocess.run(command.split(), check=True)
    commands = []

    def call(folder, *command, quiet=False):
        commands.append((folder.name, command))
        if command[0] == "git":
            ORIGINAL(folder, *command)
        if "configure" in command:
            seed = int(command[-1].split("=")[1])
            (folder / "params.yaml").write_text(PARAMS.replace("seed: 7", f"seed: {seed}"))
        if "repro" in command:
            _results(folder, YAML(typ="safe").load(folder / "params.yaml")["common"]["seed"])

    monkeypatch.setattr(module, "_call", call)
    return commands


def _results(folder, seed):
    made = folder / "reports/tables"
    made.mkdir(parents=True, exist_ok=True)
    numbers = {"detector": "none", "score": "energy", "seed": [0, 1], "near_auroc": [0.9, 0.91 + 0.01 * seed]}
    pd.DataFrame(numbers).to_csv(made / "seeds.csv", index=False)
    claim = {"claim": "c", "about": "training", "source": "(no paper)", "measure": "AUROC near", "seed": [0, 1], "difference": [0.1, 0.2]}
    pd.DataFrame(claim).to_csv(made / "pairs.csv", index=False)


def runs(commands):
    return [folder for folder, command in commands if "repro" in command]


def test_each_seed_is_run_once_and_kept_as_an_experiment(called, capsys):
    module.study([0, 1])
    module.study([0, 1, 2])
    assert runs(called) == ["seed-0", "seed-1", "seed-2"]
    assert [command[-1] for _, command in called if "save" in command] == ["study-0", "study-1", "study-2"]
    found = tables.read_rows(module.FOLDER, "runs")
    assert list(found.common_seed) == [0, 1, 2] and set(found.data) == {"mnist"} and set(found.kernels) == {"native"}
    assert tables.read_rows(module.FOLDER, "claims").generator_seeds.tolist() == [3]
    assert "seed 0 is done" in capsys.readouterr().out and not list(module.CLONES.iterdir())


def test_other_code_runs_again_and_the_code_of_the_report_does_not(called, tmp_path):
    module.study([0])
    for name in ("report", "benchmark"):
        text = (tmp_path / "code.json").read_text()
        (tmp_path / "code.json").write_text(text.replace(f'"{name}": {{"code": "', f'"{name}": {{"code": "x'))
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=b", "commit", "--quiet", "-a", "-m", "two"], check=True)
        module.study([0])
    assert runs(called) == ["seed-0"] * 2


def test_a_failure_loses_nothing(called, monkeypatch):
    call = module._call

    def failing(folder, *command, quiet=False):
        if folder.name == "seed-1" and "repro" in command:
            (folder / "half").write_text("done")
            raise PenumbraError("failed")
        call(folder, *command, quiet=quiet)

    monkeypatch.setattr(module, "_call", failing)
    with pytest.raises(PenumbraError):
        module.study([0, 1])
    assert list(tables.read_rows(module.FOLDER, "runs").common_seed) == [0]
    assert (module.CLONES / "seed-1/half").exists()  # it goes on there
    monkeypatch.setattr(module, "_call", call)
    module.study([0, 1])
    assert runs(called) == ["seed-0", "seed-1"]


def test_what_is_not_committed_is_not_studied(called, tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS + "# a word\n")
    with pytest.raises(PenumbraError, match=r"Commit or undo first[\s\S]*params.yaml"):
        module.study([0])


def test_who_ends_a_study_ends_what_it_runs(tmp_path):
    """Of a command that is killed outright the jobs would go on."""
    program = "import signal, sys; from pathlib import Path; from penumbra.workflow.study import _call; "
    program += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
    program += "_call(Path('.'), 'sh', '-c', 'trap \"touch ended; exit\" TERM; touch began; while :; do sleep 0.05; done')"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    while not (tmp_path / "began").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    assert process.wait() == 3 and (tmp_path / "ended").exists()


def test_a_command_that_fails_names_its_folder(tmp_path):
    with pytest.raises(PenumbraError, match="run the study again"):
        ORIGINAL(tmp_path, "false")
