"""Units of work of extract: the row groups of images/train, so that a killed job goes on after the last whole one."""

from collections.abc import Callable

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


def run(stage: Stage, name: str, represent: Callable[[Tensor], Tensor], device: torch.device) -> None:
    """Make the units that are left to this process; without a part, write data/features/MODEL.safetensors of all.

    The file holds `name` [N, D] and `label` [N], rows as in images/train.
    """
    file = pq.ParquetFile(stage.read("images/train"))
    units = [f"rows-{index:06d}.safetensors" for index in range(file.num_row_groups)]
    for unit in progress(stage.todo(units), stage.name):
        rows = file.read_row_group(units.index(unit), columns=["image"])["image"].to_pylist()
        pixels = np.stack([decode(row["bytes"]) for row in rows])
        with replace(stage.scratch / unit) as temporary:
            save_file({name: in_batches(represent, pixels, device)}, temporary)
    if stage.part is not None:
        return
    rows = read_table(stage.read("images/train"), ["sample_id", "label"])
    features = torch.cat([load_file(stage.scratch / unit)[name] for unit in units])
    label = torch.tensor(rows["label"].to_pylist(), dtype=torch.int64)
    write_features(stage.write(), {name: features, "label": label}, rows["sample_id"].to_pylist(), stage.provenance)
    stage.finish()
