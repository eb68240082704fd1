"""What the parameters must satisfy together; each rule yields (key, what is allowed)."""

from collections.abc import Iterator
from itertools import combinations

from penumbra.schema import BadOod, ClipRecipe, Experiment, Good, ImageSource, Recipe, Sona, SynOod

ON_DISK = ("folder", "imglist", "cifar10", "cifar100")
GROUPS = 32  # of the VQGAN's GroupNorm; fewer where a group would hold less than four channels

Fault = tuple[str, str]


def faults(experiment: Experiment) -> Iterator[Fault]:
    """Every impossible combination of parameters, as (dotted key, what is allowed)."""
    for rule in RULES:
        yield from rule(experiment)


def _sections(experiment: Experiment) -> dict[str, ImageSource]:
    prepare = experiment.prepare
    groups = {"near": prepare.near, "far": prepare.far, "calibration": prepare.calibration, "world": prepare.world}
    return {"id": prepare.id} | {f"{group}.{name}": source for group, sources in groups.items() for name, source in sources.items()}


def _sources(experiment: Experiment) -> Iterator[Fault]:
    prepare = experiment.prepare
    for key, source in _sections(experiment).items():
        if source.source in ON_DISK and source.path is None:
            yield f"prepare.{key}.path", f"must be where the images of source {source.source} lie"
    if prepare.id.classes is not None and len(prepare.id.classes) < 2:
        yield "prepare.id.classes", "must name two classes at least"
    if prepare.id.val_share + prepare.id.test_share >= 1:
        yield "prepare.id.test_share", f"must be below {1 - prepare.id.val_share:g}: with val_share it leaves nothing to train on"
    for name in prepare.near.keys() & prepare.far.keys():
        yield f"prepare.far.{name}", "must have another name than the near test set"


def _disjoint(experiment: Experiment) -> Iterator[Fault]:
    """Two test sets may share classes of a source; every other pair of sections may not."""
    for (first, one), (second, other) in combinations(_sections(experiment).items(), 2):
        tests = {first.split(".")[0], second.split(".")[0]} <= {"near", "far"}
        unset = one.source in ON_DISK and one.path is None
        if tests or unset or (one.source, one.path) != (other.source, other.path):
            continue
        if one.classes is None or other.classes is None or set(one.classes) & set(other.classes):
            yield f"prepare.{second}.classes", f"must have no class of source {one.source} in common with prepare.{first}"


def _divides(divisor_key: str, divisor: int, key: str, value: int) -> Iterator[Fault]:
    if value % divisor:
        yield key, f"must be a multiple of {divisor} ({divisor_key})"


def _encoder(experiment: Experiment) -> Iterator[Fault]:
    encoder = experiment.pretrain.encoder
    yield from _divides("pretrain.encoder.heads", encoder.heads, "pretrain.encoder.width", encoder.width)
    yield from _divides("sine and cosine of rows and columns", 4, "pretrain.encoder.width", encoder.width)
    yield from _divides("pretrain.encoder.patch_size", encoder.patch_size, "pretrain.encoder.image_size", encoder.image_size)


def _rdm(experiment: Experiment) -> Iterator[Fault]:
    rdm = experiment.pretrain.rdm
    yield from _divides("sine and cosine of the time step", 2, "pretrain.rdm.width", rdm.width)
    if rdm.beta_start >= rdm.beta_end:
        yield "pretrain.rdm.beta_end", f"must be above {rdm.beta_start:g} (pretrain.rdm.beta_start)"


