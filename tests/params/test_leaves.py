"""Every leaf of params.yaml is declared by the stages that use it, and changing it reruns those, what follows, and nothing else."""

import copy
import functools
import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import networkx as nx
import pytest
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from miniature import Miniature
from penumbra.errors import PenumbraError
from penumbra.params import known_leaves, load
from penumbra.stage import Params
from penumbra.workflow import contract

ROOT = Path(__file__).parents[2]
CONTENT = load(ROOT / "params.yaml")
ABLATED = {  # sections of stages that only run when they are asked for
    f"{section}.{item}"
    for section, step in {"synthesize": "synthesize", "train.detectors": "train"}.items()
    for item in load(ROOT / "ablations/dvc.yaml")["stages"][step]["foreach"]
}


def leaves() -> list[str]:
    """Every leaf; of an ablation, whose section repeats that of its method, the first one."""
    seen: set[str] = set()
    found = []
    for leaf in known_leaves(CONTENT):
        section = next((section for section in ABLATED if leaf.startswith(f"{section}.")), None)
        if section not in seen:
            found.append(leaf)
        if section:
            seen.add(section)
    return found


LEAVES = leaves()


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
        self.standing = {stage.name for stage in repo.index.stages if Path(stage.path).parent == Path(repo.root_dir)}
        self.following = {stage.name: {other.name for other in nx.ancestors(graph, stage)} for stage in repo.index.stages}

    def by(self, leaf: str) -> set[str]:
        """Stages that declare the leaf or a section that it is in."""
        return {stage for stage, keys in self.keys().items() if any(leaf == key or leaf.startswith(f"{key}.") for key in keys)}

    def downstream(self, leaf: str) -> set[str]:
        """Stages of dvc.yaml that declare the leaf, and all that follow from them."""
        return self.by(leaf).union(*(self.following[stage] for stage in self.by(leaf))) & self.standing

    def keys(self) -> dict[str, list[str]]:
        """Declared keys by stage."""
        return {stage: dependency.params for stage, dependency in self.dependencies.items()}

    def rounds(self) -> Iterator[list[str]]:
        """All leaves, each once; those that change together belong to different declared keys, the narrowest of each."""
        every = {key for keys in self.keys().values() for key in keys}
        groups: dict[str, list[str]] = {}
        for leaf in LEAVES:
            groups.setdefault(max((key for key in every if leaf == key or leaf.startswith(f"{key}.")), key=len), []).append(leaf)
        for group in zip_longest(*groups.values()):
            yield [leaf for leaf in group if leaf]

    def changed(self) -> dict[str, set[str]]:
        """By stage of dvc.yaml, the declared keys whose values differ from the recorded ones, as `dvc status` finds."""
        found = {stage: self.dependencies[stage].status().get("params.yaml", {}) for stage in self.standing & self.dependencies.keys()}
        return {stage: set(keys) for stage, keys in found.items() if keys}

    def meant(self, leaves: Sequence[str]) -> dict[str, set[str]]:
        """By stage of dvc.yaml, the declared keys that are one of the leaves or hold one."""
        found = {
            stage: {key for key in keys if any(leaf == key or leaf.startswith(f"{key}.") for leaf in leaves)}
            for stage, keys in self.keys().items()
            if stage in self.standing
        }
        return {stage: keys for stage, keys in found.items() if keys}


@pytest.fixture(scope="module")
def declared(tmp_path_factory) -> Iterator[Declared]:
    root = tmp_path_factory.mktemp("declared")
    (root / "ablations").mkdir()
    for name in ("dvc.yaml", "params.yaml", "environment.yaml", "ablations/dvc.yaml"):
        shutil.copy(ROOT / name, root / name)
    Repo.init(str(root), no_scm=True).close()
    with Repo(str(root)) as repo:
        yield Declared(repo)


@pytest.fixture
def as_json(monkeypatch) -> None:
    """Let DVC read params.yaml as the JSON that these tests write: its YAML parser takes ten times as long."""
    parse = functools.lru_cache(maxsize=1)(json.loads)  # all stages look at one version after the other
    monkeypatch.setattr("dvc.dependency.param.load_path", lambda path, *args, **options: parse(Path(path).read_text()))


@pytest.mark.parametrize("section", [section for section in CONTENT if section != "common"])
def test_every_leaf_is_declared_by_a_stage_of_its_step(declared, section):
    leaves = [leaf for leaf in LEAVES if leaf.startswith(f"{section}.")]
    unused = [leaf for leaf in leaves if not any(stage.split("@")[0] == section for stage in declared.by(leaf))]
    assert unused == []


def test_every_common_leaf_is_declared_by_a_stage_that_computes(declared):
    assert [leaf for leaf in LEAVES if leaf.startswith("common.") and declared.by(leaf) <= {"report"}] == []


