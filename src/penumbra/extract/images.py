"""What a model sees in files of images; a block of work is a row group of a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penumbra import blocks
from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import decode, read_table
from penumbra.runtime import inference_batch
from penumbra.stage import Stage

BATCH = 256


def in_batches(represent: Callable[[Tensor], Tensor], pixels: np.ndarray, device: torch.device) -> Tensor:
    """What `represent` makes of images [B, 3, H, W] in [0, 1]: [N, D], float32 on the CPU, of uint8 pixels [N, H, W, 3]."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.cat([represent(batch.to(device).float() / 255).cpu() for batch in images.split(inference_batch(BATCH))])


def run(
    stage: Stage,
    files: dict[str, Path],
    represent: Callable[[Tensor], Tensor],
    device: torch.device,
    write: Callable[[dict[str, Tensor]], None],
) -> None:
    """Represent every image of some files once.

    Args:
        files: name -> data/images or data/outliers file; the same file may not be named twice.
        represent: see `in_batches`.
        write: writes the output, of name -> [N, D], rows as in the file; [0, 0] for an empty file.
    """
    groups = {name: pq.ParquetFile(path).num_row_groups for name, path in files.items()}
    found = {f"{name}-{group:06d}.safetensors": (name, group) for name, count in groups.items() for group in range(count)}

    def represented(path: Path, block: tuple[str, int]) -> None:
        name, group = block
        rows = pq.ParquetFile(files[name]).read_row_group(group, columns=["image"])["image"].to_pylist()
        pixels = np.stack([decode(row["bytes"]) for row in rows])
        save_file({"rows": in_batches(represent, pixels, device)}, path)

    def assemble(paths: list[Path]) -> None:
        made: dict[str, list[Tensor]] = {name: [] for name in files}
        for path, (name, _) in zip(paths, found.values(), strict=True):
            made[name].append(load_file(path)["rows"])
        write({name: torch.cat(parts) if parts else torch.zeros(0, 0) for name, parts in made.items()})

    blocks.run(stage, found, lambda: represented, assemble)


def of_train(stage: Stage, name: str, represent: Callable[[Tensor], Tensor], device: torch.device) -> None:
    """Write data/features/MODEL.safetensors: `name` [N, D] and `label` [N], rows as in images/train."""

    def write(found: dict[str, Tensor]) -> None:
        rows = read_table(stage.read("images/train"), ["sample_id", "label"])
        label = torch.tensor(rows["label"].to_pylist(), dtype=torch.int64)
        write_features(stage.write(), {name: found["train"], "label": label}, rows["sample_id"].to_pylist(), stage.provenance)

    run(stage, {"train": stage.read("images/train")}, represent, device, write)
