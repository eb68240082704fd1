"""`penumbra review` as a user starts and ends it."""

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from penumbra import cli

FILE = Path("vetoes/badood.csv")


def heeding() -> None:
    """Have Ctrl-C end the process also where the tests run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def started(*arguments: str) -> tuple[subprocess.Popen, str, str]:
    """The process, the address that it prints, and its second line."""
    command = [sys.executable, "-c", "from penumbra.cli import main; main()", "review", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    return process, process.stdout.readline().strip(), process.stdout.readline().strip()


def ended(process: subprocess.Popen) -> str:
    """Ctrl-C; what is said at last."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out.strip()


def refusal(*arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["review", *arguments])
    return str(caught.value)


def test_it_prints_an_address_and_afterwards_what_there_is_to_do(root):
    process, address, line = started("badood")
    try:
        assert line == f"30 candidates of badood, 0 vetoed in {FILE}. Ctrl-C ends this."
        assert b"Candidates of badood" in urllib.request.urlopen(address, timeout=30).read()
        body = b'{"sample_id": "badood/000004", "vetoed": true, "reason": ""}'
        urllib.request.urlopen(urllib.request.Request(f"{address}veto", body, {"Content-Type": "application/json"}), timeout=30)
    finally:
        said = ended(process)
    assert said.splitlines() == [
        f"{FILE}: 1 vetoed. Keep it in git: git add {FILE}",
        f"Let filter read it:    penumbra configure '+filter.badood.veto={FILE}'",
        "Make the bands again:  penumbra repro",
    ]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=30)


def test_a_file_that_filter_reads_already_is_the_one_that_is_changed(root):
    path, yaml = root / "params.yaml", YAML()
    content = yaml.load(path)
    content["filter"]["badood"]["veto"] = "mine.csv"
    yaml.dump(content, path)
    (root / "mine.csv").write_text("sample_id,image,reason\nbadood/000001,,\n")
    process, _, line = started("badood")
    assert line == "30 candidates of badood, 1 vetoed in mine.csv. Ctrl-C ends this."
    assert ended(process).splitlines() == ["mine.csv: 1 vetoed. Keep it in git: git add mine.csv", "Make the bands again:  penumbra repro"]


def test_who_vetoes_nothing_leaves_nothing(root):
    process, *_ = started("badood")
    assert ended(process) == "Nothing is vetoed." and not FILE.parent.exists()


def test_what_cannot_be_reviewed_is_one_line_with_a_remedy(root):
    line = "penumbra: params.yaml: filter.badod is not there, so candidates of badod have no severity. Did you mean badood?"
    assert refusal("badod") == line
    line = "penumbra: data/outliers/sona.parquet: is not there yet. Run `penumbra repro filter@sona` to make it."
    assert refusal("sona") == line
    FILE.parent.mkdir()
    FILE.write_text("id\n")
    assert refusal("badood") == f"penumbra: {FILE} line 1: must name the columns, `sample_id,image,reason`."


def test_a_port_that_is_taken_is_said(root):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal("badood", "--port", str(port)).startswith(f"penumbra: review: port {port} cannot be used: ")
