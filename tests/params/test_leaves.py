"""Every leaf of params.yaml is declared by the stages that use it, and changing it reruns those, what follows, and nothing else."""

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from miniature import Miniature
from penumbra.differences import PLACES, expand, taken_over
from penumbra.errors import PenumbraError
from penumbra.params import known_leaves, load
from penumbra.schema import Experiment
from penumbra.stage import Params
from penumbra.workflow import contract, execute

ROOT = Path(__file__).parents[2]
CONTENT = load(ROOT / "params.yaml")
LEAVES = known_leaves(CONTENT)
EMPTY = {".".join(place) for place in PLACES}  # without an entry, no stage


def lookup(content: dict, key: str) -> Any:
    for part in key.split("."):
        content = content[part]
    return content


def other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}-other"
        case list():
            return value[:-1]
        case dict() | None:
            return "other"


def with_other(*leaves: str, content: dict = CONTENT) -> dict:
    """The parameters with another value of some leaves."""
    content = copy.deepcopy(content)
    for leaf in leaves:
        *parents, last = leaf.split(".")
        section = lookup(content, ".".join(parents)) if parents else content
        section[last] = other(section[last])
    return content


def within(leaf: str, key: str) -> bool:
    return leaf == key or leaf.startswith(f"{key}.")


class Declared:
    """DVC's own view of dvc.yaml: each stage's dependency on params.yaml, with the committed values recorded."""

    def __init__(self, repo: Repo):
        self.dependencies: dict[str, ParamsDependency] = {}
        for stage in repo.index.stages:
            for dependency in stage.deps:
                if isinstance(dependency, ParamsDependency) and dependency.def_path == "params.yaml":
                    dependency.save()
                    self.dependencies[stage.name] = dependency
        graph = repo.index.graph  # edges point from a stage to what it needs
        self.following = {stage.name: {other.name for other in nx.ancestors(graph, stage)} for stage in repo.index.stages}
        self.keys = {stage: dependency.params for stage, dependency in self.dependencies.items()}

    def by(self, leaf: str) -> set[str]:
        """Stages that declare the leaf or a section that it is in."""
        return {stage for stage, keys in self.keys.items() if any(within(leaf, key) for key in keys)}

    def downstream(self, leaf: str) -> set[str]:
        """Stages that declare the leaf, and all that follow from them; but for its code, on which all else stands."""
        found = self.by(leaf) - {"code"}
        return found.union(*(self.following[stage] for stage in found))

    def rounds(self) -> Iterator[list[str]]:
        """All leaves, each once; those that change together belong to different declared keys, the narrowest of each."""
        every = {key for keys in self.keys.values() for key in keys}
        groups: dict[str, list[str]] = {}
        for leaf in LEAVES:
            groups.setdefault(max((key for key in every if within(leaf, key)), key=len), []).append(leaf)
        for group in zip_longest(*groups.values()):
            yield [leaf for leaf in group if leaf]

    def changed(self) -> dict[str, set[str]]:
        """By stage, the declared keys whose values differ from the recorded ones, as `dvc status` finds."""
        found = {stage: dependency.status().get("params.yaml", {}) for stage, dependency in self.dependencies.items()}
        return {stage: set(keys) for stage, keys in found.items() if keys}

    def meant(self, leaves: Sequence[str]) -> dict[str, set[str]]:
        """By stage, the declared keys that are one of the leaves or hold one."""
        found = {stage: {key for key in keys if any(within(leaf, key) for leaf in leaves)} for stage, keys in self.keys.items()}
        return {stage: keys for stage, keys in found.items() if keys}


@pytest.fixture(scope="module")
def declared(tmp_path_factory) -> Iterator[Declared]:
    root = tmp_path_factory.mktemp("declared")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root / name)
    Repo.init(str(root), no_scm=True).close()
    with Repo(str(root)) as repo:
        yield Declared(repo)


@pytest.fixture
def written(declared, monkeypatch):
    """What DVC reads in place of params.yaml, which it parses anew for each stage."""
    content = {}
    monkeypatch.setattr("dvc.dependency.param.load_path", lambda path, *args, **options: content["params"])
    return content


@pytest.mark.parametrize("section", [section for section in CONTENT if section != "common"])
def test_every_leaf_is_declared_by_a_stage_of_its_step(declared, section):
    steps = {section, "equip"} if section == "train" else {section}
    leaves = [leaf for leaf in LEAVES if leaf.startswith(f"{section}.") and leaf not in EMPTY]
    assert [leaf for leaf in leaves if not {contract.parts(stage)[0] for stage in declared.by(leaf)} & steps] == []


def test_a_leaf_of_a_variant_is_declared_by_its_stage_and_by_those_that_read_all(declared):
    """A change of a method, a detector, a recipe or a preset reaches the one stage that is named after it."""
    gather = {"code", "benchmark", "report", "extract-candidates@vit", "score-control@reconstruction", "score-control@repainting"}
    for section, count in {"synthesize": 2, "train.detectors": 1, "train.recipes": 2, "calibrate": 1, "filter": 1, "pretrain": 2}.items():
        for leaf in (leaf for leaf in LEAVES if leaf.startswith(f"{section}.") and leaf not in EMPTY):
            names = leaf.removeprefix(f"{section}.").split(".")[:count]
            own = {stage for stage in declared.by(leaf) if stage.partition("@")[2] in (names[-1], names[0])} - gather
            assert declared.by(leaf) - gather == own, leaf
            assert len(own) == (2 if section == "train.detectors" else 1), leaf


