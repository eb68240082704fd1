"""`penumbra headline`, and what becomes of any command whose reader leaves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penumbra.artifacts.tables import write_json
from penumbra.errors import PenumbraError
from penumbra.workflow.headline import headline

ROOT = Path(__file__).parents[2]
ENTRY = {"mean": 0.9, "std": 0.01}
RESULT = {"id_acc": ENTRY, "score": "energy", "near": {name: ENTRY for name in ("fpr95_id_tpr", "auroc", "aupr_out")}}


@pytest.fixture
def folder(tmp_path):
    """A folder with the committed params.yaml and metrics of many detectors on digits."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    content = {"data": "mnist: 0, 1, 2, 3, 4, 5", "detectors": {f"detector-{i}": RESULT for i in range(4000)}}
    write_json(tmp_path / "reports/metrics.json", content)
    return tmp_path


def test_the_headline_begins_with_the_data_set(folder):
    lines = headline(folder / "reports/metrics.json", folder / "params.yaml").splitlines()
    assert lines[:2] == ["in-distribution: mnist: 0, 1, 2, 3, 4, 5", ""]
    assert lines[2].split() == ["detector", "near", "FPR95", "near", "AUROC", "near", "AUPR-out", "ID", "accuracy"]


def test_numbers_of_another_data_set_than_params_are_told(folder):
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("classes: ['0', '1', '2', '3', '4', '5']", "classes: ['1', '2', '3', '4', '5']"))
    line = headline(folder / "reports/metrics.json", params).splitlines()[1]
    assert line == "params.yaml now names mnist: 1, 2, 3, 4, 5: run `penumbra repro` for its numbers"


def test_without_metrics_the_remedy_is_named(folder):
    with pytest.raises(PenumbraError, match="Run `dvc repro`"):
        headline(folder / "metrics.json", folder / "params.yaml")


@pytest.mark.parametrize("command", ["headline", "--help"])
def test_head_may_close_the_pipe(folder, command):
    """The reader is gone before the first byte, as `head -n 0` is."""
    read, write = os.pipe()
    os.close(read)
    program = [sys.executable, "-c", "from penumbra.cli import main; main()", command]
    done = subprocess.run(program, cwd=folder, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == "" and done.returncode in (0, 141)  # argparse itself is silent about its help


def test_another_broken_pipe_is_an_error():
    code = "from penumbra.terminal import reader_may_leave\nwith reader_may_leave(): raise BrokenPipeError('a socket')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("BrokenPipeError: a socket\n")
