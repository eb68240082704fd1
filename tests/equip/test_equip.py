"""A recipe's kit: its values, and what it needs laid out as below data/; contract hands both to the steps of its detectors."""

import os
from pathlib import Path

import pytest

from penumbra.artifacts.recipes import contents, read_recipe
from penumbra.artifacts.tables import read_json, write_json
from penumbra.equip import step
from penumbra.errors import PenumbraError
from penumbra.experiment.load import typed as typed_params
from penumbra.stage import Params, Stage
from penumbra.train.losses import typed
from penumbra.workflow.composition import compose

CONF = Path(__file__).parents[2] / "conf"
RECIPES = typed_params(compose(CONF, ["experiment=digits", "+ablations=badood-latent"]), "params.yaml").recipes
CLIP = {"models/clip": ["config.json", "deep/model.safetensors"], "features/clip.safetensors": None, "features/negatives.safetensors": None}
KINDS = {  # of recipes: one of them, and what the stages of its kind read
    "scratch": ("energy", {}),
    "classifier": ("good", {"models/classifier": ["config.json", "model.safetensors"]}),
    "reconstruction": ("sona", {"controls/reconstruction.parquet": None}),
    "clip": ("synood", CLIP),
    "repainting": ("synood", CLIP | {"controls/repainting.parquet": None}),
    "encoder": ("latent", {"models/encoder": ["config.json", "model.safetensors"], "features/encoder.safetensors": None}),
}


@pytest.fixture
def make_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(kind):
        recipe, needs = KINDS[kind]
        reads = {}
        for name, files in needs.items():
            path = Path("data") / name
            for file in [path] if files is None else [path / each for each in files]:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{kind} {file}")
            reads[name.partition(".")[0]] = path
        params = Params({"train": {"recipes": {"own": RECIPES[recipe]}}})
        return Stage("equip", "own", params, {}, reads, {"recipes/own": Path("data/recipes/own")})

    return make


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kit_is_the_recipe_and_all_that_its_kind_needs(make_stage, kind):
    stage = make_stage(kind)
    step.main(stage)
    kit = files_of(stage.write())
    recipe = typed(read_recipe(stage.write()), "own")
    assert recipe == RECIPES[KINDS[kind][0]] and type(recipe) is type(RECIPES[KINDS[kind][0]])
    assert read_json(stage.write() / "recipe.json") == recipe.model_dump()
    del kit["recipe.json"]
    assert kit == {name: text for name, text in files_of("data").items() if not name.startswith("recipes/")}
    assert contents(stage.write()) == {name: stage.write() / path.relative_to("data") for name, path in stage.reads.items()}


@pytest.mark.parametrize("links", [True, False])
def test_files_are_second_names_where_the_disk_allows_it_and_else_copies(make_stage, monkeypatch, links):
    def refuse(*_, **__):
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    step.main(make_stage("clip"))
    for name in ("features/clip.safetensors", "models/clip/deep/model.safetensors"):
        source, copy = Path("data") / name, Path("data/recipes/own") / name
        assert os.path.samefile(source, copy) is links and source.read_text() == copy.read_text()


@pytest.mark.parametrize("kind", ["classifier", "reconstruction"])
def test_a_link_is_followed(make_stage, kind):
    """As where DVC's cache is linked to: the kit stays whole when the link is replaced."""
    stage = make_stage(kind)
    for file in [path for path in Path("data").rglob("*") if path.is_file()]:
        cached = Path("cache") / file.name
        cached.parent.mkdir(exist_ok=True)
        file.rename(cached)
        file.symlink_to(cached.resolve())
    expected = files_of("data")
    step.main(stage)
    kit = files_of(stage.write())
    assert {name: text for name, text in kit.items() if name != "recipe.json"} == expected
    assert not any(path.is_symlink() for path in stage.write().rglob("*"))


def test_what_is_hidden_is_left_behind(make_stage):
    stage = make_stage("classifier")
    Path("data/models/classifier/.gitignore").write_text("/x")
    step.main(stage)
    assert not (stage.write() / "models/classifier/.gitignore").exists()


def test_a_kit_replaces_the_one_before_as_a_whole(make_stage):
    step.main(make_stage("repainting"))
    step.main(make_stage("scratch"))
    assert set(files_of("data/recipes/own")) == {"recipe.json"}


@pytest.mark.parametrize("content", [{}, {"loss": "hinge"}, RECIPES["energy"].model_dump() | {"start": "scratch"}, []])
def test_a_recipe_of_other_keys_is_refused_in_one_line(tmp_path, content):
    write_json(tmp_path / "recipe.json", content)
    with pytest.raises(PenumbraError, match="is no recipe of today's params.yaml.* Run `dvc repro`") as caught:
        typed(read_recipe(tmp_path), str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(PenumbraError, match="holds no recipe"):
        read_recipe(tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(PenumbraError, match="holds no recipe"):
        read_recipe(tmp_path)
