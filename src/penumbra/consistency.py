"""What the parameters must satisfy together; each rule yields (key, what is allowed)."""

from collections.abc import Iterator
from itertools import combinations

from penumbra.schema import ClipRecipe, Experiment, ImageSource, Section

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


def _presets(experiment: Experiment, step: str, kind: str) -> Iterator[tuple[str, Section]]:
    """The preset of a model or of an extraction, with its dotted key; nothing where the experiment has none."""
    for name, preset in experiment[step][kind].items():
        yield f"{step}.{kind}.{name}", preset


def _encoder(experiment: Experiment) -> Iterator[Fault]:
    for key, encoder in _presets(experiment, "pretrain", "encoder"):
        yield from _divides(f"{key}.heads", encoder.heads, f"{key}.width", encoder.width)
        yield from _divides("sine and cosine of rows and columns", 4, f"{key}.width", encoder.width)
        yield from _divides(f"{key}.patch_size", encoder.patch_size, f"{key}.image_size", encoder.image_size)


def _rdm(experiment: Experiment) -> Iterator[Fault]:
    for key, rdm in _presets(experiment, "pretrain", "rdm"):
        yield from _divides("sine and cosine of the time step", 2, f"{key}.width", rdm.width)
        if rdm.beta_start >= rdm.beta_end:
            yield f"{key}.beta_end", f"must be above {rdm.beta_start:g} ({key}.beta_start)"


