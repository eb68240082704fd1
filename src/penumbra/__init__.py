"""Penumbra: a reproducible experiment DAG for out-of-distribution detection with synthetic outliers.

`penumbra.load_detector(NAME)` asks a trained detector about pictures; see `penumbra.predict`.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """`load_detector`, imported when it is asked for: torch is heavy.

    It is named in a string, which the digests of programs do not follow (workflow/digest.py): every program imports this file, and none
    of them asks a detector in this way.
    """
    if name == "load_detector":
        return import_module("penumbra.predict.detector").load_detector
    raise AttributeError(f"module 'penumbra' has no attribute {name!r}")
