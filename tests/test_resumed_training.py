"""A resumed training equals an uninterrupted one."""

import pytest
import torch

from penumbra import training

BATCHES = 3  # in an epoch


def run(checkpoint, stop_after=None):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    seen, history = [], training.History()
    for epoch in training.epochs(6, 0, "test", checkpoint, {"model": model, "optimizer": optimizer, "history": history}):
        if epoch == stop_after:
            raise KeyboardInterrupt
        seen.append(epoch)
        training.descend(torch.randn(BATCHES, 16, 4), lambda batch: model(batch).square().mean(), optimizer)
        history.add(epoch=epoch + 1)
    return seen, model.state_dict(), history.rows


def test_a_killed_training_resumes_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    _, expected, rows = run(tmp_path / "whole.pt")
    assert rows == [{"epoch": epoch, "steps": epoch * BATCHES} for epoch in range(1, 7)]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed.pt", stop_after=4)
    seen, resumed, resumed_rows = run(tmp_path / "killed.pt")
    assert seen == [4, 5] and resumed_rows == rows
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_checkpoints_are_rare_enough_not_to_cost(tmp_path):
    run(tmp_path / "fast.pt")
    assert not (tmp_path / "fast.pt").exists()