def _mage(experiment: Experiment) -> Iterator[Fault]:
    for key, mage in _presets(experiment, "pretrain", "mage"):
        yield from _divides(f"{key}.heads", mage.heads, f"{key}.width", mage.width)
        yield from _divides(f"{key}.decoder_heads", mage.decoder_heads, f"{key}.decoder_width", mage.decoder_width)
        factor = 2 ** (len(mage.vqgan_multipliers) - 1)
        yield from _divides(f"halvings by {key}.vqgan_multipliers", factor, f"{key}.image_size", mage.image_size)
        channels = [mage.vqgan_width * multiplier for multiplier in mage.vqgan_multipliers]
        if any(count % min(GROUPS, max(count // 4, 1)) or count < 4 for count in channels):
            yield f"{key}.vqgan_width", f"must give every level of vqgan_multipliers a multiple of 4 channels, from 128 on of {GROUPS}"


def _epochs(experiment: Experiment) -> Iterator[Fault]:
    recipes = {
        f"train.recipes.{kind}.{name}": recipe
        for kind in ("scratch", "classifier", "reconstruction")
        for name, recipe in experiment.train.recipes[kind].items()
    }
    models = ("encoder", "mage", "classifier", "diffusion", "clip", "inpainting")
    loops = {key: preset for kind in models for key, preset in _presets(experiment, "pretrain", kind)} | recipes
    for key, loop in loops.items():
        if loop.warmup_epochs > loop.epochs:
            yield f"{key}.warmup_epochs", f"must be in 0..{loop.epochs} ({key}.epochs)"
    for key, recipe in recipes.items():
        if recipe.crop_padding >= experiment.common.image_size:
            yield f"{key}.crop_padding", f"must be below {experiment.common.image_size} (common.image_size)"
        if key.split(".")[2] != "reconstruction" and getattr(recipe, "reconstructed", False):
            yield f"{key}.reconstructed", "must be false; a recipe that learns from round trips belongs under train.recipes.reconstruction"


def _badood(experiment: Experiment) -> Iterator[Fault]:
    timesteps = [rdm.timesteps for _, rdm in _presets(experiment, "pretrain", "rdm")]
    for name, method in experiment.synthesize.badood.items():
        for last in (count - 1 for count in timesteps):
            for key, value in (("t", method.t), ("s", method.s)):
                if value > last:
                    yield f"synthesize.badood.{name}.{key}", f"must be in {1 if key == 't' else 0}..{last}"
        if method.stride > method.t:
            yield f"synthesize.badood.{name}.stride", f"must be in 1..{method.t} (synthesize.badood.{name}.t)"


def _diffusion(experiment: Experiment) -> Iterator[Fault]:
    size = experiment.common.image_size
    for key, diffusion in _presets(experiment, "pretrain", "diffusion"):
        if diffusion.pipeline is not None:
            continue
        yield from _divides(f"{key}.text_heads", diffusion.text_heads, f"{key}.text_width", diffusion.text_width)
        for channels in diffusion.unet_channels:
            yield from _divides(f"{key}.unet_head_width", diffusion.unet_head_width, f"{key}.unet_channels", channels)
        if len(diffusion.unet_attention) != len(diffusion.unet_channels):
            yield f"{key}.unet_attention", f"must have {len(diffusion.unet_channels)} values, one for each of unet_channels"
        halvings = len(diffusion.vae_channels) + len(diffusion.unet_channels) - 2
        yield from _divides(f"halvings by vae_channels and unet_channels of {key}", 2**halvings, "common.image_size", size)
        if diffusion.beta_start >= diffusion.beta_end:
            yield f"{key}.beta_end", f"must be above {diffusion.beta_start:g} ({key}.beta_start)"


def _clip(experiment: Experiment) -> Iterator[Fault]:
    for key, clip in _presets(experiment, "pretrain", "clip"):
        if clip.model is not None:
            continue
        yield from _divides(f"{key}.heads", clip.heads, f"{key}.width", clip.width)
        yield from _divides(f"{key}.text_heads", clip.text_heads, f"{key}.text_width", clip.text_width)
        yield from _divides(f"{key}.patch_size", clip.patch_size, f"{key}.image_size", clip.image_size)
        if clip.crop_padding >= clip.image_size:
            yield f"{key}.crop_padding", f"must be below {clip.image_size} ({key}.image_size)"


def _extract(experiment: Experiment) -> Iterator[Fault]:
    for key, contexts in _presets(experiment, "extract", "contexts"):
        if (contexts.captioner == "llava") != (contexts.model is not None):
            yield f"{key}.model", "must name a LLaVA model where captioner is llava, and be null elsewhere"
        if (contexts.captioner == "file") != (contexts.path is not None):
            yield f"{key}.path", "must name a table where captioner is file, and be null elsewhere"
    for key, negatives in _presets(experiment, "extract", "negatives"):
        if (negatives.vocabulary == "world") != (negatives.path is None):
            yield f"{key}.path", "must name where the words lie, and be null where vocabulary is world"


def _good(experiment: Experiment) -> Iterator[Fault]:
    for name, method in experiment.synthesize.good.items():
        for guidance, strengths in method.guidances.items():
            key = f"synthesize.good.{name}.guidances.{guidance}"
            if not strengths.grid and len(strengths.rho) != len(strengths.mu):
                yield f"{key}.mu", f"must have {len(strengths.rho)} values, one for each of rho, where grid is false"
            if strengths.energy == strengths.knn == 0 and any(strengths.rho + strengths.mu):
                yield f"{key}.energy", "must be above 0, or knn must: there is nothing to guide by"


def _sona(experiment: Experiment) -> Iterator[Fault]:
    for name, method in experiment.synthesize.sona.items():
        key = f"synthesize.sona.{name}"
        if method.stop[1] > method.steps:
            yield f"{key}.stop", f"must lie in 0..{method.steps} ({key}.steps)"
        if (method.words == "file") != (method.word_file is not None):
            yield f"{key}.word_file", "must name a file where words is file, and be null elsewhere"
        if method.share > 0.5:
            yield f"{key}.share", "must be at most 0.5: the semantic and the nuisance mask would overlap"


def _synood(experiment: Experiment) -> Iterator[Fault]:
    kinds = experiment.synthesize
    methods = {f"synthesize.{kind}.{name}": method for kind in ("synood", "negatives") for name, method in kinds[kind].items()}
    for key, method in methods.items():
        if int(method.steps * method.strength) < 1:
            yield f"{key}.strength", f"must leave one of {method.steps} steps ({key}.steps) at least"
        if method.prompts == "contexts":
            for place, contexts in _presets(experiment, "extract", "contexts"):
                if contexts.per_class is not None and (method.per_class is None or method.per_class > contexts.per_class):
                    yield f"{key}.per_class", f"must not exceed {contexts.per_class} ({place}.per_class): others have no labels"
            if method.splits != ["train"]:
                yield f"{key}.splits", "must be [train] where prompts are context labels: no other images have any"


NEEDS = {  # what must be in an experiment that has an entry in a section, for the stages that dvc.yaml gives it
    "pretrain.rdm": ("pretrain.encoder",),
    "pretrain.mage": ("pretrain.encoder",),
    "pretrain.inpainting": ("pretrain.diffusion",),
    "extract.contexts": ("pretrain.clip",),
    "extract.negatives": ("pretrain.clip",),
    "synthesize.badood": ("pretrain.encoder", "pretrain.rdm", "pretrain.mage"),
    "synthesize.good": ("pretrain.diffusion", "pretrain.classifier"),
    "synthesize.sona": ("pretrain.diffusion",),
    "synthesize.synood": ("pretrain.inpainting", "pretrain.classifier", "extract.contexts"),
    "synthesize.negatives": ("pretrain.inpainting", "pretrain.classifier", "extract.negatives"),
    "train.recipes.classifier": ("pretrain.classifier",),
    "train.recipes.reconstruction": ("synthesize.control.reconstruction",),
    "train.recipes.clip": ("pretrain.clip", "extract.negatives"),
    "train.recipes.repainting": ("pretrain.clip", "extract.negatives", "synthesize.control.repainting"),
}


def _needs(experiment: Experiment) -> Iterator[Fault]:
    def there(key: str) -> bool:
        section = experiment
        for part in key.split("."):
            if part not in (section if isinstance(section, dict) else type(section).model_fields):
                return False
            section = section[part]
        return not isinstance(section, dict) or bool(section)

    needs = dict(NEEDS) | {f"synthesize.control.{name}": (f"pretrain.{c.pipeline}",) for name, c in experiment.synthesize.control.items()}
    for key, others in needs.items():
        for other in others if there(key) else ():
            if not there(other):
                yield other, f"must have an entry, since {key} has one"


def _names(experiment: Experiment) -> Iterator[Fault]:
    """Stages of one step have names of their own, whatever kind they are of."""
    kinds = {f"synthesize.{kind}": experiment.synthesize[kind] for kind in type(experiment.synthesize).model_fields}
    recipes = {f"train.recipes.{kind}": experiment.train.recipes[kind] for kind in type(experiment.train.recipes).model_fields}
    for sections, taken in ((kinds, {"none"}), (recipes, set())):
        for key, section in sections.items():
            for name in section:
                if name in taken:
                    yield f"{key}.{name}", "must have a name of its own: another kind, or the method without outliers, has it"
            taken |= set(section)
    for name in experiment.synthesize.control:
        if name in experiment.train.detectors:
            yield f"train.detectors.{name}", "must not be named like a control (synthesize.control)"


def _detectors(experiment: Experiment) -> Iterator[Fault]:
    methods, recipes = experiment.methods, experiment.recipes
    for name, detector in experiment.train.detectors.items():
        key = f"train.detectors.{name}"
        if detector.recipe not in recipes:
            yield f"{key}.recipe", f"must be one of {', '.join(recipes)}"
            continue
        if detector.method not in ("none", *methods):
            yield f"{key}.method", f"must be one of {', '.join(('none', *methods))}"
            continue
        recipe = recipes[detector.recipe]
        if isinstance(recipe, ClipRecipe):
            trained = recipe.project or recipe.tune
            if trained == (detector.method == "none"):
                yield f"{key}.method", "must be none where the recipe neither projects nor tunes, and a method elsewhere"
        if detector.bands != ["all"] and detector.method not in experiment.filter:
            yield f"{key}.bands", f"must be [all]: filter.{detector.method} gives no bounds"


def _clip_recipes(experiment: Experiment) -> Iterator[Fault]:
    for kind in ("clip", "repainting"):
        for name, recipe in experiment.train.recipes[kind].items():
            key = f"train.recipes.{kind}.{name}"
            if recipe.strategy != "separate" and not (recipe.project and recipe.tune):
                yield f"{key}.strategy", "must be separate where the recipe does not both project and tune"
            if recipe.control != (kind == "repainting"):
                yield f"{key}.control", "must be true under train.recipes.repainting, and nowhere else"
            if recipe.project_learning_rate_end > recipe.project_learning_rate:
                yield f"{key}.project_learning_rate_end", f"must be at most {recipe.project_learning_rate:g} ({key}.project_learning_rate)"


def _judges(experiment: Experiment) -> Iterator[Fault]:
    detectors = experiment.train.detectors
    for name in experiment.calibrate:
        if name not in detectors:
            yield f"calibrate.{name}", f"must be named as a detector: {', '.join(detectors)}"
        elif isinstance(experiment.recipes.get(detectors[name].recipe), ClipRecipe):
            yield f"calibrate.{name}", "must be a network that is trained on images: a CLIP detector judges no candidates"
    for name, section in experiment.filter.items():
        if name not in experiment.methods:
            yield f"filter.{name}", f"must be named as a method of synthesize: {', '.join(experiment.methods)}"
        if section.judge not in experiment.calibrate:
            yield f"filter.{name}.judge", f"must be one of {', '.join(experiment.calibrate) or 'calibrate, which is empty'}"
        elif section.judge in detectors and detectors[section.judge].method == name and detectors[section.judge].bands != ["all"]:
            yield f"filter.{name}.judge", "must not learn from bands of the candidates that it judges"


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
    _needs,
    _names,
    _detectors,
    _clip_recipes,
    _judges,
    _ablations,
)
