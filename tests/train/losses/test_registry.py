"""A loss is found by its name: its recipes are known to the schema, its caption to the report, its program to the contract."""

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from latent_files import RECIPE as LATENT
from pydantic import TypeAdapter, ValidationError
from training_files import CIDER, ENERGY, GODIN, MCD, MIXOE, NPOS, RECIPES, UDG, UNIFORM, VOS, train

from clip_features import RECIPE, ZERO_SHOT
from penumbra.train import losses

ALL = RECIPES | {"clip": RECIPE, "latent": LATENT}
OWN = {
    "__init__.py": "",
    "params.py": """
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
""",
    "loss.py": """
import torch.nn.functional as F

from penumbra.logits import energy
from penumbra.train.network.loss import Loss


class MarginLoss(Loss):
    def __call__(self, logits, features, batch):
        is_ood = batch.labels < 0
        cross_entropy = F.cross_entropy(logits[~is_ood], batch.labels[~is_ood])
        hinge = F.relu(self.p.margin - energy(logits[is_ood])).mean()
        return {"loss": cross_entropy + self.p.beta * hinge, "hinge": hinge}
""",
    "plan.py": """
from penumbra.train.detectors import run
from penumbra.train.losses.margin.loss import MarginLoss
from penumbra.train.network.seeds import trainer


def main(stage):
    run(stage, lambda stage: trainer(stage, MarginLoss))
""",
}
BASE = {key: value for key, value in ENERGY.items() if key not in ("outliers_per_id", "phi_hidden", "phi_monotone", "reduction")}
MARGIN = BASE | {"loss": "margin", "margin": 0.5}


@pytest.fixture
def own_loss(tmp_path, monkeypatch):
    """A room of one's own, and nothing else."""
    (tmp_path / "rooms/margin").mkdir(parents=True)
    for name, text in OWN.items():
        (tmp_path / "rooms/margin" / name).write_text(text)
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path / "rooms")])
    losses._rooms.cache_clear()
    yield
    losses._rooms.cache_clear()
    for name in [name for name in sys.modules if name.startswith("penumbra.train.losses.margin")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_says_which_loss_it_is_of(name):
    recipe = TypeAdapter(losses.recipes()).validate_python(ALL[name])
    assert type(recipe).__module__ == f"penumbra.train.losses.{name}.params"
    assert recipe.detector == ("clip" if name == "clip" else "network") and recipe.trains


def test_what_is_learnt_from_has_its_losses():
    with pytest.raises(ValidationError, match="'cider', 'energy', 'godin', 'mcd', 'mixoe', 'npos', 'udg', 'uniform', 'vos'"):
        TypeAdapter(losses.recipes("images")).validate_python(RECIPE)
    for learns_from, of_another in (("features", ENERGY), ("representations", RECIPE)):
        with pytest.raises(ValidationError):
            TypeAdapter(losses.recipes(learns_from)).validate_python(of_another)


@pytest.mark.parametrize(
    ("recipe", "caption"),
    [
        (ENERGY, "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 2 × energy uncertainty"),
        (UNIFORM, "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 0.5 × outliers to uniform + 1 × club between pairs"),
        (
            VOS,
            "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 0.5 × weighted-energy uncertainty of virtual outliers "
            "from epoch 2 on",
        ),
        (CIDER, "resnet18 of width 8, 2 epochs, batches of 8, compactness + 0.5 × dispersion of prototypes"),
        (
            NPOS,
            "resnet18 of width 8, 2 epochs, batches of 8, compactness + 0.5 × dispersion + 0.3 × outliers at the boundary from epoch 2 on",
        ),
        (
            MIXOE,
            "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 2 × mixtures of ID images and outliers (mixup) with soft labels",
        ),
        (
            MCD,
            "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy of two heads + 0.5 × discrepancy of both on outliers, margin 1.2, "
            "from epoch 2 on",
        ),
        (
            UDG,
            "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy + 0.5 × what no pure group holds to uniform + 0.1 × 5 groups",
        ),
        (GODIN, "resnet18 of width 8, 2 epochs, batches of 8, cross-entropy of h(x) / g(x), h cosine"),
        (
            LATENT,
            "2 hidden layers of width 10 on the encoder's representation, 3 epochs, batches of 8, cross-entropy + 0.5 × energy uncertainty",
        ),
        (
            LATENT | {"depth": 1},
            "1 hidden layer of width 10 on the encoder's representation, 3 epochs, batches of 8, cross-entropy + 0.5 × energy uncertainty",
        ),
        (ZERO_SHOT, f"frozen CLIP, trained: nothing, negative labels in {ZERO_SHOT['groups']} groups"),
    ],
)
def test_the_report_calls_a_recipe_what_its_loss_says(recipe, caption):
    assert TypeAdapter(losses.recipes()).validate_python(recipe).caption == caption


def test_a_new_room_is_a_loss(own_loss, make_stage):
    recipe = TypeAdapter(losses.recipes("images")).validate_python(MARGIN)
    assert recipe.caption.endswith("cross-entropy + 2 × hinge at 0.5")
    assert ("train.recipes.scratch.own.margin", "must be dear") in list(losses._rooms()["margin"].faults(None))
    stage = make_stage(["all"])
    stage = replace(stage, params=stage.params.beside(train={"recipes": {"own": recipe}}))
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "hinge", "val_accuracy", "steps"] and (history.hinge > 0).any()


def test_the_registry_needs_no_torch():
    code = "import sys; from penumbra.train import losses; losses.recipes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