def test_every_declared_key_exists(declared):
    prefixes = {leaf.rsplit(".", depth)[0] for leaf in LEAVES for depth in range(leaf.count(".") + 1)}
    assert {stage: keys for stage, keys in declared.keys().items() if not set(keys) <= prefixes} == {}


def test_a_step_declares_nothing_of_another_step_but_what_it_shows(declared):
    """A section belongs to its step; benchmark names the data set, the bands and their bounds, report shows everything."""
    foreign = {
        (stage, key)
        for stage, keys in declared.keys().items()
        for key in keys
        if key.split(".")[0] not in ("common", stage.split("@")[0]) and stage.split("@")[0] != "report"
    }
    assert foreign <= {
        *(("benchmark", f"prepare.id.{key}") for key in ("source", "path", "classes")),
        ("benchmark", "filter"),
        ("benchmark", "score"),
        ("benchmark@ablations", "score"),
        *(("benchmark", f"train.detectors.{name}") for name in CONTENT["train"]["detectors"]),
    }


def test_dvc_sees_the_change_of_a_leaf_in_the_stages_that_declare_it_and_in_no_other(declared, as_json):
    path = Path(declared.dependencies["report"].fs_path)
    committed = path.read_text()
    for leaves in declared.rounds():
        path.write_text(json.dumps(with_other(*leaves)))
        assert declared.changed() == declared.meant(leaves)
    path.write_text(json.dumps(CONTENT))
    assert declared.changed() == {}
    path.write_text(committed)


SAMPLE = settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
# one leaf of each of the last steps, the last first: each run is longer than the one before; any other leaf is drawn below
LAST_STEPS = ["report.gallery", "benchmark.bins", "score.knn_k"]


def rerun(miniature: Miniature, monkeypatch: pytest.MonkeyPatch, content: dict) -> set[str]:
    """The stages whose step `dvc repro` runs after params.yaml has become `content`."""
    miniature.reset()
    (miniature.root / "params.yaml").write_text(json.dumps(content))
    miniature.reproduce(monkeypatch)
    assert max(miniature.counters().values(), default=1) == 1
    return set(miniature.counters())


def test_dvc_reruns_the_stages_that_declare_a_leaf_and_what_follows(declared, miniature, monkeypatch):
    content = CONTENT
    for leaf in LAST_STEPS:
        content = with_other(leaf, content=content)
        assert rerun(miniature, monkeypatch, content) == declared.downstream(leaf), leaf
    assert rerun(miniature, monkeypatch, shuffled(content)) == set()


@SAMPLE
@given(leaf=st.sampled_from([leaf for leaf in LEAVES if leaf.split(".")[0] in ("score", "benchmark", "report")]))
def test_dvc_reruns_the_same_for_any_leaf(declared, built_miniature, tmp_path_factory, leaf):
    miniature = built_miniature.copy(tmp_path_factory.mktemp("any") / "dag")
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert rerun(miniature, monkeypatch, with_other(leaf)) == declared.downstream(leaf)


def shuffled(content: Any) -> Any:
    """The same content with all keys in reverse order."""
    return {key: shuffled(content[key]) for key in reversed(content)} if isinstance(content, dict) else content


def test_comments_and_the_order_of_keys_change_nothing_for_dvc(declared):
    path = Path(declared.dependencies["report"].fs_path)
    committed = path.read_text()
    path.write_text("# a comment\n" + json.dumps(shuffled(CONTENT), indent=1))
    assert declared.changed() == {}
    path.write_text(committed)


@pytest.fixture(scope="module")
def dag() -> Iterator[contract.Contract]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        contract.load.cache_clear()
        yield contract.load()
        contract.load.cache_clear()


def recorded(dag: contract.Contract, content: dict) -> dict[str, str]:
    """By stage of dvc.yaml, what Snakemake keeps of `params:` and compares at the next run: the text of the values."""
    of = contract.Contract(dag.stages, content, {})
    return {entry.name: repr(of.declared(entry.step)(SimpleNamespace(item=entry.item))) for entry in dag.standing()}


def test_snakemake_sees_the_change_of_a_leaf_in_the_stages_that_declare_it_and_in_no_other(dag, declared):
    before = recorded(dag, CONTENT)
    seen = {}
    for leaf in LEAVES:
        after = recorded(dag, with_other(leaf))
        seen[leaf] = {stage for stage in before if after[stage] != before[stage]}
    assert {leaf: stages for leaf, stages in seen.items() if stages != declared.by(leaf) & declared.standing} == {}


def test_the_order_of_keys_changes_nothing_for_snakemake(dag):
    assert recorded(dag, shuffled(CONTENT)) == recorded(dag, CONTENT)


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
