"""How much a stage has to do: images, times passes, times what a network computes for one of them.

Each step says it of its stages (`STEP/work.py`), and a method's room of the method (`synthesize/NAME/work.py`), in units whose seconds
were measured (benchmarks/throughput.csv). Two experiments are compared by it, so factors that are the same in both do not matter: a
backward pass, the bands of a filter. What a network computes is counted in millions of multiplications; what is imported instead of
trained counts as nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import penumbra
from penumbra.registry import load, names, rooms
from penumbra.synthesize import work as synthesize
from penumbra.values import presets
from penumbra.workflow import outside
from penumbra.workflow.contract import Entry

Units = dict[str, float]  # how much of what was measured: by a kind of throughput.csv
BLOCKS = {"resnet18": 8, "resnet34": 16, "resnet50": 16, "resnet101": 33}
OTHER = 400.0  # millions of multiplications for an image, of a classifier of another library
NATIVE = 512  # pixels at which published pipelines draw


@dataclass(frozen=True)
class Images:
    """Numbers of images in the files of data/images, and of ID classes."""

    train: int
    val: int
    test: int
    calibration: int
    world: int
    clip_world: int
    ood: int
    shifted: int
    classes: int

    @property
    def scored(self) -> int:
        """Images that a detector is asked about."""
        return self.train + self.val + self.test + self.calibration + self.ood + self.shifted


def images(experiment: Any) -> Images:
    """The images of an experiment, from what its sources list; none is opened.

    Raises:
        PenumbraError: a source is missing or too small.
    """
    from penumbra.prepare.classes import plan_id
    from penumbra.prepare.ingest import Intake

    prepare = experiment.prepare
    intake = Intake(experiment.common.image_size, experiment.common.seed, prepare.quarantine_limit)
    plan = plan_id(intake, prepare.id)
    sizes = {split: len(source_ids) for split, source_ids in plan.splits.items()}

    def drawn(group: str, specs: dict[str, Any]) -> int:
        skip = "train" if group in ("near", "far", "shift.sets") else "test"
        counts = [len(intake.members(spec, f"{group}.{name}", skip)) for name, spec in specs.items()]
        return sum(min(count, spec.limit or count) for count, spec in zip(counts, specs.values(), strict=True))

    files = {group: drawn(group, prepare[group]) for group in ("calibration", "world", "clip_world")}
    copies = min(sizes["test"], prepare.shift.limit or sizes["test"]) * prepare.shift.strengths * len(prepare.shift.kinds)
    return Images(
        **sizes,
        **files,
        ood=drawn("near", prepare.near) + drawn("far", prepare.far),
        shifted=copies + drawn("shift.sets", prepare.shift.sets),
        classes=len(plan.classes),
    )


class Work:
    """The work of each stage of an experiment, and what steps and rooms need to say theirs.

    Attributes:
        e: the experiment.
        n: numbers of its images.
        size: pixels of a side of them.
        model: the preset of each frozen model, by kind.
    """

    def __init__(self, experiment: Any, its: Images):
        self.e, self.n = experiment, its
        self.size = experiment.common.image_size
        self.model = {
            kind: preset for kind in type(experiment.pretrain).model_fields for _, preset in presets(experiment, "pretrain", kind)
        }

    def of(self, entry: Entry) -> Units:
        """Of a stage; nothing where neither its step nor its room says anything."""
        said = entry.step in rooms(penumbra) and "work" in names(load(penumbra, entry.step))
        return load(penumbra, entry.step, "work").units(self, entry) if said else {}

    def candidates(self, method: str) -> int:
        """How many candidates a method makes."""
        return synthesize.candidates(self.e.methods[method], self)

    def edited(self, splits: Sequence[str]) -> int:
        """ID images of some splits."""
        return sum(getattr(self.n, split) for split in splits)

    def pixels(self, images: int) -> float:
        """Millions of them, in so many images."""
        return images * self.size**2 / 1e6

    @staticmethod
    def files(path: str) -> int:
        """How many lie in a folder."""
        return len(list(outside.files(outside.Named(path))))

    @property
    def learnt(self) -> int:
        """Images that frozen models learn from."""
        return self.n.train + self.n.world

    def networks(self, detector: str) -> float:
        """Of the networks of a detector for an image; a CLIP detector computes next to nothing of features."""
        p = self.e.recipes[self.e.train.detectors[detector].recipe]
        if p.learns_from == "representations":
            return len(self.e.train.seeds) * self.encoder()
        return len(self.e.train.seeds) * (1.0 if p.detector == "clip" else self.classifier(p))

    def classifier(self, p: Any, size: int | None = None) -> float:
        """Of one of our ResNets, or of another classifier, for an image of that many pixels a side (None: the experiment's)."""
        if p.architecture not in BLOCKS:
            return OTHER
        size = size or self.size
        side = size / p.stem_stride / (2 if p.stem_pool else 1)
        block = 18 if BLOCKS[p.architecture] < 16 or p.architecture == "resnet34" else 17
        return (BLOCKS[p.architecture] * block * (p.width * side) ** 2 + 3 * p.width * (p.stem_kernel * size / p.stem_stride) ** 2) / 1e6

    @staticmethod
    def transformer(width: int, depth: int, tokens: int) -> float:
        """Of a transformer."""
        return depth * (12 * width**2 * tokens + 2 * width * tokens**2) / 1e6

    @staticmethod
    def pyramid(channels: Sequence[int], side: float, layers: int) -> float:
        """Of convolutions on halved sides, down and up again."""
        return sum(36 * layers * (count * side / 2**level) ** 2 for level, count in enumerate(channels)) / 1e6

    def encoder(self) -> float:
        """Of the encoder for an image."""
        p = self.model["encoder"]
        return self.transformer(p.width, p.depth, (p.image_size // p.patch_size) ** 2)

    def mage(self) -> float:
        """Of MAGE, encoder and decoder."""
        p = self.model["mage"]
        tokens = (p.image_size // p.patch_size) ** 2
        return self.transformer(p.width, p.depth, tokens) + self.transformer(p.decoder_width, p.decoder_depth, tokens)

    def vae(self) -> float:
        """Of the autoencoder, both ways."""
        p = self.model["diffusion"]
        return self.pyramid(p.vae_channels, NATIVE if p.pipeline else self.size, 1)

    def unet(self) -> float:
        """Of one step of the UNet."""
        p = self.model["diffusion"]
        return self.pyramid(p.unet_channels, self.latents(), p.unet_layers)

    def latents(self) -> float:
        """Side of the latents of an image."""
        p = self.model["diffusion"]
        return (NATIVE if p.pipeline else self.size) / 2 ** (len(p.vae_channels) - 1)

    def decoder(self, kind: str) -> float:
        """Of one step of a decoder of representations."""
        p, side = self.model[kind], self.latents()
        if kind == "ldm":
            return self.pyramid(p.channels, side, p.layers)
        return self.transformer(p.width, p.depth, int(side / p.patch_size) ** 2)

    def clip(self) -> float:
        """Of CLIP's image tower."""
        p = self.model["clip"]
        return self.transformer(p.width, p.layers, (p.image_size // p.patch_size) ** 2)
