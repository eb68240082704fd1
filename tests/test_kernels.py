"""Kernels are chosen before the libraries that read the choice, by variables that child processes inherit."""

import os
import subprocess
import sys

import pytest

from penumbra import kernels
from penumbra.errors import PenumbraError

CHOSEN = """
from penumbra import kernels
kernels.use("portable")
import warnings
warnings.simplefilter("error", ImportWarning)
import numpy._core._multiarray_umath as umath
import torch
print(torch.backends.cpu.get_cpu_capability())
print(*(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]))
print(torch.get_num_threads())
"""


def run(program: str, env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=600)


def plain() -> dict[str, str]:
    """The environment without what the tests themselves run under."""
    return {key: value for key, value in os.environ.items() if key not in kernels.PORTABLE}


def test_the_tests_themselves_are_portable():
    assert all(os.environ[key] == value for key, value in kernels.PORTABLE.items())


def test_portable_kernels_end_at_avx2_and_one_thread():
    done = run(CHOSEN, plain() | {"OMP_NUM_THREADS": "2", "NPY_ENABLE_CPU_FEATURES": "X86_V3"})
    assert done.stdout.split("\n")[:3] == ["AVX2", "X86_V3", "1"], done.stderr


def test_native_changes_nothing():
    assert kernels.environment("native", {"OMP_NUM_THREADS": "7", "OMP_THREAD_LIMIT": "3"}) == {
        "OMP_NUM_THREADS": "7",
        "OMP_THREAD_LIMIT": "3",
    }


def test_portable_overrides_what_a_user_has_set_and_keeps_the_rest():
    made = kernels.environment("portable", {"MKL_CBWR": "AVX512", "OMP_THREAD_LIMIT": "1", "HOME": "/home/x"})
    assert made == {"HOME": "/home/x", **kernels.PORTABLE}


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_it_is_too_late_when_a_library_has_read_other_variables(library):
    done = run(f"import {library}\nfrom penumbra import kernels\nkernels.use('portable')", plain())
    assert "is imported already. Call kernels.use before, or set" in done.stderr and "MKL_CBWR='COMPATIBLE'" in done.stderr


def test_it_is_never_too_late_for_what_holds_already():
    import numpy  # noqa: F401

    kernels.use("portable")
    kernels.use("native")


def test_the_choice_itself_loads_neither():
    done = run("import sys\nfrom penumbra import kernels\nprint(*{'numpy', 'torch'} & set(sys.modules))", plain())
    assert done.stdout == "\n"


def test_other_names_are_refused():
    with pytest.raises(PenumbraError, match="common.kernels is 'fast'. Use portable or native."):
        kernels.use("fast")
