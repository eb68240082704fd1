"""What scores, the search for neighbours and the metrics cost, beside pytorch-ood and faiss: writes scores_speed.csv.

One thread, CPU seconds. Rows of earlier code stay in the file; each names the commit that it was measured on. pytorch-ood and faiss-cpu are
no requirements of the project: without them their rows are left out. `scores_speed.py memory SCORE` is one process of `of_memory`.
"""

import csv
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

import penumbra.models.vision  # noqa: F401  # before pytorch-ood, which imports torchvision
from penumbra.artifacts.outputs import Outputs
from penumbra.benchmark.metrics import evaluate
from penumbra.experiment.differences import expand
from penumbra.experiment.load import load
from penumbra.ranks import auroc
from penumbra.score.params import Score
from penumbra.scores import scores_of
from penumbra.scores.base import Asked, Bank, exact
from penumbra.scores.knn import distances

QUERIES, BANK, WIDTH, KS, SCORES = 10_000, 50_000, 128, [50, 10, 100, 200], 1_000_000
WIDE, NEAREST, ASKED = 512, 50, 2048  # of the search beside faiss: as a ResNet-18 has features
IMAGES, FEATURES, CLASSES = 5_000, 2048, 1000  # of the scores: as a ResNet-50 on ImageNet has them
REMEMBERED = ("knn", "mahalanobis", "gradnorm", "dice", "kl-matching", "vim", "react")
TRAIN, TEST = 50_000, 15_000  # images of those whose memory is measured
REPEATS = 3  # the least time counts: a busy machine is slower
OUTPUT = Path(__file__).with_suffix(".csv")
OVERLAY = Path(__file__).parents[1] / "conf/ablations/scores.yaml"
FIELDS = ("what", "code", "cpu_seconds", "auroc", "peak_gib")
SIDES = {  # scores of both; ours by what conf/ablations/scores.yaml calls them
    "msp": "MaxSoftmax", "max_logit": "MaxLogit", "energy": "EnergyBased", "temperature": "TemperatureScaling",
    "kl-matching": "KLMatching", "gen": "GEN", "openmax-pytorch-ood": "OpenMax", "knn": "KNN", "mahalanobis": "Mahalanobis",
    "relative-mahalanobis": "RMD", "vim": "ViM", "react": "ReAct", "dice": "DICE", "ash-s-pytorch-ood": "ASH", "she": "SHE",
}  # fmt: skip
Row = dict[str, object]


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """CPU seconds of the fastest of some runs."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def row(what: str, code: str, cpu_seconds: float | None = None, **more: object) -> Row:
    return {"what": what, "code": code} | ({} if cpu_seconds is None else {"cpu_seconds": f"{cpu_seconds:.4g}"}) | more


def installed(name: str) -> str | None:
    """Name and version of a distribution, if it is there."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


def parameters() -> Score:
    """The section `score`, with every score of the overlay."""
    return Score(knn_k=NEAREST, knn_more=[], calibrator="beta", more=expand(load(OVERLAY))["score"]["more"])


