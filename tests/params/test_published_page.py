"""docs/published.md, walked: each command composes to valid parameters, and no published model is left to be trained unasked."""

import re
import subprocess
from pathlib import Path

import pytest

from penumbra.experiment.load import typed
from penumbra.prepare.classes import class_names
from penumbra.workflow import needs, outside
from penumbra.workflow.composition import compose

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/published.md").read_text()
FOLDERS = {"OPENOOD": "openood", "PENUMBRA_DATA": "data", "PENUMBRA_WEIGHTS": "weights", "SYNIS": "SynIS"}
COMMANDS = re.findall(r"tested: tests/params/test_published_page.py -->\n((?:    .*\n)+)", PAGE)
PREAMBLE = PAGE[: PAGE.index("## Licences")]
OVERLAYS = []  # (experiment, overrides): each overlay that a method's sections name, on each of their experiments; `grid` is of digits
for section in re.findall(r"^## (?:Bad-OOD|GOOD|SONA|SynOOD):.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL):
    named = dict.fromkeys(span for span in re.findall(r"`(\+[^`]*)`", section) if "+ablations=" in span and "=grid" not in span)
    known = re.findall(r"penumbra configure experiment=([\w-]+)", section) or ["badood-imagenet100"]
    OVERLAYS += [(experiment, overlay) for experiment in dict.fromkeys(known) for overlay in named]
NAMES = {
    "n01440764": "tench",
    "n01443537": "goldfish",
    "n03773504": "missile",
    "n04008634": "missile",
    "n04133789": "jack-o'-lantern (lamp)",
}
LISTS = {"imagenet/train_imagenet": list(NAMES), "imagenet200/train_imagenet200": ["n01443537", "n04133789"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> tuple[Path, str]:
    """A folder with the files that the page starts from, where its preparations have run; and the lines that set its variables."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "data").mkdir()
    (folder / "data/in100.txt").write_text("n01443537\n")
    (folder / "SONA/generator/utils").mkdir(parents=True)
    (folder / "SONA/generator/utils/classnames.txt").write_bytes("\r\n".join(map(" ".join, NAMES.items())).encode())
    for name, ids in LISTS.items():
        file = folder / f"openood/benchmark_imglist/{name}.txt"
        file.parent.mkdir(parents=True)
        lines = [f"imagenet_1k/train/{wnid}/{wnid}_{image}.JPEG {label}\n" for label, wnid in enumerate(ids) for image in (10, 7)]
        file.write_text("".join(reversed(lines)))
    blocks = ["".join(line[4:] for line in block.splitlines(True)) for block in re.findall(r"(?:^    .*\n)+", PREAMBLE, re.MULTILINE)]
    script = "\n".join(blocks).replace("/path/to", str(folder))
    subprocess.run(["bash", "-euc", script], cwd=folder, check=True)
    return folder, blocks[0].replace("/path/to", str(folder))


def overrides(command: str, place: tuple[Path, str]) -> list[str]:
    """What bash makes of a command of the page."""
    folder, variables = place
    script = f"{variables}\npenumbra() {{ shift; printf '%s\\0' \"$@\"; }}\n{command}"
    done = subprocess.run(["bash", "-euc", script], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.split("\0")[:-1]


def test_the_names_of_a_list_stand_in_the_order_of_its_labels(place):
    data = place[0] / "data"
    assert (data / "names1000.txt").read_text().splitlines() == ["tench", "goldfish", "missile", "missile", "jack-o'-lantern (lamp)"]
    assert (data / "names200.txt").read_text().splitlines() == ["goldfish", "jack-o'-lantern (lamp)"]
    assert (data / "names800.txt").read_text().splitlines() == ["tench", "missile", "missile"]
    assert class_names(str(data / "names.csv"), ["n04133789", "n04008634", "n03773504"]) == ["jack-o'-lantern (lamp)", "missile", "missile"]
    assert (data / "imagenet100/goldfish").is_symlink() and (data / "imagenet100-val/goldfish").is_symlink()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: re.search(r"experiment=([\w-]+)", command)[1])
def test_a_command_is_accepted_and_names_every_published_model_that_it_keeps(place, monkeypatch, command):
    for name, below in FOLDERS.items():
        monkeypatch.setenv(name, str(place[0] / below))
    experiment = typed(compose(ROOT / "conf", overrides(command, place)), "docs/published.md")
    kinds = {
        "encoder": "checkpoint",
        "rdm": "checkpoint",
        "mage": "checkpoint",
        "diffusion": "pipeline",
        "inpainting": "pipeline",
        "clip": "model",
    }
    kept = {f"{kind}.{name}": preset[key] for kind, key in kinds.items() for name, preset in experiment.pretrain[kind].items()}
    assert kept or all(method.method == "real" for method in experiment.methods.values())
    assert all(value and Path(value).is_relative_to(place[0] / "weights") for value in kept.values()), kept
    assert not [name for name in experiment.methods if name not in {detector.method for detector in experiment.train.detectors.values()}]

    files = dict(outside.named(experiment.model_dump()))
    own = ("world", "diffusion", "inpainting", str(place[0] / "data/cifar10.txt"))
    assert not [key for key, named in files.items() if named.path not in own and not needs._published(key, named.path)[0]]


@pytest.mark.parametrize(("experiment", "overlay"), OVERLAYS)
def test_an_overlay_that_the_page_names_goes_with_every_experiment_of_its_section(experiment, overlay):
    typed(compose(ROOT / "conf", [f"experiment={experiment}", *overlay.split()]), "docs/published.md")


def test_there_is_a_command_for_each_of_the_tables():
    tables = {re.search(r"experiment=([\w-]+)", command)[1] for command in COMMANDS}
    assert tables == {path.stem for path in (ROOT / "conf/experiment").glob("*-*.yaml")}
    assert len(COMMANDS) == len(tables) + 1 == len(re.findall(r"penumbra configure experiment", PAGE))  # SynIS goes with one of them


def test_whatever_a_table_needs_is_listed_with_its_source(place, monkeypatch):
    """Every experiment of a table, with nothing but its three folders: doctor knows what each file is, and where it is published."""
    for name, below in FOLDERS.items():
        monkeypatch.setenv(name, str(place[0] / below))
    for file in (ROOT / "conf/experiment").glob("*-*.yaml"):
        experiment = typed(compose(ROOT / "conf", [f"experiment={file.stem}"]), file.name)
        found = {key: needs._published(key, named.path) for key, named in outside.named(experiment.model_dump()) if "/" in named.path}
        own = [key for key, (what, _, _) in found.items() if not what]
        assert own in ([], ["synthesize.sona.sona.word_file"]), (file, own)  # CIFAR-10's ten names
        assert all(origin.startswith("https://") for key, (_, _, origin) in found.items() if key not in own)
