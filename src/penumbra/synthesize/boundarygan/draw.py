"""Draws the candidates of the boundary GAN."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import encode, read_provenance, read_table
from penumbra.artifacts.pixels import store
from penumbra.noise import SampleNoise
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.synthesize.boundarygan.training import NAME, Players, players, train
from penumbra.synthesize.tone import toned


def trained(stage: Stage, device: torch.device) -> Players:
    """The three after their training; what lies finished in the scratch folder is not trained again."""
    p, seed, file = stage.params.synthesize[stage.item], stage.params.common.seed, stage.read("images/train")
    pixels = store(stage.scratch / "pixels.npy", (file, None))
    labels = torch.tensor(read_table(file, ["label"])["label"].to_pylist(), device=device)
    made, finished = players(p, len(read_provenance(file)["classes"]), pixels.shape[1], seed, device), stage.scratch / "players.safetensors"
    if not finished.exists():
        train(made, pixels, labels, p, seed, stage.scratch / "players.pt")
        parts = {f"{name}.{key}": value.contiguous() for name, each in made.modules().items() for key, value in each.state_dict().items()}
        with replace(finished) as temporary:
            save_file(parts, temporary)
    parts = load_file(finished)
    for name, network in made.modules().items():
        network.load_state_dict({key.removeprefix(f"{name}."): value for key, value in parts.items() if key.startswith(f"{name}.")})
        network.eval().requires_grad_(False)
    return made


@torch.no_grad()
def _rows(made: Players, block: Sequence[int], stage: Stage) -> Iterator[dict]:
    common, names = stage.params.common, [f"{stage.item}/{index:06d}" for index in block]
    device = made.generator.first.weight.device
    z = SampleNoise(common.seed, NAME, names).normal(made.generator.first.in_features)
    drawn = (made.generator(z.to(device)) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    pixels = toned(np.ascontiguousarray(drawn), common.grey)
    seen = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
    confidence, label = torch.softmax(made.classifier(seen), 1).max(1)
    for row, name in enumerate(names):
        yield {
            "image": encode(pixels[row]),
            "sample_id": name,
            "source_id": "",
            "label": label[row].item(),
            "confidence": confidence[row].item(),
            "seed": common.seed,
        }


def open_blocks(stage: Stage) -> Callable[[Sequence[int]], Iterator[dict]]:
    """Train, or load what is trained; returns what makes the rows of a block."""
    made = trained(stage, setup())
    return lambda block: _rows(made, block, stage)
