"""conf/ composes params.yaml through DVC's own Hydra integration."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.utils.hydra import compose_and_dump
from git import Repo as Git
from params_content import CONTENT

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, validate
from penumbra.workflow import outside

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
OFFLINE = ["digits", "miniature", "badood", "good", "sona", "synood", "clip"]
ON_DISK = ["folder", "cifar100", "imagenet100", "imagenet200", "imagenet1k"]
TABLES = {  # of the papers, each by one method: the models that it needs
    "badood-cifar100": {"encoder", "rdm", "mage"},
    "badood-imagenet100": {"encoder", "rdm", "mage"},
    "badood-imagenet200": set(),
    "badood-imagenet200-full-spectrum": set(),
    "good-cifar100": {"classifier", "diffusion"},
    "good-imagenet100": {"classifier", "diffusion"},
    "sona-cifar100": {"diffusion"},
    "sona-imagenet200": {"diffusion"},
    "sona-imagenet200-full-spectrum": {"diffusion"},
    "synood-imagenet1k": {"classifier", "diffusion", "inpainting", "clip"},
}


def composed(folder: Path, *overrides: str) -> dict:
    """What `dvc exp run -S OVERRIDE ...` writes to params.yaml."""
    path = folder / "params.yaml"
    compose_and_dump(path, str(CONF), None, "config", "", list(overrides))
    return load(path)


def unset_paths(content: dict) -> list[str]:
    """The paths that the experiment leaves to the user."""
    prepare = content["prepare"]
    sources = {"id": prepare["id"]} | {
        f"{group}.{name}": source for group in ("near", "far", "calibration", "world") for name, source in prepare[group].items()
    }
    unset = [f"prepare.{key}.path" for key, source in sources.items() if source["source"] == "folder" and source["path"] is None]
    networks = [(kind, name) for kind in ("encoder", "rdm", "mage") for name in content["pretrain"][kind]]
    return unset + [
        f"pretrain.{kind}.{name}.checkpoint" for kind, name in networks if content["pretrain"][kind][name]["checkpoint"] == "???"
    ]


def test_every_experiment_has_a_test():
    assert {path.stem for path in (CONF / "experiment").glob("*.yaml")} == {*OFFLINE, *ON_DISK, *TABLES, "workspace"}


def test_committed_params_are_the_digits_experiment(tmp_path):
    assert composed(tmp_path, "experiment=digits") == CONTENT


def test_without_a_group_params_stay_as_they_lie_there(tmp_path):
    assert composed(tmp_path) == CONTENT


@pytest.mark.parametrize("experiment", OFFLINE)
def test_an_experiment_that_needs_no_data_is_valid(tmp_path, experiment):
    composed(tmp_path, f"experiment={experiment}")
    validate(tmp_path / "params.yaml")


@pytest.mark.parametrize("classifier", ["torchvision", "timm", "efficientnet_lite0"])
def test_a_preset_of_another_classifier_is_valid(tmp_path, classifier):
    content = composed(tmp_path, f"pretrain/classifier={classifier}", "experiment=good")
    (name,) = content["pretrain"]["classifier"]
    validate(tmp_path / "params.yaml")
    assert content["pretrain"]["classifier"][name]["architecture"].replace("-", "_").startswith(classifier)


@pytest.mark.parametrize("experiment", ON_DISK)
def test_an_experiment_on_disk_asks_for_its_paths_and_nothing_else(tmp_path, monkeypatch, experiment):
    monkeypatch.setenv("OPENOOD", "/data/openood")
    unset = unset_paths(composed(tmp_path, f"experiment={experiment}"))
    if unset:
        with pytest.raises(PenumbraError) as error:
            validate(tmp_path / "params.yaml")
        assert [line.split(" = ")[0].removeprefix("params.yaml: ") for line in str(error.value).splitlines()] == unset
    composed(tmp_path, f"experiment={experiment}", *(f"{key}=/data/{key}" for key in unset))
    validate(tmp_path / "params.yaml")


@pytest.mark.parametrize("experiment", TABLES)
def test_a_table_is_valid_as_it_is_and_has_one_method(tmp_path, monkeypatch, experiment):
    """Its images and models lie below three folders, and no other variant, model or recipe is in it than some detector needs."""
    for name in ("OPENOOD", "PENUMBRA_DATA", "PENUMBRA_WEIGHTS"):
        monkeypatch.setenv(name, f"/{name.lower()}")
    content = composed(tmp_path, f"experiment={experiment}")
    found = validate(tmp_path / "params.yaml")
    assert {kind for kind, presets in content["pretrain"].items() if presets} == TABLES[experiment]
    (method,) = {each.method for name, each in found.methods.items()}
    assert method == ("real" if experiment.startswith("badood-imagenet200") else experiment.partition("-")[0])  # made by another run
    assert set(found.methods) == {detector.method for detector in found.train.detectors.values()} - {"none"}
    assert set(found.recipes) == {detector.recipe for detector in found.train.detectors.values()}
    named = [each.path for _, each in outside.named(found.model_dump()) if "/" in each.path]  # others are words of ours
    assert named and all(path.startswith(("/openood/", "/penumbra_data/", "/penumbra_weights/")) for path in named)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict:
    """The published models, all of them."""
    return composed(tmp_path_factory.mktemp("published"), "pretrain=published")["pretrain"]


@pytest.mark.parametrize("kind", ["encoder", "rdm", "mage", "classifier", "diffusion", "clip", "inpainting"])
def test_a_published_model_is_the_same_alone_and_with_the_others(tmp_path, published, kind):
    alone = composed(tmp_path, f"+pretrain/{kind}=published")["pretrain"]
    assert alone[kind] == published[kind]
    assert {other for other, presets in alone.items() if presets != CONTENT["pretrain"][other]} == {kind}


def test_the_full_spectrum_adds_id_classes_from_elsewhere_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENOOD", "/openood")
    names = ["prepare.id.classes=[tench,goldfish]"]
    plain, full = (composed(tmp_path, f"experiment=sona-imagenet200{more}", *names) for more in ("", "-full-spectrum"))
    sets = full["prepare"]["shift"].pop("sets")
    assert plain["prepare"]["shift"].pop("sets") == {} and full == plain
    assert {section["path"].rpartition("_")[2] for section in sets.values()} == {"v2.txt", "c.txt", "r.txt"}
    assert all(section["classes"] == ["tench", "goldfish"] for section in sets.values())


@pytest.mark.parametrize("experiment", ["workspace", "digits", "imagenet200"])
def test_literal_adm_changes_how_the_gradient_enters_and_nothing_else(tmp_path, experiment):
    expected = composed(tmp_path, f"experiment={experiment}")
    expected["synthesize"]["badood"]["badood"] |= {"space": "eps", "norm": "none", "variance": False, "stop_gradient": False}
    assert composed(tmp_path, f"experiment={experiment}", "synthesize/badood=literal-adm") == expected


def test_sizes_and_recipes_can_be_exchanged_on_top_of_params(tmp_path):
    scratch = [f"pretrain.{name}.checkpoint=null" for name in ("encoder.moco", "rdm.rcg", "mage.rcg")]
    content = composed(tmp_path, "pretrain=published", "train/recipes/energy=paper", "common.image_size=256", *scratch)
    validate(tmp_path / "params.yaml")
    assert content["pretrain"]["encoder"]["moco"]["width"] == 1024
    assert content["train"]["recipes"]["scratch"]["energy"]["epochs"] == 100
    assert content["pretrain"].keys() == CONTENT["pretrain"].keys()
    assert {name: list(section) for name, section in content["pretrain"].items()} == {
        name: list(section) for name, section in CONTENT["pretrain"].items()
    }
    assert content["prepare"] == CONTENT["prepare"]


def test_a_misspelt_override_is_refused(tmp_path):
    with pytest.raises(Exception, match="epoch"):
        composed(tmp_path, "pretrain.rdm.epoch=3")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A Git and DVC repository with the project's conf/ and params.yaml and one stage that reads them."""
    shutil.copytree(CONF, tmp_path / "conf", symlinks=True)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages:\n  copy:\n    cmd: cp params.yaml out.yaml\n    params: [prepare]\n    outs: [out.yaml]\n")
    monkeypatch.chdir(tmp_path)
    git = Git.init(tmp_path)
    git.git.config("user.name", "test")
    git.git.config("user.email", "test@example.com")
    repo = Repo.init(tmp_path)
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc" / "config")
    git.git.add("-A")
    git.git.commit("-m", "start")
    repo.close()
    with Repo(tmp_path) as repo:
        yield repo
    git.close()


def test_exp_run_composes_an_experiment(repository, tmp_path):
    repository.experiments.run(params=["experiment=folder", "prepare.id.path=/images"])
    assert load(tmp_path / "out.yaml")["prepare"]["id"] == {
        "source": "folder",
        "path": "/images",
        "root": None,
        "classes": None,
        "val_share": 0.15,
        "test_share": 0.25,
    }


def test_exp_run_keeps_hand_edits(repository, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("val_share: 0.15", "val_share: 0.2"))
    repository.experiments.run(params=["common.seed=7"])
    content = load(tmp_path / "out.yaml")
    assert (content["prepare"]["id"]["val_share"], content["common"]["seed"]) == (0.2, 7)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "ablations").glob("*.yaml")))
def test_every_overlay_is_valid_on_top_of_the_digits(tmp_path, name):
    composed(tmp_path, "experiment=digits", f"+ablations={name}")
    assert validate(tmp_path / "params.yaml") != validate(ROOT / "params.yaml")
