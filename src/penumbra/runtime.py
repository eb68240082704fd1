"""Where and how a job computes: device, threads, batch of inference, progress. At most the last bits of a result depend on it."""

import ctypes
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from penumbra import processes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def setup(threads: int = 1) -> "Any":
    """Deterministic torch; returns the torch.device (`PENUMBRA_DEVICE`, else CUDA if there is one).

    Args:
        threads: of a job on the CPU. Fixed, not the number of cores: the order of a sum, and so its last bit, depends on it. Two threads
            on one core give the bytes of two on two (`kernels` sees to it that nobody takes fewer). Jobs run side by side, and a
            small network loses more than it gains by sharing a layer between two.
    """
    import torch

    _keep_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    name = os.environ.get("PENUMBRA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and torch.cuda.device_count() > 1:  # of several processes each has its own
        torch.cuda.set_device(processes.local_rank() % torch.cuda.device_count())
    return torch.device(name)


def _keep_memory() -> None:
    """Have glibc reuse what tensors free, up to 512 MiB, instead of giving it back to the kernel.

    By default every tensor above some hundred kilobytes is new memory, whose pages the kernel clears one by one: half the CPU
    time of training a small network. No result depends on it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        mallopt(M_TRIM_THRESHOLD, 512 << 20)


def inference_batch(default: int) -> int:
    """Images per forward pass where nothing is trained (`PENUMBRA_INFERENCE_BATCH`, set by a profile)."""
    return int(os.environ.get("PENUMBRA_INFERENCE_BATCH") or default)


def progress(items: Iterable, what: str, total: int | None = None, initial: int = 0) -> Iterator:
    """The items, with a count and the time left on stderr: live on a terminal, in a log a line every ten seconds.

    Args:
        what: name of the loop.
        total: number of items together with the `initial` ones that were done before; None: that of `items`.
    """
    total = total or (initial + len(items) if isinstance(items, Sized) else None)
    if processes.rank():  # the first tells
        return (yield from items)
    live = sys.stderr.isatty()
    start = shown = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - shown >= (0.5 if live else 10):
            shown = now
            left = f"/{total}, {_clock((now - start) / done * (total - initial - done))} left" if total else ""
            print(f"{what}: {initial + done}{left}", end="\x1b[K\r" if live else "\n", file=sys.stderr, flush=True)
    if live and shown > start:
        print("\x1b[K", end="", file=sys.stderr)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
