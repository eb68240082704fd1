"""extract@contexts: what ID images show beside their main object, in a few words (SynOOD 3.3)."""

from collections.abc import Callable, Sequence
from pathlib import Path

from penumbra import blocks
from penumbra.artifacts.contexts import Context, read_rows, write_contexts
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json, write_json
from penumbra.complexity import bytes_per_pixel, most_detailed
from penumbra.errors import PenumbraError
from penumbra.stage import Stage

BLOCK = 64  # images in a block of work: a captioner may take seconds for each


def from_file(path: str, sample_ids: Sequence[str], classes: Sequence[str]) -> list[Context]:
    """The rows of a user's table for N images, in their order; rows of other images are passed over.

    Labels stay as they are, but for line breaks and repeated spaces.

    Args:
        sample_ids, classes: [N], of the images.

    Raises:
        PenumbraError: the table cannot be read, lacks an image, or has one under another class.
    """
    given = {row.sample_id: row for row in read_rows(path)}
    absent = [sample_id for sample_id in sample_ids if sample_id not in given]
    if absent:
        raise PenumbraError(
            f"{path}: has no row for {len(absent)} of {len(sample_ids)} ID train images that are chosen ({absent[0]} is the first). "
            "Add them; their labels may be empty."
        )
    found = []
    for sample_id, name in zip(sample_ids, classes, strict=True):
        row = given[sample_id]
        if row.name != name:
            raise PenumbraError(f"{path}: says that {sample_id} is of class {row.name!r}, and it is of {name!r}. Is it of other images?")
        found.append(Context(sample_id, name, " ".join(row.labels.split()), row.answer))
    return found


def chosen(stage: Stage, per_class: int | None) -> tuple[list[int], list[str], list[str]]:
    """Rows, sample ids and classes of the ID train images that get labels: those that synthesis chooses by the same rule."""
    path = stage.read("images/train")
    table = read_table(path, ["sample_id", "class", "label"]).to_pydict()
    rows = list(range(len(table["label"])))
    if per_class is not None:
        rows = most_detailed(bytes_per_pixel(path), table["sample_id"], table["label"], per_class)
    return rows, [table["sample_id"][row] for row in rows], [table["class"][row] for row in rows]


def main(stage: Stage) -> None:
    """Write data/features/contexts.csv, one row for each ID train image that may be repainted, in their order."""
    p = stage.params.extract.contexts
    rows, sample_ids, classes = chosen(stage, p.per_class)
    if p.captioner == "file":
        if stage.part is None:
            write_contexts(stage.write(), from_file(p.path, sample_ids, classes))
        return

    def loaded() -> Callable[[Path, Sequence[int]], None]:
        from penumbra.extract.captioners import open_captioner  # assembling needs no torch

        caption = open_captioner(stage)
        return lambda path, block: write_json(path, [{"answer": answer, "labels": labels} for answer, labels in caption(block)])

    def assemble(paths: list[Path]) -> None:
        made = zip(sample_ids, classes, (row for path in paths for row in read_json(path)), strict=True)
        write_contexts(stage.write(), (Context(each, name, ", ".join(row["labels"]), row["answer"]) for each, name, row in made))

    blocks.run(stage, blocks.cut(rows, BLOCK, ".json"), loaded, assemble)
