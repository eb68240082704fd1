"""A reader sees the old file or the new one, whatever happens to the writer."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penumbra.artifacts import files
from penumbra.artifacts.files import replace, writer
from penumbra.errors import PenumbraError


def test_file_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path):
    target = tmp_path / "deep" / "down" / "file"
    with replace(target) as temporary:
        temporary.write_text("new")
        assert not target.exists() and temporary.parent == target.parent
    assert target.read_text() == "new" and os.listdir(target.parent) == ["file"]


def test_directory_is_replaced_as_a_whole(tmp_path: Path):
    for names in (["a", "b"], ["c"]):
        with replace(tmp_path / "model") as temporary:
            temporary.mkdir()
            for name in names:
                (temporary / name).write_text(name)
    assert os.listdir(tmp_path / "model") == ["c"] and os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_failed_writer_changes_nothing(tmp_path: Path, kind: type[BaseException]):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(kind), replace(target) as temporary:
        temporary.write_text("half")
        raise kind
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_full_disk_is_a_readable_error_and_keeps_the_old_file(tmp_path: Path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(PenumbraError, match="file: the disk is full"), replace(target) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_bytes(b"x" * 100_000)
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_while_flushing_is_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PenumbraError, match="Free some space"), replace(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == []


def test_other_errors_of_the_system_pass_through(tmp_path: Path):
    with pytest.raises(FileNotFoundError), replace(tmp_path / "file"):
        pass  # the writer created nothing


def test_killed_writer_leaves_the_old_file_and_the_next_one_succeeds(tmp_path: Path):
    target = tmp_path / "file"
    target.write_text("old")
    code = (
        "import sys, time; from penumbra.artifacts.files import replace\n"
        "with replace(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    assert target.read_text() == "old"
    with replace(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_writers_of_one_number_do_not_write_into_each_others_file(tmp_path: Path):
    """As in two containers, where each is process 7, or on two machines of one name."""
    with replace(tmp_path / "file") as first:
        with replace(tmp_path / "file") as second:
            first.write_text("first")
            second.write_text("second")
        assert first.read_text() == "first" and (tmp_path / "file").read_text() == "second"
    assert (tmp_path / "file").read_text() == "first" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["file", "train.parquet", "good@all.12@b.0123abcd.tmp"])
@pytest.mark.parametrize("host", ["node7", "train-3.gpu.example.org"])
def test_a_temporary_path_says_who_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, host: str):
    monkeypatch.setattr(files, "host", lambda: host)
    with replace(tmp_path / name) as temporary:
        temporary.touch()
        assert writer(temporary) == (os.getpid(), host)
        assert writer(tmp_path / "dvc.lock") is writer(tmp_path / ".dvc.lock.tmp") is None


def test_a_reader_never_sees_a_mixture(tmp_path: Path):
    target = tmp_path / "file"
    code = (
        "import sys; from penumbra.artifacts.files import replace\n"
        "for letter in 'ab' * 40:\n"
        "    with replace(sys.argv[1]) as temporary:\n"
        "        temporary.write_text(letter * 200_000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(target)]) as writer:
        seen = set()
        while writer.poll() is None:
            if target.exists():
                text = target.read_text()
                seen.add((len(text), *set(text)))
            time.sleep(0.001)
    assert writer.returncode == 0
    assert seen and seen <= {(200_000, "a"), (200_000, "b")}
