"""Where and how a job computes: device, threads, batch of inference, progress. At most the last bits of a result depend on it."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

THREADS = 2  # fixed, not the number of cores: the order of a sum, and so its last bit, depends on it


def setup(threads: int = THREADS) -> "Any":
    """Deterministic torch with a fixed number of CPU threads; returns the torch.device (`PENUMBRA_DEVICE`, else CUDA if there is one)."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(os.environ.get("PENUMBRA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))


def inference_batch(default: int) -> int:
    """Images per forward pass where nothing is trained (`PENUMBRA_INFERENCE_BATCH`, set by a profile)."""
    return int(os.environ.get("PENUMBRA_INFERENCE_BATCH") or default)


def progress(items: Iterable, what: str, total: int | None = None, initial: int = 0) -> tqdm:
    """A progress bar with ETA on stderr; in a log file a line every ten seconds."""
    return tqdm(items, desc=what, total=total, initial=initial, mininterval=0.5 if sys.stderr.isatty() else 10, dynamic_ncols=True)
