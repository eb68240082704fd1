"""Single candidates by what CLIP recognises in them (Bad-OOD, Fig. 3, 10 and 11): the three types of the benchmark's table."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.negatives import read_negative_labels
from penumbra.benchmark.methods import clip
from penumbra.report import style
from penumbra.report.gallery import ACROSS, APART, HEAD, LETTERS, LINE, MARGIN, PITCH, images, places
from penumbra.report.mosaic import SHOWN, tile
from penumbra.stage import Stage

LINES = 2  # of a name, at most
NAME = 14  # letters of a method's name in a line
BELOW = 0.12  # between methods, in sides of an image


@dataclass(frozen=True)
class Candidate:
    """An encoded image, the class that it was made from ("": none), and the text that is nearest to it."""

    image: bytes
    made_of: str
    seen_as: str


@dataclass(frozen=True)
class Kind:
    """How many candidates of a method are of a type, and some of them: from the nearest to a text to the farthest."""

    count: int
    shown: list[Candidate]


Kinds = dict[str, Kind]  # by type, in the order of the benchmark's TYPES


def recognised(stage: Stage) -> dict[str, Kinds]:
    """Candidates of the first SHOWN methods that have some, by method.

    Args:
        stage: report, of an experiment that mines negative labels.
    """
    setting, features = stage.params.benchmark.recognition, stage.read("features")
    negatives = features / "negatives.safetensors"
    texts, _ = clip.texts_of(negatives, setting.classes)
    threshold = clip.threshold_of(clip.blocks_of(features / "clip.safetensors", "val")(), texts, setting.recognised)
    names = list(read_provenance(stage.read("images") / "train.parquet")["classes"])
    names += [label.word.removeprefix("the ").removeprefix("a ") for label in read_negative_labels(negatives)]
    found: dict[str, Kinds] = {}
    for method, path in stage.within("outliers", stage.params.synthesize).items():
        candidates = read_table(path, ["sample_id", "label"]).to_pandas()
        if len(candidates) and len(found) < SHOWN:
            found[method] = kinds_of(clip.seen_of(stage, method, candidates, None), path, texts, names, threshold)
    return found


def kinds_of(seen: clip.Images, path: Path, texts: np.ndarray, names: list[str], threshold: float) -> Kinds:
    """The types of one method, ACROSS candidates of each at most, evenly spaced over the ranks of their nearness to a text.

    Args:
        seen: its candidates as CLIP sees them.
        path: data/outliers/METHOD.parquet.
        texts: features [T, D] of length 1; the first are the ID classes, in order.
        names: of the texts [T].
        threshold: the least cosine at which something is recognised.
    """
    place, cosine = clip.nearest(seen.blocks(), texts)
    kinds = clip.type_of(place, cosine, seen.label, threshold)
    order = np.argsort(-cosine, kind="stable")
    ranked = {kind: order[kinds[order] == number] for number, kind in enumerate(clip.TYPES)}
    chosen = {kind: rows[places(len(rows), ACROSS)] for kind, rows in ranked.items()}
    pictures = images(path, [seen.sample_ids.iloc[row] for rows in chosen.values() for row in rows])

    def candidate(row: int) -> Candidate:
        label = seen.label[row]
        return Candidate(pictures[seen.sample_ids.iloc[row]], names[label] if label >= 0 else "", names[place[row]])

    return {kind: Kind(len(ranked[kind]), [candidate(row) for row in rows]) for kind, rows in chosen.items()}


def figure(found: dict[str, Kinds], labels: dict[str, str], colours: dict[str, str]) -> style.Drawn:
    """A row for each method: ACROSS candidates of each type in frames of its colour, and below each what it was made from and seen as.

    Args:
        found: of `recognised`.
        labels: of the types.
        colours: of the types.
    """
    block = ACROSS * PITCH + APART
    width = len(labels) * block - APART - PITCH + 1
    below = {
        method: max(_below(each, kind).count("\n") + 1 for kind in kinds for each in kinds[kind].shown) for method, kinds in found.items()
    }
    heights = {method: LINE + 1 + lines * LINE + BELOW for method, lines in below.items()}
    bottom, top, ticks = HEAD + sum(heights.values()), HEAD, []
    with style.figure(1, 1, 0.1 + (style.WIDTH - MARGIN) * bottom / width) as (drawn, (ax,)):
        for place, label in enumerate(labels.values()):
            ax.text(place * block, 0.25, label, weight="bold", fontsize=7.5)
        for method, kinds in found.items():
            total = sum(each.count for each in kinds.values())
            for place, kind in enumerate(labels):
                counted = f"{kinds[kind].count:,} of {total:,}"
                ax.text(place * block, top, counted, va="top", fontsize=style.SMALLEST)
                for column, each in enumerate(kinds[kind].shown):
                    _draw(ax, each, place * block + column * PITCH, top + LINE, colours[kind], _below(each, kind))
            ticks.append(top + LINE + 0.5)
            top += heights[method]
        ax.set(xlim=(-0.03, width + 0.03), ylim=(bottom, 0), aspect="equal", xticks=[])
        ax.set_yticks(ticks, [textwrap.fill(method, NAME) for method in found], fontsize=7)
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_anchor("E")
        return style.files(drawn)


def _below(each: Candidate, kind: str) -> str:
    """What stands under a candidate: its class, and behind an arrow what it is taken for where that is another thing."""
    seen = "" if kind == "own" else f"\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{each.seen_as}"
    lines = [textwrap.wrap(text, LETTERS, max_lines=LINES, placeholder="\N{HORIZONTAL ELLIPSIS}") for text in (each.made_of, seen) if text]
    return "\n".join(line for part in lines for line in part)


def _draw(ax: Axes, each: Candidate, left: float, top: float, colour: str, text: str) -> None:
    """One candidate."""
    ax.imshow(tile(each.image), extent=(left, left + 1, top + 1, top))
    ax.add_patch(Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, linewidth=1.6))
    ax.text(left + 0.5, top + 1.04, text, ha="center", va="top", fontsize=style.SMALLEST, linespacing=1.15)
