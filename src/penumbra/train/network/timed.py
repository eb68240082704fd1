"""Losses that know how far the training is, and learn modules of their own beside the network."""

from functools import partial
from typing import Any, ClassVar, TypeVar

import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.stage import Stage
from penumbra.train.detectors import Train
from penumbra.train.inputs import chosen
from penumbra.train.network import seeds as network
from penumbra.train.network.loss import Loss
from penumbra.train.network.params import NetworkRecipe
from penumbra.training import set_learning_rate, warmup_cosine

M = TypeVar("M", bound=nn.Module)


class Clock(nn.Module):
    """Counts the steps of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))


class Companion:
    """A module that learns beside the network by SGD of the same recipe; it is not saved with the detector.

    The optimiser of the network holds the network alone. So each parameter of the companion takes its step in the backward pass, as
    soon as its gradient is whole.

    Args:
        module: on its device.
        p: the recipe.
    """

    def __init__(self, module: nn.Module, p: NetworkRecipe):
        self.module, self.optimizers = module, {}
        for name, parameter in module.named_parameters():
            optimizer = torch.optim.SGD([parameter], p.learning_rate, p.momentum, weight_decay=p.weight_decay, nesterov=p.nesterov)
            self.optimizers[name] = optimizer
            parameter.register_post_accumulate_grad_hook(partial(_stepped, optimizer))

    def state_dict(self) -> dict[str, Any]:
        """Of the module and of its optimisers."""
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"module": self.module.state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.module.load_state_dict(state["module"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])


def _stepped(optimizer: torch.optim.SGD, _: Tensor) -> None:
    optimizer.step()
    optimizer.zero_grad()


class TimedLoss(Loss):
    """A loss that is told the length of an epoch (`trainer`).

    Attributes:
        steps: of the network in an epoch.
    """

    steps: ClassVar[int] = 1

    def __init__(self, detector: AnyDetector, p: NetworkRecipe):
        super().__init__(detector, p)
        self.device = detector.last_layer.weight.device
        self.clock = Clock()
        self.companions: list[Companion] = []
        self.stateful = {"clock": self.clock}

    def beside(self, name: str, module: M) -> M:
        """The module on the network's device, learning from now on as long as its outputs reach the loss."""
        companion = Companion(module.to(self.device), self.p)
        self.companions.append(companion)
        self.stateful[name] = companion
        return module

    def begin(self) -> int:
        """Begin a step: the number of epochs that are done; companions get the learning rate that the network has."""
        epoch = self.clock.step.item() / self.steps
        self.clock.step += 1
        for optimizer in (optimizer for companion in self.companions for optimizer in companion.optimizers.values()):
            set_learning_rate(optimizer, self.p.learning_rate * warmup_cosine(epoch, self.p.epochs, self.p.warmup_epochs))
        return int(epoch)


def trainer(stage: Stage, loss: type[TimedLoss]) -> Train:
    """As `trainer` of every network, with a loss that knows the steps of an epoch."""
    images = pq.ParquetFile(stage.read("images/train")).metadata.num_rows
    steps = max(images // chosen(stage)[1].batch_size, 1)
    return network.trainer(stage, type(loss.__name__, (loss,), {"steps": steps}))
