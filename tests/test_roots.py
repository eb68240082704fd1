"""Square roots of tensors are torch's own, here and in the optimisers: MKL's differ between CPUs."""

import ast
from pathlib import Path

import numpy as np
import torch

from penumbra.roots import root

SOURCE = Path(__file__).parents[1] / "src/penumbra"
PLAIN = ("np", "math")


def test_a_root_is_right_to_the_last_place_but_one():
    x = torch.rand(10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 8
    for values in (x, x.float()):
        exact = np.sqrt(values.numpy())
        assert (abs(root(values).numpy() - exact) <= np.spacing(exact)).all()
    assert root(torch.tensor([0.0, 1.0, 4.0])).tolist() == [0, 1, 2] and root(2.0) == 2.0**0.5


def test_no_tensor_takes_the_root_of_mkl():
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("sqrt", "sqrt_"):
                assert isinstance(node.value, ast.Name) and node.value.id in PLAIN, f"{file}:{node.lineno}: use penumbra.roots.root"


def test_every_adam_is_fused():
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("Adam", "AdamW"):
                assert "fused" in [keyword.arg for keyword in node.keywords], f"{file}:{node.lineno}"
