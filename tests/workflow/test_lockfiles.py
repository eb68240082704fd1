"""A dvc.lock that a killed DVC left cut is noticed, and brought back from a copy."""

import os
import subprocess
from pathlib import Path

import pytest

from penumbra import cli
from penumbra.errors import PenumbraError
from penumbra.workflow import contract, lockfiles

NAMES = ("first", "second")
LOCK, COPY = Path("dvc.lock"), Path(".penumbra/dvc.lock")


def cut(size):
    LOCK.write_bytes(LOCK.read_bytes()[:size])
    os.utime(LOCK, (1, 1))  # not being written just now


def test_every_cut_is_noticed_and_mended_and_the_cut_file_is_kept(toy, capsys):
    lockfiles.check(NAMES)
    whole = COPY.read_bytes()
    for size in range(0, len(whole), 23):
        cut(size)
        with pytest.raises(PenumbraError, match="dvc.lock: .*penumbra doctor --mend"):
            lockfiles.check(NAMES)
        assert COPY.read_bytes() == whole
        lockfiles.check(mend=True)
        lockfiles.check(NAMES, mend=True)
        assert LOCK.read_bytes() == whole and Path(".penumbra/damaged/dvc.lock").stat().st_size == size
        capsys.readouterr()


def test_one_that_is_cut_after_a_stage_was_recorded_anew_is_noticed(toy):
    lockfiles.check(NAMES)
    text = LOCK.read_text().replace("more: 1", "more: 2")
    LOCK.write_text(text[: text.index("  second:")])
    os.utime(LOCK, (1, 1))
    with pytest.raises(PenumbraError, match="ends after 1 of 2 stages"):
        lockfiles.check(NAMES)


def test_without_a_copy_an_unreadable_one_is_for_git(toy):
    cut(0)
    with pytest.raises(PenumbraError, match="it cannot be read.*git checkout dvc.lock"):
        lockfiles.check(mend=True)


def test_one_with_fewer_stages_is_whole_if_git_has_it_or_dvc_yaml_has_no_more(toy):
    subprocess.run(["git", "init", "-q"], check=True)
    lockfiles.check(NAMES)
    whole = LOCK.read_text()
    LOCK.write_text(whole[: whole.index("  second:")])
    os.utime(LOCK, (1, 1))
    assert lockfiles.fault(LOCK, NAMES)
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    lockfiles.check(NAMES)
    assert COPY.read_bytes() == LOCK.read_bytes()
    COPY.write_text(whole.replace("more: 1", "more: 2"))
    LOCK.write_text(LOCK.read_text() + "\n")
    lockfiles.check(["first"])
    assert COPY.read_bytes() == LOCK.read_bytes()


def test_a_changed_and_a_missing_one_are_whole(toy):
    lockfiles.check(NAMES)
    LOCK.write_text(LOCK.read_text().replace("more: 1", "more: 2"))
    lockfiles.check(NAMES)
    assert "more: 2" in COPY.read_text()
    LOCK.unlink()
    lockfiles.check(NAMES)
    assert COPY.exists()


def test_penumbra_repro_mends_a_cut_lock_and_penumbra_run_tells_the_remedy(here):
    lock = here.root / "dvc.lock"
    lockfiles.check(contract.load().stages)
    whole = lock.read_text()
    lock.write_text(whole[: whole.index("  train@")])
    os.utime(lock, (1, 1))
    refused = here.penumbra("run", check=False, DVC_STAGE="prepare")
    assert refused.returncode and "penumbra doctor --mend" in refused.stderr and not here.counters()
    mended = here.penumbra("repro")
    assert "The last good one is in its place" in mended.stderr
    assert lock.read_text() == whole and not here.counters()


def test_penumbra_run_without_a_stage_and_without_dvc_asks_for_one(here, monkeypatch):
    """With DVC: whatever `dvc repro` runs."""
    monkeypatch.delenv("DVC_STAGE", raising=False)
    with pytest.raises(SystemExit, match="name a stage"):
        cli.main(["run"])