def test_every_common_leaf_is_declared_by_a_stage_that_computes(declared):
    assert [leaf for leaf in LEAVES if leaf.startswith("common.") and declared.by(leaf) <= {"report"}] == []


def test_every_declared_key_exists(declared):
    prefixes = {leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(leaf.count(".") + 1)}
    assert {stage: keys for stage, keys in declared.keys.items() if not set(keys) <= prefixes} == {}


FOREIGN = {  # (step, section of another step that it declares): what names inputs, and what a table is about
    ("benchmark", "prepare.id"),
    *(("benchmark", section) for section in ("pretrain", "extract", "synthesize", "calibrate", "filter", "score")),
    ("benchmark", "synthesize.control"),
    *(("benchmark", section) for section in ("train.detectors", "train.recipes")),
    ("score", "train.detectors"),
    ("extract", "synthesize"),
    ("extract", "pretrain"),
}


def test_a_step_declares_nothing_of_another_step_but_what_names_its_inputs(declared):
    """`equip` has its recipes in train, `code` asks which stages there are, and report shows everything."""
    for stage, keys in declared.keys.items():
        step = contract.parts(stage)[0]
        for key in keys if step not in ("code", "report") else ():
            own = ("common", "train" if step == "equip" else step)
            allowed = any(step == one and within(key, section) for one, section in FOREIGN)
            assert key.split(".")[0] in own or allowed, (stage, key)


def test_dvc_sees_the_change_of_a_leaf_in_the_stages_that_declare_it_and_in_no_other(declared, written):
    for leaves in declared.rounds():
        written["params"] = with_other(*leaves)
        assert declared.changed() == declared.meant(leaves)
    written["params"] = shuffled(CONTENT)
    assert declared.changed() == {}


def test_dvc_reruns_the_stages_that_declare_a_leaf_and_what_follows(declared, miniature, monkeypatch):
    content = CONTENT
    for leaf in ("report.gallery", "benchmark.bins", "score.knn_k"):  # the last steps, the last first
        content = with_other(leaf, content=content)
        assert rerun(miniature, monkeypatch, content) == declared.downstream(leaf), leaf
    assert rerun(miniature, monkeypatch, shuffled(content)) == set()


def rerun(miniature: Miniature, monkeypatch: pytest.MonkeyPatch, content: dict) -> set[str]:
    """The stages whose step `dvc repro` runs after params.yaml has become `content`."""
    miniature.reset()
    (miniature.root / "params.yaml").write_text(json.dumps(content))
    miniature.reproduce(monkeypatch)
    assert max(miniature.counters().values(), default=1) == 1
    return set(miniature.counters())


def shuffled(content: Any) -> Any:
    """The same content with all keys in reverse order."""
    return {key: shuffled(content[key]) for key in reversed(content)} if isinstance(content, dict) else content


@pytest.fixture(scope="module")
def dag() -> Iterator[contract.Contract]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        contract.load.cache_clear()
        yield contract.load()
        contract.load.cache_clear()


class Plain(dict):
    """Parameters of any values as the contract asks for them."""

    __getattr__ = dict.__getitem__

    def __init__(self, content: dict):
        super().__init__({key: Plain(value) if isinstance(value, dict) else value for key, value in content.items()})


class Whole(Plain):
    """All sections, by the names that the schema has for some of them together."""

    @property
    def methods(self) -> dict:
        kinds = {kind: variants for kind, variants in self["synthesize"].items() if kind != "control"}
        return {name: variant for variants in kinds.values() for name, variant in variants.items()}

    @property
    def recipes(self) -> dict:
        return {name: recipe for recipes in self["train"]["recipes"].values() for name, recipe in recipes.items()}


def recorded(dag: contract.Contract, content: dict) -> dict[str, str]:
    """By stage, what Snakemake keeps of `params:` and compares at the next run: the text of the values."""
    of = contract.Contract(dag.stages.values(), Whole(expand(content)))
    return {name: repr(values) for name, values in execute.declared(of).items()}


def test_snakemake_sees_the_change_of_a_leaf_in_the_stages_that_have_it_and_in_no_other(dag, declared, monkeypatch):
    monkeypatch.setattr(contract, "keys_of", list)
    before, likes = recorded(dag, CONTENT), sections_by_like()
    for leaf in LEAVES:
        if leaf.endswith(".like") or leaf in EMPTY:
            continue
        after = recorded(dag, with_other(leaf))
        seen = {stage for stage in before if after[stage] != before[stage]}
        more = {like for like, section in likes.items() if takes_over(section, leaf)}
        assert seen == declared.by(leaf).union(*(declared.by(f"{like}.like") for like in more)), leaf


def sections_by_like() -> dict[str, tuple[str, dict]]:
    """By dotted key of each section that is like another: that one's dotted key, and what it has from there."""
    found = {}
    for place in PLACES:
        for name, section in lookup(CONTENT, ".".join(place)).items():
            if "like" in section:
                found[".".join((*place, name))] = (".".join((*place, section["like"])), taken_over(CONTENT, (*place, name)))
    return found


def takes_over(section: tuple[str, dict], leaf: str) -> bool:
    like, taken = section
    return leaf.startswith(f"{like}.") and leaf.removeprefix(f"{like}.") in known_leaves(taken)


def test_the_order_of_keys_changes_nothing_for_snakemake(dag):
    of = [contract.Contract(dag.stages.values(), Experiment.model_validate(expand(each))) for each in (CONTENT, shuffled(CONTENT))]
    assert execute.declared(of[0]) == execute.declared(of[1])


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
