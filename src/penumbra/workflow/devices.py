"""A GPU of its own for each job, on a machine with several (`own_gpu` in a profile's `config`).

Snakemake counts GPUs and says to no job which one it has. So a job takes one as it starts, by a lock on a file that has the GPU's name.
The kernel gives it back when the process has ended, however it ends.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

JOBS, VISIBLE = "PENUMBRA_OWN_GPU", "CUDA_VISIBLE_DEVICES"
LOCKS = Path("/tmp") / f"penumbra-gpus-{os.getuid()}"  # of all checkouts of a user on this machine
NODES = Path("/dev")
WAIT_SECONDS = 0.5


def tell(stages: Iterable[str]) -> None:
    """Have the jobs that this process starts take a GPU each, if they are of these stages, and no GPU if not."""
    os.environ[JOBS] = " ".join(dict.fromkeys(_group(stage) for stage in stages))


def own(stage: str) -> None:
    """Let this process, the job of a stage, see one GPU, which no other job has; or none, if its stage is none of the told.

    Waits for one to be free, and has it until the process and all its forks have ended. Does nothing where no stages were told, and
    on a machine without GPUs. Of several only those of CUDA_VISIBLE_DEVICES are taken, if that is set. Call it before torch is
    imported, which looks at the variable once.
    """
    if JOBS not in os.environ:
        return
    if _group(stage) not in os.environ[JOBS].split():
        os.environ[VISIBLE] = ""
    elif devices := visible():
        os.environ[VISIBLE] = _taken(devices)


def _group(stage: str) -> str:
    """STEP or STEP-KIND: the stages of one are alike in what they need."""
    return stage.partition("@")[0]


def visible() -> list[str]:
    """Names of the GPUs that jobs may have, as CUDA knows them: numbers, or what the user calls them."""
    if VISIBLE not in os.environ:
        return [str(index) for index, _ in enumerate(NODES.glob("nvidia[0-9]*"))]
    names = (name.strip() for name in os.environ[VISIBLE].split(","))
    return list(dict.fromkeys(takewhile(lambda name: name not in ("", "-1"), names)))  # what stands behind an invalid one CUDA ignores


def _taken(devices: list[str]) -> str:
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    told = False
    while True:
        for device in devices:
            lock = os.open(LOCKS / device.replace("/", "_"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return device  # and the file stays open
            except BlockingIOError:
                os.close(lock)
        if not told:
            print(f"waiting for a GPU: other jobs have {', '.join(devices)}", file=sys.stderr, flush=True)
            told = True
        time.sleep(WAIT_SECONDS)
