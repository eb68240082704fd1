"""Every leaf of params.yaml is declared by the stages that are given it, and by no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penumbra.errors import PenumbraError
from penumbra.experiment.differences import expand
from penumbra.experiment.load import known_leaves, load
from penumbra.stage import Params
from penumbra.workflow import contract

ROOT = Path(__file__).parents[2]
CONTENT = load(ROOT / "params.yaml")
LEAVES = known_leaves(expand(CONTENT))
STEPS = {"train.recipes": "equip"}  # of sections that are not named as the step that reads them


@pytest.fixture(scope="module")
def dag() -> Iterator[contract.Contract]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        contract.load.cache_clear()
        yield contract.load()
        contract.load.cache_clear()


def declaring(dag: contract.Contract, leaf: str) -> set[str]:
    """Stages that declare a leaf or a section that it is in."""
    return {name for name, entry in dag.stages.items() if any(f"{leaf}.".startswith(f"{key}.") for key in entry.params)}


def other(value: Any) -> Any:
    """Another value, valid or not."""
    return "other" if value != "other" else "another"


def with_other(section: Any, keys: list[str]) -> Any:
    """The parameters with another value of a leaf."""
    if not keys:
        return other(section)
    changed = with_other(section[keys[0]], keys[1:])
    return section | {keys[0]: changed} if isinstance(section, dict) else section.model_copy(update={keys[0]: changed})


def given(dag: contract.Contract, experiment: Any) -> dict[str, dict]:
    """What each stage is given of the parameters; `code` reads the file itself, for the names in it."""
    of = contract.Contract(dag.stages.values(), dag.given, experiment)
    return {name: of.params(entry).plain() for name, entry in dag.stages.items() if name != "code"}


def filled(leaf: str) -> bool:
    """Whether a leaf is a value: an empty section or list of names has no entry that a stage could be given."""
    value: Any = expand(CONTENT)
    for key in leaf.split("."):
        value = value[key]
    return value not in ({}, [])


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # another value may be of another type
@pytest.mark.parametrize("section", list(CONTENT))
def test_a_leaf_is_given_to_the_stages_that_declare_it_and_to_no_other(dag, section):
    before = given(dag, dag.experiment)
    wrong = {}
    for leaf in [leaf for leaf in LEAVES if leaf.split(".")[0] == section and filled(leaf)]:
        after = given(dag, with_other(dag.experiment, leaf.split(".")))
        seen = {name for name in before if after[name] != before[name]}
        meant = declaring(dag, leaf) - {"code"}
        if seen != meant:
            wrong[leaf] = seen ^ meant
    assert wrong == {}


def test_every_leaf_is_declared_by_a_stage_of_its_step(dag):
    unused = []
    for leaf in [leaf for leaf in LEAVES if leaf.split(".")[0] != "common" and filled(leaf)]:
        step = next((step for section, step in STEPS.items() if leaf.startswith(f"{section}.")), leaf.split(".")[0])
        if not any(dag.stages[name].step == step for name in declaring(dag, leaf)):
            unused.append(leaf)
    assert unused == []


def test_every_common_leaf_is_declared_by_a_stage_that_computes(dag):
    assert [leaf for leaf in LEAVES if leaf.startswith("common.") and declaring(dag, leaf) <= {"report"}] == []


def test_a_variant_is_declared_by_no_stage_of_another(dag):
    """A change of one recomputes what it makes, and nothing of its neighbours."""
    for leaf in [leaf for leaf in LEAVES if leaf.startswith("synthesize.") and filled(leaf)]:
        name = leaf.split(".")[2]
        assert {dag.stages[stage].item for stage in declaring(dag, leaf) if dag.stages[stage].step == "synthesize"} == {name}, leaf


def test_every_declared_key_exists(dag):
    prefixes = {leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(leaf.count(".") + 1)}
    assert {name: entry.params for name, entry in dag.stages.items() if not set(entry.params) <= prefixes} == {}


def test_a_step_declares_nothing_of_another_step_but_what_it_shows(dag):
    """A section belongs to its step; code, benchmark and report look at all of them, and the rest at what names their inputs."""
    own = {"equip": "train", "score": "score"}
    foreign = {
        (entry.step, key.split(".")[0])
        for entry in dag.stages.values()
        for key in entry.params
        if entry.step not in ("code", "benchmark", "report") and key.split(".")[0] not in ("common", own.get(entry.step, entry.step))
    }
    assert foreign == {("score", "train"), ("extract", "synthesize")}  # of controls, by every detector; of candidates


def test_a_key_that_the_stage_does_not_declare_cannot_be_read():
    params = Params({"common": {"seed": 0}, "train": {"recipes": {"energy": {"epochs": 3}}}})
    assert params.train.recipes.energy.epochs == 3
    for read in (
        lambda: params.common.image_size,
        lambda: params["common"]["image_size"],
        lambda: params.train.recipes.energy.beta,
        lambda: params.synthesize,
    ):
        with pytest.raises(PenumbraError, match="is read but this stage does not declare it in dvc.yaml"):
            read()
