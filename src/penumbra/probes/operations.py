"""Probes of single operations: each returns arrays that depend on the kernels alone, its inputs being the same everywhere."""

import io
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import log, logsumexp, root
from penumbra.noise import generator

Arrays = Iterable[Tensor | np.ndarray | bytes]


def normal(name: str, *shape: int) -> Tensor:
    """Standard normal of that shape, the same wherever torch draws the same."""
    return torch.randn(shape, generator=generator("probe", name))


def uniform(name: str, *shape: int) -> Tensor:
    """Uniform numbers in steps of 2^-24: integers decide them, no kernel does."""
    return torch.rand(shape, generator=generator("probe", name))


def random_numbers() -> Arrays:
    """What every other probe starts from: torch's and numpy's generators."""
    draws = np.random.default_rng(0)
    yield from (uniform("a", 1000), normal("a", 1000), normal("b", 7), torch.randperm(1000, generator=generator("c")))
    yield from (draws.normal(size=1000), draws.random(1000), draws.beta(2.0, 5.0, 100), draws.choice(1000, 10, replace=False))


def products() -> Arrays:
    """Products of matrices of several sizes, single and double precision, in a batch and as a layer."""
    for rows, inner, columns in ((64, 64, 64), (128, 300, 257), (1, 512, 512), (513, 33, 1000)):
        a, b = uniform("a", rows, inner) - 0.5, uniform("b", inner, columns) - 0.5
        yield from (a @ b, a.double() @ b.double(), F.linear(a, b.T.contiguous(), b[0]))
    yield torch.bmm(uniform("c", 8, 50, 40) - 0.5, uniform("d", 8, 40, 50) - 0.5)


def _convolutions(layout: torch.memory_format) -> Arrays:
    for entering, leaving, kernel, stride in ((3, 16, 3, 1), (16, 32, 3, 2), (32, 64, 1, 2), (24, 40, 1, 1), (64, 64, 3, 1), (3, 64, 8, 8)):
        images = (uniform("x", 8, entering, 16, 16) - 0.5).contiguous(memory_format=layout).requires_grad_()
        kernels = (uniform("k", leaving, entering, kernel, kernel) - 0.5).contiguous(memory_format=layout).requires_grad_()
        made = F.conv2d(images, kernels, stride=stride, padding=kernel // 2 if kernel % 2 else 0)
        made.square().sum().backward()
        yield from (made, images.grad, kernels.grad)


def convolutions() -> Arrays:
    """Forward and backward, contiguous."""
    return _convolutions(torch.contiguous_format)


def convolutions_channels_last() -> Arrays:
    """Forward and backward, channels last."""
    return _convolutions(torch.channels_last)


def attention() -> Arrays:
    """Attention forward and backward; queries of two lengths, with and without a causal mask."""
    for tokens, causal in ((17, False), (65, True)):
        q, k, v = ((uniform(name, 8, 4, tokens, 16) * 4 - 2).requires_grad_() for name in "qkv")
        made = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        made.square().sum().backward()
        yield from (made, q.grad, k.grad, v.grad)


def norms() -> Arrays:
    """Layer, group and batch norm forward and backward, and lengths of vectors."""
    norms = (lambda x: F.layer_norm(x, x.shape[1:]), lambda x: F.group_norm(x, 4), lambda x: F.batch_norm(x, None, None, training=True))
    for norm in norms:
        x = (uniform("x", 8, 16, 9, 9) * 3).requires_grad_()
        made = norm(x)
        made.pow(3).sum().backward()
        yield from (made, x.grad)
    yield F.normalize(uniform("y", 50, 77), dim=1)


def functions() -> Arrays:
    """Elementwise functions, contiguous and strided, single and double precision; softmax and its kin."""
    named = (torch.exp, log, torch.tanh, torch.erf, torch.sigmoid, torch.sin, torch.cos, root, torch.rsqrt, torch.log1p)
    for x in (uniform("x", 1001), uniform("x", 1001).double(), uniform("x", 64, 65)[:, ::2]):
        yield from (function(8 * x + 1e-3) for function in (*named, torch.expm1, F.gelu, F.silu, F.softplus, F.logsigmoid))
        yield torch.erfinv(x * 0.99)
        yield (x + 0.5).pow(1.7)
    logits = uniform("logits", 50, 77) * 20 - 10
    yield from (logits.softmax(1), logits.log_softmax(1), logsumexp(logits, 1), F.cross_entropy(logits, torch.arange(50)))


def many_values() -> Arrays:
    """Functions of float64 that scores and calibration take, of a million values: a last bit that differs is rare."""
    x = normal("x", 1_000_000).double()
    logits = x.view(-1, 5) * 4
    yield from (function(x) for function in (torch.sigmoid, F.logsigmoid, torch.square, torch.rsqrt))
    yield from (log(x.abs()), torch.log1p(x.abs()), logits.softmax(1), logits.log_softmax(1), logsumexp(logits, 1))


def sums() -> Arrays:
    """Long sums, means and deviations, running sums and products."""
    x = uniform("x", 300_001) - 0.3
    table = x[:3000].view(30, 100)
    yield from (x.sum(), x.mean(), x.std(), x.norm(), x.double().sum(), x.cumsum(0), table.sum(0), table.var(1))
    yield (1 - uniform("y", 1000) / 50).cumprod(0)


def sorting() -> Arrays:
    """Order, also among equal values, where it matters which comes first."""
    x = (uniform("x", 100, 300) * 50).floor()
    yield from (*x.sort(dim=1, stable=True), *x.topk(20, dim=1), x.argmax(1), *uniform("y", 5000).sort(), uniform("z", 5000).argsort())
    yield np.argsort(x.numpy(), kind="stable")


def resizing() -> Arrays:
    """Images of another size: bicubic and bilinear, with and without antialiasing, and backward."""
    for mode, antialias, size in (("bicubic", True, 20), ("bicubic", False, 48), ("bilinear", True, 16), ("bicubic", True, 64)):
        images = uniform("x", 4, 3, 32, 32).requires_grad_()
        made = F.interpolate(images, (size, size), mode=mode, align_corners=False, antialias=antialias)
        made.square().sum().backward()
        yield from (made, images.grad)


def sampling() -> Arrays:
    """Crops along a grid and mirrored borders, which augment training images."""
    images = uniform("x", 4, 3, 32, 32)
    grid = F.affine_grid(uniform("theta", 4, 2, 3) - 0.5, [4, 3, 24, 24], align_corners=False)
    yield from (grid, F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False))
    yield F.pad(images, (2, 2, 2, 2), mode="reflect")


