"""`penumbra configure`: params.yaml as `dvc exp run -S` would compose it, comments kept, nothing run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import compose_and_dump

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load
from penumbra.workflow.composition import nearest
from penumbra.workflow.configure import configure

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text()
FILES = [f"pretrain.{name}.checkpoint=/data/{name}.pth" for name in ("encoder.moco", "rdm.rcg", "mage.rcg")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The project's parameters and conf/ in a git repository, and the process in it."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", symlinks=True)
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull})
    return tmp_path


def command(*arguments):
    program = [sys.executable, "-c", "from penumbra.cli import main; main()", "configure", *arguments]
    return subprocess.run(program, capture_output=True, text=True)


def diffstat():
    return subprocess.run(["git", "diff", "--numstat"], check=True, capture_output=True, text=True).stdout.split()


def test_one_changed_value_is_one_changed_line(folder):
    done = command("filter.badood.mid=[0.35,0.55]")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("params.yaml:\n  filter.badood.mid  [0.3, 0.5] -> [0.35, 0.55]\n\npenumbra repro --dry ")
    assert diffstat() == ["1", "1", "params.yaml"]
    assert "  badood: {judge: none, mid: [0.35, 0.55], upper: [0.5, 0.7]}  # P(OOD)\n" in (folder / "params.yaml").read_text()


@pytest.mark.parametrize(
    "overrides",
    [
        ["common.seed=3", "prepare.id.classes=['0','1']", "+train.detectors.badood-far={method: badood, bands: [high], recipe: energy}"],
        ["~prepare.far.noise"],
        ["train.recipes.scratch.energy.crop_padding=3"],
        ["experiment=miniature"],
        ["experiment=folder", "prepare.id.path=/my images/birds"],
        ["experiment=cifar100", *FILES],
        ["experiment=sona-imagenet200-full-spectrum", "prepare.id.classes=[a,b]"],
        ["synthesize/badood=literal-adm", "pretrain=published", *FILES],
        ["experiment=digits", "synthesize/good=official"],
        ["synthesize/sona=official", "train/recipes/good=small"],
    ],
)
def test_what_is_written_is_what_dvc_would_compose(folder, overrides, monkeypatch):
    monkeypatch.setenv("OPENOOD", "/data/openood")
    compose_and_dump(folder / "expected.yaml", str(folder / "conf"), None, "config", "", overrides)
    configure(overrides)
    assert load(folder / "params.yaml") == load(folder / "expected.yaml")
    assert (folder / "params.yaml").read_text().startswith(PARAMS[: PARAMS.index("common:")])


def test_values_that_come_back_bring_the_file_back(folder):
    configure(["train.recipes.scratch.energy.epochs=30", "prepare.id.val_share=0.2"])
    configure(["train.recipes.scratch.energy.epochs=7", "prepare.id.val_share=0.15"])
    assert (folder / "params.yaml").read_text() == PARAMS


def test_the_lines_of_a_file_are_a_list_whatever_they_hold(folder):
    names = ["tench", "jack-o'-lantern (lamp)", 'the "big" one, red', "back\\slash", 'one before \\"quotes\\', "a: {b}"]
    (folder / "names.txt").write_text("\ufeff" + "\r\n".join(names) + "\n\n", encoding="utf-8")
    configure(["prepare.id.classes=@names.txt", "prepare.id.source=folder", "prepare.id.path=/images"])
    assert load(folder / "params.yaml")["prepare"]["id"]["classes"] == names


def test_a_name_that_stands_twice_in_a_file_is_named(folder):
    (folder / "names.txt").write_text("tench\nmissile\nsunglass\nmissile\nsunglass\n")
    with pytest.raises(PenumbraError, match="a list without repetitions; missile and sunglass stand there more than once"):
        configure(["prepare.id.classes=@names.txt"])
    with pytest.raises(PenumbraError, match=r"^prepare\.id\.classes: gone\.txt cannot be read as lines of text"):
        configure(["prepare.id.classes=@gone.txt"])
    assert diffstat() == []


def test_hand_edits_stay(folder):
    edited = PARAMS.replace("val_share: 0.15", "val_share: 0.2     # mine")
    (folder / "params.yaml").write_text(edited)
    configure(["common.seed=7"])
    assert (folder / "params.yaml").read_text() == edited.replace("seed: 0", "seed: 7", 1)


def test_another_file_may_take_the_result(folder):
    done = command("common.seed=7", "--output", "other.yaml")
    assert done.stdout == "other.yaml:\n  common.seed  0 -> 7\n"
    assert (folder / "params.yaml").read_text() == PARAMS and load(folder / "other.yaml")["common"]["seed"] == 7


def test_without_arguments_the_choices_are_listed(folder):
    told = command().stdout
    assert told.startswith("Nothing changed.") and diffstat() == []
    names = "experiment            badood-cifar100, badood-imagenet100, badood-imagenet200-full-spectrum, badood-imagenet200,"
    assert names in told and "synthesize/badood     literal-adm, paper" in told
    assert configure(["common.seed=0"]) == "Nothing changed: params.yaml has these values already."


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["filter.badood.middle=[0,1]"], "filter.badood.middle: there is no such key; did you mean filter.badood.mid?"),
        (["filter.badod.mid=[0,1]"], "filter.badod.mid: there is no such key; did you mean filter.badood.mid?"),
        (["~prepare.far.noize"], "prepare.far.noize: there is no such key; did you mean prepare.far.noise?"),
        (["experiment=folder", "prepare.idd.path=/x"], "prepare.idd.path: there is no such key; did you mean prepare.id.path?"),
        (["filter.badood.zzz=1"], "filter.badood.zzz: there is no such key. `+filter.badood.zzz=...` adds one."),
        (["+common.seed=1"], "+common.seed: the key is there already; leave out the +"),
        (["experiment=foldr"], "experiment=foldr: there is no such option; did you mean folder?"),
        (["pretrain=large"], "pretrain=large: there is no such option. Choose one of: published, small."),
        (["synthesize/bad=paper"], "synthesize/bad: there is no such group; did you mean synthesize/badood?"),
        (["common.seed"], "common.seed: cannot be read as KEY=VALUE, +KEY=VALUE, ~KEY or GROUP=OPTION."),
        (["filter.badood.mid=[0.3"], "filter.badood.mid=[0.3: cannot be read as KEY=VALUE"),
        (["common.seed=1,2"], "common.seed=1,2: several values at once; one run has one."),
        (["common.seed=x"], 'params.yaml: common.seed = "x": must be a whole number'),
        (["experiment=folder"], "params.yaml: prepare.id.path = null: must be where the images of source folder lie"),
        (["+common.colour=red"], "params.yaml: common.colour: unknown key"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(folder, overrides, message):
    with pytest.raises(PenumbraError) as error:
        configure(overrides)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    assert (folder / "params.yaml").read_text() == PARAMS


def test_a_mistake_ends_the_command(folder):
    done = command("filter.badood.middle=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "penumbra: filter.badood.middle: there is no such key; did you mean filter.badood.mid?\n"


def test_the_nearest_key_is_sought_part_by_part():
    params = {"filter": {"good": {"mid": 1}}, "train": {"good": {"middle": 2}}}
    assert nearest("fliter.good.midle", params) == "filter.good.mid"
    assert nearest("zzz.good.mid", params) is None
