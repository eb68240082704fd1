"""What killed runs and a failing disk leave behind is mended or told."""

import hashlib
import os
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from penumbra.artifacts.files import host
from penumbra.errors import PenumbraError
from penumbra.workflow import commit, contract, doctor, lockfiles, plan, receipt
from penumbra.workflow.repository import opened


def object_of(path):
    with opened() as repo:
        out = next(out for stage in repo.index.stages for out in stage.outs if out.def_path == path)
        return Path(repo.cache.local.oid_to_path(out.hash_info.value))


def flip(path):
    os.chmod(path, 0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    os.chmod(path, 0o444)


def test_a_sound_repository_is_well(toy, capsys):
    doctor.doctor(verify=True, mend=False)
    assert capsys.readouterr().out.strip() == "All is well."


def test_damaged_files_of_its_own_are_removed(toy, capsys):
    contract.load()
    receipt.path("first").parent.mkdir(parents=True)
    for file in (contract.RESOLVED, receipt.path("first")):
        file.write_text('{"key": ')
    contract.load.cache_clear()
    doctor.doctor(verify=False, mend=False)
    assert capsys.readouterr().out.count("was damaged and is removed") == 2
    assert set(contract.load().stages) == {"first", "second"}


def test_what_a_killed_process_was_writing_is_removed_if_it_is_old(toy):
    ended = subprocess.Popen(["true"])
    ended.wait()
    Path("data").mkdir()
    old, new = (Path(f"data/.{name}.parquet.{ended.pid}@{host()}.0123abcd.tmp") for name in ("train", "val"))
    for path in (old, new):
        path.mkdir()
    os.utime(old, (1, 1))
    doctor.doctor(verify=False, mend=False)
    assert not old.exists() and new.exists()


def test_what_a_process_of_another_host_writes_is_told_if_it_is_old_and_never_removed(toy, capsys):
    ended = subprocess.Popen(["true"])
    ended.wait()
    Path("data").mkdir()
    old, new = (Path(f"data/.{name}.parquet.{ended.pid}@{host()}-2.0123abcd.tmp") for name in ("train", "val"))
    for path in (old, new):
        path.mkdir()
    os.utime(old, (1, 1))
    with pytest.raises(PenumbraError, match="one thing is left"):
        doctor.doctor(verify=False, mend=False)
    told = f"to do: {old} is half written, by process {ended.pid} of {host()}-2. If nothing runs there any more: rm -r {old}"
    assert capsys.readouterr().out.strip() == told
    assert old.exists() and new.exists()


def test_a_cut_lock_is_told_and_mended_when_asked_for(toy, capsys):
    doctor.doctor(verify=False, mend=False)
    whole = Path("dvc.lock").read_bytes()
    Path("dvc.lock").write_bytes(whole[:100])
    os.utime("dvc.lock", (1, 1))
    with pytest.raises(PenumbraError, match="one thing is left"):
        doctor.doctor(verify=False, mend=False)
    assert "penumbra doctor --mend" in capsys.readouterr().out
    doctor.doctor(verify=False, mend=True)
    assert Path("dvc.lock").read_bytes() == whole


def test_a_folder_that_cannot_be_written_and_a_full_disk_are_told(toy, monkeypatch, capsys):
    Path("data").mkdir()

    def refuse(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(5 * 2**20))
    with pytest.raises(PenumbraError):
        doctor.doctor(verify=False, mend=False)
    shown = capsys.readouterr().out
    assert "data/ cannot be written: Read-only file system" in shown and "data/ has 5 MiB of free space left" in shown


def test_a_damaged_object_is_replaced_by_the_file_that_it_should_be(toy, capsys):
    flip(object_of("one"))
    doctor.doctor(verify=True, mend=False)
    shown = capsys.readouterr().out
    assert "of first" in shown and "one has taken its place" in shown
    assert object_of("one").read_bytes() == Path("one").read_bytes()


def test_a_damaged_object_without_a_good_copy_is_moved_away_and_its_stage_is_due(toy, capsys):
    file = Path("folder/file")
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    damaged = object_of("two").parents[1] / md5[:2] / md5[2:]
    for path in (damaged, file):
        flip(path)
    with pytest.raises(PenumbraError, match="one thing"):
        doctor.doctor(verify=True, mend=False)
    assert "of second, was damaged" in capsys.readouterr().out
    assert not damaged.exists() and (lockfiles.DAMAGED / md5).exists()
    with opened() as repo:
        assert [each.name for each in plan.plan(repo)] == ["second"]
        assert not commit.restored(next(stage for stage in repo.index.stages if stage.name == "second"))