def numpy_functions() -> Arrays:
    """numpy's sums, functions and products."""
    x = uniform("x", 40_000).numpy().reshape(200, 200)
    for values in (x, x.astype(np.float64)):
        functions = (np.exp, np.log, np.sin, np.cos, np.tanh, np.sqrt, np.log1p, np.expm1, np.arctan)
        yield from (function(values + 1e-3) for function in functions)
        yield from (values.sum(), values.mean(0), values.std(), values @ values, np.einsum("ij,kj->ik", values, values), np.cumsum(values))
        yield from (np.quantile(values, 0.95), np.sort(values.ravel()), values**2.5, np.power(values + 1, 0.3))


def numpy_solutions() -> Arrays:
    """numpy's and torch's linear algebra."""
    x = uniform("x", 60, 40).double().numpy()
    square = x.T @ x + np.eye(40)
    yield from (np.linalg.solve(square, x.T), np.linalg.inv(square), np.linalg.norm(x, axis=1), np.linalg.eigh(square)[0])
    yield np.polyfit(np.arange(60), x[:, 0], 3)
    yield torch.linalg.solve(torch.from_numpy(square), torch.from_numpy(x.T.copy()))


def eigenvectors() -> Arrays:
    """What ViM takes of the features of a network: directions, whose last bits reach every score."""
    for width in (12, 128, 512):
        features = uniform("features", 3 * width, width).double() @ uniform("mixed", width, width).double()
        origin = torch.linalg.pinv(uniform("weight", 6, width).double()) @ uniform("bias", 6).double()
        moved = features - origin
        values, directions = torch.linalg.eigh(moved.T @ moved / len(moved))
        yield from (values, directions, (moved @ directions[:, : width // 2]).norm(dim=1))


def scipy_functions() -> Arrays:
    """What calibration and the tables take from scipy."""
    from scipy.optimize import isotonic_regression
    from scipy.special import expit, log_expit
    from scipy.stats import spearmanr

    x = uniform("x", 500).double().numpy() * 8 - 4
    yield from (expit(x), log_expit(x), isotonic_regression(x).x, np.array(spearmanr(x, np.sin(x)).statistic))


def scalars() -> Arrays:
    """Python's own functions, which are the C library's."""
    values = uniform("x", 2000).tolist()
    named = (math.exp, math.sin, math.cos, math.erf, math.sqrt, math.tanh, math.atan)
    yield np.array([[function(8 * value) for function in named] for value in values])
    yield np.array([[math.log(value + 1e-3), math.pow(value, 1.7), math.log1p(value)] for value in values])


def pictures() -> Arrays:
    """Pillow's rotation, blur and sizes, and the bytes of a PNG file."""
    from PIL import Image, ImageFilter

    image = Image.fromarray((uniform("x", 32, 32, 3).numpy() * 255).astype(np.uint8))
    grey = Image.fromarray(uniform("y", 9, 9).numpy())
    yield from (np.asarray(image.rotate(17, Image.Resampling.BICUBIC)), np.asarray(image.filter(ImageFilter.GaussianBlur(1.3))))
    yield from (np.asarray(image.resize((20, 20), Image.Resampling.BOX)), np.asarray(image.resize((50, 50), Image.Resampling.BILINEAR)))
    yield np.asarray(grey.resize((32, 32), Image.Resampling.BICUBIC))
    for options in ({"format": "PNG"}, {"format": "JPEG", "quality": 90}):
        file = io.BytesIO()
        image.save(file, **options)
        yield file.getvalue()


def drawings() -> Arrays:
    """The bytes of a figure."""
    from matplotlib.figure import Figure

    figure, file = Figure(figsize=(3, 2)), io.BytesIO()
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 2)
    axes.hist(uniform("x", 300).numpy(), bins=20)
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue().decode().splitlines()
    yield "\n".join(line for line in text if "id=" not in line and "#" not in line).encode()  # ids are salted at random


OPERATIONS: dict[str, Callable[[], Arrays]] = {
    probe.__name__: probe
    for probe in (
        random_numbers,
        products,
        convolutions,
        convolutions_channels_last,
        attention,
        norms,
        functions,
        many_values,
        sums,
        sorting,
        resizing,
        sampling,
        numpy_functions,
        numpy_solutions,
        eigenvectors,
        scipy_functions,
        scalars,
        pictures,
        drawings,
    )
}
