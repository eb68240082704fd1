"""How the memory of steps grows with the number of images: `python benchmarks/memory_growth.py` writes memory_growth.csv beside itself.

Each step works on tiny random images in a process of its own, once with few and once with many; everything else stays equal. A line for
each: the peak of both, and what it would be with a million by the line through them. Of a method that trains networks of its own, the
training alone is measured. Bytes beside the pixels: a step whose bytes for each image exceed those of its 8-bit pixels holds them, or
something else that it need not hold. A step that does not grow keeps its peak. Peaks are of resident memory (ru_maxrss): what the process
has allocated and what it has mapped; files that it reads are in the kernel's cache, which gives way, and do not count.

Peaks come again to within some 50 MiB. A line through few images says no more: where it falls, or hardly rises, nothing grows that could
be seen. million_images.py has a million.
"""

import argparse
import csv
import importlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

MILLION = 1_000_000
CLASSES, WIDTH, ID, SEEDS = 6, 16, 1000, 3  # of the network and of what does not grow, as in the digits experiment
SIZES = {"architecture": "resnet18", "width": WIDTH, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
SHAPE = {**SIZES, "classes": CLASSES, "phi_hidden": 16}
FILES = ("train", "val", "calibration", "test", "ood", "shifted")
EMPTY = ("world", "clip_world")
ONCE = {"epochs": 1, "warmup_epochs": 0}  # an epoch holds what many hold
PRETRAIN = {  # in an order in which a model comes before what reads it
    "clip": ONCE,
    "mage": ONCE | {"vqgan_epochs": 1, "vqgan_learning_rate": 1e-5},
    "diffusion": ONCE | {"vae_epochs": 1},
    "inpainting": ONCE,
}
ROOMS = ("boundarygan", "fakeit", "dreamood")


def write_images(path: Path, count: int, side: int, classes: int = CLASSES) -> None:
    """Random images that compress a little; some pictures over and over, since nobody looks at them."""
    import numpy as np
    import pyarrow as pa

    from penumbra.artifacts.images import ImageWriter, encode

    rng = np.random.default_rng(0)
    pictures = [encode(rng.integers(0, 2 + 2 * row, (side, side, 3)).astype(np.uint8)) for row in range(100)]
    texts = ("sample_id", "source_id", "set", "group", "split", "class", "caption")
    columns = dict.fromkeys(texts, pa.string()) | {"label": pa.int64(), "strength": pa.int64()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with ImageWriter(path, columns, {"classes": [str(each) for each in range(classes)]}) as writer:
        for row in range(count):
            made = {"sample_id": f"{path.stem}/{row:07d}", "source_id": "", "set": path.stem, "group": path.stem, "split": "train"}
            made |= {"class": str(row % classes), "caption": "", "label": row % classes, "strength": 0}
            writer.add(pictures[row % len(pictures)], **made)


def prepare(root: Path, count: int, side: int) -> None:
    """Everything that the steps read: `count` candidates, and `count` far test images."""
    import torch

    from penumbra.artifacts.tables import write_json
    from penumbra.models.resnet import Detector

    for file, rows in (dict.fromkeys(FILES, ID) | dict.fromkeys(EMPTY, 0) | {"ood": count}).items():
        write_images(root / f"images/{file}.parquet", rows, side)
    (root / "outliers").mkdir()
    (root / "outliers/m.parquet").hardlink_to(root / "images/ood.parquet")
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        Detector(**SHAPE).save_pretrained(root / f"detectors/d/seed-{seed}")
    platt = {"calibrators": {"platt": {"slope": 1.0, "intercept": 1.0}}, "calibrator": "platt"}
    write_json(root / "calibration/d.json", {"accepts": -1.0, "judges": "mean", "score": "energy"} | platt)


def filtered(root: Path) -> None:
    """filter: three judges ask about the candidates."""
    from penumbra.filter.params import Filter
    from penumbra.filter.step import main
    from penumbra.stage import Params, Stage

    names = ["m", *(f"m/{band}" for band in ("low", "mid", "high", "upper", "third", "kept", "random"))]
    params = Params({"filter": {"m": Filter(judge="d", mid=[0.0, 1.0], upper=[0.5, 0.7])}})
    reads = {"outliers/m": root / "outliers/m.parquet", "detectors/d": root / "detectors/d", "calibration/d": root / "calibration/d.json"}
    main(Stage("filter", "m", params, {}, reads, {f"selections/{name}": root / f"selections/{name}.parquet" for name in names}, root / "s"))


def trained(root: Path, bands: str, train: str = "train", outliers: str = "outliers/m", batch_size: int = 64) -> None:
    """train: an epoch of one seed on the ID images of a file, beside all candidates, or beside some that are drawn from all."""
    import pandas as pd

    from penumbra.artifacts.tables import write_parquet
    from penumbra.experiment.load import validate
    from penumbra.stage import Params, Stage
    from penumbra.train.losses.energy.plan import main
    from penumbra.train.params import Detector

    ids = pd.read_parquet(root / f"{outliers}.parquet", columns=["sample_id"])
    selection = root / f"selections/m/{bands}.parquet"
    write_parquet(selection, ids if bands == "all" else ids.assign(band=["mid" if row < ID else "low" for row in range(len(ids))]), {})
    changes = {"epochs": 1, "warmup_epochs": 0, "batch_size": batch_size}
    recipe = validate("params.yaml").train.recipes.scratch["energy"].model_copy(update=changes)
    params = {"seeds": [0], "detectors": {"d": Detector(method="m", bands=[bands], recipe="energy")}, "recipes": {"energy": recipe}}
    reads = {"images/train": root / f"images/{train}.parquet", "images/val": root / "images/val.parquet"}
    reads |= {"outliers/m": root / f"{outliers}.parquet", f"selections/m/{bands}": selection}
    params = Params({"common": {"seed": 0, "kernels": "portable"}, "train": params})
    main(Stage("train", "d", params, {}, reads, {"detectors/d": root / "trained"}, root / "s"))


def inferred(root: Path) -> None:
    """infer: one seed passes over all images."""
    from penumbra.infer.network import main
    from penumbra.stage import Params, Stage

    reads = {"images": root / "images", "detectors/d": one_seed(root)}
    main(Stage("infer", "d", Params({"common": {"kernels": "portable"}}), {}, reads, {"outputs/d": root / "outputs/d"}, root / "s"))


def one_seed(root: Path) -> Path:
    """A detector of the first seed alone."""
    place = root / "one/d"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "seed-0").exists():
        (place / "seed-0").symlink_to((root / "detectors/d/seed-0").resolve())
    return place


def scored(root: Path) -> None:
    """score: the scores of params.yaml, from what `inferred` has left."""
    from penumbra.experiment.load import validate
    from penumbra.score.step import main
    from penumbra.stage import Params, Stage

    params = Params({"score": validate("params.yaml").score})
    main(Stage("score", "d", params, {}, {"outputs/d": root / "outputs/d"}, {"scores/d": root / "scores.parquet"}, root / "s"))


def baselines() -> Any:
    """The parameters of the digits experiment with what the papers compare with."""
    from penumbra.experiment.load import typed
    from penumbra.workflow.composition import compose

    return typed(compose(Path("conf").resolve(), ["+ablations=baselines"]), "conf")


def pretrained(root: Path, model: str) -> None:
    """pretrain: an epoch of each network of a model, on as many ID images as there are candidates."""
    from penumbra.models.moco import MoCoEncoder
    from penumbra.stage import Params, Stage

    sections = baselines().pretrain
    (p,), (of_encoder,) = sections[model].values(), sections.encoder.values()
    sizes = ("image_size", "patch_size", "width", "depth", "heads", "projection_hidden", "projection")
    MoCoEncoder(**{key: of_encoder[key] for key in sizes}).eval().save_pretrained(root / "models/encoder")
    reads = {f"images/{name}": root / f"images/{name}.parquet" for name in ("val", *EMPTY)} | {"images/train": root / "images/ood.parquet"}
    reads |= {f"models/{name}": root / "models" / name for name in ("encoder", "diffusion")}
    params = Params({"common": {"seed": 0, "kernels": "portable"}, "pretrain": {model: p.model_copy(update=PRETRAIN[model])}})
    stage = Stage("pretrain", model, params, {}, reads, {f"models/{model}": root / "models" / model}, root / "s")
    importlib.import_module(f"penumbra.pretrain.{model}").main(stage)


def learnt(root: Path, room: str) -> None:
    """synthesize: what a baseline trains before it draws, on as many ID images as there are candidates.

    Dream-OOD's outliers are passed over: they compare the images of a class with each other, and grow with its square.
    """
    import torch

    from penumbra.stage import Params, Stage

    sections = baselines().synthesize
    p = next(each for kind in (sections.images, sections.diffusion) for each in kind.values() if each.method == room)
    changes = {"embedding": p.embedding.model_copy(update=ONCE)} if room == "dreamood" else {"epochs": 1}
    draw = importlib.import_module(f"penumbra.synthesize.{room}.draw")
    if room == "dreamood":
        draw.outliers = lambda bank, p, _: (bank[: p.per_class], torch.zeros(p.per_class))
    params = Params({"common": {"seed": 0, "kernels": "portable"}, "synthesize": {"m": p.model_copy(update=changes)}})
    reads = {"images/train": root / "images/ood.parquet", "models/diffusion": root / "models/diffusion"}
    draw.open_blocks(Stage("synthesize", "m", params, {}, reads, {}, root / "s"))


STEPS: dict[str, Callable[[Path], None]] = {
    "filter": filtered,
    "train, bands [all]": lambda root: trained(root, "all"),
    "train, bands [random]": lambda root: trained(root, "random"),
    "train, as many ID images": lambda root: trained(root, "all", "ood", "images/val", 512),  # large batches: a million take minutes
    "infer": inferred,
    "score": scored,
    **{f"pretrain.{model}": partial(pretrained, model=model) for model in PRETRAIN},
    **{f"synthesize, {room}": partial(learnt, room=room) for room in ROOMS},
}


def measured(root: Path, step: str) -> float:
    """Peak memory of a step in a process of its own, MiB."""
    command = [sys.executable, __file__, "--root", str(root), "--step", step]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def child(root: Path, step: str) -> None:
    """Do a step, and print the peak."""
    from penumbra import kernels

    kernels.use("portable")
    STEPS[step](root)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """A CSV of these rows; the first has all columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def main() -> None:
    """Measure the steps, and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=20_000)
    parser.add_argument("--many", type=int, default=60_000)
    parser.add_argument("--side", type=int, default=32, help="pixels of a side")
    parser.add_argument("--label", default="now", help="of the code that is measured; lines of other labels stay")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)  # given: this is a child process
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.root:
        return child(args.root, args.step)
    kept = list(csv.DictReader(args.output.open(encoding="utf-8", newline=""))) if args.output.exists() else []
    rows = [row for row in kept if row["label"] != args.label or row["step"] not in args.steps]
    with tempfile.TemporaryDirectory() as folder:
        counts = (args.few, args.many)
        for count in counts:
            prepare(Path(folder) / str(count), count, args.side)
        for step in args.steps:
            few, many = (measured(Path(folder) / str(count), step) for count in counts)
            each = (many - few) * 2**20 / (args.many - args.few)
            row = {"label": args.label, "step": step, "few": args.few, "many": args.many, "side": args.side}
            row |= {"few_mib": round(few), "many_mib": round(many), "bytes_each": round(each), "pixel_bytes": 3 * args.side**2}
            rows.append(row | {"million_gib": round((few + (MILLION - args.few) * max(each, 0) / 2**20) / 1024, 2)})
            print(rows[-1], flush=True)
            write_table(args.output, rows)


if __name__ == "__main__":
    main()
