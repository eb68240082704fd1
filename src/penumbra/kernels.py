"""Which machine code computes: the same on every x86-64 CPU with AVX2, or the fastest that this one has.

torch, oneDNN, MKL, OpenBLAS and numpy each look at the CPU and choose among several kernels for one operation. The kernels add in
different orders, so their results differ in the last bits, and training amplifies last bits. `portable` holds all of them to one
choice, which every x86-64 CPU since Haswell (2013) and Zen (2017) has. They read their variables once, when they are loaded.

What no variable holds: a GPU, an Arm CPU, and the scalar functions of the C library, such as Python's `math.exp`. glibc has one
variant of these for all CPUs with AVX2 and FMA, but its versions may differ in a last bit, and GLIBC_TUNABLES is read before Python
starts. docs/portability.md says what was compared.
"""

import os
import sys

from penumbra.errors import PenumbraError

PORTABLE = {
    # ATen's own kernels: sums, softmax, norms (aten/src/ATen/native/DispatchStub.cpp)
    "ATEN_CPU_CAPABILITY": "avx2",
    # convolutions (oneDNN developer guide, "CPU Dispatcher Control"); AVX2 without VNNI
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # products of matrices and vector functions in torch; AVX2 would be ignored on CPUs that are not Intel's
    # (oneMKL developer guide, "Obtaining Numerically Reproducible Results")
    "MKL_CBWR": "COMPATIBLE",
    # exactly the threads that `runtime.setup` asks for: how a sum is split is part of its result (the same guide; OpenMP 5.0, 6.2, 6.4)
    "MKL_DYNAMIC": "FALSE",
    "OMP_DYNAMIC": "FALSE",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # numpy's and scipy's products of matrices: Zen has a core type of its own (OpenBLAS README, "Setting the CPU target")
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    # numpy's own loops beyond AVX2, by the names of numpy 2.4; a CPU without them ignores it (numpy, "CPU/SIMD optimizations")
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
REFUSED = (
    "MKL_ENABLE_INSTRUCTIONS",  # names another set for MKL
    "NPY_ENABLE_CPU_FEATURES",  # numpy does not start with both
    "OMP_THREAD_LIMIT",  # fewer threads than were asked for
    "OPENBLAS_L2_SIZE",  # blocks of another size
)
READERS = ("numpy", "torch")  # what loads the libraries that read the variables


def environment(kernels: str, base: dict[str, str]) -> dict[str, str]:
    """The environment `base` of a process, so that it computes with these kernels.

    Args:
        kernels: portable | native; native changes nothing.

    Raises:
        PenumbraError: there are no such kernels.
    """
    if kernels not in ("portable", "native"):
        raise PenumbraError(f"common.kernels is {kernels!r}. Use portable or native.")
    if kernels == "native":
        return dict(base)
    return {key: value for key, value in base.items() if key not in REFUSED} | PORTABLE


def use(kernels: str) -> None:
    """Have this process, and those that it starts, compute with these kernels. Call it before numpy and torch are imported.

    Raises:
        PenumbraError: there are no such kernels; numpy or torch is already there, and has read other variables.
    """
    wanted = environment(kernels, dict(os.environ))
    if wanted == dict(os.environ):
        return
    loaded = [name for name in READERS if name in sys.modules]
    if loaded:
        raise PenumbraError(f"common.kernels: {' and '.join(loaded)} is imported already. Call kernels.use before, or set {_missing()}.")
    for key in set(os.environ) - set(wanted):
        del os.environ[key]
    os.environ.update(PORTABLE)


def _missing() -> str:
    return " ".join(f"{key}={value!r}" for key, value in PORTABLE.items() if os.environ.get(key) != value)
