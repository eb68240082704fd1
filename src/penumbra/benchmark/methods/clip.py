"""CLIP: what it sees zero-shot in candidates, three types of outliers (Bad-OOD, Tables 3 and 8) and their diversity (Fig. 4 a).

Types: a candidate is recognised as the class that it was made from ("own", the paper's OOD-I), as something else ("other", OOD-II),
or as nothing ("nothing", OOD-III). The paper's CLIP chooses among the 1,000 classes of ImageNet for 100 ID classes, so what is no ID
class can be recognised too; here the mined negative labels have that role. The paper does not say when CLIP recognises nothing. Here
it does where the text nearest to the image is farther than it is for a share `recognised` of ID validation images.

Features of images are read a block at a time, so that memory grows with the number of candidates only by a few numbers for each.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from penumbra.artifacts.features import read_sample_ids
from penumbra.benchmark import papers
from penumbra.benchmark.bands import draw
from penumbra.benchmark.found import Found, Frames
from penumbra.errors import PenumbraError
from penumbra.stage import Stage
from penumbra.values import BANDS

BLOCK = 4096  # images at a time
TYPES = ("own", "other", "nothing")
TYPE_COLUMNS = ("method", "band", "count", *TYPES, "other_id", *(f"{name}_share" for name in TYPES), *(f"paper_{name}" for name in TYPES))
DIVERSITY_COLUMNS = ("method", "band", "count", "categories", "across", "within")
REFERENCE = "ID train"
PAPER = {"own": "OOD-I share", "other": "OOD-II share", "nothing": "OOD-III share"}  # TYPES as Bad-OOD calls them

Blocks = Callable[[], Iterable[np.ndarray]]  # features [B, D] of length 1, from the first image to the last; as often as one likes


@dataclass(frozen=True)
class Images:
    """Some images as CLIP sees them.

    Attributes:
        method: synthesis method, or REFERENCE.
        sample_ids: [N].
        label: ID class [N] that each was made from, -1 for none.
        band: [N] low | mid | high, "" where there are no bands.
        blocks: their features.
    """

    method: str
    sample_ids: pd.Series
    label: np.ndarray
    band: np.ndarray
    blocks: Blocks


def tables(stage: Stage, found: Found, made: Frames) -> tuple[Frames, Frames]:
    """Types and diversity of the candidates of each method and of ID training images; no rows where no negative labels are mined."""
    types, diversity = [], []
    features, negatives = (stage.read("features") / name for name in ("clip.safetensors", "negatives.safetensors"))
    if "negatives" in stage.params.extract:
        setting = stage.params.benchmark.recognition
        texts, classes = texts_of(negatives, setting.classes)
        threshold = threshold_of(blocks_of(features, "val")(), texts, setting.recognised)
        seen = [seen_of(stage, name, frame, found.selections.get(name)) for name, frame in found.outliers.items() if len(frame)]
        for images in [id_images(features), *seen]:
            rows = rows_of(images, texts, classes, threshold, setting.samples, stage.params.common.seed)
            types += rows[0]
            diversity += rows[1]
    columns = {"types": (types, TYPE_COLUMNS), "diversity": (diversity, DIVERSITY_COLUMNS)}
    return {name: pd.DataFrame(rows, columns=list(names)) for name, (rows, names) in columns.items()}, {}


def id_images(path: Path) -> Images:
    """ID training images, from data/features/clip.safetensors."""
    with safe_open(path, "numpy") as file:
        label = file.get_tensor("train_label").astype(np.int64)
    ids = pd.Series([f"{REFERENCE}/{row}" for row in range(len(label))])
    return Images(REFERENCE, ids, label, np.full(len(label), ""), blocks_of(path, "train"))


def seen_of(stage: Stage, method: str, candidates: pd.DataFrame, selection: pd.DataFrame | None) -> Images:
    """The candidates of a method, in the order of their CLIP features.

    Raises:
        PenumbraError: the features are those of other candidates.
    """
    path = stage.read("features") / f"candidates/{method}.safetensors"
    ids = pd.Series(read_sample_ids(path))
    of_sample = candidates.set_index("sample_id")
    if set(ids) != set(of_sample.index):
        raise PenumbraError(f"{path}: its images are not those of data/outliers/{method}.parquet. Run `dvc repro` to make it again.")
    label = of_sample.label.reindex(ids).to_numpy(np.int64)
    band = np.full(len(ids), "") if selection is None else selection.set_index("sample_id").band.reindex(ids).fillna("").to_numpy(str)
    return Images(method, ids, label, band, blocks_of(path, "features"))


def unit(features: np.ndarray) -> np.ndarray:
    """Features [B, D] scaled to length 1, in float32; zeros stay zeros."""
    features = features.astype(np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def blocks_of(path: Path, name: str) -> Blocks:
    """The rows of a tensor [N, D] of a safetensors file, scaled to length 1, a block at a time."""

    def read() -> Iterator[np.ndarray]:
        with safe_open(path, "numpy") as file:
            rows = file.get_slice(name)
            count = rows.get_shape()[0]
            for start in range(0, count, BLOCK):
                yield unit(rows[start : min(start + BLOCK, count)])

    return read


def nearest(blocks: Iterable[np.ndarray], texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The text nearest to each image and how near it is.

    Args:
        blocks: image features of length 1, [B, D] each.
        texts: text features [T, D] of length 1.

    Returns:
        (row of `texts` int64 [N], cosine in [-1, 1] float32 [N]).
    """
    places, cosines = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for features in blocks:
        similarity = features @ texts.T
        places.append(similarity.argmax(axis=1))
        cosines.append(similarity.max(axis=1))
    return np.concatenate(places), np.concatenate(cosines)


