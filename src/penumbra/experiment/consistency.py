"""What parameters of several rooms must satisfy together; each rule yields (key, what is allowed)."""

from collections.abc import Iterator

from penumbra.benchmark import params as benchmark
from penumbra.experiment.schema import Experiment
from penumbra.extract import params as extract
from penumbra.grid import params as grid
from penumbra.infer import params as infer
from penumbra.prepare import params as prepare
from penumbra.pretrain import params as pretrain
from penumbra.pretrain.decoder import params as decoder
from penumbra.rerun import params as rerun
from penumbra.score import params as score
from penumbra.synthesize.badood import params as badood
from penumbra.synthesize.boundarygan import params as boundarygan
from penumbra.synthesize.decoded import params as decoded
from penumbra.synthesize.dreamood import params as dreamood
from penumbra.synthesize.good import params as good
from penumbra.synthesize.real import params as real
from penumbra.synthesize.sona import params as sona
from penumbra.synthesize.synood import params as synood
from penumbra.train import losses
from penumbra.train.network import params as network
from penumbra.values import Fault, presets


def faults(experiment: Experiment) -> Iterator[Fault]:
    """Every impossible combination of parameters, as (dotted key, what is allowed)."""
    for rule in RULES:
        yield from rule(experiment)


def _epochs(experiment: Experiment) -> Iterator[Fault]:
    recipes = dict(experiment.recipes_of(network.NetworkRecipe).values())
    models = ("encoder", "mage", "classifier", "diffusion", "clip", "inpainting", "ldm", "dit")
    loops = {key: preset for kind in models for key, preset in presets(experiment, "pretrain", kind)} | recipes
    for key, loop in loops.items():
        if loop.warmup_epochs > loop.epochs:
            yield f"{key}.warmup_epochs", f"must be in 0..{loop.epochs} ({key}.epochs)"
    for key, recipe in recipes.items():
        if recipe.crop_padding >= experiment.common.image_size:
            yield f"{key}.crop_padding", f"must be below {experiment.common.image_size} (common.image_size)"
        if key.split(".")[2] != "reconstruction" and getattr(recipe, "reconstructed", False):
            yield f"{key}.reconstructed", "must be false; a recipe that learns from round trips belongs under train.recipes.reconstruction"


NEEDS = {  # what must be in an experiment that has an entry in a section, for the stages that dvc.yaml gives it
    "pretrain.rdm": ("pretrain.encoder",),
    "pretrain.mage": ("pretrain.encoder",),
    "pretrain.inpainting": ("pretrain.diffusion",),
    "pretrain.ldm": ("pretrain.encoder", "pretrain.diffusion"),
    "pretrain.dit": ("pretrain.encoder", "pretrain.diffusion"),
    "extract.contexts": ("pretrain.clip",),
    "extract.negatives": ("pretrain.clip",),
    "synthesize.badood": ("pretrain.encoder", "pretrain.rdm", "pretrain.mage"),
    "synthesize.good": ("pretrain.diffusion", "pretrain.classifier"),
    "synthesize.sona": ("pretrain.diffusion",),
    "synthesize.diffusion": ("pretrain.diffusion",),
    "synthesize.synood": ("pretrain.inpainting", "pretrain.classifier", "extract.contexts"),
    "synthesize.negatives": ("pretrain.inpainting", "pretrain.classifier", "extract.negatives"),
    "train.recipes.classifier": ("pretrain.classifier",),
    "train.recipes.reconstruction": ("synthesize.control.reconstruction",),
    "train.recipes.clip": ("pretrain.clip", "extract.negatives"),
    "train.recipes.repainting": ("pretrain.clip", "extract.negatives", "synthesize.control.repainting"),
    "train.recipes.encoder": ("pretrain.encoder",),
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
    needs |= {f"synthesize.decoded.{name}": (f"pretrain.{method.decoder}",) for name, method in experiment.synthesize.decoded.items()}
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
        if not recipe.trains and detector.method != "none":
            yield f"{key}.method", f"must be none: recipe {detector.recipe} trains nothing"
        if detector.bands != ["all"] and detector.method not in experiment.filter:
            yield f"{key}.bands", f"must be [all]: filter.{detector.method} gives no bounds"


def _judges(experiment: Experiment) -> Iterator[Fault]:
    detectors = experiment.train.detectors
    for name in experiment.calibrate:
        if name not in detectors:
            yield f"calibrate.{name}", f"must be named as a detector: {', '.join(detectors)}"
        elif getattr(experiment.recipes.get(detectors[name].recipe), "detector", "network") == "clip":
            yield f"calibrate.{name}", "must be a network that is trained on images: a CLIP detector judges no candidates"
    for name, section in experiment.filter.items():
        if name not in experiment.methods:
            yield f"filter.{name}", f"must be named as a method of synthesize: {', '.join(experiment.methods)}"
        elif section.sees and experiment.methods[name].method != "moved":
            yield f"filter.{name}.sees", f"must not be there: {name} is not moved (toward), so its candidates have no twins"
        if section.judge not in experiment.calibrate:
            yield f"filter.{name}.judge", f"must be one of {', '.join(experiment.calibrate) or 'calibrate, which is empty'}"
        elif section.judge in detectors and detectors[section.judge].method == name and detectors[section.judge].bands != ["all"]:
            yield f"filter.{name}.judge", "must not learn from bands of the candidates that it judges"


def _ablations(experiment: Experiment) -> Iterator[Fault]:
    for family, section in experiment.benchmark.ablations.items():
        for detector in section.variants:
            if detector not in experiment.train.detectors:
                yield f"benchmark.ablations.{family}.variants.{detector}", "must be the name of a detector (train.detectors)"


def _columns(experiment: Experiment) -> Iterator[Fault]:
    for name in experiment.rerun.scores:
        if name in (*score.TAKEN, *benchmark.MODES, *experiment.score.more):
            yield f"rerun.scores.{name}", "must have a name of its own: a column is named so already"


RULES = (
    prepare.source_faults,
    prepare.disjoint_faults,
    pretrain.checkpoint_faults,
    pretrain.encoder_faults,
    pretrain.rdm_faults,
    pretrain.mage_faults,
    pretrain.classifier_faults,
    pretrain.diffusion_faults,
    pretrain.clip_faults,
    decoder.faults,
    extract.faults,
    _epochs,
    badood.faults,
    decoded.faults,
    dreamood.faults,
    real.faults,
    boundarygan.faults,
    good.faults,
    sona.faults,
    synood.faults,
    _needs,
    _names,
    _detectors,
    network.faults,
    losses.faults,
    _judges,
    infer.faults,
    score.faults,
    rerun.faults,
    _columns,
    grid.faults,
    benchmark.faults,
    _ablations,
)
