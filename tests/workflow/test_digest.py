"""A digest changes with the meaning of what a program can run, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from penumbra.workflow.digest import Code

ROOT = Path(__file__).parents[2]
HELPER = '''"""Helpers."""
import numpy as np

SCALE = 2
OTHER = 5


def scaled(x):
    """Twice as much."""
    return np.asarray(x) * SCALE


def unused():
    return OTHER
'''
STEP = '''"""A step."""
from penumbra.toy.helper import scaled


def main(stage):
    """Run."""
    return scaled(stage.read("x"))
'''


@pytest.fixture
def package(tmp_path):
    """A package of two modules; returns its folder."""
    folder = tmp_path / "src/penumbra/toy"
    folder.mkdir(parents=True)
    for path in (folder.parent, folder):
        (path / "__init__.py").touch()
    (folder / "helper.py").write_text(HELPER)
    (folder / "step.py").write_text(STEP)
    return folder


def meaning(package: Path, module: str = "step"):
    return Code(package.parents[1]).program(f"penumbra.toy.{module}")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("helper.py", "SCALE = 2", "SCALE = 2  # twice"),
        ("helper.py", '    """Twice as much."""\n', '    """Two times as much."""\n\n'),
        ("helper.py", "def scaled(x):", "def scaled(\n    x: float,\n) -> float:"),
        ("helper.py", "OTHER = 5", "OTHER = 6"),
        ("helper.py", "def unused", "def another(): ...\n\n\ndef unused"),
        ("step.py", "from penumbra.toy.helper import scaled\n", "from typing import Any\n\nfrom .helper import scaled\n"),
        ("step.py", "from penumbra.toy.helper import scaled", "from penumbra.toy import helper"),
    ],
    ids=["comment", "docstring", "layout and annotations", "a constant nobody uses", "a new function", "relative import", "module"],
)
def test_what_keeps_the_meaning_keeps_the_digest(package, name, old, new):
    before = meaning(package)
    file = package / name
    text = file.read_text().replace(old, new)
    if "import helper" in new:
        text = text.replace("scaled(stage", "helper.scaled(stage")
    file.write_text(text)
    assert meaning(package) == before


def test_a_helper_that_moves_keeps_the_digest(package):
    before = meaning(package)
    (package.parent / "common").mkdir()
    (package / "helper.py").rename(package.parent / "common/tools.py")
    (package.parent / "common/__init__.py").touch()
    (package / "step.py").write_text(STEP.replace("penumbra.toy.helper", "penumbra.common.tools"))
    assert meaning(package).digest == before.digest


def test_a_helper_that_another_module_hands_on_is_the_same_helper(package):
    before = meaning(package)
    (package / "door.py").write_text("from penumbra.toy.helper import scaled\n")
    (package / "step.py").write_text(STEP.replace("toy.helper", "toy.door"))
    assert meaning(package).digest == before.digest


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("helper.py", "SCALE = 2", "SCALE = 3"),
        ("helper.py", "* SCALE", "+ SCALE"),
        ("helper.py", "import numpy as np", "import torch as np"),
        ("helper.py", "def scaled(x):", "def scaled(x=1):"),
        ("helper.py", "SCALE = 2\n", "SCALE = 2\nSCALE += 1\n"),
        ("helper.py", "def scaled", "print('loaded')\n\n\ndef scaled"),
        ("step.py", '"x"', '"y"'),
    ],
    ids=["constant", "operator", "library", "default", "second assignment", "what runs at import", "string"],
)
def test_another_meaning_has_another_digest(package, name, old, new):
    before = meaning(package)
    file = package / name
    file.write_text(file.read_text().replace(old, new))
    assert meaning(package).digest != before.digest


def test_functions_of_one_name_in_two_modules_are_told_apart(package):
    (package / "twin.py").write_text(HELPER.replace("* SCALE", "- SCALE"))
    before = meaning(package)
    (package / "step.py").write_text(STEP.replace("toy.helper", "toy.twin"))
    assert meaning(package).digest != before.digest


def test_functions_that_call_each_other_have_one_digest_whoever_asks_first(package):
    text = "def main(s):\n    return other(s)\n\n\ndef other(s):\n    return main(s) + third(s)\n\n\ndef third(s):\n    return other(s)\n"
    (package / "ring.py").write_text(text)
    (package / "second.py").write_text("from penumbra.toy.ring import third\n\n\ndef main(s):\n    return third(s)\n")
    alone = Code(package.parents[1]).program("penumbra.toy.second")
    code = Code(package.parents[1])
    code.program("penumbra.toy.ring")
    assert code.program("penumbra.toy.second") == alone
    (package / "ring.py").write_text(text.replace("third(s)\n\n\ndef third", "third(s) + 1\n\n\ndef third"))
    assert Code(package.parents[1]).program("penumbra.toy.second").digest != alone.digest


def test_libraries_are_those_that_reached_code_names(package):
    assert meaning(package).libraries == {"numpy"}
    (package / "step.py").write_text("import torch\n\n\ndef main(stage):\n    return 1\n\n\ndef other():\n    return torch.ones(1)\n")
    assert meaning(package).libraries == frozenset()


def test_imports_for_type_checking_do_not_count(package):
    (package / "step.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
        "from penumbra.toy.helper import scaled\n\n\ndef main(stage: 'torch.Tensor'):\n    return scaled(stage)\n"
    )
    assert meaning(package).libraries == {"numpy"}


def test_a_template_beside_the_code_counts(package):
    before = meaning(package)
    (package / "page.html").write_text("<p>")
    with_page = meaning(package)
    (package / "page.html").write_text("<b>")
    assert len({before.digest, with_page.digest, meaning(package).digest}) == 3


def test_a_package_that_is_named_as_a_whole_is_all_that_lies_in_it(package):
    """Its modules are found by name when it runs."""
    rooms = package / "rooms"
    rooms.mkdir()
    (rooms / "__init__.py").touch()
    (rooms / "one.py").write_text("SIZE = 1\n")
    (package / "step.py").write_text("from penumbra.toy import rooms\n\n\ndef main(stage):\n    return find(rooms)\n")
    before = meaning(package).digest
    (rooms / "one.py").write_text("SIZE = 2\n")
    changed = meaning(package).digest
    (rooms / "two.py").write_text("import numpy as np\n\n\ndef new():\n    return np.pi\n")
    assert len({before, changed, meaning(package).digest}) == 3
    assert "numpy" in meaning(package).libraries


PARAMS = """class Recipe:
    epochs: int

    @property
    def steps(self):
        return 10 * self.epochs