def type_of(place: np.ndarray, cosine: np.ndarray, label: np.ndarray, threshold: float) -> np.ndarray:
    """The place in TYPES [N] of images with their nearest text [N] (ID classes come first), its cosine [N] and their own class [N]."""
    return np.where(cosine < threshold, 2, np.where(place == label, 0, 1))


def class_sums(blocks: Iterable[np.ndarray], label: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of features by class [C, D] float64 and the number of images of each [C]; images of class -1 are left out."""
    sums, start = None, 0
    for features in blocks:
        own = label[start : start + len(features)]
        start += len(features)
        order = np.argsort(own, kind="stable")
        found, first = np.unique(own[order], return_index=True)
        parts = np.add.reduceat(features[order].astype(np.float64), first)
        if sums is None:
            sums = np.zeros((classes, features.shape[1]))
        sums[found[found >= 0]] += parts[found >= 0]
    counts = np.bincount(label[label >= 0], minlength=classes)
    return np.zeros((classes, 1)) if sums is None else sums, counts


def spread(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Diversity from `class_sums`: mean cosine distance in [0, 2] of two images, exactly, without looking at any pair.

    For features of length 1 with sum S, the pairs of n images have the mean cosine (|S|^2 - n) / (n (n - 1)).

    Returns:
        (across: of two images of two classes, every pair of classes counting the same; within: of two images of one class, every class
        counting the same). NaN where there are no such images.
    """
    several, some = counts > 1, counts > 0
    n = counts[several]
    within = 1 - (np.sum(sums[several] ** 2, axis=1) - n) / (n * (n - 1)) if len(n) else np.array([np.nan])
    means = sums[some] / counts[some, None]
    pairs = some.sum() * (some.sum() - 1)
    across = 1 - (np.sum(means.sum(axis=0) ** 2) - np.sum(means**2)) / pairs if pairs else np.nan
    return float(across), float(within.mean())


def threshold_of(validation: Iterable[np.ndarray], texts: np.ndarray, recognised: float) -> float:
    """The cosine to the nearest text that a share `recognised` of ID validation images has at least."""
    return float(np.quantile(nearest(validation, texts)[1], 1 - recognised))


def bands_of(images: Images) -> dict[str, np.ndarray]:
    """Masks [N] of all images, and of those of each band where there are bands."""
    masks = {"all": np.ones(len(images.label), bool)}
    return masks | ({name: images.band == name for name in BANDS} if (images.band != "").any() else {})


def rows_of(images: Images, texts: np.ndarray, classes: int, threshold: float, samples: int, seed: int) -> tuple[list[dict], list[dict]]:
    """Rows of tables/types.csv and of tables/diversity.csv, one for all images and one for each of their bands.

    Args:
        images: of one method.
        texts: features [T, D] of length 1; the first `classes` are the ID classes, in order.
        classes: C.
        threshold: the least cosine at which something is recognised.
        samples: random images of each class whose categories are counted.
        seed: the experiment's seed.

    Returns:
        (counts and shares of TYPES, and how many of the other are another ID class; categories: how many texts are nearest to some drawn
        image, for each ID class; across and within).
    """
    place, cosine = nearest(images.blocks(), texts)
    kinds = type_of(place, cosine, images.label, threshold)
    types, diversity = [], []
    for band, mask in bands_of(images).items():
        counts = np.bincount(kinds[mask], minlength=len(TYPES))
        key = {"method": images.method, "band": band, "count": int(mask.sum())}
        other_id = int((mask & (kinds == TYPES.index("other")) & (place < classes)).sum())
        shares = counts / max(counts.sum(), 1)
        paper = papers.numbers_beside("types", images.method, band)
        numbers = {"": counts.tolist(), "_share": shares.tolist()}
        row = {f"{name}{suffix}": value for suffix, values in numbers.items() for name, value in zip(TYPES, values, strict=True)}
        types.append(key | row | {"other_id": other_id} | {f"paper_{name}": papers.value(paper, metric) for name, metric in PAPER.items()})

        drawn = mask & _drawn(images, mask, samples, seed)
        across, within = spread(*class_sums(images.blocks(), np.where(mask, images.label, -1), classes))
        categories = len(np.unique(place[drawn])) / classes if drawn.any() else np.nan
        diversity.append(key | {"categories": categories, "across": across, "within": within})
    return types, diversity


def _drawn(images: Images, mask: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Mask [N] of at most `samples` random images of each class among those of `mask`."""
    chosen = np.zeros(len(mask), bool)
    for label in np.unique(images.label[mask]):
        rows = np.flatnonzero(mask & (images.label == label))
        chosen[rows] = draw(images.sample_ids.iloc[rows], samples, seed).to_numpy()
    return chosen


def texts_of(path: Path, classes: str) -> tuple[np.ndarray, int]:
    """The texts that images are compared with, from data/features/negatives.safetensors.

    Args:
        path: the file.
        classes: all (ID classes and mined negative labels) | id.

    Returns:
        (features [T, D] of length 1, ID classes first; the number of ID classes).
    """
    with safe_open(path, "numpy") as file:
        inside, outside = file.get_tensor("id"), file.get_tensor("negative")
    return unit(np.concatenate([inside, outside]) if classes == "all" else inside), len(inside)
