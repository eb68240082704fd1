"""How much grid has to do. No run with it was measured."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def images(work: "Work", name: str | None) -> int:
    """Images of a grid."""
    p = work.e.grid
    if name in p.morphs:
        return p.morphs[name].levels ** 2 * p.morphs[name].per_cell
    return work.files(p.folder[name].path) if name in p.folder else 0


def units(work: "Work", entry: "Entry") -> "Units":
    """Pixels that are read, changed and written, as prepare does it; or what infer and score do for the images of all grids."""
    p = work.e.grid
    if entry.kind != "scores":
        return {"prepare": work.pixels(images(work, entry.item))}
    every = sum(images(work, name) for name in (*p.morphs, *p.folder))
    return {"infer-network": every * work.networks(entry.item), "score": float(every * len(work.e.train.seeds))}
