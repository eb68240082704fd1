"""Roots and logarithms of tensors are torch's own, here and in the optimisers: MKL's differ between CPUs."""

import ast
from pathlib import Path

import numpy as np
import torch

from penumbra.elementary import log, logsumexp, root

SOURCE = Path(__file__).parents[1] / "src/penumbra"
PLAIN = ("np", "math")
OURS = {"sqrt": "root", "sqrt_": "root", "log": "log", "log_": "log", "logsumexp": "logsumexp"}
EXCEPT = (SOURCE / "elementary.py", SOURCE / "probes", SOURCE / "predict/graph.py")  # a graph computes with the library that runs it
POSITIVE = torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 8


def test_a_root_is_right_to_the_last_place_but_one():
    for values in (POSITIVE, POSITIVE.float()):
        exact = np.sqrt(values.numpy())
        assert (abs(root(values).numpy() - exact) <= np.spacing(exact)).all()
    assert root(torch.tensor([0.0, 1.0, 4.0])).tolist() == [0, 1, 2] and root(2.0) == 2.0**0.5


def test_a_logarithm_is_that_of_numpy_which_asks_no_mkl():
    assert np.array_equal(log(POSITIVE).numpy(), np.log(POSITIVE.numpy()))
    assert torch.equal(log(POSITIVE.float()), POSITIVE.float().log())
    assert log(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist() == [-np.inf, 0]


def test_logsumexp_has_the_values_and_gradients_of_torch_also_where_exp_overflows_or_values_tie():
    logits = (POSITIVE.view(-1, 5) - 4) * torch.tensor([1.0, 10, 100, 1000, 0.1])
    logits[0] = 3
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    for values, of in ((ours, logsumexp), (theirs, torch.logsumexp)):
        of(values, 1).sum().backward()
    torch.testing.assert_close(logsumexp(ours, 1), torch.logsumexp(theirs, 1), rtol=4e-16, atol=1e-15)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)
    assert torch.equal(logsumexp(logits.float(), 1), torch.logsumexp(logits.float(), 1))


def test_no_tensor_takes_the_root_or_the_logarithm_of_mkl():
    for file in SOURCE.rglob("*.py"):
        if any(file.is_relative_to(path) for path in EXCEPT):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OURS:
                owner = node.func.value
                plain = isinstance(owner, ast.Name) and owner.id in PLAIN
                assert plain, f"{file}:{node.lineno}: use penumbra.elementary.{OURS[node.func.attr]}"


def test_every_adam_is_fused():
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("Adam", "AdamW"):
                assert "fused" in [keyword.arg for keyword in node.keywords], f"{file}:{node.lineno}"
