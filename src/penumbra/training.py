"""What all training loops share: epochs that survive a kill, and randomness that belongs to the epoch."""

import functools
import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from penumbra import joint, processes
from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv
from penumbra.noise import derive
from penumbra.runtime import progress

CHECKPOINT_SECONDS = 20.0  # a killed job loses at most this much work and one epoch

Batch = TypeVar("Batch")


class Stateful(Protocol):
    """A module, optimiser or scheduler."""

    def state_dict(self) -> dict: ...
    def load_state_dict(self, state: dict) -> object: ...


def epochs(total: int, seed: int, name: str, checkpoint: Path, stateful: dict[str, Stateful]) -> Iterator[int]:
    """Yield the epochs that are left to do, with their progress on stderr; save the state between epochs, resume from it.

    Before each epoch torch's global generator is seeded from (seed, name, epoch), so a resumed run equals an
    uninterrupted one bit for bit. Draws that need a generator of their own use `noise.generator(seed, name, epoch)`.

    Args:
        total: number of epochs.
        seed: the experiment's seed.
        name: what is trained ("pretrain/rdm"); shown with the progress.
        checkpoint: file in the stage's scratch folder.
        stateful: everything that changes while training, by name. A history among it counts the steps of the first optimiser.
    """
    start, parts = 0, list(stateful.values())
    for history in (part for part in parts if isinstance(part, History)):
        history.follow(next(part for part in parts if isinstance(part, torch.optim.Optimizer)))
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        start = saved["epoch"]
        for key, part in stateful.items():
            part.load_state_dict(saved[key])
    saved_at = time.monotonic()
    for epoch in progress(range(start, total), name, total=total, initial=start):
        torch.manual_seed(derive(seed, name, epoch))
        yield epoch
        if processes.rank() == 0 and time.monotonic() - saved_at > CHECKPOINT_SECONDS and epoch + 1 < total:
            with replace(checkpoint) as temporary:
                torch.save({"epoch": epoch + 1} | {key: part.state_dict() for key, part in stateful.items()}, temporary)
            saved_at = time.monotonic()


def warmup_cosine(epoch: float, total: float, warmup: float) -> float:
    """Factor of the learning rate at a (fractional) epoch: linear from 0 during the warm-up, then half a cosine down to 0."""
    if epoch < warmup:
        return epoch / warmup
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (total - warmup)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One learning rate for all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def ahead(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches, each made in a thread beside the step on the one before it. A generator of their own makes their draws."""
    source = iter(batches)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield batch


def descend(
    batches: Iterable[Batch],
    loss: Callable[[Batch], Tensor],
    *optimizers: torch.optim.Optimizer,
    rate: Callable[[int], float] | None = None,
    after: Callable[[], object] | None = None,
) -> list[float]:
    """One epoch of gradient descent, a step for each batch; returns the loss of each.

    Args:
        batches: whatever `loss` takes.
        loss: of a batch, a scalar to be minimised.
        optimizers: each takes its step on the same gradients, the mean of all processes that train together.
        rate: the learning rate of a step, by its number; None: that which the optimisers have.
        after: called after each step.
    """
    losses = []
    for step, batch in enumerate(batches):
        if rate:
            for optimizer in optimizers:
                set_learning_rate(optimizer, rate(step))
        value = loss(batch)
        for optimizer in optimizers:
            optimizer.zero_grad()
        value.backward()
        for optimizer in optimizers:
            joint.average(each for group in optimizer.param_groups for each in group["params"])
            optimizer.step()
        if after:
            after()
        losses.append(value.item())
    return losses


def summed(values: Iterable[float]) -> float:
    """Their sum from the first to the last, one rounding after the other: `sum` corrects its roundings from Python 3.12 on."""
    return functools.reduce(operator.add, values, 0.0)


class History:
    """Rows of history.csv, resumable like the rest of the training state."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.steps = 0

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Count its steps, from 0."""
        self.steps = 0
        optimizer.register_step_post_hook(self._count)

    def _count(self, *_: object) -> None:
        self.steps += 1

    def add(self, **row: Any) -> None:
        """Append a row, with the steps so far; what is absent from it stays an empty cell."""
        self.rows.append(row | {"steps": self.steps})

    def write(self, path: Path) -> None:
        """Write the rows as CSV."""
        import pandas as pd

        write_csv(path, pd.DataFrame(self.rows))

    def state_dict(self) -> dict:
        return {"rows": self.rows, "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        self.rows, self.steps = state["rows"], state["steps"]
