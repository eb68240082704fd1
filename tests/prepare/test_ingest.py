"""Images stream: what is in memory does not grow with their number."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penumbra.prepare import ingest
from penumbra.prepare.ingest import ordered_map

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "prepare_memory.py"


def test_map_keeps_the_order_and_reads_ahead_a_bounded_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ingest.os, "sched_getaffinity", lambda _: range(3))
    drawn = 0

    def items():
        nonlocal drawn
        for index in range(4000):
            drawn += 1
            yield index

    for consumed, result in enumerate(ordered_map(lambda item: -item, items())):
        assert result == -consumed and drawn - consumed <= 8 * 3 + 1
    assert drawn == 4000


def test_error_in_a_worker_reaches_the_caller_and_ends_the_pool():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda item: 1 / item, [1, 0, 1]))
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path):
    peaks = []
    for count in (1200, 4000):  # kept in memory, the other 2,800 images would take 19 MiB
        command = [sys.executable, SCRIPT, "--images", str(count), "--image-size", "48", "--output", tmp_path / "measured.json"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        peaks.append(json.loads((tmp_path / "measured.json").read_text())["peak_mib"])
    assert peaks[1] - peaks[0] < 12 and peaks[1] < 400
