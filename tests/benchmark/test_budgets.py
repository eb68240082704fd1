"""What benchmarks/budgets.py reads from a history, and that its table is of what is committed."""

import runpy
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from penumbra.experiment.load import load
from penumbra.training import History

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks/budgets.py"))


def history(model, losses, column):
    epochs = np.arange(1, len(losses) + 1)
    return pd.DataFrame({"model": model, "epoch": epochs, column: losses, "steps": 10 * epochs, "cpu_seconds": 5.0})


def test_a_budget_is_the_beginning_of_a_longer_training_and_its_seconds_are_the_networks_own():
    before = history("vae", [0.2, 0.1], "val_error")
    unet = history("unet", [np.nan, 0.5, np.nan, 0.3, np.nan, 0.4], "val_loss")
    rows = SCRIPT["rows_of"]("unet", pd.concat([before, unet], ignore_index=True), {"half": 2, "chosen": 4, "twice": 8})
    found = [(row["budget"], row["epochs"], row["steps"], row["value"], row["cpu_seconds"]) for row in rows]
    assert found == [("half", 2, 20, 0.5, 10), ("chosen", 4, 40, 0.3, 20), ("twice", 8, 60, 0.3, 30)]  # stopped after 6 of 8


def test_every_measure_of_a_network_has_a_row_of_its_last_validation():
    table = history("clip", [0.9, 0.8, 0.7], "val_loss").assign(val_accuracy=[0.5, 0.6, np.nan]).drop(columns="model")
    rows = list(SCRIPT["rows_of"]("clip", table, {"chosen": 3}))
    assert [(row["measure"], row["value"]) for row in rows] == [("val_accuracy", 0.6), ("val_loss", 0.7)]


def test_the_rows_of_a_history_say_what_they_cost(monkeypatch):
    clock = iter([1.0, 3.5, 4.0])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    kind = type("Timed", (History,), {})
    SCRIPT["measure_seconds"](kind)
    rows = kind()
    rows.add(epoch=1)
    rows.add(epoch=2)
    assert [row["cpu_seconds"] for row in rows.rows] == [2.5, 0.5] and [row["epoch"] for row in rows.rows] == [1, 2]


def test_the_committed_table_has_the_committed_budgets():
    if not SCRIPT["FILE"].exists():
        pytest.skip("not run yet")
    table, presets = pd.read_csv(SCRIPT["FILE"]), load(ROOT / "params.yaml")["pretrain"]
    assert not table.duplicated(["network", "budget", "measure"]).any() and np.isfinite(table.value).all()
    for row in table[table.budget == "chosen"].itertuples():
        (preset,) = presets[SCRIPT["NETWORKS"][row.network].kind].values()
        assert row.epochs == preset[SCRIPT["NETWORKS"][row.network].key], row.network
