"""Whether what was trained has converged: losses and validation by steps of the optimiser."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, drawn

ACROSS = 4
LOSSES = ("loss", "vqgan_loss")  # that is minimised
WORDS = {  # a column that is no loss -> what stands at its axis, and by what it is multiplied
    "val_accuracy": ("accuracy, %", 100),
    "val_knn_accuracy": ("k-NN accuracy, %", 100),
    "val_error": ("mean absolute error", 1),
    "val_perplexity": ("perplexity", 1),
}
NARROWEST = 5  # percentage points of an axis of accuracies: less would show noise
FEW = 12  # points of a line, below which each is marked
RANGE = 20  # of losses, greatest to smallest, from which on their axis is logarithmic
LOSS, VALIDATION = style.GROUPS["id"], style.GROUPS["near"]
CAPTION = (
    "Loss of training (grey), and loss or another measure of ID validation images (orange; where it is no loss, its axis is on the right), "
    "against steps of the optimiser; a panel for each network that was trained here, a line for each training seed. Look for lines that "
    "have become level: one that still falls at its end was stopped too early, a validation loss that rises there was stopped too late."
)


def networks(name: str, history: pd.DataFrame) -> Frames:
    """The rows of each network of a model, or of each phase of a detector's training, by what to call it; what has no step is left out.

    Args:
        name: of the model or detector.
        history: its history.csv.
    """
    trained = history[history.steps > 0]
    column = next((column for column in ("model", "phase") if column in trained), None)
    if column is None:
        return {name: trained} if len(trained) else {}
    return {f"{name}: {part}" if part != name else name: rows for part, rows in trained.groupby(column, sort=False)}


def figures(histories: Frames, learning: Frames) -> dict[str, style.Drawn]:
    """The figure; none where nothing was trained.

    Args:
        histories: history.csv by model.
        learning: history.csv by detector.
    """
    shown: Frames = {}
    for name, history in histories.items():
        shown |= networks(name, history)
    for name, history in learning.items():
        shown |= networks(f"detector {name}" if name in histories else name, history)
    return {"convergence": curves(shown)} if shown else {}


def curves(shown: Frames) -> style.Drawn:
    """A panel for each network, a line for each training seed where there are several.

    Args:
        shown: rows of history.csv by network, `networks`.
    """
    columns = min(ACROSS, len(shown))
    rows = -(-len(shown) // columns)
    with style.figure(rows, columns, 0.4 + 1.3 * rows) as (figure, axes):
        for ax in axes[len(shown) :]:
            ax.axis("off")
        for place, (ax, (name, history)) in enumerate(zip(axes, shown.items(), strict=False)):
            _panel(ax, history)
            ax.set_title(name, fontsize=7.5)
            if place % columns == 0:
                ax.set_ylabel("loss", color=LOSS)
        figure.supxlabel("steps of the optimiser", fontsize=8)
        return style.files(figure)


def _panel(ax: Axes, history: pd.DataFrame) -> None:
    loss = next(name for name in LOSSES if name in history and history[name].notna().any())
    losses = [loss, *(["val_loss"] if "val_loss" in history and history.val_loss.notna().any() else [])]
    other = next((name for name in WORDS if name in history and history[name].notna().any()), None) if len(losses) == 1 else None
    seeds = [seed for _, seed in history.groupby("seed")] if "seed" in history else [history]
    for seed in seeds:
        for name, colour in zip(losses, (LOSS, VALIDATION), strict=False):
            _line(ax, seed.steps, seed[name], colour)
    values = np.concatenate([history[name].dropna() for name in losses])
    if values.min() > 0 and values.max() > RANGE * values.min():
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")  # an exponent would be too small to read
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(0, None)
    ax.xaxis.get_major_locator().set_params(nbins=3)
    ax.tick_params(labelsize=style.SMALLEST)
    if other is None:
        return
    label, unit = WORDS[other]
    right = ax.twinx()
    for seed in seeds:
        _line(right, seed.steps, unit * seed[other], VALIDATION)
    if unit == 100:
        low, high = right.get_ylim()
        right.set_ylim(min(low, high - NARROWEST), high)
    right.grid(visible=False)
    right.spines["right"].set(visible=True, color=VALIDATION)
    right.tick_params(labelsize=style.SMALLEST, colors=VALIDATION)
    right.set_ylabel(label, color=VALIDATION, fontsize=style.SMALLEST)


def _line(ax: Axes, steps: pd.Series, values: pd.Series, colour: str) -> None:
    there = values.notna()
    ax.plot(steps[there], values[there], color=colour, lw=0.9, marker="." if there.sum() < FEW else None, ms=3)


def blocks(results: Results) -> list[Block]:
    """The figure with what to look for."""
    return drawn(results, "convergence", CAPTION)
