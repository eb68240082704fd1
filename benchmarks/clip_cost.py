"""What SynOOD adds to CLIP: `python benchmarks/clip_cost.py` writes clip_cost.csv, parameters and milliseconds for each image.

    python benchmarks/clip_cost.py                                 # a small CLIP of the sizes in params.yaml
    python benchmarks/clip_cost.py --full-size                     # of CLIP ViT-B/16, with as many labels as the paper
    python benchmarks/clip_cost.py --model data/models/clip        # any directory or hub id in transformers' layout

Rows of other networks in the file stay. Images, ID labels and negative labels are random: cost does not depend on them.
Steps are timed in turn and the least of each counts, so that a busy machine does not favour one.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ruamel.yaml import YAML

from penumbra.artifacts.negatives import Negative, TextFeatures
from penumbra.labels import grouped
from penumbra.models.clip import Clip, CLIPConfig, CLIPImageProcessor, CLIPModel
from penumbra.models.clip_detector import ClipDetector
from penumbra.pretrain.captions import build_tokenizer
from penumbra.pretrain.clip import build
from penumbra.runtime import setup
from penumbra.stage import Params

FULL_SIZE = {"classes": 1000, "negatives": 10_000, "tuned": 5_500, "groups": 100, "size": 224, "batch": 8}
SCORED = 1024  # features at a time
SMALL = {"classes": 6, "negatives": 20, "tuned": 20, "groups": 5, "size": 32, "batch": 64}
FIELDS = ["networks", "what", "parameters", "milliseconds"]


def small(p: Params) -> Clip:
    """A CLIP of the sizes in params.yaml, with random weights."""
    return build(p, build_tokenizer(["a photo of a digit", "a photo of a letter"], p.text_length))


def full_size(p: Params) -> Clip:
    """A CLIP of the size of ViT-B/16, with random weights."""
    model = CLIPModel(CLIPConfig(vision_config={"patch_size": 16}))
    return Clip(model, CLIPImageProcessor(), build_tokenizer(["a photo of a digit"], p.text_length))


def detectors(clip: Clip, classes: int, negatives: int, groups: int) -> tuple[ClipDetector, ClipDetector]:
    """Zero-shot and SynOOD's, with the same random labels."""
    draws = torch.Generator().manual_seed(0)
    inside, outside = (torch.randn(count, clip.projection_dim, generator=draws) for count in (classes, negatives))
    words = [Negative(f"word {row}", f"the nice word {row}", "noun", 0.0) for row in range(negatives)]
    labels = TextFeatures(inside, inside, outside, clip.logit_scale, [f"class {row}" for row in range(classes)], words)
    order = grouped(negatives, groups, draws)
    made = (
        ClipDetector.zero_shot(labels, order, temperature=None, mcm_temperature=1.0, project=project, residual=True)
        for project in (False, True)
    )
    return tuple(detector.eval().requires_grad_(False).to(clip.device) for detector in made)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of one run: of the processor on a CPU, on which others may work too; by the clock on a GPU."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def count(module: torch.nn.Module) -> int:
    """Its parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.inference_mode()
def measure(clip: Clip, args: argparse.Namespace, device: torch.device) -> list[dict]:
    """Rows of FIELDS."""
    zero_shot, synood = detectors(clip, args.classes, args.negatives, args.groups)
    images = torch.rand(args.batch, 3, args.size, args.size, device=device)
    features = clip.embed_images(images).repeat(-(-SCORED // args.batch), 1)
    steps = {
        "encode": lambda: clip.embed_images(images),
        "zero_shot": lambda: zero_shot(features),
        "synood": lambda: synood(features),
    }
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(args.rounds + 1):  # the first warms up
        for name, step in steps.items():
            least[name] = min(least[name], 1000 * seconds(step, device) / (args.batch if name == "encode" else len(features)))
    labels = f"{args.classes} ID and {args.negatives} negative labels"
    values = [
        ("CLIP: both encoders; forward pass of an image", count(clip.model), least["encode"]),
        (f"MCM and NegLabel scores of its features ({labels})", 0, least["zero_shot"]),
        ("the same behind SynOOD's layer", count(synood.delta), least["synood"]),
        (f"SynOOD's tuned negative labels (at most {args.tuned})", args.tuned * clip.projection_dim, None),
    ]
    return [
        dict(zip(FIELDS, (args.networks, what, number, "" if each is None else f"{each:.4g}"), strict=True))
        for what, number, each in values
    ]


def main() -> None:
    """Measure on one CPU core, or on a GPU if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a directory or a hub id; else a small CLIP")
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--negatives", type=int)
    parser.add_argument("--tuned", type=int, help="negative labels that are tuned")
    parser.add_argument("--groups", type=int)
    parser.add_argument("--batch", type=int, help="images in a forward pass")
    parser.add_argument("--size", type=int, help="pixels of an image, before the model's own preprocessing")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()
    for name, default in (FULL_SIZE if args.full_size else SMALL).items():
        setattr(args, name, default if getattr(args, name) is None else getattr(args, name))
    args.networks = args.model or ("ViT-B/16" if args.full_size else "small")
    device = setup()
    p = Params(YAML(typ="safe").load(Path(__file__).parent.parent / "params.yaml"))
    torch.manual_seed(0)
    clip = Clip.load(args.model, device) if args.model else (full_size if args.full_size else small)(p.pretrain.clip).to(device)
    old = list(csv.DictReader(args.output.open())) if args.output.exists() else []
    rows = measure(clip, args, device)
    with args.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([row for row in old if row["networks"] != args.networks] + rows)


if __name__ == "__main__":
    main()
