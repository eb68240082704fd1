"""prepare: sources named in params.yaml -> the image files of the experiment."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pyarrow as pa

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.tables import write_csv
from penumbra.errors import PenumbraError
from penumbra.prepare.classes import IdPlan, plan_id
from penumbra.prepare.ingest import Intake, Picture, ordered_map
from penumbra.prepare.record import Record, caption_of
from penumbra.prepare.shift import shifts
from penumbra.prepare.split import shuffled
from penumbra.stage import Params, Stage

COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "class": pa.string(),
    "set": pa.string(),
    "group": pa.string(),
    "strength": pa.int64(),
    "caption": pa.string(),
}
SECTIONS = {  # of params.yaml, prepare, that make each file; its provenance names no others, so that a change of one set leaves the rest
    "train": ("id",),
    "val": ("id",),
    "test": ("id",),
    "calibration": ("calibration",),
    "world": ("world",),
    "clip_world": ("clip_world",),
    "ood": ("near", "far"),
    "shifted": ("id", "shift"),
}
FILE_OF_GROUP = {"near": "ood", "far": "ood", "calibration": "calibration", "world": "world", "clip_world": "clip_world"}
OOD = -1


def main(stage: Stage) -> None:
    """Write data/images/*.parquet and quarantine.csv.

    Of equal pictures in two sets the first keeps its place: ID test, val and train, near, far, calibration, the worlds, shifted sets.

    Raises:
        PenumbraError: a source is missing, too small, or loses more than `quarantine_limit`.
    """
    params = stage.params.prepare
    sections = {"id": params.id} | {f"{group}.{name}": spec for group in FILE_OF_GROUP for name, spec in params[group].items()}
    intake = Intake(stage.params.common.image_size, stage.params.common.seed, params.quarantine_limit)
    plan = plan_id(intake, params.id)
    with ExitStack() as stack:
        files = Files(stage, plan.names, stack)
        for key, spec in sections.items():
            if key == "id":
                _write_id(files, intake, params, plan)
            else:
                _write_ood(files, intake, spec, key)
            intake.quarantine.check(stage.scratch / "quarantine.csv")
        for name, spec in params.shift.sets.items():
            _write_shifted(files, intake, spec, name, plan, params.shift.strengths)
            intake.quarantine.check(stage.scratch / "quarantine.csv")
        _check_complete(files.counts, sections, plan.names)
    write_csv(stage.write("images/quarantine"), intake.quarantine.table())
    stage.finish()


class Files:
    """The eight image files, open for writing; they appear together when `stack` closes without an error."""

    def __init__(self, stage: Stage, classes: list[str], stack: ExitStack):
        self.counts: Counter[tuple[str, str, int]] = Counter()  # by file, set and label
        self._rows: Counter[str] = Counter()
        self._writers = {}
        for name, sections in SECTIONS.items():
            given = stage.provenance["params"]
            used = {"common": given["common"], "prepare": {section: given["prepare"][section] for section in sections}}
            provenance = stage.provenance | {"params": used, "classes": classes}
            temporary = stack.enter_context(replace(stage.write(f"images/{name}")))
            self._writers[name] = stack.enter_context(ImageWriter(temporary, COLUMNS, provenance))

    def add(self, file: str, png: bytes, record: Record, **columns: Any) -> None:
        """Append one image of a record."""
        row = {"label": OOD, "class": record.class_name or "", "strength": 0, "caption": ""} | columns
        self._writers[file].add(png, record.path, sample_id=f"{file}/{self._rows[file]:06d}", source_id=record.source_id, **row)
        self._rows[file] += 1
        self.counts[file, row["set"], row["label"]] += 1


def _write_id(files: Files, intake: Intake, params: Params, plan: IdPlan) -> None:
    label = {name: index for index, name in enumerate(plan.classes)}
    for split in ("test", "val", "train"):
        wanted, spec, key = plan.splits[split], params.id, "id"
        if split == "test" and plan.test:
            spec, key = plan.test, "id.test"
        to_shift = set(shuffled(wanted, intake.seed, "prepare/shift")[: params.shift.limit]) if split == "test" else set()
        render = partial(_render, to_shift=to_shift, shift=params.shift, seed=intake.seed)
        for record, png, shifted in ordered_map(render, intake.pictures(spec, key, f"id-{split}", wanted)):
            its = label[record.class_name]
            own = {"label": its, "class": plan.names[its]}
            caption = caption_of(plan.names[its]) if params.id.names else record.caption
            files.add(split, png, record, **own, set=f"id-{split}", group="id", caption=caption if split == "train" else "")
            for kind, strength, data in shifted:
                files.add("shifted", data, record, **own, set=kind, group="shift", strength=strength)


def _render(picture: Picture, to_shift: set[str], shift: Params, seed: int) -> tuple[Record, bytes, list[tuple[str, int, bytes]]]:
    """The record, its PNG, and (kind, strength, PNG) of its shifted copies if its source id is in `to_shift`."""
    record, pixels = picture
    copies = shifts(pixels, record.source_id, shift.kinds, shift.strengths, seed) if record.source_id in to_shift else ()
    return record, encode(pixels), [(kind, strength, encode(copy)) for kind, strength, copy in copies]


def _write_ood(files: Files, intake: Intake, spec: Params, key: str) -> None:
    group, name = key.split(".", 1)
    # where a source comes split, test sets are its test part and nothing else sees that part
    members = intake.members(spec, key, skip="train" if group in ("near", "far") else "test")
    for record, png in _drawn(intake, spec, key, f"{group} {name}", members):
        caption = record.caption if group in ("world", "clip_world") else ""
        files.add(FILE_OF_GROUP[group], png, record, set=name, group=group, caption=caption)


def _drawn(intake: Intake, spec: Params, key: str, where: str, members: Collection[str]) -> Iterator[tuple[Record, bytes]]:
    """As many of a source's members as its limit allows, in its order, as PNG."""
    wanted = set(shuffled(members, intake.seed, f"prepare/{key}")[: spec.limit])
    return ordered_map(lambda picture: (picture.record, encode(picture.pixels)), intake.pictures(spec, key, where, wanted))


def _write_shifted(files: Files, intake: Intake, spec: Params, name: str, plan: IdPlan, strength: int) -> None:
    """A set of ID classes from elsewhere, at the highest strength.

    Raises:
        PenumbraError: it holds another class, or no image.
    """
    key = f"shift.sets.{name}"
    members = intake.members(spec, key, skip="train", classless=False)
    if others := sorted({member.class_name for member in members.values()} - set(plan.classes)):
        raise PenumbraError(f"prepare.{key}: {', '.join(others)} is no ID class. Name the classes that it shares with ID in classes.")
    for record, png in _drawn(intake, spec, key, f"shift {name}", members):
        label = plan.classes.index(record.class_name)
        columns = {"label": label, "class": plan.names[label], "set": name, "group": "shift", "strength": strength}
        files.add("shifted", png, record, **columns)
    _check_filled(files.counts, "shifted", name, key, spec)


def _check_complete(counts: Counter, sections: dict[str, Params], names: list[str]) -> None:
    """Every ID class is in every split, and every other set holds something; decoding may have emptied them."""
    for split in ("train", "val", "test"):
        if empty := [name for label, name in enumerate(names) if not counts[split, f"id-{split}", label]]:
            raise PenumbraError(f"prepare.id: no usable {split} image of class {', '.join(empty)}. Add images or change the shares.")
    for key, spec in sections.items():
        group, _, name = key.partition(".")
        if group != "id":
            _check_filled(counts, FILE_OF_GROUP[group], name, key, spec)


def _check_filled(counts: Counter, file: str, name: str, key: str, spec: Params) -> None:
    if not any((found, of_set) == (file, name) for found, of_set, _ in counts):
        raise PenumbraError(f"prepare.{key}: no usable image in the source {spec.source}. Correct its path, classes or limit.")
