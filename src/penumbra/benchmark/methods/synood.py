"""SynOOD: whether the updates of the noise lower the OOD loss of an image (3.3)."""

import numpy as np

from penumbra.benchmark.claims import Claim, Measured, compare

COLUMNS = ("loss",)  # [iterations]: after each denoising run


def loss(claim: Claim, measured: Measured) -> list[dict]:
    """The share of images whose loss falls, of each variant whose noise was updated; spread = standard error of a share."""
    rows = []
    for method, frame in measured.found.of("synood").items():
        losses = np.stack(frame.loss.to_numpy()) if len(frame) else np.zeros((0, 0))
        if losses.shape[1] < 2:
            continue
        fallen = float(np.mean(losses[:, -1] < losses[:, 0]))
        error = float(np.sqrt(fallen * (1 - fallen) / len(losses)))
        key = {"claim": claim.text.format(method=method), "measure": "share of images", "spread": "standard error"}
        rows.append(key | compare((fallen, error), (1 - fallen, error)))
    return rows


COMPARISONS = {"loss": loss}
