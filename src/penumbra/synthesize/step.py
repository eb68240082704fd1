"""synthesize@METHOD: candidate outliers by minority guidance (Bad-OOD 3.2-3.3) or by Gaussian noise (app. F)."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import encode
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.models.rdm import RDM
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.synthesize import blocks
from penumbra.synthesize.candidates import Streams, draw_images, guide
from penumbra.synthesize.measures import distances

BLOCK = 256  # candidates in a unit of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "scale": pa.float64(),
    "displacement": pa.float32(),
    "norm": pa.float32(),
    "minority_before": pa.float32(),
    "minority_after": pa.float32(),
    "representation": pa.list_(pa.float32()),
    "distance_l2": pa.float32(),
    "distance_cosine": pa.float32(),
    "distance_mse": pa.float32(),
    "distance_unit_l2": pa.float32(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Models:
    """The frozen models, on one device."""

    encoder: MoCoEncoder
    rdm: RDM
    mage: MAGE


@dataclass(frozen=True)
class Features:
    """What is known of the N ID images: representation [N, D] on the models' device, ids and labels."""

    representation: Tensor
    sample_ids: list[str]
    labels: list[int]


@dataclass(frozen=True)
class Candidate:
    """A candidate before it is made: its source row, which copy of it, and its scale."""

    row: int
    copy: int
    scale: float


def plan(sources: int, per_image: int, scales: list[float]) -> list[Candidate]:
    """All candidates in order: `per_image` of each source, their scales taken in turn over the whole list."""
    return [Candidate(index // per_image, index % per_image, scales[index % len(scales)]) for index in range(sources * per_image)]


def make_block(models: Models, z0: Tensor, ids: list[str], scales: list[float], stage: Stage) -> tuple[Tensor, dict[str, Tensor]]:
    """Candidates of source representations z0 [B, D]: uint8 pixels [B, S, S, 3] and the measured columns [B, ...], on the CPU.

    Args:
        ids: of the B candidates, equal for all methods (`Streams`).
        scales: of the guidance.
    """
    p, seed, size = stage.params.synthesize[stage.item], stage.params.common.seed, stage.params.common.image_size
    guided = guide(models.rdm, models.rdm.alphas_cumprod, z0, scales, Streams(seed, ids), p)
    pixels, representations = [], []
    for rows in torch.arange(len(z0)).split(inference_batch(BLOCK)):
        noise = Streams(seed, [ids[row] for row in rows]).of("decode")
        pixels.append(draw_images(models.mage, guided.representation[rows.to(z0.device)], noise, size, p))
        representations.append(models.encoder.represent(pixels[-1].to(z0.device).permute(0, 3, 1, 2).float() / 255))
    columns = {
        "displacement": guided.displacement,
        "norm": torch.linalg.vector_norm(guided.representation, dim=1),
        "minority_before": guided.minority_before,
        "minority_after": guided.minority_after,
        "representation": guided.representation,
        **distances(torch.cat(representations), z0),
    }
    return torch.cat(pixels), {name: values.cpu() for name, values in columns.items()}


def _rows(models: Models, features: Features, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    ids = [f"{features.sample_ids[c.row]}-{c.copy}" for c in block]
    pixels, measured = make_block(models, features.representation[[c.row for c in block]], ids, [c.scale for c in block], stage)
    for index, c in enumerate(block):
        yield {
            "image": encode(np.ascontiguousarray(pixels[index].numpy())),
            "sample_id": f"{stage.item}/{c.row:06d}-{c.copy}",
            "source_id": features.sample_ids[c.row],
            "label": features.labels[c.row],
            "scale": c.scale,
            "seed": stage.params.common.seed,
            **{name: values[index].tolist() for name, values in measured.items()},
        }


def _report(stage: Stage) -> None:
    """One line per scale on stderr, and a warning where the guided samples have left the space that MAGE knows."""
    names = ["scale", "displacement", "norm", "minority_before", "minority_after", "distance_cosine"]
    frame = pq.read_table(stage.write(), columns=names).to_pandas()
    expected = (len(pq.ParquetFile(stage.write()).read_row_group(0, ["representation"])["representation"][0]) - 1) ** 0.5
    frame["rise"] = frame["minority_after"] - frame["minority_before"]
    for scale, mean in frame.groupby("scale")[["displacement", "norm", "rise", "distance_cosine"]].mean().iterrows():
        print(
            f"{stage.name}: scale {scale:g}: displacement {mean.displacement:.2f}, norm {mean.norm:.2f} (ID {expected:.2f}), "
            f"minority score {mean.rise:+.2f}, cosine distance {mean.distance_cosine:.3f}",
            file=sys.stderr,
        )
        if not 0.5 * expected < mean.norm < 2 * expected:
            print(
                f"warning: {stage.name}: samples of scale {scale:g} collapse. Set norm: l2, restandardize: true or less scale.",
                file=sys.stderr,
            )


def _inputs(stage: Stage, device: torch.device) -> tuple[Models, Features]:
    loaders = {"encoder": MoCoEncoder, "rdm": RDM, "mage": MAGE}
    models = Models(**{name: kind.from_pretrained(stage.read(f"models/{name}")).to(device) for name, kind in loaders.items()})
    tensors, sample_ids = read_features(stage.read("features/encoder"))
    return models, Features(tensors["representation"].to(device), sample_ids, tensors["label"].tolist())


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each candidate.

    A block of candidates is a unit: a killed job goes on after the last whole one.
    """
    device = setup(threads=1)  # its parts run side by side
    p = stage.params.synthesize[stage.item]
    models, features = _inputs(stage, device)
    candidates = plan(len(features.sample_ids), p.per_image, p.scales)
    if blocks.run(stage, candidates, BLOCK, COLUMNS, lambda block: _rows(models, features, block, stage)):
        _report(stage)
        stage.finish()
