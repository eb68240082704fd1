"""How much train has to do: images and outliers, times epochs, times what the network computes for one, for each seed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Images times millions of multiplications; of detectors that learn from what a frozen model has seen, steps."""
    detector, seeds, kinds = work.e.train.detectors[entry.item], len(work.e.train.seeds), work.e.train.recipes
    p = work.e.recipes[detector.recipe]
    if p.learns_from != "images":
        epochs = p.project * p.project_epochs + p.tune * p.tune_epochs if p.detector == "clip" else p.epochs
        return {"train-clip": float(seeds * work.n.train * epochs / p.batch_size)}
    kind = next(each for each in type(kinds).model_fields if detector.recipe in kinds[each])
    outliers = 0.0 if detector.method == "none" else getattr(p, "outliers_per_id", 1.0)
    return {f"train-{kind}": seeds * p.epochs * work.n.train * (1 + outliers) * work.classifier(p)}
