"""DVC sees a change of a leaf of params.yaml in the stages that declare it, and reruns those and what follows."""

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
from penumbra.experiment.load import known_leaves, load

ROOT = Path(__file__).parents[2]
CONTENT = load(ROOT / "params.yaml")
LEAVES = known_leaves(CONTENT)


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
            return value[:-1] or ["other"]
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


@pytest.fixture
def miniature(whole):
    """All stages."""
    return whole


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
