"""How much extract has to do: images, times what the network computes for one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Images times millions of multiplications; of negatives images alone."""
    return {f"extract-{entry.kind}": SEEN[entry.kind](work)}


def encoder(work: "Work") -> float:
    return work.n.train * work.encoder()


def classifier(work: "Work") -> float:
    return work.n.train * work.classifier(work.model["classifier"])


def clip(work: "Work") -> float:
    return work.n.scored * work.clip()


def candidates(work: "Work") -> float:
    return sum(map(work.candidates, work.e.methods)) * work.clip()


def contexts(work: "Work") -> float:
    p = next(iter(work.e.extract.contexts.values()))
    return 0.0 if p.captioner == "file" else min(work.n.train, (p.per_class or work.n.train) * work.n.classes) * work.clip()


def negatives(work: "Work") -> float:
    return float(work.n.world + work.n.clip_world)


SEEN: dict[str | None, Callable[["Work"], float]] = {
    each.__name__: each for each in (encoder, classifier, clip, candidates, contexts, negatives)
}
