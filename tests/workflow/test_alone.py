"""One `penumbra repro` at a time; ends by signals and by the machine's faults are clean and said in one line."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from miniature_commands import BLOCKS
from penumbra import cli
from penumbra.artifacts.files import host
from penumbra.errors import PenumbraError
from penumbra.workflow import alone

STAGE = "synthesize-sona@sona"


def test_a_second_is_told_of_the_first_and_the_lock_ends_with_its_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import time\nfrom penumbra.workflow.alone import alone\nwith alone():\n    print(1, flush=True)\n    time.sleep(60)\n"
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    first.stdout.readline()
    with (
        pytest.raises(PenumbraError, match=rf"another penumbra repro is at work here \(process {first.pid} and what it started\)"),
        alone.alone(),
    ):
        pass
    first.kill()
    first.wait()
    with alone.alone():
        assert alone.LOCK.read_text() == str(os.getpid())


def test_the_lock_is_held_while_snakemake_outlives_a_killed_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "from penumbra.workflow import alone, execute\nwith alone.alone():\n    execute._called(['sleep', '60'], None)\n"
    first = subprocess.Popen([sys.executable, "-c", code])
    while not (jobs := psutil.Process(first.pid).children()):
        time.sleep(0.05)
    first.kill()
    first.wait()
    with pytest.raises(PenumbraError, match="another penumbra repro"), alone.alone():
        pass
    jobs[0].kill()
    psutil.wait_procs(jobs)
    with alone.alone():
        pass


def test_it_takes_away_what_killed_processes_were_writing_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, live, elsewhere = (
        Path(f".dvc.lock.{process}@{machine}.0123abcd.tmp")
        for process, machine in ((ended.pid, host()), (os.getpid(), host()), (ended.pid, f"{host()}-2"))
    )
    other = Path(".dvc.lock.tmp")
    for path in (old, live, elsewhere, other):
        path.touch()
    with alone.alone():
        assert not old.exists() and live.exists() and elsewhere.exists() and other.exists()


def test_sigterm_ends_a_run_with_its_jobs_and_what_was_finished_is_kept(miniature):
    miniature.change_param("synthesize.sona.sona.steps", 21)
    process = miniature.start("penumbra", "repro", STAGE, MINIATURE_UNIT_SECONDS="3")
    deadline = time.monotonic() + 60
    while not miniature.counters("blocks") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    done = miniature.counters("blocks").total()
    time.sleep(4)
    assert miniature.counters("blocks").total() == done < len(BLOCKS)  # no job goes on
    assert not alone.stray(miniature.root.rglob("*.tmp"))
    miniature.penumbra("repro", STAGE)
    assert miniature.counters("blocks").total() == len(BLOCKS)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), "data/x: the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "data/x"), "data/x: the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), "data/x: permission is denied"),
    ],
)
def test_faults_of_the_machine_are_one_line(monkeypatch, error, said):
    def fail(options):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    with pytest.raises(SystemExit, match=f"^penumbra: {said}[^\n]*$"):
        cli.main(["headline"])


def test_other_faults_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(cli, "_dispatch", lambda options: Path("none").read_text())
    with pytest.raises(FileNotFoundError):
        cli.main(["headline"])
