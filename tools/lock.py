"""Write the lock files: every dependency of pyproject.toml, pinned with hashes, without addresses. Run it as `make lock`.

torch comes in two builds, so it has two locks of its own beside requirements.lock, of which `make` installs one:
requirements-torch-cpu.lock, where a CPU build (`torch-X.Y.Z+cpu-*.whl`) can be found, else requirements-torch.lock, the
package index's build with its CUDA libraries. CPU builds are looked for in the folders that PIP_FIND_LINKS names.

What is locked stays as it is where pyproject.toml allows it: a new version of a library changes what stages compute. `python
tools/lock.py --upgrade`, or `--upgrade-package NAME`, takes the newest.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TORCH = re.compile(r"torch==|triton==|nvidia-|cuda-")


def main() -> None:
    """Compile, split, write."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "dev", "--universal", "--quiet"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "all.lock"
        compiled.write_text("".join((ROOT / name).read_text() for name in ("requirements.lock", "requirements-torch.lock")))
        subprocess.run([*command, "--output-file", str(compiled)], cwd=ROOT, check=True)
        requirements = re.split(r"\n(?=\S)", compiled.read_text().strip())
    version = next(r for r in requirements if r.startswith("torch==")).split()[0]
    write("requirements.lock", [r for r in requirements if not TORCH.match(r)])
    write("requirements-torch.lock", [r for r in requirements if TORCH.match(r)])
    if builds := cpu_builds(version):
        write("requirements-torch-cpu.lock", [" \\\n".join([f"{version}+cpu", *builds])])


def write(name: str, requirements: list[str]) -> None:
    """Write one lock file."""
    (ROOT / name).write_text("\n".join(requirements) + "\n")


def cpu_builds(torch: str) -> list[str]:
    """A `--hash` option for each CPU wheel of `torch==X.Y.Z` in the folders of PIP_FIND_LINKS."""
    pattern = torch.replace("==", "-") + "+cpu-*.whl"
    folders = [Path(folder) for folder in os.environ.get("PIP_FIND_LINKS", "").split()]
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob(pattern))]
    return [f"    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels]


if __name__ == "__main__":
    main()
