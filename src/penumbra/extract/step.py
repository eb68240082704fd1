"""extract@encoder: the standardised representation of every ID training image."""

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penumbra.artifacts.features import write_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import decode, read_table
from penumbra.models.moco import MoCoEncoder
from penumbra.runtime import inference_batch, progress, setup
from penumbra.stage import Stage

BATCH = 256


def represent_pixels(encoder: MoCoEncoder, pixels: np.ndarray, device: torch.device, batch_size: int) -> Tensor:
    """Representations [N, D], float32 on the CPU, of uint8 pixels [N, H, W, 3]."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.cat([encoder.represent(batch.to(device).float() / 255).cpu() for batch in images.split(batch_size)])


def main(stage: Stage) -> None:
    """Write data/features/encoder.safetensors: `representation` [N, D] and `label` [N], rows as in images/train.

    A row group of the images is a unit: a killed job goes on after the last whole one.
    """
    device = setup()
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device)
    file = pq.ParquetFile(stage.read("images/train"))
    units = [f"rows-{index:06d}.safetensors" for index in range(file.num_row_groups)]
    for unit in progress(stage.todo(units), stage.name):
        rows = file.read_row_group(units.index(unit), columns=["image"])["image"].to_pylist()
        pixels = np.stack([decode(row["bytes"]) for row in rows])
        with replace(stage.scratch / unit) as temporary:
            save_file({"representation": represent_pixels(encoder, pixels, device, inference_batch(BATCH))}, temporary)
    if stage.part is not None:
        return
    rows = read_table(stage.read("images/train"), ["sample_id", "label"])
    representation = torch.cat([load_file(stage.scratch / unit)["representation"] for unit in units])
    label = torch.tensor(rows["label"].to_pylist(), dtype=torch.int64)
    write_features(stage.write(), {"representation": representation, "label": label}, rows["sample_id"].to_pylist(), stage.provenance)
    stage.finish()