def _mage(experiment: Experiment) -> Iterator[Fault]:
    mage = experiment.pretrain.mage
    yield from _divides("pretrain.mage.heads", mage.heads, "pretrain.mage.width", mage.width)
    yield from _divides("pretrain.mage.decoder_heads", mage.decoder_heads, "pretrain.mage.decoder_width", mage.decoder_width)
    factor = 2 ** (len(mage.vqgan_multipliers) - 1)
    yield from _divides("halvings by pretrain.mage.vqgan_multipliers", factor, "pretrain.mage.image_size", mage.image_size)
    channels = [mage.vqgan_width * multiplier for multiplier in mage.vqgan_multipliers]
    if any(count % min(GROUPS, max(count // 4, 1)) or count < 4 for count in channels):
        yield "pretrain.mage.vqgan_width", f"must give every level of vqgan_multipliers a multiple of 4 channels, from 128 on of {GROUPS}"


def _epochs(experiment: Experiment) -> Iterator[Fault]:
    recipes = {f"train.recipes.{name}": recipe for name, recipe in experiment.train.recipes.items() if isinstance(recipe, Recipe)}
    models = ("encoder", "mage", "classifier", "diffusion", "clip", "inpainting")
    loops = {f"pretrain.{name}": getattr(experiment.pretrain, name) for name in models} | recipes
    for key, loop in loops.items():
        if loop.warmup_epochs > loop.epochs:
            yield f"{key}.warmup_epochs", f"must be in 0..{loop.epochs} ({key}.epochs)"
    for key, recipe in recipes.items():
        if recipe.crop_padding >= experiment.common.image_size:
            yield f"{key}.crop_padding", f"must be below {experiment.common.image_size} (common.image_size)"


def _badood(experiment: Experiment) -> Iterator[Fault]:
    last = experiment.pretrain.rdm.timesteps - 1
    for name, method in experiment.synthesize.items():
        if not isinstance(method, BadOod):
            continue
        for key, value in (("t", method.t), ("s", method.s)):
            if value > last:
                yield f"synthesize.{name}.{key}", f"must be in {1 if key == 't' else 0}..{last}"
        if method.stride > method.t:
            yield f"synthesize.{name}.stride", f"must be in 1..{method.t} (synthesize.{name}.t)"


def _diffusion(experiment: Experiment) -> Iterator[Fault]:
    diffusion, size = experiment.pretrain.diffusion, experiment.common.image_size
    if diffusion.pipeline is not None:
        return
    yield from _divides("pretrain.diffusion.text_heads", diffusion.text_heads, "pretrain.diffusion.text_width", diffusion.text_width)
    for channels in diffusion.unet_channels:
        yield from _divides("pretrain.diffusion.unet_head_width", diffusion.unet_head_width, "pretrain.diffusion.unet_channels", channels)
    if len(diffusion.unet_attention) != len(diffusion.unet_channels):
        yield "pretrain.diffusion.unet_attention", f"must have {len(diffusion.unet_channels)} values, one for each of unet_channels"
    halvings = len(diffusion.vae_channels) + len(diffusion.unet_channels) - 2
    yield from _divides("halvings by vae_channels and unet_channels of pretrain.diffusion", 2**halvings, "common.image_size", size)
    if diffusion.beta_start >= diffusion.beta_end:
        yield "pretrain.diffusion.beta_end", f"must be above {diffusion.beta_start:g} (pretrain.diffusion.beta_start)"


def _clip(experiment: Experiment) -> Iterator[Fault]:
    clip = experiment.pretrain.clip
    if clip.model is not None:
        return
    yield from _divides("pretrain.clip.heads", clip.heads, "pretrain.clip.width", clip.width)
    yield from _divides("pretrain.clip.text_heads", clip.text_heads, "pretrain.clip.text_width", clip.text_width)
    yield from _divides("pretrain.clip.patch_size", clip.patch_size, "pretrain.clip.image_size", clip.image_size)
    if clip.crop_padding >= clip.image_size:
        yield "pretrain.clip.crop_padding", f"must be below {clip.image_size} (pretrain.clip.image_size)"


def _extract(experiment: Experiment) -> Iterator[Fault]:
    contexts, negatives = experiment.extract.contexts, experiment.extract.negatives
    if (contexts.captioner == "llava") != (contexts.model is not None):
        yield "extract.contexts.model", "must name a LLaVA model where captioner is llava, and be null elsewhere"
    if (contexts.captioner == "file") != (contexts.path is not None):
        yield "extract.contexts.path", "must name a table where captioner is file, and be null elsewhere"
    if (negatives.vocabulary == "world") != (negatives.path is None):
        yield "extract.negatives.path", "must name where the words lie, and be null where vocabulary is world"


def _good(experiment: Experiment) -> Iterator[Fault]:
    for name, method in experiment.synthesize.items():
        for guidance, strengths in method.guidances.items() if isinstance(method, Good) else ():
            key = f"synthesize.{name}.guidances.{guidance}"
            if not strengths.grid and len(strengths.rho) != len(strengths.mu):
                yield f"{key}.mu", f"must have {len(strengths.rho)} values, one for each of rho, where grid is false"
            if strengths.energy == strengths.knn == 0 and any(strengths.rho + strengths.mu):
                yield f"{key}.energy", "must be above 0, or knn must: there is nothing to guide by"


def _sona(experiment: Experiment) -> Iterator[Fault]:
    for name, method in experiment.synthesize.items():
        if not isinstance(method, Sona):
            continue
        if method.stop[1] > method.steps:
            yield f"synthesize.{name}.stop", f"must lie in 0..{method.steps} (synthesize.{name}.steps)"
        if (method.words == "file") != (method.word_file is not None):
            yield f"synthesize.{name}.word_file", "must name a file where words is file, and be null elsewhere"
        if method.share > 0.5:
            yield f"synthesize.{name}.share", "must be at most 0.5: the semantic and the nuisance mask would overlap"


def _synood(experiment: Experiment) -> Iterator[Fault]:
    for name, method in experiment.synthesize.items():
        if isinstance(method, SynOod) and method.iterations and int(method.steps * method.strength) < 1:
            yield f"synthesize.{name}.strength", f"must leave one of {method.steps} steps (synthesize.{name}.steps) at least"
        if isinstance(method, SynOod) and method.iterations and method.prompts == "contexts":
            labelled = experiment.extract.contexts.per_class
            if labelled is not None and (method.per_class is None or method.per_class > labelled):
                yield f"synthesize.{name}.per_class", f"must not exceed {labelled} (extract.contexts.per_class): others have no labels"
            if method.splits != ["train"]:
                yield f"synthesize.{name}.splits", "must be [train] where prompts is contexts: no other images have labels"


def _detectors(experiment: Experiment) -> Iterator[Fault]:
    """A detector is METHOD-SELECTION; one that selects by bands needs the bounds of its method. One of CLIP is clip or clip-..."""
    for name, detector in experiment.train.detectors.items():
        if detector.recipe not in experiment.train.recipes:
            yield f"train.detectors.{name}.recipe", f"must be one of {', '.join(experiment.train.recipes)}"
            continue
        recipe = experiment.train.recipes[detector.recipe]
        if isinstance(recipe, ClipRecipe) != (name.split("-")[0] == "clip"):
            yield f"train.detectors.{name}.recipe", "must have loss clip where the detector is named clip or clip-..., and nowhere else"
        if isinstance(recipe, ClipRecipe):
            trained = recipe.project or recipe.tune
            if detector.bands != ("all" if trained else None):
                yield f"train.detectors.{name}.bands", "must be null where the recipe neither projects nor tunes, and all elsewhere"
            continue
        methods = [method for method in experiment.synthesize if name.startswith(f"{method}-")]
        if detector.bands is not None and not methods:
            yield f"train.detectors.{name}", f"must be named METHOD-SELECTION, METHOD one of {', '.join(experiment.synthesize)}"
        elif detector.bands not in (None, "all") and max(methods, key=len) not in experiment.filter:
            yield f"train.detectors.{name}.bands", f"must be null or all: filter.{max(methods, key=len)} gives no bounds"


def _clip_recipes(experiment: Experiment) -> Iterator[Fault]:
    for name, recipe in experiment.train.recipes.items():
        if not isinstance(recipe, ClipRecipe):
            continue
        if recipe.strategy != "separate" and not (recipe.project and recipe.tune):
            yield f"train.recipes.{name}.strategy", "must be separate where the recipe does not both project and tune"
        if recipe.project_learning_rate_end > recipe.project_learning_rate:
            key, most = f"train.recipes.{name}.project_learning_rate", recipe.project_learning_rate
            yield f"{key}_end", f"must be at most {most:g} ({key})"


def _methods(experiment: Experiment) -> Iterator[Fault]:
    for section, names in (("calibrate", experiment.calibrate), ("filter", experiment.filter)):
        for name in names:
            if name not in experiment.synthesize:
                yield f"{section}.{name}", f"must be named as a method of synthesize: {', '.join(experiment.synthesize)}"
    for name in experiment.calibrate:
        if f"{name}-all" not in experiment.train.detectors:
            yield f"calibrate.{name}", f"must have its initial detector, train.detectors.{name}-all"


def _ablations(experiment: Experiment) -> Iterator[Fault]:
    for family, section in experiment.benchmark.ablations.items():
        for detector in section.variants:
            if detector not in experiment.train.detectors:
                yield f"benchmark.ablations.{family}.variants.{detector}", "must be the name of a detector (train.detectors)"


RULES = (
    _sources,
    _disjoint,
    _encoder,
    _rdm,
    _mage,
    _diffusion,
    _clip,
    _extract,
    _epochs,
    _badood,
    _good,
    _sona,
    _synood,
    _detectors,
    _clip_recipes,
    _methods,
    _ablations,
)
