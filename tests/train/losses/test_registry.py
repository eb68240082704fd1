"""A loss is found by its name: its recipes are known to the schema, its caption to the report, its program to the contract."""

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError
from training_files import ENERGY, UNIFORM

from clip_features import RECIPE, ZERO_SHOT
from penumbra.train import losses

ALL = {"energy": ENERGY, "uniform": UNIFORM, "clip": RECIPE}
OWN = '''
"""A loss in one file."""
from typing import Literal
from penumbra.train.network.params import NetworkRecipe

class Recipe(NetworkRecipe):
    loss: Literal["margin"]
    margin: float

    @property
    def of_outliers(self):
        return f"hinge at {self.margin:g}"

def faults(experiment):
    yield "train.recipes.scratch.own.margin", "must be dear"
'''


@pytest.fixture
def with_own_loss(tmp_path, monkeypatch):
    (tmp_path / "margin.py").write_text(OWN)
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    losses._rooms.cache_clear()
    yield
    losses._rooms.cache_clear()
    sys.modules.pop("penumbra.train.losses.margin", None)


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_says_which_loss_it_is_of(name):
    recipe = TypeAdapter(losses.recipes()).validate_python(ALL[name])
    assert type(recipe).__module__ == f"penumbra.train.losses.{name}.params"
    assert recipe.detector == ("clip" if name == "clip" else "network") and recipe.trains


def test_each_kind_of_detector_has_its_losses():
    with pytest.raises(ValidationError, match="'energy', 'uniform'"):
        TypeAdapter(losses.recipes("network")).validate_python(RECIPE)
    with pytest.raises(ValidationError):
        TypeAdapter(losses.recipes("clip")).validate_python(ENERGY)


@pytest.mark.parametrize(
    ("recipe", "caption"),
    [
        (ENERGY, "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 2 × energy uncertainty"),
        (UNIFORM, "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 0.5 × outliers to uniform + 1 × club between pairs"),
        (ZERO_SHOT, f"frozen CLIP, trained: nothing, negative labels in {ZERO_SHOT['groups']} groups"),
    ],
)
def test_the_report_calls_a_recipe_what_its_loss_says(recipe, caption):
    assert TypeAdapter(losses.recipes()).validate_python(recipe).caption == caption


def test_a_file_is_a_loss(with_own_loss):
    base = {key: value for key, value in ENERGY.items() if key not in ("outliers_per_id", "phi_hidden", "phi_monotone", "reduction")}
    recipe = TypeAdapter(losses.recipes("network")).validate_python(base | {"loss": "margin", "margin": 0.5})
    assert recipe.caption.endswith("cross-entropy + 2 × hinge at 0.5")
    assert ("train.recipes.scratch.own.margin", "must be dear") in list(losses._rooms()["margin"].faults(None))


def test_the_registry_needs_no_torch():
    code = "import sys; from penumbra.train import losses; losses.recipes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
