"""`python -m penumbra.probes [KERNELS] [PROBE ...]`: digests of what this machine computes, as JSON, each line as soon as it is known."""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from penumbra import kernels


def digest(arrays: Iterable[Any]) -> str:
    """Sixteen hex digits of shapes and bytes; a NaN counts by its bits, so that it cannot hide."""
    import numpy as np
    import torch

    total = hashlib.sha256()
    for array in arrays:
        if not isinstance(array, bytes):
            array = array.detach().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
            total.update(f"{array.dtype}{array.shape}".encode())
            array = np.ascontiguousarray(array).tobytes()
        total.update(array)
    return total.hexdigest()[:16]


def main() -> None:
    """Run the probes that are named, or all, on one thread."""
    options = argparse.ArgumentParser("python -m penumbra.probes")
    options.add_argument("kernels", nargs="?", default="portable", choices=["portable", "native"])
    options.add_argument("probes", nargs="*", metavar="PROBE", help="names of probes (default: all)")
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    kernels.use(chosen.kernels)
    from penumbra.probes.operations import OPERATIONS
    from penumbra.probes.training import TRAININGS
    from penumbra.runtime import setup

    setup(chosen.threads)
    probes = OPERATIONS | TRAININGS
    for name in chosen.probes or probes:
        start = time.process_time()
        print(json.dumps({name: digest(probes[name]())}), flush=True)
        print(f"{name}: {time.process_time() - start:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
