"""What a digest was made on: CPU, instruction sets, versions of the libraries that compute."""

import platform
import re
from importlib.metadata import version
from pathlib import Path

SETS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile")
LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "pillow", "matplotlib", "diffusers", "transformers")


def cpu() -> dict[str, str]:
    """Vendor, model name and those instruction sets that kernels are written for; empty strings where the system does not say."""
    file = Path("/proc/cpuinfo")
    text = file.read_text() if file.exists() else ""
    values = {
        key: match[1] if (match := re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)) else ""
        for key in ("vendor_id", "model name", "flags")
    }
    family = re.search(r"^cpu family\s*:\s*(\d+)\nmodel\s*:\s*(\d+)$", text, re.MULTILINE)
    number = f" (family {family[1]}, model {family[2]})" if family else ""
    sets = [name for name in SETS if name in values["flags"].split()]
    return {"vendor": values["vendor_id"], "model": values["model name"] + number, "sets": " ".join(sets)}


def libraries() -> dict[str, str]:
    """Versions of the libraries, those inside torch's own build, and the C library."""
    import torch

    built = torch.__config__.show()
    inside = {
        "mkl": re.search(r"Math Kernel Library Version (\S+?)-", built),
        "onednn": re.search(r"MKL-DNN v(\S+)", built),
    }
    found = {name: version(name) for name in LIBRARIES} | {name: match[1] if match else "" for name, match in inside.items()}
    return found | {"libc": " ".join(platform.libc_ver())}


def described() -> str:
    """Both on one line."""
    return ", ".join(f"{name} {value}" for name, value in (cpu() | libraries()).items())
