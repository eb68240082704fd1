"""Progress is calm in a log and live on a terminal."""

import platform
import subprocess
import sys

import pytest

from penumbra import runtime


@pytest.fixture
def clock(monkeypatch):
    """A clock that each item moves on by the seconds that the test says."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(runtime.time, "monotonic", lambda: Clock.now)
    return Clock


def run(clock, items, seconds, **options):
    for item in runtime.progress(items, "loop", **options):
        clock.now += seconds
        yield item


def test_a_short_loop_says_nothing_in_a_log(clock, capsys):
    assert list(run(clock, range(9), 1)) == list(range(9))
    assert capsys.readouterr().err == ""


def test_a_long_loop_has_a_line_every_ten_seconds_with_the_time_left(clock, capsys):
    list(run(clock, range(10), 5, total=12, initial=2))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["loop: 4/12, 0:00:40 left", "loop: 6/12, 0:00:30 left"] and len(lines) == 5


def test_items_of_unknown_number_are_counted(clock, capsys):
    list(run(clock, iter("abc"), 11))
    assert capsys.readouterr().err.splitlines() == ["loop: 1", "loop: 2", "loop: 3"]


def test_a_terminal_has_one_line_that_is_erased_at_the_end(clock, capsys, monkeypatch):
    monkeypatch.setattr(runtime.sys.stderr, "isatty", lambda: True)
    list(run(clock, range(2), 1))
    written = capsys.readouterr().err
    assert "loop: 1/2, 0:00:01 left" in written and "\n" not in written and written.endswith("\x1b[K")


def test_memory_that_tensors_free_is_used_again():
    code = """
import resource, torch
from penumbra.runtime import setup
setup()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for count in range(33):
    if count == 3:
        before = faults()
    [torch.ones(1_000_000) for _ in range(8)]
print(faults() - before)
"""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library")
    pages = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert pages < 1000  # one tensor anew would be 976 of them