"""


@pytest.mark.parametrize("change", ["10 *", "epochs: int"], ids=["method", "field"])
def test_methods_of_what_a_program_is_handed_count(package, change):
    (package / "params.py").write_text(PARAMS)
    (package.parent / "stage.py").write_text("class Stage:\n    def read(self, name):\n        return name\n")
    (package / "step.py").write_text(STEP.replace('stage.read("x")', "stage.params.recipe.steps"))
    before = meaning(package)
    (package / "params.py").write_text(PARAMS.replace(change, {"10 *": "20 *", "epochs: int": "rounds: int"}[change]))
    assert (meaning(package).digest == before.digest) == (change == "epochs: int")  # a field's value is in the parameters
    changed = meaning(package)
    stage = package.parent / "stage.py"
    stage.write_text(stage.read_text().replace("return name", "return name.lower()"))
    assert meaning(package).digest != changed.digest


REGISTRIES = {
    "benchmark.step": "benchmark.methods.good",
    "report.step": "report.methods.clip",
    "prepare.step": "prepare.sources.glyphs",
}


@pytest.mark.parametrize("program", REGISTRIES)
def test_what_a_registry_may_load_is_seen(program):
    assert f"penumbra.{REGISTRIES[program]}" in Code(ROOT / "src").program(f"penumbra.{program}").modules


# every module of a step with a `main`
PROGRAMS = {
    ".".join(path.relative_to(ROOT / "src/penumbra").with_suffix("").parts)
    for path in (ROOT / "src/penumbra").rglob("*.py")
    if path.parent.name != "workflow" and "\ndef main(stage: Stage)" in path.read_text()
}


NETWORKS = ("cider", "energy", "godin", "mcd", "mixoe", "npos", "udg", "uniform", "vos")
LOSSES = {f"train.losses.{loss}.plan" for loss in (*NETWORKS, "clip", "latent")}
EDITORS = {"synthesize.sona.plan", "synthesize.synood.plan"}


def digests(source: Path) -> dict[str, str]:
    """Of every program below a folder."""
    code = Code(source)
    return {name: code.program(f"penumbra.{name}").digest for name in PROGRAMS}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return digests(ROOT / "src")


@pytest.mark.parametrize(
    ("file", "old", "new", "users"),
    [
        ("train/losses/energy/loss.py", "F.", "F .", set()),
        ("guidance/minority.py", "def gaussian_push(", "def gaussian_push(\n    ", set()),
        (
            "synthesize/distances.py",
            "dim=1",
            "dim=-1",
            {"synthesize.badood.plan", "synthesize.moved.plan", "synthesize.decoded.plan", *EDITORS},
        ),
        (
            "train/pool.py",
            "count >= len(rows)",
            "count > len(rows)",
            LOSSES,
        ),
        (
            "train/losses/uniform/loss.py",
            "logsumexp(logits, 1)",
            "logsumexp(logits, -1)",
            {"train.losses.uniform.plan", "train.losses.mixoe.plan", "train.losses.udg.plan"},
        ),
        ("filter/bands.py", "WIDTH = 40", "WIDTH = 30", {"filter.step"}),
        ("pretrain/mage.py", "WARM", "WARM", set()),
        ("stage.py", "sorted(path.rglob", "list(path.rglob", PROGRAMS),
        ("train/losses/clip/params.py", "frozen CLIP, trained", "CLIP, trained", {"report.step", "prepare.step"}),
        ("report/study.py", "TICKS = (-10,", "TICKS = (-20,", {"report.step"}),
    ],
)
def test_an_edit_of_the_real_code_reaches_exactly_its_users(before, tmp_path, file, old, new, users):
    shutil.copytree(ROOT / "src/penumbra", tmp_path / "penumbra", ignore=shutil.ignore_patterns("__pycache__"))
    edited = tmp_path / "penumbra" / file
    text = edited.read_text()
    assert old in text or old == new
    edited.write_text(text.replace(old, new))
    after = digests(tmp_path)
    assert {name for name in PROGRAMS if after[name] != before[name]} == users
