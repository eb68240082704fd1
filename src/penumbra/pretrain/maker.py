"""Names of files in the scratch folder that a network fills which the same stage trains."""

import hashlib
from pathlib import Path

import torch
from torch import nn


def made_by(path: Path, network: nn.Module) -> Path:
    """The path with a hash of the network's weights in its name.

    A killed job trains the last epochs anew, on another machine to other last bits. Then what the former weights made is not read.
    """
    total = hashlib.sha256()
    for weights in network.state_dict().values():
        total.update(weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return path.with_name(f"{path.stem}-{total.hexdigest()[:12]}{path.suffix}")
