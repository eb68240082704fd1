"""`penumbra plan`: hours, disk and files of each stage of an experiment before any of it has run."""

import csv
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.grid import work as grid
from penumbra.workflow import cost, index, outside
from penumbra.workflow.contract import Contract, Entry
from penumbra.workflow.needs import readable
from penumbra.workflow.work import Images, Units, Work, images

LINKS = ("code", "equip")  # steps that only write down what is there
FLOAT, DOUBLE = 4, 8  # bytes
ANSWERS = 40  # columns of the scores of an image
NOTE = """\
CPU hours of one core of the machine that benchmarks/cost.csv was measured on; no GPU was measured. Training that stops early takes less.
What no measured run had (images, diffusion and decoded of synthesize, decoders, recipes of the encoder, rerun, grid) is counted as stages
that compute alike: roughly.
Disk is an upper bound, without DVC's second copy of each result (cache.type), and without models that are trained here. While it trains on
images, a stage keeps 3 bytes for each of their pixels in .penumbra/scratch, too."""
WEIGHTS = {"resnet18": 43, "resnet34": 82, "resnet50": 98, "resnet101": 170}  # of a ResNet, in squares of 8 x its width


@dataclass(frozen=True)
class Estimate:
    """What a stage will take.

    Attributes:
        seconds: CPU seconds; None where nothing of its kind was measured.
        bytes: of what it writes, at most.
        files: that it writes.
    """

    name: str
    seconds: float | None
    bytes: float
    files: int


def estimates(contract: Contract) -> Iterator[Estimate]:
    """Of every stage that computes, in the order of dvc.yaml.

    Raises:
        PenumbraError: there is no table of throughput, or the sources of images cannot be read.
    """
    rates = _rates()
    its = images(contract.experiment)
    units = Work(contract.experiment, its)
    for entry in contract.stages.values():
        if entry.step not in LINKS:
            yield Estimate(entry.name, _seconds(units.of(entry), rates), _bytes(entry, units, its), _files(entry, contract))


def _seconds(units: Units, rates: dict[str, tuple[float, float]]) -> float | None:
    """Of all that a stage does, started once; None where it does not say what, or some of it was not measured."""
    if not units or not units.keys() <= rates.keys():
        return None
    return max(rates[kind][0] for kind in units) + sum(rates[kind][1] * amount for kind, amount in units.items())


def _rates() -> dict[str, tuple[float, float]]:
    try:
        with cost.THROUGHPUT.open(newline="") as table:
            return {row["kind"]: (float(row["fixed_seconds"]), float(row["seconds_per_unit"])) for row in csv.DictReader(table)}
    except FileNotFoundError:
        raise PenumbraError(f"{cost.THROUGHPUT}: does not exist. `git checkout {cost.THROUGHPUT}` brings it back.") from None


def _bytes(entry: Entry, units: Work, its: Images) -> float:
    """What a stage writes, at most: images without compression, numbers as they are."""
    image = units.size**2 * (1 if units.e.common.grey else 3)
    seeds, item = len(units.e.train.seeds), entry.item or ""
    if entry.step == "prepare":
        return (its.scored + its.world + its.clip_world) * image
    if entry.step == "synthesize":
        return (units.candidates(item) if item in units.e.methods else its.train + its.test) * image
    if entry.step == "grid":
        return grid.images(units, item) * image
    if entry.step in ("train", "infer") and item in units.e.train.detectors:
        p = units.e.recipes[units.e.train.detectors[item].recipe]
        if p.detector == "clip":
            return seeds * its.scored * its.classes * FLOAT
        features, weights = _sizes_of(p, units, its)
        if entry.step == "train":
            return seeds * weights * FLOAT
        of_layers = 2 * features * DOUBLE * (1 + units.e.infer.powers) if units.e.unsaid("infer", item) else 0  # a layer is half the next
        return seeds * its.scored * ((features + its.classes) * FLOAT + of_layers)
    if entry.step == "pretrain":
        preset = dict(units.model[item])
        return float(sum(size for key in outside.PATHS if isinstance(path := preset.get(key), str) for size in _sizes(path)))
    if entry.step == "extract" and item == "clip":
        return its.scored * units.model["clip"].projection * FLOAT
    if entry.step == "extract" and item == "encoder":
        return its.train * units.model["encoder"].projection * FLOAT
    return seeds * its.scored * ANSWERS * FLOAT if entry.step == "score" else 0.0


def _sizes_of(p: Any, units: Work, its: Images) -> tuple[float, float]:
    """Features of an image, and weights, of the network of a recipe."""
    if p.learns_from == "representations":
        e = units.model["encoder"]
        projector = e.projection_hidden * (e.width + e.projection_hidden + e.projection)
        perceptron = p.width * (e.projection + p.depth * p.width + its.classes)
        return p.width, 13 * e.depth * e.width**2 + 3 * e.width * e.patch_size**2 + projector + perceptron  # 13: with biases and norms
    width = 8 * (p.width or 64)
    features = width * (4 if p.architecture in ("resnet50", "resnet101") else 1)
    return features, WEIGHTS.get(p.architecture, max(WEIGHTS.values())) * width**2


def _sizes(path: str) -> Iterator[int]:
    """Bytes of each file of an imported model that lies on disk."""
    for file in outside.files(outside.Named(path)):
        if file.facts not in (index.MISSING, index.OTHER):
            yield int(file.facts.split()[0])


def _files(entry: Entry, contract: Contract) -> int:
    """Files that DVC will keep: of a folder of networks two for each seed and its history."""
    seeds = len(contract.experiment.train.seeds)
    return sum(1 if "." in path.rpartition("/")[2] else 2 * seeds + 1 for path in entry.outputs)


def table(contract: Contract) -> str:
    """The plan for a person: stage, CPU hours, disk, files; then the sum."""
    found = list(estimates(contract))
    width = max(len(each.name) for each in found)
    lines = [f"{'stage':{width}}  {'CPU hours':>10}  {'disk':>10}  {'files':>5}"]
    for each in found:
        hours = "unknown" if each.seconds is None else _hours(each.seconds)
        lines.append(f"{each.name:{width}}  {hours:>10}  {readable(each.bytes):>10}  {each.files:>5}")
    return "\n".join([*lines, "", _sum(found), NOTE])


def summary(contract: Contract) -> str:
    """The sum of all stages, and the space that is left."""
    return _sum(list(estimates(contract)))


def _sum(found: Sequence[Estimate]) -> str:
    hours, size, files = sum(each.seconds or 0 for each in found), sum(each.bytes for each in found), sum(each.files for each in found)
    unknown = [each.name for each in found if each.seconds is None]
    more = f", without {', '.join(unknown)}" if unknown else ""
    free = readable(shutil.disk_usage(".").free)
    return f"All: {_hours(hours)} CPU hours{more}; at most {readable(size)} in {files} files, and {free} of disk are free."


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.3f}" if hours < 1 else f"{hours:,.1f}"
