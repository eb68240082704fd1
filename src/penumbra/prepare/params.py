"""Parameters of prepare, and what they must satisfy together."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import Discriminator, SerializerFunctionWrapHandler, Tag, model_serializer

from penumbra.prepare import sources
from penumbra.registry import names
from penumbra.values import HASHED, PLAIN, Count, Fault, Line, Name, Names, Positive, Section, Sha256, Share, ShareAboveZero, Text

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


Source = Literal[*names(sources)]
ShiftKind = Literal["rotation", "blur", "contrast", "noise"]


class ImageSource(Section):
    source: Source
    path: Text | None
    root: Text | None
    classes: Names | None


class OodSource(ImageSource):
    limit: Count | None


class OodList(OodSource):
    """An image list whose content may be known; only its section has the key, so that those of other sources stay as they are."""

    sha256: Sha256 | None


def _hashed(value: Any) -> str:
    return HASHED if isinstance(value, IdList | OodList) or isinstance(value, Mapping) and "sha256" in value else PLAIN


NotId = Annotated[Annotated[OodSource, Tag(PLAIN)] | Annotated[OodList, Tag(HASHED)], Discriminator(_hashed)]


class IdSource(ImageSource):
    """Where ID images come from.

    `names` and `test` may be missing, and are in no dump then: who has neither has the same provenance in all files as before there
    were any, and nothing runs again.

    Attributes:
        val_share, test_share: of its images; test_share is null where `test` has the test images.
        names: a file of what the classes are called in prompts, tables and figures (`prepare.classes.class_names`).
        test: where test images come from.
    """

    val_share: ShareAboveZero
    test_share: ShareAboveZero | None
    names: Line | None = None
    test: NotId | None = None

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None or key not in ("names", "test")}


class IdList(IdSource):
    """The same of a list of ID images."""

    sha256: Sha256 | None


OfId = Annotated[Annotated[IdSource, Tag(PLAIN)] | Annotated[IdList, Tag(HASHED)], Discriminator(_hashed)]


class Shift(Section):
    """Covariate-shifted ID images: the test images rendered in rising strengths, and sets of ID classes from elsewhere."""

    strengths: Count
    limit: Count | None
    kinds: dict[ShiftKind, Positive]
    sets: dict[Name, NotId]


class Prepare(Section):
    id: OfId
    near: Annotated[dict[Name, NotId], MinLen(1)]
    far: Annotated[dict[Name, NotId], MinLen(1)]
    shift: Shift
    calibration: Annotated[dict[Name, NotId], MinLen(1)]
    world: dict[Name, NotId]
    clip_world: dict[Name, NotId]
    quarantine_limit: Share


ON_DISK = ("folder", "imglist", "cifar10", "cifar100", "parquet")


def _sections(experiment: "Experiment") -> dict[str, ImageSource]:
    prepare = experiment.prepare
    groups = {"near": prepare.near, "far": prepare.far, "calibration": prepare.calibration, "world": prepare.world}
    groups |= {"clip_world": prepare.clip_world, "shift.sets": prepare.shift.sets}
    own = {"id": prepare.id} | ({"id.test": prepare.id.test} if prepare.id.test else {})
    return own | {f"{group}.{name}": source for group, sources in groups.items() for name, source in sources.items()}


def source_faults(experiment: "Experiment") -> Iterator[Fault]:
    prepare = experiment.prepare
    for key, source in _sections(experiment).items():
        if source.source in ON_DISK and source.path is None:
            yield f"prepare.{key}.path", f"must be where the images of source {source.source} lie"
        if isinstance(source, IdList | OodList) and source.source != "imglist":
            yield f"prepare.{key}.sha256", "must be left out: it is of an image list (source imglist)"
    if prepare.id.classes is not None and len(prepare.id.classes) < 2:
        yield "prepare.id.classes", "must name two classes at least"
    yield from _test_faults(prepare.id)
    for name in prepare.shift.sets.keys() & prepare.shift.kinds.keys():
        yield f"prepare.shift.sets.{name}", "must have another name than the rendered shift"
    for name in prepare.near.keys() & prepare.far.keys():
        yield f"prepare.far.{name}", "must have another name than the near test set"


def _test_faults(source: IdSource) -> Iterator[Fault]:
    """ID test images are a share of the others, or have a source of their own."""
    if (source.test_share is None) != (source.test is not None):
        yield "prepare.id.test_share", "must be a share, or null where prepare.id.test has the test images"
    elif source.test is None and source.val_share + source.test_share >= 1:
        yield "prepare.id.test_share", f"must be below {1 - source.val_share:g}: with val_share it leaves nothing to train on"
    elif source.test is not None and (source.test.source, source.test.path) == (source.source, source.path):
        yield "prepare.id.test.path", "must be another place than prepare.id.path, whose images are learnt from"


def disjoint_faults(experiment: "Experiment") -> Iterator[Fault]:
    """Two test sets may share classes of a source; every other pair of sections may not, but for ID and its test images."""
    sections = _sections(experiment)
    if test := sections.get("id.test"):  # its classes are those of ID, where it names none
        sections["id.test"] = test.model_copy(update={"classes": test.classes or sections["id"].classes})
    for (first, one), (second, other) in combinations(sections.items(), 2):
        tests = {first.split(".")[0], second.split(".")[0]} <= {"near", "far"}
        unset = one.source in ON_DISK and one.path is None
        if tests or unset or (first, second) == ("id", "id.test") or (one.source, one.path) != (other.source, other.path):
            continue
        if one.classes is None or other.classes is None or set(one.classes) & set(other.classes):
            yield f"prepare.{second}.classes", f"must have no class of source {one.source} in common with prepare.{first}"
