"""The shared epoch: what happens in a step, and in which order."""

import pytest
import torch

from penumbra.training import descend, summed


class Recorder(torch.optim.SGD):
    """Writes down what it is asked."""

    def __init__(self, weight, log, name):
        super().__init__([weight], lr=0.5)
        self.log, self.name = log, name

    def zero_grad(self, set_to_none=True):
        self.log.append(f"{self.name} zeroes")
        super().zero_grad(set_to_none)

    def step(self, closure=None):
        self.log.append(f"{self.name} steps at {self.param_groups[0]['lr']:g}")
        return super().step(closure)


def test_each_batch_is_a_step_and_its_loss_is_that_before_the_step():
    weight, log = torch.tensor([1.0], requires_grad=True), []

    def loss(batch):
        log.append(f"loss of {batch}")
        return (weight * batch).sum()

    optimizers = Recorder(weight, log, "first"), Recorder(weight, log, "second")
    losses = descend(iter([2.0, 3.0]), loss, *optimizers, rate=lambda step: 0.1 * (step + 1), after=lambda: log.append("after"))
    step = ["first zeroes", "second zeroes", "first steps at {0}", "second steps at {0}", "after"]
    assert log == [line.format(rate) for batch, rate in ((2.0, 0.1), (3.0, 0.2)) for line in (f"loss of {batch}", *step)]
    assert losses == pytest.approx([2.0, 3 * (1 - 2 * 0.1 * 2)])
    assert weight.item() == pytest.approx(1 - 2 * 0.1 * 2 - 2 * 0.2 * 3)


def test_without_a_rate_the_optimisers_keep_theirs():
    weight = torch.tensor([1.0], requires_grad=True)
    descend([1.0], lambda batch: weight.sum(), torch.optim.SGD([weight], lr=0.25))
    assert weight.item() == 0.75


def test_the_sum_rounds_after_each_value_on_every_version_of_python():
    values = [0.1] * 10 + [1e16, 1.0, -1e16]
    total = 0.0
    for value in values:
        total += value
    assert summed(values) == total and summed([]) == 0.0
