"""Which candidates a detector is trained on (Bad-OOD 4.3, Table 2)."""

import torch
from torch import Tensor


def draw(rows: list[int], count: int, draws: torch.Generator) -> Tensor:
    """The rows [count] in ascending order: all, or as many as `count` of them drawn at random."""
    found = torch.tensor(rows, dtype=torch.int64)
    if count >= len(rows):
        return found
    return found[torch.randperm(len(rows), generator=draws)[:count].sort().values]
