"""Curves of convergence: what has a panel, and by which steps and measures it is drawn."""

import pandas as pd

from penumbra.report import convergence


def history(**columns) -> pd.DataFrame:
    return pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "steps": [30, 60]} | columns)


def test_each_network_that_took_a_step_has_a_panel(drawn):
    tokenizer = history(model="vqgan", val_error=[0.2, 0.1]).rename(columns={"loss": "vqgan_loss"})
    models = {"mage": pd.concat([tokenizer, history(model="mage", val_perplexity=[9.0, 8.0])])}
    start = pd.DataFrame({"phase": ["start"], "steps": [0], "val_loss": [2.0]})
    detectors = {"clip": start, "clip-synood": pd.concat([start, history(phase="tune", val_loss=[2.0, 1.5])])}
    convergence.figures(models, detectors)
    assert [ax.get_title() for ax in drawn["axes"] if ax.get_title()] == ["mage: vqgan", "mage", "clip-synood: tune"]
    assert not convergence.figures({}, {"clip": start})


def test_curves_go_along_steps_and_each_seed_has_its_own(drawn):
    """A validation loss shares the axis of losses; an accuracy has its own, in percent."""
    seeds = pd.concat([history(seed=seed, val_accuracy=[0.5, 0.75]) for seed in (0, 1)])
    convergence.figures({"rdm": history(val_loss=[3.0, None])}, {"none": seeds})
    shared, losses, accuracies = drawn["axes"]
    assert [line.get_xydata().tolist() for line in shared.lines] == [[[30, 2], [60, 1]], [[30, 3]]]
    assert [line.get_xydata().tolist() for line in losses.lines] == [[[30, 2], [60, 1]]] * 2
    assert [line.get_xydata().tolist() for line in accuracies.lines] == [[[30, 50], [60, 75]]] * 2
    assert losses.get_yscale() == "linear" and accuracies.get_ylabel() == "accuracy, %"
