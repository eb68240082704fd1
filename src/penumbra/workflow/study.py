"""`penumbra study`: the experiment for several values of `common.seed`, each in a clone of its own, and their rows in one place.

A clone shares DVC's cache with this repository, so what a killed study has finished is not computed again. A run that comes to its end
is kept as the DVC experiment study-SEED.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load
from penumbra.workflow.contract import CODE, PARAMETERS
from penumbra.workflow.index import INDEX

FOLDER = Path("benchmarks/study")
CLONES = Path(".penumbra/study")
OVERLAY = Path("conf/ablations/study.yaml")


def study(seeds: Sequence[int]) -> None:
    """Run what is missing of the seeds, add each finished run to FOLDER, and merge all that is there.

    Raises:
        PenumbraError: files that git knows are changed, or a run failed; what is finished is kept.
    """
    from penumbra.benchmark import study as tables  # pandas

    if changed := _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{FOLDER}"):
        raise PenumbraError(f"a study is of what git knows. Commit or undo first:\n{changed}")
    state = _state()
    for place, seed in enumerate(seeds):
        runs = tables.read_rows(FOLDER, tables.RUNS)
        if len(runs[(runs.common_seed == seed) & (runs.state == state)]):
            print(f"study: seed {seed} is done", flush=True)
            continue
        left = f", about {runs.seconds.max() * (len(seeds) - place) / 60:.0f} minutes left" if len(runs) else ""
        print(f"study: seed {seed}, {place + 1} of {len(seeds)}{left}", flush=True)
        _run(_clone(seed), seed, state)
    tables.merge(FOLDER)
    print(f"{FOLDER}/claims.csv and detectors.csv are of {len(tables.read_rows(FOLDER, tables.RUNS))} generator seeds")


def _run(folder: Path, seed: int, state: str) -> None:
    """Run the experiment in a clone, add its rows, keep it as an experiment, and remove the clone."""
    from penumbra.benchmark import study as tables
    from penumbra.dataset import data_set
    from penumbra.probes.machine import cpu

    began = time.monotonic()
    _call(folder, "penumbra", "repro")  # to its page: an experiment is saved with all outputs
    params = load(folder / PARAMETERS)
    run = {"common_seed": seed, "data": data_set(params["prepare"]["id"]), "state": state, "kernels": params["common"]["kernels"]}
    found = [tables.read_rows(folder / "reports/tables", name) for name in (tables.SEEDS, tables.PAIRS)]
    tables.add(FOLDER, run | {"processor": cpu()["model"], "seconds": round(time.monotonic() - began)}, *found)
    tables.merge(FOLDER)
    _call(folder, "dvc", "exp", "save", "--force", "--name", f"study-{seed}")
    _git("fetch", "--quiet", "--force", str(folder), "refs/exps/*:refs/exps/*")
    shutil.rmtree(folder)


def _clone(seed: int) -> Path:
    """A clone of what is committed, with this repository's cache and the parameters of the study."""
    clone = CLONES / f"seed-{seed}"
    if not (clone / ".git").exists():
        shutil.rmtree(clone, ignore_errors=True)
        _git("clone", "--quiet", ".", str(clone))
    _call(clone, "git", "fetch", "--quiet", "origin", "HEAD")
    _call(clone, "git", "reset", "--quiet", "--hard", "FETCH_HEAD")
    cache = subprocess.run(["dvc", "cache", "dir"], env=_environment(), capture_output=True, text=True, check=True).stdout.strip()
    (clone / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n")
    if INDEX.exists():  # else each clone would read all images behind paths again
        shutil.copytree(INDEX, clone / INDEX, dirs_exist_ok=True)
    _call(clone, "penumbra", "configure", f"+ablations={OVERLAY.stem}", f"common.seed={seed}", quiet=True)
    return clone


def _state() -> str:
    """Digest of what decides the rows of a run: the meaning of the code, the parameters but for the seed, and what the study changes.

    The kernels do not count: they move last bits, and intervals are over seeds that move everything.
    """
    params, code = load(PARAMETERS), json.loads(CODE.read_text())
    del params["common"]["seed"], params["common"]["kernels"], params["report"], code["report"]
    content = json.dumps([params, load(OVERLAY), code], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()


def _call(folder: Path, *command: str, quiet: bool = False) -> None:
    """Run a command in a folder; whoever ends this process ends it, too, in its own way.

    Raises:
        PenumbraError: it failed.
    """
    process = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL if quiet else None)
    try:
        failed = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if failed:
        raise PenumbraError(f"{folder}: `{' '.join(command)}` failed. What is finished is kept: run the study again.")


def _environment() -> dict[str, str]:
    """That of this process, with the commands beside its Python, and the code of the folder that a command runs in."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.rstrip()
