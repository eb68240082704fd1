"""A resumed training equals an uninterrupted one."""

import pytest
import torch

from penumbra import training


def run(checkpoint, stop_after=None):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    seen = []
    for epoch in training.epochs(6, 0, "test", checkpoint, {"model": model, "optimizer": optimizer}):
        if epoch == stop_after:
            raise KeyboardInterrupt
        seen.append(epoch)
        optimizer.zero_grad()
        model(torch.randn(16, 4)).square().mean().backward()
        optimizer.step()
    return seen, model.state_dict()


def test_a_killed_training_resumes_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    _, expected = run(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed.pt", stop_after=4)
    seen, resumed = run(tmp_path / "killed.pt")
    assert seen == [4, 5]
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_checkpoints_are_rare_enough_not_to_cost(tmp_path):
    run(tmp_path / "fast.pt")
    assert not (tmp_path / "fast.pt").exists()
