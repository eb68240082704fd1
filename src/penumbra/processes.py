"""Which of several processes this is, that do one job together, as `torchrun` starts them. Alone, a process is the first of one."""

import os


def count() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The number of this one, from 0. The first alone tells, writes and puts together."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """Its number among those on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))
