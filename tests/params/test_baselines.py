"""conf/ablations/baselines.yaml and the presets of what it asks for, and what their parameters must not say."""

from pathlib import Path

import pytest
from params_content import changed

from penumbra.errors import PenumbraError
from penumbra.experiment.load import typed
from penumbra.workflow.composition import compose

CONF = Path(__file__).parents[2] / "conf"
CONTENT = compose(CONF, ["experiment=digits", "+ablations=baselines"])
SCRATCH = "train.recipes.scratch"


def test_the_baselines_are_valid_and_nothing_of_the_experiment_is_another():
    found, plain = typed(CONTENT, "params.yaml"), compose(CONF, ["experiment=digits"])
    assert {"vos", "npos", "cider", "oe", "mixoe", "mcd", "godin", "udg", "dream-ood-mid"} <= set(found.train.detectors)
    assert {name: section for name, section in CONTENT["train"]["detectors"].items() if name in plain["train"]["detectors"]} == plain[
        "train"
    ]["detectors"]
    assert found.methods["dream-ood-released"].topk == "released" and found.methods["dream-ood"].topk == "correct"
    assert found.methods["dream-ood"].sphere and not found.methods["npos-decoded"].sphere
    assert not plain["synthesize"]["images"] and not plain["synthesize"]["diffusion"]


@pytest.mark.parametrize("name", ["vos", "cider", "npos", "oe", "mixoe", "mcd", "godin", "udg"])
def test_a_recipe_as_published_is_valid(name):
    content = compose(CONF, ["experiment=digits", "+ablations=baselines", f"train/recipes/{name}=paper"])
    for recipe in content["train"]["recipes"]["classifier"].values():
        recipe["crop_padding"] = 4  # MixOE's images have 448 pixels
    assert typed(content, "params.yaml").recipes[name].architecture == "resnet34"


@pytest.mark.parametrize(("preset", "topk"), [("paper", "correct"), ("released", "released")])
def test_dream_ood_as_published_is_valid(preset, topk):
    content = compose(CONF, ["experiment=digits", "+ablations=baselines", f"synthesize/dreamood={preset}"])
    content["synthesize"]["diffusion"]["dream-ood"]["embedding"]["crop_padding"] = 4  # 32 pixels of 256
    found = typed(content, "params.yaml").methods["dream-ood"]
    assert (found.topk, found.knn_k, found.guidance_scale) == (topk, 300, 7.5)


def test_any_classifier_stands_where_a_method_or_a_recipe_learns_one():
    network = {"architecture": "timm/resnet10t", "input_size": 64}
    embedding = CONTENT["synthesize"]["diffusion"]["dream-ood"]["embedding"]
    own = {key: value for key, value in embedding.items() if key != "width" and not key.startswith("stem_")}
    sizes = dict.fromkeys(f"{SCRATCH}.energy.{key}" for key in ("width", "stem_kernel", "stem_stride", "stem_pool"))
    changes = {"synthesize.diffusion.dream-ood.embedding": own | network, "synthesize.images.boundary-gan.classifier": network}
    found = typed(changed(changes | sizes | {f"{SCRATCH}.energy.architecture": "timm/resnet10t"}, CONTENT), "params.yaml")
    assert found.methods["dream-ood"].embedding.input_size == found.methods["boundary-gan"].classifier.input_size == 64
    assert found.recipes["energy"].caption.startswith("timm/resnet10t, ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({f"{SCRATCH}.vos.start_epoch": 7}, f"{SCRATCH}.vos.start_epoch = 7: must be in 0..6"),
        ({f"{SCRATCH}.vos.select": 2001}, f"{SCRATCH}.vos.select = 2001: must be in 1..2000"),
        ({"train.detectors.vos.method": "real"}, 'train.detectors.vos.method = "real": must be none: recipe vos makes its outliers itself'),
        ({"train.detectors.npos.method": "real"}, 'train.detectors.npos.method = "real": must be none: recipe npos learns from ID images'),
        ({f"{SCRATCH}.npos.knn_k": 201}, f"{SCRATCH}.npos.knn_k = 201: must be in 1..200"),
        ({f"{SCRATCH}.npos.start_epoch": 20}, f"{SCRATCH}.npos.start_epoch = 20: must be in 0..19"),
        ({"train.detectors.mixoe.method": "none"}, 'train.detectors.mixoe.method = "none": must not be none: recipe mixoe mixes ID images'),
        ({"train.detectors.mcd.method": "none"}, 'train.detectors.mcd.method = "none": must not be none: heads of recipe mcd learn'),
        (
            {"train.detectors.godin.method": "real"},
            'train.detectors.godin.method = "real": must be none: recipe godin learns from ID images',
        ),
        ({"train.detectors.udg.method": "none"}, 'train.detectors.udg.method = "none": must not be none: recipe udg groups ID images'),
        ({f"{SCRATCH}.udg.groups": 1}, f"{SCRATCH}.udg.groups = 1: must be at least 2"),
        ({f"{SCRATCH}.mcd.start_epoch": 7}, f"{SCRATCH}.mcd.start_epoch = 7: must be in 0..6"),
        ({f"{SCRATCH}.godin.beta": 1.0}, f"{SCRATCH}.godin.beta = 1.0: must be 0: the loss has one term"),
        ({"rerun.detectors": ["none", "mcd"]}, "rerun.scores.godin-h-moved: must have a detector of loss godin in rerun.detectors"),
        ({"train.detectors.mcd.recipe": "oe"}, "score.more.mcd: must have a detector of loss mcd in train.detectors"),
        ({f"{SCRATCH}.npos.keep": 201}, f"{SCRATCH}.npos.keep = 201: must be in 1..200"),
        ({"synthesize.images.real.sets": ["web"]}, 'synthesize.images.real.sets = ["web"]: must name sets of prepare.world: glyphs'),
        ({"synthesize.diffusion.dream-ood.picked": 41}, "synthesize.diffusion.dream-ood.picked = 41: must be in 1..40"),
        ({"synthesize.diffusion.dream-ood.embedding.crop_padding": 32}, "dream-ood.embedding.crop_padding = 32: must be below 32"),
        ({"synthesize.images.boundary-gan.crop_padding": 32}, "synthesize.images.boundary-gan.crop_padding = 32: must be below 32"),
        ({"common.image_size": 24}, "common.image_size = 24: must be a power of two"),
        ({"synthesize.images.cutpaste.per_image": 0}, "params.yaml: synthesize.images.cutpaste.per_image = 0: must be at least 1"),
        (
            {"synthesize.images.cutpaste.per_imag": 1},
            "params.yaml: synthesize.images.cutpaste.per_imag: unknown key; did you mean per_image?",
        ),
        ({"synthesize.images.boundary-gan.classifier.width": 4}, "synthesize.images.boundary-gan.classifier.width = 4: must be at least 8"),
        (
            {"synthesize.diffusion.dream-ood.embedding.architecture": "vgg11"},
            'params.yaml: synthesize.diffusion.dream-ood.embedding.architecture = "vgg11": must be one of resnet18, ',
        ),
        ({"pretrain.diffusion": {}}, "pretrain.diffusion: must have an entry, since synthesize."),
    ],
)
def test_what_cannot_be_is_refused(changes, expected):
    with pytest.raises(PenumbraError) as error:
        typed(changed(changes, CONTENT), "params.yaml")
    assert any(expected in line for line in str(error.value).splitlines()), str(error.value)
