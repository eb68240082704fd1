"""conf/ablations/badood-latent.yaml, and what recipes that learn from representations must not be given."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest
from dvc.repo import Repo
from params_content import changed
from ruamel.yaml import YAML

from penumbra import synthesize
from penumbra.errors import PenumbraError
from penumbra.experiment.load import typed
from penumbra.registry import load, rooms
from penumbra.train.losses.latent.params import Recipe
from penumbra.values import Section
from penumbra.workflow import contract
from penumbra.workflow.composition import compose

CONF = Path(__file__).parents[2] / "conf"
CONTENT = compose(CONF, ["experiment=digits", "+ablations=badood-latent"])
LATENT = "train.recipes.encoder.latent"


def refusal(changes):
    with pytest.raises(PenumbraError) as error:
        typed(changed(changes, CONTENT), "params.yaml")
    return str(error.value).splitlines()


def test_the_overlay_adds_two_detectors_that_differ_in_their_outliers_and_changes_nothing():
    plain, found = compose(CONF, ["experiment=digits"]), typed(CONTENT, "params.yaml")
    added = {name: line for name, line in CONTENT["train"]["detectors"].items() if name not in plain["train"]["detectors"]}
    assert added == {
        name: {"method": method, "bands": ["all"], "recipe": "latent"}
        for name, method in (("latent-none", "none"), ("badood-latent", "badood"))
    }
    assert changed({LATENT: ..., **{f"train.detectors.{name}": ... for name in added}, "benchmark.ablations": {}}, CONTENT) == plain
    assert found.recipes["latent"].caption == (
        "1 hidden layer of width 128 on the encoder's representation, 14 epochs, batches of 64, cross-entropy + 0.2 × energy uncertainty"
    )


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_its_loss_and_optimiser_are_those_of_the_detector_of_images(preset):
    content = compose(
        CONF,
        ["experiment=badood-imagenet100", "+ablations=badood-latent", f"train/recipes/latent={preset}", f"train/recipes/energy={preset}"],
    )
    latent, energy = (content["train"]["recipes"][kind][name] for kind, name in (("encoder", "latent"), ("scratch", "energy")))
    own = {"loss", "width", "epochs"}
    shared = (latent.keys() & energy.keys()) - own
    assert shared and {key: latent[key] for key in shared} == {key: energy[key] for key in shared}
    assert isinstance(typed(content, "params.yaml").recipes["latent"], Recipe)


def test_what_a_method_declares_is_what_its_candidates_have():
    """Every room of synthesize: `represented` and the column say the same."""
    declared = {}
    for room in rooms(synthesize):
        types = {
            value for value in vars(load(synthesize, room, "params")).values() if isinstance(value, type) and issubclass(value, Section)
        }
        own = {kind for kind in types if kind.__module__.startswith(f"penumbra.synthesize.{room}.")}
        declared[room] = any(getattr(kind, "represented", False) for kind in own)
        assert declared[room] == ("representation" in getattr(import_module(f"penumbra.synthesize.{room}.plan"), "COLUMNS", {})), room
    assert {room for room, found in declared.items() if found} == {"badood", "moved"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"train.detectors.badood-latent.method": "sona"},
            'train.detectors.badood-latent.method = "sona": must be one of none, badood, badood-gaussian: recipe latent learns from '
            "representations, which candidates of sona are not made of",
        ),
        ({f"{LATENT}.warmup_epochs": 15}, f"{LATENT}.warmup_epochs = 15: must be in 0..14 ({LATENT}.epochs)"),
        ({f"{LATENT}.depth": 0}, f"{LATENT}.depth = 0: must be at least 1"),
        ({f"{LATENT}.widht": 3}, f"{LATENT}.widht: unknown key; did you mean width?"),
        ({f"{LATENT}.loss": "energy"}, f"{LATENT}.loss = \"energy\": must be 'latent'"),
        (
            {"train.recipes.scratch.latent": CONTENT["train"]["recipes"]["encoder"]["latent"]},
            'train.recipes.scratch.latent.loss = "latent": must be one of',
        ),
        ({"pretrain.encoder": {}}, "pretrain.encoder: must have an entry, since train.recipes.encoder has one"),
        ({"train.recipes.encoder.energy": {"like": "latent"}}, "train.recipes.encoder.energy: must have a name of its own: another kind"),
    ],
)
def test_what_no_latent_detector_can_be_is_refused(changes, expected):
    assert any(line.startswith(f"params.yaml: {expected}") for line in refusal(changes)), refusal(changes)


def test_variants_and_moved_candidates_are_accepted():
    changes = {
        "train.recipes.encoder.wide": {"like": "latent", "width": 512},
        "synthesize.badood.near": {"like": "badood", "toward": 0.1},
        "train.detectors.near-latent": {"method": "near", "bands": ["all"], "recipe": "wide"},
        "train.detectors.badood-latent.bands": ["mid"],
    }
    found = typed(changed(changes, CONTENT), "params.yaml")
    assert (found.recipes["wide"].width, found.recipes["wide"].depth) == (512, 1)


def test_it_is_trained_by_its_loss_and_asked_as_every_network_is():
    dag = contract.Contract([], CONTENT, typed(CONTENT, "params.yaml"))
    programs = {step: dag.program(contract.Entry(f"{step}@badood-latent", (), (), (), ())) for step in ("train", "infer")}
    assert programs == {"train": "penumbra.train.losses.latent.plan", "infer": "penumbra.infer.network"}


def test_its_recipe_brings_the_encoder_and_what_it_made_of_id_images(tmp_path, monkeypatch):
    """By the stages that DVC makes of dvc.yaml."""
    shutil.copy(CONF.parent / "dvc.yaml", tmp_path)
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(CONTENT, file)
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.chdir(tmp_path)
    dag = contract.load.__wrapped__()
    assert dag.entry("equip-encoder@latent").data == ("data/models/encoder", "data/features/encoder.safetensors")
    before = {entry.name for entry in dag.before(dag.entry("train@badood-latent"))}
    assert before == {"prepare", "synthesize-badood@badood", "equip-encoder@latent"}
