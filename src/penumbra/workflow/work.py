"""How much a stage has to do, in a unit of its own kind: images, times passes, times what a network computes for one of them.

Two experiments are compared by it, so factors that are the same in both do not matter: a backward pass, the bands of a filter. What a
network computes is counted in millions of multiplications; what is imported instead of trained counts as nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penumbra.values import presets
from penumbra.workflow.contract import Entry

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


def resnet(p: Any, size: int) -> float:
    """Of one of our ResNets, or of another classifier, for an image of that many pixels a side."""
    if p.architecture not in BLOCKS:
        return OTHER
    side = size / p.stem_stride / (2 if p.stem_pool else 1)
    block = 18 if BLOCKS[p.architecture] < 16 or p.architecture == "resnet34" else 17
    return (BLOCKS[p.architecture] * block * (p.width * side) ** 2 + 3 * p.width * (p.stem_kernel * size / p.stem_stride) ** 2) / 1e6


def transformer(width: int, depth: int, tokens: int) -> float:
    """Of a transformer."""
    return depth * (12 * width**2 * tokens + 2 * width * tokens**2) / 1e6


def pyramid(channels: list[int], side: float, layers: int) -> float:
    """Of convolutions on halved sides, down and up again."""
    return sum(36 * layers * (count * side / 2**level) ** 2 for level, count in enumerate(channels)) / 1e6


class Work:
    """The work of each stage of an experiment."""

    def __init__(self, experiment: Any, its: Images):
        self.e, self.n = experiment, its
        self.size = experiment.common.image_size
        self.model = {
            kind: preset for kind in type(experiment.pretrain).model_fields for _, preset in presets(experiment, "pretrain", kind)
        }

    def of(self, entry: Entry) -> float:
        """Of a stage; of one that only writes down what it is told, none."""
        named: Callable[[str | None], float] | None = getattr(self, f"{entry.step}_{entry.kind}" if entry.kind else entry.step, None)
        return named(entry.item) if named else 0.0

    @property
    def learnt(self) -> int:
        """Images that frozen models learn from."""
        return self.n.train + self.n.world

    def encoder(self) -> float:
        """Of the encoder for an image."""
        p = self.model["encoder"]
        return transformer(p.width, p.depth, (p.image_size // p.patch_size) ** 2)

    def mage(self) -> float:
        """Of MAGE, encoder and decoder."""
        p = self.model["mage"]
        tokens = (p.image_size // p.patch_size) ** 2
        return transformer(p.width, p.depth, tokens) + transformer(p.decoder_width, p.decoder_depth, tokens)

    def vae(self) -> float:
        """Of the autoencoder, both ways."""
        p = self.model["diffusion"]
        return pyramid(p.vae_channels, NATIVE if p.pipeline else self.size, 1)

    def unet(self) -> float:
        """Of one step of the UNet."""
        p = self.model["diffusion"]
        return pyramid(p.unet_channels, (NATIVE if p.pipeline else self.size) / 2 ** (len(p.vae_channels) - 1), p.unet_layers)

    def clip(self) -> float:
        """Of CLIP's image tower."""
        p = self.model["clip"]
        return transformer(p.width, p.layers, (p.image_size // p.patch_size) ** 2)

    def prepare(self, item: str | None) -> float:
        return (self.n.scored + self.n.world + self.n.clip_world) * self.size**2 / 1e6

    def pretrain_encoder(self, item: str | None) -> float:
        p = self.model["encoder"]
        return 0.0 if p.checkpoint else self.learnt * p.epochs * self.encoder()

    def pretrain_rdm(self, item: str | None) -> float:
        p = self.model["rdm"]
        return 0.0 if p.checkpoint else self.learnt * p.epochs * p.depth * p.width**2 / 1e6

    def pretrain_mage(self, item: str | None) -> float:
        p = self.model["mage"]
        channels = [p.vqgan_width * factor for factor in p.vqgan_multipliers]
        tokenizer = 0 if p.vqgan_checkpoint else p.vqgan_epochs * pyramid(channels, p.image_size, 2)
        return 0.0 if p.checkpoint else self.learnt * (p.epochs * self.mage() + tokenizer)

    def pretrain_classifier(self, item: str | None) -> float:
        p = self.model["classifier"]
        return 0.0 if p.checkpoint else self.n.train * p.epochs * resnet(p, self.size)

    def pretrain_diffusion(self, item: str | None) -> float:
        p = self.model["diffusion"]
        return 0.0 if p.pipeline else self.learnt * (p.epochs * self.unet() + p.vae_epochs * self.vae())

    def pretrain_inpainting(self, item: str | None) -> float:
        p = self.model["inpainting"]
        return 0.0 if p.pipeline else self.learnt * p.epochs * self.unet()

    def pretrain_clip(self, item: str | None) -> float:
        p = self.model["clip"]
        texts = transformer(p.text_width, p.text_layers, p.text_length)
        return 0.0 if p.model else (self.learnt + self.n.clip_world) * p.epochs * (self.clip() + texts)

    def extract_encoder(self, item: str | None) -> float:
        return self.n.train * self.encoder()

    def extract_classifier(self, item: str | None) -> float:
        return self.n.train * resnet(self.model["classifier"], self.size)

    def extract_clip(self, item: str | None) -> float:
        return self.n.scored * self.clip()

    def extract_candidates(self, item: str | None) -> float:
        return sum(map(self.candidates, self.e.methods)) * self.clip()

    def extract_contexts(self, item: str | None) -> float:
        p = next(iter(self.e.extract.contexts.values()))
        return 0.0 if p.captioner == "file" else min(self.n.train, (p.per_class or self.n.train) * self.n.classes) * self.clip()

    def extract_negatives(self, item: str | None) -> float:
        return float(self.n.world + self.n.clip_world)

    def candidates(self, item: str) -> int:
        """How many candidates a method makes."""
        p = self.e.methods[item]
        edited = sum(self.n.train if split == "train" else self.n.test for split in getattr(p, "splits", ()))
        if p.method == "badood":
            return self.n.train * p.per_image
        if p.method == "good":
            pairs = [len(g.rho) * len(g.mu) if g.grid else len(g.rho) for g in p.guidances.values()]
            return sum(count * g.per_class * self.n.classes for count, g in zip(pairs, p.guidances.values(), strict=True))
        if p.method == "synood":
            return min(edited, (p.per_class or edited) * self.n.classes)
        return edited or self.n.train

    def synthesize_badood(self, item: str) -> float:
        p, rdm = self.e.synthesize.badood[item], self.model["rdm"]
        steps = (p.t / p.stride) * (1 + 2 * p.draws / p.every * (p.guidance == "minority"))
        return self.candidates(item) * (steps * rdm.depth * rdm.width**2 / 1e6 + 2 * p.decode_steps * self.mage())

    def synthesize_good(self, item: str) -> float:
        p = self.e.synthesize.good[item]
        guided = 3 * self.unet() + p.iterations * p.draws * 3 * (self.vae() + resnet(self.model["classifier"], p.classifier_size))
        return self.candidates(item) * p.steps * p.recurrences * guided

    def synthesize_sona(self, item: str) -> float:
        p = self.e.synthesize.sona[item]
        return self.candidates(item) * (sum(p.stop) / 2 * 2 * self.unet() * (1 + p.remove + p.keep + p.add) + self.vae())

    def synthesize_synood(self, item: str) -> float:
        return self._painted(item, self.e.synthesize.synood[item])

    def synthesize_negatives(self, item: str) -> float:
        return self._painted(item, self.e.synthesize.negatives[item])

    def _painted(self, item: str, p: Any) -> float:
        step = 2 * self.unet() + p.iterations * 3 * (self.unet() + self.vae() + resnet(self.model["classifier"], p.classifier_size))
        return self.candidates(item) * max(int(p.steps * p.strength), 1) * step

    def synthesize_control(self, item: str) -> float:
        p = self.e.synthesize.control[item]
        return sum(self.n.train if split == "train" else self.n.test for split in p.splits) * self.vae()

    def train(self, item: str) -> float:
        detector = self.e.train.detectors[item]
        p, seeds = self.e.recipes[detector.recipe], len(self.e.train.seeds)
        if p.detector == "clip":
            return float(seeds * self.n.train * (p.project * p.project_epochs + p.tune * p.tune_epochs) / p.batch_size)
        outliers = 0.0 if detector.method == "none" else getattr(p, "outliers_per_id", 1.0)
        return seeds * p.epochs * self.n.train * (1 + outliers) * resnet(p, self.size)

    def calibrate(self, item: str) -> float:
        return (self.n.val + self.n.calibration) * self._asked(item)

    def filter(self, item: str) -> float:
        return self.candidates(item) * self._asked(self.e.filter[item].judge)

    def infer(self, item: str) -> float:
        return self.n.scored * self._asked(item)

    def score(self, item: str) -> float:
        return float(self.n.scored * len(self.e.train.seeds)) if item in self.e.train.detectors else 0.0

    def score_control(self, item: str) -> float:
        return float(self.n.test * len(self.e.train.seeds) * len(self.e.train.detectors))

    def _asked(self, item: str) -> float:
        """Of the networks of a detector for an image."""
        p = self.e.recipes[self.e.train.detectors[item].recipe]
        return len(self.e.train.seeds) * (1.0 if p.detector == "clip" else resnet(p, self.size))

    def benchmark(self, item: str | None) -> float:
        return float(len(self.e.train.detectors) * len(self.e.train.seeds) * self.n.scored)

    def report(self, item: str | None) -> float:
        return float(len(self.e.train.detectors))
