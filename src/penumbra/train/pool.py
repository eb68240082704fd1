"""Which candidates a detector is trained on (Bad-OOD 4.3, Table 2)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from penumbra.errors import PenumbraError

Bands = str | Sequence[str] | None


def choose(bands: Bands, band: Sequence[str] | None, count: int, draws: torch.Generator) -> NDArray[np.int64]:
    """Rows of the chosen candidates, in ascending order.

    Args:
        bands: all | random (as many as the mid band holds, drawn from all) | the bands to take.
        band: low | mid | high of each candidate; None if `bands` is all.
        count: number of candidates.
        draws: for random.

    Raises:
        PenumbraError: there is none.
    """
    if bands == "all":
        rows = np.arange(count)
    elif bands == "random":
        size = int(np.sum(np.asarray(band) == "mid"))
        rows = np.sort(torch.randperm(count, generator=draws)[:size].numpy())
    else:
        rows = np.flatnonzero(np.isin(np.asarray(band), list(bands)))
    if not len(rows):
        sizes = {name: int(np.sum(np.asarray(band) == name)) for name in ("low", "mid", "high")} if band is not None else {}
        wanted = bands if isinstance(bands, str) else "+".join(bands)
        raise PenumbraError(f"outliers: none of {count} candidates is selected by bands {wanted} ({sizes}). Move filter.*.mid.")
    return rows
