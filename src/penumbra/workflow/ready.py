"""Whether stages can start: everything that can be known without computing is looked at before hours are spent."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from penumbra.errors import PenumbraError
from penumbra.prepare.params import ON_DISK
from penumbra.train.network.params import SIZES
from penumbra.values import Architecture, presets
from penumbra.workflow import index, outside
from penumbra.workflow.contract import Contract, parts
from penumbra.workflow.needs import Need, needs

NO_WORD = re.compile(r"\d+|n\d{8}")  # a number, or a WordNet id
SHOWN = 3  # names in a message


def check(contract: Contract, stages: Iterable[str]) -> None:
    """Refuse to start what cannot come to its end.

    Raises:
        PenumbraError: one line for each thing that is wrong: key or file, what, remedy.
    """
    if found := list(problems(contract, list(stages))):
        raise PenumbraError("\n".join(found))


def problems(contract: Contract, names: Sequence[str]) -> Iterator[str]:
    """What is wrong with stages and with what they need, one line each."""
    return faults(contract, names, needs(contract, names))


def faults(contract: Contract, stages: Iterable[str], needed: Iterable[Need]) -> Iterator[str]:
    """What is wrong, one line each.

    Args:
        stages: names of those that are to run.
        needed: what they need from outside.
    """
    names, needed = set(stages), list(needed)
    missing = [need for need in needed if not need.there]
    yield from (f"{need.key}: {need.named.path} {need.found}" for need in missing)
    classes: list[str] = []
    if not any(need.key.startswith("prepare.") for need in missing):
        classes, wrong = _sources(contract, names)
        yield from wrong
    yield from _words(contract, names, classes)
    yield from _starts(contract, names)
    if not missing:
        from penumbra.workflow.fits import faults as misfits  # loads torch only where a file is imported

        yield from misfits(contract, names, len(classes))


def _sources(contract: Contract, names: set[str]) -> tuple[list[str], list[str]]:
    """What ID classes are called, and what is wrong with sources of images that lie on disk; they are read if `prepare` runs."""
    prepare = contract.experiment.prepare
    if "prepare" not in names:
        return list(prepare.id.classes or []), []
    from penumbra.prepare.classes import check_test, class_names, source_of_test

    groups = {group: prepare[group] for group in ("near", "far", "calibration", "world", "clip_world")} | {"shift.sets": prepare.shift.sets}
    sections = {"id": prepare.id, "id.test": prepare.id.test}
    sections |= {f"{group}.{name}": spec for group, specs in groups.items() for name, spec in specs.items()}
    classes, wrong = list(prepare.id.classes or []), []
    for key, spec in sections.items():
        if spec and spec.source in ON_DISK:
            try:
                for name, named in outside.named({"prepare": {key: dict(spec)}}):
                    outside.check(name, named)
                found = _read(spec if key != "id.test" else source_of_test(prepare.id, classes), key, prepare.quarantine_limit)
                if key == "id.test" and classes:
                    check_test(classes, found)
            except (PenumbraError, OSError, UnicodeDecodeError) as error:
                wrong.append(str(error) if isinstance(error, PenumbraError) else f"prepare.{key}.path: {_reason(spec.path, error)}")
                continue
            classes = found if key == "id" and not classes else classes
    try:
        return class_names(prepare.id.names, classes) if classes else classes, wrong
    except PenumbraError as error:
        return classes, [*wrong, str(error)]


def _reason(path: str, error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        with open(path, "rb") as lines:
            number = next((number for number, line in enumerate(lines, 1) if not _utf8(line)), 1)
        return f"{path}:{number} is not UTF-8 text. Save it as UTF-8, a line `<path> <label>` for each image."
    return f"{getattr(error, 'filename', None) or path} cannot be read: {error.strerror}. Correct the path, its owner or its mode."


def _passed_over(path: str, classes: Iterable[str]) -> str | None:
    """A link to a folder that lies in the folder of a class: the images behind it are not read."""
    for name in classes:
        for folder, folders, _ in os.walk(os.path.join(path, name)):
            for inner in folders:
                if not inner.startswith(".") and os.path.islink(os.path.join(folder, inner)):
                    return os.path.join(folder, inner)
    return None


def _utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(spec: Any, key: str, limit: float) -> list[str]:
    """The classes of a source in the order of their labels; its images are counted, not decoded.

    Raises:
        PenumbraError: so many of its images are unusable that `prepare` would stop, or it has too few.
    """
    from penumbra.prepare.record import read_source
    from penumbra.prepare.split import class_order

    lost, images, total = [], Counter(), 0
    for record in read_source(spec, key, 0):
        total += 1
        images[record.class_name] += not record.fault
        if record.fault:
            lost.append(f"{' '.join(dict.fromkeys(filter(None, (record.source_id, record.path))))}: {record.fault}")
    if spec.source == "imglist":
        listed = next(outside.named({"source": "imglist", "path": spec.path, "root": spec.root}))[1]
        lost += [f"{os.fsdecode(file.name)}: missing file" for file in outside.files(listed) if file.facts == index.MISSING]
    if len(lost) > limit * total:
        what = f"{len(lost):,} of {total:,} images are unusable; prepare.quarantine_limit is {limit:g}"
        raise PenumbraError(f"prepare.{key}: {what}. First: {'; '.join(map(_printed, lost[:SHOWN]))}.")
    found = class_order(name for name, count in images.items() if name is not None and count)
    if spec.source == "folder" and (link := _passed_over(spec.path, spec.classes or found)):
        raise PenumbraError(f"prepare.{key}.path: {link} is a link to a folder, and is passed over. Copy it, or link a whole class.")
    if key == "id" and (empty := [name for name in spec.classes or [] if not images[name]]):
        raise PenumbraError(f"prepare.id: no images of class {', '.join(empty[:SHOWN])}. Add images or take it out of prepare.id.classes.")
    if key == "id" and len(spec.classes or found) < 2:
        raise PenumbraError(f"prepare.id: {len(found)} class in {spec.path}, and a classifier needs two. Correct path or classes.")
    if not total:
        raise PenumbraError(f"prepare.{key}: no image in {spec.path}. Correct its path or classes.")
    return found


def _printed(text: str) -> str:
    """On one line, whatever a name holds."""
    return text if text.isprintable() else repr(text)


def _words(contract: Contract, names: set[str], classes: list[str]) -> Iterator[str]:
    """Prompts need words: for ID classes where a published model reads them, and for what is not ID."""
    experiment = contract.experiment
    world = "the captions of prepare.world, which is empty"
    for name, sona in experiment.synthesize.sona.items():
        if f"synthesize-sona@{name}" in names and not sona.word_file and sona.add and not experiment.prepare.world:
            yield f"synthesize.sona.{name}.word_file = null: takes {world}. Name a file of words, or fill prepare.world."
    for name, contexts in experiment.extract.contexts.items():
        if (
            f"extract-contexts@{name}" in names
            and (contexts.captioner, contexts.vocabulary) == ("clip", "world")
            and not experiment.prepare.world
        ):
            yield f"extract.contexts.{name}.vocabulary = world: takes {world}. Name a file of words, or fill prepare.world."
    for name, negatives in experiment.extract.negatives.items():
        worlds = experiment.prepare.world or experiment.prepare.clip_world
        if f"extract-negatives@{name}" in names and negatives.vocabulary == "world" and not worlds:
            yield f"extract.negatives.{name}.vocabulary = world: takes {world}. Set it to file or wordnet, or fill prepare.world."
    numbers = [name for name in classes if NO_WORD.fullmatch(name)]
    if numbers and experiment.prepare.id.source in ("folder", "imglist") and (readers := sorted(names & _prompted(experiment))):
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        yield (
            f"prepare.id.classes: {numbers[0]}{more} says nothing to the published text encoder that {readers[0]} prompts. "
            "Name the classes in a file: prepare.id.names (docs/published.md)."
        )


def _prompted(experiment: Any) -> set[str]:
    """The stages that put names of ID classes into prompts of a published model."""
    methods, found = experiment.synthesize, set()
    pipelines = {kind: any(preset.pipeline for _, preset in presets(experiment, "pretrain", kind)) for kind in ("diffusion", "inpainting")}
    for kind, pipeline in (("good", "diffusion"), ("sona", "diffusion"), ("synood", "inpainting"), ("negatives", "inpainting")):
        found |= {f"synthesize-{kind}@{name}" for name in methods[kind] if pipelines[pipeline]}
    clip = any(preset.model for _, preset in presets(experiment, "pretrain", "clip"))
    found |= {f"extract-negatives@{name}" for name in experiment.extract.negatives if clip}
    return found | {f"extract-contexts@{name}" for name, each in experiment.extract.contexts.items() if each.model}


def _starts(contract: Contract, names: set[str]) -> Iterator[str]:
    """A detector that starts from a classifier has its architecture and sizes."""
    experiment = contract.experiment
    used = {experiment.train.detectors[item].recipe for step, _, item in map(parts, names) if step == "train"}
    for name in used & experiment.train.recipes.classifier.keys():
        recipe = experiment.train.recipes.classifier[name]
        for place, classifier in presets(experiment, "pretrain", "classifier"):
            sizes = SIZES if recipe.of_resnet and classifier.architecture in get_args(Architecture) else ()
            for key in ("architecture", *sizes):
                if recipe[key] != classifier[key]:
                    yield (
                        f"train.recipes.classifier.{name}.{key} = {recipe[key]}: the recipe starts from {place}, whose {key} is "
                        f"{classifier[key]}. Make them equal, or let the recipe stand under train.recipes.scratch."
                    )
