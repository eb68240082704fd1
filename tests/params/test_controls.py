"""conf/ablations/controls.yaml: what each control differs in, and what a recipe that trains nothing, or without outliers, must not say."""

import functools
from pathlib import Path

import pytest
from params_content import changed

from penumbra.benchmark import claims
from penumbra.errors import PenumbraError
from penumbra.experiment.load import typed
from penumbra.report.page import trained_on
from penumbra.stage import Params
from penumbra.workflow.composition import compose

CONF = Path(__file__).parents[2] / "conf"
OVERLAYS = ("controls", "baselines", "badood-decoders", "badood-latent", "sona-data", "synood", "synood-amounts")
CONTENT = compose(CONF, ["experiment=digits", "+ablations=controls"])
FOUND = typed(CONTENT, "params.yaml")


@functools.cache
def overlaid(name: str):
    """The digits under an overlay."""
    return typed(compose(CONF, ["experiment=digits", f"+ablations={name}"]), "params.yaml")


def differences(first, second) -> set[str]:
    """Keys of two entries of one type that have other values."""
    return {key for key in type(first).model_fields if first[key] != second[key]}


def test_each_control_differs_from_its_method_in_its_guidance_alone():
    methods = FOUND.methods
    assert differences(methods["badood"], methods["badood-unguided"]) == {"guidance"}
    assert differences(methods["good"], methods["good-unguided"]) == {"guidances"}
    assert differences(methods["sona"], methods["sona-unguided"]) == {"remove", "keep", "add"}
    assert differences(methods["synood"], methods["synood-still"]) == {"step_size"}


def test_recipes_without_outliers_are_those_with_them():
    recipes, detectors = FOUND.recipes, FOUND.train.detectors
    assert differences(recipes["good"], recipes["as-it-is"]) == {"epochs"} and not recipes["as-it-is"].trains
    assert differences(recipes["synood"], recipes["synood-none"]) == {"tune", "project_epochs"}
    assert {detectors[name].method for name in ("classifier", "clip-none", "good-none", "sona-none", "none")} == {"none"}
    assert "pretrain.classifier as it is" in recipes["as-it-is"].caption and "epochs" not in recipes["as-it-is"].caption


def test_the_page_says_what_each_has_learnt_from():
    params = Params({"train": {"detectors": dict(FOUND.train.detectors), "recipes": dict(FOUND.recipes)}})
    said = {name: trained_on(name, params) for name in ("classifier", "good-none", "clip-none", "clip")}
    assert said == {
        "classifier": "ID alone (pretrain.classifier)",
        "good-none": "ID alone (good)",
        "clip-none": "ID alone (synood-none)",
        "clip": "nothing",
    }


@pytest.mark.parametrize("claim", [claim for claim in claims.read() if claim.measure == "detectors"], ids=lambda claim: claim.text)
def test_every_claim_about_training_finds_both_its_detectors_in_one_overlay(claim):
    overlays = {name: overlaid(name).train.detectors for name in OVERLAYS}
    assert [name for name, detectors in overlays.items() if {claim.better, claim.worse} <= set(detectors)]


def test_every_control_has_a_claim():
    named = {name for claim in claims.read() if claim.measure == "detectors" for name in (claim.better, claim.worse)}
    assert set(FOUND.train.detectors) <= named


def test_every_claim_about_candidates_finds_its_variants():
    pairs = [(claim.better, claim.worse) for claim in claims.read() if claim.measure == "candidates"]
    for overlay in ("good-figures", "good-figures-published"):
        variants = overlaid(overlay).synthesize.good
        assert pairs and all(variants[better].guidance_scale == variants[worse].guidance_scale for better, worse in pairs)


def test_a_study_has_the_controls_that_cost_seconds():
    study = typed(compose(CONF, ["experiment=digits", "+ablations=study"]), "params.yaml")
    for name in ("classifier", "clip-none"):
        recipe = study.train.detectors[name].recipe
        assert study.train.detectors[name] == FOUND.train.detectors[name] and study.recipes[recipe] == FOUND.recipes[recipe]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train.recipes.scratch.energy.epochs": 0}, "train.recipes.scratch.energy.epochs = 0: must be at least 1; what trains nothing"),
        ({"train.recipes.reconstruction.sona.epochs": 0}, "train.recipes.reconstruction.sona.epochs = 0: must be at least 1; what"),
        ({"train.recipes.classifier.as-it-is.epochs": -1}, "train.recipes.classifier.as-it-is.epochs = -1: must be at least 0"),
        ({"train.recipes.classifier.as-it-is.warmup_epochs": 1}, "train.recipes.classifier.as-it-is.warmup_epochs"),
        ({"pretrain.classifier.resnet.epochs": 0}, "pretrain.classifier.resnet.epochs = 0: must be at least 1"),
        ({"train.detectors.classifier.method": "good"}, 'classifier.method = "good": must be none: recipe as-it-is trains nothing'),
        (
            {"train.recipes.clip.synood-none.tune": True},
            'clip-none.method = "none": must not be none: recipe synood-none learns from labels',
        ),
        ({"train.recipes.clip.synood-none.classes": "matched"}, 'clip-none.method = "none": must not be none: recipe synood-none learns'),
    ],
)
def test_what_cannot_be_is_refused(changes, expected):
    with pytest.raises(PenumbraError) as error:
        typed(changed(changes, CONTENT), "params.yaml")
    assert any(expected in line for line in str(error.value).splitlines()), str(error.value)
