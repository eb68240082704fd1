"""Two processes that train one network together, as torchrun starts them, give the network of one process that trains it alone."""

import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from training_files import train

from penumbra.errors import PenumbraError
from penumbra.joint import join

PROGRAM = """
import pickle, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from penumbra import processes
from training_files import train
for stage in pickle.loads(Path(sys.argv[2]).read_bytes()):
    train(replace(stage, part=(0, 1)) if processes.rank() else stage)
"""
CASES = {  # loss: bands, and what else is given
    "energy": (["mid"], {"batch_size": 7}),  # of eleven images, ID and outliers, one process has six and one five
    "uniform": (["mid"], {"kit": ["reconstruction"], "information_weight": 0.1}),  # a module learns beside the network
    "cider": (["all"], {"method": "none"}),  # every image of a batch is compared with every other
}


def by_two(stages, folder: Path) -> None:
    """Train by two processes, which are started once for all stages: that takes longer than the trainings."""
    (folder / "stages.pickle").write_bytes(pickle.dumps(stages))
    (folder / "program.py").write_text(PROGRAM)
    torchrun = Path(sys.executable).with_name("torchrun")
    command = [torchrun, "--standalone", "--nproc-per-node=2", folder / "program.py", Path(__file__).parents[1], folder / "stages.pickle"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_give_the_network_of_one(make_stage, tmp_path):
    made = {}
    for loss, (bands, given) in CASES.items():
        given = given | {"loss": loss, "learning_rate": 0.002}  # a higher rate makes much of a last bit, in batches so small
        still = make_stage(bands, f"{loss}/still", **given | {"learning_rate": 0.0})
        alone, together = (make_stage(bands, f"{loss}/{place}", **given) for place in ("alone", "together"))
        for stage in (still, alone):
            train(stage)
        made[loss] = still, alone, together
    by_two([together for *_, together in made.values()], tmp_path)
    for loss, stages in made.items():
        for seed in (1, 3):
            start, one, two = (weights(stage, seed) for stage in stages)
            # where an activation is about 0, its last bit decides whether it has a gradient
            assert (two - one).norm() < 0.03 * (one - start).norm(), loss
        pd.testing.assert_frame_equal(*(pd.read_csv(stage.write() / "history.csv") for stage in stages[1:]), rtol=1e-3)


def test_a_batch_norm_that_does_more_is_refused(monkeypatch):
    class Activated(torch.nn.BatchNorm2d):
        pass

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PenumbraError, match="processes: Activated of this network cannot be shared"):
        join(torch.nn.Sequential(torch.nn.BatchNorm2d(2), Activated(2)))


def weights(stage, seed: int) -> torch.Tensor:
    """All that a network has learnt, and the statistics of its batch norms, in one row."""
    saved = load_file(stage.write() / f"seed-{seed}/model.safetensors")
    return torch.cat([values.flatten() for _, values in sorted(saved.items()) if values.is_floating_point()])
