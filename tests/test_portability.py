"""The bytes of this machine are those of every other x86-64 machine with AVX2: operation by operation, and after training."""

import json
import subprocess
import sys
from pathlib import Path

from penumbra.probes import machine

EXPECTED = Path(__file__).with_name("portable.json")


def test_every_probe_gives_the_bytes_of_other_machines():
    done = subprocess.run([sys.executable, "-m", "penumbra.probes"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {name: value for line in done.stdout.splitlines() for name, value in json.loads(line).items()}
    expected = json.loads(EXPECTED.read_text())
    assert found.keys() == expected["probes"].keys()
    differing = [name for name in found if found[name] != expected["probes"][name]]
    assert not differing, (
        f"{differing[0]} differs first, of {', '.join(differing)}.\nhere: {machine.described()}\n"
        f"expected, with: {expected['libraries']}\nWhere the libraries are others, write the new digests: see docs/portability.md."
    )
