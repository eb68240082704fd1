"""Units of work of extract: the row groups of files of images, so that a killed job goes on after the last whole one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penumbra.artifacts.features import write_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import decode, read_table
from penumbra.runtime import inference_batch, progress
from penumbra.stage import Stage

BATCH = 256


def in_batches(represent: Callable[[Tensor], Tensor], pixels: np.ndarray, device: torch.device) -> Tensor:
    """What `represent` makes of images [B, 3, H, W] in [0, 1]: [N, D], float32 on the CPU, of uint8 pixels [N, H, W, 3]."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.cat([represent(batch.to(device).float() / 255).cpu() for batch in images.split(inference_batch(BATCH))])


def collect(stage: Stage, files: dict[str, Path], represent: Callable[[Tensor], Tensor], device: torch.device) -> dict[str, Tensor] | None:
    """Represent every image of some files once; the units that are left to this process are made.

    Args:
        files: name -> data/images or data/outliers file; the same file may not be named twice.
        represent: see `in_batches`.

    Returns:
        Name -> [N, D], rows as in the file, put together from the units; [0, 0] for an empty file. None if this process does a part.
    """
    groups = {name: pq.ParquetFile(path).num_row_groups for name, path in files.items()}
    units = {f"{name}-{group:06d}.safetensors": (name, group) for name, count in groups.items() for group in range(count)}
    for unit in progress(stage.todo(units), stage.name):
        name, group = units[unit]
        rows = pq.ParquetFile(files[name]).read_row_group(group, columns=["image"])["image"].to_pylist()
        pixels = np.stack([decode(row["bytes"]) for row in rows])
        with replace(stage.scratch / unit) as temporary:
            save_file({"rows": in_batches(represent, pixels, device)}, temporary)
    if stage.part is not None:
        return None
    made: dict[str, list[Tensor]] = {name: [] for name in files}
    for unit, (name, _) in units.items():
        made[name].append(load_file(stage.scratch / unit)["rows"])
    return {name: torch.cat(parts) if parts else torch.zeros(0, 0) for name, parts in made.items()}


def run(stage: Stage, name: str, represent: Callable[[Tensor], Tensor], device: torch.device) -> None:
    """Make the units that are left to this process; without a part, write data/features/MODEL.safetensors of all.

    The file holds `name` [N, D] and `label` [N], rows as in images/train.
    """
    found = collect(stage, {"train": stage.read("images/train")}, represent, device)
    if found is None:
        return
    rows = read_table(stage.read("images/train"), ["sample_id", "label"])
    label = torch.tensor(rows["label"].to_pylist(), dtype=torch.int64)
    write_features(stage.write(), {name: found["train"], "label": label}, rows["sample_id"].to_pylist(), stage.provenance)
    stage.finish()
