"""Write benchmarks/budgets.csv: what half, all and twice its budget give each network that is pretrained. No test image chooses.

    python benchmarks/budgets.py             # after a run, whose images and models it reads; what is there is kept
    python benchmarks/budgets.py mage unet   # of these networks alone
    python benchmarks/budgets.py --summary   # the table alone

A row a network, a budget and a measure: epochs (as params.yaml has them), steps of the optimiser that these are here, the measure on ID
validation images, and CPU seconds of the training. Networks are trained in .penumbra/budgets with the machine's own kernels, two at a time;
what they build on is data/models, as the run has left it. Under a cosine each budget is a training of its own; at a constant rate the
shorter ones are the beginning of the longest.

class_kept is the share of images that data/models/classifier takes for their class after a round trip: through the code book (vqgan), or
from the representation to MAGE's picture (mage), as synthesize decodes it. test_class_kept is that of ID test images, for what is chosen.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("budgets.csv")
SCRATCH = Path(".penumbra/budgets")
BUDGETS = {"chosen": 1.0, "twice": 2.0, "half": 0.5}
JOBS = 2


@dataclass(frozen=True)
class Network:
    """A network of pretrain.

    Attributes:
        kind: of pretrain, whose stage trains it.
        measures: columns of its history that speak of ID validation images.
        key: of params.yaml that holds its epochs.
        model: its name in a history of several networks.
        rest: values of what the stage trains beside it, and nobody looks at.
        constant: the rate does not fall, so one training passes through all budgets.
        lowest: the stage keeps the weights of the lowest measure, not the last.
    """

    kind: str
    measures: tuple[str, ...]
    key: str = "epochs"
    model: str | None = None
    rest: Mapping[str, int] = field(default_factory=dict)
    constant: bool = False
    lowest: bool = False


ALONE = {"epochs": 1, "warmup_epochs": 1}
NETWORKS = {
    "mage": Network("mage", ("val_perplexity",), model="mage"),
    "unet": Network("diffusion", ("val_loss",), model="unet", constant=True, lowest=True),
    "clip": Network("clip", ("val_accuracy", "val_loss")),
    "encoder": Network("encoder", ("val_knn_accuracy",)),
    "vqgan": Network("mage", ("val_error",), "vqgan_epochs", "vqgan", ALONE),
    "rdm": Network("rdm", ("val_loss",), constant=True),
    "inpainting": Network("inpainting", ("val_loss",)),
    "vae": Network("diffusion", ("val_error",), "vae_epochs", "vae", ALONE),
    "classifier": Network("classifier", ("val_accuracy",)),
}


def rows_of(name: str, history: pd.DataFrame, epochs: Mapping[str, int]) -> Iterator[dict]:
    """The rows of a training, one for each of its budgets and each measure of its history.

    Args:
        name: of the network.
        history: its history.csv, with the cpu_seconds that each row has taken.
        epochs: of each budget that the training has passed through.
    """
    network = NETWORKS[name]
    own = history if network.model is None else history[history.model == network.model]
    for budget, count in epochs.items():
        passed = own[own.epoch <= count]
        spent = {"cpu_seconds": round(passed.cpu_seconds.sum())}
        for measure in network.measures:
            found = passed[measure].dropna()
            value = found.min() if network.lowest else found.iloc[-1]
            key = {"network": name, "budget": budget, "epochs": count, "steps": int(passed.steps.iloc[-1])}
            yield key | {"measure": measure, "value": round(float(value), 5)} | spent


def trainings() -> Iterator[tuple[str, dict[str, int]]]:
    """What is trained: a network, and the epochs of the budgets that the training passes through."""
    from penumbra.workflow import contract

    presets = contract.load().experiment.pretrain
    for name, network in NETWORKS.items():
        (preset,) = presets[network.kind].values()
        epochs = {budget: max(int(factor * preset[network.key]), 1) for budget, factor in BUDGETS.items()}
        yield from [(name, epochs)] if network.constant else [(name, {budget: count}) for budget, count in epochs.items()]


def complete(names: Collection[str]) -> None:
    """Train what is missing of these networks."""
    done = set(pd.read_csv(FILE)[["network", "budget", "epochs"]].itertuples(index=False, name=None)) if FILE.exists() else set()
    left = [(name, epochs) for name, epochs in trainings() if name in names and not {(name, *item) for item in epochs.items()} <= done]
    with ThreadPoolExecutor(JOBS) as pool:
        for training in as_completed([pool.submit(apart, *each) for each in left]):
            append(training.result())


def apart(name: str, epochs: Mapping[str, int]) -> list[dict]:
    """The rows of a training in a process of its own."""
    command = [sys.executable, __file__, "--train", name, json.dumps(epochs)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(found.splitlines()[-1])


def train(name: str, epochs: Mapping[str, int]) -> list[dict]:
    """Train a network for the longest of some budgets, by the program of its stage; its rows."""
    from penumbra.training import History
    from penumbra.workflow import contract

    network, found = NETWORKS[name], contract.load()
    entry = found.of("pretrain", network.kind)
    stage, folder = found.stage(entry), SCRATCH / f"{name}-{max(epochs.values())}"
    preset = stage.params.pretrain[network.kind].model_copy(update={**network.rest, network.key: max(epochs.values())})
    writes = {key: folder / network.kind for key in stage.writes}
    params = stage.params.beside(pretrain={network.kind: preset})
    program = import_module(found.program(entry))
    measure_seconds(History)
    program.main(replace(stage, params=params, writes=writes, scratch_root=folder / "scratch"))
    rows = list(rows_of(name, pd.read_csv(folder / network.kind / "history.csv"), epochs))
    if network.kind == "mage":
        rows += [rows[0] | kept for kept in class_kept(folder / network.kind, name, "chosen" in epochs)]
    return rows


def measure_seconds(history: type) -> None:
    """Have each row of a History say what CPU seconds have passed since the one before: those of a resumed training add up, too."""
    add, seen = history.add, [time.process_time()]

    def timed(self, **row) -> None:
        now = time.process_time()
        add(self, **row, cpu_seconds=now - seen[0])
        seen[0] = now

    history.add = timed


def class_kept(folder: Path, name: str, chosen: bool) -> Iterator[dict]:
    """Rows of images that keep their class on their way through the code book (vqgan) or through MAGE.

    Args:
        folder: of a trained MAGE.
        name: of the network.
        chosen: whether its budget is the chosen one; of others ID test images say nothing.
    """
    import torch

    from penumbra.artifacts.images import read_pixels, read_table
    from penumbra.models.classifiers.load import load

    through, judge = round_trip(folder, name), load(Path("data/models/classifier"))
    for split, measure in {"val": "class_kept", **({"test": "test_class_kept"} if chosen else {})}.items():
        path = Path(f"data/images/{split}.parquet")
        table = read_table(path, ["sample_id", "label"]).to_pydict()
        images = torch.from_numpy(read_pixels(path)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            parts = zip(images.split(256), torch.arange(len(images)).split(256), strict=True)
            made = torch.cat([through(part, [table["sample_id"][row] for row in rows]) for part, rows in parts])
            predicted = judge(made.permute(0, 3, 1, 2).float() / 255).argmax(1)
        yield {"measure": measure, "value": round((predicted == torch.tensor(table["label"])).double().mean().item(), 5)}


def round_trip(folder: Path, name: str):
    """A function of images [B, 3, S, S] in [0, 1] and their ids: uint8 [B, S, S, 3], what code book or MAGE makes of them.

    Args:
        folder: of a trained MAGE.
        name: vqgan | mage.
    """
    import torch
    from torch.nn.functional import interpolate

    from penumbra.models.mage import MAGE
    from penumbra.models.moco import MoCoEncoder
    from penumbra.synthesize.badood.draw import Streams, draw_images
    from penumbra.synthesize.tone import toned
    from penumbra.workflow import contract

    experiment = contract.load().experiment
    common, decoding = experiment.common, experiment.synthesize.badood["badood"]
    mage, encoder = MAGE.from_pretrained(folder), MoCoEncoder.from_pretrained("data/models/encoder")
    size = (mage.config["image_size"],) * 2

    def by_codes(images, ids):
        small = interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
        large = interpolate(mage.vqgan.decode(mage.vqgan.tokenize(small)), images.shape[2:], mode="bicubic", antialias=True)
        return (large.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)

    def by_mage(images, ids):
        noise = Streams(common.seed, [f"{sample}-0" for sample in ids]).of("decode")
        return draw_images(mage, encoder.represent(images), noise, common.image_size, decoding)

    drawn = {"vqgan": by_codes, "mage": by_mage}[name]
    return lambda images, ids: torch.from_numpy(toned(drawn(images, ids).numpy(), common.grey))


def append(rows: list[dict]) -> None:
    new = not FILE.exists()
    with FILE.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(*row.values(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; all if none is named")
    parser.add_argument("--summary", action="store_true", help="print the table")
    parser.add_argument("--train", nargs=2, metavar=("NETWORK", "EPOCHS"), help=argparse.SUPPRESS)  # of this script's own processes
    options = parser.parse_args()
    if options.train:
        return print(json.dumps(train(options.train[0], json.loads(options.train[1]))))
    if not options.summary:
        complete(options.networks or NETWORKS)
    print(pd.read_csv(FILE).to_string(index=False))


if __name__ == "__main__":
    main()
