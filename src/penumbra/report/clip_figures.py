"""Figures of SynOOD's images and of what CLIP sees in candidates; each function returns SVG bytes, like those of `figures`."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from safetensors import safe_open

from penumbra.artifacts.features import read_sample_ids
from penumbra.report import style
from penumbra.report.gallery import images
from penumbra.report.mosaic import show, strip, tile

COLUMNS = 8  # images in the figure of pairs
LINE = 18  # characters under an image
LINES = 24  # images whose energies are drawn one by one
KINDS = {"own": ("own class (I)", "#6b6b6b"), "other": ("something else (II)", "#e69f00"), "nothing": ("nothing (III)", "#0072b2")}
MARKERS = {"all": ("all candidates", "o", "#000000"), "mid": ("mid band", "D", style.BANDS["mid"])}  # before filtering, after it


def matched(features: Path, negatives: Path, words: list[str], sample_ids: list[str]) -> dict[str, str]:
    """The negative label nearest to each of some candidates.

    Args:
        features: data/features/clip-METHOD.safetensors.
        negatives: data/features/negatives.safetensors.
        words: of its rows.
        sample_ids: of the candidates.
    """
    rows = {name: row for row, name in enumerate(read_sample_ids(features))}
    with safe_open(negatives, "numpy") as file:
        texts = file.get_tensor("negative").astype(np.float32)
    with safe_open(features, "numpy") as file:
        kept = file.get_slice("features")
        seen = np.concatenate([kept[rows[name] : rows[name] + 1] for name in sample_ids]).astype(np.float32)
    cosines = seen @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T  # lengths of images change no order
    return {name: words[row] for name, row in zip(sample_ids, cosines.argmax(axis=1), strict=True)}


def illustrated(path: Path) -> list[str]:
    """At most COLUMNS candidates that kept the images of all iterations, evenly spaced."""
    kept = ds.dataset(path).to_table(["sample_id"], filter=ds.field("frames").is_valid())["sample_id"].to_pylist()
    return [kept[place] for place in np.unique(np.linspace(0, len(kept) - 1, min(COLUMNS, len(kept))).round().astype(int))]


def pairs(path: Path, sources: Path, sample_ids: list[str], labels: dict[str, str]) -> bytes | None:
    """ID images above the images of all iterations (SynOOD, Fig. 4), a column for each.

    Args:
        path: data/outliers/METHOD.parquet; column frames: PNG of the images side by side.
        sources: data/images/train.parquet.
        sample_ids: of the candidates.
        labels: the negative label that each is nearest to, as far as it is known.

    Returns:
        None if no source is a training image.
    """
    columns, wanted = ["sample_id", "source_id", "context", "frames"], ds.field("sample_id").isin(sample_ids)
    found = {row["sample_id"]: row for row in ds.dataset(path).to_table(columns, filter=wanted).to_pylist()}
    real = images(sources, [row["source_id"] for row in found.values()])
    rows = [found[name] for name in sample_ids if found[name]["source_id"] in real]
    if not rows:
        return None
    known = ds.field("sample_id").isin(list(real))
    classes = dict(zip(*ds.dataset(sources).to_table(["sample_id", "class"], filter=known).to_pydict().values(), strict=True))
    made = [strip(row["frames"]) for row in rows]
    tiles = [[tile(real[row["source_id"]]) for row in rows]]
    tiles += [[frames[run] for frames in made] for run in range(len(made[0]))]
    down = ["ID", *(f"run {run + 1}" for run in range(len(made[0]) - 1)), "outlier"]
    below = [_caption(row["context"], labels.get(row["sample_id"])) for row in rows]
    height = 0.55 + 0.11 * max(text.count("\n") for text in below) + 0.9 * style.WIDTH * len(tiles) / COLUMNS
    with style.figure(1, 1, height) as (drawn, axes):
        classes_across = [classes[row["source_id"]] for row in rows]
        show(axes[0], [row + [None] * (COLUMNS - len(row)) for row in tiles], down, classes_across + [""] * (COLUMNS - len(rows)))
        step = tiles[0][0].shape[0] + 2
        for place, text in enumerate(below):
            middle, end = (place + 0.5) * step - 1.5, len(tiles) * step - 2
            axes[0].text(middle, end + 3, text, ha="center", va="top", fontsize=5.8, linespacing=1.15)
        return style.svg(drawn)


def _caption(context: str | None, matched_label: str | None) -> str:
    """The labels in the prompt, each on a line of its own, and after an arrow the negative label that the outlier is nearest to."""
    first, *others = [word.removeprefix("the ") for word in (context or "–").split(", ")]
    words = [first, *(f"+ {word}" for word in others)]
    words += [f"→ {matched_label.removeprefix('the ')}"] if matched_label else []
    return "\n".join(textwrap.fill(word, LINE) for word in words)


def energies(candidates: dict[str, pd.DataFrame]) -> bytes:
    """Energy over the denoising runs: mean, spread and some images; densities after the first and the last.

    Args:
        candidates: by method, with columns `energies` and `loss`, of equal length and at least two runs.
    """
    with style.figure(len(candidates), 2, 0.2 + 2.3 * len(candidates), width_ratios=(2, 3)) as (drawn, axes):
        for place, (method, frame) in enumerate(candidates.items()):
            values = np.stack(frame.energies.to_numpy())
            runs, (left, right) = np.arange(1, values.shape[1] + 1), axes[2 * place : 2 * place + 2]
            left.plot(runs, values[:: max(len(values) // LINES, 1)].T, color=style.PALETTE[2], lw=0.5, alpha=0.5)
            left.errorbar(runs, values.mean(0), yerr=values.std(0), marker="o", ms=4, capsize=2, color=style.PALETTE[1])
            left.set(title=method, xlabel="denoising run", ylabel="energy", xticks=runs)
            edges = np.linspace(values[:, [0, -1]].min(), values[:, [0, -1]].max(), 31)
            for run, colour in ((0, style.GROUPS["id"]), (-1, style.GROUPS["near"])):
                label = f"after run {runs[run]}"
                right.hist(values[:, run], edges, density=True, histtype="stepfilled", color=colour, alpha=0.25)
                right.hist(values[:, run], edges, density=True, histtype="step", color=colour, lw=1, label=label)
            losses = np.stack(frame.loss.to_numpy())
            risen, fallen = ((first < last).mean() for first, last in ((values[:, 0], values[:, -1]), (losses[:, -1], losses[:, 0])))
            title = f"of {len(values)} images, loss falls for {100 * fallen:.0f}%, energy rises for {100 * risen:.0f}%"
            right.set(title=title, xlabel="energy", yticks=[])
            right.grid(visible=False)
            right.legend()
        return style.svg(drawn)


def types(table: pd.DataFrame, diversity: pd.DataFrame) -> bytes:
    """Shares of the three outlier types (Bad-OOD, Tables 3 and 8) and diversity (Fig. 4 a), before and after filtering.

    Args:
        table: reports/tables/types.csv.
        diversity: reports/tables/diversity.csv.
    """
    table = table[table.band.isin(MARKERS)].reset_index(drop=True)
    diversity = table[["method", "band"]].merge(diversity, on=["method", "band"], how="left")
    names = [row.method if row.band == "all" else f"{row.band} band" for row in table.itertuples()]
    rows = np.arange(len(table))
    with style.figure(1, 3, 0.9 + 0.25 * len(table), sharey=True, width_ratios=(3, 1.2, 1.2)) as (drawn, axes):
        start = np.zeros(len(table))
        for kind, (label, colour) in KINDS.items():
            share = 100 * table[f"{kind}_share"]
            axes[0].barh(rows, share, left=start, height=0.75, color=colour, label=label, alpha=0.85)
            for row, (value, left) in enumerate(zip(share, start, strict=True)):
                if value >= 6:
                    axes[0].text(left + value / 2, row, f"{value:.0f}", ha="center", va="center", color="white", fontsize=6.5)
            start = start + share.to_numpy()
        axes[0].set_yticks(rows, names)
        axes[0].invert_yaxis()
        axes[0].set(xlim=(0, 100), xlabel="share of candidates, %", title="recognised by CLIP as")
        for ax, name in zip(axes[1:], ("across", "within"), strict=True):
            for band, (label, marker, colour) in MARKERS.items():
                chosen = (table.band == band).to_numpy()
                ax.plot(diversity[name][chosen], rows[chosen], marker, ms=4, color=colour, label=label)
            ax.set(title=f"{name} classes", xlabel="diversity (cosine)")
            ax.margins(x=0.15)
        for ax in axes:
            ax.grid(axis="y", visible=False)
        found = [ax.get_legend_handles_labels() for ax in axes[:2]]
        drawn.legend(*(left + right for left, right in zip(*found, strict=True)), loc="outside lower center", ncols=5)
        return style.svg(drawn)
