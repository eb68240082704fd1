"""SynOOD: repainted images, from ID image to outlier (Fig. 4), with the context labels in their prompts and their energies."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from safetensors import safe_open

from penumbra.artifacts.contexts import Context, read_rows
from penumbra.artifacts.features import read_sample_ids
from penumbra.artifacts.negatives import read_negative_labels
from penumbra.report import style
from penumbra.report.content import Block, Frames, Results, drawn
from penumbra.report.format import MISSING, Table, count
from penumbra.report.gallery import images
from penumbra.report.mosaic import show, strip, tile
from penumbra.stage import Stage

COLUMNS = ("energies", "loss")
ACROSS = 8  # images in the figure of pairs
LINE = 14  # characters under an image
LINES = 24  # images whose energies are drawn one by one
ROWS = 10  # of the context labels


def read(stage: Stage) -> list[Context]:
    """The context labels of ID images; none where they are not in the prompts."""
    return read_rows(stage.read("features") / "contexts.csv") if "contexts" in stage.params.extract else []


def far(candidates: pd.DataFrame) -> list[str]:
    """The energy after the first and after the last denoising run."""
    return [f"energy {values[0]:.1f}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{values[-1]:.1f}" for values in candidates.energies]


def blocks(results: Results) -> list[Block]:
    """Repainted images and the labels in their prompts."""
    return repainted(results) + contexts(results.own["synood"], results)


def repainted(results: Results) -> list[Block]:
    """From ID image to outlier, and the energy on the way."""
    shown = []
    for method in results.of("synood"):
        setting = results.params.synthesize[method]
        shown += drawn(
            results,
            f"{method}-pairs",
            f"{method}: ID image, the image of each of {setting.iterations} denoising runs at strength {setting.strength:g}, the last of "
            "which is the outlier (SynOOD, Fig. 4). Above: the ID class; below: the labels in the prompt, joined by + "
            f"(“{setting.prompt}”) and, after the arrow, the mined negative label nearest to the outlier.",
        )
    shown += drawn(
        results,
        "energies",
        "Energy of each image under the ID classifier after each denoising run; the noise is updated between them, "
        "against the OOD loss. "
        "Left: mean and standard deviation, with some images; right: after the first and after the last run.",
    )
    return shown


def contexts(rows: list[Context], results: Results) -> list[Block]:
    """Context labels of ID images: some of them."""
    if not rows:
        return []
    cells = [[row.sample_id, row.name, row.labels or MISSING, row.answer] for row in _spaced(rows)]
    said = sum(bool(row.labels) for row in rows)
    caption = (
        f"Context labels of ID images by the captioner {results.params.extract.contexts.captioner}: {count(said)} of {count(len(rows))} "
        "images have some. Answer: what the captioner said, before labels were taken from it. All are in data/features/contexts.csv, "
        "which may be edited."
    )
    return [Block(caption, table=Table(["image", "class", "labels in the prompt", "answer"], cells))]


def _spaced(rows: list) -> list:
    """At most ROWS rows, evenly spaced."""
    return [rows[place] for place in range(0, len(rows), max(-(-len(rows) // ROWS), 1))]


def figures(stage: Stage, tables: Frames, plots: Frames, candidates: Frames) -> dict[str, style.Drawn]:
    """Some images of each variant from ID image to outlier, and the energies of those whose noise was updated."""
    updated = {method: frame for method, frame in candidates.items() if len(frame.energies.iloc[0]) > 1}
    made = {"energies": energies(updated)} if updated else {}
    train, features = stage.read("images") / "train.parquet", stage.read("features")
    labels = features / "negatives.safetensors"
    known = "negatives" in stage.params.extract and "clip" in stage.params.pretrain
    words = [negative.word for negative in read_negative_labels(labels)] if known else []
    for method, path in stage.within("outliers", candidates).items():
        shown = illustrated(path)
        nearest = matched(features / f"candidates/{method}.safetensors", labels, words, shown) if shown and words else {}
        if shown and (picture := pairs(path, train, shown, nearest)):
            made[f"{method}-pairs"] = picture
    return made


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
    """At most ACROSS candidates that kept the images of all iterations, evenly spaced."""
    kept = ds.dataset(path).to_table(["sample_id"], filter=ds.field("frames").is_valid())["sample_id"].to_pylist()
    return [kept[place] for place in np.unique(np.linspace(0, len(kept) - 1, min(ACROSS, len(kept))).round().astype(int))]


def pairs(path: Path, sources: Path, sample_ids: list[str], labels: dict[str, str]) -> style.Drawn | None:
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
    height = 0.55 + 0.11 * max(text.count("\n") for text in below) + 0.9 * style.WIDTH * len(tiles) / ACROSS
    with style.figure(1, 1, height) as (drawn, axes):
        classes_across = [classes[row["source_id"]] for row in rows]
        show(axes[0], [row + [None] * (ACROSS - len(row)) for row in tiles], down, classes_across + [""] * (ACROSS - len(rows)))
        step = tiles[0][0].shape[0] + 2
        for place, text in enumerate(below):
            middle, end = (place + 0.5) * step - 1.5, len(tiles) * step - 2
            axes[0].text(middle, end + 3, text, ha="center", va="top", fontsize=style.SMALLEST, linespacing=1.15)
        return style.files(drawn)


def _caption(context: str | None, matched_label: str | None) -> str:
    """The labels in the prompt, each on a line of its own, and after an arrow the negative label that the outlier is nearest to."""
    first, *others = [word.removeprefix("the ") for word in (context or "–").split(", ")]
    words = [first, *(f"+ {word}" for word in others)]
    words += [f"→ {matched_label.removeprefix('the ')}"] if matched_label else []
    return "\n".join(textwrap.fill(word, LINE) for word in words)


def energies(candidates: dict[str, pd.DataFrame]) -> style.Drawn:
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
        return style.files(drawn)


BLOCKS = {"clip": blocks}
