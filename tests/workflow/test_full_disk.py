"""A disk that fills up while a job works: a file system of a few megabytes, which is really full."""

import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from miniature import Miniature
from miniature_commands import BLOCKS

STAGE = "synthesize-sona@sona"
SIZE = 256  # megabytes, of which a miniature takes some


@pytest.fixture
def small_disk(tmp_path):
    """The folder where a small file system is mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    ballast = folder / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    return ballast


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_on_a_full_disk_says_so_leaves_no_half_output_and_keeps_finished_units(small_disk, tmp_path, monkeypatch):
    undisturbed = Miniature.create(tmp_path / "undisturbed", "sona")
    undisturbed.reproduce(monkeypatch, ["pretrain-diffusion@sd"])
    miniature = undisturbed.copy(small_disk / "dag")
    miniature.log = tmp_path / "log"  # the counts are not on the small disk
    undisturbed.reproduce(monkeypatch, [STAGE])
    monkeypatch.chdir(tmp_path)

    gate, said = tmp_path / "gate", tmp_path / "said"
    env = miniature.env | {"MINIATURE_GATE": str(gate), "MINIATURE_UNIT_SECONDS": "1"}
    with said.open("w") as out:
        process = subprocess.Popen(["penumbra", "repro", STAGE], cwd=miniature.root, env=env, stdout=out, stderr=out)
    gate.touch()
    until(lambda: miniature.counters("blocks").total() >= 2 or process.poll() is not None)
    gate.unlink()
    until(lambda: miniature.counters("waiting").total() > miniature.counters("blocks").total())
    ballast = fill(small_disk)
    gate.touch()
    assert process.wait(300) == 1, said.read_text()
    assert ": the disk is full. Free some space and run again; finished work is kept." in said.read_text(), said.read_text()
    finished = miniature.counters("blocks")
    assert finished.total() in range(2, len(BLOCKS)) and not miniature.counters()

    ballast.unlink()
    assert not [path for path in miniature.root.rglob("*.tmp") if path.stat().st_size]
    miniature.penumbra("repro", STAGE)
    assert miniature.counters() == {STAGE: 1}
    assert miniature.counters("blocks") == Counter(f"{STAGE}/{block}" for block in BLOCKS)  # none was done twice
    assert miniature.outputs() == undisturbed.outputs()