def drawn(count: int, dtype: torch.dtype) -> tuple[Outputs, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs of as many images of ImageNet's size, their classes, and the last layer."""
    draws = torch.Generator().manual_seed(0)
    means = torch.randn(CLASSES, FEATURES, generator=draws, dtype=dtype)
    labels = torch.arange(count) % CLASSES
    features = torch.randn(count, FEATURES, generator=draws, dtype=dtype)
    for part, of_part in zip(features.split(IMAGES), labels.split(IMAGES), strict=True):
        part.add_(means[of_part]).relu_()
    weight = means / FEATURES**0.5
    return Outputs(features @ weight.T, features), labels, weight, torch.zeros(CLASSES, dtype=dtype)


def of_scores() -> Iterator[Row]:
    """Of each score its fit, and its call for as many images."""
    outputs, labels, weight, bias = drawn(IMAGES, torch.float64)
    bank = Bank(outputs, labels, outputs, labels, outputs, weight, bias, None)
    section = parameters()
    size = f"{IMAGES} images of width {FEATURES}, {CLASSES} classes"
    for name in section.more:
        score = scores_of(section, "network")[name]
        yield row(f"fit of {name} on {size}", "here", seconds(lambda score=score: score.fit(bank)))
        yield row(f"{name} of {size}", "here", seconds(lambda score=score: score(outputs)))


def of_neighbours() -> Iterator[Row]:
    """The search, in the precision of networks' and of CLIP's features, and faiss's flat index."""
    draws = torch.Generator().manual_seed(0)
    features, bank = torch.randn(QUERIES, WIDTH, generator=draws), torch.randn(BANK, WIDTH, generator=draws)
    bank = torch.nn.functional.normalize(bank, dim=1)
    what = f"{len(KS)} neighbours of {QUERIES} images among {BANK} of width {WIDTH}"
    yield row(what, "here", seconds(lambda: distances(features, bank, KS)))
    what = f"neighbour {NEAREST} of {ASKED} images among {BANK} of width {WIDE}"
    queries, bank = (torch.randn(count, WIDE, generator=draws).relu() for count in (ASKED, BANK))
    queries, bank = (torch.nn.functional.normalize(rows, dim=1) for rows in (queries, bank))
    yield row(f"{what}, float32", "here", seconds(lambda: distances(queries, bank, [NEAREST])))
    wide = queries.double(), bank.double()
    yield row(f"{what}, float64", "here", seconds(lambda: distances(*wide, [NEAREST])))
    if code := installed("faiss-cpu"):
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(WIDE)
        index.add(bank.numpy())
        yield row(f"{what}, float32", code, seconds(lambda: index.search(queries.numpy(), NEAREST)))


def of_metrics() -> Iterator[Row]:
    """All metrics of many scores, without ties and with many."""
    inside, outside = np.random.default_rng(0).normal([[0], [1]], 1, (2, SCORES // 2))
    for ties, digits in {"": 12, ", rounded to 3 digits": 3}.items():
        sides = inside.round(digits), outside.round(digits)
        what = f"all metrics of {SCORES} scores{ties}"
        yield row(what, "here", seconds(partial(evaluate, *sides)), auroc=f"{evaluate(*sides)['auroc']:.6f}")
        if code := installed("pytorch-ood"):
            labels = torch.from_numpy(np.repeat([0, -1], SCORES // 2))
            theirs = partial(metrics_of_theirs, torch.from_numpy(np.concatenate(sides)), labels)
            yield row(what, code, seconds(theirs), auroc=f"{theirs()['AUROC']:.6f}")


def metrics_of_theirs(scores: torch.Tensor, labels: torch.Tensor) -> dict:
    """Those of pytorch-ood, by name."""
    from pytorch_ood.metrics import OODMetrics

    metrics = OODMetrics()
    metrics.update(scores, labels)
    return metrics.compute()


def of_memory() -> Iterator[Row]:
    """Peak memory of a process that fits a score and scores, in the precision of the network and then of scores."""
    for name in REMEMBERED:
        found = subprocess.run([sys.executable, __file__, "memory", name], check=True, capture_output=True, text=True)
        what = f"{name} of {TEST} images, fitted on {TRAIN}, width {FEATURES}, {CLASSES} classes"
        yield row(what, "here", peak_gib=f"{float(found.stdout.split()[-1]):.2f}")


def remember(name: str) -> None:
    """Print the peak of this process in GiB: outputs as they are read, as they are scored, and one score."""
    outputs, labels, weight, bias = drawn(TRAIN + TEST, torch.float32)
    train, test = (exact(Outputs(outputs.logits[rows], outputs.features[rows]), "network") for rows in (slice(TRAIN), slice(TRAIN, None)))
    del outputs
    few = Outputs(test.logits[:IMAGES], test.features[:IMAGES])
    bank = Bank(train, labels[:TRAIN], few, labels[TRAIN : TRAIN + IMAGES], few, weight, bias, None)
    score = scores_of(parameters(), "network")[name]
    score.fit(bank)
    score(Outputs(test.logits[:ASKED], test.features[:ASKED]) if name == "knn" else test)  # the search takes block by block
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def beside() -> Iterator[Row]:
    """Scores of both, of one network and the same images: theirs detector by detector, ours from one pass."""
    code = installed("pytorch-ood")
    if code is None:
        return
    import side_by_side

    made = side_by_side.trained()
    started = time.process_time()
    bank, test, ood = made.outputs()
    whole = time.process_time() - started
    yield row("one pass of a network over all images", "here", whole)
    sums = {"here": whole, code: 0.0}
    section = parameters()
    for name, other in SIDES.items():
        score = scores_of(section, "network")[name]

        for code_of, run in {"here": partial(of_pass, score, bank, test, ood), code: partial(made.theirs, other)}.items():
            cost = seconds(run, 1)
            sums[code_of] += cost
            yield row(f"{name} of a network's images", code_of, cost, auroc=f"{auroc(*run()[::-1]):.5f}")
    for code_of, total in sums.items():
        yield row(f"{len(SIDES)} scores of a network's images, with all passes", code_of, total)


def of_pass(score: Asked, bank: Bank, test: Outputs, ood: Outputs) -> list[np.ndarray]:
    """A score fitted, and of ID test images and of OOD."""
    score.fit(bank)
    return [score(images).numpy() for images in (test, ood)]


def main() -> None:
    """Measure all, and replace their rows."""
    torch.set_num_threads(1)
    earlier = []
    if OUTPUT.exists():
        with OUTPUT.open(newline="") as file:
            earlier = [each for each in csv.DictReader(file) if len(each["code"]) == 7]  # a commit's
    with OUTPUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(earlier)
        for part in (of_neighbours, of_metrics, beside, of_memory, of_scores):
            for each in part():
                writer.writerow(each)
                file.flush()


if __name__ == "__main__":
    remember(sys.argv[2]) if sys.argv[1:2] == ["memory"] else main()
