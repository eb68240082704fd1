"""ID classes: their labels, what they are called, and which images of which source are those of training, validation and test."""

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penumbra.errors import PenumbraError
from penumbra.prepare.ingest import Intake
from penumbra.prepare.split import class_order, shuffled, split_members

if TYPE_CHECKING:
    from penumbra.prepare.params import IdSource, OodSource

SHOWN = 3  # names in a message


class IdPlan(NamedTuple):
    """The ID classes and images.

    Attributes:
        classes: what the source calls them, by label.
        names: what files and prompts call them, by label; two classes may share a name.
        splits: source ids of "train", "val" and "test".
        test: the source of test images; None: the source of the others.
    """

    classes: list[str]
    names: list[str]
    splits: dict[str, set[str]]
    test: "OodSource | None"


def plan_id(intake: Intake, spec: "IdSource") -> IdPlan:
    """The ID classes in the order of their labels, and the split of every source image.

    Raises:
        PenumbraError: fewer than two classes, a class without images, a test set of other classes, names that do not fit.
    """
    members = intake.members(spec, "id", skip="test" if spec.test else None, classless=False)
    images = Counter(member.class_name for member in members.values())
    classes = list(spec.classes or class_order(images))
    if empty := [name for name in classes if not images[name]]:
        raise PenumbraError(f"prepare.id: no images of class {', '.join(empty)}. Add images or take it out of prepare.id.classes.")
    if len(classes) < 2:
        raise PenumbraError(f"prepare.id: {len(classes)} class in {spec.source}, and a classifier needs two. Correct path or classes.")
    names, splits, test = class_names(spec.names, classes), {"train": set(), "val": set(), "test": set()}, source_of_test(spec, classes)
    for source_id, split in split_members(members, spec.val_share, spec.test_share, intake.seed).items():
        splits[split].add(source_id)
    if test is not None:
        found = intake.members(test, "id.test", skip="train", classless=False)
        splits["test"] = set(shuffled(found, intake.seed, "prepare/id.test")[: test.limit])
        check_test(classes, {found[source_id].class_name for source_id in splits["test"]})
    return IdPlan(classes, names, splits, test)


def source_of_test(spec: "IdSource", classes: Sequence[str]) -> "OodSource | None":
    """The source of ID test images with the classes that are read of it; None where they are a share of the others.

    Where it names no classes, they are those of `prepare.id`; of an image list beside a source of another kind, all ID classes in
    the order of their labels, which its numbers are.
    """
    if spec.test is None or spec.test.classes is not None:
        return spec.test
    by_label = spec.test.source == "imglist" and spec.source != "imglist"
    return spec.test.model_copy(update={"classes": list(classes) if by_label else spec.classes})


def check_test(classes: Sequence[str], found: Collection[str]) -> None:
    """Refuse a set of ID test images that has other classes than those that are learnt.

    Args:
        classes: of ID.
        found: of the test images.

    Raises:
        PenumbraError: it has another class, or none of one; names the first.
    """
    if others := class_order(set(found) - set(classes)):
        raise PenumbraError(f"prepare.id.test: {_first(others)} is no class of prepare.id. Choose its classes, or call them as there.")
    if empty := [name for name in classes if name not in found]:
        raise PenumbraError(f"prepare.id.test: no image of class {_first(empty)}. Add some, raise its limit, or leave out the class.")


def class_names(path: str | None, classes: Sequence[str]) -> list[str]:
    """What the classes are called, by label; two may have the same name.

    Args:
        path: a text file, one name a line in the order of the labels; or a table NAME.csv with the columns folder (what the source
            calls a class) and name, whose further rows are passed over. None: the classes have their own names.
        classes: what the source calls them, by label.

    Raises:
        PenumbraError: the file cannot be read, or does not have one name for each class.
    """
    if path is None:
        return list(classes)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PenumbraError(f"prepare.id.names: {path} cannot be read as UTF-8 text ({error}). Correct the path or the file.") from error
    names = _of_table(text, path, classes) if Path(path).suffix.lower() == ".csv" else [line.strip() for line in text.rstrip().splitlines()]
    if len(names) != len(classes):
        what = f"{len(names):,} names, and prepare.id has {len(classes):,} classes"
        raise PenumbraError(f"prepare.id.names: {path} has {what}. Write one line for each class, in the order of the labels.")
    if wrong := [name for name in names if not name or not name.isprintable()]:
        label = names.index(wrong[0])
        raise PenumbraError(f"prepare.id.names: {path} has no printable name for class {classes[label]} (label {label}). Give it one.")
    return names


def _of_table(text: str, path: str, classes: Sequence[str]) -> list[str]:
    rows = csv.DictReader(text.splitlines())
    if not {"folder", "name"} <= set(rows.fieldnames or ()):
        raise PenumbraError(f"prepare.id.names: {path} lacks the columns folder and name. Begin it with the line folder,name.")
    names: dict[str, str] = {}
    for row in rows:
        folder, name = row["folder"], (row["name"] or "").strip()
        if names.setdefault(folder, name) != name:
            raise PenumbraError(f"prepare.id.names: {path} calls {folder} both {names[folder]} and {name}. Leave one.")
    if missing := [name for name in classes if name not in names]:
        raise PenumbraError(f"prepare.id.names: {path} has no row for class {_first(missing)}. Add it.")
    return [names[name] for name in classes]


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
